"""Columns whose values come round again: angles, hours of the day, phases."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.ends import BetweenEnds
from tfp_flows.bijectors.rows import as_rows
from tfp_flows.checks import as_dtype, check_positive
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded

__all__ = ["Circle", "wrapped"]


class Circle(BetweenEnds, Recorded, tfp.bijectors.Bijector):
    """Takes each circular dimension from the circle `[-B, B)`, whose ends are one point, to a period of its own.

    ```
    forward   x[i] = low[i] + (high[i] - low[i]) (z[i] + B) / (2 B)      from z[i] modulo 2 B
    inverse   z[i] = 2 B (x[i] - low[i]) / (high[i] - low[i]) - B        from x[i] modulo the period high[i] - low[i]
              x[i] = z[i]                                                in the dimensions that are not circular
    forward_log_det_jacobian(z) = sum{ log((high[i] - low[i]) / (2 B)) : circular i }, a constant
    ```

    Rows may lie in any period: x and x + period are the same point, and have the same inverse. What `forward` gives is
    in [low, high), never at `high`, where rounding would put it there too. An infinite number is no point of the circle
    and has the log-density -inf; NaN stays NaN. There is nothing to train. Rows of float64 keep their digits until they
    are on [-B, B), whatever the layer's dtype, as they do through a first `Standardize`.

    Args:
      low: the lower ends of one period of each of the D dimensions; None where one is not circular.
      high: the upper ends, likewise.
      interval: B, positive.
      dtype: of what the other layers work with.
      name: name of the layer.

    Raises:
      InputError: for ends that are no numbers, no interval, only one of two, or too close together for that dtype.

    Example:

    >>> import tfp_flows as tff
    >>> layer = tff.bijectors.Circle(low=[0.0, None], high=[24.0, None], interval=3.0)
    >>> layer.inverse([[6.0, 6.0], [30.0, 30.0], [-18.0, -18.0]]).numpy().tolist()
    [[-1.5, 6.0], [-1.5, 30.0], [-1.5, -18.0]]
    """

    def __init__(
        self,
        low: Sequence[float | None],
        high: Sequence[float | None],
        *,
        interval: float = 3.0,
        dtype: str = "float32",
        name: str = "circle",
    ) -> None:
        dtype = as_dtype(dtype)
        check_positive(interval=interval)
        self._set_ends(low, high, dtype)
        for i, (a, b) in enumerate(zip(self.low.tolist(), self.high.tolist(), strict=True)):
            if np.isinf(a) != np.isinf(b):
                raise InputError(f"low and high must both be numbers or both None; low[{i}] is {a!r}, high[{i}] {b!r}.")
        super().__init__(forward_min_event_ndims=1, dtype=tf.as_dtype(dtype), name=name)
        self.interval, self.event_size = float(interval), len(self.low)

    def of_any_dtype(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse(x)` and its log-det, `[..., D]` and `[...]`, in the dtype of the rows, whichever that is."""
        x, _, whole = as_rows(x, {})
        p = self._periods(x.dtype)
        is_far = p.is_circular & tf.math.is_inf(x)
        turned = tf.math.floormod((tf.where(is_far, p.low, x) - p.low) - p.low_rest, p.period)
        z = tf.where(p.is_circular, _clipped(turned / p.scale - self.interval, -self.interval, self.interval), x)
        log_det = tf.where(is_far, tf.constant(-np.inf, x.dtype), -p.log_scale)
        return whole(z), whole(tf.reduce_sum(log_det, axis=-1))

    def _forward(self, z: tf.Tensor) -> tf.Tensor:
        z, _, whole = as_rows(z, {})
        p = self._periods(z.dtype)
        x = ((wrapped(z, self.interval) + self.interval) * p.scale + p.low_rest) + p.low
        return whole(tf.where(p.is_circular, _clipped(x, p.least, p.most), z))

    def _forward_log_det_jacobian(self, z: tf.Tensor) -> tf.Tensor:
        return tf.constant(self._periods(z.dtype).log_scale.sum(), z.dtype)

    def _periods(self, dtype: tf.DType) -> "_Periods":
        return _periods_in(tuple(self.low.tolist()), tuple(self.high.tolist()), self.interval, dtype.name)


class _Periods(NamedTuple):
    """What a dtype makes of the periods of D columns: an array `[D]` each."""

    is_circular: np.ndarray
    low: np.ndarray  # 0 where there is none
    low_rest: np.ndarray  # what rounding leaves out: low + low_rest is the end
    period: np.ndarray  # 1 where there is none
    scale: np.ndarray  # of x in z
    log_scale: np.ndarray
    least: np.ndarray  # the first and the last number of [low, high)
    most: np.ndarray


@functools.lru_cache(maxsize=64)
def _periods_in(low: tuple[float, ...], high: tuple[float, ...], interval: float, dtype: str) -> _Periods:
    is_circular, number = np.isfinite(low), np.dtype(dtype).type
    low, high = np.where(is_circular, low, 0.0), np.where(is_circular, high, 1.0)
    least, most = low.astype(dtype), high.astype(dtype)
    least = np.where(least < low, np.nextafter(least, number(np.inf)), least)
    most = np.where(most >= high, np.nextafter(most, number(-np.inf)), most)
    scale = np.where(is_circular, (high - low) / (2 * interval), 1.0)
    numbers = {
        **{"low": low, "low_rest": low - low.astype(dtype), "period": high - low},
        **{"scale": scale, "log_scale": np.log(scale), "least": least, "most": most},
    }
    return _Periods(is_circular, **{name: np.asarray(array, dtype) for name, array in numbers.items()})


def wrapped(z: tf.Tensor, interval: float) -> tf.Tensor:
    """Numbers taken to [-B, B] by whole turns of 2 B; those that are there already keep all their digits."""
    return z - (2 * interval) * tf.round(z / (2 * interval))


def _clipped(x: tf.Tensor, least: Any, most: Any) -> tf.Tensor:
    """Numbers in a range that only rounding takes them out of; to a gradient they are what they were."""
    return x + tf.stop_gradient(tf.clip_by_value(x, least, most) - x)
