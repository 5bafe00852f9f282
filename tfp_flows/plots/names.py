"""The names of columns, in figures: which are shown, and what the axes say."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfp_flows.checks import as_list
from tfp_flows.datasets.refusals import some_of
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.words import in_short

__all__ = ["columns_text", "name_of", "picked", "shortened", "two_of"]


def shortened(name: str, letters: int = 24) -> str:
    """A name as a figure has it: cut where it is long; a dollar in it begins no formula."""
    name = " ".join(name.split())
    return (name if len(name) <= letters else f"{name[: letters - 1]}…").replace("$", r"\$")


def name_of(column: int, names: Sequence[str] | None, letters: int = 24) -> str:
    """The name of a column, or its place in a row, counted from 0."""
    return shortened(names[column], letters) if names else f"x[{column}]"


def picked(flow: Flow, columns: Any, names: Sequence[str] | None = None) -> tuple[int, ...]:
    """The numbers of columns, by names or by numbers from 0, in the order that they are asked for; all for None.

    Raises:
      InputError: for what is no list of different columns that the flow has.
    """
    if columns is None:
        return tuple(range(flow.event_size))
    names = list(names or flow.columns or ())
    listed = [columns] if isinstance(columns, str) else as_list(columns)
    found = [names.index(each) if isinstance(each, str) and each in names else each for each in listed or ()]
    good = all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) and 0 <= i < flow.event_size for i in found)
    if not found or not good or len(set(found)) != len(found):
        known = f"by name ({some_of(names)}) or " if names else ""
        raise InputError(
            f"columns must be a list of different columns, {known}by number from 0 to {flow.event_size - 1}; "
            f"got {in_short(columns)}."
        )
    return tuple(int(i) for i in found)


def two_of(flow: Flow, columns: Any) -> tuple[int, ...]:
    """The two columns that a plane shows, or the one that there is.

    Raises:
      InputError: where there are more than two, and nothing says which of them.
    """
    if columns is None and flow.event_size > 2:
        raise InputError(
            f"columns must say which two of the {flow.event_size} columns to show, as in columns=(0, 1); "
            "tff.plots.corner shows all of them."
        )
    shown = picked(flow, columns)
    if len(shown) != min(2, flow.event_size):
        raise InputError(f"columns must be two, for the two axes; got {in_short(columns)}.")
    return shown


def columns_text(flow: Flow, shown: Sequence[int]) -> str:
    """What a figure that shows some of the columns says of that: `columns a and b of 5`; nothing if they are all."""
    if len(shown) == flow.event_size:
        return ""
    names = [name_of(i, flow.columns) for i in shown]
    if len(names) > 3:
        return f"{len(names)} of {flow.event_size} columns"
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"column{'s' if len(names) > 1 else ''} {listed} of {flow.event_size}"
