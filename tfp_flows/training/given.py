"""What users give to Keras' methods, as arrays with their columns in the flow's order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.datasets.table import as_rows, as_weights, check_order, has_names, matched
from tfp_flows.door import check_unmasked
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.training.standard import coarse_column, rounded_row
from tfp_flows.words import plural

__all__ = ["arrays_of", "check_digits", "check_finite", "check_parts", "in_order", "named_in_order", "parts_of"]

LEAST_WEIGHT = 1e-30  # sums of its products with losses are far from the ends of float32


def arrays_of(flow: Flow, x: Any, context: Any = None, weight: Any = None) -> tuple[Any, Any, Any]:
    """Rows, context and weights as they go to Keras; a pipeline, a generator or a dataset as it is.

    Without a context there is one without columns beside weights: Keras would drop them.

    Raises:
      InputError: for columns, widths or numbers of rows that do not fit, a context that is missing or not asked for,
        and weights that are below 0 or all 0.
    """
    if x is None:
        raise InputError("x must be rows, or a tf.data.Dataset of batches; got None.")
    if not _is_table(x):
        return x, context, weight
    parts = parts_of(x)
    if len(parts) == 2 and context is not None:
        raise InputError("context was given twice: beside x, and with it.")
    x, context = (*parts, context)[:2]
    check_order(x=x, context=context, sample_weight=weight)
    check_unmasked("sample_weight", weight)
    x, context = in_order(flow, x, "x"), in_order(flow, context, "context")
    if _length(x) == 0:
        raise InputError(f"x must have rows; got shape {list(x.shape)}.")
    weight = _weights(weight)
    for name, part in (("context", context), ("sample_weight", weight)):
        if part is not None and _length(part) != _length(x):
            raise InputError(
                f"{name} must have a row for each of the {plural(_length(x), 'row')} of x; got {_length(part)}."
            )
    if weight is not None and context is None:
        context = np.zeros([len(weight), 0], "float32")
    return x, context, weight


def check_parts(name: str, parts: tuple) -> None:
    """Raises `InputError` unless there are as many parts as rows, their context and their weights are."""
    if not 1 <= len(parts) <= 3:
        raise InputError(
            f"{name} must be x, (x, context) or (x, context, sample_weight); got {plural(len(parts), 'part')}."
        )


def check_finite(x: Any, context: Any = None, name: str = "x") -> None:
    """Raises `InputError` for rows to train on, as `arrays_of` gives them, of which a number is NaN or infinite."""
    parts = {name: x, "context" if name == "x" else f"the context of {name}": context}
    for title, part in parts.items():
        if isinstance(part, np.ndarray) and part.size and not np.isfinite(part).all():
            as_rows(part, name=title)


def check_digits(flow: Flow, x: Any) -> None:
    """Raises `InputError` for rows of 64 bits that Keras' fit, evaluate or predict would round to others.

    Those round tables to float32 on their way in, whatever the flow's dtype; datasets they take as they are. Rows are
    others by the statistics of the flow, or, where it has none, if they look alike then.

    Args:
      flow: the flow.
      x: rows, or `(x, context)`, that `arrays_of` takes.
    """
    if not _is_table(x):
        return
    table = parts_of(x)[0]
    rows = np.asarray(table)
    if not rows.size or rows.dtype.kind not in "iuf" or rows.dtype.itemsize < 8:
        return
    columns = list(table.columns) if hasattr(table, "columns") else flow.columns
    ordered = matched(table, flow.columns, event_size=flow.event_size) if has_names(table) else rows
    found = coarse_column(rows, columns) or rounded_row(flow, ordered.astype(np.float64))
    if found:
        raise InputError(
            f"x: {found}, and Keras rounds tables to float32: use tff.fit and flow.log_prob, or give Keras a "
            "tf.data.Dataset of batches."
        )


def parts_of(x: Any) -> Sequence[Any]:
    """The parts of `(x, context)`, also in a list; of rows, which may be a list of lists, the rows alone."""
    is_pair = isinstance(x, (tuple, list)) and len(x) == 2 and all(map(_is_rows, x))
    return tuple(x) if is_pair else (x,)


def named_in_order(flow: Flow, x: Any, context: Any) -> tuple[Any, Any]:
    """Those of the two that have names in the flow's order; tensors, of Keras' graphs too, as they are."""
    tables = {"x": x, "context": context}
    for name, table in tables.items():
        check_unmasked(name, table)
    return tuple(in_order(flow, table, name) if has_names(table) else table for name, table in tables.items())


def in_order(flow: Flow, table: Any, name: str) -> Any:
    """A table, "x" or "context", as an array in the flow's order; `InputError` if it does not fit the flow."""
    check_unmasked(name, table)
    columns, size = {
        "x": (flow.columns, flow.event_size),
        "context": (flow.context_columns, flow.context_size),
    }[name]
    if table is None or (name == "context" and not size and getattr(table, "shape", (1,))[-1] == 0):
        if name == "context" and size:
            raise InputError(f"context must be rows of {plural(size, 'column')}, as {flow.name} has a context.")
        return table
    if not size:
        raise InputError(f"context was given, but {flow.name} was built without; build it with context_size=….")
    if tf.is_tensor(table) or (hasattr(table, "shape") and len(table.shape) == 2 and not has_names(table)):
        if len(table.shape) < 1 or table.shape[-1] not in (None, size):
            raise InputError(f"{name} must be rows of {plural(size, 'column')}; got shape {list(table.shape)}.")
        if getattr(table.dtype, "kind", "f") in "biuf":
            return table
    return matched(table, columns, name=name, event_size=size).astype(flow.dtype.as_numpy_dtype)


def _weights(weight: Any) -> Any:
    """Weights `[N]`, float64. Keras rounds them to float32: their size counts in its steps, and cannot be any."""
    if weight is None:
        return None
    found = as_weights(weight)
    if not LEAST_WEIGHT < found.max() < 1 / LEAST_WEIGHT:
        raise InputError(
            f"sample_weight must be numbers that float32 holds, with {LEAST_WEIGHT:g} to {1 / LEAST_WEIGHT:g} the "
            f"largest; got {found.max():g}: divide them by their mean."
        )
    return found


def _is_table(x: Any) -> bool:
    return isinstance(x, (tuple, list)) or has_names(x) or hasattr(x, "shape")


def _is_rows(part: Any) -> bool:
    """Whether it is a table by itself, and no row of one."""
    if has_names(part) or tf.is_tensor(part) or hasattr(part, "shape"):
        return has_names(part) or len(part.shape) != 1
    return isinstance(part, (tuple, list)) and len(part) > 0 and isinstance(part[0], (tuple, list, np.ndarray))


def _length(part: Any) -> int | None:
    return part.shape[0] if hasattr(part, "shape") else len(part)
