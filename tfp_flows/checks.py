"""Arguments, checked: one form of sentence for every refusal. NumPy only."""

import numbers
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = [
    "MOST",
    "as_dtype",
    "as_hidden_units",
    "as_list",
    "check_choice",
    "check_columns",
    "check_flags",
    "check_names",
    "check_number",
    "check_part",
    "check_path",
    "check_positive",
    "check_seed",
    "check_shape",
    "check_sizes",
    "check_text",
    "check_training",
    "check_verbose",
    "given",
    "plain_options",
]

MOST = 2**31 - 1  # TensorFlow's sizes are of 32 bits
MOST_OF = {"num_layers": 10_000}  # which are built one by one
MAY_BE_ZERO = (
    "context_size",
    "input_size",
    "num_masked",
    "octaves",
    "channels_in",
)  # of one dimension, nothing else is there


def check_sizes(**sizes: int) -> None:
    """Raises `InputError` unless every argument is a positive integer, or zero for those that may be."""
    for name, size in sizes.items():
        least = 0 if name in MAY_BE_ZERO else 1
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < least:
            raise InputError(f"{name} must be an integer of at least {least}; got {in_short(size)}.")
        if size > (most := MOST_OF.get(name, MOST)):
            raise InputError(f"{name} must be an integer of at most {most}; got {in_short(size)}.")


def check_shape(name: str, shape: Any) -> None:
    """Raises `InputError` unless it is an integer of at least 0, or several, in a list or an array."""
    sizes = np.asarray(shape)
    if sizes.size and (sizes.dtype.kind not in "iu" or sizes.ndim > 1 or not ((sizes >= 0) & (sizes <= MOST)).all()):
        raise InputError(f"{name} must be an integer from 0 to {MOST}, or a list of some; got {in_short(shape)}.")


def check_flags(**values: bool) -> None:
    """Raises `InputError` unless every argument is True or False, or 1 or 0: other words are true as well."""
    for name, value in values.items():
        if not isinstance(value, (bool, np.bool_, int)) or value not in (0, 1):
            raise InputError(f"{name} must be True or False; got {in_short(value)}.")


def as_hidden_units(hidden_units: Any) -> list[int]:
    """The sizes of hidden layers as a list, whatever sequence of integers they come in; `InputError` otherwise."""
    sizes = as_list(hidden_units)
    if sizes is None:
        raise InputError(f"hidden_units must be a list of integers; got {in_short(hidden_units)}.")
    for size in sizes:
        check_sizes(hidden_units=size)
    return sizes


def as_list(value: Any) -> list | None:
    """A sequence as a list of Python's own numbers: lists, tuples, ranges, arrays, tensors; None for what is none."""
    value = value.numpy() if hasattr(value, "numpy") and hasattr(value, "shape") else value
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, str) or not isinstance(value, Sequence):
        return None
    return [item.item() if isinstance(item, np.generic) else item for item in value]


def plain_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a chain with sequences, types and NumPy's numbers as JSON has them, and the others as they are."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    if "dtype" in plain:
        plain["dtype"] = as_dtype(plain["dtype"])
    if "hidden_units" in plain:
        plain["hidden_units"] = as_hidden_units(plain["hidden_units"])
    for name in ("octaves", "mixing", "dequantize", "image_shape"):
        listed = as_list(plain.get(name))
        if listed is not None:
            plain[name] = [item if as_list(item) is None else as_list(item) for item in listed]
    return plain


def check_names(name: str, columns: Sequence[str] | None) -> None:
    """Raises `InputError` if two columns have one name."""
    double = next((column for column in columns or () if list(columns).count(column) > 1), None)
    if double is not None:
        raise InputError(f"{name} has {list(columns).count(double)} columns named {in_short(double)}; expected one.")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises `InputError` unless it is one of a few words."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {in_short(value)}.")


def as_dtype(dtype: Any) -> str:
    """The name of a dtype that flows can have, from that, or NumPy's or TensorFlow's object; `InputError` otherwise."""
    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        name = np.dtype(dtype).name
    else:
        name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if name not in ("float32", "float64"):
        raise InputError(f"dtype must be 'float32' or 'float64'; got {in_short(dtype)}.")
    return name


def check_verbose(verbose: Any) -> None:
    """Raises `InputError` unless it is one of Keras' numbers, or True or False."""
    if not isinstance(verbose, (bool, np.bool_, int, np.integer)) or verbose not in (0, 1, 2):
        raise InputError(
            "verbose must be 0 for nothing, 1 for a progress bar or 2 for a line an epoch, or True or False; got "
            f"{in_short(verbose)}."
        )


def check_columns(name: str, columns: Any, event_size: int) -> tuple[int, ...]:
    """The numbers of columns, from 0, in order; `InputError` unless they are such."""
    listed = columns.tolist() if hasattr(columns, "tolist") else () if columns is None else columns
    is_list = isinstance(listed, (list, tuple))
    good = is_list and all(
        isinstance(i, (int, np.integer)) and not isinstance(i, bool) and 0 <= i < event_size for i in listed
    )
    if not good or len(set(listed)) != len(listed):
        raise InputError(
            f"{name} must be a list of different columns, by their numbers from 0 to {event_size - 1}; "
            f"got {in_short(columns)}."
        )
    return tuple(sorted(int(i) for i in listed))


def check_path(**paths: Any) -> None:
    """Raises `InputError` unless every argument is the name of a file or a folder."""
    for name, path in paths.items():
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise InputError(f"{name} must be a path, a text; got {in_short(path)}.")


def check_text(**values: str) -> None:
    """Raises `InputError` unless every argument is a text, and not an empty one."""
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"{name} must be a text; got {in_short(value)}.")


def check_seed(seed: int) -> None:
    """Raises `InputError` unless it is an integer from 0 to 2^32 - 1, as Keras' and NumPy's are."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be an integer from 0 to {2**32 - 1}; got {in_short(seed)}.")


def check_positive(**values: float) -> None:
    """Raises `InputError` unless every argument is a finite number above 0."""
    for name, value in values.items():
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        too_large = isinstance(value, numbers.Rational) and value > sys.float_info.max
        if not is_number or too_large or not 0 < value < float("inf"):
            raise InputError(f"{name} must be a number above 0; got {in_short(value)}.")


def check_part(**values: float) -> None:
    """Raises `InputError` unless every argument is a part of a whole that leaves something of it."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value < 1:
            raise InputError(f"{name} must be at least 0 and below 1; got {in_short(value)}.")


def check_number(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a float if it is a number in `[low, high]`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise InputError(f"{name} is {in_short(value)}; expected a number from {low:g} to {high:g}.")
    return float(value)


def check_training(
    *,
    epochs: int,
    batch_size: int | None,
    steps_per_epoch: int | None,
    learning_rate: float,
    weight_decay: float | None = None,
    patience: int | None,
    verbose: bool | int,
    seed: int,
    checkpoint_every: float,
) -> None:
    """Raises `InputError` for a number that no training can have."""
    check_sizes(epochs=epochs)
    check_sizes(**given(batch_size=batch_size, steps_per_epoch=steps_per_epoch, patience=patience))
    check_positive(learning_rate=learning_rate)
    if weight_decay is not None:
        check_number("weight_decay", weight_decay, 0, 1 / learning_rate)
    check_verbose(verbose)
    check_seed(seed)
    check_number("checkpoint_every", checkpoint_every, 0, float("inf"))


def given(**options: Any) -> dict[str, Any]:
    """The options that are not None: those that are checked."""
    return {name: value for name, value in options.items() if value is not None}
