"""What every training has in common: the best weights are kept, bad ones are stopped, Ctrl-C loses nothing."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfp_flows.bijectors import BatchNorm
from tfp_flows.errors import DivergenceError, InputError, TrainingInterrupted
from tfp_flows.training.callbacks import BatchNormStatistics, BestWeights, ProgressBar, StopWhenNotFinite

__all__ = ["adam", "check_schedule", "run", "uses_xla"]

XLA_STEPS = 1000  # below this many steps, compiling with XLA costs more than it saves: benchmarks/xla.py


def run(
    model: Any,
    batches: tf.data.Dataset,
    *,
    epochs: int,
    steps: int,
    validation: tf.data.Dataset | None,
    set_batch_norm: Callable[[], None] | None,
    patience: int | None,
    callbacks: list,
    verbose: bool,
    learning_rate: float,
) -> Any:
    """Keras' `History` of a compiled model with a `flow` and a `loss_name`, trained; its best weights are restored."""
    flow, loss = model.flow, model.loss_name
    best = BestWeights(flow.variables, loss if validation is None else f"val_{loss}", patience)
    watch = StopWhenNotFinite(loss)
    history = tf.keras.callbacks.History()
    bar = [ProgressBar(epochs, loss)] if verbose else []
    refresh = []
    if set_batch_norm and any(isinstance(layer, BatchNorm) for layer in flow.layers):
        refresh = [BatchNormStatistics(set_batch_norm, validation is not None)]
    try:
        model.fit(
            batches,
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[watch, *refresh, best, history, *bar, *callbacks],
            shuffle=False,
            verbose=0,
        )
    except KeyboardInterrupt as interrupt:
        raise TrainingInterrupted(history) from interrupt
    finally:
        best.restore()
        for shown in bar:
            shown.close()
    if watch.epoch is not None:
        kept = f"the weights of epoch {best.best_epoch + 1}" if best.best_epoch >= 0 else "the weights at the start"
        raise DivergenceError(
            f"the loss was {watch.value} in epoch {watch.epoch + 1}: {kept} are restored; "
            f"a learning_rate below {learning_rate:g} or rows without outliers may work."
        )
    return history


def adam(learning_rate: float, schedule: str, steps: int, clip_norm: float | None) -> Any:
    """Adam with a clipped gradient, its rate constant or falling to zero along a cosine."""
    if schedule == "cosine":
        learning_rate = tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return tf.keras.optimizers.Adam(learning_rate, global_clipnorm=clip_norm)


def uses_xla(jit_compile: bool | None, steps: int) -> bool:
    """What was asked for, or whether the work is long enough to pay for the compilation."""
    return steps >= XLA_STEPS if jit_compile is None else jit_compile


def check_schedule(schedule: str) -> None:
    """Raises `InputError` for an unknown schedule."""
    if schedule not in ("cosine", "constant"):
        raise InputError(f"schedule must be 'cosine' or 'constant'; got {schedule!r}.")
