"""distill: fit a flow that samples fast to one that scores fast, on the student's own samples."""

import functools
import os
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_number, check_sizes
from tfp_flows.datasets import as_table, matched
from tfp_flows.datasets.refusals import some_of
from tfp_flows.errors import DivergenceError, InputError, TrainingInterrupted
from tfp_flows.flow import Flow
from tfp_flows.identity import Identity, recipe_as_read
from tfp_flows.probes import probes_of_law
from tfp_flows.recipe import unwritten
from tfp_flows.training.callbacks import values_of
from tfp_flows.training.checkpoint import as_plan
from tfp_flows.training.history import History
from tfp_flows.training.loop import run, uses_xla
from tfp_flows.training.model import TrainedFlow
from tfp_flows.training.options import check_options
from tfp_flows.training.rates import adam, schedule_for
from tfp_flows.training.rows import Rows, identity_of, steps_at_once, untuned
from tfp_flows.training.standard import coarse_column, coarse_detail
from tfp_flows.words import plural

__all__ = ["distill"]

STATISTICS_ROWS = 10_000  # teacher's samples that the student is standardised by
VALIDATION_BATCHES, VALIDATION_BATCH = 5, 2_000  # small batches, as a training may have, would take their time
ROUNDING_ROWS = 1_000  # student's samples that must not be lost in rounding
FIRST_POWER = 0.02  # of the teacher's density, when the warm-up begins
OUTLIER = 30.0  # nats
FAR = 10.0  # nats: a student's samples are e^10 times less likely to the teacher than to itself


