"""Probabilities up to a point, and quantiles, of distributions of one dimension."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import Support
from tfp_flows.bijectors.rows import as_rows, check_batches
from tfp_flows.door import as_probabilities
from tfp_flows.errors import InputError

__all__ = ["Cumulative"]

OTHER_SIDE = {"cdf": "survival_function", "log_cdf": "log_survival_function"}
OTHER_SIDE |= {above: below for below, above in OTHER_SIDE.items()}


class Cumulative:
    """What a `Flow` of one dimension has besides: a chain of layers that increase or decrease maps quantiles.

    ```
    cdf(x) = F(f^-1(x))                 where the chain f increases, 1 - F(f^-1(x)) where it decreases
    quantile(p) = f(F^-1(p))            or f(F^-1(1 - p))                   F the cdf of the base
    ```

    Rows of float64 keep their digits as they do in `log_prob`; quantiles are of the flow's dtype, as samples are.

    Shapes: `x [..., 1]`, `context [..., C] -> [...]`; `p [...] -> [..., 1]`; leading dimensions broadcast.

    Raises:
      InputError: for more dimensions than one, a layer that does not say whether it increases, a base without a cdf,
        probabilities that are none.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.maf(event_size=1, seed=0)
    >>> x = flow.quantile([0.25, 0.5])
    >>> x.shape, flow.cdf(x).numpy().round(4).tolist()
    (TensorShape([2, 1]), [0.25, 0.5])
    """

    def cdf(self, value: Any, name: str = "cdf", **kwargs: Any) -> tf.Tensor:
        """The probability of a number up to `value`: `[..., 1] -> [...]`."""
        return self._cumulative("cdf", self._rows(value), name, kwargs)

    def log_cdf(self, value: Any, name: str = "log_cdf", **kwargs: Any) -> tf.Tensor:
        """The logarithm of `cdf`, also where that is too small for a float."""
        return self._cumulative("log_cdf", self._rows(value), name, kwargs)

    def survival_function(self, value: Any, name: str = "survival_function", **kwargs: Any) -> tf.Tensor:
        """The probability of a number above `value`: `[..., 1] -> [...]`."""
        return self._cumulative("survival_function", self._rows(value), name, kwargs)

    def log_survival_function(self, value: Any, name: str = "log_survival_function", **kwargs: Any) -> tf.Tensor:
        """The logarithm of `survival_function`, also where that is too small for a float."""
        return self._cumulative("log_survival_function", self._rows(value), name, kwargs)

    def quantile(self, value: Any, name: str = "quantile", **kwargs: Any) -> tf.Tensor:
        """The x with `cdf(x) = value`: `[...] -> [..., 1]`."""
        return self._cumulative("quantile", as_probabilities(value, self.dtype), name, kwargs)

    def _cumulative(self, what: str, value: tf.Tensor, name: str, kwargs: dict[str, Any]) -> tf.Tensor:
        if self.event_size != 1:
            raise InputError(f"{what} is that of one dimension; this flow has event_size={self.event_size}.")
        kwargs = self._check_kwargs(kwargs)
        rows = value[..., tf.newaxis] if what == "quantile" else value
        if "context" in kwargs:
            check_batches(rows.shape, kwargs["context"].shape)
            batch = tf.broadcast_dynamic_shape(tf.shape(rows)[:-1], tf.shape(kwargs["context"])[:-1])
            rows = tf.broadcast_to(rows, tf.concat([batch, [1]], 0))
        rows, kwargs, whole = as_rows(rows, kwargs)
        rows = rows[..., 0] if what == "quantile" else self._above_noise(rows) if self.dequantize else rows
        try:
            if what == "quantile":
                found = super().quantile(tf.identity(rows), name=name, **kwargs)
                return whole(self._rounded(found) if self.dequantize else found)
            found = self._of_latents(what, rows, kwargs)
        except NotImplementedError as error:
            raise InputError(
                f"{what} needs layers that say whether they increase, by _is_increasing, and a base that has {what}; "
                f"got a chain of {', '.join(layer.name for layer in self.layers)} on {self.distribution.name}."
            ) from error
        return whole(self._at_ends(what, rows[..., 0], found))

    def _of_latents(self, what: str, rows: tf.Tensor, kwargs: dict[str, Any]) -> tf.Tensor:
        """The base's probability up to the latents of rows, or above them where the chain decreases.

        Rows go through the first layers in their own dtype, as they do in `log_prob`.
        """
        of_base, by_layer = self._split_kwargs(kwargs)
        rises = self.bijector._internal_is_increasing(**by_layer)
        u = self._after_first.inverse(self._through_first(rows)[0], **by_layer)
        of_side = lambda name: getattr(self.distribution, name)(u, **of_base)  # noqa: E731
        known = tf.get_static_value(rises)
        if known is not None:
            return of_side(what if known else OTHER_SIDE[what])
        return tf.where(rises, of_side(what), of_side(OTHER_SIDE[what]))

    def _at_ends(self, what: str, x: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        """Nothing is below the lower end of the support and nothing above the upper, exactly."""
        first = self.layers[0] if self.layers else None
        low, high = (first.low[0], first.high[0]) if isinstance(first, Support) else (-np.inf, np.inf)
        below, above = (-np.inf, 0.0) if what.startswith("log") else (0.0, 1.0)
        below, above = (above, below) if "survival" in what else (below, above)
        found = tf.where(x <= tf.cast(low, x.dtype), tf.cast(below, found.dtype), found)
        return tf.where(x >= tf.cast(high, x.dtype), tf.cast(above, found.dtype), found)

    def _above_noise(self, value: tf.Tensor) -> tf.Tensor:
        """Up to 3 means below 4, where noise has been added; and what there is beyond the ends counts at them."""
        up_to = tf.math.floor(value)
        if self.support is None:
            return up_to + 1
        (least, most), outer = self.support, self.layers[0]
        below, above = (tf.cast(ends, value.dtype) for ends in (outer.low, outer.high))
        return tf.where(up_to < least, below, tf.where(up_to >= most, above, up_to + 1))
