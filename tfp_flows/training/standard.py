"""Rows that are far from mean zero and standard deviation one, where a flow's layers and its floats are at home."""

from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import Standardize
from tfp_flows.flow import Flow

__all__ = ["coarse_column", "coarse_detail", "far_column", "far_rows", "rounded_row"]

FAR_MEAN, FAR_SPREAD = 1.0, 2.0  # of rows that were standardised: farther, the statistics are of other rows
# Steps between float32 numbers, in standard deviations of a column. A law whose narrowest feature has the width w loses
# step^2 / (24 w^2) nats when its samples are rounded: 4e-8 of a normal law, 4e-4 of modes that are 100 times narrower.
COARSE = 1e-3
COARSE_WHOLE = 1 / 8  # and in units of whole numbers, of which noise is rounded, that is rounded down afterwards
DETAIL_ROWS = 2_000  # that are shaken
UNTOUCHED = 2.0  # times as far, rows that nobody standardised are far from where layers work


def far_column(
    z: np.ndarray,
    columns: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    times: float = 1.0,
    circular: Collection[int] = (),
) -> str | None:
    """What is to be said of the first of the columns of `z [N, D]` that is so many times far off; None if none is.

    Circular columns are not: they have no mean, and nobody standardises them.
    """
    z = np.asarray(z, np.float64)
    mean = np.average(z, axis=0, weights=weights)
    spread = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weights))
    most = times * FAR_SPREAD
    is_off = (np.abs(mean) > times * FAR_MEAN) | (spread > most) | (spread * most < 1)
    off = np.flatnonzero(is_off & ~np.isin(np.arange(len(mean)), list(circular)))
    if not len(off):
        return None
    i = off[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} has mean {mean[i]:.3g} and standard deviation {spread[i]:.3g}"


def far_rows(
    flow: Flow, x: np.ndarray | None, context: np.ndarray | None, weights: np.ndarray | None = None
) -> str | None:
    """What is to be said of rows, or of their context, that the statistics of a flow leave far off; None if nothing.

    Rows that nobody standardised may be farther: they may be of a size that layers work at.
    """
    tables = []
    if x is not None and any(isinstance(layer, Standardize) for layer in flow.layers):
        tables.append(("x", flow.standardized(x), flow.columns, flow.circular))
    if context is not None and flow.context_size:
        standardized = flow.standardize_context.standardized(tf.constant(context))
        tables.append(("context", standardized, flow.context_columns, {}))
    times = UNTOUCHED if flow.is_unstandardized else 1.0
    for name, table, columns, circular in tables:
        found = None if table is None else far_column(table.numpy(), columns, weights, times, circular)
        if found:
            return f"{name}: {found}"
    return None


def coarse_column(
    x: np.ndarray,
    columns: Sequence[str] | None = None,
    weights: np.ndarray | None = None,
    whole: Sequence[int] = (),
) -> str | None:
    """What is to be said of the first column of `x [N, D]` whose rows float32 cannot tell apart; None if it can all.

    Of a constant column there is nothing to be told apart.
    """
    x = np.asarray(x, np.float64)
    mean, most = np.average(x, axis=0, weights=weights), np.abs(x).max(axis=0)
    most = np.where(most > 0, most, 1.0)
    spread = most * np.sqrt(np.average((x / most - mean / most) ** 2, axis=0, weights=weights))  # no square overflows
    step = _steps(np.maximum(np.abs(mean), spread))
    least = np.where(np.isin(np.arange(x.shape[1]), list(whole)), COARSE_WHOLE, COARSE * spread)
    found = np.flatnonzero((step > np.maximum(least, COARSE * spread)) & (np.ptp(x, axis=0) > 0))
    if not len(found):
        return None
    i = found[0]
    name = repr(columns[i]) if columns else i + 1
    return f"column {name} is {mean[i]:.3g} give or take {spread[i]:.2g}, where float32 numbers are {step[i]:.3g} apart"


def coarse_detail(flow: Flow, x: np.ndarray, columns: Sequence[str] | None = None) -> str | None:
    """What is to be said of the first column of `x [N, D]` whose difference from those before it float32 loses.

    Whitening takes two columns that are nearly the same to what they have in common and to their difference, and of
    that there may be nothing left in rows of float32, coarse in no column by itself. So this looks at how far rounding
    moves rows after they were whitened.

    Args:
      flow: what they are standardised by.
      x: `[N, D]`, float64, none of its columns a `coarse_column`.
      columns: their names, where they are known.
    """
    x = x[:: -(-len(x) // DETAIL_ROWS)]  # of all: rows may be in order
    z = flow.standardized(x)
    if z is None:
        return None
    z = z.numpy().astype(np.float64)
    shaken = x + _steps(np.abs(x)) * np.random.default_rng(0).uniform(-0.5, 0.5, x.shape)
    moved = np.median(np.abs(flow.standardized(shaken) - z), axis=0)  # circles have jumps
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.nan_to_num(4.0 * moved / z.std(axis=0))  # of a single column, the step between float32 numbers
    step[list(flow.dequantize)] = 0.0  # they are rounded anyway
    found = np.flatnonzero(step > COARSE)
    if not len(found):
        return None
    i = found[0]
    name = repr(columns[i]) if columns else i + 1
    apart = _steps(np.abs(x[:, i]).mean())
    return (
        f"column {name} is a linear function of those before it, give or take {apart / step[i]:.2g}, where float32 "
        f"numbers are {apart:.3g} apart"
    )


def rounded_row(flow: Flow, x: np.ndarray) -> str | None:
    """What is to be said of the first row of `x [N, D]`, float64, that float32 moves, by the statistics of the flow.

    None if there is none, or if the flow was not standardised.
    """
    exact = None if flow.is_unstandardized else flow.standardized(x)
    if exact is None:
        return None
    with np.errstate(over="ignore"):
        rounded = flow.standardized(x.astype(np.float32).astype(np.float64))
    exact, rounded = (np.asarray(z, np.float64) for z in (exact, rounded))
    with np.errstate(invalid="ignore"):
        moved = np.abs(rounded - exact)
    found = np.argwhere(moved > COARSE * np.maximum(1.0, np.abs(exact)))
    if not len(found):
        return None
    row, column = found[0]
    return f"row {row + 1}, column {column + 1} is {moved[row, column]:.2g} standard deviations off in float32"


def _steps(size: np.ndarray) -> np.ndarray:
    """How far float32 numbers of that size are apart."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.nan_to_num(np.spacing(np.float32(size)).astype(np.float64), nan=np.inf)  # none so large
