"""The verified pairs that hold a scene together."""

from collections.abc import Iterator, Sequence

from reconflow.core.view_graph import Graph
from reconflow.stages.insights.facts import WeakLink

_LINKS_PER_SCENE = 5


def weak_links(graph: Graph, names: Sequence[str], *, cluster: int) -> list[WeakLink]:
    """Return the pairs a scene hangs on: those without which it falls apart, else its bottleneck."""
    members = set(names)
    inside = {name: {other: n for other, n in graph.get(name, {}).items() if other in members} for name in names}
    found = sorted(_bridges(inside), key=lambda link: (link[2] == 1, inside[link[0]][link[1]], link))
    if found:
        only_link, found = True, found[:_LINKS_PER_SCENE]
    else:
        only_link, found = False, _bottleneck(inside)
    return [
        WeakLink(first=a, second=b, cluster=cluster, inliers=inside[a][b], severs=severed, only_link=only_link)
        for a, b, severed in found
    ]


def _bridges(graph: Graph) -> Iterator[tuple[str, str, int]]:
    """Yield each pair whose removal disconnects what it connects, with the photos on its smaller side.

    Tarjan's low-link: in a depth-first tree every other edge leads back to an ancestor, so the edge above a node is
    a bridge exactly if no edge from below it leads above it (Tarjan, "A note on finding the bridges of a graph", 1974).
    """
    visited: set[str] = set()
    for root in sorted(graph):
        parents = {} if root in visited else _depth_first(graph, root)
        visited.update(parents)
        order = {name: number for number, name in enumerate(parents)}
        low, size = dict(order), dict.fromkeys(order, 1)
        for name in reversed(list(parents)):
            low[name] = min([low[name], *(order[other] for other in graph[name] if other != parents[name])])
            parent = parents[name]
            if parent is not None:
                low[parent] = min(low[parent], low[name])
                size[parent] += size[name]
                if low[name] == order[name]:
                    yield min(name, parent), max(name, parent), min(size[name], len(order) - size[name])


def _depth_first(graph: Graph, root: str) -> dict[str, str | None]:
    """Return node → parent of a depth-first tree, in the order of the visits."""
    parents: dict[str, str | None] = {}
    waiting: list[tuple[str, str | None]] = [(root, None)]
    while waiting:
        name, parent = waiting.pop()
        if name not in parents:
            parents[name] = parent
            waiting += [(other, name) for other in sorted(graph[name], reverse=True) if other not in parents]
    return parents


def _bottleneck(graph: Graph) -> list[tuple[str, str, int]]:
    """Return the weakest edge of the maximum spanning tree (Kruskal), with the photos on its smaller side, if any."""
    group = {name: {name} for name in graph}
    edges = sorted((-n, a, b) for a, near in graph.items() for b, n in near.items() if a < b)
    last: list[tuple[str, str, int]] = []
    for _, a, b in edges:
        small, large = sorted((group[a], group[b]), key=len)
        if small is not large:
            last = [(a, b, len(small))]
            large |= small
            group.update(dict.fromkeys(small, large))
    return last
