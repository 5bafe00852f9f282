"""The state of a module as names and whole arrays, whatever layout its variables have in memory."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfp_flows.errors import InputError

__all__ = ["Entry", "assign_arrays", "entries_of", "whole_arrays"]


class Entry(NamedTuple):
    """One array of a state: a variable, or a kernel `[N, M]` of which a layer keeps several pieces."""

    shape: tuple[int, ...]
    dtype: np.dtype
    source: Any  # a tf.Variable, or a module with `whole_kernel` and `assign_kernel`

    def read(self) -> np.ndarray:
        """The value."""
        source = self.source
        return (source if isinstance(source, tf.Variable) else source.whole_kernel()).numpy()

    def write(self, value: np.ndarray) -> None:
        """Sets it."""
        source = self.source
        (source.assign if isinstance(source, tf.Variable) else source.assign_kernel)(value)


def entries_of(module: tf.Module) -> dict[str, Entry]:
    """The arrays of a module by their names, in one order.

    A module whose arrays go by the names of its parts has `named_parts`, a dictionary of modules. Their names come
    first in those of their arrays, so that two parts may have networks of one name. A part whose variables have no
    names to rely on has `array_names`, by their references.
    """
    entries, seen = {}, set()
    for prefix, part in [*getattr(module, "named_parts", {}).items(), ("", module)]:
        for name, entry, variables in _found_in(part):
            refs = {v.ref() for v in variables}
            if refs <= seen:
                continue
            seen |= refs
            name = name if not prefix or name.startswith(f"{prefix}/") else f"{prefix}/{name}"
            count = sum(other == name or other.startswith(f"{name}#") for other in entries)
            entries[f"{name}#{count}" if count else name] = entry
    return entries


def _found_in(module: tf.Module) -> Iterator[tuple[str, Entry, list[tf.Variable]]]:
    kernels = [part for part in (module, *module.submodules) if getattr(part, "kernels", None)]
    for layer in kernels:
        shape = layer.kernel_shape
        yield layer.kernel_name, Entry(tuple(shape), _numpy_type(layer.kernels[0]), layer), layer.kernels
    laid_out = {v.ref() for layer in kernels for v in layer.kernels}
    names = getattr(module, "array_names", {})
    for v in module.variables:
        if v.ref() not in laid_out:
            yield names.get(v.ref(), v.name.removesuffix(":0")), Entry(tuple(v.shape), _numpy_type(v), v), [v]


def _numpy_type(variable: tf.Variable) -> np.dtype:
    return np.dtype(variable.dtype.as_numpy_dtype)


def whole_arrays(module: tf.Module) -> dict[str, np.ndarray]:
    """The values of all the arrays of a module."""
    return {name: entry.read() for name, entry in entries_of(module).items()}


def assign_arrays(module: tf.Module, arrays: dict[str, np.ndarray], origin: str) -> None:
    """Gives a module the values that `whole_arrays` gave; all of them are checked before the first is set.

    Args:
      module: the module.
      arrays: by name.
      origin: what errors call the place that the arrays come from.

    Raises:
      InputError: if a name, a shape or a type is another one.
    """
    entries = entries_of(module)
    for name in [*entries, *arrays]:
        if (name in entries) != (name in arrays):
            has = "has no array" if name in entries else "has an array too many"
            raise InputError(f"{origin} {has}: {name}; expected those of this flow, {len(entries)} in all.")
    for name, entry in entries.items():
        value = arrays[name]
        if (value.shape, value.dtype) != (entry.shape, entry.dtype):
            raise InputError(
                f"{origin}: {name} must be {entry.dtype.name} {list(entry.shape)}; "
                f"got {value.dtype.name} {list(value.shape)}."
            )
    for name, entry in entries.items():
        entry.write(arrays[name])
