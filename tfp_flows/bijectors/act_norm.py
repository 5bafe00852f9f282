"""A learnt shift and scale of each dimension, which starts from data."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.standardize import loc_and_scale
from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.datasets.table import weighted_rows
from tfp_flows.recipe import Recorded, spend

__all__ = ["ActNorm"]


class ActNorm(Recorded, tfp.bijectors.Bijector):
    """Glow's activation normalisation: an affine map of each dimension, set once by data and then learnt.

    ```
    forward   x = loc + exp(log_scale) u
    inverse   u = (x - loc) exp(-log_scale)
    forward_log_det_jacobian(u) = sum{ log_scale[i] : i=1...D }, a constant
    ```

    It does what batch norm is for, deep chains that start well, with no statistics of batches: rows do not depend on
    one another, and training and use are the same. `tff.fit` sets it, before the first step, from the training rows
    that reach it, so that u has mean 0 and standard deviation 1.

    Args:
      event_size: D.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> layer = tff.bijectors.ActNorm(1)
    >>> layer.set_statistics(np.array([[10.0], [14.0]]))
    >>> layer.inverse(np.array([[12.0], [14.0]], "float32")).numpy().tolist()
    [[0.0], [1.0]]

    Source: Kingma and Dhariwal, Glow, arXiv:1807.03039, section 3.1.
    """

    def __init__(self, event_size: int, *, dtype: str = "float32", name: str = "act_norm") -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = event_size
        self.loc = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/loc")
        self.log_scale = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/log_scale")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def set_statistics(self, x: Any, weights: np.ndarray | None = None) -> None:
        """Sets the map by the rows `x [N, D]`, weighted by `[N]`; a constant column keeps its scale."""
        loc, scale = loc_and_scale(*weighted_rows(x, weights, self.event_size))
        self.loc.assign(loc)
        self.log_scale.assign(np.log(scale))

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return self.loc + u * tf.exp(self.log_scale)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return (x - self.loc) * tf.exp(-self.log_scale)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.log_scale)

    @classmethod
    def _is_increasing(cls) -> bool:
        return True
