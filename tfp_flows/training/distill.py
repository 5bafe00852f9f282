"""distill: fit a flow that samples fast to one that scores fast, on the student's own samples."""

import functools
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_number
from tfp_flows.datasets import as_table, matched
from tfp_flows.datasets.refusals import some_of
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.identity import Identity, recipe_as_read
from tfp_flows.probes import probes_of_law
from tfp_flows.recipe import unwritten
from tfp_flows.training.callbacks import values_of
from tfp_flows.training.history import History
from tfp_flows.training.names import Names
from tfp_flows.training.own_samples import STATISTICS_ROWS, Density, as_int32, check_draws, fit_on_own_samples
from tfp_flows.training.rows import Rows, identity_of
from tfp_flows.words import plural

__all__ = ["distill"]

FAR = 2.0  # nats, of the divergence, above which a student is said to have failed


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
    forward: float = 0.0,
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

    The reverse KL punishes a student that puts mass where the teacher has none, and hardly one that misses a mode. With
    `forward` a part of the loss is the other divergence, on samples of the teacher, where those are cheap too:

    ```
    KL(teacher, student) = E{ log p_teacher(z) - log p_student(z) },   z ~ teacher                               nats
    ```

    A student that can be what its teacher is, as a spline flow of the same make, comes near in both divergences by
    `forward=1.0` alone, which looks at no slope of the teacher: those of letters lead nowhere.

    Flows of whole numbers are fitted before they round them: by the law of x + u, the density that both have.

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
      forward: part of the loss that is KL(teacher, student), from 0 to 1; with 1 nothing else is left, the warm-up is
        none, and the student's samples are not looked at.
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
    check_draws("student", student)
    if not hasattr(teacher, "log_prob"):
        raise InputError(f"teacher must be a flow or another distribution; got a {type(teacher).__name__}.")
    check_number("forward", forward, 0, 1)
    history = fit_on_own_samples(
        student,
        _density_of(teacher, student, context, forward, seed),
        training="distill",
        called="student",
        loss="kl",
        warm_up=warm_up,
        forward=forward,
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
    _warn_if_far(history)
    return history


def _density_of(
    teacher: tfp.distributions.Distribution, student: Flow, context: Any, forward: float, seed: int
) -> Density:
    """The density that the student is fitted to; `InputError` if the two do not fit together."""
    contexts, names = _contexts(teacher, student, context)
    law = getattr(teacher, "continuous", teacher)  # whole numbers have no gradient
    rows = functools.partial(_standard_rows, law, contexts, seed)
    density = Density(law.log_prob, contexts, rows, names, _settings_of(law))
    return density._replace(sample=_sample_of(law, student, rows, forward)) if forward else density


def _sample_of(
    law: tfp.distributions.Distribution, student: Flow, rows: Callable, forward: float
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Samples of a law and their log-densities, which a flow knows as soon as it has drawn them.

    `InputError` if there are none, or where the student has no density: its divergence from the law is infinite then.
    """
    round_again = getattr(law, "circular", {})
    if student.circular != round_again:
        raise InputError(
            f"forward is {forward:g}, and the student has columns on circles that the teacher has not: build it with "
            f"circular={round_again or None}, or leave forward at 0."
        )
    unsampled = f"forward is {forward:g}, and the teacher, a {type(law).__name__}, cannot be sampled: leave it at 0."
    sample = getattr(law, "sample_and_log_prob" if isinstance(law, Flow) else "experimental_sample_and_log_prob", None)
    if sample is None:
        raise InputError(unsampled)
    try:
        x, of_rows = rows()
    except NotImplementedError as error:  # what TFP raises for a law without a sampler
        raise InputError(unsampled) from error
    given = {} if of_rows is None else {"context": of_rows}
    if np.isneginf(student.continuous.log_prob(x, **given)).any():
        raise InputError(
            f"forward is {forward:g}, and the teacher draws rows outside the student's support: build the student with "
            "the teacher's support, or leave forward at 0."
        )
    return sample


def _warn_if_far(history: History) -> None:
    """Warns of a student that ended nowhere near its teacher."""
    kl = history.history["val_kl"][history.best_epoch] if history.best_epoch >= 0 else 0.0
    if kl > FAR:
        warnings.warn(
            f"the student ended {kl:.3g} nats from its teacher: forward=1.0 may bring it nearer, more epochs, a larger "
            "student, or whiten=True where columns nearly are linear functions of others.",
            stacklevel=3,
        )


def _settings_of(teacher: tfp.distributions.Distribution) -> dict[str, Any]:
    """What tells this teacher from any other, in a checkpoint: its recipe, its variables, or else its densities."""
    recipe = recipe_as_read(teacher)
    probes = probes_of_law(teacher) if unwritten(recipe) else {}
    values = identity_of(*(Rows(value) for value in values_of(getattr(teacher, "variables", ()))))
    return {"teacher": Identity(recipe, probes)._asdict(), "teacher's variables": values}


def _contexts(
    teacher: tfp.distributions.Distribution, student: Flow, context: Any
) -> tuple[np.ndarray, tuple[Names, Names]]:
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


def _names(which: str, teacher: tfp.distributions.Distribution, student: Flow) -> Names:
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
    key = tf.stack([as_int32(seed), -1])
    if not contexts.size:
        return teacher.sample(STATISTICS_ROWS, seed=key), None
    drawn = np.random.default_rng(seed).integers(len(contexts), size=STATISTICS_ROWS)
    return teacher.sample(seed=key, context=contexts[drawn]), contexts[drawn]
