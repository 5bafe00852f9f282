"""A user's own tables in files: CSV, TSV, NPY, NPZ, Parquet, Feather, and folders of them."""

import csv
import gzip
import os
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfp_flows.atomic import atomic_path
from tfp_flows.datasets.arrow import read_arrow, write_arrow
from tfp_flows.datasets.memory import check_memory
from tfp_flows.datasets.refusals import of_others, some_of
from tfp_flows.datasets.table import Table, as_rows, as_table, matched, table_of
from tfp_flows.datasets.text import chosen_columns, is_header, like_a_number, read_text
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["read_rows", "read_table", "write_rows"]

_TEXT = (".csv", ".tsv")
_ARROW = (".parquet", ".feather", ".arrow")
_READ = (*_TEXT, ".csv.gz", ".tsv.gz", ".npy", ".npz", *_ARROW)
_PART = 1 << 24  # bytes that are unpacked at a time
_WRITTEN = (*_TEXT, ".npy", ".npz", *_ARROW)

# What NumPy and zipfile raise for a file that is truncated, damaged, encrypted, of another kind, or a pickle.
_DAMAGED = (
    TypeError,
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    EOFError,
    MemoryError,
    OverflowError,
    RuntimeError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_table(path: str | os.PathLike, *, columns: Sequence[str | int] | None = None, key: str | None = None) -> Table:
    """Read a table of finite numbers, and the names of its columns, from a file or a folder of files.

    - `.csv`, `.tsv` and both with `.gz`: UTF-8 text with decimal points, and commas, semicolons or tabs between the
      cells (in a `.tsv` file, tabs). A cell may stand in double quotes, whole. The first row is a header if no row of
      data could be like it: no cell is a number or looks like one, and not all are missing. Blank lines are skipped.
    - `.parquet`, and `.feather` or `.arrow` (Arrow's IPC format). An index that pandas wrote is no column.
    - `.npy` holds one array; with fields, they are its columns. `.npz` holds one array, or several of which `key` names
      one; without a key it is `points`, the cloud in a file of `tfp-flows points`, if there is an array of that name,
      or what `write_rows` writes. Pickled objects are never loaded.
    - a folder of such files, all with the same columns: their rows one after the other, in the order of the files'
      names. Files whose names begin with a point or an underscore are left out.

    Args:
      path: the file or folder.
      columns: which columns, in this order: numbers, from 1, or names. All by default.
      key: the name of an array in an `.npz` file.

    Returns:
      A `Table` of n >= 1 rows: float64 from text, the types of `as_rows` from all else.

    Raises:
      InputError: naming the file, and the row and column (from 1, as in a spreadsheet) that cannot be used, or how many
        values are missing in which columns.

    >>> import pathlib, tempfile
    >>> from tfp_flows import datasets
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
    >>> _ = path.write_text("name,height,weight\\nAnn,1.71,65\\nBob,1.80,82\\n")
    >>> table = datasets.read_table(path, columns=["height", "weight"])
    >>> table.columns, table.rows.tolist()
    (('height', 'weight'), [[1.71, 65.0], [1.8, 82.0]])
    """
    path = _any_path(path)
    try:
        if path.is_dir():
            return _read_folder(path, columns, key)
        return _read_file(path, columns, key)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_rows(
    path: str | os.PathLike, *, columns: Sequence[str | int] | None = None, key: str | None = None
) -> np.ndarray:
    """Read a table of finite numbers: the rows of `read_table`, `[n, D]`, without the names.

    >>> import pathlib, tempfile
    >>> from tfp_flows import datasets
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "people.csv"
    >>> _ = path.write_text("name,height,weight\\nAnn,1.71,65\\nBob,1.80,82\\n")
    >>> datasets.read_rows(path, columns=["height", "weight"])
    array([[ 1.71, 65.  ],
           [ 1.8 , 82.  ]])
    """
    return read_table(path, columns=columns, key=key).rows


def write_rows(path: str | os.PathLike, rows: Any, *, header: Sequence[str] | None = None, force: bool = False) -> None:
    """Write a table so that `read_table` gives back the same numbers, bit for bit, and the same names.

    Args:
      path: ends in `.csv`, `.tsv`, `.npy`, `.npz` (where the array is called "rows" and the names "columns"),
        `.parquet`, `.feather` or `.arrow`.
      rows: `[n, D]`, whatever `as_table` accepts.
      header: the names of the columns; those of `rows` by default. `.npy` has no place for them. Parquet and Feather
        need names: without a header they are x1, x2, ...
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
    path, table = _file_path(path, _WRITTEN), as_table(rows, name="rows")
    suffix, rows = _suffix(path), table.rows
    if header is not None:
        _check_header(header, rows.shape[1], path)
    elif suffix != ".npy":
        header = table.columns
    if header is not None and suffix in _TEXT:
        _check_readable(header)
    with atomic_path(path, force=force) as temporary:
        if suffix in _TEXT:
            _write_text(temporary, table, header, "\t" if suffix == ".tsv" else ",")
        elif suffix in _ARROW:
            names = header or [f"x{i + 1}" for i in range(rows.shape[1])]
            write_arrow(temporary, rows, names, parquet=suffix == ".parquet", whole=table.whole)
        elif suffix == ".npy":
            np.save(temporary, rows)
        else:
            np.savez(
                temporary, **({"rows": rows} if header is None else {"rows": rows, "columns": np.array(header, str)})
            )


# What there is to read.


def _any_path(path: str | os.PathLike) -> Path:
    if isinstance(path, str | os.PathLike) and Path(path).is_dir():
        return Path(path)
    return _file_path(path, _READ)


def _file_path(path: str | os.PathLike, suffixes: Sequence[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"path is {in_short(path)}; expected the name of a file.")
    path = Path(path)
    if _suffix(path) not in suffixes:
        raise InputError(
            f"{path} has the suffix {in_short(path.suffix)}; expected {', '.join(suffixes[:-1])} or {suffixes[-1]}."
        )
    return path


def _suffix(path: Path) -> str:
    """The suffix in small letters, and the one before `.gz` with it."""
    return "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()


def _read_folder(folder: Path, columns: Sequence[str | int] | None, key: str | None) -> Table:
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    if not paths:
        raise InputError(f"{folder} is an empty folder; expected a file, or a folder of files, to read.")
    for path in paths:  # before the first is read
        if path.is_dir():
            raise InputError(f"{folder} is a folder with a folder {path.name} in it; expected files with tables only.")
        _file_path(path, _READ)
    tables = [_read_file(path, columns, key) for path in paths]
    first = tables[0]
    for table in tables[1:]:
        if (table.columns is None) != (first.columns is None):
            named, bare = (first, table) if first.columns else (table, first)
            raise InputError(f"{named.name} has names for its columns and {bare.name} has none; expected both or none.")
    rows = [first.rows] + [matched(table, first.columns, event_size=first.rows.shape[1]) for table in tables[1:]]
    return Table(np.concatenate(rows), first.columns, str(folder))


def _read_file(path: Path, columns: Sequence[str | int] | None, key: str | None) -> Table:
    if not path.is_file():
        raise InputError(f"{path} is missing; expected a file to read.")
    name, suffix = str(path), _suffix(path)
    if key is not None and suffix != ".npz":
        raise InputError(f"key is {in_short(key)}, but {path} is no .npz file; leave it out.")
    try:
        if suffix in (".npy", ".npz"):
            return _read_arrays(path, columns, key)
        data = _unpacked(path) if suffix.endswith(".gz") else path.read_bytes()
        if suffix in _ARROW:
            return table_of(*read_arrow(name, data, columns, parquet=suffix == ".parquet"), name=name)
        return Table(*read_text(name, data, columns, tabs=suffix.startswith(".tsv")), name)
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory; split it into several files.") from error


def _unpacked(path: Path) -> bytes:
    try:
        unpacked = bytearray()
        with gzip.open(path) as file:
            while part := file.read(_PART):
                check_memory(str(path), len(unpacked) + len(part))
                unpacked += part
        return bytes(unpacked)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be unpacked ({of_others(error)}); expected a gzip file.") from error


# From an array file to a table.


def _read_arrays(path: Path, columns: Sequence[str | int] | None, key: str | None) -> Table:
    name, names = str(path), None
    try:
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        else:
            with zipfile.ZipFile(path) as archive:
                member = _member(archive, key, path)
                name = f"{path}, array {in_short(member)}"
                array = _array_in(archive, member)
                if member == "rows" and "columns.npy" in archive.namelist():
                    names = _array_in(archive, "columns")
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{name} cannot be loaded ({of_others(error)}); expected an array of numbers.") from error
    return _chosen_of(array, names, columns, name)


def _chosen_of(array: np.ndarray, names: np.ndarray | None, columns: Sequence | None, name: str) -> Table:
    """A table of an array, or of its fields, with the chosen columns only: the others need not be numbers."""
    if array.dtype.names:
        titles = array.dtype.names
        chosen = chosen_columns(columns, titles, len(titles), name)
        return table_of([titles[i] for i in chosen], [array[titles[i]] for i in chosen], name=name)
    width = array.shape[1] if array.ndim == 2 else 1
    titles = None
    if names is not None:
        if names.dtype.kind != "U" or names.shape != (width,):
            raise InputError(f"{name} has {plural(width, 'column')}, but not as many names in the array 'columns'.")
        titles = [str(title) for title in names]
    if columns is None or array.ndim not in (1, 2):
        return Table(as_rows(array, name=name), None if titles is None else tuple(titles), name)
    chosen = chosen_columns(columns, titles, width, name)
    part = array.reshape(len(array), width)[:, chosen]
    if titles:
        return Table(as_rows(part, name=name), tuple(titles[i] for i in chosen), name)
    return Table(table_of([i + 1 for i in chosen], list(part.T), name=name).rows, None, name)


def _array_in(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    check_memory(f"{archive.filename}, array {in_short(member)}", archive.getinfo(f"{member}.npy").file_size)
    with archive.open(f"{member}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _member(archive: zipfile.ZipFile, key: str | None, path: Path) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if not names:
        raise InputError(f"{path} holds no array; expected one.")
    if key is None and ("points" in names or set(names) == {"rows", "columns"}):
        return "points" if "points" in names else "rows"
    if key is None and len(names) > 1:
        raise InputError(f"{path} holds {len(names)} arrays, {some_of(names)}; choose one with key.")
    if key is not None and key not in names:
        raise InputError(f"{path} holds no array {in_short(key)}; it holds: {some_of(names)}.")
    return names[0] if key is None else key


# From a table to a text file.


def _check_header(header: Sequence[str], width: int, path: Path) -> None:
    if _suffix(path) == ".npy":
        raise InputError(
            f"header is {in_short(header)}, but {path} has no place for one; leave it out or write a .csv file."
        )
    if isinstance(header, str) or not isinstance(header, Sequence) or len(header) != width:
        raise InputError(f"header is {in_short(header)}; expected {plural(width, 'name')}.")
    for title in header:
        if not isinstance(title, str) or not title.strip() or any(mark in title for mark in "\r\n\0"):
            raise InputError(f"header has the name {in_short(title)}; expected text in one line.")


def _check_readable(header: Sequence[str]) -> None:
    """Refuse names that `read_table` would take for data, or give back without their spaces."""
    spaced = next((title for title in header if title != title.strip()), None)
    if spaced is not None:
        raise InputError(
            f"header has the name {in_short(spaced)}, and text does not keep spaces at the ends of names; expected "
            f"{in_short(spaced.strip())}."
        )
    odd = next(filter(like_a_number, header), None if is_header(header) else header[0])
    if odd is not None:
        raise InputError(
            f"header has the name {in_short(odd)}, which text cannot tell from data; expected a name of letters."
        )


def _write_text(path: Path, table: Table, header: Sequence[str] | None, delimiter: str) -> None:
    rows = table.rows
    cell = "%.9g" if rows.dtype == np.float32 else "%r"  # the fewest digits that always give the number back
    line = delimiter.join("%d" if i in table.whole else cell for i in range(rows.shape[1])) + "\n"
    with open(path, "w", encoding="utf-8", newline="") as file:
        if header is not None:
            quoting = csv.QUOTE_ALL if any(set(title) & set(',;\t"') for title in header) else csv.QUOTE_MINIMAL
            csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerow(header)
        file.writelines(line % tuple(row) for row in rows.tolist())
