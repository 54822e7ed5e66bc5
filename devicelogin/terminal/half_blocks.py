"""Which half block stands in which cell of a QR code, so that the seams of fonts do least harm.

In many fonts half blocks end a pixel or two short of the cell's edge, and the background shows there as a thin line. Each
cell of two colours can be drawn in two ways: an upper half in one colour, or a lower half in the other. The line then lies
at the top or at the bottom, and is light or dark; beside modules of its own colour nobody sees it. Where one cannot be
avoided, it must not cross a finder pattern, by which a camera finds the code.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

UPPER, LOWER = "\u2580", "\u2584"

#: How many modules is a finder pattern wide?
_FINDER = 7

#: How much worse is a line across a finder pattern than one elsewhere?
_IN_FINDER = 4


class Cell(NamedTuple):
    """A character and whether its background is dark, its character then light."""

    character: str
    on_dark: bool


class _Way(NamedTuple):
    """One way to draw a cell, and what is seen from the top down: dark or not, and the row of modules it adjoins."""

    cell: Cell
    seen: tuple[tuple[bool, int], ...]


def cells(matrix: list[list[bool]], *, quiet_zone: int) -> list[list[Cell]]:
    """Return the rows of cells for the modules `matrix`, True for dark, an even number of rows of them."""
    side = len(matrix[0]) - 2 * quiet_zone
    columns = []
    for x, column in enumerate(zip(*matrix, strict=True)):
        weights = [_IN_FINDER if _is_in_finder(x - quiet_zone, y - quiet_zone, side) else 1 for y in range(len(column))]
        columns.append(_column(column, weights))
    return [list(row) for row in zip(*columns, strict=True)]


def _is_in_finder(x: int, y: int, side: int) -> bool:
    left, right = 0 <= x < _FINDER, side - _FINDER <= x < side
    top, bottom = 0 <= y < _FINDER, side - _FINDER <= y < side
    return (top and (left or right)) or (bottom and left)


def _column(modules: tuple[bool, ...], weights: list[int]) -> list[Cell]:
    """Return the cells of one column in which light and dark change least often, from the top down."""
    best: list[tuple[int, list[Cell], tuple[bool, int]]] = [(0, [], (False, 0))]
    for y in range(0, len(modules), 2):
        reached = []
        for way in _ways(modules[y], modules[y + 1], y):
            options = [(cost + _changes((last, *way.seen), weights), chosen) for cost, chosen, last in best]
            cost, chosen = min(options, key=lambda option: option[0])
            reached.append((cost, [*chosen, way.cell], way.seen[-1]))
        best = reached
    return min(best, key=lambda option: option[0])[1]


def _ways(upper: bool, lower: bool, y: int) -> list[_Way]:
    """Return the ways to draw the modules `upper` and `lower` of the rows `y` and `y` + 1."""
    if upper is lower:
        return [_Way(Cell(" ", upper), ((upper, y), (upper, y + 1)))]
    # An upper half in its own colour has its seam above, a lower half below; both in the colour of the other module.
    as_upper = _Way(Cell(UPPER, lower), ((lower, y), (upper, y), (lower, y + 1)))
    as_lower = _Way(Cell(LOWER, upper), ((upper, y), (lower, y + 1), (upper, y + 1)))
    return [as_upper, as_lower] if upper else [as_lower, as_upper]


def _changes(seen: tuple[tuple[bool, int], ...], weights: list[int]) -> int:
    """Return how often what is seen changes, each change with the weight of the lighter of its two sides."""
    return sum(
        min(weights[before], weights[after])
        for (was_dark, before), (is_dark, after) in itertools.pairwise(seen)
        if was_dark is not is_dark
    )
