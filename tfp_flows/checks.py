"""Arguments, checked: one form of sentence for every refusal. NumPy only."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.errors import InputError

__all__ = ["check_hidden_units", "check_number", "check_part", "check_positive", "check_seed", "check_sizes", "given"]


def check_sizes(**sizes: int) -> None:
    """Raises `InputError` unless every argument is a positive integer, or zero for `context_size`."""
    for name, size in sizes.items():
        least = 0 if name == "context_size" else 1
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < least:
            raise InputError(f"{name} must be an integer of at least {least}; got {size!r}.")


def check_hidden_units(hidden_units: Sequence[int]) -> None:
    """Raises `InputError` unless it is a list of positive integers."""
    if not isinstance(hidden_units, (list, tuple)):
        raise InputError(f"hidden_units must be a list of integers; got {hidden_units!r}.")
    for size in hidden_units:
        check_sizes(hidden_units=size)


def check_seed(seed: int) -> None:
    """Raises `InputError` unless it is an integer from 0 to 2^32 - 1, as Keras' and NumPy's are."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be an integer from 0 to {2**32 - 1}; got {seed!r}.")


def check_positive(**values: float) -> None:
    """Raises `InputError` unless every argument is a finite number above 0."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < float("inf"):
            raise InputError(f"{name} must be a number above 0; got {value!r}.")


def check_part(**values: float) -> None:
    """Raises `InputError` unless every argument is a part of a whole that leaves something of it."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
            raise InputError(f"{name} must be at least 0 and below 1; got {value!r}.")


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a float if it is a number in `[low, high]`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")
    return float(value)


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None: those that are checked."""
    return {name: value for name, value in options.items() if value is not None}