def distill(
    teacher: tfp.distributions.Distribution,
    student: Flow,
    *,
    context: Any = None,
    epochs: int = 50,
    batch_size: int = 500,
    steps_per_epoch: int = 100,
    learning_rate: float | None = None,
    schedule: str | None = None,
    clip_norm: float | None = 5.0,
    optimizer: Any = None,
    warm_up: float = 0.5,
    patience: int | None = None,
    jit_compile: bool | None = None,
    callbacks: Any = (),
    verbose: bool | int = True,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: float = 60.0,
) -> History:
    """Fits the student to the teacher by the reverse KL divergence, on samples that the student draws itself:

    ```
    KL(student, teacher) = E{ log p_student(x) - log p_teacher(x) },   x = f_student(u),   u ~ N(0, I)       nats
    ```

    Probability density distillation. The gradient goes through the samples. With an `iaf` student and a `maf` teacher
    nothing is sequential: the student knows the noise behind its samples, so that samples and their density are one
    pass, and the teacher's density is one pass more. The teacher is not changed.

    Flows of whole numbers are fitted before they round them: by the law of x + u, the density that both have.

    The reverse KL punishes a student that puts mass where the teacher has none, and hardly one that misses a mode:
    look at the samples, or at `KL(teacher, student)`, before you trust it.

    Args:
      teacher: a trained flow, or any distribution over `[D]` with a differentiable `log_prob`.
      student: the flow to train, in place; its `Standardize` layer, if untouched, is set from samples of the teacher,
        whose names of columns it knows from then on.
      context: rows `[N, C]` that both are conditional on; each batch takes some of them at random.
      epochs: rounds of `steps_per_epoch` batches.
      batch_size: samples of a step.
      steps_per_epoch: steps between two validations.
      learning_rate: of Adam, at its highest; by default 5e-3.
      schedule: of the rate: "cosine", from `learning_rate` to zero; "one_cycle", which first rises in a tenth of all
        steps, or 500; or "constant". None is "one_cycle" where networks see waves (`octaves=`), else "cosine".
      clip_norm: global norm that gradients are clipped to; None for no clipping.
      optimizer: a Keras optimizer, or its name, in place of Adam, its schedule and its clipping.
      warm_up: part of the training over which the teacher's density rises from nearly flat, `p^0.02`, to itself: the
        student starts broad, and fewer modes are missed.
      patience: epochs without a better validation KL before training stops; None never stops.
      jit_compile: whether to compile with XLA; None does so where the work is long enough to pay for it.
      callbacks: Keras callbacks of your own, in a list, or one; Keras calls those of batches once for every few steps
        (25 at most).
      verbose: True or 1 for a progress bar, 2 for a line an epoch, as in Keras, False or 0 for neither.
      seed: fixes the noise and the contexts.
      checkpoint: a folder for `checkpoint.npz`, from which this very training goes on: see `tff.fit`.
      checkpoint_every: seconds between two checkpoints.

    Returns:
      Keras' `History`: `history.history` has `kl` and `val_kl`, nats. `val_kl` is the divergence itself, on 10,000
      samples from noise that is the same in every epoch; `kl` is what the steps minimise, with the flattened teacher of
      the warm-up and with single samples of more than 30 nats on a logarithmic scale, as they would hide all others.

    Raises:
      InputError: for distributions that do not fit together, or options that cannot work.
      DivergenceError: if the KL, or that of every validation, is not finite; the student has the weights of its best
        epoch then, or is as it was.
      TrainingInterrupted: on Ctrl-C, with the history so far; the student likewise.

    Example:

    >>> import tfp_flows as tff
    >>> teacher = tff.maf(event_size=2, num_layers=2, hidden_units=(16,), seed=0)
    >>> student = tff.iaf(event_size=2, num_layers=2, hidden_units=(16,), seed=1)
    >>> history = tff.distill(teacher, student, epochs=2, steps_per_epoch=5, verbose=False)
    >>> sorted(history.history)
    ['kl', 'val_kl']

    Source: van den Oord et al., Parallel WaveNet, arXiv:1711.10433.
    """
    if not isinstance(student, Flow):
        raise InputError(f"student must be a tff.Flow; got a {type(student).__name__}.")
    if not hasattr(teacher, "log_prob"):
        raise InputError(f"teacher must be a flow or another distribution; got a {type(teacher).__name__}.")
    if student.reparameterization_type != tfp.distributions.FULLY_REPARAMETERIZED:
        raise InputError(
            "student must have samples that are differentiable in its variables: those of its base, "
            f"{student.distribution.name}, are not."
        )
    check_sizes(batch_size=batch_size, steps_per_epoch=steps_per_epoch)
    callbacks, rate = check_options(
        epochs=epochs,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        learning_rate=learning_rate,
        schedule=schedule,
        clip_norm=clip_norm,
        optimizer=optimizer,
        patience=patience,
        jit_compile=jit_compile,
        callbacks=callbacks,
        verbose=verbose,
        seed=seed,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
    )
    check_number("warm_up", warm_up, 0, 1)
    contexts, names = _contexts(teacher, student, context)
    named, before = student, (student.columns, student.context_columns)
    teacher, student = getattr(teacher, "continuous", teacher), student.continuous  # whole numbers have no gradient
    steps, block = epochs * steps_per_epoch, steps_at_once(steps_per_epoch)
    model = _Distillation(student, teacher)
    model.compile(
        optimizer or adam(rate, schedule or schedule_for(student), steps, clip_norm),
        jit_compile=uses_xla(jit_compile, steps),
    )
    model.optimizer.build(model.trainable_variables)
    start = values_of(student.variables)
    if student.is_unstandardized:
        rows, of_rows = _standard_rows(teacher, contexts, seed)
        student.standardize(rows, context=of_rows)
    _check_rounding(student, contexts, start)
    power = round(warm_up * steps)
    plan = None
    if checkpoint is not None:
        settings = {"epochs": epochs, "batch_size": batch_size, "steps_per_epoch": steps_per_epoch, "warm_up": warm_up}
        settings |= {"patience": patience, "seed": seed, "xla": uses_xla(jit_compile, steps)}
        settings |= {"training": "distill", "rows": identity_of(Rows(contexts)), **_settings_of(teacher)}
        plan = as_plan(checkpoint, checkpoint_every, model, settings)
    named.columns, named.context_columns = names
    train = functools.partial(
        run,
        model,
        lambda i: untuned(
            _noise(seed, contexts, batch_size, student.dtype.name, power, i * block).batch(block, drop_remainder=True)
        ),
        epochs=epochs,
        steps=steps_per_epoch // block,
        at_once=1,
        inside=True,
        validation=untuned(
            _noise(seed + 1, contexts, VALIDATION_BATCH, student.dtype.name).take(VALIDATION_BATCHES).cache()
        ),
        set_batch_norm=None,
        start=start,
        patience=patience,
        callbacks=callbacks,
        verbose=verbose,
        learning_rate=rate,
        checkpoint=plan,
    )
    try:
        history = train()
    except (DivergenceError, TrainingInterrupted) as error:
        if error.history is None or error.history.best_epoch is None:  # the student is as it was before
            named.columns, named.context_columns = before
        raise
    _warn_if_far(history)
    return history


