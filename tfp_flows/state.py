"""A flow on disk: one file in a folder, with its recipe, its arrays and a hash that ties them together.

```
FOLDER/flow.npz          an uncompressed zip archive; np.load opens it
    flow.json            format, recipe, columns, versions of what wrote it, sha256
    NAME.npy             an array each, whole kernels [N, M] whatever layout they have in memory
```

Nothing is pickled, and nothing that is read can run code. What is read is looked at before it is believed: sizes before
anything of that size is made, the hash before a network is built. Version 0.1 wrote `config.json` and `weights.npz`;
such a folder is read for ever.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from tfp_flows.arrays import assign_arrays, entries_of, whole_arrays
from tfp_flows.atomic import atomic_path
from tfp_flows.errors import InputError
from tfp_flows.identity import Identity, identity_of, put_arrays
from tfp_flows.json_files import parsed_json, read_json
from tfp_flows.recipe import at_most, following, make_again, unwritten
from tfp_flows.run_folder import COMMIT
from tfp_flows.words import reason_of

__all__ = ["State", "make_from", "put_into", "read_state", "restored", "save_state"]

FORMAT = 1
FILE, HEADER = "flow.npz", "flow.json"
CONFIG_0_1, WEIGHTS_0_1 = "config.json", "weights.npz"


class State(NamedTuple):
    """What a folder holds of a flow."""

    origin: str  # what errors call it
    recipe: dict | None  # None in files of old for a flow that has a part that cannot be written down
    arrays: dict[str, np.ndarray]
    columns: list[str] | None = None
    context_columns: list[str] | None = None
    probes: dict | None = None  # of the parts that the recipe has no more than the kind of
    config_0_1: dict | None = None  # in place of a recipe, version 0.1 had arguments for `make`


def save_state(folder: str | os.PathLike, flow: Any) -> None:
    """Writes a flow's file, in one step; `InputError` if it cannot be written, or a value is not finite."""
    folder = Path(folder)
    arrays = whole_arrays(flow)
    _check_finite(arrays, flow.name)
    recipe, probes = identity_of(flow)
    opaque = unwritten(recipe)
    header = {
        "format": FORMAT,
        "recipe": recipe,
        "columns": None if flow.columns is None else list(flow.columns),
        "context_columns": None if flow.context_columns is None else list(flow.context_columns),
        "versions": _versions(),
    }
    if opaque:
        header["probes"] = probes
    header["sha256"] = _hash_of(header, arrays)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}.") from error
    with atomic_path(folder / FILE, force=True) as scratch, zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as file:
        file.writestr(HEADER, json.dumps(header, indent=1))
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    (folder / WEIGHTS_0_1).unlink(missing_ok=True)  # it would be another flow's
    if opaque:
        warnings.warn(
            f"{flow.name} is saved, but not its {_listed(opaque)}, which cannot be written down: reading it back takes "
            "a flow that was built with the same, and tff.load(folder, into=flow).",
            stacklevel=3,
        )


def read_state(folder: str | os.PathLike) -> State:
    """What `save_state` wrote, or version 0.1; `InputError` in one sentence for anything else."""
    folder = Path(folder)
    pending = folder / COMMIT / FILE  # of a run whose process was killed before it had moved its results into place
    if pending.is_file():
        try:
            return _read_file(pending)
        except InputError:
            if pending.is_file():  # else somebody has moved it meanwhile
                raise
    if (folder / FILE).is_file() or not (folder / WEIGHTS_0_1).is_file():
        return _read_file(folder / FILE)
    config = read_json(folder / CONFIG_0_1).get("flow")
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise InputError(f"{folder / CONFIG_0_1} must have an object 'flow' with a 'name'.")
    origin = str(folder / WEIGHTS_0_1)
    with _open_archive(Path(origin)) as file:
        arrays = {name.removesuffix(".npy"): _read_array(file, name, origin) for name in file.namelist()}
    _check_finite(arrays, origin)
    return State(origin, None, arrays, config_0_1=config)


def restored(state: State, build: Any) -> Any:
    """The flow of a state. `build()` makes it, with whatever values; it may make no more numbers than were saved."""
    numbers = sum(array.size for array in state.arrays.values())
    with following(state.origin), at_most(2 * numbers + 10_000):  # masks leave out some of those that are counted
        flow = build()
    put_into(flow, state)
    return flow


def put_into(flow: Any, state: State) -> None:
    """Gives a flow the arrays and the names of columns of a state; `InputError` if it is another flow's."""
    arrays = state.arrays
    if state.config_0_1 is not None:
        arrays = _as_whole_arrays(flow, state)
    if state.recipe is None or unwritten(state.recipe):
        arrays = _renamed(arrays, list(entries_of(flow)))
    identity = Identity(state.recipe, state.probes or {})
    put_arrays(flow, identity, state.origin, lambda: assign_arrays(flow, arrays, state.origin))
    flow.columns, flow.context_columns = state.columns, state.context_columns


