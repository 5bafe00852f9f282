"""The coupling layer of neural spline flows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.real_nvp import RealNVP
from tfp_flows.errors import InputError

__all__ = ["SplineCoupling"]

MIN_BIN = 1e-3  # smallest width and height of a bin, as a part of the interval
MIN_SLOPE = 1e-3  # smallest slope at a knot


class SplineCoupling(RealNVP):
    """A coupling layer whose second half goes through a monotone rational-quadratic spline of the first half's making.

    ```
    forward   x[:d] = u[:d]     x[i] = spline(u[i]; network(u[:d])[i])      for i > d, within the interval [-B, B]
                                x[i] = u[i]                                 outside it (linear tails)
    inverse   in closed form, at the same cost
    forward_log_det_jacobian(u) = sum{ log spline'(u[i]) : i > d }
    ```

    Each spline has K bins: K widths and K heights from a softmax, K - 1 inner slopes from a softplus, and the slope 1
    at both ends, so that it meets its tails smoothly. A network that returns zeros gives the identity.

    Args:
      num_masked: d, the number of dimensions that stay as they are and condition the others.
      network: conditioner `[..., d] -> [..., D - d, 3 K - 1]`, such as `tff.networks.MLP(d, D - d, 3 * K - 1)`.
      interval: B, positive: data should be of the order of 1, as `Standardize` makes it.
      name: name of the layer.

    Raises:
      InputError: if `network.params` is not 3 K - 1 for some K of 2 to 500, or the interval is not positive.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> network = tff.networks.MLP(1, 2, params=3 * 8 - 1, seed=0)
    >>> layer = tff.bijectors.SplineCoupling(1, network)
    >>> u = tf.random.normal([5, 3], seed=0)
    >>> bool(tf.reduce_all(abs(layer.inverse(tf.identity(layer.forward(u))) - u) < 1e-5))
    True

    Source: Durkan et al., Neural Spline Flows, arXiv:1906.04032.
    """

    def __init__(self, num_masked: int, network: Callable, *, interval: float = 3.0, name: str | None = None) -> None:
        super().__init__(num_masked=num_masked, bijector_fn=_Splines(network, interval), name=name or "spline_coupling")


class _Splines(tf.Module):
    """Makes the splines of one half from the other half: the `bijector_fn` of `tfb.RealNVP`."""

    def __init__(self, network: Callable, interval: float) -> None:
        super().__init__(name="splines")
        bins, rest = divmod(network.params + 1, 3)
        if rest or not 2 <= bins <= 500:
            raise InputError(f"network.params must be 3 K - 1 for K of 2 to 500 bins; got {network.params}.")
        if not interval > 0:
            raise InputError(f"interval must be positive; got {interval!r}.")
        self.network, self.bins, self.interval = network, bins, float(interval)
        self.context_size = network.context_size

    def __call__(self, x: tf.Tensor, output_units: int, **kwargs: tf.Tensor) -> tfp.bijectors.RationalQuadraticSpline:
        raw = self.network(x, **kwargs)
        widths, heights, slopes = tf.split(raw, [self.bins, self.bins, self.bins - 1], axis=-1)
        at_zero = np.log(np.expm1(1.0 - MIN_SLOPE))  # where a raw slope of zero gives the slope one
        return _Spline(
            bin_widths=self._bins(widths),
            bin_heights=self._bins(heights),
            knot_slopes=MIN_SLOPE + tf.math.softplus(slopes + at_zero),
            range_min=-self.interval,
        )

    def _bins(self, raw: tf.Tensor) -> tf.Tensor:
        """Positive parts of the interval, `[..., K]`, that add up to its length `2 B`."""
        return 2.0 * self.interval * (MIN_BIN + (1.0 - MIN_BIN * self.bins) * tf.nn.softmax(raw, axis=-1))


class _Spline(tfp.bijectors.RationalQuadraticSpline):
    """TFP's spline, finding its bin once for the value and the log-det together."""

    def _forward(self, x: tf.Tensor) -> tf.Tensor:
        bins = self._compute_shared(x=x)
        t = _within(bins, x - bins.x_k) / bins.w_k
        value = bins.y_k + bins.h_k * (bins.s_k * t**2 + bins.d_k * t * (1 - t)) / _denominator(bins, t)
        self._cache.forward_attributes(x)["ildj"] = -_log_slope(bins, t)
        return tf.where(bins.out_of_bounds, x, value)

    def _inverse(self, y: tf.Tensor) -> tf.Tensor:
        # The root in [0, 1] of a t^2 + b t + c, in the form that does not cancel: arXiv:1906.04032, appendix A.3.
        bins = self._compute_shared(y=y)
        rise = _within(bins, y - bins.y_k)
        bend = rise * (bins.d_kp1 + bins.d_k - 2 * bins.s_k)
        a = bins.h_k * (bins.s_k - bins.d_k) + bend
        b = bins.h_k * bins.d_k - bend
        c = -bins.s_k * rise
        t = -2 * c / (b + tf.sqrt(tf.maximum(b**2 - 4 * a * c, 1e-30)))
        self._cache.inverse_attributes(y)["ildj"] = -_log_slope(bins, t)
        return tf.where(bins.out_of_bounds, y, t * bins.w_k + bins.x_k)


def _within(bins: Any, value: tf.Tensor) -> tf.Tensor:
    """The value inside the interval, zero in the tails."""
    return tf.where(bins.out_of_bounds, tf.zeros_like(value), value)


def _denominator(bins: Any, t: tf.Tensor) -> tf.Tensor:
    return bins.s_k + (bins.d_kp1 + bins.d_k - 2 * bins.s_k) * t * (1 - t)


def _log_slope(bins: Any, t: tf.Tensor) -> tf.Tensor:
    """Log-derivative of the spline at the part t of its bin: appendix A.2; zero in the tails."""
    numerator = bins.d_kp1 * t**2 + 2 * bins.s_k * t * (1 - t) + bins.d_k * (1 - t) ** 2
    slope = 2 * tf.math.log(bins.s_k) + tf.math.log(numerator) - 2 * tf.math.log(_denominator(bins, t))
    return _within(bins, slope)
