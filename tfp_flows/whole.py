"""Columns of whole numbers: a density of x + u with u uniform on [0, 1), which gives probabilities of x a lower bound.

    P(x) = integral{ p(x + u) : u in [0, 1)^M },      log P(x) >= E_u log p(x + u)        M columns of whole numbers

A flow that is trained on x + u, with fresh u in every batch, is trained on the right side. Theis et al.,
arXiv:1511.01844; Uria et al., arXiv:1306.0186.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.rows import as_rows

__all__ = ["log_prob_of_whole", "mean_noise", "rounded_down", "with_noise"]

NOISES = 8  # points that the bound is estimated with
STEPS = 2.0**20  # of noise: x + u is exact in float64 up to 4e9, and never on an end of [x, x + 1]


def with_noise(x: np.ndarray, columns: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    """Rows `x [..., D]` in float64, with uniform noise of (0, 1) added to the columns; x itself if there are none."""
    if not columns:
        return x
    noisy = np.array(x, np.float64)
    noisy[..., list(columns)] += (rng.integers(int(STEPS), size=(*x.shape[:-1], len(columns))) + 0.5) / STEPS
    return noisy


def log_prob_of_whole(
    log_density: Callable[..., tf.Tensor],
    x: tf.Tensor,
    columns: Sequence[int],
    support: tuple[np.ndarray, np.ndarray] | None,
    dtype: tf.DType,
    **kwargs: Any,
) -> tf.Tensor:
    """An estimate of `E_u log_density(x + u)` for rows `[..., D]`, with u in those columns.

    It is -inf where they are not whole, or outside the support, whose ends are inside: `[D]` each.
    Otherwise it is the mean over `NOISES` values of u, always the same, which are evenly spread in each column; with
    `training=True`, over one that is drawn afresh. NaN stays NaN.
    """
    x, given, whole = as_rows(tf.cast(x, tf.float64), kwargs)
    mask = _mask(columns, x.shape[-1])
    is_broken = mask & (tf.math.floor(x) != x) & ~tf.math.is_nan(x)
    if support is not None:
        is_broken |= mask & ((x < support[0]) | (x > support[1]))
    if given.get("training"):
        drawn = tf.random.uniform(tf.shape(x), dtype=tf.float64)
        noise = tf.where(mask, (tf.math.floor(drawn * STEPS) + 0.5) / STEPS, 0.0)
        mean = log_density(tf.cast(x + noise, dtype), **given)
    else:
        spread = _evenly_spread(columns, x.shape[-1])
        noise = tf.constant(spread.reshape(NOISES, *[1] * (x.shape.rank - 1), x.shape[-1]))
        if given.get("context") is not None:
            batch, size = tf.concat([[NOISES], tf.shape(x)[:-1]], 0), given["context"].shape[-1:]
            given = given | {"context": tf.broadcast_to(given["context"], tf.concat([batch, size], 0))}
        mean = tf.reduce_mean(log_density(tf.cast(x + noise, dtype), **given), axis=0)
    return whole(tf.where(tf.reduce_any(is_broken, axis=-1), tf.constant(-np.inf, mean.dtype), mean))


def mean_noise(columns: Sequence[int], event_size: int) -> np.ndarray:
    """A half in the columns, zero in the others: what noise comes to on average."""
    return np.where(_mask(columns, event_size), 0.5, 0.0)


def rounded_down(x: tf.Tensor, columns: Sequence[int], support: tuple[np.ndarray, np.ndarray] | None) -> tf.Tensor:
    """Rows `[..., D]` with whole numbers in the columns, the nearest in their support."""
    x, _, whole = as_rows(x, {})
    rounded = tf.math.floor(x)
    if support is not None:
        rounded = tf.minimum(tf.maximum(rounded, tf.cast(support[0], x.dtype)), tf.cast(support[1], x.dtype))
    return whole(tf.where(_mask(columns, x.shape[-1]), rounded, x))


def _mask(columns: Sequence[int], event_size: int) -> np.ndarray:
    return np.isin(np.arange(event_size), list(columns))


def _evenly_spread(columns: Sequence[int], event_size: int) -> np.ndarray:
    """Noises `[NOISES, D]`: in each column the middles of so many parts of [0, 1), in an order of its own."""
    order = np.random.default_rng(0).random((len(columns), NOISES)).argsort(axis=1)
    noises = np.zeros((NOISES, event_size))
    noises[:, list(columns)] = (order.T + 0.5) / NOISES
    return noises
