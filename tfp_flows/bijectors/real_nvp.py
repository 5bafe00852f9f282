"""The affine coupling layer of RealNVP."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.conditional import Conditional
from tfp_flows.bijectors.elementwise_affine import ElementwiseAffine
from tfp_flows.bijectors.rows import as_rows
from tfp_flows.recipe import Recorded

__all__ = ["RealNVP"]


class RealNVP(Recorded, Conditional, tfp.bijectors.RealNVP):
    """`tfb.RealNVP`, with the same arguments and the same law; one pass of the network in either direction.

    ```
    forward   x[:d] = u[:d]     x[d:] = shift(u[:d]) + exp(log_scale(u[:d])) u[d:]
    inverse   u[:d] = x[:d]     u[d:] = (x[d:] - shift(x[:d])) exp(-log_scale(x[:d]))
    forward_log_det_jacobian(u) = sum{ log_scale(u[:d]) }
    ```

    With `bijector_fn` in place of `shift_and_log_scale_fn`, any bijector of the other half, such as a spline.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> network = tff.networks.ShiftAndLogScale(tff.networks.MLP(1, 2, seed=0))
    >>> layer = tff.bijectors.RealNVP(num_masked=1, shift_and_log_scale_fn=network)
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    Source: Dinh et al., Density estimation using Real NVP, arXiv:1605.08803.
    """

    def _forward(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        rows, given, whole = as_rows(x, kwargs)
        bijector, moved = self._second_half(rows, **given)
        y = self._with_second_half(rows, bijector.forward(moved))
        ildj = -bijector.forward_log_det_jacobian(moved, event_ndims=1)
        self._cache.forward_attributes(x, **kwargs)["ildj"] = whole(ildj)
        return whole(y)

    def _inverse(self, y: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        # One evaluation of the network serves the log-det too: TFP's cache keeps it with the pair (x, y).
        rows, given, whole = as_rows(y, kwargs)
        bijector, moved = self._second_half(rows, **given)
        x = self._with_second_half(rows, bijector.inverse(moved))
        ildj = bijector.inverse_log_det_jacobian(moved, event_ndims=1)
        self._cache.inverse_attributes(y, **kwargs)["ildj"] = whole(ildj)
        return whole(x)

    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        rows, given, whole = as_rows(x, kwargs)
        bijector, moved = self._second_half(rows, **given)
        return whole(bijector.forward_log_det_jacobian(moved, event_ndims=1))

    def _inverse_log_det_jacobian(self, y: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        rows, given, whole = as_rows(y, kwargs)
        bijector, moved = self._second_half(rows, **given)
        return whole(bijector.inverse_log_det_jacobian(moved, event_ndims=1))

    def _second_half(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """The bijector that the half which stays makes for the half which moves, and that half."""
        self._cache_input_depth(x)
        first, second = x[..., : self._masked_size], x[..., self._masked_size :]
        stays, moves = (second, first) if self._reverse_mask else (first, second)
        if self._shift_and_log_scale_fn is None:
            return self._bijector_fn(stays, self._bijector_input_units(), **kwargs), moves
        return ElementwiseAffine(*self._shift_and_log_scale_fn(stays, self._bijector_input_units(), **kwargs)), moves

    def _with_second_half(self, x: tf.Tensor, moved: tf.Tensor) -> tf.Tensor:
        if self._reverse_mask:
            return tf.concat([moved, x[..., self._masked_size :]], axis=-1)
        return tf.concat([x[..., : self._masked_size], moved], axis=-1)
