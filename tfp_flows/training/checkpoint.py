"""Checkpoints: all that a training needs to go on as if it had never been stopped, in one file.

    an epoch                                      | x: between two calls of Keras' training function
    |===x===x===x===x===|validation|callbacks|=x===  and after an epoch nothing is half done: only there is
    0   1   2   3  ...                             saved, and only there does a signal end the training.

What a step trains on is a function of the seed and of its number (rows.py), so that a position is two integers.
"""

import json
import os
import time
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.atomic import atomic_path, check_space
from tfp_flows.errors import InputError
from tfp_flows.identity import Identity, identity_of, others, put_arrays, recipe_as_read
from tfp_flows.signals import StopNote
from tfp_flows.training.callbacks import BestWeights, Callback, StopWhenNotFinite

__all__ = ["FILE", "CheckpointPlan", "Checkpoints", "as_plan"]

FILE = "checkpoint.npz"
FORMAT = 1
WITHOUT_WORDS = (
    "optimizer settings",
    "rows",
    "teacher's variables",
    "validation rows",
    "variables",
)  # too long to show
LAWS = ("flow", "teacher")  # settings that are an identity each
_DAMAGED = (OSError, ValueError, LookupError, EOFError, RuntimeError, RecursionError, zipfile.BadZipFile, zlib.error)


class CheckpointPlan(NamedTuple):
    """Where checkpoints go, how many seconds lie between two, and what tells this training from any other."""

    folder: Path
    every: float
    settings: dict[str, Any]


def as_plan(folder: str | os.PathLike, every: float, model: Any, settings: dict[str, Any]) -> CheckpointPlan:
    """The plan of `checkpoint=folder` for a compiled model; what it is made of belongs to the settings."""
    variables = [f"{_dtype(v)} {list(v.shape)}" for v in model.flow.variables]
    optimizer = [type(model.optimizer).__name__, model.optimizer.get_config()]
    made_of = {"variables": variables, "optimizer settings": _unnamed(json.loads(json.dumps(optimizer, default=str)))}
    made_of["flow"] = Identity(recipe_as_read(model.flow), {})._asdict()
    return CheckpointPlan(Path(folder), every, settings | made_of)


def _unnamed(config: Any) -> Any:
    """A configuration without names: Keras counts its objects, and names them by their number."""
    if isinstance(config, dict):
        return {key: _unnamed(value) for key, value in config.items() if key != "name"}
    return [_unnamed(value) for value in config] if isinstance(config, list) else config


