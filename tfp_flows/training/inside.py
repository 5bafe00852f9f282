"""Rows to train on against the columns that the flow was built for: inside the support, whole where it is to be."""

from collections.abc import Sequence

import numpy as np

from tfp_flows.datasets.proposal import MOST_WHOLE
from tfp_flows.datasets.refusals import column_label
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow

__all__ = ["check_inside"]


def check_inside(
    flow: Flow,
    x: np.ndarray,
    columns: Sequence[str] | None = None,
    name: str = "x",
    numbers: np.ndarray | None = None,
) -> None:
    """Raises `InputError` for the first number of rows `[N, D]` that has no log-probability under any weights.

    The sentence names its row, from 1 or by its number in a file, and its column: by its name where `columns` has them.
    """
    labels = None if columns is None else [repr(title) for title in columns]

    def place(row: int, column: int) -> str:
        number = row + 1 if numbers is None else numbers[row]
        below = "" if numbers is None or columns is None else " below the header"
        return f"{name}: row {number}{below}, {column_label(column, labels)} is {x[row, column]:.6g}"

    whole = list(flow.dequantize)
    broken = np.zeros(x.shape, bool)
    broken[:, whole] = x[:, whole] != np.floor(x[:, whole])
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise InputError(f"{place(row, column)}, no whole number; train it without dequantize, or round it.")
    broken[:, whole] = np.abs(x[:, whole]) > MOST_WHOLE
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise InputError(
            f"{place(row, column)}, too large for noise of [0, 1) beside it; take so much off the column that it is at "
            f"most {MOST_WHOLE:.2g}, or train it without dequantize."
        )
    if flow.support is None:
        return
    low, high = (ends.astype(x.dtype) for ends in flow.support)
    is_whole = np.isin(np.arange(x.shape[1]), whole)
    outside = (x < low) | (x > high) | (~is_whole & ((x == low) | (x == high)))
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise InputError(
            f"{place(row, column)}, and its support {_in_words(low[column], high[column], column in whole)}; "
            "leave such rows out, or give it another support."
        )


def _in_words(low: float, high: float, whole: bool) -> str:
    words = ("from {:g}", "up to {:g}", " ") if whole else ("above {:g}", "below {:g}", " and ")
    ends = zip(words, (low, high), strict=False)
    ends = words[2].join(word.format(end) for word, end in ends if np.isfinite(end))
    return f"is whole numbers {ends}" if whole else f"is {ends}, without the ends"
