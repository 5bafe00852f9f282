"""Where the mass of rows is: counted on a grid, smoothed, and the levels that hold a share of it.

side    one column: its frame, the bins of its histogram, the cells of its grid
M, N    cells of two sides; a picture of mass is [M, N], and sums to the share of the rows that are in both frames
"""

from typing import Any, NamedTuple

import numpy as np

from tfp_flows.flow import Flow

__all__ = ["Side", "levels_of", "mass_of", "side_of", "spread"]

CELLS = 100  # along a side of numbers that are not whole
MOST_WHOLE = 60  # bins of one that can be told apart
TAILS = 0.002  # of the rows at either end, which may be outside the frame where they are far
MARGIN = 0.06
NARROWER = 0.75  # than Scott's rule, which is one for a Gaussian, and would blur two modes into one


class Side(NamedTuple):
    """A column as an axis.

    Attributes:
      frame: its ends.
      bins: edges of a histogram's bins, of one whole number each where there are few.
      cells: edges of the grid's cells, of equal width.
      steps: whether every cell is a whole number, of which none is smoothed into the next.
      comes_round: whether the frame is a whole period of a circle.
    """

    frame: tuple[float, float]
    bins: np.ndarray
    cells: np.ndarray
    steps: bool
    comes_round: bool


def side_of(flow: Flow, column: int, values: np.ndarray, limits: tuple[float, float] | None, rows: int) -> Side:
    """The axis of a column, around its `values [N]`, or with the given limits; finer where there are more `rows`."""
    is_whole = column in flow.dequantize
    frame = limits or flow.circular.get(column) or _around(values, *_ends(flow, column), is_whole)
    comes_round = tuple(frame) == tuple(flow.circular.get(column, ()))
    if is_whole:
        low, high = np.ceil(frame[0]), np.floor(frame[1]) - comes_round  # the end of a period is its beginning
        high = max(low, high)
        width = -(-(high - low + 1) // MOST_WHOLE)
        edges = np.arange(low, high + width + 1, width) - 0.5
        return Side((edges[0], edges[-1]), edges, edges, width == 1, comes_round)
    count = int(np.clip(round(2 * rows ** (1 / 3)), 12, 48))
    return Side(frame, np.linspace(*frame, count + 1), np.linspace(*frame, CELLS + 1), False, comes_round)


def spread(side: Side, values: np.ndarray, rows: int) -> np.ndarray:
    """What smooths mass along a side, as a matrix `[M, M]`: a Gaussian, narrower than Scott's rule for two columns.

    It goes round a circle, and is reflected at the ends of any other frame, so that no mass is lost.
    """
    count = len(side.cells) - 1
    if side.steps:
        return np.eye(count)
    low, high = np.quantile(values, [0.25, 0.75])
    deviation = min(values.std(), (high - low) / 1.35) if high > low else values.std()
    width = np.clip(NARROWER * deviation * rows ** (-1 / 6) / (side.cells[1] - side.cells[0]), 0.8, 10.0)
    at = np.arange(count)
    images = [at - count, at, at + count] if side.comes_round else [-1 - at, at, 2 * count - 1 - at]
    matrix = np.exp(-0.5 * ((at[:, None] - np.array(images)[:, None]) / width) ** 2).sum(axis=0)
    return matrix / matrix.sum(axis=0)


def mass_of(x: np.ndarray, sides: tuple[Side, Side], spreads: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The share of the rows `x [N, 2]` in each cell, smoothed: `[M, N]`."""
    counts, _, _ = np.histogram2d(x[:, 0], x[:, 1], bins=[side.cells for side in sides])
    return spreads[0] @ (counts / len(x)) @ spreads[1].T


def levels_of(mass: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    """For each share, the level above which the cells hold it together: zero where all of them hold less."""
    falling = np.append(np.sort(mass, axis=None)[::-1], 0.0)
    held = np.cumsum(falling)
    at = [int(np.searchsorted(held, share)) for share in shares]
    return [float(falling[i] + falling[i + 1]) / 2 if i + 1 < len(falling) else 0.0 for i in at]


def _ends(flow: Flow, column: int) -> tuple[float, float]:
    """The ends of a column's support."""
    low, high = flow.support or (np.full(column + 1, -np.inf), np.full(column + 1, np.inf))
    return float(low[column]), float(high[column])


def _around(values: np.ndarray, least: float, most: float, is_whole: bool) -> tuple[Any, Any]:
    """A frame that holds nearly all of the values; it begins and ends with the support, where that is near."""
    low, high = np.quantile(values, [TAILS, 1 - TAILS])
    size = high - low if high > low else max(1.0, abs(low))
    pad = 0.0 if is_whole else MARGIN * size
    low, high = max(values.min(), low - 2 * pad) - pad, min(values.max(), high + 2 * pad) + pad
    if is_whole:
        low, high = np.floor(low), np.ceil(high)
    low = least if low - size < least else low
    high = most if high + size > most else high
    return float(low), float(high)
