"""Arguments, checked: one form of sentence for every refusal. NumPy only."""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.errors import InputError

__all__ = ["check_hidden_units", "check_number", "check_seed", "check_sizes"]


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


def check_seed(seed: int | None) -> None:
    """Raises `InputError` unless it is None or an integer of at least 0."""
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0):
        raise InputError(f"seed must be an integer of at least 0, or None; got {seed!r}.")


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a float if it is a number in `[low, high]`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise InputError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")
    return float(value)
