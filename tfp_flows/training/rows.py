"""Rows to train on, from wherever they come, as batches of one fixed size."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_names
from tfp_flows.datasets import Dataset, as_rows, as_table, matched
from tfp_flows.datasets.table import as_weights, check_order
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.training.given import check_parts
from tfp_flows.training.inside import check_inside
from tfp_flows.training.noise import Noise, floating
from tfp_flows.training.strata import places_on_a_curve, stratified
from tfp_flows.words import plural

__all__ = ["Rows", "Source", "as_source", "as_validation", "batches_of", "identity_of", "steps_at_once", "untuned"]

LARGEST_BATCH = 500
SMALLEST_BATCH = 32  # and a twentieth of the rows in between: benchmarks/tables_of_users.py
FRESH_STEPS = 100  # steps of an "epoch" where rows are drawn afresh and never end
MOST_AT_ONCE = 25  # steps between two looks of Keras, its callbacks and Ctrl-C
STATISTICS_ROWS = 100_000  # rows of an endless or large stream that statistics are computed from


class Rows(NamedTuple):
    """Rows in memory: `x [N, D]`, `context [N, C]` or None, `weight [N]`, float64, or None."""

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
    on is a function of the seed and of its number; so is the noise, which batches have, but not the rows in memory.
    With `in_blocks`, each element is a block of that many batches, and `start` a multiple of it; with 0, it is a batch.

    `columns` and `context_columns` are the names of columns, where the rows came with some. `held_out` has the numbers,
    from 0, of the rows of x that validate; None if they were not taken from x. `identity` tells these rows from others,
    in a checkpoint; a stream of the user's own has none, and its batches can be counted up to, but not found again.
    """

    batches: Callable[[int], tf.data.Dataset]
    steps: int
    rows: Rows
    validation: Rows | None
    entropy: float | None
    in_blocks: int = 0
    held_out: np.ndarray | None = None
    identity: str | None = None
    columns: Sequence[str] | None = None
    context_columns: Sequence[str] | None = None


def as_source(
    x: Any,
    context: Any,
    weight: Any,
    flow: Flow,
    *,
    batch_size: int | None,
    steps_per_epoch: int | None,
    validation_split: float,
    in_blocks: bool,
    noise: Noise,
) -> Source:
    """Batches of what the user gave: a dataset with a known law, a `tf.data.Dataset`, or rows in memory.

    With `in_blocks`, several of them together, but for a `tf.data.Dataset`, whose batches need not be equal.
    """
    if isinstance(x, (Dataset, tf.data.Dataset)) and not (context is None and weight is None):
        raise InputError("context and sample_weight go with rows in memory; put them into the tf.data.Dataset.")
    if isinstance(x, Dataset):
        steps, size = steps_per_epoch or FRESH_STEPS, batch_size or LARGEST_BATCH
        return _drawn_afresh(x, flow, size, steps, in_blocks, noise)
    if isinstance(x, tf.data.Dataset):
        return _streamed(x, steps_per_epoch, flow, noise)
    check_order(x=x, context=context, sample_weight=weight)
    table = as_table(x, name="x")
    given = None if context is None else as_table(context, name="context")
    check_names("x", table.columns)
    check_names("context", given and given.columns)
    rows = check_rows(table, given, weight, flow, flow.columns, flow.context_columns)
    source = _in_memory(rows, batch_size, steps_per_epoch, validation_split, in_blocks, noise)
    return source._replace(columns=table.columns, context_columns=given and given.columns)


def as_validation(data: Any, flow: Flow, columns: Sequence[str] | None, context_columns: Sequence[str] | None) -> Rows:
    """The rows of `validation_data`: x, `(x, context)` or `(x, context, sample_weight)`, checked as those of x are."""
    parts = data if isinstance(data, tuple) else (data,)
    check_parts("validation_data", parts)
    x, context, weight = (*parts, None, None)[:3]
    if isinstance(x, (Dataset, tf.data.Dataset)):
        raise InputError(f"validation_data must be rows in memory, or (x, context) of them; got a {type(x).__name__}.")
    check_order(validation_data=x, context=context, sample_weight=weight)
    return check_rows(as_table(x, name="validation_data"), context, weight, flow, columns, context_columns)


def steps_at_once(steps: int) -> int:
    """How many of an epoch's steps run before Keras looks up: all the blocks of an epoch are equal."""
    return max(i for i in range(1, 1 + min(steps, MOST_AT_ONCE)) if steps % i == 0)


