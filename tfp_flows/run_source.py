"""What a run is trained, measured and drawn on: a law that is known, or columns of a file, by names or numbers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tfp_flows.checks import check_names, check_text, given
from tfp_flows.column_options import positions
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

if TYPE_CHECKING:
    import numpy as np

    from tfp_flows.datasets import Table
    from tfp_flows.flow import Flow

__all__ = ["RunRows", "Source", "source_settings"]

FEWEST_ROWS = 3


class RunRows(NamedTuple):
    """Rows `[N, D]` with the context `[N, C]` that they go with, names of columns, and the rows' numbers, from 1."""

    x: "np.ndarray"
    context: "np.ndarray | None" = None
    columns: tuple[str, ...] | None = None
    context_columns: tuple[str, ...] | None = None
    numbers: "np.ndarray | None" = None

    def take(self, index: Any) -> "RunRows":
        """The rows of an index."""
        of_rows = {"x": self.x, "context": self.context, "numbers": self.numbers}
        return self._replace(**{name: None if part is None else part[index] for name, part in of_rows.items()})

    def first(self, count: int) -> "RunRows":
        """The first of the rows."""
        return self.take(slice(count))


class Source:
    """What `data`, `columns` and `key` stand for: the exact law, where it is known, or the rows of a file."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from tfp_flows import datasets

        self.name, self._columns, self._key = settings["data"], settings.get("columns"), settings.get("key")
        self._context_columns = settings.get("context_columns")
        self.is_file = "data_options" not in settings and self.name not in datasets.names()
        self.law = None
        if not self.is_file:
            self.law = datasets.make(self.name, **settings.get("data_options", {}))
        elif not Path(self.name).suffix and not Path(self.name).is_dir():
            raise InputError(
                f"data must be one of {', '.join(datasets.names())}, or a file; got {in_short(self.name)}."
            )
        elif self._columns is None and self._key is None and datasets.is_mesh_file(self.name):
            self.law = datasets.mesh(Path(self.name))
        if self.law and self._context_columns:
            raise InputError(f"context_columns are those of a file; {self.name} has no context.")

    def table(self, columns: list[str | int] | None) -> "Table":
        """Columns of the file, by names or by numbers from 1 that count in the file; all of them for None."""
        from tfp_flows import datasets

        return datasets.read_table(self.name, columns=columns, key=self._key)

    def parted(self) -> RunRows:
        """Rows and context, as the settings name their columns."""
        if self._context_columns is None:
            table = self.table(self._columns)
            return RunRows(table.rows, None, table.columns)
        context = self.table(self._context_columns)
        if self._columns is not None:
            x = self.table(self._columns)
            self._check_apart(x.columns, context.columns)
            return RunRows(x.rows, context.rows, x.columns, context.columns)
        table = self.table(None)
        left = sorted({*range(table.rows.shape[1])} - set(positions("context_columns", self._context_columns, table)))
        if not left:
            raise InputError(f"context_columns must leave a column of {self.name}; got all {table.rows.shape[1]}.")
        names = table.columns and tuple(table.columns[i] for i in left)
        return RunRows(table.rows[:, left], context.rows, names, context.columns)

    def _check_apart(self, columns: Sequence[str] | None, context_columns: Sequence[str] | None) -> None:
        """Raises `InputError` for a column that is to be modelled and to be the context as well."""
        mine, theirs = self._columns, self._context_columns
        if columns and not all(isinstance(column, int) for column in (*mine, *theirs)):
            mine, theirs = columns, context_columns
        for column in mine:
            if column in theirs:
                raise InputError(f"context_columns must be others than columns; got {in_short(column)} in both.")

    def _check_chosen(self, table: "Table", wanted: Sequence[str] | None, argument: str, chosen: Any) -> None:
        """Raises `InputError` where an argument leaves columns of the file out that the flow was fitted to."""
        absent = [] if chosen is None else [name for name in wanted or () if name not in (table.columns or wanted)]
        if absent:
            every = ", ".join(wanted)
            raise InputError(f"{argument} must be those of the flow, {every}; got {in_short(chosen)}.")

    def matched(self, flow: "Flow", *, drop_extra: bool = False) -> RunRows:
        """The columns that a flow was fitted to, by their names where both have some."""
        from tfp_flows import datasets

        if not flow.context_size:
            table = self.table(self._columns)
            self._check_chosen(table, flow.columns, "columns", self._columns)
            _say_order(table, flow.columns)
            return RunRows(datasets.matched(table, flow.columns, event_size=flow.event_size, drop_extra=drop_extra))
        if self._context_columns is None:
            table = self.table(None)
            if not (table.columns and flow.columns and flow.context_columns):
                raise InputError(f"context_columns must say which columns of {self.name} are the context.")
            x, context = table, table
        else:
            rows = self.parted()
            x = datasets.Table(rows.x, rows.columns, self.name)
            context = datasets.Table(rows.context, rows.context_columns, self.name)
            self._check_chosen(x, flow.columns, "columns", self._columns)
            self._check_chosen(context, flow.context_columns, "context_columns", self._context_columns)
            _say_order(x, flow.columns)
        return RunRows(
            datasets.matched(x, flow.columns, event_size=flow.event_size, drop_extra=True),
            datasets.matched(context, flow.context_columns, event_size=flow.context_size, drop_extra=True),
        )

    def split(self, seed: int, *, says: bool = True) -> tuple[RunRows | None, RunRows]:
        """Training rows, unless they are drawn afresh, and test rows: fresh draws, or every tenth row of a file.

        What the file holds is said on stderr, with `says`.
        """
        import numpy as np

        from tfp_flows import datasets

        if self.law:
            return None, RunRows(self.law.split(seed).test)
        rows = self.parted()
        rows = rows._replace(numbers=np.arange(1, len(rows.x) + 1))
        if says:
            print(datasets.Table(rows.x, rows.columns, self.name).describe(), file=sys.stderr)
        check_names(self.name, (*(rows.columns or ()), *(rows.context_columns or ())))
        order = np.random.default_rng(seed).permutation(len(rows.x))
        if len(order) < FEWEST_ROWS:
            raise InputError(
                f"{self.name} must have at least {FEWEST_ROWS} rows, as every tenth of them, and one at least, is held "
                f"out; got {len(order)}."
            )
        held_out = max(1, len(order) // 10)
        return rows.take(order[held_out:]), rows.take(order[:held_out])

    def facts(self) -> dict[str, Any]:
        """What config.json says of the data."""
        if self.law:
            return {"name": self.law.name, "options": self.law.config, "entropy": self.law.entropy}
        given = {"columns": self._columns, "context_columns": self._context_columns, "key": self._key}
        return {"name": self.name} | {name: value for name, value in given.items() if value is not None}


def _say_order(table: "Table", columns: "tuple[str, ...] | None") -> None:
    """Says which column of a file without names is taken for which of a flow's."""
    from tfp_flows.datasets.refusals import some_of

    if columns and not table.columns:
        order = some_of([in_short(column) for column in columns], 5)
        print(f"{table.name} has no names of columns: they are taken in the order {order}", file=sys.stderr)


def source_settings(
    data: Any, columns: list[str | int] | None, key: str | None, context_columns: list[str | int] | None = None
) -> dict[str, Any]:
    """`data`, `columns` and `key` as JSON has them: a file by its whole path."""
    if hasattr(data, "config"):
        return {"data": data.name, "data_options": data.config}
    if not isinstance(data, (str, os.PathLike)):
        raise InputError(f"data must be the name of a dataset or a file, or a dataset; got a {type(data).__name__}.")
    for argument, value in (("columns", columns), ("context_columns", context_columns)):
        if value is not None and not (
            isinstance(value, (list, tuple)) and all(isinstance(c, (str, int)) for c in value)
        ):
            raise InputError(f"{argument} must be a list of names and numbers; got {in_short(value)}.")
        if len(set(value or ())) < len(value or ()):
            raise InputError(f"{argument} must have each column once; got {in_short(value)}.")
    check_text(**given(key=key))
    name = os.fspath(data)
    if Path(name).suffix or Path(name).is_dir():
        name = str(Path(name).resolve())
    return {"data": name, "columns": columns, "context_columns": context_columns, "key": key}
