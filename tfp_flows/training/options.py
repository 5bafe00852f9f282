"""The options that every training has, checked before anything is touched."""

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfp_flows.checks import check_choice, check_flags, check_positive, check_training, given
from tfp_flows.errors import InputError
from tfp_flows.training.rates import RATE, SCHEDULES

__all__ = ["check_is_new", "check_optimizer", "check_options"]


def check_options(
    *,
    epochs: int,
    batch_size: int | None,
    steps_per_epoch: int | None,
    learning_rate: float | None,
    schedule: str | None,
    weight_decay: float | None = None,
    clip_norm: float | None,
    optimizer: Any,
    patience: int | None,
    jit_compile: bool | None,
    callbacks: Any,
    verbose: bool | int,
    seed: int,
    checkpoint: str | os.PathLike | None,
    checkpoint_every: float,
) -> tuple[list[Any], float | None]:
    """The callbacks, in a list, and Adam's highest rate, None beside an optimizer of the user's own.

    `InputError` for an option of a type or size that cannot work.
    """
    if isinstance(learning_rate, tf.keras.optimizers.schedules.LearningRateSchedule):
        raise InputError(
            f"learning_rate must be a number above 0; got a {type(learning_rate).__name__}: pass it in an optimizer, "
            "as optimizer=tf.keras.optimizers.Adam(schedule)."
        )
    check_training(
        epochs=epochs,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        learning_rate=RATE if learning_rate is None else learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        verbose=verbose,
        seed=seed,
        checkpoint_every=checkpoint_every,
    )
    check_positive(**given(clip_norm=clip_norm))
    check_flags(**given(jit_compile=jit_compile))
    if schedule is not None:
        check_choice("schedule", schedule, SCHEDULES)
    if optimizer is not None:
        check_optimizer(optimizer)
    _check_folder(checkpoint)
    callbacks = _as_list(callbacks)
    if optimizer is None and schedule != "constant":
        _check_rate_is_free(callbacks)
    return callbacks, _rate(optimizer, learning_rate=learning_rate, schedule=schedule, weight_decay=weight_decay)


def _rate(optimizer: Any, **of_adam: Any) -> float | None:
    if optimizer is None:
        return RATE if of_adam["learning_rate"] is None else float(of_adam["learning_rate"])
    for name, value in given(**of_adam).items():
        raise InputError(
            f"{name} is for the Adam that optimizer stands in place of; got {value!r}: give it to the optimizer, as in "
            "optimizer=tf.keras.optimizers.Adam(1e-3)."
        )
    return None


def _check_rate_is_free(callbacks: list[Any]) -> None:
    """Keras refuses it when such a callback first sets a rate, which may be hours later."""
    for callback in callbacks:
        if isinstance(callback, (tf.keras.callbacks.ReduceLROnPlateau, tf.keras.callbacks.LearningRateScheduler)):
            raise InputError(
                f"callbacks: {type(callback).__name__} sets the learning rate, and so does a schedule: pass "
                'schedule="constant" as well.'
            )


def check_optimizer(optimizer: Any) -> None:
    """Raises `InputError` for what is no optimizer: Keras' own words for one that it does not know are many lines."""
    try:
        if optimizer is not None and not isinstance(optimizer, dict) and tf.keras.optimizers.get(optimizer):
            return
    except ValueError:
        pass
    raise InputError(f"optimizer must be one of tf.keras.optimizers, or its name, as in 'adam'; got {_of(optimizer)}.")


def check_is_new(optimizer: Any, variables: list[Any]) -> None:
    """Raises `InputError` for an optimizer with moments of other variables: Keras' own words come from a graph.

    Neither Keras has a public way to ask.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of LossScaleOptimizer
    known = getattr(optimizer, "_trainable_variables_indices", None) or getattr(optimizer, "_index_dict", None)
    if known and not {optimizer._var_key(variable) for variable in variables} <= set(known):
        name = type(optimizer).__name__
        raise InputError(
            f"optimizer is one that another model was trained with: pass a new tf.keras.optimizers.{name}."
        )


def _check_folder(checkpoint: Any) -> None:
    if checkpoint is None:
        return
    if not isinstance(checkpoint, (str, os.PathLike)) or not os.fspath(checkpoint):
        raise InputError(f"checkpoint must be a folder; got {_of(checkpoint)}.")
    if Path(checkpoint).is_file():
        raise InputError(f"checkpoint must be a folder; {checkpoint} is a file.")


def _as_list(callbacks: Any) -> list[Any]:
    """Keras takes one by itself too."""
    listed = [callbacks] if isinstance(callbacks, tf.keras.callbacks.Callback) else callbacks
    if listed is None:
        return []
    if not isinstance(listed, (list, tuple)):
        raise InputError(f"callbacks must be a list of Keras callbacks; got {_of(listed)}.")
    for callback in listed:
        if not isinstance(callback, tf.keras.callbacks.Callback):
            raise InputError(f"callbacks must be a list of Keras callbacks; got one that is {_of(callback)}.")
    return list(listed)


def _of(value: Any) -> str:
    """A wrong value, in a few words."""
    return repr(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
