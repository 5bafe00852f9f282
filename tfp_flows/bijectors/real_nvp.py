"""The affine coupling layer of RealNVP."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.coupling import Halves
from tfp_flows.recipe import Recorded

__all__ = ["RealNVP"]


class RealNVP(Recorded, Halves, tfp.bijectors.RealNVP):
    """`tfb.RealNVP`, with the same arguments and the same law; one pass of the network in either direction.

    ```
    forward   x[:d] = u[:d]     x[d:] = shift(u[:d]) + exp(log_scale(u[:d])) u[d:]
    inverse   u[:d] = x[:d]     u[d:] = (x[d:] - shift(x[:d])) exp(-log_scale(x[:d]))
    forward_log_det_jacobian(u) = sum{ log_scale(u[:d]) }
    ```

    With `bijector_fn` in place of `shift_and_log_scale_fn`, any bijector of the other half.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> network = tff.networks.ShiftAndLogScale(tff.networks.MLP(1, 2, seed=0))
    >>> layer = tff.bijectors.RealNVP(num_masked=1, shift_and_log_scale_fn=network)
    >>> layer.forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    Source: Dinh et al., Density estimation using Real NVP, arXiv:1605.08803.
    """

    def _cut(self, rows: tf.Tensor) -> tuple[int, bool]:
        self._cache_input_depth(rows)
        return self._masked_size, not self._reverse_mask

    def _arguments(self, stays: tf.Tensor) -> tuple[Any, ...]:
        return stays, self._bijector_input_units()
