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

    A row is far if its numbers come to more than `most`: the largest float, or the root of it where the rows are
    standardised already. The layers get another row in its place: what they would compute is infinite or NaN, and so
    would be the gradient in the weights, of all the rows together. Rows that overflow further on have the density 0
    too. NaN, in x or in the context, stays NaN.
    """
    rows, given, whole = as_rows(x, kwargs)
    size = tf.reduce_sum(tf.abs(rows), axis=-1)  # NaN where a number is
    near = size <= tf.constant(most, x.dtype)
    found = log_prob(tf.where(near[..., tf.newaxis], rows, tf.constant(INSIDE, x.dtype)), **given)
    unknown = tf.math.is_nan(size)
    if given.get("context") is not None:
        unknown = unknown | _has_nan(given["context"])
    instead = tf.where(unknown, tf.constant(np.nan, found.dtype), tf.constant(-np.inf, found.dtype))
    return whole(tf.where(near & ~tf.math.is_nan(found), found, instead))


def _has_nan(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_any(tf.math.is_nan(x), axis=-1)
