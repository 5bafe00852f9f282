"""Columns that are not the whole line: intervals and half-lines, taken to the line and back."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.ends import BetweenEnds, numbers_inside
from tfp_flows.bijectors.rows import as_rows
from tfp_flows.checks import as_dtype
from tfp_flows.recipe import Recorded

__all__ = ["Support"]


class Support(BetweenEnds, Recorded, tfp.bijectors.Bijector):
    """Takes each dimension from the whole line to an interval of its own, whose ends are open.

    ```
    x[i] = low[i] + (high[i] - low[i]) sigmoid(z[i])      between two ends
    x[i] = low[i] + exp(z[i])                             above low
    x[i] = high[i] - exp(z[i])                            below high
    x[i] = z[i]                                           where both ends are open to infinity
    forward_log_det_jacobian(z) = sum{ log|dx[i] / dz[i]| : i=1...D }
    ```

    A row that has a number at an end or beyond it has the log-density -inf, and its inverse is that of the nearest
    number inside; NaN stays NaN. What `forward` gives is always inside, where rounding would put it on an end too.
    There is nothing to train. Rows of float64 keep their digits until the logarithm of their distance from the ends is
    taken, whatever the layer's dtype, as they do through a first `Standardize`.

    Args:
      low: the D lower ends, a list or an array; None or -inf where there is none.
      high: the D upper ends; None or inf where there is none.
      dtype: of what the other layers work with.
      name: name of the layer.

    Raises:
      InputError: for ends that are no numbers, no interval, or so close that no number of that dtype lies between.

    Example:

    >>> import tfp_flows as tff
    >>> layer = tff.bijectors.Support(low=[0.0, 0.0, None], high=[1.0, None, None])
    >>> layer.forward([[0.0, 0.0, 5.0]]).numpy().tolist()
    [[0.5, 1.0, 5.0]]
    >>> layer.inverse_log_det_jacobian([[2.0, 1.0, 5.0], [0.5, 1.0, 5.0]], event_ndims=1).numpy().round(2)
    array([-inf, 1.39], dtype=float32)
    """

    def __init__(
        self,
        low: Sequence[float | None],
        high: Sequence[float | None],
        *,
        dtype: str = "float32",
        name: str = "support",
    ) -> None:
        dtype = as_dtype(dtype)
        self._set_ends(low, high, dtype)
        super().__init__(forward_min_event_ndims=1, dtype=tf.as_dtype(dtype), name=name)

    def of_any_dtype(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse(x)` and its log-det, `[..., D]` and `[...]`, in the dtype of the rows, whichever that is."""
        x, _, whole = as_rows(x, {})
        ends = self._ends(x.dtype)
        unknown = tf.math.is_nan(x)
        inside = tf.where((x >= ends.least) | unknown | ends.is_open, x, ends.least)
        inside = tf.where((inside <= ends.most) | unknown | ends.is_open, inside, ends.most)
        above = tf.where(ends.has_low, (inside - ends.low) - ends.low_rest, 1.0)
        below = tf.where(ends.has_high, (ends.high - inside) + ends.high_rest, 1.0)
        log_above, log_below = tf.math.log(above), tf.math.log(below)
        z = tf.where(ends.is_open, x, log_above + ends.sign_below * log_below)
        log_det = ends.log_width - log_above - log_below
        log_det = tf.where((inside == x) | unknown, log_det, tf.constant(-np.inf, x.dtype))
        return whole(z), whole(tf.reduce_sum(log_det, axis=-1))

    def _forward(self, z: tf.Tensor) -> tf.Tensor:
        z, _, whole = as_rows(z, {})
        ends = self._ends(z.dtype)
        # Beside the nearer end, whose distance keeps its digits there; what exp cannot hold is the largest number.
        low, high = ends.low_rest, -ends.high_rest
        from_low = (ends.width * tf.math.sigmoid(z) + low) + ends.low
        from_high = ends.high - (ends.width * tf.math.sigmoid(-z) - high)
        size = tf.math.exp(tf.minimum(tf.where(ends.has_one, z, 0.0), ends.largest_log))
        half_line = tf.where(ends.has_low, (size + low) + ends.low, ends.high - (size - high))
        x = tf.where(ends.has_one, half_line, tf.where(z < 0, from_low, from_high))
        x = tf.where(x < ends.least, ends.least + tf.zeros_like(x), x)  # NaN stays NaN
        x = tf.where(x > ends.most, ends.most + tf.zeros_like(x), x)
        return whole(tf.where(ends.is_open, z, x))

    def _forward_log_det_jacobian(self, z: tf.Tensor) -> tf.Tensor:
        z, _, whole = as_rows(z, {})
        ends = self._ends(z.dtype)
        log_slope = ends.log_width - tf.math.softplus(z) - tf.math.softplus(-z)
        log_slope = tf.where(ends.is_open, tf.zeros_like(z), tf.where(ends.has_one, z, log_slope))
        return whole(tf.reduce_sum(log_slope, axis=-1))

    def _is_increasing(self) -> Any:
        falls = np.isinf(self.low) & ~np.isinf(self.high)
        return bool(~falls[0]) if len(falls) == 1 else ~falls

    def _ends(self, dtype: tf.DType) -> "_Ends":
        return _ends_in(tuple(self.low.tolist()), tuple(self.high.tolist()), dtype.name)


class _Ends(NamedTuple):
    """What a dtype makes of the ends of D columns: an array `[D]` each, and zeros where there is no end."""

    low: np.ndarray
    low_rest: np.ndarray  # what rounding leaves out: low + low_rest is the end
    high: np.ndarray
    high_rest: np.ndarray
    width: np.ndarray
    log_width: np.ndarray
    least: np.ndarray  # the numbers inside that are nearest to the ends
    most: np.ndarray
    has_low: np.ndarray
    has_high: np.ndarray
    has_one: np.ndarray
    is_open: np.ndarray
    sign_below: np.ndarray  # of log(high - x) in z
    largest_log: np.ndarray


@functools.lru_cache(maxsize=64)
def _ends_in(low: tuple[float, ...], high: tuple[float, ...], dtype: str) -> _Ends:
    a, b = np.array(low), np.array(high)
    has_low, has_high = np.isfinite(a), np.isfinite(b)
    both = has_low & has_high
    a0, b0 = np.where(has_low, a, 0.0), np.where(has_high, b, 0.0)
    width = np.where(both, b0 - a0, 1.0)
    inside = [numbers_inside(*pair, dtype) for pair in zip(low, high, strict=True)]
    numbers = {
        **{"low": a0, "low_rest": a0 - a0.astype(dtype), "high": b0, "high_rest": b0 - b0.astype(dtype)},
        **{"width": width, "log_width": np.log(width)},
        **{"least": np.array([pair[0] for pair in inside]), "most": np.array([pair[1] for pair in inside])},
        **{"sign_below": np.where(both, -1.0, 1.0), "largest_log": np.log(np.finfo(dtype).max) * (1 - 1e-6)},
    }
    kinds = {"has_low": has_low, "has_high": has_high, "has_one": has_low ^ has_high, "is_open": ~(has_low | has_high)}
    return _Ends(**{name: np.asarray(array, dtype) for name, array in numbers.items()}, **kinds)
