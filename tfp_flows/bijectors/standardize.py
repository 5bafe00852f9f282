"""The first thing that a chain does to data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import as_dtype, check_columns, check_flags, check_sizes, given
from tfp_flows.covariance import MOST_COLUMNS, is_narrow, shrunk_correlation
from tfp_flows.datasets.table import weighted_rows
from tfp_flows.recipe import Recorded, spend

__all__ = ["Standardize", "in_two_parts", "loc_and_scale"]

ROUNDING = 16  # units in the last place, which numbers that are equal but for how they were computed may differ by


class Standardize(Recorded, tfp.bijectors.Bijector):
    """Takes data to mean zero and standard deviation one, so that log-probabilities stay in the data's own units.

    ```
    forward   x = loc + scale u
    inverse   u = (x - loc) / scale
    forward_log_det_jacobian(u) = sum{ log(scale[i]) : i=1...D }, a constant
    ```

    With `whiten`, it takes data to a covariance that is the identity: `u = W (x - loc) / scale`, with the lower
    triangular W whose inverse is the Cholesky factor of the correlations, and `-log|det W|` in the log-det.
    Correlations are shrunk towards zero as far as rows that are left out ask for: much where rows are few. With
    `whiten=None` it does so if a combination of columns nearly is constant, and W is the identity otherwise.

    `loc` and `scale` are variables that no optimiser trains: zero and one until `set_statistics` is called, which
    `tff.fit` does with the training rows. They are float64, and rows of float64 stay so until their mean is taken
    off: seconds since 1970 lose in float32 all that tells them apart, and afterwards nothing.

    Args:
      event_size: D.
      whiten: whether correlations are taken off as well; None leaves it to the rows, of at most 128 columns.
      keep: columns, by their numbers from 0, that stay as they are: loc 0, scale 1, no correlation taken off.
      dtype: of what the other layers work with.
      name: name of the layer, and prefix of its variables' names.

    Example:

    >>> import numpy as np, tfp_flows as tff
    >>> layer = tff.bijectors.Standardize(1)
    >>> layer.set_statistics(np.array([[10.0], [14.0]]))
    >>> layer.inverse(np.array([[12.0], [14.0]], "float32")).numpy().tolist()
    [[0.0], [1.0]]
    """

    def __init__(
        self,
        event_size: int,
        *,
        whiten: bool | None = False,
        keep: Sequence[int] = (),
        dtype: str = "float32",
        name: str = "standardize",
    ) -> None:
        check_sizes(event_size=event_size)
        check_flags(**given(whiten=whiten))
        dtype = as_dtype(dtype)
        has_whitening = 1 < event_size <= MOST_COLUMNS if whiten is None else whiten
        spend(event_size**2 if has_whitening else event_size)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, dtype=tf.as_dtype(dtype), name=name)
        self.event_size, self.keep = event_size, check_columns("keep", keep, event_size)
        self.loc = tf.Variable(np.zeros(event_size), trainable=False, name=f"{name}/loc")
        self.scale = tf.Variable(np.ones(event_size), trainable=False, name=f"{name}/scale")
        self.whiten, self.whitening = whiten, None
        if has_whitening:
            self.whitening = tf.Variable(np.eye(event_size), trainable=False, name=f"{name}/whitening")

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        return {}

    @property
    def is_untouched(self) -> bool:
        """Whether it still is the identity that it starts as."""
        whitening = np.eye(self.event_size) if self.whitening is None else self.whitening.numpy()
        is_identity = (whitening == np.eye(self.event_size)).all()
        return bool(is_identity and (self.scale.numpy() == 1).all() and (self.loc.numpy() == 0).all())

    def set_statistics(self, x: Any, weights: np.ndarray | None = None) -> None:
        """Sets the statistics to those of the rows `x [N, D]`, weighted by `weights [N]`.

        The scale of a column that is constant stays one: in a context there may be such columns.

        Raises:
          InputError: for rows that are not `[N, D]` and finite, or no weights of theirs; nothing is set then.
        """
        x, weights = weighted_rows(x, weights, self.event_size)
        loc, scale = loc_and_scale(x, weights)
        kept = list(self.keep)
        loc[kept], scale[kept] = 0.0, 1.0
        self.loc.assign(loc)
        self.scale.assign(scale)
        if self.whitening is not None:
            z = (x - loc) / scale
            z[:, kept] = 0.0  # a constant has no correlation
            is_wanted = self.whiten or is_narrow(z, weights)
            correlation = shrunk_correlation(z, weights) if is_wanted else np.eye(self.event_size)
            self.whitening.assign(np.linalg.inv(np.linalg.cholesky(correlation)))

    def of_any_dtype(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """`inverse(x)` of rows of any dtype, `[..., D]` in the layer's, and its log-det `[]`."""
        return self.standardized(x), -self._forward_log_det_jacobian(x)

    def standardized(self, x: tf.Tensor) -> tf.Tensor:
        """`inverse(x)` of rows of any type, float64 ones included: a `tfb.Bijector` takes those of its own type."""
        high, low, scale = self._in(x.dtype)
        z = ((x - high) - low) / scale
        if self.whitening is not None:
            far = np.finfo(x.dtype.as_numpy_dtype).max ** 0.8  # an infinite number would make its whole row NaN
            z = tf.clip_by_value(z, -far, far)  # tf.where takes no more than nine dimensions
            z = tf.tensordot(z, tf.cast(self.whitening, x.dtype), [[-1], [1]])
        return tf.cast(z, self.dtype)

    def _in(self, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """loc, what rounding it leaves out, and scale: with the two parts of loc, float32 rows need no float64."""
        return *in_two_parts(self.loc, dtype), tf.cast(self.scale, dtype)

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        high, low, scale = self._in(u.dtype)
        if self.whitening is not None:
            rows = tf.transpose(tf.reshape(u, [-1, self.event_size]))
            solved = tf.linalg.triangular_solve(tf.cast(self.whitening, u.dtype), rows, lower=True)
            u = tf.reshape(tf.transpose(solved), tf.shape(u))
        return (scale * u + low) + high

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return self.standardized(x)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        log_det = tf.reduce_sum(tf.math.log(self.scale))
        if self.whitening is not None:
            log_det -= tf.reduce_sum(tf.math.log(tf.linalg.diag_part(self.whitening)))
        return tf.cast(log_det, self.dtype)

    @classmethod
    def _is_increasing(cls) -> bool:
        return True


def in_two_parts(loc: tf.Variable, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """float64 numbers in another type, and what rounding leaves out."""
    high = tf.cast(loc, dtype)
    return high, tf.cast(loc - tf.cast(high, tf.float64), dtype)


def loc_and_scale(x: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the standard deviation of each column of `x [N, D]`; of one that is constant, its number and 1."""
    exponent = np.frexp(np.abs(x).max(axis=0))[1]  # the sum of the largest numbers there are would be infinite
    loc = np.ldexp(np.average(np.ldexp(x, -exponent), axis=0, weights=weights), exponent)
    counted = x if weights is None else x[weights > 0]
    varies = np.ptp(counted, axis=0) > ROUNDING * np.spacing(np.abs(counted).max(axis=0))
    loc = np.where(varies, loc, counted[0])  # the mean of equal numbers is rounded
    size = np.abs(x - loc).max(axis=0)
    size = np.where(size > 0, size, 1.0)  # squares of the smallest numbers would be 0, of the largest infinite
    scale = size * np.sqrt(np.average(((x - loc) / size) ** 2, axis=0, weights=weights))
    return loc, np.where(varies & (scale > 0), scale, 1.0)
