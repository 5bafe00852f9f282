"""Stratified batches: each has rows from everywhere, so that its gradient is nearer to that of all rows."""

from collections.abc import Sequence

import numpy as np

__all__ = ["places_on_a_curve", "stratified"]

AXES = 8  # columns that a curve can tell apart: of more, principal components
CUTS = 16  # of the curve into halves, and so on: more pieces than a batch has rows
FEW = 20_000  # rows that principal components are computed from


def places_on_a_curve(*tables: np.ndarray | None) -> np.ndarray:
    """Where each row is on a curve through all of them that keeps neighbours together, `[N]`, integers.

    It is Morton's: the rows are cut into halves along one column after the other, and a place says in binary on which
    side of each cut the row is. Cuts go along the columns in turn; of many columns, along the principal component that
    is widest after those before.

    Args:
      tables: `[N, D]` each, side by side, or None for none.
    """
    columns = [column for table in tables if table is not None for column in table.T]
    columns, width = (columns, np.ones(len(columns))) if len(columns) <= AXES else _principal(columns)
    count = len(columns[0])
    cuts = [0] * len(columns)
    ranks: dict[int, np.ndarray] = {}
    place = np.zeros(count, np.uint16)
    for _ in range(CUTS):
        axis = int(np.argmax(width))
        if axis not in ranks:
            ranks[axis] = np.empty(count, np.uint16)
            ranks[axis][np.argsort(columns[axis])] = (np.arange(count) << CUTS) // count
        cuts[axis] += 1
        width[axis] /= 2
        place = place << 1 | (ranks[axis] >> (CUTS - cuts[axis])) & 1
    return place


def stratified(place: np.ndarray, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """An order of N rows, by their places on a curve, of batches with one row of each of `batch_size` strata.

    A stratum is N / batch_size neighbours on the curve, of which each batch has one at random: every row is in one
    batch, and the mean gradient of a batch is still an unbiased estimate of that of all rows, with less noise. Cochran,
    Sampling Techniques, 1977, chapter 5; for stochastic gradients Zhao and Zhang, arXiv:1405.3080.
    """
    strata = np.argsort(place, kind="stable").reshape(batch_size, -1)
    return rng.permuted(strata, axis=1).T.ravel()


def _principal(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components of standardised columns, `[AXES, N]`, and their standard deviations."""
    columns = np.array(columns, np.float64)
    largest = np.abs(columns).max(axis=1, keepdims=True)
    columns /= np.where(largest > 0, largest, 1.0)  # no square overflows
    few = columns[:, :FEW]
    loc, scale = few.mean(axis=1, keepdims=True), few.std(axis=1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    variances, axes = np.linalg.eigh(np.cov((few - loc) / scale))
    first = slice(None, -AXES - 1, -1)
    return axes[:, first].T @ ((columns - loc) / scale), np.sqrt(np.maximum(variances[first], 0.0))
