"""A user's own data: rows checked, read from and written to CSV, NPY and NPZ files."""

import csv
import math
import numbers
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np

from tfp_flows.atomic import atomic_path
from tfp_flows.errors import InputError

__all__ = ["as_rows", "read_rows", "write_rows"]

_TEXT = (".csv", ".tsv")

# What NumPy and zipfile raise for a file that is truncated, damaged, encrypted, of another kind, or a pickle.
_DAMAGED = (
    TypeError,
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    EOFError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


def as_rows(
    x: Any, *, name: str = "x", event_size: int | None = None, purpose: Literal["score", "train"] = "score"
) -> np.ndarray:
    """Check that `x` is a table of finite numbers, and return it as an array.

    Accepted are NumPy arrays, lists, TensorFlow tensors, pandas DataFrames and whatever else NumPy can turn
    into an array. float32 and float64 stay as they are, without a copy; types that float32 holds without loss
    (bool, 8- and 16-bit integers, 16-bit floats) become float32, all others float64.

    Args:
      x: `[n, D]`; `[n]` counts as `[n, 1]`.
      name: what errors call it.
      event_size: the number of columns there must be; None for any.
      purpose: "score" accepts a single row and constant columns; "train" refuses them: they have no density.

    Returns:
      float32 or float64 `[n, D]`, n >= 1.

    Raises:
      InputError: naming the row (from 1) and the column (from 1, or a DataFrame's name) that cannot be used.

    >>> from tfp_flows import datasets
    >>> datasets.as_rows([1, 2, 3], name="ages").shape
    (3, 1)
    >>> datasets.as_rows([[1.0, 2.0], [3.0, float("nan")]])
    Traceback (most recent call last):
    tfp_flows.errors.InputError: x: row 2, column 2 is nan; expected a finite number.
    """
    if purpose not in ("score", "train"):
        raise InputError(f"purpose is {purpose!r}; expected 'score' or 'train'.")
    labels = [repr(label) for label in x.columns] if hasattr(x, "columns") else None
    rows = _checked(_table(_to_array(x, name), name), name, labels)
    if event_size is not None and rows.shape[1] != event_size:
        raise InputError(f"{name} has {_plural(rows.shape[1], 'column')}; expected {event_size}.")
    if purpose == "train":
        _check_trainable(rows, name, labels)
    return rows


def read_rows(
    path: str | os.PathLike, *, columns: Sequence[str | int] | None = None, key: str | None = None
) -> np.ndarray:
    """Read a table of finite numbers from a file.

    A `.csv` file is UTF-8 text with decimal points, and commas, semicolons or tabs between the cells (in a
    `.tsv` file, tabs). Its first row is a header if no cell in it is a number. Blank lines are skipped.
    A `.npy` file holds one array; a `.npz` file one array, or several of which `key` names one; without a key it is
    `points`, the cloud in a file of `tfp-flows points`, if there is an array of that name.
    Pickled objects are never loaded.

    Args:
      path: the file.
      columns: which columns, in this order: numbers, from 1, or names from the header. All by default.
      key: the name of an array in an `.npz` file.

    Returns:
      `[n, D]`, n >= 1: float64 from text, the types of `as_rows` from arrays.

    Raises:
      InputError: naming the file, and the row and column (from 1, as in a spreadsheet) that cannot be used.

    >>> import pathlib, tempfile
    >>> from tfp_flows import datasets
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
    >>> _ = path.write_text("name,height,weight\\nAnn,1.71,65\\nBob,1.80,82\\n")
    >>> datasets.read_rows(path, columns=["height", "weight"])
    array([[ 1.71, 65.  ],
           [ 1.8 , 82.  ]])
    """
    path = _path(path)
    if not path.is_file():
        raise InputError(f"{path} is {'a folder' if path.is_dir() else 'missing'}; expected a file to read.")
    if key is not None and path.suffix.lower() != ".npz":
        raise InputError(f"key is {key!r}, but {path} is no .npz file; leave key out.")
    try:
        if path.suffix.lower() in _TEXT:
            return _read_text(path, columns)
        return _read_binary(path, columns, key)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def write_rows(path: str | os.PathLike, rows: Any, *, header: Sequence[str] | None = None, force: bool = False) -> None:
    """Write a table so that `read_rows` gives back the same numbers, bit for bit.

    Args:
      path: ends in `.csv`, `.tsv`, `.npy` or `.npz` (where the array is called "rows").
      rows: `[n, D]`, whatever `as_rows` accepts.
      header: the names of the columns, for text.
      force: whether to replace an existing file.

    Raises:
      InputError: if the table, the header or the path cannot be used; nothing is written then.

    >>> import pathlib, tempfile
    >>> from tfp_flows import datasets
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "points.csv"
    >>> datasets.write_rows(path, [[0.5, 1.0], [0.25, 2.0]], header=["x", "y"])
    >>> print(path.read_text(), end="")
    x,y
    0.5,1.0
    0.25,2.0
    """
    path, rows = _path(path), as_rows(rows, name="rows")
    suffix = path.suffix.lower()
    if header is not None:
        _check_header(header, rows.shape[1], path)
    with atomic_path(path, force=force) as temporary:
        if suffix in _TEXT:
            _write_text(temporary, rows, header, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".npy":
            np.save(temporary, rows)
        else:
            np.savez(temporary, rows=rows)


# From anything to an array.


def _to_array(x: Any, name: str) -> np.ndarray:
    if isinstance(x, np.ma.MaskedArray):
        x = np.ma.filled(x.astype(np.float64), np.nan)  # NumPy alone would uncover what the mask hides
    try:
        array = np.asarray(x)
        # A list with one text among its numbers becomes all text: take its cells as they are.
        return np.asarray(x, dtype=object) if array.dtype.kind in "SU" else array
    except (TypeError, ValueError, NotImplementedError) as error:
        if isinstance(x, list | tuple):
            _check_widths([len(row) if hasattr(row, "__len__") else 1 for row in x], name)
        raise InputError(f"{name} cannot be read as a table of numbers: {error}.") from error


def _check_widths(widths: list[int], name: str) -> None:
    odd = next((i for i, width in enumerate(widths) if width != widths[0]), None)
    if odd is not None:
        _refuse_width(name, odd + 1, widths[odd], widths[0])


def _table(array: np.ndarray, name: str) -> np.ndarray:
    table = array[:, None] if array.ndim == 1 else array
    if table.ndim != 2:
        raise InputError(f"{name} has shape {list(array.shape)}; expected [n, D], rows and columns.")
    if table.size == 0:
        raise InputError(f"{name} has shape {list(array.shape)}: no data; expected at least one row and column.")
    return table


def _checked(table: np.ndarray, name: str, labels: Sequence[str] | None) -> np.ndarray:
    """Return `table` as floats, all of them finite."""
    if table.dtype.kind == "O":
        table = _unboxed(table, name, labels)
    if np.can_cast(table.dtype, np.float32):
        rows = table.astype(np.float32, copy=False)
    elif np.can_cast(table.dtype, np.float64) or table.dtype.kind == "f":
        rows = table.astype(np.float64, copy=False)
    else:
        raise InputError(f"{name} has type {table.dtype}; expected real numbers.")
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        _refuse_cell(name, row + 1, column, labels, str(rows[row, column]))
    return rows


def _unboxed(table: np.ndarray, name: str, labels: Sequence[str] | None) -> np.ndarray:
    """Turn Python objects into floats; text is no number, even where it looks like one."""
    for (row, column), cell in np.ndenumerate(table):
        if not isinstance(cell, numbers.Real | np.bool_):
            _refuse_cell(name, row + 1, column, labels, repr(cell))
    return table.astype(np.float64)


def _check_trainable(rows: np.ndarray, name: str, labels: Sequence[str] | None) -> None:
    if len(rows) == 1:
        raise InputError(f"{name} has 1 row; training needs at least 2.")
    constant = np.flatnonzero((rows == rows[0]).all(axis=0))
    if constant.size:
        column, value = _column(constant[0], labels), rows[0, constant[0]]
        raise InputError(f"{name}: {column} is {value} in every row and has no density; leave it out.")


# From a text file to an array.


class _Layout(NamedTuple):
    delimiter: str
    header: list[str] | None
    width: int
    first_line: int  # the first below the header


def _read_text(path: Path, columns: Sequence[str | int] | None) -> np.ndarray:
    try:
        layout = _layout(path)
        if columns is None and layout.header and "" in layout.header:
            raise InputError(
                f"{path}: column {layout.header.index('') + 1} has no name in the header, as pandas writes "
                "an index; choose the columns to read, or write the file without it."
            )
        chosen = _chosen(columns, layout.header, layout.width, path)
        rows = _read_fast(path, layout) if columns is None else None
        return _read_carefully(path, layout, chosen) if rows is None else rows
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}.") from error
    except csv.Error as error:
        raise InputError(f"{path} is not a table in text: {error}.") from error


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        for cells in reader:
            if cells:
                yield reader.line_num, cells


def _layout(path: Path) -> _Layout:
    with open(path, encoding="utf-8-sig") as file:
        start = next((line for line in file if line.strip()), "")
    # Where semicolons or tabs separate the cells, a comma may be a decimal sign: they go first.
    delimiter = "\t" if path.suffix.lower() == ".tsv" else next((mark for mark in ";\t" if mark in start), ",")
    records = _records(path, delimiter)
    line, cells = next(records, (0, []))
    if not cells:
        raise InputError(f"{path} is empty; expected rows of numbers.")
    if any(_number(cell) is not None for cell in cells):
        return _Layout(delimiter, None, len(cells), line)
    if next(records, None) is None:
        raise InputError(f"{path} has a header and nothing below it; expected rows of numbers.")
    return _Layout(delimiter, [cell.strip() for cell in cells], len(cells), line + 1)


def _number(cell: str) -> float | None:
    try:
        return None if "_" in cell else float(cell)  # to float(), 2021_05 is 202105
    except ValueError:
        return None


def _read_fast(path: Path, layout: _Layout) -> np.ndarray | None:
    """Read all columns with NumPy's C reader; None if it fails, since it cannot tell at which cell."""
    try:
        rows = np.loadtxt(
            path,
            delimiter=layout.delimiter,
            comments=None,
            quotechar='"',
            skiprows=layout.first_line - 1,
            encoding="utf-8-sig",
            ndmin=2,
        )
    except ValueError:
        return None
    return rows if rows.shape[1] == layout.width and np.isfinite(rows).all() else None


def _read_carefully(path: Path, layout: _Layout, chosen: list[int]) -> np.ndarray:
    """Read cell by cell, some five times slower, and name the first that is no finite number."""
    labels = layout.header and [f"{i + 1} ({name!r})" for i, name in enumerate(layout.header)]
    rows = []
    for line, cells in _records(path, layout.delimiter):
        if line < layout.first_line:
            continue
        if len(cells) != layout.width:
            _refuse_width(str(path), line, len(cells), layout.width)
        row = [_number(cells[column]) for column in chosen]
        for column, value in zip(chosen, row, strict=True):
            if value is None or not math.isfinite(value):
                cell = cells[column].strip()
                _refuse_cell(str(path), line, column, labels, repr(cell) if cell else "empty")
        rows.append(row)
    return np.array(rows, np.float64)


def _chosen(columns: Sequence[str | int] | None, header: list[str] | None, width: int, path: Path) -> list[int]:
    """Turn names, and numbers from 1, into positions from 0."""
    if columns is None:
        return list(range(width))
    if isinstance(columns, str) or not len(columns):
        raise InputError(f"columns is {columns!r}; expected a list of names or numbers.")
    return [_position(column, header, width, path) for column in columns]


def _position(column: str | int, header: list[str] | None, width: int, path: Path) -> int:
    if isinstance(column, str):
        if header is None:
            raise InputError(f"{path} has no header, so there is no column {column!r}; give its number, from 1.")
        if header.count(column) != 1:
            raise InputError(f"{path} has {header.count(column)} columns named {column!r}; its header is {header}.")
        return header.index(column)
    if isinstance(column, bool) or not isinstance(column, numbers.Integral) or not 1 <= column <= width:
        raise InputError(f"{path} has no column {column!r}; expected a number from 1 to {width}.")
    return int(column) - 1


# From an array file to an array.


def _read_binary(path: Path, columns: Sequence[str | int] | None, key: str | None) -> np.ndarray:
    name = str(path)
    try:
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        else:
            with zipfile.ZipFile(path) as archive:
                member = _member(archive, key, path)
                name = f"{path}, array {member!r}"
                with archive.open(f"{member}.npy") as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{name} cannot be loaded ({error}); expected an array of numbers.") from error
    table = _table(array, name)
    chosen = _chosen(columns, None, table.shape[1], path)
    return _checked(table if columns is None else table[:, chosen], name, [str(i + 1) for i in chosen])


def _member(archive: zipfile.ZipFile, key: str | None, path: Path) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise InputError(f"{path} holds no array; expected one.")
    if key is None and "points" in names:
        return "points"
    if key is None and len(names) > 1:
        raise InputError(f"{path} holds {len(names)} arrays, {', '.join(names)}; choose one with key.")
    if key is not None and key not in names:
        raise InputError(f"{path} holds no array {key!r}; it holds: {', '.join(names)}.")
    return names[0] if key is None else key


# From an array to a text file.


def _check_header(header: Sequence[str], width: int, path: Path) -> None:
    if path.suffix.lower() not in _TEXT:
        raise InputError(f"header is {header!r}, but {path} has no place for one; leave it out or write a .csv file.")
    if isinstance(header, str) or len(header) != width:
        raise InputError(f"header is {header!r}; expected {_plural(width, 'name')}.")
    for name in header:
        if not isinstance(name, str) or not name.strip() or _number(name) is not None or set(name) & set(',;\t\r\n"'):
            raise InputError(f"header has the name {name!r}; expected text that is no number and has no separator.")


def _write_text(path: Path, rows: np.ndarray, header: Sequence[str] | None, delimiter: str) -> None:
    cell = "%.9g" if rows.dtype == np.float32 else "%r"  # the fewest digits that always give the number back
    line = delimiter.join([cell] * rows.shape[1]) + "\n"
    with open(path, "w", encoding="utf-8", newline="") as file:
        if header is not None:
            file.write(delimiter.join(header) + "\n")
        file.writelines(line % tuple(row) for row in rows.tolist())


# The sentences.


def _path(path: str | os.PathLike) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path is {path!r}; expected the name of a file.")
    path = Path(path)
    if path.suffix.lower() not in (*_TEXT, ".npy", ".npz"):
        raise InputError(f"{path} has the suffix {path.suffix!r}; expected .csv, .tsv, .npy or .npz.")
    return path


def _column(column: int, labels: Sequence[str] | None) -> str:
    return f"column {column + 1 if labels is None else labels[column]}"


def _refuse_cell(name: str, row: int, column: int, labels: Sequence[str] | None, cell: str) -> NoReturn:
    raise InputError(f"{name}: row {row}, {_column(column, labels)} is {cell}; expected a finite number.")


def _refuse_width(name: str, row: int, width: int, expected: int) -> NoReturn:
    raise InputError(f"{name}: row {row} has {_plural(width, 'cell')}; expected {expected}, as in the first row.")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
