"""A full affine layer, learnt as the product of two triangular matrices."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.recipe import Recorded, spend

__all__ = ["Affine"]


class Affine(Recorded, tfp.bijectors.Bijector):
    """The affine layer of the tutorial's first part, with a cheap inverse and log-det.

    ```
    forward   x = shift + Q L U u
    inverse   u = U^-1 L^-1 Q' (x - shift)
    with      Q orthogonal, L unit lower triangular, U upper triangular with the diagonal exp(log_diagonal)
    forward_log_det_jacobian(u) = sum{ log_diagonal[i] : i=1...D }, a constant
    ```

    Q stays as it is drawn at the start, so that a chain of layers looks in many directions; L and U are learnt. Both
    directions cost O(D^2) a row.

    Args:
      event_size: D.
      rng: source of Q; with None, Q is the identity.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> tff.bijectors.Affine(3).forward(tf.ones([5, 3])).shape
    TensorShape([5, 3])

    Source: Kingma and Dhariwal, Glow, arXiv:1807.03039, section 3.2, for the parametrisation.
    """

    def __init__(
        self,
        event_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
        name: str = "affine",
    ) -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size**2)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = event_size
        rotation = np.eye(event_size)
        if rng is not None:
            rotation, _ = np.linalg.qr(rng.normal(size=(event_size, event_size)))
        self.rotation = tf.Variable(rotation.astype(dtype), trainable=False, name=f"{name}/rotation")
        self.shift = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/shift")
        self.log_diagonal = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/log_diagonal")
        self.triangles = None  # the strict triangles of L and U in one square; a 1 x 1 matrix has none
        if event_size > 1:
            self.triangles = tf.Variable(np.zeros([event_size, event_size], dtype), name=f"{name}/triangles")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def _factors(self) -> tuple[tf.Tensor, tf.Tensor]:
        diagonal = tf.exp(self.log_diagonal)
        square = tf.linalg.diag(diagonal) if self.triangles is None else tf.convert_to_tensor(self.triangles)
        lower = tf.linalg.set_diag(tf.linalg.band_part(square, -1, 0), tf.ones_like(diagonal))
        upper = tf.linalg.set_diag(tf.linalg.band_part(square, 0, -1), diagonal)
        return lower, upper

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        lower, upper = self._factors()
        return tf.tensordot(u, self.rotation @ lower @ upper, [[-1], [1]]) + self.shift

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        lower, upper = self._factors()
        rows = tf.reshape(x - self.shift, [-1, x.shape[-1]])
        rotated = tf.linalg.matmul(self.rotation, rows, transpose_a=True, transpose_b=True)
        solved = tf.linalg.triangular_solve(lower, rotated, lower=True)
        solved = tf.linalg.triangular_solve(upper, solved, lower=False)
        return tf.reshape(tf.transpose(solved), tf.shape(x))

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.log_diagonal)

    def _is_increasing(self) -> tf.Tensor:
        return tf.reshape(self.rotation, [-1])[0] > 0  # of one dimension: it is 1 or -1
