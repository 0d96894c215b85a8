"""View graph → scenes and outliers.

Verified matches decide which photos belong together: embeddings confuse places that look alike. With the IMC2025
metric a wrong merge of two scenes costs far more than a split, so a component is also cut where a few weak pairs
hold together two groups that are each strongly connected.
"""

from collections.abc import Iterable, Mapping, Sequence

from reconflow.config import SplitConfig
from reconflow.core.matches import PairSummary
from reconflow.core.scenes import Scene, Split
from reconflow.core.view_graph import Graph, components, view_graph


def split_scenes(images: Sequence[str], *, pairs: Iterable[PairSummary], config: SplitConfig) -> Split:
    """Divide photos into scenes and outliers by their verified pairs.

    Scenes are numbered by falling size, then by their first name. A group with fewer than ``min_scene_images``
    photos is no scene; its photos are outliers with the reason.
    """
    graph = view_graph(images, pairs)
    groups, cut = _cut_bridges(graph, config) if config.cut_weak_bridges else (components(graph), [])
    groups = sorted(groups, key=lambda group: (-len(group), group))
    scenes = [group for group in groups if len(group) >= config.min_scene_images]
    outliers = {
        name: _why_outlier(name, group, graph)
        for group in groups
        if len(group) < config.min_scene_images
        for name in group
    }
    return Split(
        scenes=tuple(Scene(id=number, images=tuple(group)) for number, group in enumerate(scenes)),
        outliers=dict(sorted(outliers.items())),
        cut_bridges=tuple(sorted(cut)),
    )


def _cut_bridges(graph: Graph, config: SplitConfig) -> tuple[list[list[str]], list[tuple[str, str, int]]]:
    """Cut weak pairs between strong groups.

    Strong groups are the components by pairs of at least ``bridge_inliers``. A photo or a small group that only
    weak pairs attach stays attached to the strong group it shares most inliers with; between two strong groups that
    are scenes of their own, weak pairs are a bridge, kept only where several photos on both sides agree on it:
    chance links a pair of photos, a common scene links many.
    """
    strong = {
        name: {other: inliers for other, inliers in near.items() if inliers >= config.bridge_inliers}
        for name, near in graph.items()
    }
    cores = [group for group in components(strong) if len(group) >= config.min_scene_images]
    core_of = {name: number for number, group in enumerate(cores) for name in group}
    bridges: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for name, core in core_of.items():
        for other in graph[name]:
            if core < (beyond := core_of.get(other, core)):
                bridges.setdefault((core, beyond), []).append((name, other))
    weak = [pair for bridge in bridges.values() if not _many_agree(bridge) for pair in bridge]
    cut = [(min(pair), max(pair), graph[pair[0]][pair[1]]) for pair in weak]
    kept: Graph = {name: dict(near) for name, near in graph.items()}
    for first, second, _ in cut:
        del kept[first][second], kept[second][first]
    _detach_go_betweens(kept, core_of, cut)
    return components(kept), sorted(cut)


def _many_agree(bridge: Sequence[tuple[str, str]]) -> bool:
    """Tell whether at least three photos on either side take part in a bridge, whose pairs name the same side first."""
    near, far = (set(side) for side in zip(*bridge, strict=True))
    return min(len(near), len(far)) >= 3


def _detach_go_betweens(graph: Graph, core_of: Mapping[str, int], cut: list[tuple[str, str, int]]) -> None:
    """Leave a photo outside all cores that touches several of them only with the core it shares most inliers with."""
    for name in sorted(set(graph) - set(core_of)):
        share: dict[int, int] = {}
        for other, inliers in graph[name].items():
            if other in core_of:
                share[core_of[other]] = share.get(core_of[other], 0) + inliers
        if len(share) < 2:
            continue
        home = max(sorted(share), key=lambda number: share[number])
        for other in [o for o in graph[name] if core_of.get(o, home) != home]:
            cut.append((min(name, other), max(name, other), graph[name][other]))
            del graph[name][other], graph[other][name]


def _why_outlier(name: str, group: Sequence[str], graph: Mapping[str, Mapping[str, int]]) -> str:
    if not graph[name]:
        return "no verified match with any photo"
    others = [other for other in group if other != name]
    if not others:
        return "only weak matches, cut as a bridge between scenes"
    return f"matches only {', '.join(others)}: too few for a scene"
