"""Rows with the names of their columns: checked, from whatever holds them in memory, and matched by name."""

import itertools
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfp_flows.datasets.columns import check_trainable
from tfp_flows.datasets.refusals import (
    column_label,
    of_others,
    refuse_cell,
    refuse_inexact,
    refuse_missing,
    refuse_width,
    some_of,
)
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = [
    "Table",
    "as_rows",
    "as_table",
    "as_weights",
    "check_order",
    "has_names",
    "is_series",
    "matched",
    "row_of",
    "table_of",
    "weighted_rows",
]


@dataclass(frozen=True, eq=False)
class Table:
    """A table of finite numbers.

    Attributes:
      rows: float32 or float64 `[n, D]`, n >= 1.
      columns: the names of the D columns; None if they have none.
      name: what errors call it: an argument, or a file.
      whole: which columns, counted from 0, are whole numbers, and are written as such.

    >>> from tfp_flows import datasets
    >>> table = datasets.as_table({"height": [1.71, 1.8], "weight": [65, 82]}, name="people")
    >>> table.describe()
    'people: 2 rows of 2 columns, height, weight'
    """

    rows: np.ndarray
    columns: tuple[str, ...] | None = None
    name: str = "x"
    whole: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self) -> str:
        """How many rows and columns there are, and the names, in one line."""
        size = f"{self.name}: {plural(len(self.rows), 'row')} of {plural(self.rows.shape[1], 'column')}"
        return f"{size}, {some_of(self.columns)}" if self.columns else f"{size} without names"


def as_table(x: Any, *, name: str = "x") -> Table:
    """Check that `x` is a table of finite numbers, and keep the names of its columns.

    Names come from pandas and polars DataFrames, pyarrow tables, NumPy arrays with fields, and dicts of columns. The
    numbers 0, 1, 2, ... by which pandas counts columns that were not named are no names, and are refused in another
    order. All else is as for `as_rows`.

    Args:
      x: `[n, D]`; `[n]` counts as `[n, 1]`. A `Table` is returned as it is.
      name: what errors call it.

    Raises:
      InputError: naming the row and the column that cannot be used, or how many values are missing in which columns.

    >>> from tfp_flows import datasets
    >>> datasets.as_table({"height": [1.71, 1.8], "weight": [65, 82]}).columns
    ('height', 'weight')
    """
    if isinstance(x, Table):
        return x
    parts = _named_parts(x, name)
    if parts is None:
        array = _to_array(x, name)
        if array.ndim == 0 and array.dtype.kind == "O":
            kind = "None" if x is None else f"a {type(x).__name__}"
            raise InputError(f"{name} is {kind}; expected a table of numbers, [n, D], in memory.")
        return Table(_checked(_table(array, name), name, None), None, name)
    return table_of(*parts, name=name)


def table_of(titles: Sequence[Any], parts: Sequence[Any], *, name: str) -> Table:
    """The table of named columns, each `[n]`."""
    labels = [repr(title) for title in titles]
    arrays = [_to_array(part, name) for part in parts]
    for i, array in enumerate(arrays):
        if array.ndim != 1 or len(array) != len(arrays[0]):
            raise InputError(
                f"{name}: {column_label(i, labels)} has shape {list(array.shape)}; expected "
                f"{[len(arrays[0])] if arrays[0].ndim else '[n]'}, a number for each row."
            )
    if not arrays or not len(arrays[0]):
        raise InputError(
            f"{name} has shape {[len(arrays[0]) if arrays else 0, len(arrays)]}: no data; "
            "expected at least one row and column."
        )
    floats = [_floats(array[:, None], name, labels[i : i + 1]) for i, array in enumerate(arrays)]
    rows = _finite(np.concatenate(floats, axis=1), name, labels, arrays)
    return Table(rows, _names(titles, name), name)


