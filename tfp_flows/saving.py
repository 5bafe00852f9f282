"""A flow's folder on disk: config.json and weights.npz. Nothing is pickled; nothing that is read can run code."""

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.errors import InputError

__all__ = ["read_flow_folder", "restore_weights", "write_flow_folder"]

CONFIG, WEIGHTS = "config.json", "weights.npz"


def write_flow_folder(
    folder: str | os.PathLike, flow_config: dict[str, Any] | None, variables: Sequence[tf.Variable]
) -> None:
    """Writes a flow's recipe and weights, each file whole or not at all; other entries of config.json are kept."""
    if flow_config is None:
        raise InputError(
            "only a flow from tff.make or a prebuilt chain can be saved: this one has config=None."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {v.name.removesuffix(":0"): v.numpy() for v in variables}
    if len(weights) < len(variables):
        raise InputError("the flow's variables must have different names to be saved.")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        np.savez(Path(scratch) / WEIGHTS, **weights)
        os.replace(Path(scratch) / WEIGHTS, folder / WEIGHTS)
    update_json(folder / CONFIG, flow=flow_config, versions=versions())


def read_flow_folder(folder: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The config and the weights in a folder; `InputError` if there are none."""
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with np.load(folder / WEIGHTS, allow_pickle=False) as file:
            weights = dict(file)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no flow: {Path(error.filename).name} is missing.") from error
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{folder} holds a flow that cannot be read: {error}.") from error
    if (
        not isinstance(config, dict)
        or not isinstance(config.get("flow"), dict)
        or "name" not in config["flow"]
    ):
        raise InputError(f"{folder / CONFIG} must have an object 'flow' with a 'name'.")
    return config, weights


def restore_weights(
    variables: Sequence[tf.Variable], weights: dict[str, np.ndarray], folder: str | os.PathLike
) -> None:
    """Assigns every variable its saved value, after checking that names, shapes and types are the same."""
    wanted = {v.name.removesuffix(":0"): v for v in variables}
    for name in wanted.keys() ^ weights.keys():
        where = "not in" if name in wanted else "only in"
        raise InputError(
            f"{Path(folder) / WEIGHTS} does not belong to its config.json: {name} is {where} the weights."
        )
    for name, variable in wanted.items():
        found, needed = weights[name], (tuple(variable.shape), variable.dtype.as_numpy_dtype)
        if (found.shape, found.dtype) != needed:
            raise InputError(
                f"{Path(folder) / WEIGHTS}: {name} must be {needed}; got {found.shape} {found.dtype}."
            )
    for name, variable in wanted.items():
        variable.assign(weights[name])


def update_json(path: Path, **entries: Any) -> None:
    """Sets entries of a JSON object on disk, whole or not at all."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(known | entries, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def versions() -> dict[str, str]:
    """Versions of what the weights were made with."""
    from tfp_flows import __version__

    return {"tfp_flows": __version__, "tensorflow": tf.__version__, "tensorflow_probability": tfp.__version__}
