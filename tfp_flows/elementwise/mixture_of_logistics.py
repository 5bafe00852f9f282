"""The mixture of logistics of neural autoregressive flows."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_sizes

__all__ = ["MixtureOfLogistics"]

LOG_SCALE_BOUND = 4.0  # smooth, of each component
SPREAD = 1.0  # of the components' means at the start: equal ones would have equal gradients, and stay equal
MOST_STEPS = 100  # of the root: it takes 5 to 10, and some 30 where modes are far apart and narrow: benchmarks/roots.py


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
        root = _root_of_eager if tf.executing_eagerly() else _root
        x = root([tf.stop_gradient(part) for part in parts], tf.stop_gradient(u))
        # To a tape the root is a constant. Newton's error is quadratic in a change of u or of the parameters, so one
        # step from it has the first derivatives of the true root; a second squares the error again: the first three.
        low, high = (tf.stop_gradient(end) for end in _ends(*parts[1:], u))
        for _ in range(2):
            found, log_slope = _logit_of_cdf(*parts, x)
            x = x - (found - u) * tf.exp(-log_slope)
            # Where the cdf is flat, rounding is divided by next to nothing; the derivatives stay as they are.
            x = x + tf.stop_gradient(tf.clip_by_value(x, low, high) - x)
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


def _ends(means: tf.Tensor, log_scales: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The bracket: each component has a root of its own, and the mixture's is between them."""
    roots = means + tf.exp(log_scales) * u[..., None]
    return tf.reduce_min(roots, axis=-1), tf.reduce_max(roots, axis=-1)


def _root(parts: list[tf.Tensor], u: tf.Tensor) -> tf.Tensor:
    """The x whose logit is u: Newton's steps, and the middle of the bracket where they leave it or do not shrink.

    A number is left alone as soon as it is found, whatever others in the batch still need. What is left of its error
    the two steps that follow square twice.
    """
    low, high = _ends(*parts[1:], u)
    tolerance = 4.0 * np.finfo(u.dtype.as_numpy_dtype).eps ** 0.75

    def is_open(low: tf.Tensor, high: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        least = tolerance * (1.0 + tf.maximum(tf.abs(low), tf.abs(high)))
        return (high - low > least) & (step > least)

    def narrow(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, step: tf.Tensor) -> tuple:
        found, log_slope = _logit_of_cdf(*parts, x)
        goes_on = is_open(low, high, step)
        low, high = tf.where(found < u, x, low), tf.where(found < u, high, x)
        newton = x - (found - u) * tf.exp(-log_slope)
        is_good = (newton >= low) & (newton <= high) & (tf.abs(newton - x) <= 0.5 * step)
        after = tf.where(goes_on, tf.where(is_good, newton, 0.5 * (low + high)), x)
        return after, low, high, tf.where(goes_on, tf.abs(after - x), step)

    start = 0.5 * (low + high), low, high, high - low
    any_is_open = lambda x, *bracket: tf.reduce_any(is_open(*bracket))  # noqa: E731
    return tf.while_loop(any_is_open, narrow, start, maximum_iterations=MOST_STEPS)[0]


_root_of_eager = tf.function(_root, reduce_retracing=True, autograph=False)  # an eager loop takes ten times as long