def _names(titles: Sequence[Any], name: str) -> tuple[str, ...] | None:
    """Titles as names; None for the numbers 0, 1, 2, ... that only count."""
    absent = next((i for i, title in enumerate(titles) if title is None or title != title), None)
    if absent is not None:
        raise InputError(
            f"{name}: column {absent + 1} has the name {titles[absent]}, which is none; name it, or take the array "
            "without names."
        )
    counting = list(range(len(titles)))
    count = all(isinstance(title, numbers.Integral) and not isinstance(title, bool) for title in titles)
    if count and list(titles) == counting:
        return None
    if count and sorted(titles) == counting:
        order = some_of([str(title) for title in titles], 5)
        raise InputError(
            f"{name} has the columns {order}: numbers that count are no names, and these are not in their order; give "
            "the columns names, or take the array without them."
        )
    return tuple(str(title) for title in titles)


def as_rows(
    x: Any, *, name: str = "x", event_size: int | None = None, purpose: Literal["score", "train"] = "score"
) -> np.ndarray:
    """Check that `x` is a table of finite numbers, and return it as an array.

    Accepted are NumPy arrays, lists, TensorFlow tensors, DataFrames, dicts of columns and whatever else NumPy can turn
    into an array. float32 and float64 arrays stay as they are, without a copy; types that float32 holds without loss
    (bool, 8- and 16-bit integers, 16-bit floats) become float32, all others float64.

    Args:
      x: `[n, D]`; `[n]` counts as `[n, 1]`.
      name: what errors call it.
      event_size: the number of columns there must be; None for any.
      purpose: "score" accepts a single row and constant columns; "train" refuses them: they have no density.

    Returns:
      float32 or float64 `[n, D]`, n >= 1.

    Raises:
      InputError: naming the row (from 1) and the column (from 1, or its name) that cannot be used, or how many values
        are missing in which columns.

    >>> from tfp_flows import datasets
    >>> datasets.as_rows([1, 2, 3], name="ages").shape
    (3, 1)
    >>> datasets.as_rows([[1.0, 2.0], [3.0, float("nan")]])
    Traceback (most recent call last):
    tfp_flows.errors.InputError: x: row 2, column 2 is nan; expected a finite number.
    """
    if purpose not in ("score", "train"):
        raise InputError(f"purpose is {in_short(purpose)}; expected 'score' or 'train'.")
    table = as_table(x, name=name)
    if event_size is not None and table.rows.shape[1] != event_size:
        raise InputError(f"{name} has {plural(table.rows.shape[1], 'column')}; expected {event_size}.")
    if purpose == "train":
        check_trainable(table.rows, columns=table.columns, name=name)
    return table.rows


def as_weights(weights: Any, *, name: str = "sample_weight", rows: int | None = None) -> np.ndarray:
    """Weights `[N]` of rows in float64, as they are given.

    Raises:
      InputError: for a weight that is negative or not finite, for zeros alone, for another number than `rows`.
    """
    weights = as_rows(weights, name=name, event_size=1)[:, 0].astype(np.float64)
    if (weights < 0).any() or not weights.any():
        raise InputError(f"{name} must be at least 0, and not all 0; got a minimum of {weights.min():g}.")
    if rows is not None and len(weights) != rows:
        raise InputError(f"{name} must have a row for each of the {plural(rows, 'row')} of x; got {len(weights)}.")
    return weights


