"""Rows that are far from mean zero and standard deviation one, where a flow's layers are at home."""

from collections.abc import Sequence

import numpy as np

__all__ = ["UNTOUCHED", "far_column"]

FAR_MEAN, FAR_SPREAD = 1.0, 2.0  # of rows that were standardised: farther, the statistics are of other rows
UNTOUCHED = 2.0  # times as far, rows that nobody standardised are far from where layers work


def far_column(
    z: np.ndarray, columns: Sequence[str] | None = None, weights: np.ndarray | None = None, times: float = 1.0
) -> str | None:
    """What is to be said of the first of the columns of `z [N, D]` that is so many times far off; None if none is."""
    z = np.asarray(z, np.float64)
    mean, spread = np.average(z, axis=0, weights=weights), z.std(axis=0)
    most = times * FAR_SPREAD
    off = np.flatnonzero((np.abs(mean) > times * FAR_MEAN) | (spread > most) | (spread * most < 1))
    if not len(off):
        return None
    i = off[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} has mean {mean[i]:.3g} and standard deviation {spread[i]:.3g}"