class Checkpoints(Callback):
    """Counts the way through a training, writes it down as planned, and ends it where a signal asks for it.

    Args:
      plan: where and when to write; None for a training that only ends at good moments.
      model: the compiled model, whose flow, optimizer and metrics are kept.
      best: the best weights so far.
      watch: what stops a training that has diverged, of which nothing more is to be kept.
      history: Keras' History of this training.
      note: the signal that asks for the end, if one has come.
      steps: of an epoch, in Keras' count.
      at_once: steps of one call of Keras' training function.
      inside: whether the batches can be found again from within an epoch; else only ends of epochs are kept.

    Attributes:
      at_start: the validation loss before the first epoch, and the weights then; None where nobody looked.
    """

    def __init__(
        self,
        plan: CheckpointPlan | None,
        model: Any,
        best: BestWeights,
        watch: StopWhenNotFinite,
        history: Any,
        note: StopNote,
        *,
        steps: int,
        at_once: int,
        inside: bool,
    ) -> None:
        super().__init__()
        self._plan, self._trained, self._best, self._watch = plan, model, best, watch
        self._history, self._note = history, note
        self._steps, self._at_once, self._inside = steps, at_once, inside
        self.epoch, self.done, self.ended = 0, 0, False
        self._whole, self._kept, self._metrics = True, None, None
        self.at_start: tuple[float, list[np.ndarray]] | None = None
        self._last = time.monotonic()

    @property
    def path(self) -> Path | None:
        """The file."""
        return None if self._plan is None else self._plan.folder / FILE

    def begin(self) -> bool:
        """Goes to where a checkpoint of this very training was written, or writes the first; whether there was one.

        Raises:
          InputError: if the file is damaged or of another training, or cannot be written, for lack of space too.
        """
        if self._plan is None:
            return False
        check_space(self._plan.folder, 2 * self._size())
        found = self.path.exists()
        if found:
            self._go_to(*_read(self.path, self._plan.settings))
        else:
            _write(self.path, *self._state())
        self._last = time.monotonic()
        return found

    def save(self) -> None:
        """Writes where the training is, or was last when nothing was half done; a warning if that cannot be."""
        if self._plan is None or not (self._whole or self._kept):
            return
        state = self._state() if self._whole else self._kept
        self._last = time.monotonic()
        try:
            _write(self.path, *state)
        except InputError as error:
            warnings.warn(f"no checkpoint: {error}", stacklevel=2)

    def finish(self) -> None:
        """Writes that the training has ended, with the weights that it ended with."""
        self._whole, self.ended = True, True
        self.save()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """In an epoch that was begun before, its running means are what they were."""
        for variable, value in zip(*(self._metrics or ([], [])), strict=True):
            variable.assign(value)
        self._metrics = None

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """From here on, something is half done."""
        self._whole = False

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Nothing is, unless the epoch is over: then its validation is to come."""
        self.done = min(self.done + self._at_once, self._steps)
        if self.done < self._steps and not self.model.stop_training:
            self._whole = self._inside
            self._pause()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Nothing is half done; this is the last of the callbacks."""
        if self._watch.epoch is not None:
            return
        self.epoch, self.done, self._whole = epoch + 1, 0, True
        if not self._inside and self._plan is not None:
            self._kept = self._state()
        self._pause()

    def _pause(self) -> None:
        asked = self._note.number is not None
        if not asked and self._plan is not None and time.monotonic() - self._last >= self._plan.every:
            self.save()
        if asked:
            raise KeyboardInterrupt

    def _groups(self) -> dict[str, list[Any]]:
        optimizer = self._trained.optimizer.variables
        return {
            "weights": list(self._trained.flow.variables),
            # a method in the oldest optimizers, and a list elsewhere
            "optimizer": list(optimizer if isinstance(optimizer, Sequence) else optimizer()),
            "metrics": [variable for metric in self._trained.metrics for variable in metric.variables],
        }

    def _size(self) -> int:
        """Bytes of a checkpoint, about."""
        groups = self._groups()
        kept = [*groups["weights"], *groups["weights"], *groups["weights"], *groups["optimizer"]]
        return 2**16 + sum(int(np.prod(v.shape)) * np.dtype(_dtype(v)).itemsize for v in kept)

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        groups = {name: [_value(v) for v in variables] for name, variables in self._groups().items()}
        if self.ended:
            groups = {"weights": groups["weights"]}
        elif self._best.best_epoch is not None:
            groups["best"] = self._best.values
        if self.at_start is not None and not self.ended:
            groups["start"] = self.at_start[1]
        facts = {
            "format": FORMAT,
            "settings": self._plan.settings,
            "epoch": self.epoch,
            "done": self.done,
            "ended": self.ended,
            "stopping": bool(getattr(self._trained, "stop_training", False)),
            "best": self._best.best,
            "best_epoch": self._best.best_epoch,
            "at_start": None if self.at_start is None else self.at_start[0],
            "history": self._history.history,
            "probes": identity_of(self._trained.flow).probes,
        }
        return facts, {f"{name}{i}": value for name, values in groups.items() for i, value in enumerate(values)}

    def _go_to(self, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        groups = self._groups()
        if facts["ended"]:
            groups = {"weights": groups["weights"]}
        elif facts["best_epoch"] is not None:
            groups["best"] = groups["weights"]
        at_start = None if facts["ended"] else facts.get("at_start")
        if at_start is not None:
            groups["start"] = groups["weights"]
        values = {name: _fitting(self.path, name, variables, arrays) for name, variables in groups.items()}
        identity = Identity(None, facts.get("probes") or {})  # the recipe is one of the settings
        put_arrays(self._trained.flow, identity, str(self.path), lambda: _assign(groups["weights"], values["weights"]))
        _assign(groups.get("optimizer", ()), values.get("optimizer", ()))
        if facts["best_epoch"] is not None:
            kept = values["weights"] if facts["ended"] else values["best"]
            self._best.set(facts["best"], facts["best_epoch"], kept)
        self.at_start = None if at_start is None else (at_start, values["start"])
        self.epoch, self.done, self.ended = facts["epoch"], facts["done"], facts["ended"] or facts["stopping"]
        self._best.ended = facts["stopping"]
        self._metrics = (groups["metrics"], values["metrics"]) if self.done and not self.ended else None
        self._history.history.update(facts["history"])
        self._kept = None if self._inside or facts["ended"] else (facts, arrays)


def _write(path: Path, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    text = np.frombuffer(json.dumps(facts, default=float).encode(), np.uint8)
    with atomic_path(path, force=True) as scratch:
        np.savez(scratch, facts=text, **arrays)


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _read(path: Path, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `_write` wrote; `InputError` if it is damaged, or of a training with other settings."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(arrays.pop("facts").tobytes())
        found = facts["settings"]
        whole = isinstance(found, dict) and facts["format"] == FORMAT
    except (*_DAMAGED, AttributeError, TypeError) as error:
        raise InputError(f"{path} is damaged or no checkpoint; delete it to train from the start.") from error
    if not whole:
        raise InputError(f"{path} is a checkpoint of another version of tfp_flows; delete it to train from the start.")
    for name, value in json.loads(json.dumps(settings)).items():
        what = _difference(name, found.get(name), value)
        if what:
            raise InputError(f"{path} is of another training: {what}; give another folder, or delete the file.")
    return facts, arrays


def _difference(name: str, was: Any, value: Any) -> str:
    """What is to be said of a setting that was another one; nothing where it was not."""
    if name in LAWS:
        whole = isinstance(was, dict) and set(was) == set(Identity._fields)
        same = whole and not others(Identity(**was), Identity(**value))
        return "" if same else f"it has another {name}"
    if was == value:
        return ""
    return f"it has other {name}" if name in WITHOUT_WORDS else f"{name} was {was!r}, and is {value!r}"


def _fitting(path: Path, name: str, variables: list[Any], arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The values of a group of variables, after a look at their shapes."""
    values = [arrays.get(f"{name}{i}") for i in range(len(variables))]
    for variable, value in zip(variables, values, strict=True):
        if value is None or value.shape != tuple(variable.shape) or value.dtype != np.dtype(_dtype(variable)):
            raise InputError(f"{path} does not fit the flow and its optimizer; delete it to train from the start.")
    return values


def _value(variable: Any) -> np.ndarray:
    return np.array(variable.numpy())


def _dtype(variable: Any) -> str:
    return tf.as_dtype(variable.dtype).name