def weighted_rows(x: Any, weights: Any, event_size: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows `[N, D]` and weights `[N]` in float64, of which a layer takes its statistics; None for no weights.

    Raises:
      InputError: as `as_rows` and `as_weights` do.
    """
    x = as_rows(x, event_size=event_size).astype(np.float64)
    if weights is None:
        return x, None
    weights = as_weights(weights, name="weights", rows=len(x))
    return x, weights / weights.max()  # sums of the largest numbers there are would be infinite


def matched(
    x: Any,
    columns: Sequence[str] | None,
    *,
    name: str = "x",
    event_size: int | None = None,
    drop_extra: bool = False,
) -> np.ndarray:
    """The rows of `x` with their columns in the order of `columns`, by name.

    Where either side has no names, columns are taken by position, and their number must fit.

    Args:
      x: a `Table`, or whatever `as_table` accepts.
      columns: the names that are wanted, in order; None if nothing is known but their number.
      name: what errors call it, unless it is a `Table`.
      event_size: how many columns are wanted where `columns` is None.
      drop_extra: whether columns of other names are left out; by default they are refused.

    Returns:
      float32 or float64 `[n, D]`.

    Raises:
      InputError: if a name is missing, occurs twice or is one too many, or the number of columns does not fit.

    >>> from tfp_flows import datasets
    >>> datasets.matched({"weight": [65.0], "height": [1.71]}, ["height", "weight"])
    array([[ 1.71, 65.  ]])
    >>> datasets.matched({"weight": [65.0], "size": [1.71]}, ["height", "weight"])
    Traceback (most recent call last):
    tfp_flows.errors.InputError: x has no column 'height'; its columns are: weight, size.
    """
    titles = _names_of(x, name)
    counts = titles is None and not isinstance(x, Table) and bool(_titles(x))
    if counts and columns and all(column.isdecimal() for column in columns):
        raise InputError(
            f"{name} has columns that only count; expected {some_of(columns, 5)}: give them these names, or take the "
            "array without any."
        )
    if titles and columns is not None:
        order = _order(x.name if isinstance(x, Table) else name, titles, columns, drop_extra)  # before any cell is read
        if order != list(range(len(titles))):
            kept = titles if isinstance(x, Table) else [title for title in titles if title in columns]
            rows = as_table(_only(x, columns), name=name).rows
            return np.ascontiguousarray(rows[:, [kept.index(column) for column in columns]])
    table = as_table(x, name=name)
    wanted = event_size if columns is None else len(columns)
    if wanted is not None and table.rows.shape[1] != wanted:
        named = f": {some_of(columns)}" if columns else ""
        raise InputError(f"{table.name} has {plural(table.rows.shape[1], 'column')}; expected {wanted}{named}.")
    return table.rows


def _order(name: str, given: Sequence[str], wanted: Sequence[str], drop_extra: bool) -> list[int]:
    """Where the wanted columns are."""
    absent = [column for column in wanted if column not in given]
    if absent:
        noun = "column" if len(absent) == 1 else "columns"
        raise InputError(
            f"{name} has no {noun} {some_of([repr(a) for a in absent], 3)}; its columns are: {some_of(given, 5)}."
        )
    double = [column for column in wanted if list(given).count(column) > 1]
    if double:
        raise InputError(
            f"{name} has {list(given).count(double[0])} columns named {in_short(double[0])}; expected one."
        )
    extra = [column for column in given if column not in wanted]
    if extra and not drop_extra:
        raise InputError(
            f"{name} has the column{'s' * (len(extra) > 1)} {some_of([repr(e) for e in extra], 3)} too; "
            f"expected only {some_of(wanted, 5)}."
        )
    return [list(given).index(column) for column in wanted]


def _only(x: Any, columns: Sequence[str]) -> Any:
    """`x` without the columns that are not wanted: they need not be numbers."""
    titles = [title for title in _titles(x) if str(title) in columns]
    if isinstance(x, Table):
        return x
    if isinstance(x, Mapping):
        return {title: x[title] for title in titles}
    if isinstance(x, np.ndarray):
        return x[titles]
    if is_series(x):
        return x
    if hasattr(x, "iloc"):
        return x.loc[:, titles]
    return x.select(titles)  # polars and pyarrow


# From anything to columns with names.


def _titles(x: Any) -> list[Any]:
    if isinstance(x, Mapping):
        return list(x)
    if isinstance(x, np.ndarray):
        return list(x.dtype.names or ())
    if hasattr(x, "column_names"):  # pyarrow
        return list(x.column_names)
    if is_series(x):
        return [x.name] if isinstance(x.name, str) and x.name else []
    return list(getattr(x, "columns", ()))


def is_series(x: Any) -> bool:
    """Whether it is one column of pandas or polars."""
    return hasattr(x, "name") and hasattr(x, "to_numpy") and hasattr(x, "to_list") and not hasattr(x, "columns")


def has_names(x: Any) -> bool:
    """Whether the columns of `x` have names, which say more than their order."""
    is_table = isinstance(x, (Table, Mapping)) or hasattr(x, "columns") or hasattr(x, "column_names")
    return is_table or is_series(x) or (isinstance(x, np.ndarray) and x.dtype.names is not None)


def check_order(**tables: Any) -> None:
    """Rows are taken by their place: `InputError` where the indexes of two pandas tables say that it is another."""
    indexes = {name: t.index for name, t in tables.items() if hasattr(getattr(t, "index", None), "equals")}
    for (name, index), (other, theirs) in itertools.combinations(indexes.items(), 2):
        if not index.equals(theirs) and len(index) == len(theirs) and set(index) == set(theirs):
            raise InputError(
                f"{other} has the index of {name} in another order, and rows are taken by their place: pass "
                f"{other}.loc[{name}.index], or arrays."
            )


def row_of(x: Any, columns: Sequence[str] | None, name: str) -> np.ndarray:
    """A row `[D]` that is a Series, as `df.iloc[0]` gives it: its numbers in the order of `columns`."""
    titles = list(getattr(x, "index", ()))
    if columns is None or not titles or _names(titles, name) is None:
        if columns and x.name in columns:
            raise InputError(f"{name} is the column {in_short(x.name)}, and must be a row of {len(columns)}, or rows.")
        return as_rows([x.to_numpy()], name=name)[0]
    order = _order(name, [str(title) for title in titles], columns, drop_extra=False)
    return as_rows([x.to_numpy()], name=name)[0][order]


def _names_of(x: Any, name: str) -> tuple[str, ...] | None:
    """The names of the columns of `x`, unless they only count."""
    if isinstance(x, Table):
        return x.columns
    titles = _titles(x)
    return _names(titles, name) if titles else None


def _named_parts(x: Any, name: str) -> tuple[list[Any], list[Any]] | None:
    """Titles and columns; None if `x` has none."""
    if isinstance(x, Mapping):
        return list(x), list(x.values())
    if isinstance(x, np.ma.MaskedArray) and x.dtype.names:
        return list(x.dtype.names), [x[title] for title in x.dtype.names]
    if isinstance(x, np.ndarray):
        return (list(x.dtype.names), [x[title] for title in x.dtype.names]) if x.dtype.names else None
    if hasattr(x, "column_names") and hasattr(x, "schema"):
        from tfp_flows.datasets.arrow import arrays_of

        return arrays_of(x, name)
    if is_series(x):
        return (_titles(x), [x.to_numpy()]) if _titles(x) else None
    if hasattr(x, "columns"):
        titles = list(x.columns)
        if hasattr(x, "iloc"):
            return titles, [x.iloc[:, i] for i in range(len(titles))]
        if hasattr(x, "get_columns"):
            return titles, [part.to_numpy() for part in x.get_columns()]
    return None


# From anything to an array.


def _to_array(x: Any, name: str) -> np.ndarray:
    if isinstance(x, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in x):
        x = np.ma.asarray(x)
    if isinstance(x, np.ma.MaskedArray) and not x.dtype.names:
        x = np.ma.filled(x.astype(np.float64), np.nan)  # NumPy alone would uncover what the mask hides
    try:
        array = np.asarray(x)
        # A list with one text among its numbers becomes all text: take its cells as they are.
        return np.asarray(x, dtype=object) if array.dtype.kind in "SU" else array
    except (TypeError, ValueError, NotImplementedError) as error:
        if isinstance(x, list | tuple):
            _check_widths([len(row) if hasattr(row, "__len__") else 1 for row in x], name)
        raise InputError(f"{name} cannot be read as a table of numbers: {of_others(error)}.") from error


def _check_widths(widths: list[int], name: str) -> None:
    odd = next((i for i, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None:
        refuse_width(name, odd + 1, widths[odd], widths[0])


def _table(array: np.ndarray, name: str) -> np.ndarray:
    table = array[:, None] if array.ndim == 1 else array
    if table.ndim != 2:
        raise InputError(f"{name} has shape {list(array.shape)}; expected [n, D], rows and columns.")
    if table.size == 0:
        raise InputError(f"{name} has shape {list(array.shape)}: no data; expected at least one row and column.")
    return table


def _checked(table: np.ndarray, name: str, labels: Sequence[str] | None) -> np.ndarray:
    """Return `table` as floats, all of them finite."""
    return _finite(_floats(table, name, labels), name, labels, list(table.T))


def _floats(table: np.ndarray, name: str, labels: Sequence[str] | None) -> np.ndarray:
    """Return `table` as floats; what is missing is nan."""
    if table.dtype.kind == "O":
        return _unboxed(table, name, labels)
    if table.dtype.kind in "iu" and table.dtype.itemsize == 8:
        _check_exact(table, name, labels)
    if np.can_cast(table.dtype, np.float32):
        return table.astype(np.float32, copy=False)
    if np.can_cast(table.dtype, np.float64) or table.dtype.kind == "f":
        return table.astype(np.float64, copy=False)
    where = f": {column_label(0, labels)}" if labels else ""
    raise InputError(f"{name}{where} has type {table.dtype}; expected real numbers.")


def _finite(rows: np.ndarray, name: str, labels: Sequence[str] | None, cells: Sequence[np.ndarray]) -> np.ndarray:
    """Return `rows` if all are finite; `cells` are the columns as they came."""
    if np.isfinite(rows).all():
        return rows
    if (infinite := np.argwhere(np.isinf(rows))).size:
        row, column = infinite[0]
        refuse_cell(name, row + 1, column, labels, str(rows[row, column]))
    absent = np.isnan(rows)
    counts, firsts = absent.sum(axis=0), absent.argmax(axis=0)
    missing = {
        int(column): (int(counts[column]), int(firsts[column]) + 1, str(cells[int(column)][firsts[column]]))
        for column in np.flatnonzero(counts)
    }
    refuse_missing(name, missing, labels)


def _check_exact(table: np.ndarray, name: str, labels: Sequence[str] | None) -> None:
    """Refuse 64-bit integers that float64 would round: those with more than 53 bits between the first and last set."""
    size = np.abs(table).astype(np.uint64)  # of -2**63 too: its absolute value wraps to itself, and then to 2**63
    lowest = size & (~size + np.uint64(1))
    inexact = np.argwhere(size // np.maximum(lowest, np.uint64(1)) >= np.uint64(2**53))
    if inexact.size:
        row, column = inexact[0]
        refuse_inexact(name, row + 1, column, labels, int(table[row, column]))


def _unboxed(table: np.ndarray, name: str, labels: Sequence[str] | None) -> np.ndarray:
    """Turn Python objects into floats; text is no number, even where it looks like one."""
    rows = np.empty(table.shape)
    for (row, column), cell in np.ndenumerate(table):
        if cell is None or type(cell).__name__ in ("NAType", "NaTType"):  # of pandas, which need not be installed
            rows[row, column] = np.nan
        elif isinstance(cell, numbers.Real | np.bool_):
            rows[row, column] = _float(cell)
            if isinstance(cell, numbers.Integral) and rows[row, column] != cell:
                refuse_inexact(name, row + 1, column, labels, int(cell))
        else:
            refuse_cell(name, row + 1, column, labels, repr(cell))
    return rows


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:
        return np.inf
