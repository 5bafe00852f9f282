"""The support of columns as chains take it, `{column: (low, high)}`, and the two lists of ends that it stands for."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["Ends", "check_ends", "column_number", "ends_of", "written"]

LARGEST = np.finfo(np.float64).max

Ends: TypeAlias = Mapping[int, tuple[float | None, float | None]]


def ends_of(support: Any, whole: Sequence[int], event_size: int) -> tuple[list, list] | None:
    """The D lower and the D upper ends, None where open; None in place of both where no column has any.

    Of whole numbers, whose ends are the least and the largest of them, they lie one farther out than these and their
    noise reach: x + u has a density at its ends, where the logarithm of x + u would have a long tail.

    Raises:
      InputError: for a column that is not there, or ends that are none.
    """
    if support is None:
        return None
    if not isinstance(support, Mapping):
        raise InputError(f"support must be a dict, as in {{0: (0.0, None)}}; got {in_short(support)}.")
    low, high = [None] * event_size, [None] * event_size
    columns = [column_number("support", key, event_size) for key in support]
    if len(set(columns)) < len(columns):
        raise InputError(f"support must have one pair for each column; got {in_short(list(support))}.")
    for column, (key, ends) in zip(columns, support.items(), strict=True):
        low[column], high[column] = check_ends(key, ends, column in whole)
    return None if low == high == [None] * event_size else (low, high)


def check_ends(key: Any, ends: Any, is_whole: bool) -> tuple[float | None, float | None]:
    """The ends of a column for `Support`; `InputError`, naming `key`, unless they are a pair."""
    pair = ends.tolist() if hasattr(ends, "tolist") else ends
    got = f"got {in_short(ends)} for {in_short(key)}"
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(_is_end(end) for end in pair):
        raise InputError(f"support must be a pair (low, high) for each column, None where open; {got}.")
    low, high = pair
    if low == np.inf or high == -np.inf:
        raise InputError(f"support must have its low end below the high one; {got}.")
    low, high = map(_or_none, pair)
    if is_whole and any(end is not None and end != np.floor(end) for end in (low, high)):
        raise InputError(f"support must have whole ends where a column is of whole numbers; {got}.")
    if low is not None and high is not None and not low < high:
        raise InputError(f"support must have its low end below the high one; {got}.")
    room = (1.0, 2.0) if is_whole else (0.0, 0.0)
    return None if low is None else low - room[0], None if high is None else high + room[1]


def written(support: Ends | None) -> dict[str, list[float | None]] | None:
    """A support that `ends_of` takes, in types that JSON has."""
    return support and {str(column): [_or_none(end) for end in pair] for column, pair in support.items()}


def _or_none(end: float | None) -> float | None:
    return None if end is None or np.isinf(end) else float(end)


def column_number(argument: str, key: Any, event_size: int) -> int:
    """A column by its number from 0; JSON has numbers that are keys as texts."""
    number = int(key) if isinstance(key, str) and key.isdecimal() else key
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < event_size:
        known = f"their numbers from 0 to {event_size - 1}"
        raise InputError(f"{argument} must name columns by {known}; got {in_short(key)}.")
    return int(number)


def _is_end(end: Any) -> bool:
    is_number = isinstance(end, (int, float, np.number)) and not isinstance(end, bool)
    return end is None or (is_number and end == end and (abs(end) <= LARGEST or end in (-np.inf, np.inf)))
