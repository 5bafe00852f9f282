"""Student's t with learnt degrees of freedom."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bases.law import Law

__all__ = ["StudentT"]

tfd = tfp.distributions
LEAST, MOST = 1.05, 1000.0  # degrees of freedom: above one the mean exists, a thousand are a normal law
START = 30.0


class StudentT(Law):
    """Independent Student's t laws, each with degrees of freedom of its own, which are learnt.

    ```
    p(x) = prod{ t(x[i]; df[i]) : i=1...D }      1 / df[i] = 1 / most + (1 / least - 1 / most) sigmoid(raw[i])
    ```

    Rows far out cost the logarithm of their distance, where a normal law takes its square: a flow on it fits heavy
    tails, which layers that are linear far out cannot make of a normal law. It starts with 30 degrees of freedom, near
    the normal law, and keeps more than one: the mean exists.

    Args:
      event_size: D.
      dtype: "float32" or "float64".
      name: prefix of the variable's name.

    Example:

    >>> import tfp_flows as tff
    >>> base = tff.bases.StudentT(2)
    >>> base.sample(3, seed=0).shape, base.df.numpy().round(3).tolist()
    (TensorShape([3, 2]), [30.0, 30.0])

    Source: Jaini et al., Tails of Lipschitz Triangular Flows, arXiv:1907.04481.
    """

    def __init__(self, event_size: int, *, dtype: str = "float32", name: str = "student_t") -> None:
        super().__init__(event_size, dtype, name)
        part = (1.0 / START - 1.0 / MOST) / (1.0 / LEAST - 1.0 / MOST)
        start = np.full(event_size, np.log(part / (1.0 - part)), self.dtype.as_numpy_dtype)
        self.raw_df = tf.Variable(start, name=f"{name}/raw_df")

    @property
    def df(self) -> tf.Tensor:
        """The degrees of freedom `[D]`."""
        return 1.0 / (1.0 / MOST + (1.0 / LEAST - 1.0 / MOST) * tf.sigmoid(self.raw_df))

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict:
        return {}

    def _law(self) -> tfd.Distribution:
        return tfd.Independent(self._marginals(), 1)

    def _marginals(self) -> tfd.StudentT:
        zero = tf.zeros([], self.dtype)
        return tfd.StudentT(self.df, zero, zero + 1)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self._log_densities(x), axis=-1)

    def _log_densities(self, x: tf.Tensor) -> tf.Tensor:
        """The logarithm of the density of each number `[..., D]`: far out, that of `1 + x^2 / df` takes no square."""
        df = self.df
        is_far = tf.abs(x) > tf.sqrt(df)
        far, near = tf.where(is_far, tf.abs(x), tf.sqrt(df)), tf.where(is_far, tf.zeros_like(x), x)
        log_far = 2.0 * tf.math.log(far) - tf.math.log(df) + tf.math.log1p(df * tf.math.reciprocal(far) ** 2)
        power = tf.where(is_far, log_far, tf.math.log1p(near**2 / df))
        return -0.5 * (df + 1.0) * power - 0.5 * tf.math.log(df) - tfp.math.lbeta(tf.constant(0.5, df.dtype), 0.5 * df)

    def _covariance(self) -> tf.Tensor:
        return tf.linalg.diag(self._variance())

    def _cdf(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("cdf")
        return self._marginals().cdf(x)[..., 0]

    def _survival_function(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("survival_function")
        return self._marginals().cdf(-x)[..., 0]

    def _log_cdf(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("log_cdf")
        law = self._marginals()
        # Where the probability is too small for a float, that of the tail's power law.
        cdf = law.cdf(x)
        small = (x < 0) & (cdf < np.finfo(cdf.dtype.as_numpy_dtype).tiny) & tf.math.is_finite(x)
        far = tf.where(small, x, -tf.ones_like(x))
        tail = self._log_densities(far) + tf.math.log(-far / self.df)
        return tf.where(small, tail, tf.math.log(tf.where(small, tf.ones_like(cdf), cdf)))[..., 0]

    def _log_survival_function(self, x: tf.Tensor) -> tf.Tensor:
        self._check_one("log_survival_function")
        return self._log_cdf(-x)

    def _quantile(self, p: tf.Tensor) -> tf.Tensor:
        self._check_one("quantile")
        inside = (p > 0.0) & (p < 1.0)
        x = self._marginals().quantile(tf.where(inside, p, 0.5)[..., tf.newaxis])
        ends = tf.math.log(p) - tf.math.log1p(-p)  # infinite at 0 and 1, NaN for what is no probability
        return tf.where(inside[..., tf.newaxis], x, ends[..., tf.newaxis])
