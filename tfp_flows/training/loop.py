"""What every training has in common: the best weights are kept, bad ones are stopped, being stopped loses nothing."""

import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.errors import DivergenceError, TrainingInterrupted
from tfp_flows.signals import noting
from tfp_flows.training.batch_norm import has_batch_norm
from tfp_flows.training.callbacks import (
    START,
    STATUS,
    BatchNormStatistics,
    BestWeights,
    EpochLines,
    ProgressBar,
    StopWhenNotFinite,
    values_of,
)
from tfp_flows.training.checkpoint import CheckpointPlan, Checkpoints
from tfp_flows.words import loss_in_words

__all__ = ["run", "uses_xla"]

XLA_STEPS = 1000  # below this many steps, compiling with XLA costs more than it saves: benchmarks/xla.py


def run(
    model: Any,
    batches: Callable[[int], tf.data.Dataset],
    *,
    epochs: int,
    steps: int,
    at_once: int,
    inside: bool,
    validation: tf.data.Dataset | None,
    set_batch_norm: Callable[[], None] | None,
    start: list[np.ndarray],
    patience: int | None,
    callbacks: list,
    verbose: bool | int,
    learning_rate: float | None,
    checkpoint: CheckpointPlan | None,
    blame: Callable[[], str] = str,
    stacklevel: int = 3,
) -> Any:
    """Keras' `History` of a compiled model with a `flow` and a `loss_name`, trained; its best weights are restored.

    `learning_rate` is Adam's, or None beside an optimizer of the user's own. `steps` of an epoch and `at_once` of
    them in a call are in Keras' count; `batches(i)` are those from the i-th on, and `inside` says whether i may lie
    within an epoch. `start` has the values of the flow's variables from before anything was touched. `blame()` says
    which rows have no finite loss, and `stacklevel` is that of the user's call. The weights that training starts from
    are kept too where it has a validation, and restored where no epoch is better.
    """
    flow, loss = model.flow, model.loss_name
    best = BestWeights(flow.variables, start, loss, validation is not None, patience)
    watch, history = StopWhenNotFinite(loss), tf.keras.callbacks.History()
    history.set_model(model)  # which Keras would not, of a training that has nothing left to do
    refresh = []
    if set_batch_norm and has_batch_norm(flow):
        refresh = [BatchNormStatistics(set_batch_norm, validation is not None)]
    # callbacks of the user's may change the weights for a validation: then the statistics are those of these weights
    first, last = ([], refresh) if validation is not None else (refresh, [])
    bars, culprits = [], ""
    try:
        with noting(signal.SIGINT, *([] if checkpoint is None else [signal.SIGTERM])) as note:
            way = Checkpoints(
                *(checkpoint, model, best, watch, history, note), steps=steps, at_once=at_once, inside=inside
            )
            way.at_start = None if validation is None else _look(model, validation, refresh)
            resumed = way.begin()
            if verbose:
                if resumed:
                    STATUS.print(_going_on(way))
                bars.append(EpochLines(epochs, loss) if verbose == 2 else ProgressBar(epochs, loss, way.epoch))
            try:
                for begin, end, count in _stretches(way, epochs, steps):
                    model.fit(
                        batches(begin * steps + steps - count),
                        initial_epoch=begin,
                        epochs=end,
                        steps_per_epoch=count,
                        validation_data=validation,
                        callbacks=[watch, *first, best, history, *bars, *callbacks, *last, way],
                        shuffle=False,
                        verbose=0,
                    )
                    if model.stop_training:
                        break
                if not history.history and not way.ended:  # Keras' BackupAndRestore knows of a training that had ended
                    best.set(best.last, epochs - 1, values_of(flow.variables))
                if watch.epoch is None and best.best_epoch is None:
                    culprits = blame()
                if watch.epoch is None and way.at_start is not None and history.history:
                    best.prefer(*way.at_start)
            except BaseException:
                way.save()
                raise
    except KeyboardInterrupt as interrupt:
        raise TrainingInterrupted(
            _interruption(way, best), _complete(history, best), note.number or signal.SIGINT
        ) from interrupt
    finally:
        best.restore()
        for bar in bars:
            bar.close()
    _check_finite(watch, best, _complete(history, best), loss, learning_rate, culprits)
    way.finish()
    if best.best_epoch == START:
        more = "rows" if loss == "nll" else "steps"
        warnings.warn(
            f"no epoch had a lower validation {loss_in_words(loss)} than the start, whose weights are restored: "
            f"a lower learning rate, a smaller flow or more {more} may work.",
            stacklevel=stacklevel,
        )
    if verbose and best.ended:
        STATUS.print(f"stopped after epoch {len(history.epoch)}, as {patience} brought nothing better: {_kept(best)}")
    return history


