"""fit: train a flow by maximum likelihood, with what people expect of it."""

import os
import sys
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors import MaskedAutoregressiveFlow
from tfp_flows.checks import check_flags, check_number, check_part, given
from tfp_flows.datasets import Dataset
from tfp_flows.datasets.columns import column_warnings, context_warnings
from tfp_flows.errors import InputError, RoundingWarning
from tfp_flows.flow import Flow
from tfp_flows.training.batch_norm import check_whole_batches
from tfp_flows.training.callbacks import values_of
from tfp_flows.training.checkpoint import as_plan
from tfp_flows.training.history import History
from tfp_flows.training.loop import run, uses_xla
from tfp_flows.training.model import FlowModel
from tfp_flows.training.names import naming
from tfp_flows.training.noise import Noise, noise_for
from tfp_flows.training.options import check_options
from tfp_flows.training.rates import adam, decay_for, schedule_for
from tfp_flows.training.rows import Rows, Source, as_source, as_validation, batches_of, identity_of, steps_at_once
from tfp_flows.training.standard import coarse_column, coarse_detail, far_rows
from tfp_flows.whole import with_noise
from tfp_flows.words import plural

__all__ = ["fit"]

VALIDATION_BATCH = 5000
HALVES_STEPS = 3000  # below, halves of batches take longer to compile than they save: benchmarks/halves.py


