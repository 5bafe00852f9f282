"""Rows that are far from mean zero and standard deviation one, where a flow's layers are at home."""

from collections.abc import Sequence

import numpy as np

__all__ = ["far_column"]

FAR_MEAN, FAR_SPREAD = 1.0, 2.0


def far_column(z: np.ndarray, columns: Sequence[str] | None = None, weights: np.ndarray | None = None) -> str | None:
    """What is to be said of the first of the columns of `z [N, D]` that is far off; None if none is."""
    z = np.asarray(z, np.float64)
    mean, spread = np.average(z, axis=0, weights=weights), z.std(axis=0)
    off = np.flatnonzero((np.abs(mean) > FAR_MEAN) | (spread > FAR_SPREAD) | (spread * FAR_SPREAD < 1))
    if not len(off):
        return None
    i = off[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} has mean {mean[i]:.3g} and standard deviation {spread[i]:.3g}"
