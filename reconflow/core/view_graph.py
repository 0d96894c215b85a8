"""The view graph: photos joined by their verified pairs."""

from collections import deque
from collections.abc import Iterable, Mapping

from reconflow.core.matches import PairSummary

Graph = dict[str, dict[str, int]]
"""Photo → neighbour → inliers of the verified pair, in both directions."""


def view_graph(images: Iterable[str], pairs: Iterable[PairSummary]) -> Graph:
    """Return the graph of verified pairs over ``images``; pairs with any other photo are passed over."""
    graph: Graph = {name: {} for name in sorted(set(images))}
    for pair in pairs:
        if pair.verified and pair.first in graph and pair.second in graph and pair.first != pair.second:
            graph[pair.first][pair.second] = graph[pair.second][pair.first] = pair.inliers
    return graph


def components(graph: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Return the connected components, each sorted, in order of their first name."""
    seen: set[str] = set()
    found: list[list[str]] = []
    for start in sorted(graph):
        if start not in seen:
            group, queue = {start}, deque([start])
            while queue:
                fresh = [name for name in graph[queue.popleft()] if name not in group]
                group.update(fresh)
                queue.extend(fresh)
            seen |= group
            found.append(sorted(group))
    return found
