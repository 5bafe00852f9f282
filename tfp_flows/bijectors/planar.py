"""The planar layer, with an inverse."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_sizes
from tfp_flows.recipe import Recorded, spend

__all__ = ["Planar"]


class Planar(Recorded, tfp.bijectors.Bijector):
    """Moves points along one direction by a tanh of their projection on another; invertible in both senses.

    ```
    forward   x = u + v tanh(w.u + b)
    forward_log_det_jacobian(u) = log(1 + (w.v) (1 - tanh(w.u + b)^2))
    with      v = v0 + (m(w.v0) - w.v0) w / |w|^2,   m(a) = -1 + softplus(a),   so that w.v >= -1
    ```

    The inverse has no closed form, but it is the root of one increasing function of one number. With p = w.x + b and
    a = w.u + b, the law gives `p = a + (w.v) tanh(a)`, so:

    1. a lies within |w.v| of p, because |tanh| <= 1: a bracket, for any x;
    2. the right-hand side increases in a, because w.v >= -1: one root, found by halving the bracket;
    3. two Newton steps from there polish the root, and carry the first three derivatives that the implicit function
       theorem gives, to x and to every parameter (the root itself is a constant to the tape);
    4. u = x - v tanh(a).

    So a planar flow samples in one pass, and trains by maximum likelihood too, at some 30 cheap halvings a layer.

    Args:
      event_size: D.
      rng: source of the start; None draws a fresh one.
      dtype: of the variables.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> layer = tff.bijectors.Planar(2)
    >>> u = tf.random.normal([5, 2], seed=0)
    >>> bool(tf.reduce_all(abs(layer.inverse(tf.identity(layer.forward(u))) - u) < 1e-5))
    True

    Source: Rezende and Mohamed, arXiv:1505.05770, equations 10 to 12 and appendix A.1.
    """

    def __init__(
        self,
        event_size: int,
        *,
        rng: np.random.Generator | None = None,
        dtype: str = "float32",
        name: str = "planar",
    ) -> None:
        check_sizes(event_size=event_size)
        dtype = as_dtype(dtype)
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, dtype=tf.as_dtype(dtype), name=name)
        self.event_size = event_size
        rng = rng or np.random.default_rng()
        direction = rng.normal(0.0, 1.0, event_size)
        self.w = tf.Variable((direction / np.linalg.norm(direction)).astype(dtype), name=f"{name}/w")
        self.v0 = tf.Variable(rng.normal(0.0, 0.1, event_size).astype(dtype), name=f"{name}/v0")
        self.b = tf.Variable(np.asarray(rng.normal(0.0, 1.0), dtype), name=f"{name}/b")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    @classmethod
    def _is_increasing(cls) -> bool:
        return True  # of one dimension: w.v >= -1

    def _constrained(self) -> tuple[tf.Tensor, tf.Tensor]:
        """v, and w.v."""
        w, v0 = tf.convert_to_tensor(self.w), tf.convert_to_tensor(self.v0)
        dot = tf.reduce_sum(w * v0)
        allowed = tf.math.softplus(dot) - 1.0
        return v0 + (allowed - dot) * w / tf.reduce_sum(w * w), allowed

    def _project(self, z: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(z * self.w, axis=-1) + self.b

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        v, _ = self._constrained()
        return u + v * tf.expand_dims(tf.math.tanh(self._project(u)), -1)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        _, slope = self._constrained()
        return tf.math.log1p(slope * (1.0 - tf.math.tanh(self._project(u)) ** 2))

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        v, slope = self._constrained()
        a = _solve(self._project(x), slope)
        return x - v * tf.expand_dims(tf.math.tanh(a), -1)


def _solve(p: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
    """The a with `a + slope tanh(a) = p`, for slope > -1, of any shape of p, differentiable three times in both.

    Bisection, and not `tfp.math.find_root_chandrupatla`: compiled by XLA, that returns NaN for some p. To a tape the
    root is a constant. A Newton step from it has an error that is quadratic in a change of p or slope, so it has the
    first derivatives of the true root; a second step squares the error again: it has the first three.
    """
    rows = tf.reshape(p, [-1])  # a choice between numbers works for at most nine dimensions
    fixed_p, fixed_slope = tf.stop_gradient(rows), tf.stop_gradient(slope)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = 0.5 * (low + high)
        below = middle + fixed_slope * tf.math.tanh(middle) < fixed_p
        return tf.where(below, middle, low), tf.where(below, high, middle)

    bracket = fixed_p - tf.abs(fixed_slope), fixed_p + tf.abs(fixed_slope)
    bits = np.finfo(p.dtype.as_numpy_dtype).nmant + 5  # each halving gains one
    low, high = tf.while_loop(lambda *_: True, halve, bracket, maximum_iterations=bits)
    root = tf.stop_gradient(0.5 * (low + high))
    for _ in range(2):
        tanh = tf.math.tanh(root)
        root = root - (root + slope * tanh - rows) / (1.0 + slope * (1.0 - tanh**2))
    return tf.reshape(root, tf.shape(p))
