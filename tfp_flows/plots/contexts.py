"""The context that a figure is drawn at: one row, checked, and said in its title."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfp_flows.datasets.refusals import some_of
from tfp_flows.door import exact, with_last
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.names import shortened
from tfp_flows.words import in_short, plural

__all__ = [
    "as_row",
    "at_context",
    "check_unconditional",
    "context_of_rows",
    "given_text",
    "keywords_of",
    "law_text",
    "one_context",
]

MOST_SHOWN = 3  # columns of a context in a title


def one_context(flow: Flow, context: Any, name: str = "context") -> np.ndarray | None:
    """The one row `[C]` that a figure is drawn at; None for a flow without context.

    Raises:
      InputError: for a context that is missing, not asked for, of another size, not finite, or of several rows.
    """
    if context is None and not flow.context_size:
        return None
    row = _numbers(flow, context, name)
    if row.ndim > 1 and row.size != flow.context_size:
        raise InputError(
            f"{name} must be one row of {plural(flow.context_size, 'column')}, at which the figure is drawn; "
            f"got shape {list(row.shape)}."
        )
    return row.reshape(-1)


def context_of_rows(flow: Flow, context: Any, count: int | None) -> np.ndarray | None:
    """One row `[C]` for all, or the rows `[N, C]` of so many rows, or of any number for None.

    Raises:
      InputError: as `one_context` does, but for several rows that are as many as there should be.
    """
    if context is None and not flow.context_size:
        return None
    rows = _numbers(flow, context, "context")
    if rows.ndim == 1 or (rows.ndim == 2 and len(rows) == 1):
        return rows.reshape(-1)
    if rows.ndim != 2 or (count is not None and len(rows) != count):
        many = "rows [N, C]" if count is None else f"a row for each of the {plural(count, 'row')} of x"
        raise InputError(f"context must be one row [C], or {many}; got shape {list(rows.shape)}.")
    if not len(rows):
        raise InputError("context must have at least one row; got none.")
    return rows


def check_unconditional(flow: Flow, what: str) -> None:
    """Raises `InputError` for a conditional flow, saying what has no context."""
    if flow.context_size:
        raise InputError(
            f"flow must be one without context, as {what}; got {flow.name} with context_size={flow.context_size}."
        )


def keywords_of(flow: Flow, context: np.ndarray | None) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the base takes at a context, and what each layer takes, by its name."""
    return flow._split_kwargs(flow._check_kwargs({"context": context}))


def law_text(flow: Flow, context: np.ndarray | None) -> str:
    """What a figure is of: `p(height | age = 30)`; of a flow without context, of columns without names, `p(x)`."""
    names = [shortened(name, 16) for name in flow.columns or ("x",)]
    names = ", ".join(names) if len(names) <= MOST_SHOWN else f"{', '.join(names[: MOST_SHOWN - 1])}, …"
    return f"p({names})" if context is None else f"p({names} | {given_text(flow, context)})"


def given_text(flow: Flow, context: np.ndarray) -> str:
    """The numbers of a context with the names of its columns: `age = 30, size = 1.7`."""
    shown = [f"{number:.4g}" for number in context[:MOST_SHOWN]]
    more = f", … {len(context) - len(shown)} more" if len(context) > len(shown) else ""
    if flow.context_columns:
        pairs = zip(flow.context_columns, shown, strict=False)
        return ", ".join(f"{shortened(name, 16)} = {number}" for name, number in pairs) + more
    return f"c = {shown[0]}" if len(context) == 1 else f"c = ({', '.join(shown)}{more})"


def at_context(title: str, flow: Flow, context: np.ndarray | None) -> str:
    """A title that says at which context."""
    return title if context is None else f"{title} at {given_text(flow, context)}"


def as_row(context: Any) -> Any:
    """A context as it is; of one number for each name, as in `{"age": 30, "size": 1.7}`, a table of one row."""
    if isinstance(context, Mapping) and all(np.ndim(value) == 0 for value in context.values()):
        return {key: [value] for key, value in context.items()}
    return context


def _numbers(flow: Flow, context: Any, name: str) -> np.ndarray:
    """A context in float64, `[C]` or `[N, C]`, of the columns in the flow's order."""
    size = flow.context_size
    if not size:
        raise InputError(f"{name} was given, but {flow.name} was built without; build it with context_size=….")
    if context is None:
        names = f", {some_of(flow.context_columns)}" if flow.context_columns else ""
        raise InputError(f"{name} must be a row of {plural(size, 'column')}{names}, as {flow.name} is conditional.")
    numbers = with_last(exact(as_row(context), flow.context_columns, name, size), size, name).numpy().astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} must be finite numbers; got {in_short(numbers[~np.isfinite(numbers)][0].item())}.")
    return numbers
