"""A flow's folder on disk: config.json and weights.npz. Nothing is pickled; nothing that is read can run code."""

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from tfp_flows.atomic import atomic_path
from tfp_flows.errors import InputError

__all__ = [
    "read_flow_folder",
    "read_json",
    "restore_weights",
    "update_json",
    "write_flow_folder",
]

CONFIG, WEIGHTS = "config.json", "weights.npz"


def write_flow_folder(
    folder: str | os.PathLike, flow_config: dict[str, Any] | None, variables: Sequence[tf.Variable]
) -> None:
    """Writes a flow's recipe and weights, each file whole or not at all; other entries of config.json are kept."""
    if flow_config is None:
        raise InputError("only a flow from tff.make or a prebuilt chain can be saved: this one has config=None.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {v.name.removesuffix(":0"): v.numpy() for v in variables}
    if len(weights) < len(variables):
        raise InputError("the flow's variables must have different names to be saved.")
    with atomic_path(folder / WEIGHTS, force=True) as scratch:
        np.savez(scratch, **weights)
    update_json(folder / CONFIG, flow=flow_config, versions=versions())


def read_flow_folder(folder: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The config and the weights in a folder; `InputError` if there are none."""
    folder = Path(folder)
    config = read_json(folder / CONFIG)
    if not isinstance(config.get("flow"), dict) or "name" not in config["flow"]:
        raise InputError(f"{folder / CONFIG} must have an object 'flow' with a 'name'.")
    try:
        with np.load(folder / WEIGHTS, allow_pickle=False) as file:
            weights = dict(file)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no flow: {WEIGHTS} is missing.") from error
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder / WEIGHTS} cannot be read: it is no archive of plain arrays.") from error
    return config, weights


def restore_weights(
    variables: Sequence[tf.Variable], weights: dict[str, np.ndarray], folder: str | os.PathLike
) -> None:
    """Assigns every variable its saved value, after checking that names, shapes and types are the same."""
    wanted = {v.name.removesuffix(":0"): v for v in variables}
    for name in wanted.keys() ^ weights.keys():
        where = "not in" if name in wanted else "only in"
        raise InputError(f"{Path(folder) / WEIGHTS} does not belong to its config.json: {name} is {where} the weights.")
    for name, variable in wanted.items():
        found, needed = weights[name], (tuple(variable.shape), variable.dtype.as_numpy_dtype)
        if (found.shape, found.dtype) != needed:
            raise InputError(f"{Path(folder) / WEIGHTS}: {name} must be {needed}; got {found.shape} {found.dtype}.")
    for name, variable in wanted.items():
        variable.assign(weights[name])


def update_json(path: Path, **entries: Any) -> None:
    """Sets entries of a JSON object on disk, whole or not at all."""
    known = read_json(path) if path.exists() else {}
    # default: TensorFlow wraps the dictionaries of a module; from Python 3.13 on, json does not know them as such
    with atomic_path(path, force=True) as scratch:
        scratch.write_text(json.dumps(known | entries, indent=2, default=dict) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from disk; `InputError` if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path.parent} holds no run: {path.name} is missing.") from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold a JSON object; got {type(found).__name__}.")
    return found


def versions() -> dict[str, str]:
    """Versions of what the weights were made with."""
    return {"tfp_flows": tfp_flows.__version__, "tensorflow": tf.__version__, "tensorflow_probability": tfp.__version__}