def _warn_if_far(history: History) -> None:
    """Warns of a student that ended nowhere near its teacher."""
    kl = history.history["val_kl"][history.best_epoch] if history.best_epoch >= 0 else 0.0
    if kl > FAR:
        warnings.warn(
            f"the student ended {kl:.3g} nats from its teacher: more epochs may bring it nearer, a larger student, or "
            "whiten=True where columns nearly are linear functions of others.",
            stacklevel=3,
        )


def _settings_of(teacher: tfp.distributions.Distribution) -> dict[str, Any]:
    """What tells this teacher from any other, in a checkpoint: its recipe, its variables, or else its densities."""
    recipe = recipe_as_read(teacher)
    probes = probes_of_law(teacher) if unwritten(recipe) else {}
    values = identity_of(*(Rows(value) for value in values_of(getattr(teacher, "variables", ()))))
    return {"teacher": Identity(recipe, probes)._asdict(), "teacher's variables": values}


class _Distillation(TrainedFlow):
    """The student as a Keras model whose batches are seeds of noise `[2]` and contexts `[B, C]`, whose C may be 0."""

    def __init__(self, student: Flow, teacher: tfp.distributions.Distribution) -> None:
        super().__init__(student, "kl", name="distillation", in_blocks=True)
        # Not the teacher itself: tf_keras would find its variables, and train them too.
        self._log_prob_of_teacher = lambda x, **kwargs: teacher.log_prob(x, **kwargs)

    def losses_of(self, data: Any, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Each sample's part in the estimate of KL(student, teacher), and ones."""
        seed, context, power = data
        if context.shape[-1]:
            x, log_prob = self.flow.sample_and_log_prob((), seed=seed, context=context)
            kl = log_prob - power * self._log_prob_of_teacher(x, context=context)
        else:
            x, log_prob = self.flow.sample_and_log_prob(context.shape[0], seed=seed)
            kl = log_prob - power * self._log_prob_of_teacher(x)
        return _without_outliers(kl) if training else kl, tf.ones_like(kl)


def _without_outliers(kl: tf.Tensor) -> tf.Tensor:
    """Differences of log-densities, those above `OUTLIER` nats on a logarithmic scale.

    Where the teacher has next to no mass its log-density is far below anything else, and one such sample would be all
    that a step sees. It keeps the direction of its gradient, but no more than the weight of the others.
    """
    excess = tf.nn.relu(kl - OUTLIER)
    return tf.minimum(kl, OUTLIER) + OUTLIER * tf.math.log1p(excess / OUTLIER)


def _noise(
    seed: int, contexts: np.ndarray, batch_size: int, dtype: str, warm_up: int = 0, start: int = 0
) -> tf.data.Dataset:
    """Endless batches, from number `start` on: a seed of noise, a context for each sample, the teacher's power."""
    rows = tf.constant(contexts)

    def batch(i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        key = tf.stack([_as_int32(seed), tf.cast(i, tf.int32)])
        index = tf.random.stateless_uniform([batch_size], key, maxval=max(1, len(contexts)), dtype=tf.int32)
        part = tf.minimum(tf.ones([], dtype), tf.cast(i + 1, dtype) / max(1, warm_up))
        power = FIRST_POWER + (1.0 - FIRST_POWER) * part
        return key, tf.gather(rows, index) if contexts.size else tf.zeros([batch_size, 0], dtype), power

    return tf.data.Dataset.counter(start).map(batch)


_Names = tuple[str, ...] | None


def _contexts(
    teacher: tfp.distributions.Distribution, student: Flow, context: Any
) -> tuple[np.ndarray, tuple[_Names, _Names]]:
    """The contexts as `[N, C]`, without columns if there are none, and the names of the student's columns and of these.

    `InputError` if the two do not fit together.
    """
    if teacher is student:
        raise InputError("teacher and student are the same flow; build the student with tff.iaf, for example.")
    if list(teacher.event_shape) != [student.event_size] or list(teacher.batch_shape) != []:
        raise InputError(
            f"teacher must be over rows of {student.event_size}, as the student is; "
            f"got event_shape={teacher.event_shape} and batch_shape={teacher.batch_shape}."
        )
    support = getattr(teacher, "support", None)
    if isinstance(teacher, Flow) and support is not None and not _is_inside(student.support, support):
        ends = {i: pair for i, pair in enumerate(zip(*(end.tolist() for end in support), strict=True))}
        raise InputError(f"the student must be built with the support that the teacher has: support={ends}.")
    circular = getattr(teacher, "circular", {})
    if isinstance(teacher, Flow) and any(student.circular.get(i) != pair for i, pair in circular.items()):
        raise InputError(f"the student must be built with the columns that the teacher has on circles: {circular=}.")
    whole = tuple(getattr(teacher, "dequantize", ()))
    if set(whole) != set(student.dequantize):
        has = f"the whole numbers that the teacher has: dequantize={list(whole)}"
        has = has if whole else f"no dequantize, as the teacher has none; got dequantize={list(student.dequantize)}"
        raise InputError(f"the student must be built with {has}.")
    if teacher.dtype != student.dtype:
        raise InputError(f"teacher and student must have one dtype; got {teacher.dtype.name} and {student.dtype.name}.")
    wanted = getattr(teacher, "context_size", 0)
    if wanted != student.context_size:
        raise InputError(f"teacher has context_size={wanted}, student {student.context_size}; they must be equal.")
    if (context is not None) != bool(wanted):
        raise InputError(
            f"context must be rows of {plural(wanted, 'column')}."
            if wanted
            else "context was given, but neither takes one."
        )
    names = _names("columns", teacher, student)
    of_context = _names("context_columns", teacher, student)
    if context is None:
        return np.zeros([0, 0]), (names, of_context)
    contexts = matched(context, of_context, name="context", event_size=wanted)
    return contexts, (names, of_context or as_table(context, name="context").columns)


def _names(which: str, teacher: tfp.distributions.Distribution, student: Flow) -> _Names:
    """The names of columns that either knows; `InputError` if they know others."""
    names = [getattr(flow, which, None) for flow in (teacher, student)]
    if None not in names and list(names[0]) != list(names[1]):
        raise InputError(f"the student's {which} must be the teacher's, {some_of(names[0])}; got {some_of(names[1])}.")
    return names[0] or names[1]


def _is_inside(inner: tuple[np.ndarray, np.ndarray] | None, outer: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether one support is within another; None is the whole space."""
    return inner is not None and bool((inner[0] >= outer[0]).all() and (inner[1] <= outer[1]).all())


def _standard_rows(
    teacher: tfp.distributions.Distribution, contexts: np.ndarray, seed: int
) -> tuple[tf.Tensor, np.ndarray | None]:
    """Samples of the teacher, and the context of each if there are any."""
    key = tf.stack([_as_int32(seed), -1])
    if not contexts.size:
        return teacher.sample(STATISTICS_ROWS, seed=key), None
    drawn = np.random.default_rng(seed).integers(len(contexts), size=STATISTICS_ROWS)
    return teacher.sample(seed=key, context=contexts[drawn]), contexts[drawn]


def _check_rounding(student: Flow, contexts: np.ndarray, start: list[np.ndarray]) -> None:
    """`InputError`, with the student as it was, where its samples in float32 would all be the same to the teacher."""
    if student.dtype != tf.float32:
        return
    few = contexts[:ROUNDING_ROWS]
    shape, given = ((), {"context": few}) if contexts.size else (ROUNDING_ROWS, {})
    x = student.sample_in_float64(shape, seed=0, **given).numpy()
    found = coarse_column(x) or coarse_detail(student, x)
    if found:
        for variable, value in zip(student.variables, start, strict=True):
            variable.assign(value)
        raise InputError(
            f"the student's samples, which it is fitted on, would be rounded: {found}; subtract an offset from the "
            'column, or build teacher and student with dtype="float64".'
        )


def _as_int32(seed: int) -> tf.Tensor:
    """The 32 bits of a seed, as TensorFlow has them in its seeds."""
    return tf.constant(int(np.uint32(seed % 2**32).view(np.int32)), tf.int32)
