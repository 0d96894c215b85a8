"""A made-up finished run: coloured shapes, cameras around them, photos of them, and names that mean harm."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from reconflow.core.cameras import Camera, Pose
from reconflow.core.clouds import PointCloud
from reconflow.core.images import ImageRecord, Unreadable
from reconflow.core.matches import PairSummary
from reconflow.core.models import Model, RegisteredImage
from reconflow.core.scenes import Scene, Split
from reconflow.stages.insights import insights

HOSTILE = '<img src=x onerror="document.documentElement.dataset.pwned=1">.jpg'
SCRIPT = "</script><script>document.documentElement.dataset.pwned=2</script>.jpg"
STRAY = "<svg onload=document.documentElement.dataset.pwned=3>.jpg"
QUOTES = 'it\'s "quoted" & ${title} $title \u202egpj.jpg'
CAMERA = Camera(model="SIMPLE_RADIAL", width=1600, height=1200, params=(1500.0, 800.0, 600.0, 0.0))


def statue(rng, count):
    """A sphere on a column over paving stones, z up."""
    kind = rng.random(count)
    angle, height = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, count)
    flat = np.sqrt(1 - height**2)
    ball = np.column_stack([flat * np.cos(angle), flat * np.sin(angle), height + 2.6]) * [0.8, 0.8, 1]
    column = np.column_stack([0.45 * np.cos(angle), 0.45 * np.sin(angle), height + 0.9])
    ground = np.column_stack([rng.uniform(-3.5, 3.5, (count, 2)), rng.normal(0, 0.01, count)])
    points = np.where((kind < 0.4)[:, None], ball, np.where((kind < 0.6)[:, None], column, ground))
    stripes = (np.sin(9 * angle) * np.sin(7 * height) > 0)[:, None]
    tiles = ((np.floor(ground[:, 0] * 2) + np.floor(ground[:, 1] * 2)) % 2 == 0)[:, None]
    bronze = np.where(stripes, [196, 142, 74], [120, 84, 48])
    stone = np.where(stripes, [205, 200, 190], [170, 164, 154])
    paving = np.where(tiles, [150, 152, 148], [112, 116, 112])
    colors = np.where((kind < 0.4)[:, None], bronze, np.where((kind < 0.6)[:, None], stone, paving))
    return points, np.clip(colors + rng.normal(0, 9, (count, 3)), 0, 255).astype(np.uint8)


def facade(rng, count):
    """A wall with windows, z up, seen from negative y."""
    points = np.column_stack([rng.uniform(-4, 4, count), rng.normal(0, 0.02, count), rng.uniform(0, 4, count)])
    window = (np.mod(points[:, 0] + 4, 1.6) > 0.7) & (np.mod(points[:, 2], 1.4) > 0.5)
    points[window, 1] += 0.25
    colors = np.where(window[:, None], [58, 78, 104], [188, 150, 122]) + rng.normal(0, 8, (count, 3))
    return points, np.clip(colors, 0, 255).astype(np.uint8)


def looking(center, target):
    z = np.asarray(target, float) - center
    z /= np.linalg.norm(z)
    x = np.cross(z, [0, 0, 1])
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z])
    return Pose(rotation, -rotation @ center)


def orbit(count, radius, height, start=0.0, turn=2 * np.pi):
    for angle in start + turn * np.arange(count) / count:
        center = np.array([radius * np.cos(angle), radius * np.sin(angle), height + 0.3 * np.sin(3 * angle)])
        yield looking(center, [0, 0, 1.5])


def walk(count):
    for x in np.linspace(-3, 3, count):
        yield looking(np.array([x, -5.0 + 0.15 * x**2, 1.7]), [0.7 * x, 0, 2.0])


def photograph(points, colors, pose, edge_px=160):
    """Splat the points as a camera sees them, and return the JPEG."""
    width, height = edge_px, edge_px * 3 // 4
    seen = points @ pose.rotation.T + pose.translation
    order = np.argsort(-seen[:, 2])
    order = order[seen[order, 2] > 0.1]
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = np.linspace([150, 186, 226], [214, 226, 238], height)[:, None].astype(np.uint8)
    at = seen[order, :2] / seen[order, 2:] * CAMERA.focal_px * (width / CAMERA.width) + [width / 2, height / 2]
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = (np.floor(at).astype(int) + [dx, dy]).T
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        pixels[y[inside], x[inside]] = colors[order[inside]]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def in_any_frame(rng, points, poses):
    """Move points and poses to a world frame without an up, as mapping leaves them."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    shift = rng.normal(size=3) * 5
    return points @ turn.T + shift, [
        Pose(pose.rotation @ turn.T, pose.translation - pose.rotation @ turn.T @ shift) for pose in poses
    ]


def made_model(name, rng, points, colors, names, poses, *, unregistered=None):
    points, poses = in_any_frame(rng, points, poses)
    return Model(
        name=name,
        images={
            photo: RegisteredImage(
                name=photo,
                cam_from_world=pose,
                camera_id=1,
                observations=int(rng.integers(300, 2400)),
                mean_error_px=float(rng.uniform(0.4, 1.1)),
            )
            for photo, pose in zip(names, poses, strict=True)
        },
        cameras={1: CAMERA},
        points=points,
        colors=colors,
        errors_px=rng.gamma(4, 0.16, len(points)).astype(np.float32),
        track_lengths=np.minimum(2 + rng.geometric(0.35, len(points)), 18).astype(np.int32),
        unregistered=unregistered or {},
    )


