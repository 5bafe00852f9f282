"""Rows that are far from mean zero and standard deviation one, where a flow's layers and its floats are at home."""

from collections.abc import Sequence

import numpy as np

__all__ = ["UNTOUCHED", "coarse_column", "far_column"]

FAR_MEAN, FAR_SPREAD = 1.0, 2.0  # of rows that were standardised: farther, the statistics are of other rows
# Steps between float32 numbers, in standard deviations of a column. A law whose narrowest feature has the width w loses
# step^2 / (24 w^2) nats when its samples are rounded: 4e-8 of a normal law, 4e-4 of modes that are 100 times narrower.
COARSE = 1e-3
COARSE_WHOLE = 1 / 8  # and in units of whole numbers, of which noise is rounded, that is rounded down afterwards
UNTOUCHED = 2.0  # times as far, rows that nobody standardised are far from where layers work


def far_column(
    z: np.ndarray, columns: Sequence[str] | None = None, weights: np.ndarray | None = None, times: float = 1.0
) -> str | None:
    """What is to be said of the first of the columns of `z [N, D]` that is so many times far off; None if none is."""
    z = np.asarray(z, np.float64)
    mean = np.average(z, axis=0, weights=weights)
    spread = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weights))
    most = times * FAR_SPREAD
    off = np.flatnonzero((np.abs(mean) > times * FAR_MEAN) | (spread > most) | (spread * most < 1))
    if not len(off):
        return None
    i = off[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} has mean {mean[i]:.3g} and standard deviation {spread[i]:.3g}"


def coarse_column(
    x: np.ndarray,
    columns: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    whole: Sequence[int] = (),
) -> str | None:
    """What is to be said of the first column of `x [N, D]` whose rows float32 cannot tell apart; None if it can all."""
    x = np.asarray(x, np.float64)
    mean, most = np.average(x, axis=0, weights=weights), np.abs(x).max(axis=0)
    most = np.where(most > 0, most, 1.0)
    spread = most * np.sqrt(np.average((x / most - mean / most) ** 2, axis=0, weights=weights))  # no square overflows
    size = np.maximum(np.abs(mean), spread)
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.nan_to_num(np.spacing(size.astype(np.float32)).astype(np.float64), nan=np.inf)  # none so large
    least = np.where(np.isin(np.arange(x.shape[1]), list(whole)), COARSE_WHOLE, COARSE * spread)
    found = np.flatnonzero(step > np.maximum(least, COARSE * spread))
    if not len(found):
        return None
    i = found[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} is {mean[i]:.3g} give or take {spread[i]:.2g}, where float32 numbers are {step[i]:.3g} apart"
