"""A flow as a SavedModel that plain TensorFlow loads, without this package and without TFP."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfp_flows.checks import check_path
from tfp_flows.errors import InputError

__all__ = ["export_flow", "exported_functions"]


STAGED = ".staged"
GRAPH = "saved_model.pb"  # without it, nothing is a SavedModel
OURS = {GRAPH, "fingerprint.pb", "variables", "assets", STAGED}


def export_flow(flow: Any, folder: str | os.PathLike) -> None:
    """Writes the SavedModel of `Flow.export` into a folder; `InputError` if it cannot be written there.

    What is there before stays until all is written. A process that is killed while the new one is put in its place
    leaves a folder that TensorFlow refuses to load, and never the graph of one flow with the variables of another.
    """
    check_path(folder=folder)
    folder = Path(folder)
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if folder.is_file() or (GRAPH not in there and not there <= OURS):
        raise InputError(f"{folder} is in use, and not by a SavedModel: choose another folder.")
    functions = flow.exported
    module = tf.Module()
    module.flow = flow  # SavedModel wants to know whose variables the functions read
    for name, function in functions.items():
        setattr(module, name, function)
    signatures = {name: function.get_concrete_function(*_specs(flow, name)) for name, function in functions.items()}
    staged, is_new = folder / STAGED, not folder.exists()
    try:
        staged.mkdir(parents=True, exist_ok=True)
        with _no_word_of_tensorflow():
            tf.saved_model.save(module, str(staged), signatures=signatures)
        _put_in_place(staged, folder)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "message", None) or error
        raise InputError(f"{folder} cannot be written: {reason}.") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty: all went well
                folder.rmdir()


def _put_in_place(staged: Path, folder: Path) -> None:
    """Moves the parts of a SavedModel; its graph goes first and comes last."""
    (folder / GRAPH).unlink(missing_ok=True)
    for part in sorted(staged.iterdir(), key=lambda part: part.name == GRAPH):
        if part.is_dir():
            shutil.rmtree(folder / part.name, ignore_errors=True)
        os.replace(part, folder / part.name)


@contextlib.contextmanager
def _no_word_of_tensorflow() -> Iterator[None]:
    """Within the block TensorFlow logs errors alone: it warns of what TFP does, and that a recipe is not restored."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def exported_functions(flow: Any) -> dict[str, Any]:
    """The functions, by name, traced for any number of rows."""

    def log_prob(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.log_prob(x, context=context)

    def encode(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.encode(x, context=context)

    def decode(u: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.decode(u, context=context)

    functions = {"log_prob": log_prob, "sample": _sampling(flow, flow.sample), "encode": encode, "decode": decode}
    if flow.takes_float64 and flow.dtype != tf.float64:
        functions["sample_in_float64"] = _sampling(flow, flow.sample_in_float64)
    functions = {name: tf.function(function, autograph=False) for name, function in functions.items()}
    for name, function in functions.items():
        for dtype in {flow.dtype, tf.float64}:  # float64 keeps all digits of x
            function.get_concrete_function(*_specs(flow, name, dtype))
    return functions


def _sampling(flow: Any, sample: Callable) -> Callable:
    """A function of contexts, a sample for each, or of a number of samples; and of a seed."""

    def of_context(context: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return sample((), seed=seed, context=context)

    def of_number(n: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return sample(n, seed=seed)

    return of_context if flow.context_size else of_number


def _specs(flow: Any, name: str, dtype: tf.DType | None = None) -> list[tf.TensorSpec]:
    """What a function takes, rows and context of that type."""
    dtype = dtype or flow.dtype
    context = [tf.TensorSpec([None, flow.context_size], dtype, "context")] if flow.context_size else []
    if name.startswith("sample"):
        return [*(context or [tf.TensorSpec([], tf.int32, "n")]), tf.TensorSpec([2], tf.int32, "seed")]
    return [tf.TensorSpec([None, flow.event_size], dtype, "u" if name == "decode" else "x"), *context]