def _look(model: Any, validation: tf.data.Dataset, callbacks: list) -> tuple[float, list[np.ndarray]]:
    """The validation loss of a model as it is, and the values of its flow's variables."""
    logs = model.evaluate(validation, callbacks=callbacks, verbose=0, return_dict=True)
    return float(logs[model.loss_name]), values_of(model.flow.variables)


def _stretches(way: Checkpoints, epochs: int, steps: int) -> list[tuple[int, int, int]]:
    """First epoch, last epoch and steps an epoch of the calls of Keras' `fit` that are left.

    There are two where an epoch was begun before: Keras can begin with any epoch, but not within one.
    """
    if way.ended or way.epoch >= epochs:
        return []
    begun = [(way.epoch, way.epoch + 1, steps - way.done)] if way.done else []
    first = way.epoch + len(begun)
    return [*begun, *([(first, epochs, steps)] if first < epochs else [])]


def _complete(history: Any, best: BestWeights) -> Any:
    """Keras' History, which counts epochs anew with each `fit`, with all the epochs and the best one.

    They begin later than with the first where Keras' BackupAndRestore has gone on with a training.
    """
    count = max((len(column) for column in history.history.values()), default=0)
    epochs = getattr(history, "epoch", ())  # Keras makes it when a training begins
    end = 1 + epochs[-1] if epochs else count
    history.epoch = list(range(end - count, end))
    history.best_epoch = best.best_epoch
    return history


def _going_on(way: Checkpoints) -> str:
    if way.ended:
        return f"{way.path} is of a training that has ended: its weights are restored; delete it to train anew"
    step = f", step {way.done}" if way.done else ""
    return f"going on from {way.path}: epoch {way.epoch + 1}{step}"


def _kept(best: BestWeights) -> str:
    if best.best_epoch is None:
        return "the flow is as it was before"
    of = "the start" if best.best_epoch == START else f"epoch {best.best_epoch + 1}"
    return f"the weights of {of} are restored"


def _interruption(way: Checkpoints, best: BestWeights) -> str:
    where = f"; {way.path} goes on from there" if way.path and way.path.exists() else ""
    return f"interrupted in epoch {way.epoch + 1}: {_kept(best)}{where}"


def _check_finite(
    watch: StopWhenNotFinite, best: BestWeights, history: Any, loss: str, learning_rate: float | None, culprits: str
) -> None:
    """Raises `DivergenceError` if training, or every one of its validations, was not finite."""
    if watch.epoch is not None:
        lower = "lower learning rate" if learning_rate is None else f"learning_rate below {learning_rate:g}"
        raise DivergenceError(
            f"the loss was {watch.value} in epoch {watch.epoch + 1}: {_kept(best)}; "
            f"a {lower} or {'rows without outliers' if loss == 'nll' else 'a density without NaN'} may work.",
            history,
        )
    if best.best_epoch is None:
        raise DivergenceError(
            f"the {loss_in_words(loss)} of the validation was {best.last} in every epoch{culprits}: {_kept(best)}; "
            "leave such rows out, or look at their units.",
            history,
        )


def uses_xla(jit_compile: bool | None, steps: int) -> bool:
    """What was asked for, or whether the work is long enough to pay for the compilation."""
    return steps >= XLA_STEPS if jit_compile is None else jit_compile
