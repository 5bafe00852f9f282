"""What `fit` does between epochs: statistics, the best weights, stopping, the progress bar."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tfp_flows.words import loss_in_words

__all__ = [
    "START",
    "STATUS",
    "BatchNormStatistics",
    "BestWeights",
    "Callback",
    "EpochLines",
    "ProgressBar",
    "StopWhenNotFinite",
    "values_of",
]

Callback = tf.keras.callbacks.Callback
START = -1  # the epoch whose weights are those that training started from
STATUS = Console(stderr=True, highlight=False, soft_wrap=True)  # what is no result does not belong on stdout


class BatchNormStatistics(Callback):
    """Sets batch norm's statistics from the training rows before every validation, and so before weights are kept.

    Args:
      refresh: sets the statistics; called with no arguments.
      validates: whether there is a validation; without one, it is done when an epoch ends.
    """

    def __init__(self, refresh: Callable[[], None], validates: bool) -> None:
        super().__init__()
        self._refresh, self._validates = refresh, validates

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Before a validation."""
        self._refresh()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """When an epoch ends that has none."""
        if not self._validates:
            self._refresh()


class BestWeights(Callback):
    """Keeps the weights of the best epoch by value, and stops when it lies `patience` epochs back.

    Args:
      variables: all the variables of the flow, statistics included.
      start: their values from before the training, which are restored if no epoch was any good.
      loss: the log entry to minimise: in a validation where there is one.
      validates: whether there is.
      patience: epochs without improvement before training stops; None never stops.

    Attributes:
      best, best_epoch: the lowest value, and its epoch, from 0; None before there is one, -1 for the start.
      values: the weights then.
      last: the latest value.
      ended: whether it has stopped the training.
    """

    def __init__(
        self, variables: list[tf.Variable], start: list[np.ndarray], loss: str, validates: bool, patience: int | None
    ) -> None:
        super().__init__()
        self._variables, self._loss, self._monitor = variables, loss, f"val_{loss}" if validates else loss
        self._patience = math.inf if patience is None else patience
        self.best, self.best_epoch, self.values = math.inf, None, start
        self.last, self.ended = math.nan, False
        self._validated: list[np.ndarray] | None = None

    def on_test_end(self, logs: dict | None = None) -> None:
        """Keeps the weights that were validated: other callbacks may swap them, as SwapEMAWeights does."""
        self._validated = values_of(self._variables) if float(logs[self._loss]) < self.best else None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Makes them the best, or counts an epoch without improvement."""
        self.last = float(logs[self._monitor])
        if self.last < self.best:
            self.set(self.last, epoch, self._validated or values_of(self._variables))
        elif epoch - (-1 if self.best_epoch is None else self.best_epoch) >= self._patience:
            self.ended = self.model.stop_training = True

    def set(self, best: float, best_epoch: int, values: list[np.ndarray]) -> None:
        """Makes this the best epoch so far."""
        self.best, self.best_epoch, self.values = best, best_epoch, values

    def prefer(self, value: float, values: list[np.ndarray]) -> None:
        """Keeps the weights `values` of the start if an epoch was good but none better than they."""
        if self.best_epoch is not None and value <= self.best:
            self.set(value, START, values)

    def restore(self) -> None:
        """Gives the flow the kept weights; those that it came with, if no epoch was any good."""
        for variable, value in zip(self._variables, self.values, strict=True):
            variable.assign(value)


def values_of(variables: Sequence[tf.Variable]) -> list[np.ndarray]:
    """Copies of the values of variables."""
    return [np.array(variable.numpy()) for variable in variables]


class StopWhenNotFinite(Callback):
    """Stops at the first batch whose running loss is not finite; `epoch` then says in which epoch that was.

    Args:
      loss: its name in the logs.
    """

    def __init__(self, loss: str) -> None:
        super().__init__()
        self._loss = loss
        self.epoch: int | None = None
        self.value = 0.0
        self._now = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the epoch."""
        self._now = epoch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the running mean, which a single bad batch makes not finite."""
        value = float(logs[self._loss])
        if not math.isfinite(value) and self.epoch is None:
            self.epoch, self.value = self._now, value
            self.model.stop_training = True


class ProgressBar(Callback):
    """One line for the whole training: epochs, loss of training and validation, gap where it is known, times.

    Args:
      epochs: how many there will be at most.
      loss: the loss's name in the logs.
      done: how many of them were trained before.
    """

    def __init__(self, epochs: int, loss: str, done: int = 0) -> None:
        super().__init__()
        self._loss = loss
        self._progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[report]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=STATUS,
        )
        self._task = self._progress.add_task("", total=epochs, completed=done, report="compiling …")

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Shows the line."""
        self._progress.start()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Moves it on."""
        self._progress.update(self._task, completed=epoch + 1, report=_report(self._loss, logs))

    def close(self) -> None:
        """Leaves the line as it is, however the training ended."""
        self._progress.stop()


class EpochLines(Callback):
    """A line for each epoch, as Keras has it for `verbose=2`: for logs in files.

    Args:
      epochs: how many there will be at most.
      loss: the loss's name in the logs.
    """

    def __init__(self, epochs: int, loss: str) -> None:
        super().__init__()
        self._epochs, self._loss = epochs, loss

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the line."""
        STATUS.print(f"epoch {epoch + 1}/{self._epochs}  {_report(self._loss, logs)}")

    def close(self) -> None:
        """There is nothing to be left."""


def _report(loss: str, logs: dict) -> str:
    """Loss of training and validation, and the gap where it is known."""
    shown = ((loss, loss_in_words(loss)), (f"val_{loss}", "validation"), ("val_gap", "gap"))
    return "  ".join(f"{label} {logs[key]:.3f}" for key, label in shown if key in logs)
