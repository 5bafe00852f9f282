"""Columns of a table that other columns determine, and that so have no density beside them.

Looked for in a few rows, and confirmed in all of a sample: a linear combination of others, by QR; the same order as
another's, or the reverse; and any other function of another, by how well the cubic through its two neighbours on
either side, in the order of the other, gives each value:

```
y |      o             between the neighbours of an exact function the cubic is off by h^4 and rounding,
  |   o     x  o       of a column with noise in it by the noise, however many rows there are
  | o             o
  +---------------- the other column, sorted
```
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Dependence", "dependences", "standardised"]

_FEW = 2_000  # rows, or 5 a column, that dependencies are looked for in
_DEPENDENT = 1e-6  # of a column's spread unexplained: what float32 cannot tell from nothing
_PERHAPS = 0.02  # off the cubic in the few rows: of a function that turns often, all of them leave less
_EXACTLY = 1e-4  # in all of them: noise of 1e-6 of the spread
_ROUGHLY = 1e-3  # where the order is the same as well
_TELLING = 2_000  # rows whose order is no chance: noise of 1 / rows^2 would change it
_CLOSE = 4.0  # times the rounding of a number
_FEWEST = 20  # rows that can show a function
_CELLS = 100_000  # rows times columns that functions are looked for in, before all of the sample confirms them
_MANY = 200  # columns; among more, functions that turn are not looked for


class Dependence(NamedTuple):
    """A column that others determine, all numbered from 0, and how: it is "a linear function" of theirs."""

    column: int
    others: Sequence[int]
    how: str


def dependences(rows: np.ndarray) -> Iterator[Dependence]:
    """Each column of `rows [n, D]` that earlier ones determine, or any other one by itself."""
    width = rows.shape[1]
    few = min(len(rows), max(_FEW, 5 * width))
    part = rows[np.sort(np.random.default_rng(1).choice(len(rows), few, replace=False))]
    z = np.stack([standardised(_scaled(column), None)[0] for column in part.T], axis=1)
    found: set[int] = set()
    for column, others in _combinations(z):
        if _confirmed(rows, column, others):
            found.add(column)
            yield Dependence(column, others, "a linear function")
    for column, other, way in _same_order(rows, part):
        if column not in found and (len(rows) >= _TELLING or _is_function(rows, other, column, _ROUGHLY)):
            found.add(column)
            yield Dependence(column, [other], f"a {way} function")
    for column, other in _functions(rows, part, found):
        yield Dependence(column, [other], "a function")


def standardised(column: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The column with mean 0 and standard deviation 1, and its standard deviation before."""
    share = None if weight is None else np.asarray(weight[weight > 0], np.float64) / float(weight.max())
    centred = column - np.average(column, weights=share)
    spread = float(np.sqrt(np.average(centred**2, weights=share)))
    return (centred / spread if spread > 0 else centred), spread


def _scaled(column: np.ndarray) -> np.ndarray:
    column = column.astype(np.float64)
    return column / (np.abs(column).max() or 1.0)


def _combinations(z: np.ndarray) -> Iterator[tuple[int, list[int]]]:
    """Each column that is a linear combination of those before it, and of which: QR leaves nothing of it."""
    n, width = z.shape
    if n < width + 2 or width == 1:
        return
    try:  # the usual case: if all eigenvalues are larger than this, nothing depends, and Cholesky tells fastest
        np.linalg.cholesky(z.T @ z / n - 10 * _DEPENDENT**2 * np.eye(width))
        return
    except np.linalg.LinAlgError:
        pass
    r = np.linalg.qr(z, mode="r") / np.sqrt(n)
    independent: list[int] = []
    for j in range(width):
        if not z[:, j].any():
            continue
        if independent and abs(r[j, j]) < _DEPENDENT:
            weights = np.linalg.lstsq(z[:, independent], z[:, j], rcond=None)[0]
            others = [i for i, w in zip(independent, weights, strict=True) if abs(w) > 1e-4]
            if others:
                yield j, others
        else:
            independent.append(j)


