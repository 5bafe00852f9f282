"""The autoregressive affine layer of MAF."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.conditional import Conditional
from tfp_flows.bijectors.elementwise_affine import ElementwiseAffine
from tfp_flows.recipe import Recorded

__all__ = ["MaskedAutoregressiveFlow"]


class MaskedAutoregressiveFlow(Recorded, Conditional, tfp.bijectors.MaskedAutoregressiveFlow):
    """`tfb.MaskedAutoregressiveFlow`, with the same arguments and the same law.

    ```
    forward   x[i] = shift(x[<i]) + exp(log_scale(x[<i])) u[i]
    inverse   u[i] = (x[i] - shift(x[<i])) exp(-log_scale(x[<i]))
    forward_log_det_jacobian(u) = sum{ log_scale(x[<i]) : i=1...D }
    inverse_log_det_jacobian(x) = -forward_log_det_jacobian(u)
    ```

    The inverse is one pass of the network. So is, in multiplications, the forward direction with a `MADE`: each hidden
    unit is computed once, when all that it depends on is known. With another network, it is TFP's loop of D passes.
    `tfb.Invert` of it is the layer of IAF.

    Args: those of `tfb.MaskedAutoregressiveFlow`; `shift_and_log_scale_fn` is usually
      `tff.networks.ShiftAndLogScale(tff.networks.MADE(event_size))`, or any network that respects the order.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> maf = tff.bijectors.MaskedAutoregressiveFlow(tff.networks.MADE(3, seed=0))
    >>> u = maf.inverse(tf.ones([5, 3]))
    >>> u.shape, maf.inverse_log_det_jacobian(tf.ones([5, 3]), event_ndims=1).shape
    (TensorShape([5, 3]), TensorShape([5]))

    Source: Papamakarios et al., Masked Autoregressive Flow, arXiv:1705.07057; Kingma et al., IAF, arXiv:1606.04934.
    """

    @property
    def is_sequential(self) -> bool:
        """Whether `forward` takes D passes of the network, one after another."""
        return self._event_ndims != 1 or getattr(self._shift_and_log_scale_fn, "solve_affine", None) is None

    def _forward(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        if self.is_sequential:
            return super()._forward(x, **kwargs)
        y, log_scale = self._shift_and_log_scale_fn.solve_affine(x, **kwargs)
        if log_scale is not None:
            self._cache.forward_attributes(x, **kwargs)["ildj"] = -tf.reduce_sum(log_scale, axis=-1)
        return y

    def _inverse(self, y: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        # One evaluation of the network serves the log-det too: TFP's cache keeps it with the pair (x, y).
        bijector = self._elementwise(y, **kwargs)
        x = bijector.inverse(y)
        ildj = bijector.inverse_log_det_jacobian(y, event_ndims=self._event_ndims)
        self._cache.inverse_attributes(y, **kwargs)["ildj"] = ildj
        return x

    def _elementwise(self, y: tf.Tensor, **kwargs: tf.Tensor) -> Any:
        if self._shift_and_log_scale_fn is None:
            return self._bijector_fn(y, **kwargs)
        params = self._shift_and_log_scale_fn(y, **kwargs)
        return ElementwiseAffine(*(tf.unstack(params, num=2, axis=-1) if tf.is_tensor(params) else params))

    def _is_increasing(self, **kwargs: tf.Tensor) -> bool:
        if self._shift_and_log_scale_fn is None:
            raise NotImplementedError("whether a layer with a bijector_fn increases is not known.")
        return True  # of one dimension: the scale is positive
