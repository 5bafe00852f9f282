"""The autoregressive affine layer of MAF."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.autoregressive import Ordered
from tfp_flows.elementwise import Affine, Elementwise, Shift
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded

__all__ = ["MaskedAutoregressiveFlow"]


class MaskedAutoregressiveFlow(Recorded, Ordered, tfp.bijectors.MaskedAutoregressiveFlow):
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
        return self._event_ndims != 1 or not hasattr(self._network, "solve")

    @property
    def _network(self) -> Any:
        return getattr(self._shift_and_log_scale_fn, "network", self._shift_and_log_scale_fn)

    @property
    def _elementwise(self) -> Elementwise:
        """The map of the network's outputs; those of a bare MADE have no bound."""
        params = self._network.params
        if params not in (1, 2):
            raise InputError(f"an affine layer takes a MADE with params=1 or params=2; got params={params}.")
        return getattr(self._shift_and_log_scale_fn, "elementwise", Shift() if params == 1 else Affine(None))

    def _forward(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        if self.is_sequential:
            return tfp.bijectors.MaskedAutoregressiveFlow._forward(self, x, **kwargs)
        return super()._forward(x, **kwargs)

    def _forward_log_det_jacobian(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tf.Tensor:
        if self.is_sequential:
            return -self._inverse_log_det_jacobian(self._forward(x, **kwargs), **kwargs)
        return super()._forward_log_det_jacobian(x, **kwargs)

    def _solve(self, x: tf.Tensor, **kwargs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._network.solve(x, self._elementwise, **kwargs)