def fit(
    flow: Flow,
    x: Any,
    *,
    context: Any = None,
    sample_weight: Any = None,
    validation_data: Any = None,
    validation_split: float = 0.1,
    noise: Any = None,
    epochs: int = 100,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    learning_rate: float | None = None,
    schedule: str | None = None,
    weight_decay: float | None = None,
    clip_norm: float | None = 5.0,
    optimizer: Any = None,
    patience: int | None = 20,
    entropy: float | None = None,
    restandardize: bool | None = None,
    jit_compile: bool | None = None,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Any = (),
    verbose: bool | int = True,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: float = 60.0,
) -> History:
    """Trains a flow by maximum likelihood: minimises `-mean{ log_prob(x[n] | context[n]) }`, in nats.

    The first fit sets the flow's `Standardize` layers, those of x and of the context, from the training rows. A flow
    that is fitted to rows with names of columns knows them from then on. Batch norm uses each batch's statistics
    while training; before every validation they are set from the training rows, layer by layer. The weights of the
    epoch with the lowest validation NLL are kept by value and restored at the end, however it comes.

    Args:
      flow: the flow to train, in place.
      x: rows `[N, D]`: an array, tensor, DataFrame or list; a `tff.datasets` dataset, of which every batch is drawn
        afresh; or a `tf.data.Dataset` of batches `x`, `(x, context)` or `(x, context, sample_weight)`.
      context: `[N, C]`, what each row is conditional on.
      sample_weight: `[N]`, at least zero: how much each row counts. A pass over the rows draws each as often as its
        weight says, on average.
      validation_data: rows, or a tuple `(x, context)` or `(x, context, sample_weight)`; instead of `validation_split`.
      validation_split: part of the rows in memory that is held out.
      noise: standard deviation of normal noise, in the units of x, or one for each column. It is added to the rows,
        afresh in every batch, and once to those that validate: the flow becomes the density of y = x + noise, by whose
        slope Tweedie's formula takes the noise off, `E[x | y] = y + noise^2 d log p(y) / dy` (Efron, JASA 106 (2011),
        1602). The entropy of a dataset is no floor of it.
      epochs: passes over the rows at most; for a dataset of known law, rounds of `steps_per_epoch` fresh batches.
      batch_size: rows of a step; by default a twentieth of the rows, but at least 32 and at most 500.
      steps_per_epoch: steps of an epoch; by default one pass, less a few batches where that makes equal blocks of them,
        or 100 where batches are drawn afresh.
      learning_rate: of Adam, at its highest; by default 5e-3.
      schedule: of the rate: "cosine", from `learning_rate` to zero; "one_cycle", which first rises in a tenth of all
        steps, or 500; or "constant". None is "one_cycle" where networks see waves (`octaves=`), else "cosine".
      weight_decay: of the kernels of the networks, decoupled as in AdamW (arXiv:1711.05101): each step takes this part
        of them away, times the rate. A context network of Keras keeps its own. None is the more the fewer rows there
        are, so that they are not learnt by heart: the square of a fifteenth of the numbers in kernels a row, 12 at
        most, by the number of all steps and by the rate, or 5e-3 where that is more; of three and four columns a third
        and two thirds of it. None is 0 for one or two columns, and for a dataset.
      clip_norm: global norm that gradients are clipped to; None for no clipping.
      optimizer: a Keras optimizer, or its name, in place of Adam, its schedule, its decay and its clipping.
      patience: epochs without a better validation NLL before training stops; None never stops.
      entropy: lowest NLL there is, in nats; known by itself for a `tff.datasets` dataset.
      restandardize: whether a flow that was fitted before is standardised anew, by these rows. By default it is not,
        and a warning says so where the rows do not fit; with False, none does.
      jit_compile: whether to compile with XLA; None does so where the work is long enough to pay for it.
      strategy: a `tf.distribute.Strategy`, under whose scope the flow was built.
      callbacks: Keras callbacks of your own, in a list, or one; Keras calls those of batches once for every few steps
        (25 at most).
      verbose: True or 1 for a progress bar, 2 for a line an epoch, as in Keras, False or 0 for neither.
      seed: fixes the order of the rows, what is held out and what is drawn.
      checkpoint: a folder for the file `checkpoint.npz`, which has all that the training needs to go on. If it is there
        and of this very training (same settings, same rows), `fit` says so and goes on from it, and ends on one CPU
        with the same weights, to the last bit, as if it had never been stopped; if that training had ended, its
        weights are restored and nothing is trained. Delete the file to train anew. A `tf.data.Dataset` goes on from
        the end of an epoch, and must give the same batches again for that; callbacks of your own begin anew.
      checkpoint_every: seconds between two checkpoints. One more is written at Ctrl-C, at SIGTERM, and before an error
        leaves `fit`.

    Returns:
      Keras' `History`: `history.history` has `nll`, `val_nll` and, with an entropy, `gap` and `val_gap`: a list each;
      `history.best_epoch` is the number, from 0, of the epoch whose weights the flow has; -1, with a warning, if the
      standardised flow that training started from was better on the held-out rows than after every epoch.

    Raises:
      InputError: for rows or options that cannot work, and a checkpoint that is damaged or of another training;
        nothing is trained then.
      DivergenceError: if the loss, or that of every validation, is not finite. The flow has the weights of its best
        epoch then, or is as it was before, statistics included, if no epoch was any good.
      TrainingInterrupted: on Ctrl-C, and with a `checkpoint` at SIGTERM, with the history so far; the flow likewise.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.maf(event_size=2, num_layers=2, hidden_units=(16,), seed=0)
    >>> history = tff.fit(flow, tff.datasets.banana(), epochs=2, steps_per_epoch=20, verbose=False)
    >>> sorted(history.history)
    ['gap', 'nll', 'val_gap', 'val_nll']
    """
    if not isinstance(flow, Flow):
        raise InputError(f"flow must be a tff.Flow; got {type(flow).__name__}.")
    callbacks, rate = check_options(
        epochs=epochs,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        learning_rate=learning_rate,
        schedule=schedule,
        weight_decay=weight_decay,
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
    seed = int(seed)  # Keras takes no NumPy integers
    check_part(validation_split=validation_split)
    check_flags(**given(restandardize=restandardize))
    if entropy is not None:
        check_number("entropy", entropy, -sys.float_info.max, sys.float_info.max)
    _check_strategy(flow, strategy)
    split = 0.0 if validation_data is not None else validation_split
    sizes = {"batch_size": batch_size, "steps_per_epoch": steps_per_epoch, "validation_split": split}
    in_blocks = strategy is None  # a strategy cuts batches up, not blocks
    noise = noise_for(flow, noise, seed)
    source = as_source(x, context, sample_weight, flow, in_blocks=in_blocks, noise=noise, **sizes)
    if validation_data is not None:
        names = flow.columns or source.columns, flow.context_columns or source.context_columns
        checked = as_validation(validation_data, flow, *names)
        source = source._replace(validation=checked, held_out=None)
    if noise.scale:
        source = _with_noise(source, noise)
    _check_context(flow, source)
    _warn_of_columns(flow, source)
    total_steps = epochs * source.steps
    if optimizer is None and weight_decay is None:
        rows = None if isinstance(x, (Dataset, tf.data.Dataset)) else len(source.rows.x)
        weight_decay = decay_for(flow, rows, rate, total_steps)
    decay = None if weight_decay is None else float(weight_decay)
    xla = uses_xla(False if strategy and jit_compile is None else jit_compile, total_steps)
    # Keras' loop over steps fails on the iterators of a strategy with several devices
    at_once = 1 if strategy or source.in_blocks else steps_at_once(source.steps)
    floor = source.entropy if entropy is None else entropy
    with (strategy or tf.distribute.get_strategy()).scope():
        halves = total_steps >= HALVES_STEPS
        ways = {"in_blocks": source.in_blocks > 0, "steps_in_xla": xla, "in_halves": halves, "has_noise": True}
        model = FlowModel(flow, entropy=floor, **ways)
        if optimizer is None:
            optimizer = adam(rate, schedule or schedule_for(flow), total_steps, clip_norm, decay, flow)
        model.compile(optimizer, jit_compile=False, steps_per_execution=at_once)
        model.optimizer.build(model.trainable_variables)  # here, as its slots must live where the variables do
    start = values_of(flow.variables)
    _prepare(flow, source, start, restandardize)
    _warn_of_rounding(flow, source)
    _warn_if_sequential(flow)
    tf.keras.utils.set_random_seed(seed)
    plan = None
    if checkpoint is not None:
        settings = {"epochs": epochs, "steps_per_epoch": source.steps, "batch_size": batch_size, "patience": patience}
        settings |= {"entropy": floor, "validation_split": validation_split, "xla": xla, "seed": seed}
        settings["weight_decay"] = decay
        added = {"noise": list(noise.scale)} if noise.scale else {}
        plan = as_plan(checkpoint, checkpoint_every, model, added | _identity(flow, source, settings))
    names = flow.columns or source.columns, flow.context_columns or source.context_columns
    with naming(flow, *names):
        return run(
            model,
            lambda i: source.batches(i * max(1, source.in_blocks)),
            epochs=epochs,
            steps=source.steps // max(1, source.in_blocks),
            at_once=at_once,
            inside=source.identity is not None,
            validation=None if source.validation is None else batches_of(source.validation, VALIDATION_BATCH),
            set_batch_norm=lambda: flow.set_batch_norm(source.rows.x, source.rows.context),
            start=start,
            patience=patience,
            callbacks=callbacks,
            verbose=verbose,
            learning_rate=rate,
            checkpoint=plan,
            blame=lambda: _rows_without_density(flow, source),
        )


def _with_noise(source: Source, noise: Noise) -> Source:
    """The source with noise on what its batches are not: rows that statistics come from and that validate."""
    rows, validation = (
        part and part._replace(x=noise.once(part.x, i)) for i, part in enumerate((source.rows, source.validation))
    )
    return source._replace(rows=rows, validation=validation, entropy=None)


def _identity(flow: Flow, source: Source, settings: dict[str, Any]) -> dict[str, Any]:
    """What tells this training from every other, in its checkpoint."""
    rows = {
        "rows": source.identity,
        "seed": settings["seed"],  # which rows are held out follows from it, and how many steps there are from those
        "validation rows": source.validation and identity_of(source.validation),
    }
    columns = {}
    if flow.support or flow.dequantize:
        ends = flow.support and [end.tolist() for end in flow.support]
        columns |= {"support": str(ends), "dequantize": list(flow.dequantize)}
    if flow.circular:
        columns |= {"circular": str(flow.circular)}
    return {"training": "fit", **rows, **settings, **columns}


def _rows_without_density(flow: Flow, source: Source) -> str:
    """Which of the held-out rows have a log-density that is not finite: the first three."""
    rows = source.validation
    log_prob = [
        flow.log_prob(part.x, context=part.context).numpy()
        for part in (rows.take(slice(i, i + VALIDATION_BATCH)) for i in range(0, len(rows.x), VALIDATION_BATCH))
    ]
    found = np.flatnonzero(~np.isfinite(np.concatenate(log_prob)))
    if not len(found):
        return ""
    where = "validation_data" if source.held_out is None else "x"
    numbers = found if source.held_out is None else source.held_out[found]
    few = ", ".join(f"{n + 1} ({_short(rows.x[i])})" for n, i in list(zip(numbers, found, strict=True))[:3])
    return f", for row {few}{' and others' if len(found) > 3 else ''} of {where} has no finite log-density"


def _short(row: np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" for value in row[:4]) + (", …" if len(row) > 4 else "")


def _prepare(flow: Flow, source: Source, start: list[np.ndarray], restandardize: bool | None) -> None:
    """Standardizes an untouched flow, and makes sure that it can be trained before anything is compiled."""
    rows = source.rows
    if flow.is_unstandardized or restandardize:
        flow.standardize(rows.x, rows.weight, rows.context)
    elif restandardize is None:
        _warn_of_statistics(flow, rows)
    few = rows.take(slice(0, 8))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(few.x, context=few.context))
    variables = flow.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if gradient is None:
            for touched, value in zip(flow.variables, start, strict=True):
                touched.assign(value)
            raise InputError(f"the log-probability does not depend on {variable.name}: it would never be trained.")


def _check_context(flow: Flow, source: Source) -> None:
    for rows in (source.rows, source.validation or source.rows):
        if rows.context is None and flow.context_size:
            raise InputError(
                f"context must be rows of {plural(flow.context_size, 'column')}, as {flow.name} has a context."
            )
        if rows.context is not None and not flow.context_size:
            raise InputError(f"context was given, but {flow.name} was built without; build it with context_size=….")


def _warn_of_columns(flow: Flow, source: Source) -> None:
    """Warns of columns that have no density; those of a known law have one."""
    if source.entropy is None:
        names = flow.columns or source.columns
        rows = with_noise(source.rows.x, flow.dequantize, np.random.default_rng(0))
        options = {"weight": source.rows.weight, "columns": names, "dtype": flow.dtype.name}
        sentences = column_warnings(rows, **options)
        if source.rows.context is not None:
            used = slice(None) if source.rows.weight is None else source.rows.weight > 0
            theirs = {"columns": names, "context_columns": flow.context_columns or source.context_columns}
            sentences += context_warnings(rows[used], source.rows.context[used], **theirs)
        for sentence in sentences:
            warnings.warn(sentence, stacklevel=3)


def _warn_of_rounding(flow: Flow, source: Source) -> None:
    """Warns of columns that a standardised float32 flow scores exactly, and whose samples it cannot give."""
    x, names = source.rows.x, flow.columns or source.columns
    if flow.dtype == tf.float32 and x.dtype == np.float64:
        found = coarse_column(x, names, source.rows.weight, flow.dequantize) or coarse_detail(flow, x, names)
        if found:
            warnings.warn(
                f"x: {found}: log_prob and cdf are exact there, but flow.sample and flow.quantile are rounded so; a "
                'flow with dtype="float64" keeps the digits, and so does flow.sample_in_float64.',
                RoundingWarning,
                stacklevel=3,
            )


def _warn_of_statistics(flow: Flow, rows: Rows) -> None:
    """Warns where rows are far from mean zero and standard deviation one by the statistics that the flow has."""
    found = far_rows(flow, rows.x, rows.context, rows.weight)
    if found:
        warnings.warn(
            f"{found} by the statistics of an earlier fit, where 0 and 1 are best: pass restandardize=True to set them "
            "anew.",
            stacklevel=4,
        )


def _check_strategy(flow: Flow, strategy: tf.distribute.Strategy | None) -> None:
    if strategy is not None and not isinstance(strategy, tf.distribute.Strategy):
        raise InputError(f"strategy must be a tf.distribute.Strategy; got a {type(strategy).__name__}.")
    if strategy and not all(strategy.extended.variable_created_in_scope(v) for v in flow.trainable_variables):
        raise InputError(f"{flow.name} was not built under strategy.scope(): its variables live on one device only.")
    if strategy and strategy.num_replicas_in_sync > 1:
        check_whole_batches(flow, strategy.num_replicas_in_sync)


def _warn_if_sequential(flow: Flow) -> None:
    inner = (getattr(layer, "bijector", None) for layer in flow.every_layer)
    inverted = [b for b in inner if isinstance(b, MaskedAutoregressiveFlow) and b.is_sequential]
    if inverted and flow.event_size > 1:
        warnings.warn(
            f"the density of {flow.name} takes {flow.event_size} passes of the network in each of its {len(inverted)} "
            "layers, one after another: maf is the faster flow to fit by maximum likelihood.",
            stacklevel=3,
        )
