"""What a table's columns are, as far as its rows tell: options for a chain, with the reasons for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.datasets.columns import judge_columns
from tfp_flows.datasets.refusals import column_label
from tfp_flows.datasets.table import as_table
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["Proposal", "propose"]

NEAR = 0.05  # of an interval's length: rows this near to both ends speak for it
LONG_TAIL = 1.0  # skewness, that of an exponential law is 2
LARGEST_BYTE = 255.0
MOST_WHOLE = 2.0**40  # beyond it rounding leaves few noises of [0, 1) different


class Proposal(dict[str, Any]):
    """The options `support` and `dequantize` of a chain, where there are any.

    Attributes:
      reasons: by the number of a column, from 0, a sentence for what is proposed for it.
    """

    def __init__(self, options: dict[str, Any], reasons: dict[int, str]) -> None:
        super().__init__(options)
        self.reasons = reasons


def propose(x: Any, *, columns: Sequence[str] | None = None) -> Proposal:
    """Proposes the support of columns, and which of them are whole numbers, from rows.

    | rows of the column | proposed |
    |---|---|
    | whole numbers, coarse beside their spread | `dequantize` |
    | ... that are 0 and 1, or 0 to 255 | and `support` between these |
    | ... none below 0 | and `support` from 0 |
    | between 0 and 1, some within 0.05 of either | `support` (0, 1) |
    | above 0, with a long tail to the right that the logarithm shortens | `support` (0, None) |

    It is a guess from the rows there are: what you know of a column is better. Rows at 0 speak against a support whose
    open end that is.

    Args:
      x: rows `[N, D]`, as `tff.fit` takes them.
      columns: the names of the D columns, for the reasons; by default those of x.

    Raises:
      InputError: if x is no table of finite numbers, or columns are not its names.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> rng = np.random.default_rng(0)
    >>> x = np.stack([rng.gamma(2.0, size=500), rng.poisson(3.0, 500), rng.normal(size=500)], axis=1)
    >>> options = tff.datasets.propose(x, columns=["rain", "sons", "height"])
    >>> options
    {'support': {0: (0.0, None), 1: (0.0, None)}, 'dequantize': [1]}
    >>> print("\\n".join(options.reasons.values()))
    column 'rain' is above 0 with a long tail to the right: support (0, None)
    column 'sons' is whole numbers, none below 0: dequantized, support from 0
    >>> flow = tff.maf(3, **options)
    """
    table = as_table(x)
    rows, names = table.rows, table.columns if columns is None else columns
    if names is not None and (not isinstance(names, (list, tuple)) or len(names) != rows.shape[1]):
        raise InputError(f"columns must be a list of {plural(rows.shape[1], 'name')}; got {in_short(columns)}.")
    labels = None if names is None else [repr(name) for name in names]
    discrete = {finding.column: finding.kind for finding in judge_columns(rows)}
    support, whole, reasons = {}, [], {}
    for i in range(rows.shape[1]):
        column, where = rows[:, i].astype(np.float64), column_label(i, labels)
        if discrete.get(i) == "whole" and np.abs(column).max() <= MOST_WHOLE:
            whole.append(i)
            ends, reason = _of_whole(column)
            reasons[i] = f"{where} is {reason}"
        else:
            ends, reason = _of_continuous(column)
            if ends:
                reasons[i] = f"{where} is {reason}: support ({ends[0]:g}, {ends[1] and format(ends[1], 'g')})"
        if ends:
            support[i] = ends
    options = ({"support": support} if support else {}) | ({"dequantize": whole} if whole else {})
    return Proposal(options, reasons)


def _of_whole(column: np.ndarray) -> tuple[tuple[float, float | None] | None, str]:
    least, most = column.min(), column.max()
    if least == 0 and most in (1.0, LARGEST_BYTE):
        return (0.0, float(most)), f"whole numbers from 0 to {most:g}: dequantized, support between these"
    if least >= 0:
        return (0.0, None), "whole numbers, none below 0: dequantized, support from 0"
    return None, "whole numbers: dequantized"


def _of_continuous(column: np.ndarray) -> tuple[tuple[float, float | None] | None, str]:
    least, most = column.min(), column.max()
    if least <= 0:
        return None, ""
    if most < 1 and least < NEAR and most > 1 - NEAR:
        return (0.0, 1.0), "between 0 and 1, and near to both"
    skewness = _skewness(column)
    if skewness > LONG_TAIL and abs(_skewness(np.log(column))) < skewness and least < np.median(column) / 2:
        return (0.0, None), "above 0 with a long tail to the right"
    return None, ""


def _skewness(values: np.ndarray) -> float:
    """The mean third power of the standardised values; 0 of a constant."""
    values = values / np.abs(values).max()
    centred = values - values.mean()
    spread = centred.std()
    return float(((centred / spread) ** 3).mean()) if spread > 0 else 0.0
