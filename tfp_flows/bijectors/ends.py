"""The ends of columns, and what layers of columns between two ends share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.errors import InputError
from tfp_flows.recipe import spend
from tfp_flows.words import plural

__all__ = ["BetweenEnds", "numbers_inside"]


class BetweenEnds:
    """A mixin for layers without variables, whose inverse is `of_any_dtype(x)`: values and log-dets."""

    low: np.ndarray  # float64 `[D]`, -inf where there is none
    high: np.ndarray

    def _set_ends(self, low: Sequence[float | None], high: Sequence[float | None], dtype: str) -> None:
        self.low, self.high = _as_ends("low", low, -np.inf), _as_ends("high", high, np.inf)
        if self.low.shape != self.high.shape:
            raise InputError(f"high must have {plural(len(self.low), 'end')}, as low has; got {len(self.high)}.")
        spend(len(self.low))
        for i, (a, b) in enumerate(zip(self.low.tolist(), self.high.tolist(), strict=True)):
            _check_interval(i, a, b, dtype)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    @property
    def made_with(self) -> dict[str, Any]:
        """The arguments, by name; JSON has no infinity."""
        ends = {"low": self.low, "high": self.high}
        numbers = {name: [end if np.isfinite(end) else None for end in each.tolist()] for name, each in ends.items()}
        return super().made_with | numbers

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self.of_any_dtype(x)[0]

    def _inverse_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self.of_any_dtype(x)[1]


def numbers_inside(low: float, high: float, dtype: str) -> tuple[float, float]:
    """The least and the largest number of a dtype between two ends, which are rounded: none so small that it is 0."""
    number, limits = np.dtype(dtype).type, np.finfo(dtype)
    least, most = number(max(low, -limits.max)), number(min(high, limits.max))
    while np.isfinite(low) and least <= number(low):
        least = np.nextafter(least, number(np.inf)) if abs(least) > limits.tiny or least < 0 else limits.tiny
    while np.isfinite(high) and most >= number(high):
        most = np.nextafter(most, number(-np.inf)) if abs(most) > limits.tiny or most > 0 else -limits.tiny
    return float(least), float(most)


def _check_interval(column: int, low: float, high: float, dtype: str) -> None:
    """Raises `InputError` unless there are numbers between the ends, and their distance is one."""
    given = f"low[{column}] is {low!r} and high[{column}] is {high!r}"
    if not low < high:
        raise InputError(f"low must be below high; {given}.")
    finite = [end for end in (low, high) if np.isfinite(end)]
    limits = np.finfo(dtype)
    if max(map(abs, finite), default=0.0) > float(limits.max) / 4:  # a float32 would have the ends cast to it
        raise InputError(f"low and high must be at most {limits.max / 4:.3g} in size in {dtype}; {given}.")
    least, most = numbers_inside(low, high, dtype)
    if not least < most:
        raise InputError(f"low and high must leave room for numbers of {dtype} between them; {given}.")


def _as_ends(name: str, ends: Any, missing: float) -> np.ndarray:
    """The ends of D columns as float64, with an infinity where there is none."""
    listed = ends.tolist() if hasattr(ends, "tolist") else ends
    if not isinstance(listed, (list, tuple)) or not listed:
        raise InputError(f"{name} must be a list of numbers, one for each dimension, None where open; got {ends!r}.")
    listed = [missing if end is None else end for end in listed]
    if any(isinstance(end, bool) or not isinstance(end, (int, float, np.number)) or end != end for end in listed):
        raise InputError(f"{name} must be a list of numbers, one for each dimension, None where open; got {ends!r}.")
    return np.array(listed, np.float64)