def _confirmed(rows: np.ndarray, column: int, others: list[int]) -> bool:
    """Whether the linear combination holds in all rows."""
    y = standardised(_scaled(rows[:, column]), None)[0]
    z = np.stack([standardised(_scaled(rows[:, i]), None)[0] for i in others], axis=1)
    weights = np.linalg.solve(z.T @ z, z.T @ y)
    return bool(np.std(y - z @ weights) < 3 * _DEPENDENT)


def _same_order(rows: np.ndarray, part: np.ndarray) -> Iterator[tuple[int, int, str]]:
    """Each column that ranks the rows as an earlier one does, or the other way round."""
    known: dict[bytes, tuple[int, str]] = {}
    for i, column in enumerate(part.T):
        ranks, counts = _ranks(column)
        if len(counts) < 8 and np.sort(counts)[:-1].sum() < 20:
            continue  # too few different values: chance
        other, way = known.get(ranks.tobytes(), (None, ""))
        if other is None:
            known[ranks.tobytes()] = (i, "rising")
            known.setdefault((len(counts) - 1 - ranks).tobytes(), (i, "falling"))
            continue
        mine, theirs = _ranks(rows[:, i])[0], _ranks(rows[:, other])[0]
        if (mine == (theirs if way == "rising" else theirs.max() - theirs)).all():
            yield i, other, way


def _ranks(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, ranks, counts = np.unique(column, return_inverse=True, return_counts=True)
    return ranks, counts


def _functions(rows: np.ndarray, part: np.ndarray, found: set[int]) -> Iterator[tuple[int, int]]:
    """Each column that is a function of one other, unless either was `found` to depend already."""
    free = [i for i in range(rows.shape[1]) if i not in found and len(np.unique(part[:, i])) > 0.7 * len(part)]
    if len(free) > _MANY:
        return
    part = part[: max(10 * _FEWEST, _CELLS // max(1, len(free)))]
    for other in free:
        off = _off_cubic(part[:, other], part[:, free])
        for column in (free[i] for i in np.flatnonzero(off < _PERHAPS)):
            if column != other and found.isdisjoint((column, other)) and _is_function(rows, other, column, _EXACTLY):
                found.add(column)
                yield column, other


def _is_function(rows: np.ndarray, other: int, column: int, most: float) -> bool:
    """Whether a column is a function of the other, to `most` of its nearby differences."""
    return bool(_off_cubic(rows[:, other], rows[:, [column]])[0] < most)


def _off_cubic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each column of y is from cubics through its neighbours in the order of x, beyond its rounding.

    In parts of how much y differs between rows that are near in that order; the median of the rows. Not of the spread,
    which a tail may own: most rows would be close beside it.
    """
    x, order = np.unique(x, return_index=True)
    y = y[order]
    if len(x) < _FEWEST:
        return np.full(y.shape[1], np.inf)
    steps = np.spacing(np.abs(x)).astype(np.float64), np.spacing(np.abs(y)).astype(np.float64)
    x, y = x.astype(np.float64), y.astype(np.float64)
    near = max(2, len(x) // 200)
    inner = slice(near, len(x) - near)
    wide = np.abs(y[2 * near :] - y[: -2 * near])
    rounding = _CLOSE * (steps[1][inner] + wide * (steps[0][inner] / (x[2 * near :] - x[: -2 * near]))[:, None])
    at = (-2, -1, 1, 2)
    nodes = [x[near + i : len(x) - near + i] for i in at]
    cubic = 0.0
    for i, node in zip(at, nodes, strict=True):  # Lagrange's form
        weight = np.prod([(x[inner] - other) / (node - other) for other in nodes if other is not node], axis=0)
        cubic = cubic + weight[:, None] * y[near + i : len(x) - near + i]
    off = np.maximum(np.abs(cubic - y[inner]) - rounding, 0.0) / np.maximum(wide, np.finfo(float).tiny)
    return np.median(np.where(np.isfinite(off), off, np.inf), axis=0)
