"""A flow as a SavedModel that plain TensorFlow loads, without this package and without TFP."""

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfp_flows.errors import InputError

__all__ = ["export_flow", "exported_functions"]


def export_flow(flow: Any, folder: str | os.PathLike) -> None:
    """Writes the SavedModel of `Flow.export` into a folder; `InputError` if it cannot be written there."""
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / "saved_model.pb").exists()):
        raise InputError(f"{folder} is in use, and not by a SavedModel: choose another folder.")
    functions = exported_functions(flow)
    module = tf.Module()
    module.flow = flow  # SavedModel wants to know whose variables the functions read
    for name, function in functions.items():
        setattr(module, name, function)
    signatures = {name: function.get_concrete_function(*_specs(flow, name)) for name, function in functions.items()}
    try:
        tf.saved_model.save(module, str(folder), signatures=signatures)
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"{folder} cannot be written: {error}.") from error


def exported_functions(flow: Any) -> dict[str, Any]:
    """The functions, by name, traced for any number of rows."""

    def log_prob(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.log_prob(x, context=context)

    def sample_with_context(context: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return flow.sample((), seed=seed, context=context)

    def sample(n: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return flow.sample(n, seed=seed)

    def encode(x: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.encode(x, context=context)

    def decode(u: tf.Tensor, context: tf.Tensor | None = None) -> tf.Tensor:
        return flow.decode(u, context=context)

    sample = sample_with_context if flow.context_size else sample
    functions = {"log_prob": log_prob, "sample": sample, "encode": encode, "decode": decode}
    functions = {name: tf.function(function) for name, function in functions.items()}
    for name, function in functions.items():
        for dtype in {flow.dtype, tf.float64}:  # float64 keeps all digits of x
            function.get_concrete_function(*_specs(flow, name, dtype))
    return functions


def _specs(flow: Any, name: str, dtype: tf.DType | None = None) -> list[tf.TensorSpec]:
    """What a function takes, rows and context of that type."""
    dtype = dtype or flow.dtype
    context = [tf.TensorSpec([None, flow.context_size], dtype, "context")] if flow.context_size else []
    if name == "sample":
        return [*(context or [tf.TensorSpec([], tf.int32, "n")]), tf.TensorSpec([2], tf.int32, "seed")]
    return [tf.TensorSpec([None, flow.event_size], dtype, "u" if name == "decode" else "x"), *context]