def made_run(*, points_per_model=12_000, seed=0):
    rng = np.random.default_rng(seed)
    around = [f"plaza/IMG_{2040 + i}.jpg" for i in range(14)] + [HOSTILE, SCRIPT, QUOTES]
    detail = [f"plaza/detail {i}.jpg" for i in range(5)]
    wall = [f"street/DSC{700 + i:05d}.JPG" for i in range(9)]
    small = [f"museum/vase_{i}.png" for i in range(4)]
    lost = {"plaza/IMG_2090.jpg": "9 matches with registered photos, 15 needed"}
    outliers = {
        "cat.jpg": "no verified match with any photo",
        STRAY: f"matches only {HOSTILE}: too few for a scene",
        "lunch_with_a_rather_long_file_name_that_goes_on.jpg": "no verified match with any photo",
        "street/blurred.jpg": "matches only street/DSC00704.JPG: too few for a scene",
    }
    sets = [
        ("cluster0_model0", statue, around, list(orbit(len(around), 5.0, 2.2)), lost),
        ("cluster0_model1", statue, detail, list(orbit(len(detail), 3.2, 3.0, 0.4, 1.5)), lost),
        ("cluster1_model0", facade, wall, list(walk(len(wall))), {}),
        ("cluster2_model0", statue, small, list(orbit(len(small), 4.0, 2.0, 0.2, 1.2)), {}),
    ]
    models, clouds, thumbnails = [], {}, {}
    for name, shape, names, poses, unregistered in sets:
        points, colors = shape(rng, points_per_model if name != "cluster2_model0" else points_per_model // 10)
        thumbnails |= {p: photograph(points, colors, pose) for p, pose in zip(names, poses, strict=True)}
        models.append(made_model(name, rng, points, colors, names, poses, unregistered=unregistered))
        keep = rng.random(len(points)) < 0.9
        clouds[name] = PointCloud(models[-1].points[keep], colors[keep])
    grey = io.BytesIO()
    Image.new("RGB", (160, 120), (110, 140, 90)).save(grey, "JPEG")
    thumbnails |= dict.fromkeys([*lost, *list(outliers)[:2]], grey.getvalue())
    readable = sorted([*around, *detail, *wall, *small, *lost, *outliers])
    scenes = [[*around, *detail, *lost], wall, small]
    split = Split(
        scenes=tuple(Scene(id=i, images=tuple(sorted(names))) for i, names in enumerate(scenes)),
        outliers=outliers,
        cut_bridges=(("plaza/IMG_2041.jpg", "street/DSC00701.JPG", 22),),
    )
    pairs = made_pairs(rng, readable, [around, detail, wall, small], [(around[3], detail[2], 34), (HOSTILE, *lost, 18)])
    facts = insights(
        models,
        images=[
            ImageRecord(name=name, path=f"/x/{name}", sha256="0" * 64, width=1600, height=1200) for name in readable
        ],
        unreadable=[Unreadable(name="street/DSC00999.JPG", reason="cannot be decoded: image file is truncated")],
        pairs=pairs,
        split=split,
        timings_s={
            "ingest": 1.9, "extract": 14.2, "shortlist": 0.01, "match": 38.4, "split": 0.02, "reconstruct": 21.7,
            "cloud": 2.3,
        },
        reused={"extract": 31, "match": 212},
    )  # fmt: skip
    return SimpleNamespace(insights=facts, models=models, clouds=clouds, thumbnails=thumbnails, pairs=pairs)


def made_pairs(rng, readable, groups, bridges):
    group_of = {name: number for number, group in enumerate(groups) for name in group}
    place = {name: index for group in groups for index, name in enumerate(group)}
    joined = {frozenset((a, b)): inliers for a, b, inliers in bridges}
    pairs = []
    for i, first in enumerate(readable):
        for second in readable[i + 1 :]:
            inliers = joined.get(frozenset((first, second)), 0)
            if first in group_of and group_of[first] == group_of.get(second):
                gap = abs(place[first] - place[second])
                gap = min(gap, len(groups[group_of[first]]) - gap)
                inliers = int(620 * np.exp(-0.55 * gap) * rng.uniform(0.6, 1.2))
                inliers = inliers if inliers >= 15 else 0
            pairs.append(
                PairSummary(
                    first=first,
                    second=second,
                    putative=int(inliers * 1.3) + int(rng.integers(0, 9)),
                    inliers=inliers,
                    configuration="CALIBRATED" if inliers else "UNDEFINED",
                    verified=inliers > 0,
                    reason="" if inliers else f"coarse pass: {rng.integers(0, 3)} matches",
                )
            )
    return pairs


@pytest.fixture(scope="session")
def finished():
    """A run with three clusters, four models, every kind of lost photo and hostile names."""
    return made_run()


@pytest.fixture(scope="session")
def hopeless():
    """A run in which nothing matched."""
    names = ["a.jpg", "b.jpg", HOSTILE]
    pairs = made_pairs(np.random.default_rng(0), sorted(names), [], [])
    facts = insights(
        [],
        images=[ImageRecord(name=n, path=f"/x/{n}", sha256="0" * 64, width=640, height=480) for n in names],
        pairs=pairs,
        split=Split(scenes=(), outliers=dict.fromkeys(names, "no verified match with any photo")),
        timings_s={"ingest": 0.3, "extract": 1.0},
    )
    return SimpleNamespace(insights=facts, models=[], clouds={}, thumbnails={}, pairs=pairs)
