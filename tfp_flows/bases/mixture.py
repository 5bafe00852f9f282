"""A learnt mixture of Gaussians."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bases.law import Law
from tfp_flows.checks import check_sizes
from tfp_flows.networks.dense import random_generator
from tfp_flows.recipe import spend

__all__ = ["Mixture"]

tfd = tfp.distributions
SPREAD = 0.5  # variance of the components' means at the start: equal components would have equal gradients
LOG_SCALE_BOUND = 4.0  # smooth


class Mixture(Law):
    """A mixture of K Gaussians with diagonal covariances; weights, means and scales are learnt.

    ```
    p(x) = sum{ weight[k] prod{ N(x[i]; mean[k, i], scale[k, i]) : i=1...D } : k=1...K }
    ```

    For data of several modes, between which a chain on one Gaussian leaves bridges. At the start the means lie at
    quantiles of a normal law, in another order in each dimension, and every dimension has variance one in all.

    Args:
      event_size: D.
      num_components: K.
      seed: integer that fixes the order of the means.
      dtype: "float32" or "float64".
      name: prefix of the variables' names.

    Example:

    >>> import tfp_flows as tff
    >>> base = tff.bases.Mixture(2, num_components=3, seed=0)
    >>> base.sample(4, seed=0).shape, base.variance().numpy().round(3).tolist()
    (TensorShape([4, 2]), [1.0, 1.0])

    Source: Izmailov et al., Semi-Supervised Learning with Normalizing Flows, arXiv:1912.13025.
    """

    def __init__(
        self,
        event_size: int,
        *,
        num_components: int = 5,
        seed: int | None = 0,
        dtype: str = "float32",
        name: str = "mixture",
    ) -> None:
        super().__init__(event_size, dtype, name)
        check_sizes(num_components=num_components)
        spend(2 * event_size * num_components)
        dtype = self.dtype.as_numpy_dtype
        rng, spread = random_generator(seed), np.zeros(num_components)
        if num_components > 1:
            places = (np.arange(num_components) + 0.5) / num_components
            spread = tfd.Normal(np.zeros([]), np.ones([])).quantile(places).numpy()
            spread *= np.sqrt(SPREAD) / spread.std()
        means = np.stack([rng.permutation(spread) for _ in range(event_size)], axis=1)
        raw = np.full(means.shape, LOG_SCALE_BOUND * np.arctanh(0.5 * np.log(1.0 - means.var(0)) / LOG_SCALE_BOUND))
        self.logits = tf.Variable(np.zeros(num_components, dtype), name=f"{name}/logits")
        self.means = tf.Variable(means.astype(dtype), name=f"{name}/means")
        self.raw_scales = tf.Variable(raw.astype(dtype), name=f"{name}/raw_scales")

    @property
    def scales(self) -> tf.Tensor:
        """The components' scales `[K, D]`."""
        return tf.exp(LOG_SCALE_BOUND * tf.math.tanh(self.raw_scales / LOG_SCALE_BOUND))

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict:
        return {}

    def _law(self) -> tfd.Distribution:
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=self.logits),
            tfd.Independent(tfd.Normal(self.means, self.scales), 1),
            reparameterize=True,
        )

    def _covariance(self) -> tf.Tensor:
        weights, from_mean = tf.nn.softmax(self.logits), self.means - self._mean()
        between = tf.einsum("k,ki,kj->ij", weights, from_mean, from_mean)
        return between + tf.linalg.diag(tf.linalg.matvec(self.scales**2, weights, transpose_a=True))

    def _log_cdf(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("log_cdf")
        return self._log_below(x[..., 0], tf.ones([], self.dtype))

    def _log_survival_function(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("log_survival_function")
        return self._log_below(-x[..., 0], -tf.ones([], self.dtype))

    def _log_below(self, y: tf.Tensor, sign: tf.Tensor) -> tf.Tensor:
        """The logarithm of the probability that `sign x <= y`: with -1, of what is above a point."""
        z = (y[..., tf.newaxis] - sign[..., tf.newaxis] * self.means[:, 0]) / self.scales[:, 0]
        return tf.reduce_logsumexp(tf.nn.log_softmax(self.logits) + _normal(z.dtype).log_cdf(z), axis=-1)

    def _quantile(self, p: tf.Tensor) -> tf.Tensor:
        self._check_one("quantile")
        one = tf.ones_like(p)
        sign = tf.where(p > 0.5, -one, one)  # of the two tails the nearer: y = sign x, of probability q at most a half
        limit = np.finfo(p.dtype.as_numpy_dtype).tiny
        q = tf.clip_by_value(tf.where(p > 0.5, 1.0 - p, p), limit, 0.5)
        # The quantile of a mixture is between those of its components.
        ends = sign[..., tf.newaxis] * self.means[:, 0] + self.scales[:, 0] * _normal(p.dtype).quantile(q)[..., None]
        y = tfp.math.find_root_chandrupatla(
            lambda y: self._log_below(y, sign) - tf.math.log(q),
            *(tf.stop_gradient(reduce(ends, axis=-1)) for reduce in (tf.reduce_min, tf.reduce_max)),
            position_tolerance=4.0 * np.finfo(p.dtype.as_numpy_dtype).eps,
        ).estimated_root
        # To a tape the root is a constant: two of Newton's steps from it have its first three derivatives.
        y = tf.stop_gradient(y)
        for _ in range(2):
            found = self._log_below(y, sign)
            y = y - (found - tf.math.log(q)) * tf.exp(found - self._log_prob((sign * y)[..., tf.newaxis]))
        x = tf.where((p > 0.0) & (p < 1.0), sign * y, sign * -np.inf)
        return tf.where((p >= 0.0) & (p <= 1.0), x, np.nan * one)[..., tf.newaxis]


def _normal(dtype: tf.DType) -> tfd.Normal:
    return tfd.Normal(tf.zeros([], dtype), tf.ones([], dtype))
