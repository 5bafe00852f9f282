"""Rows to train on, from wherever they come, as batches of one fixed size."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.datasets import Dataset, as_rows
from tfp_flows.errors import InputError

__all__ = ["Rows", "Source", "as_source", "batches_of", "identity_of", "steps_at_once", "untuned"]

FRESH_STEPS = 100  # steps of an "epoch" where rows are drawn afresh and never end
MOST_AT_ONCE = 25  # steps between two looks of Keras, its callbacks and Ctrl-C
STATISTICS_ROWS = 100_000  # rows of an endless or large stream that statistics are computed from


class Rows(NamedTuple):
    """Rows in memory: `x [N, D]`, `context [N, C]` or None, `weight [N]` or None."""

    x: np.ndarray
    context: np.ndarray | None = None
    weight: np.ndarray | None = None

    def take(self, index: Any) -> "Rows":
        """The rows of an index or slice."""
        return Rows(*(None if part is None else part[index] for part in self))

    def present(self) -> dict[str, np.ndarray]:
        """The parts that are there, by name."""
        return {name: part for name, part in self._asdict().items() if part is not None}


class Source(NamedTuple):
    """What `fit` trains on: batches, how many make an epoch, and the rows that statistics come from.

    `batches(start)` are those from step `start` on, the same as if the steps before had been taken: what a step trains
    on is a function of the seed and of its number. With `in_blocks`, each element is a block of that many batches, and
    `start` a multiple of it; with 0, it is a batch.

    `held_out` has the numbers, from 0, of the rows of x that validate; None if they were not taken from x. `identity`
    tells these rows from others, in a checkpoint; a stream of the user's own has none, and its batches can be counted
    up to, but not found again.
    """

    batches: Callable[[int], tf.data.Dataset]
    steps: int
    rows: Rows
    validation: Rows | None
    entropy: float | None
    in_blocks: int = 0
    held_out: np.ndarray | None = None
    identity: str | None = None


def as_source(
    x: Any,
    context: Any,
    weight: Any,
    *,
    event_size: int,
    dtype: str,
    batch_size: int,
    steps_per_epoch: int | None,
    validation_split: float,
    in_blocks: bool,
    seed: int,
) -> Source:
    """Batches of what the user gave: a dataset with a known law, a `tf.data.Dataset`, or rows in memory.

    With `in_blocks`, several of them together, but for a `tf.data.Dataset`, whose batches need not be equal.
    """
    if isinstance(x, (Dataset, tf.data.Dataset)) and not (context is None and weight is None):
        raise InputError("context and sample_weight go with rows in memory; put them into the tf.data.Dataset.")
    if isinstance(x, Dataset):
        return _drawn_afresh(x, event_size, dtype, batch_size, steps_per_epoch or FRESH_STEPS, in_blocks, seed)
    if isinstance(x, tf.data.Dataset):
        return _streamed(x, steps_per_epoch, dtype)
    rows = check_rows(x, context, weight, event_size=event_size, dtype=dtype, purpose="train")
    return _in_memory(rows, batch_size, steps_per_epoch, validation_split, in_blocks, seed)


def steps_at_once(steps: int) -> int:
    """How many of an epoch's steps run before Keras looks up: all the blocks of an epoch are equal."""
    return max(i for i in range(1, 1 + min(steps, MOST_AT_ONCE)) if steps % i == 0)


