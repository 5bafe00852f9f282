"""The mixture of logistics of neural autoregressive flows."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_sizes

__all__ = ["MixtureOfLogistics"]

LOG_SCALE_BOUND = 4.0  # smooth, of each component
SPREAD = 1.0  # of the components' means at the start: equal ones would have equal gradients, and stay equal
MOST_STEPS = 60  # of the root: it takes 5 to 10, and where Newton's steps leave the bracket, halves it


@dataclass(frozen=True)
class MixtureOfLogistics:
    """The logit of the cdf of a mixture of K logistic laws: it makes of that mixture one logistic law.

    ```
    inverse   u = logit(F(x)),  F(x) = sum{ weight[k] sigmoid((x - mean[k]) / scale[k]) : k=1...K }
    forward   the root x of that, in the bracket that the components' own roots make
    ```

    Between modes it bends as far as it must, its tails are linear: a law of several modes in one layer, where an affine
    map has one. Both directions have right first and second derivatives.

    Args:
      components: K, at least 1.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> mixture = tff.elementwise.MixtureOfLogistics(4)
    >>> raw, u = tf.random.normal([5, mixture.params], seed=0), tf.linspace(-4.0, 4.0, 5)
    >>> x, log_slope = mixture.forward(raw, u)
    >>> bool(tf.reduce_all(abs(mixture.inverse(raw, x)[0] - u) < 1e-4))
    True

    Source: Huang et al., Neural Autoregressive Flows, arXiv:1804.00779; Ho et al., Flow++, arXiv:1902.00275.
    """

    components: int = 8

    def __post_init__(self) -> None:
        check_sizes(components=self.components)

    @property
    def params(self) -> int:
        """`3 K`: logits of the weights, means, log-scales."""
        return 3 * self.components

    def inverse(self, raw: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`x -> u` and the log-slope."""
        return _logit_of_cdf(*self._parts(raw), x)

    def forward(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`u -> x` and the log-slope."""
        parts = self._parts(raw)
        x = _root([tf.stop_gradient(part) for part in parts], tf.stop_gradient(u))
        # To a tape the root is a constant. Newton's error is quadratic in a change of u or of the parameters, so one
        # step from it has the first derivatives of the true root; a second squares the error again: the first three.
        for _ in range(2):
            found, log_slope = _logit_of_cdf(*parts, x)
            x = x - (found - u) * tf.exp(-log_slope)
        return x, -_logit_of_cdf(*parts, x)[1]

    def _parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Log-weights, means and log-scales, each `[..., M, K]`; zeros of a network are close to the identity."""
        logits, means, log_scales = tf.split(raw, 3, axis=-1)
        offsets = np.linspace(-SPREAD, SPREAD, self.components) if self.components > 1 else np.zeros(1)
        start = 0.5 * np.log(1.0 - offsets.var() * 3.0 / np.pi**2)  # the mixture's variance is that of one logistic law
        log_scales = LOG_SCALE_BOUND * tf.math.tanh(log_scales / LOG_SCALE_BOUND) + start
        return tf.nn.log_softmax(logits), means + tf.constant(offsets, raw.dtype), log_scales


def _logit_of_cdf(
    log_weights: tf.Tensor, means: tf.Tensor, log_scales: tf.Tensor, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The logit of the mixture's cdf at x, and its log-slope; in logarithms, as both tails underflow otherwise."""
    z = (x[..., None] - means) * tf.exp(-log_scales)
    below, above = tf.math.log_sigmoid(z), tf.math.log_sigmoid(-z)
    log_cdf = tf.reduce_logsumexp(log_weights + below, axis=-1)
    log_survival = tf.reduce_logsumexp(log_weights + above, axis=-1)
    log_density = tf.reduce_logsumexp(log_weights + below + above - log_scales, axis=-1)
    return log_cdf - log_survival, log_density - log_cdf - log_survival


def _root(parts: list[tf.Tensor], u: tf.Tensor) -> tf.Tensor:
    """The x whose logit is u: Newton's steps, and the middle of the bracket where they would leave it."""
    _, means, log_scales = parts
    ends = means + tf.exp(log_scales) * u[..., None]  # each component's own root: the mixture's is between them
    low, high = tf.reduce_min(ends, axis=-1), tf.reduce_max(ends, axis=-1)
    tolerance = 4.0 * np.finfo(u.dtype.as_numpy_dtype).eps

    def is_open(_: tf.Tensor, low: tf.Tensor, high: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        size = 1.0 + tf.maximum(tf.abs(low), tf.abs(high))
        return tf.reduce_any((high - low > tolerance * size) & (step > tolerance * size))

    def narrow(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, _: tf.Tensor) -> tuple:
        found, log_slope = _logit_of_cdf(*parts, x)
        low, high = tf.where(found < u, x, low), tf.where(found < u, high, x)
        newton = x - (found - u) * tf.exp(-log_slope)
        after = tf.where((newton > low) & (newton < high), newton, 0.5 * (low + high))
        return after, low, high, tf.abs(after - x)

    start = 0.5 * (low + high), low, high, high - low + 1.0
    return tf.while_loop(is_open, narrow, start, maximum_iterations=MOST_STEPS)[0]
