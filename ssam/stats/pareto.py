"""The Pareto front of cost and value."""

from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def front(items: Iterable[Item], cost: Callable[[Item], float], value: Callable[[Item], float]) -> list[Item]:
    """Return the items that no other equals or beats in value without costing more, the cheapest first; of equals the first.

    >>> front([(2, 80), (1, 70), (3, 79)], cost=lambda item: item[0], value=lambda item: item[1])
    [(1, 70), (2, 80)]
    """
    best: list[Item] = []
    for item in sorted(items, key=lambda item: (cost(item), -value(item))):
        if not best or value(item) > value(best[-1]):
            best.append(item)
    return best
