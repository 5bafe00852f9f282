"""A full affine layer, learnt as the product of two triangular matrices."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Affine"]


class Affine(tfp.bijectors.Bijector):
    """The affine layer of the tutorial's first part, with a cheap inverse and log-det.

    ```
    forward   x = shift + L U u        L unit lower triangular, U upper triangular with the diagonal exp(log_diagonal)
    inverse   u = U^-1 L^-1 (x - shift)
    forward_log_det_jacobian(u) = sum{ log_diagonal[i] : i=1...D }, a constant
    ```

    L U reaches every matrix with positive leading minors; it starts near the identity. Both directions cost O(D^2).

    Args:
      event_size: D.
      rng: source of the start, close to the identity; None starts at it.
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
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        start = np.zeros([event_size, event_size]) if rng is None else rng.normal(0.0, 0.1, [event_size, event_size])
        self.shift = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/shift")
        self.log_diagonal = tf.Variable(np.zeros(event_size, dtype), name=f"{name}/log_diagonal")
        self.triangles = None  # the strict triangles of L and U in one square; a 1 x 1 matrix has none
        if event_size > 1:
            np.fill_diagonal(start, 0.0)
            self.triangles = tf.Variable(start.astype(dtype), name=f"{name}/triangles")

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
        return tf.linalg.matvec(lower @ upper, u) + self.shift

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        lower, upper = self._factors()
        rows = tf.reshape(x - self.shift, [-1, x.shape[-1]])
        solved = tf.linalg.triangular_solve(lower, tf.transpose(rows), lower=True)
        solved = tf.linalg.triangular_solve(upper, solved, lower=False)
        return tf.reshape(tf.transpose(solved), tf.shape(x))

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.log_diagonal)