def _renamed(arrays: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Arrays by the names that they have here: Keras counts its layers, and calls the next network's dense_2."""
    plain = [[re.sub(r"_\d+(?=/|$)", "", name) for name in either] for either in (arrays, names)]
    return dict(zip(names, arrays.values(), strict=True)) if plain[0] == plain[1] else arrays


def make_from(recipe: dict | None) -> Any:
    """The flow of a recipe, before it gets its arrays."""
    if recipe is None:
        raise InputError(
            "the layers of this flow could not be written down: build the flow again, and read its arrays with "
            "tff.load(folder, into=flow)."
        )
    opaque = unwritten(recipe)
    if opaque:
        raise InputError(
            f"the flow's {_listed(opaque)} could not be written down: build the flow again with the same, and read its "
            "arrays with tff.load(folder, into=flow)."
        )
    return make_again(recipe)


def _listed(opaque: Mapping[str, str]) -> str:
    """Parts that cannot be written down, with their kinds."""
    return ", ".join(f"{part} ({kind})" for part, kind in opaque.items())


# The archive.


def _read_file(path: Path) -> State:
    origin = str(path)
    with _open_archive(path) as file:
        if HEADER not in file.namelist():
            raise InputError(f"{origin} holds no {HEADER}; expected a file that flow.save wrote.")
        header = parsed_json(file.read(HEADER), f"{origin}, {HEADER}")
        _check_header(header, origin)
        names = [name for name in file.namelist() if name != HEADER]
        arrays = {name.removesuffix(".npy"): _read_array(file, name, origin) for name in names}
    claimed = header.pop("sha256")
    if claimed != _hash_of(header, arrays):
        raise InputError(f"{origin} was changed after it was written: its recipe and arrays are not those of its hash.")
    _check_finite(arrays, origin)
    return State(origin, header["recipe"], arrays, header["columns"], header["context_columns"], header.get("probes"))


def _check_header(header: dict, origin: str) -> None:
    version = header.get("format")
    if isinstance(version, int) and version > FORMAT:
        versions = header.get("versions")
        wrote = versions.get("tfp_flows") if isinstance(versions, dict) else "of a later version"
        raise InputError(
            f"{origin} has format {version}, of tfp_flows {wrote}; this is tfp_flows {tfp_flows.__version__}, "
            f"which reads formats up to {FORMAT}."
        )
    missing = {"format", "recipe", "columns", "context_columns", "versions", "sha256"} - set(header)
    named = not missing and all(_are_names(header[key]) for key in ("columns", "context_columns"))
    named = named and isinstance(header.get("probes"), dict | None)
    if version != FORMAT or not named or not isinstance(header["recipe"], dict | None):
        raise InputError(f"{origin}, {HEADER} is no header of format {FORMAT}; expected a file that flow.save wrote.")


def _are_names(columns: Any) -> bool:
    return columns is None or (isinstance(columns, list) and all(isinstance(name, str) for name in columns))


@contextlib.contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, none of whose members is larger than the file."""
    if not path.is_file():
        raise InputError(f"{path.parent} holds no run: {path.name} is missing.")
    try:
        size = path.stat().st_size
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > size:
                raise InputError(f"{path} cannot be read: its members are compressed, or larger than the file.")
            if len({m.filename for m in members}) < len(members):
                raise InputError(f"{path} cannot be read: two of its members have one name.")
            yield file
    except InputError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: it is no archive of plain arrays ({reason_of(error)}).") from error


def _read_array(file: zipfile.ZipFile, name: str, origin: str) -> np.ndarray:
    """A member as an array; its header is held against its size before the array is made."""
    with contextlib.suppress(SyntaxError, TypeError):  # what NumPy's reader of headers raises, besides ValueError
        stream = io.BytesIO(file.read(name))
        version = np.lib.format.read_magic(stream)
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version in readers:
            shape, fortran, dtype = readers[version](stream)
            left = len(stream.getbuffer()) - stream.tell()
            if dtype.kind in "biuf" and math.prod(shape) * dtype.itemsize == left:
                array = np.frombuffer(stream.getbuffer(), dtype, offset=stream.tell())
                return array.reshape(shape, order="F" if fortran else "C").copy()
    raise InputError(f"{origin} cannot be read: {name} is no plain array of numbers.")


def _hash_of(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Of everything but the hash itself: neither recipe nor arrays can be exchanged alone."""
    total = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        total.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def _check_finite(arrays: Mapping[str, np.ndarray], origin: str) -> None:
    for name, value in arrays.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(f"{origin}: {name} holds {value[~np.isfinite(value)][0]}; expected finite numbers.")


# What version 0.1 wrote.


def _as_whole_arrays(flow: Any, state: State) -> dict[str, np.ndarray]:
    """Kernels were saved in the stripes that they had in memory; a context was not standardised."""
    arrays, whole = dict(state.arrays), {}
    for name, entry in entries_of(flow).items():
        if not isinstance(entry.source, tf.Variable):
            stripes = [arrays.pop(f"{name}{i}") for i in range(len(arrays)) if f"{name}{i}" in arrays]
            try:
                whole[name] = entry.source.joined_as_0_1(stripes)
            except ValueError as error:
                raise InputError(f"{state.origin}: {name} has another shape than its {CONFIG_0_1} says.") from error
        elif name in arrays:
            value = arrays.pop(name)
            whole[name] = value.astype(entry.dtype) if "standardize/" in name else value  # float32 in 0.1
        elif name.startswith("context/"):
            whole[name] = entry.read()
    return whole | arrays


def _versions() -> dict[str, str]:
    """Versions of what the arrays were made with."""
    return {"tfp_flows": tfp_flows.__version__, "tensorflow": tf.__version__, "tensorflow_probability": tfp.__version__}
