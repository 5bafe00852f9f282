"""Backpropagation through a chain of steps that computes again what it needs, in place of keeping it."""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

__all__ = ["Step", "evaluate", "untaped"]


class Step(NamedTuple):
    """A part of a chain: `run(x, tensors) -> (y, log_det)`, a function of x, of more tensors, and of variables.

    With `undo(y, tensors) -> x`, a pass does not even keep x.
    """

    run: Callable[[tf.Tensor, Sequence[tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]
    undo: Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor] | None = None


def evaluate(steps: Sequence[Step], x: tf.Tensor, tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """The steps one after another: the last value, and the sum of the log-dets.

    The pass keeps its result, and the input of each step that cannot be undone. The gradient goes through the steps
    from the last: it recovers the step's input, evaluates the step again, takes its vector-Jacobian product, adds that
    to the gradients of the weights and of `tensors`, and forgets it. It is exact, as long as no variable changes
    between the pass and its gradient.

    `tf.recompute_grad` takes as little memory for steps that keep their input. It knows no inverse, makes a gradient of
    zeros where there is none, and refuses second derivatives; those are taken here, in the memory of plain
    backpropagation. Neither supports `tf.autodiff.ForwardAccumulator`.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, *tensors: tf.Tensor) -> tuple:
        y, log_det, kept = x, tf.zeros([], x.dtype), []
        with untaped():
            for step in steps:
                kept.append(None if step.undo else y)
                y, more = step.run(y, tensors)
                log_det = log_det + more

        def gradient(dy: tf.Tensor, dlog_det: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> tuple | list:
            def first(dy: tf.Tensor, dlog_det: tf.Tensor) -> list[tf.Tensor | None]:
                dx, totals = _backward(steps, kept, y, tensors, dy, dlog_det)
                return [_sum_to(dx, x), *(totals.get(source.ref()) for source in (*tensors, *variables))]

            sources = (x, *tensors), variables
            found = _twice_differentiable(first, lambda: _plain(steps, x, tensors), sources, dy, dlog_det)
            inputs, weights = found[: 1 + len(tensors)], found[1 + len(tensors) :]
            return (inputs, weights) if variables else inputs

        return (y, log_det), gradient

    return run(x, *tensors)


def _backward(
    steps: Sequence[Step],
    kept: Sequence[tf.Tensor | None],
    y: tf.Tensor,
    tensors: Sequence[tf.Tensor],
    dy: tf.Tensor,
    dlog_det: tf.Tensor,
) -> tuple[tf.Tensor, dict]:
    """The gradient in the input of the first step, and those in `tensors` and variables, by their references."""
    totals, done = {}, [dy, dlog_det]
    for step, x in zip(reversed(steps), reversed(kept), strict=True):
        if step.undo:
            with untaped():
                x = step.undo(_after(y, done), tensors)
        else:
            x = _after(x, done)
        with tf.GradientTape() as tape:
            tape.watch([x, *tensors])
            again, log_det = step.run(x, tensors)
            log_det = tf.broadcast_to(log_det, tf.shape(dlog_det))
        sources = [*tensors, *tape.watched_variables()]
        dy, *more = tape.gradient([again, log_det], [x, *sources], [dy, dlog_det])
        more = [g if g is None else tf.convert_to_tensor(g) for g in more]
        for source, g in zip(sources, more, strict=True):
            if g is not None:
                totals[source.ref()] = totals[source.ref()] + g if source.ref() in totals else g
        y, done = x, [dy, *(g for g in more if g is not None)]
    return dy, totals


def _plain(steps: Sequence[Step], x: tf.Tensor, tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """What `evaluate` gives, with all of it on the tape."""
    log_det = tf.zeros([], x.dtype)
    for step in steps:
        x, more = step.run(x, tensors)
        log_det = log_det + more
    return x, log_det


def _twice_differentiable(
    first: Callable[[tf.Tensor, tf.Tensor], list[tf.Tensor | None]],
    plain: Callable[[], tuple[tf.Tensor, tf.Tensor]],
    sources: tuple[Sequence[tf.Tensor], Sequence[tf.Variable]],
    dy: tf.Tensor,
    dlog_det: tf.Tensor,
) -> list[tf.Tensor | None]:
    """The gradients that `first` gives; *their* gradient is that of plain backpropagation through `plain`.

    To a tape, what `first` recovers is a constant: the gradient of it would be wrong, and no one would be told.
    """
    inputs, weights = sources
    is_there = []

    @tf.custom_gradient
    def run(dy: tf.Tensor, dlog_det: tf.Tensor, *inputs: tf.Tensor) -> tuple:
        gradients = first(dy, dlog_det)
        is_there[:] = [g is not None for g in gradients]

        def second(*upstream: tf.Tensor, variables: Sequence[tf.Variable] = ()) -> tuple | list:
            with tf.GradientTape() as outer:
                outer.watch([dy, dlog_det, *inputs])
                with tf.GradientTape() as inner:
                    inner.watch(inputs)
                    y, log_det = plain()
                    log_det = tf.broadcast_to(log_det, tf.shape(dlog_det))
                found = inner.gradient([y, log_det], [*inputs, *weights], [dy, dlog_det])
                found = [g for g, there in zip(found, is_there, strict=True) if there]
            found = outer.gradient(found, [dy, dlog_det, *inputs, *variables], upstream)
            inputs_, weights_ = found[: 2 + len(inputs)], found[2 + len(inputs) :]
            return (inputs_, weights_) if variables else inputs_

        return [g for g in gradients if g is not None], second

    found = iter(run(dy, dlog_det, *inputs))
    return [next(found) if there else None for there in is_there]


def untaped() -> contextlib.AbstractContextManager:
    """Where no tape records: eagerly, a tape would keep all that is computed; in a graph, only what it needs."""
    return tf.init_scope() if tf.executing_eagerly() else contextlib.nullcontext()


def _after(value: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
    """`value`, which in a graph cannot be had before all of `others` are.

    Without it TensorFlow could evaluate all the steps again at once, and XLA, which ignores control dependencies, could
    merge the second evaluation of a step with its first: both would keep everything. What is added is 0, or a number
    too small to count where a gradient is infinite; no compiler can know in advance which.
    """
    if tf.executing_eagerly():
        return value
    heads = tf.concat([tf.math.is_inf(tf.reshape(t, [-1])[:1]) for t in others], axis=0)
    tiny = np.finfo(value.dtype.as_numpy_dtype).tiny
    return value + tf.where(tf.reduce_any(heads), tf.cast(tiny, value.dtype), tf.zeros([], value.dtype))


def _sum_to(gradient: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The gradient in x, where a step broadcast x to more rows."""
    if gradient.shape == x.shape and x.shape.is_fully_defined():
        return gradient
    with tf.GradientTape() as tape:
        tape.watch(x)
        rows = tf.broadcast_to(x, tf.shape(gradient))
    return tape.gradient(rows, x, gradient)
