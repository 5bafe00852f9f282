"""Powers of columns: under them, rows are more like those of a Gaussian."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.rows import as_rows
from tfp_flows.bijectors.standardize import in_two_parts, loc_and_scale
from tfp_flows.checks import as_dtype, check_columns, check_flags, check_sizes
from tfp_flows.covariance import MOST_COLUMNS, is_narrow
from tfp_flows.datasets.table import weighted_rows
from tfp_flows.recipe import Recorded, spend

__all__ = ["Power"]

POWERS = np.linspace(0.0, 2.0, 41)
ONE = len(POWERS) // 2  # the place of the power that changes nothing
MOST_ROWS, MOST_NUMBERS = 10_000, 200_000  # to choose the powers by
FEWEST_ROWS = 20  # by fewer, nothing is chosen: benchmarks/powers.py
FAR_OUT = 100  # one row of so many has no say: of heavy tails, the farthest alone would decide
MOST_ROUNDS = 10  # over all columns
LEAST_GAIN = 0.05  # nats a row, for which a column leaves the power of its own: benchmarks/README.md
MOST_HARM = 0.1  # nats a row, all of them, that the power of a column may cost: the farthest are not forgotten
SHRINKAGE = 1e-8  # of correlations, the least that whitening knows


class Power(Recorded, tfp.bijectors.Bijector):
    """Takes each column of data to a power; together, they make the rows as like a Gaussian's as powers can.

    ```
    inverse   u = psi(z), z = (x - loc) / scale
              psi(z) =  ((1 + z)^p - 1) / p                for z >= 0, log(1 + z) where p = 0
              psi(z) = -((1 - z)^(2 - p) - 1) / (2 - p)    for z < 0, -log(1 - z) where p = 2
    inverse_log_det_jacobian(x) = sum{ sign(z[i]) (p[i] - 1) log(1 + |z[i]|) - log(scale[i]) : i=1...D }
    ```

    psi has two continuous derivatives, and is onto the real line for p from 0 to 2; with p = 1 it is the identity.
    Prices and areas, whose logarithms are nearly normal, have p near 0, and what is curved between two such columns
    becomes straight: `Standardize(whiten=True)`, after it, leaves less to be learnt. What is straight stays so: columns
    beside their sum keep the power one, however lopsided.

    `loc`, `scale` and `power` are float64 variables that no optimiser trains: 0, 1 and 1, the identity, until
    `set_statistics` is called, which `tff.fit` does with the training rows. Rows of float64 stay so.

    Args:
      event_size: D.
      only_narrow: whether all powers are one unless a combination of columns nearly is constant, before the powers or
        after them: where `Standardize(whiten=None)` whitens.
      keep: columns, by their numbers from 0, that stay as they are.
      dtype: of what the other layers work with.
      name: name of the layer, and prefix of its variables' names.

    Source: Yeo and Johnson, A new family of power transformations to improve normality or symmetry, Biometrika 2000;
    powers by the likelihood of all columns: Andrews, Gnanadesikan and Warner, Transformations of multivariate data,
    Biometrics 1971.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> layer = tff.bijectors.Power(1)
    >>> prices = np.exp(np.random.default_rng(0).normal(size=[1000, 1]))
    >>> layer.set_statistics(prices)
    >>> u = layer.inverse(prices.astype("float32")).numpy()
    >>> bool(u.max() - u.mean() < 5 * u.std()), bool(prices.max() - prices.mean() > 10 * prices.std())
    (True, True)
    """

    def __init__(
        self,
        event_size: int,
        *,
        only_narrow: bool = False,
        keep: Sequence[int] = (),
        dtype: str = "float32",
        name: str = "power",
    ) -> None:
        check_sizes(event_size=event_size)
        check_flags(only_narrow=only_narrow)
        dtype = as_dtype(dtype)
        spend(event_size)
        super().__init__(forward_min_event_ndims=1, dtype=tf.as_dtype(dtype), name=name)
        self.only_narrow = bool(only_narrow)
        self.event_size, self.keep = event_size, check_columns("keep", keep, event_size)
        self.loc = tf.Variable(np.zeros(event_size), trainable=False, name=f"{name}/loc")
        self.scale = tf.Variable(np.ones(event_size), trainable=False, name=f"{name}/scale")
        self.power = tf.Variable(np.ones(event_size), trainable=False, name=f"{name}/power")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    def set_statistics(self, x: Any, weights: np.ndarray | None = None) -> None:
        """Sets the powers to those under which the rows `x [N, D]`, weighted by `weights [N]`, are most normal.

        Each column has the power under which it is most normal alone, if that pays: the likelihood grows by more than
        the Bayesian information criterion takes for a parameter, and the power is one otherwise. Then, of at most 128
        columns, powers are changed one by one as long as each change gains 0.05 nats a row under a Gaussian with all
        correlations: what is straight stays so, and what is curved becomes straight. The farthest of every hundred rows
        choose none, but no column gets a power that makes it 0.1 nats less likely with them: a power of 2 would make of
        outliers their squares. By fewer than 20 rows nothing is chosen.

        Raises:
          InputError: for rows that are not `[N, D]` and finite, or no weights of theirs; nothing is set then.
        """
        x, weights = weighted_rows(x, weights, self.event_size)
        loc, scale = loc_and_scale(x, weights)
        weights = np.ones(len(x)) if weights is None else weights
        z = (x - loc) / scale
        z[:, list(self.keep)] = 0.0
        few = _by_distance(z, weights)
        power = _most_normal(z[few], weights[few])
        if self.only_narrow and not is_narrow(z, weights):
            u, _ = _psi(tf.constant(z), tf.constant(power))
            center, spread = loc_and_scale(u.numpy(), weights)
            power = power if is_narrow((u.numpy() - center) / spread, weights) else np.ones(self.event_size)
        loc, scale = np.where(power == 1, 0.0, loc), np.where(power == 1, 1.0, scale)
        for variable, value in ((self.loc, loc), (self.scale, scale), (self.power, power)):
            variable.assign(value)

    def of_any_dtype(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse(x)` and its log-det, `[..., D]` and `[...]`, in the dtype of the rows, whichever that is."""
        x, _, whole = as_rows(x, {})
        high, low, scale, power = self._in(x.dtype)
        z = ((x - high) - low) / scale
        u, log_slope = _psi(z, power)
        return whole(u), whole(tf.reduce_sum(log_slope, axis=-1) - tf.reduce_sum(tf.math.log(scale)))

    def _in(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        return *in_two_parts(self.loc, dtype), tf.cast(self.scale, dtype), tf.cast(self.power, dtype)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self.of_any_dtype(x)[0]

    def _inverse_log_det_jacobian(self, x: tf.Tensor) -> tf.Tensor:
        return self.of_any_dtype(x)[1]

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        u, _, whole = as_rows(u, {})
        high, low, scale, power = self._in(u.dtype)
        sign, exponent = _branch(u, power)
        largest = np.log(u.dtype.max) - 1 - tf.math.log(tf.maximum(scale, 1.0))  # what is beyond is put there
        log = tf.minimum(_log1p_of(exponent, sign * u), largest)
        return whole((scale * tf.where(power == 1, u, sign * tf.math.expm1(log)) + low) + high)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        u, _, whole = as_rows(u, {})
        _, _, scale, power = self._in(u.dtype)
        sign, exponent = _branch(u, power)
        log = _log1p_of(exponent, sign * u)
        return whole(tf.reduce_sum((1 - exponent) * log, axis=-1) + tf.reduce_sum(tf.math.log(scale)))

    @classmethod
    def _is_increasing(cls) -> bool:
        return True


def _psi(z: tf.Tensor, power: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """psi of each number, and the logarithm of its slope."""
    sign, exponent = _branch(z, power)
    log = tf.math.log1p(tf.minimum(sign * z, z.dtype.max))
    return tf.where((power == 1) | tf.math.is_inf(z), z, sign * _expm1_of(exponent, log)), (exponent - 1) * log


def _branch(z: tf.Tensor, power: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The sign of each number, 1 for 0, and the exponent that belongs to that side."""
    is_above = z >= 0
    return tf.where(is_above, tf.ones_like(z), -tf.ones_like(z)), tf.where(is_above, power, 2 - power)


def _expm1_of(exponent: tf.Tensor, log: tf.Tensor) -> tf.Tensor:
    """`(exp(a log) - 1) / a`, and its limit for a = 0."""
    a = tf.where(exponent == 0, tf.ones_like(exponent), exponent)
    return tf.where(exponent == 0, log, tf.math.expm1(a * log) / a)


def _log1p_of(exponent: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """The inverse of `_expm1_of` in its logarithm: `log(1 + a size) / a`, and its limit for a = 0."""
    a = tf.where(exponent == 0, tf.ones_like(exponent), exponent)
    return tf.where(exponent == 0, size, tf.math.log1p(a * size) / a)


def _by_distance(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The rows of `z [N, D]` to choose powers by: some of all, which may be in order, the farthest at the end."""
    few = np.random.default_rng(0).permutation(np.flatnonzero(weights > 0))
    few = few[: min(MOST_ROWS, MOST_NUMBERS // z.shape[1] + 1)]
    return few[np.argsort(np.abs(z[few]).max(axis=1), kind="stable")]


def _most_normal(z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The powers `[D]` of columns `z [N, D]`, standardised, with weights `[N]`, by distance."""
    near = slice(len(z) - len(z) // FAR_OUT)
    counted = weights[near].sum() ** 2 / (weights[near] ** 2).sum()  # as many that count alike would say as much
    if counted < FEWEST_ROWS:
        return np.ones(z.shape[1])
    latents, nll = _of_powers(z[near], weights[near])
    of_all = _of_powers(z, weights)[1]
    nll = np.where(of_all > of_all[:, ONE, None] + MOST_HARM, np.inf, nll)
    least = 0.5 * np.log(counted) / counted
    alone = np.array([_that_pays(each, least) for each in nll])
    if not 1 < len(nll) <= MOST_COLUMNS:
        return POWERS[alone]
    least = max(LEAST_GAIN, least)
    curved, straight = (_climbed(latents, nll, least, start) for start in (alone, np.full_like(alone, ONE)))
    return POWERS[straight[1] if straight[0] < curved[0] - least else curved[1]]


def _of_powers(z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the powers, the latents `[D, N, P]` and the NLL `[D, P]` of columns `z [N, D]`."""
    z = np.where(np.ptp(z, axis=0) > 1e-9, z, 0.0)  # of a constant, rounded or not, no power says more than another
    latents, nll = zip(*(_normal_latents(z, power, weights / weights.sum()) for power in POWERS), strict=True)
    return np.stack(latents, axis=-1), np.stack(nll, axis=-1)


def _normal_latents(z: np.ndarray, power: float, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The latents `[D, N]` of one power, whose products are correlations, and the NLL `[D]` of each column by them."""
    u, log_slope = (part.numpy() for part in _psi(tf.constant(z), tf.constant(power)))
    u = (u - shares @ u) * np.sqrt(shares)[:, None]
    variance = np.sum(u**2, axis=0)
    variance = np.where(variance > 0, variance, 1.0)  # of constants, none
    return (u / np.sqrt(variance)).T, 0.5 * np.log(variance) - shares @ log_slope


def _that_pays(nll: np.ndarray, least: float) -> int:
    """Which of the powers has the least NLL, if that is less than that of one by what a parameter costs; else one."""
    best = int(np.argmin(nll))
    return best if nll[ONE] - nll[best] > least else ONE


def _climbed(latents: np.ndarray, nll: np.ndarray, least: float, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The NLL of a Gaussian with all correlations, and which powers it has: changed one by one, each for a gain."""
    columns, which = np.arange(len(nll)), start.copy()
    u = latents[columns, :, which]
    correlations = (1 - SHRINKAGE) * u @ u.T + SHRINKAGE * np.eye(len(u))
    for _ in range(MOST_ROUNDS):
        before = which.copy()
        for j in columns:
            others = columns != j
            shared = (1 - SHRINKAGE) * u[others] @ latents[j]
            known = np.sum(shared * np.linalg.solve(correlations[np.ix_(others, others)], shared), axis=0)
            left = np.maximum(1 - known, SHRINKAGE)  # by the others, of the variance of each power of this column
            of_powers = nll[j] + 0.5 * np.log(left)
            best = int(np.argmin(of_powers))
            if of_powers[which[j]] - of_powers[best] > least:
                which[j], u[j] = best, latents[j, :, best]
                correlations[j, others] = correlations[others, j] = shared[:, best]
        if (which == before).all():
            break
    return nll[columns, which].sum() + 0.5 * np.linalg.slogdet(correlations)[1], which
