"""The channels of an image, mixed by one small matrix at every place."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.affine import Affine
from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.recipe import Recorded

__all__ = ["ChannelMixing"]


class ChannelMixing(Recorded, tfp.bijectors.Bijector):
    """Glow's 1x1 convolution: an affine map of the channels, the same at every place of an image.

    ```
    forward   u[p] = U^-1 L^-1 Q' (x[p] - shift)     p = 1...P
    inverse   x[p] = shift + Q L U u[p]
    inverse_log_det_jacobian(u) = P log|det U|, a constant
    ```

    Rows are images `[P, C]`, flattened. Q, L and U are those of an `Affine` of C dimensions, here the other way round:
    the side of the latents is multiplied, and training, which goes there, solves for nothing.

    Args:
      places: P.
      channels: C.
      rng: source of Q; with None, Q is the identity.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Raises:
      InputError: for sizes that are no positive integers.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> tff.bijectors.ChannelMixing(4, 3).forward(tf.ones([5, 12])).shape
    TensorShape([5, 12])

    Source: Kingma and Dhariwal, Glow, arXiv:1807.03039, section 3.2.
    """

    def __init__(
        self,
        places: int,
        channels: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
        name: str = "channel_mixing",
    ) -> None:
        check_sizes(places=places, channels=channels)
        dtype = as_dtype(dtype)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = places * channels
        self._places, self._channels = places, channels
        self._matrix = Affine(channels, rng=rng, dtype=dtype, name=f"{name}/matrix")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return self._at_every_place(self._matrix.inverse, u)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self._at_every_place(self._matrix.forward, x)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return -self._places * tf.reduce_sum(self._matrix.log_diagonal)

    def _is_increasing(self) -> Any:
        return self._matrix._is_increasing()

    def _at_every_place(self, function: Any, rows: tf.Tensor) -> tf.Tensor:
        return tf.reshape(function(tf.reshape(rows, [-1, self._channels])), tf.shape(rows))
