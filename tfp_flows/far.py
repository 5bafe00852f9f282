"""Rows so far away that floats cannot hold their latents: no density, and no harm to other rows' gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.rows import as_rows

__all__ = ["log_prob_of_any_rows"]

INSIDE = 0.5  # in the support of any layer: of those on the real line, on positive numbers, on (0, 1)


def log_prob_of_any_rows(log_prob: Callable[..., tf.Tensor], x: tf.Tensor, most: float, **kwargs: Any) -> tf.Tensor:
    """`log_prob(x, **kwargs)`, and -inf where the latent of a row is too large for its float, never NaN.

    A row is far if one of its numbers is larger than `most`: the largest float, or the root of it where the rows are
    standardised already. The layers get another row in its place: what they would compute is infinite or NaN, and so
    would be the gradient in the weights, of all the rows together. Rows that overflow further on have the density 0
    too. NaN, in x or in the context, stays NaN.
    """
    rows, given, whole = as_rows(x, kwargs)
    far = tf.reduce_any(tf.abs(rows) > tf.constant(most, x.dtype), axis=-1)
    found = log_prob(tf.where(far[..., tf.newaxis], tf.constant(INSIDE, x.dtype), rows), **given)
    known = ~_has_nan(rows)
    if given.get("context") is not None:
        known = known & ~_has_nan(given["context"])
    none = tf.constant(-np.inf, found.dtype)
    return whole(tf.where(far | (tf.math.is_nan(found) & known), none, found))


def _has_nan(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(tf.math.is_nan(x), axis=-1)