def _in_equal_blocks(steps: int) -> int:
    """The number of steps, or the few less that make equal blocks: a prime number of them would run one by one."""
    sizes = range(min(steps, MOST_AT_ONCE // 2 + 1), min(steps, MOST_AT_ONCE) + 1)
    return steps - min(steps % size for size in sizes)


def check_rows(x: Any, context: Any, weight: Any, *, event_size: int, dtype: str, purpose: str) -> Rows:
    """The user's arrays as `Rows`; `InputError` if they do not fit together."""
    x = as_rows(x, name="x", event_size=event_size, purpose=purpose).astype(dtype)
    if context is not None:
        context = as_rows(context, name="context", purpose="score").astype(dtype)
    if weight is not None:
        weight = as_rows(weight, name="sample_weight", event_size=1, purpose="score").astype(dtype)[:, 0]
        if (weight < 0).any() or not weight.any():
            raise InputError(f"sample_weight must be at least 0, and not all 0; got a minimum of {weight.min():g}.")
    for name, part in (("context", context), ("sample_weight", weight)):
        if part is not None and len(part) != len(x):
            raise InputError(f"{name} must have a row for each of the {len(x)} rows of x; got {len(part)}.")
    return Rows(x, context, weight)


def batches_of(rows: Rows, size: int) -> tf.data.Dataset:
    """All the rows, in order, in equal batches: what is missing in the last is filled with rows of weight zero.

    Equal batches mean one compiled function; and no row is lost.
    """
    n = len(rows.x)
    steps = -(-n // size)
    size = -(-n // steps)
    weight = np.ones(n, rows.x.dtype) if rows.weight is None else rows.weight
    index = np.minimum(np.arange(steps * size), n - 1)
    padded = rows._replace(weight=weight).take(index)
    padded.weight[n:] = 0
    return untuned(tf.data.Dataset.from_tensor_slices(padded.present()).batch(size, drop_remainder=True).map(_as_tuple))


def _as_tuple(parts: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A batch for Keras, with nothing left out: under a distribution strategy it fails on None.

    A missing context has no columns, and missing weights are ones.
    """
    x = parts["x"]
    context = parts.get("context", x[..., :0])
    return x, context, parts.get("weight", tf.ones_like(x[..., 0]))


def _in_memory(
    rows: Rows, batch_size: int, steps: int | None, validation_split: float, in_blocks: bool, seed: int
) -> Source:
    order = np.random.default_rng(seed).permutation(len(rows.x))
    held_out = order[: round(validation_split * len(rows.x))]
    train = rows.take(order[len(held_out) :])
    if len(train.x) < 2:
        raise InputError(
            f"validation_split={validation_split} leaves {len(train.x)} of {len(rows.x)} rows to train on."
        )
    batch_size = min(batch_size, len(train.x))
    used = len(train.x) // batch_size * batch_size
    steps = steps or _in_equal_blocks(used // batch_size)

    @functools.lru_cache(2)
    def order_of(a_pass: int) -> np.ndarray:
        return np.random.default_rng([seed, 1, a_pass]).permutation(len(train.x))[:used]

    def draw(start: int, size: int) -> Rows:
        first, last = start // used, (start + size - 1) // used
        index = np.concatenate([order_of(a_pass) for a_pass in range(first, last + 1)])
        return train.take(index[start - first * used :][:size])

    return Source(
        _generated(draw, train, batch_size, steps, in_blocks),
        *(steps, train, rows.take(held_out) if len(held_out) else None, None),
        in_blocks=steps_at_once(steps) if in_blocks else 0,
        held_out=held_out,
        identity=identity_of(rows),
    )


def _drawn_afresh(
    dataset: Dataset, event_size: int, dtype: str, batch_size: int, steps: int, in_blocks: bool, seed: int
) -> Source:
    if dataset.event_size != event_size:
        raise InputError(f"{dataset.name} has rows of {dataset.event_size}; the flow has event_size={event_size}.")
    split = dataset.split(seed)
    epoch = steps * batch_size

    @functools.lru_cache(1)
    def rows_of(number: int) -> np.ndarray:
        return dataset.sample(epoch, np.random.default_rng([seed, 1, number])).astype(dtype)

    def draw(start: int, size: int) -> Rows:
        return Rows(rows_of(start // epoch)[start % epoch :][:size])  # as blocks never reach over the end of an epoch

    train, validation = Rows(split.train.astype(dtype)), Rows(split.validation.astype(dtype))
    return Source(
        _generated(draw, train, batch_size, steps, in_blocks),
        *(steps, train, validation, dataset.entropy),
        in_blocks=steps_at_once(steps) if in_blocks else 0,
        identity=f"{dataset.name} {dataset.config}",
    )


def identity_of(*tables: Rows | None) -> str:
    """A short text that differs as soon as one number in these rows does."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (part for rows in tables if rows is not None for part in rows if part is not None):
        digest.update(f"{part.dtype} {part.shape}".encode())
        digest.update(np.ascontiguousarray(part))
    return digest.hexdigest()


def _generated(
    draw: Callable[[int, int], Rows], like: Rows, batch_size: int, steps: int, in_blocks: bool
) -> Callable[[int], tf.data.Dataset]:
    """Endless batches, or blocks of batches, from any step on: Python is not asked for each batch.

    `draw(start, size)` gives so many rows from row `start` of the training on.
    """
    at_once = steps_at_once(steps)
    leading = (at_once,) if in_blocks else (None,)
    shapes = {name: (*leading, batch_size, *part.shape[1:]) for name, part in like.present().items()}
    types = [part.dtype for part in like.present().values()]
    size = at_once * batch_size

    def rows_of(block: np.ndarray) -> list[np.ndarray]:
        rows = draw(int(block) * size, size)
        return [part.reshape(-1, batch_size, *part.shape[1:]) for part in rows.present().values()]

    def block_of(number: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = tf.numpy_function(rows_of, [number], types)
        return {name: tf.ensure_shape(part, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def batches(start: int = 0) -> tf.data.Dataset:
        # Not from_generator: it makes malloc return every larger buffer to the system, which slows down all steps.
        blocks = tf.data.Dataset.counter(start // at_once).map(block_of).prefetch(1)
        each = blocks if in_blocks else blocks.unbatch().skip(start % at_once)
        return untuned(each.map(_as_tuple).prefetch(4))

    return batches


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without tf.data's search for better settings, for whose thread its iterator waits at the end.

    That took 19 s now and then; there is nothing to be tuned in ours.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _streamed(batches: tf.data.Dataset, steps: int | None, dtype: str) -> Source:
    """A user's own pipeline: its batches as they are, and the first rows of it for the statistics."""
    steps = steps or int(batches.cardinality())
    if steps < 0:
        raise InputError("steps_per_epoch is needed for a tf.data.Dataset that does not know its length.")
    parts, count = [], 0
    for batch in batches.take(steps).as_numpy_iterator():
        batch = batch if isinstance(batch, tuple) else (batch,)
        parts.append(Rows(*(None if part is None else np.asarray(part) for part in batch)))
        count += len(parts[-1].x)
        if count >= STATISTICS_ROWS:
            break
    if not parts:
        raise InputError("x is a tf.data.Dataset with no batches in it.")
    joined = Rows(*(None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True)))
    rows = joined._replace(x=joined.x.astype(dtype))
    return Source(lambda start=0: batches.repeat().skip(start), steps, rows, None, None)
