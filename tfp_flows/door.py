"""What users hand to a flow: rows, contexts and weights, as numbers with all their digits, or refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.datasets.table import as_weights, has_names, is_series, matched, row_of
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["as_probabilities", "check_unmasked", "exact", "rows_of_statistics", "with_last"]


def exact(value: Any, columns: Sequence[str] | None, name: str, size: int) -> tf.Tensor:
    """A tensor of numbers, with all their digits: whole numbers, and lists of Python's own, as float64.

    Columns that have names are put in the order of `columns`, or refused; so is what a mask hides.
    """
    if is_series(value) and size > 1:
        value = row_of(value, columns, name)
    elif has_names(value):
        value = matched(value, columns, name=name, event_size=size)
    check_unmasked(name, value)
    try:
        if isinstance(value, (list, tuple)) and not any(tf.is_tensor(part) for part in tf.nest.flatten(value)):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) and (value.dtype.kind == "O" or value.dtype.itemsize > 8):
            value = _as_float64(value)
        value = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers; got a {type(value).__name__}.") from error
    if not (value.dtype.is_floating or value.dtype.is_integer or value.dtype.is_bool):
        raise InputError(f"{name} must be real numbers; got {value.dtype.name}.")
    return value if value.dtype.is_floating else tf.cast(value, tf.float64)


def _as_float64(value: np.ndarray) -> np.ndarray:
    """Python's numbers, and those longer than TensorFlow's; neither text nor None is one, whatever NumPy says."""
    is_other = value.dtype.kind == "O" and any(isinstance(cell, (str, bytes, type(None))) for cell in value.flat)
    return value if is_other or value.dtype.kind not in "fO" else value.astype(np.float64)


def check_unmasked(name: str, value: Any) -> None:
    """Raises `InputError` where NumPy alone, or TensorFlow, would uncover what a mask hides."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    hidden = sum(int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray))
    if hidden:
        raise InputError(f"{name} has {plural(hidden, 'masked value')}; fill them, or leave the rows out.")


def with_last(value: tf.Tensor, size: int, name: str) -> tf.Tensor:
    """The tensor `[..., size]`; `InputError` if its last dimension is known to be another."""
    if value.shape.rank is None:
        return tf.reshape(value, tf.concat([tf.shape(value)[:-1], [size]], 0))
    if value.shape.rank == 0 or value.shape[-1] not in (None, size):
        raise InputError(f"the last dimension of {name} must be {size}; got shape {value.shape}.")
    return tf.ensure_shape(value, [*value.shape[:-1], size])


def rows_of_statistics(
    x: Any,
    columns: Sequence[str] | None,
    event_size: int,
    *,
    context: Any = None,
    context_columns: Sequence[str] | None = None,
    context_size: int = 0,
    weights: Any = None,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Rows `[N, D]`, their context `[N, C]` and weights `[N]`, finite, of which a layer takes its statistics."""
    if context is not None and not context_size:
        raise InputError("context was given, but this flow was built without; build it with context_size=….")
    x = matched(x, columns, event_size=event_size)
    if context is not None:
        context = matched(context, context_columns, name="context", event_size=context_size)
        if len(context) != len(x):
            raise InputError(
                f"context must have a row for each of the {plural(len(x), 'row')} of x; got {len(context)}."
            )
    if weights is not None:
        weights = as_weights(weights, name="weights", rows=len(x))
    return x, context, weights


def as_probabilities(value: Any, dtype: tf.DType, name: str = "value") -> tf.Tensor:
    """Numbers from 0 to 1, as a new tensor; those of Python with all the digits that the dtype has."""
    check_unmasked(name, value)
    try:
        found = tf.identity(tf.cast(value if tf.is_tensor(value) else np.asarray(value, dtype.as_numpy_dtype), dtype))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be probabilities, numbers from 0 to 1; got {in_short(value)}.") from error
    known = tf.get_static_value(found)
    is_bool = not tf.is_tensor(value) and np.asarray(value).dtype == bool
    if value is None or is_bool or (known is not None and not ((known >= 0) & (known <= 1)).all()):
        raise InputError(f"{name} must be probabilities, numbers from 0 to 1; got {in_short(value)}.")
    return found
