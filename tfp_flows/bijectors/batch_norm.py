"""Batch normalisation as a layer of a flow."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.errors import InputError
from tfp_flows.recipe import Recorded, spend

__all__ = ["BatchNorm"]


class BatchNorm(Recorded, tfp.bijectors.Bijector):
    """Normalises each dimension on the way from data to latent, and undoes it on the way back.

    ```
    inverse   u = (x - m) / sqrt(v + epsilon) * exp(log_gamma) + beta
    forward   x = (u - beta) exp(-log_gamma) sqrt(v + epsilon) + m
    inverse_log_det_jacobian(x) = sum{ log_gamma[i] - log(v[i] + epsilon) / 2 : i=1...D }
    ```

    With `training=True`, a keyword argument of every call, m and v are the mean and variance of the batch `x` itself.
    Otherwise they are the variables `mean` and `variance`: zero and one at first, and set by `set_statistics`
    from the whole training set, as the authors of MAF do. No call changes a variable.

    Args:
      event_size: D.
      epsilon: added to the variance.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Raises:
      InputError: by `forward(u, training=True)`: the batch that the statistics would come from is not known yet.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> layer = tff.bijectors.BatchNorm(2)
    >>> x = 3.0 + 2.0 * tf.random.normal([1000, 2], seed=0)
    >>> layer.set_statistics(x)
    >>> bool(tf.reduce_all(abs(tf.math.reduce_std(layer.inverse(x), axis=0) - 1.0) < 1e-3))
    True

    Source: Dinh et al., arXiv:1605.08803, and Papamakarios et al., arXiv:1705.07057, section 3.
    """

    keywords = ("training",)

    def __init__(
        self, event_size: int, *, epsilon: float = 1e-5, dtype: str = "float32", name: str = "batch_norm"
    ) -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = event_size
        zeros, ones = np.zeros(event_size, dtype), np.ones(event_size, dtype)
        self.epsilon = epsilon
        self.beta = tf.Variable(zeros, name=f"{name}/beta")
        self.log_gamma = tf.Variable(zeros, name=f"{name}/log_gamma")
        self.mean = tf.Variable(zeros, trainable=False, name=f"{name}/mean")
        self.variance = tf.Variable(ones, trainable=False, name=f"{name}/variance")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def set_statistics(self, x: tf.Tensor) -> None:
        """Sets `mean` and `variance` to those of `x [..., D]`, what this layer's inverse gets for the training set."""
        mean, variance = self._moments(x, training=True)
        self.mean.assign(mean)
        self.variance.assign(variance)

    def _moments(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        if training:
            # tf.nn.moments takes the mean in the variance for a constant: its second derivatives are wrong.
            axes = list(range(x.shape.rank - 1))
            mean = tf.reduce_mean(x, axes)
            return mean, tf.reduce_mean((x - mean) ** 2, axes)
        return tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)

    def _forward(self, u: tf.Tensor, training: bool = False) -> tf.Tensor:
        if training:
            raise InputError("training=True has no batch to take statistics from when sampling; use training=False.")
        scale = tf.sqrt(self.variance + self.epsilon) * tf.exp(-self.log_gamma)
        return (u - self.beta) * scale + self.mean

    def _inverse(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        mean, variance = self._moments(x, training)
        return (x - mean) * tf.math.rsqrt(variance + self.epsilon) * tf.exp(self.log_gamma) + self.beta

    def _inverse_log_det_jacobian(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        _, variance = self._moments(x, training)
        return tf.reduce_sum(self.log_gamma - 0.5 * tf.math.log(variance + self.epsilon))

    @classmethod
    def _is_increasing(cls, training: bool = False) -> bool:
        return True
