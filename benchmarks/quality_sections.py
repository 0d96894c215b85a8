"""Sections of the page on what runs and matchers reach."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from markdown import NONE, machine, number, peak, seconds, sentence, table
from quality_schema import Coarse, Combinations, Drift, Pairs, Quality, Scoring, SetResult
from readings import Outcome

_WORTH_TELLING = 1.005
"""Time ratios closer to one than this are a draw."""


def losses(sets: Sequence[SetResult]) -> list[str]:
    """Return one sentence for each figure in which the peer is ahead."""
    return [f"**{result.name}**: {sentence}" for result in sets for sentence in _behind(result)]


def _behind(result: SetResult) -> Iterator[str]:
    ours, peer = result.reconflow, result.peer
    for title, other in (("pycolmap", peer), ("pycolmap with its default of ten", result.peer_defaults)):
        if other is None:
            continue
        for metric, mine, theirs in (
            ("registers more photos", ours.registered, other.registered),
            ("scores higher (official)", ours.official, other.official),
            ("scores higher (strict)", ours.strict, other.strict),
        ):
            if mine is not None and theirs is not None and theirs - mine > 0.005:
                yield f"{title} {metric}: {number(theirs)} against {number(mine)}."
        fewer, more = other.outliers_in_a_scene, ours.outliers_in_a_scene
        if fewer is not None and more is not None and fewer < more:
            yield f"{title} puts fewer strays into a scene: {fewer} against {more}."
    if result.wall_ratio is not None and result.wall_ratio > _WORTH_TELLING:
        yield f"reconflow takes {result.wall_ratio:.2f} times as long."
    if result.cpu_ratio is not None and result.cpu_ratio > _WORTH_TELLING:
        yield f"reconflow takes {result.cpu_ratio:.2f} times the CPU time."
    if peer is not None and (share := peak(ours.readings) / peak(peer.readings)) > _WORTH_TELLING:
        yield f"reconflow's processes together take {share:.2f} times the memory."


def quality(result: Quality) -> str:
    """Whole runs beside plain COLMAP."""
    repeats = len(result.sets[0].reconflow.readings) if result.sets else 0
    sides = [
        (found, side, outcome)
        for found in result.sets
        for side, outcome in (
            ("reconflow", found.reconflow),
            ("pycolmap", found.peer),
            ("pycolmap, models of ten or more", found.peer_defaults),
        )
        if outcome is not None
    ]
    head = [
        "set",
        "side",
        "registered",
        "strays in a scene",
        "official",
        "strict",
        "wall",
        "CPU",
        "peak",
        "ratio wall, CPU",
    ]
    lines = [_side_line(found, side, outcome) for found, side, outcome in sides]
    stages = list(dict.fromkeys(stage for _, _, outcome in sides for stage in outcome.stages_s))
    times = [[found.name, side, *(seconds(o.stages_s.get(stage)) for stage in stages)] for found, side, o in sides]
    behind = losses(result.sets)
    lost = "\n".join(f"- {line}" for line in behind) if behind else "Nothing in this file."
    return "\n".join(
        [
            machine(result.machine) + f" Repeats: {repeats}. Scores in percent. Wall and CPU: medians; peak: all"
            " processes together; ratio: reconflow over pycolmap, median of the turns.",
            "",
            table(head, lines),
            "### Where the peer is ahead\n",
            lost,
            "\n### Seconds by stage, last run\n",
            table(["set", "side", *stages], times),
            f"Told: `{' '.join(result.arguments)}`\n",
        ]
    )


def _side_line(found: SetResult, side: str, outcome: Outcome) -> list[str]:
    ratio = ""
    if side == "reconflow" and found.wall_ratio is not None and found.cpu_ratio is not None:
        ratio = f"{found.wall_ratio:.2f}, {found.cpu_ratio:.2f}"
    return [
        found.name,
        side,
        f"{outcome.registered}/{outcome.images}",
        NONE if outcome.outliers_in_a_scene is None else str(outcome.outliers_in_a_scene),
        NONE if outcome.official is None else f"{outcome.official:.2f}",
        NONE if outcome.strict is None else f"{outcome.strict:.2f}",
        f"{statistics.median(reading.wall_s for reading in outcome.readings):.1f} s",
        f"{statistics.median(reading.cpu_s for reading in outcome.readings):.1f} s",
        f"{peak(outcome.readings):.0f} MB",
        ratio,
    ]


def combinations(result: Combinations) -> str:
    """Scores of combinations, by set."""
    about = "Official / strict score, photos registered, wall seconds; one run each."
    if result.photos_px:
        about += f" Photos reduced to a long edge of {result.photos_px} px."
    label = {id(run): " ".join(filter(None, [run.combination, run.variant])) for run in result.runs}
    names = list(dict.fromkeys(label.values()))
    sets = list(dict.fromkeys(run.set for run in result.runs))
    cells = {(label[id(run)], run.set): _combination_cell(run.outcome) for run in result.runs}
    lines = [[name, *(cells.get((name, one), "not run") for one in sets)] for name in names]
    settings = f" Settings: {', '.join(result.overrides)}." if result.overrides else ""
    return "\n\n".join([machine(result.machine), about + settings, table(["", *sets], lines)])


def _combination_cell(outcome: Outcome) -> str:
    score = (
        "" if outcome.official is None or outcome.strict is None else f"{outcome.official:.1f} / {outcome.strict:.1f}, "
    )
    return f"{score}{outcome.registered}/{outcome.images}, {outcome.readings[0].wall_s:.0f} s"


def scoring(result: Scoring) -> str:
    """The metric beside another implementation."""
    lines = [
        [
            str(row.images),
            row.case,
            f"{row.ours_s:.3f}",
            NONE if row.reference_s is None else f"{row.reference_s:.3f}",
            NONE if row.ratio is None else f"{row.ratio:.1f}",
        ]
        for row in result.rows
    ]
    return f"{machine(result.machine)} One thread; both count the same cameras.\n\n" + table(
        ["images", "submission", "reconflow, CPU s", "reference, CPU s", "reference / reconflow"], lines
    )


def pairs(result: Pairs) -> str:
    """What combinations reach on pairs."""
    angles = list(dict.fromkeys(angle for row in result.rows for angle in row.posed_1deg))
    head = [
        "combination",
        "keypoints",
        "CPU s/photo",
        "CPU ms/pair: match, verify",
        *(f"< 1° at {angle}°" for angle in angles),
    ]
    head += ["true pairs verified", "unrelated verified", "inliers by chance: 99 % under, most (level)"]
    lines = [
        [
            row.combination,
            f"{row.keypoints:.0f}",
            f"{row.cpu_s_per_image:.2f}",
            f"{1e3 * row.match_cpu_s_per_pair:.0f}, {1e3 * row.verify_cpu_s_per_pair:.0f}",
            *(row.posed_1deg.get(angle, NONE) for angle in angles),
            f"{row.verified_true}/{row.true_pairs}",
            f"{row.unrelated_verified}/{row.unrelated_pairs}",
            f"{row.unrelated_99:.0f}, {row.unrelated_most} ({row.acceptance})",
        ]
        for row in result.rows
    ]
    about = (
        f"At most {result.keypoints} keypoints of each extractor, {result.long_edge_px} px; poses from known cameras."
    )
    return f"{machine(result.machine)}\n\n{about}\n\n" + table(head, lines)


def coarse(result: Coarse) -> str:
    """What the coarse pass drops."""
    counts = list(result.rows[0].lost)
    lines = [
        [
            row.extractor,
            f"{row.alike:.2f}" if row.alike else "by ratio",
            f"{row.cpu_ms_per_pair:.1f}",
            *(f"{row.lost[count]}, {row.passed[count]:.0%}" for count in counts),
        ]
        for row in result.rows
    ]
    about = (
        f"{result.keypoints} keypoints of each photo; {result.true_pairs} pairs of a common scene (some share next to"
        f" nothing) and {result.unrelated_pairs} others. By matches needed, which are {result.needed} unless settings"
        " say otherwise: pairs of a common scene that are lost, and the share of the others that goes on."
    )
    head = ["extractor", "alike", "CPU ms/pair", *map(str, counts)]
    return f"{machine(result.machine)}\n\n{about}\n\n" + table(head, lines)


def drift(result: Drift) -> str:
    """How often the drift check is wrong."""
    about = (
        f"Baselines of so many scenes, and one scene more, {result.draws} draws each: how often it is called drifted,"
        " and in brackets how often highly; as it is (wrongly), and after a change (rightly)."
    )
    parts = [machine(result.machine), about]
    for kind in result.kinds:
        changes = list(kind.rows[0].flagged)
        lines = [
            [str(row.baseline), *(f"{row.flagged[c]:.0%} ({row.high[c]:.0%})" for c in changes), _culprits(row.wrongly)]
            for row in kind.rows
        ]
        parts.append(f"### {sentence(kind.name)[:-1]}: {kind.scenes} scenes, {kind.photos} photos")
        parts.append(table(["scenes in the baseline", *changes, "wrongly by"], lines))
    return "\n\n".join(parts)


def _culprits(shares: Mapping[str, float]) -> str:
    told = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in told) or NONE