def _in_equal_blocks(steps: int) -> int:
    """The number of steps, or the few less that make equal blocks: a prime number of them would run one by one."""
    sizes = range(min(steps, MOST_AT_ONCE // 2 + 1), min(steps, MOST_AT_ONCE) + 1)
    return steps - min(steps % size for size in sizes)


def check_rows(
    x: Any,
    context: Any,
    weight: Any,
    flow: Flow,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> Rows:
    """The user's tables as `Rows`, with the columns in the order of those names; `InputError` if they do not fit.

    Rows of float64 stay so if the flow standardises them, whatever its dtype: it takes off their mean before it rounds.
    """
    dtype = flow.dtype.as_numpy_dtype
    name, labels = getattr(x, "name", "x"), columns or getattr(x, "columns", None)
    x = matched(x, columns, event_size=flow.event_size)
    check_inside(flow, x, labels, name)
    x = x if flow.takes_float64 else x.astype(dtype)
    if context is not None:
        context = matched(context, context_columns, name="context", event_size=flow.context_size or None)
    if weight is not None:
        weight = _of_mean_one(weight)
    for name, part in (("context", context), ("sample_weight", weight)):
        if part is not None and len(part) != len(x):
            raise InputError(f"{name} must have a row for each of the {plural(len(x), 'row')} of x; got {len(part)}.")
    return Rows(x, context, weight)


def _of_mean_one(weight: Any) -> np.ndarray:
    """Weights `[N]` with a mean of one, in float64; `InputError` for what are none."""
    weight = as_weights(weight)
    weight = weight / weight.max()  # sums of the largest numbers there are would be infinite
    return weight / weight.mean()


def batches_of(rows: Rows, size: int) -> tf.data.Dataset:
    """All the rows, in order, in equal batches: what is missing in the last is filled with rows of weight zero.

    Equal batches mean one compiled function; and no row is lost.
    """
    n = len(rows.x)
    steps = -(-n // size)
    size = -(-n // steps)
    weight = np.ones(n) if rows.weight is None else rows.weight
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
    rows: Rows, batch_size: int | None, steps: int | None, validation_split: float, in_blocks: bool, noise: Noise
) -> Source:
    seed = noise.seed
    order = np.random.default_rng(seed).permutation(len(rows.x))
    candidates = order if rows.weight is None else order[rows.weight[order] > 0]  # others would say nothing
    held_out = candidates[: round(validation_split * len(candidates))]
    train = rows.take(order[~np.isin(order, held_out)] if rows.weight is not None else order[len(held_out) :])
    if len(train.x) < 2:
        raise InputError(
            f"x must have at least 2 rows to train on, beside those of validation_split={validation_split}; got "
            f"{len(train.x)} of {plural(len(rows.x), 'row')}."
        )
    batch_size = min(batch_size or batch_size_for(len(train.x)), len(train.x))
    used = len(train.x) // batch_size * batch_size
    steps = steps or _in_equal_blocks(used // batch_size)
    drawn = train._replace(weight=None)
    place = places_on_a_curve(train.x, train.context)

    @functools.lru_cache(2)
    def order_of(a_pass: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 1, a_pass])
        index = _one_pass(train, rng)[:used]
        return index[stratified(place[index], batch_size, rng)]

    @_with(noise)
    def draw(start: int, size: int) -> Rows:
        first, last = start // used, (start + size - 1) // used
        index = np.concatenate([order_of(a_pass) for a_pass in range(first, last + 1)])
        return drawn.take(index[start - first * used :][:size])

    return Source(
        _generated(draw, draw(0, 1), batch_size, steps, in_blocks),
        *(steps, train, rows.take(held_out) if len(held_out) else None, None),
        in_blocks=steps_at_once(steps) if in_blocks else 0,
        held_out=held_out,
        identity=identity_of(rows),
    )


def batch_size_for(rows: int) -> int:
    """The size of a batch where none is asked for: small enough that few rows make a training of many steps."""
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, rows // 20))


def _one_pass(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    """The numbers of the rows that a pass takes, in their order.

    Rows with weights are drawn in proportion to them: a row of N times its share of the weight comes N times, rounded
    up or down at random. A step's gradient is then an unbiased estimate of that of the weighted mean whatever the size
    of a batch, and none of its rows outweighs the others, whose gradients clipping would scale down with it.
    """
    n = len(rows.x)
    if rows.weight is None:
        return rng.permutation(n)
    reached = np.cumsum(rows.weight / rows.weight.sum()) * n
    index = np.searchsorted(reached, rng.uniform() + np.arange(n), side="right")
    return rng.permutation(np.minimum(index, np.flatnonzero(rows.weight)[-1]))


def _drawn_afresh(dataset: Dataset, flow: Flow, batch_size: int, steps: int, in_blocks: bool, noise: Noise) -> Source:
    seed = noise.seed
    if dataset.event_size != flow.event_size:
        raise InputError(f"{dataset.name} has rows of {dataset.event_size}; the flow has event_size={flow.event_size}.")
    dtype = flow.dtype.name
    split = dataset.split(seed)
    epoch = steps * batch_size

    @functools.lru_cache(1)
    def rows_of(number: int) -> np.ndarray:
        rng = np.random.default_rng([seed, 1, number])
        rows = dataset.sample(epoch, rng)
        return rows[stratified(places_on_a_curve(rows), batch_size, rng)].astype(dtype)

    @_with(noise)
    def draw(start: int, size: int) -> Rows:
        return Rows(rows_of(start // epoch)[start % epoch :][:size])  # as blocks never reach over the end of an epoch

    train, validation = Rows(split.train.astype(dtype)), Rows(split.validation.astype(dtype))
    for rows in (train, validation):
        check_inside(flow, rows.x, name=dataset.name)
    return Source(
        _generated(draw, draw(0, 1), batch_size, steps, in_blocks),
        *(steps, train, validation, dataset.entropy),
        in_blocks=steps_at_once(steps) if in_blocks else 0,
        identity=f"{dataset.name} {dataset.config}",
    )


def _with(noise: Noise) -> Callable[[Callable[[int, int], Rows]], Callable[[int, int], Rows]]:
    """Decorates what draws rows: they come with noise, for a position always the same."""

    def decorator(draw: Callable[[int, int], Rows]) -> Callable[[int, int], Rows]:
        def drawn(start: int, size: int) -> Rows:
            rows = draw(start, size)
            return rows._replace(x=noise(rows.x, start))

        return drawn if noise else draw

    return decorator


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


def _streamed(batches: tf.data.Dataset, steps: int | None, flow: Flow, noise: Noise) -> Source:
    """A user's own pipeline: its batches as they are, and the first rows of it for the statistics."""
    steps = steps or int(batches.cardinality())
    if steps < 0:
        raise InputError("steps_per_epoch is needed for a tf.data.Dataset that does not know its length.")
    parts, count = [], 0
    for batch in batches.take(steps).as_numpy_iterator():
        parts.append(_as_parts(batch, flow))
        count += len(parts[-1].x)
        if count >= STATISTICS_ROWS:
            break
    if not parts:
        raise InputError("x is a tf.data.Dataset with no batches in it.")
    joined = Rows(*(None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True)))
    as_rows(joined.x, event_size=flow.event_size)
    if joined.context is not None:
        as_rows(joined.context, name="context", event_size=flow.context_size)
    if joined.weight is not None:
        joined = joined._replace(weight=_of_mean_one(joined.weight))
    check_inside(flow, joined.x, flow.columns)

    def noisy(number: tf.Tensor, batch: Any) -> Any:
        x, *rest = batch if isinstance(batch, tuple) else (batch,)
        dtype = tf.float64 if flow.dequantize else floating(x.dtype.as_numpy_dtype)
        x = tf.ensure_shape(tf.numpy_function(lambda i, x: noise(x, int(i)), [number, x], dtype), x.shape)
        return (x, *rest) if rest else x

    def without_negative_weights(x: tf.Tensor, context: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Of rows that nobody has read ahead; the loss is NaN then, which ends the training."""
        weight = tf.cast(weight, flow.dtype)
        return x, context, tf.where(weight >= 0, weight, np.nan)

    if joined.weight is not None:
        batches = batches.map(without_negative_weights)

    def from_step(start: int = 0) -> tf.data.Dataset:
        left = batches.repeat().skip(start)
        return left if not noise else tf.data.Dataset.zip(tf.data.Dataset.counter(start), left).map(noisy)

    return Source(from_step, steps, joined, None, None)


def _as_parts(batch: Any, flow: Flow) -> Rows:
    """A batch of a user's own pipeline, as it was read; `InputError` if its parts are not rows, context and weights."""
    given = batch if isinstance(batch, tuple) else (batch,)
    if not 1 <= len(given) <= 3 or np.ndim(given[0]) != 2:
        what = f"an element of type {type(given[0]).__name__} and shape {np.shape(given[0])}"
        what = what if 1 <= len(given) <= 3 else f"elements of {plural(len(given), 'part')}"
        raise InputError(
            f"x must be a tf.data.Dataset of batches [B, {flow.event_size}], or of (x, context) or (x, context, "
            f"sample_weight); got {what}."
        )
    x, context, weight = (*(None if part is None else np.asarray(part) for part in given), None, None)[:3]
    if context is not None and (context.ndim != 2 or len(context) != len(x)):
        raise InputError(
            f"context must be a row for each row of x in every batch of the tf.data.Dataset, [B, {flow.context_size}]; "
            f"got shape {list(context.shape)} beside x of {list(x.shape)}."
        )
    if weight is not None and (weight.ndim < 1 or weight.size != len(x) or len(weight) != len(x)):
        raise InputError(
            "sample_weight must be a number for each row of x in every batch of the tf.data.Dataset, [B]; "
            f"got shape {list(weight.shape)} beside x of {list(x.shape)}."
        )
    has_context = context is not None and context.shape[1] > 0
    return Rows(x, context if has_context else None, None if weight is None else weight.reshape(-1))
