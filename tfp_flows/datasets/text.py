"""Tables in text: what a CSV or TSV file says, exactly, or the row and column where it says nothing certain.

One definition: the cells are those of Python's `csv` in its strict mode, a number is what `float` makes of a cell.
`_read_carefully` is that definition, and names what is wrong. Where it needs no interpretation, pyarrow reads the same
some ten times faster (benchmarks/readers.py): where no quote is left once those around plain cells are gone.
"""

import array
import csv
import io
import itertools
import math
import numbers
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tfp_flows.datasets.refusals import refuse_cell, refuse_inexact, refuse_missing, refuse_width, some_of
from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["chosen_columns", "is_header", "like_a_number", "number", "read_text"]

MISSING = frozenset(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "-", "?", "."])
YEARS = range(1800, 2200)  # that head columns, as in year,2019,2020
_LARGEST_EXACT = 2.0**53
_LINE_END = re.compile(rb"\r\n|\r|\n")
# A number with something about it: a decimal comma, a date, a unit of one letter, 1e5x. Two letters make a name.
_LIKE_A_NUMBER = re.compile(r"[-+$€£]?\s*[.,]?\d(?!.*[^\W\d_]{2})", re.DOTALL)


class _Layout(NamedTuple):
    delimiter: str
    header: list[str] | None
    width: int
    first_line: int  # the first below the header


def read_text(
    name: str, data: bytes, columns: Sequence[str | int] | None, *, tabs: bool
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Read a table from the bytes of a text file.

    Args:
      name: what errors call it.
      data: UTF-8.
      columns: which, in this order, by number from 1 or by name; None for all.
      tabs: whether tabs separate the cells whatever the first line looks like.

    Returns:
      float64 `[n, D]` and the names of the columns, if there is a header.

    Raises:
      InputError: naming row and column, from 1, as in a spreadsheet.
    """
    data = _utf8(name, data)
    layout = _layout(name, data, tabs)
    if columns is None and layout.header and "" in layout.header:
        nameless = layout.header.index("") + 1
        raise InputError(
            f"{name}: column {nameless} has no name in the header{', as pandas writes an index' * (nameless == 1)}; "
            f"choose what to read with columns, or write the file without it."
        )
    chosen = chosen_columns(columns, layout.header, layout.width, name)
    rows = _read_fast(data, layout, chosen)
    if rows is None:
        rows = _read_carefully(name, data, layout, chosen)
    return rows, None if layout.header is None else tuple(layout.header[column] for column in chosen)


def number(cell: str) -> float | None:
    """What `float` makes of a cell; None if it is no number."""
    try:
        return None if "_" in cell else float(cell)  # to float(), 2021_05 is 202105
    except ValueError:
        return None


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row is one that no row of data could be: no number, nothing like one, and not all missing."""
    return not any(like_a_number(cell) for cell in cells) and any(cell.strip().lower() not in MISSING for cell in cells)


def like_a_number(cell: str) -> bool:
    """Whether a cell is a number, or may have been one."""
    return number(cell) is not None or bool(_LIKE_A_NUMBER.match(cell.strip()))


def chosen_columns(columns: Sequence[str | int] | None, header: Sequence[str] | None, width: int, name: str) -> list:
    """Turn names, and numbers from 1, into positions from 0."""
    if columns is None:
        return list(range(width))
    if isinstance(columns, str) or not isinstance(columns, Sequence) or not len(columns):
        raise InputError(f"columns is {in_short(columns)}; expected a list of names or numbers.")
    return [_position(column, header, width, name) for column in columns]


def _position(column: str | int, header: Sequence[str] | None, width: int, name: str) -> int:
    if isinstance(column, str):
        if header is None:
            raise InputError(
                f"{name} has no header, so there is no column {in_short(column)}; give its number, from 1."
            )
        count = list(header).count(column)
        if count != 1:
            known = some_of([repr(known) for known in header])
            raise InputError(f"{name} has {count} columns named {in_short(column)}; its columns are: {known}.")
        return list(header).index(column)
    if isinstance(column, bool) or not isinstance(column, numbers.Integral) or not 1 <= column <= width:
        raise InputError(f"{name} has no column {in_short(column)}; expected a number from 1 to {width}.")
    return int(column) - 1


# What the bytes are.


def _utf8(name: str, data: bytes) -> bytes:
    """The bytes without a byte order mark, once they are known to be text."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not UTF-8 text: {error.reason} in row {_line(data, error.start)}.") from error
    if (place := data.find(b"\0")) >= 0:
        raise InputError(f"{name} is no text: there is a zero byte in row {_line(data, place)}.")
    return data


def _line(data: bytes, place: int) -> int:
    return 1 + sum(1 for _ in _LINE_END.finditer(data, 0, place))


def _layout(name: str, data: bytes, tabs: bool) -> _Layout:
    start = next((line for line in io.TextIOWrapper(io.BytesIO(data), "utf-8") if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", start)
    # Where semicolons or tabs separate the cells, a comma may be a decimal sign: they go first.
    delimiter = "\t" if tabs else next((mark for mark in ";\t" if mark in bare), ",")
    records = _records(name, data, delimiter)
    line, cells, _ = next(records, (0, [], 0))
    if not cells:
        raise InputError(f"{name} is empty; expected rows of numbers.")
    second = next(records, None)
    if not is_header(cells):
        if second:
            _refuse_numbered_header(name, line, cells, second[1])
        return _Layout(delimiter, None, len(cells), line)
    if second is None:
        raise InputError(f"{name} has a header and nothing below it; expected rows of numbers.")
    return _Layout(delimiter, [cell.strip() for cell in cells], len(cells), second[0])


def _refuse_numbered_header(name: str, line: int, cells: list[str], below: list[str]) -> None:
    """Refuse 0, 1, 2, ..., or years, above decimals: they head columns, beside words or not, and are no data."""
    places = [i for i, cell in enumerate(cells) if cell.strip().isdecimal()]
    numbers = [int(cells[i]) for i in places]
    rest = [cell for i, cell in enumerate(cells) if i not in places]
    if len(cells) < 3 or len(numbers) < 2 or any(like_a_number(cell) for cell in rest):
        return
    least, most = min(numbers), max(numbers)
    if sorted(numbers) != list(range(least, most + 1)) or not (least in (0, 1) or least in YEARS):
        return
    if all(i < len(below) and _is_decimal(below[i]) for i in places):
        what = "pandas heads columns without names" if not rest and numbers[0] == 0 else "a header of numbers has it"
        raise InputError(
            f"{name}: row {line} is {least} to {most} above decimals, as {what}; "
            "write the file with names or without a header."
        )


def _is_decimal(cell: str) -> bool:
    return number(cell) is not None and not cell.strip().lstrip("+-").isdigit()


# The definition.


def _records(name: str, data: bytes, delimiter: str) -> Iterator[tuple[int, list[str], int]]:
    """Yield the line where a record begins, its cells, and the line where it ends; blank lines are none."""
    lines: list[str] = []  # of the present record

    def kept() -> Iterator[str]:
        for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""):
            lines.append(line)
            yield line

    reader = csv.reader(kept(), delimiter=delimiter, strict=True)
    while True:
        lines.clear()
        first = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            column = _bad_quote("".join(lines), delimiter)
            raise InputError(
                f"{name}: row {first}, column {column} opens a quote that is not closed at the end of the cell; "
                f"expected {_example(delimiter)}."
            ) from error
        if cells:
            yield first, cells, reader.line_num


def _bad_quote(record: str, delimiter: str) -> int:
    """The column, from 1, of the first cell of a record whose quotes are not well-formed."""
    plain = rf"[^\"{delimiter}\r\n][^{delimiter}\r\n]*|"
    good = re.compile(rf"(?:\"(?:[^\"]|\"\")*\"|{plain}){delimiter}")
    column, place = 1, 0
    while match := good.match(record, place):
        column, place = column + 1, match.end()
    return column


def _example(delimiter: str) -> str:
    return '"1"' + {"\t": " and a tab"}.get(delimiter, delimiter) + " or 1"


def _read_carefully(name: str, data: bytes, layout: _Layout, chosen: list[int]) -> np.ndarray:
    """Read cell by cell, and name the first that is no finite number, or count those that are missing."""
    labels = layout.header and [f"{i + 1} ({in_short(title)})" for i, title in enumerate(layout.header)]
    values, missing = array.array("d"), {}
    for line, cells, _ in _records(name, data, layout.delimiter):
        if line < layout.first_line:
            continue
        if len(cells) != layout.width:
            refuse_width(name, line, len(cells), layout.width)
        for column in chosen:
            cell = cells[column].strip()
            value = number(cell)
            if cell.lower() in MISSING or (value is not None and math.isnan(value)):
                count, first, shown = missing.get(column, (0, line, repr(cell) if cell else "empty"))
                missing[column] = (count + 1, first, shown)
                value = math.nan
            elif value is None or math.isinf(value):
                refuse_cell(name, line, column, labels, repr(cell))
            elif abs(value) >= _LARGEST_EXACT and cell.lstrip("+-").isdecimal() and int(cell) != int(value):
                refuse_inexact(name, line, column, labels, int(cell))
            values.append(value)
    if missing:
        refuse_missing(name, missing, labels)
    return np.frombuffer(values, np.float64).reshape(-1, len(chosen)).copy()


# The same, faster.


def _read_fast(data: bytes, layout: _Layout, chosen: list[int]) -> np.ndarray | None:
    """Read with pyarrow; None where it might read something else than the definition, or reads nothing."""
    import pyarrow as pa
    import pyarrow.csv

    body = _without_quotes(_below(data, layout.first_line), layout.delimiter)
    if body is None:
        return None
    names = [str(i) for i in range(layout.width)]
    used = [names[column] for column in dict.fromkeys(chosen)]
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=pyarrow.csv.ReadOptions(column_names=names, block_size=1 << 22),
            parse_options=pyarrow.csv.ParseOptions(delimiter=layout.delimiter, quote_char=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(used, pa.float64()), include_columns=used, null_values=[]
            ),
        )
    except pa.ArrowException:
        return None
    rows = np.empty([table.num_rows, len(chosen)])
    for i, column in enumerate(chosen):
        rows[:, i] = table[names[column]].to_numpy()
    if not rows.size or not (np.abs(rows) < _LARGEST_EXACT).all():  # of larger ones, the cells must be looked at
        return None
    return rows


def _below(data: bytes, first_line: int) -> memoryview:
    """The bytes from a line, counted from 1, on."""
    ends = (match.end() for match in itertools.islice(_LINE_END.finditer(data), first_line - 1))
    return memoryview(data)[max(ends, default=0) :]


def _without_quotes(body: memoryview, delimiter: str) -> memoryview | None:
    """The same cells without their quotes; None if a quote does more than surround a cell in one line.

    Read from the left, a quote at a cell's start, something in which there is no quote, separator or line end, and a
    quote at the cell's end are one whole cell, and what is left of it without them says the same.
    """
    letters = np.frombuffer(body, np.uint8)
    quotes = np.flatnonzero(letters == ord('"'))
    if not quotes.size:
        return body
    if quotes.size % 2:
        return None
    opening, closing = quotes[::2], quotes[1::2]
    ends = np.isin(letters, np.frombuffer(f"{delimiter}\r\n".encode(), np.uint8))
    at_start = (opening == 0) | ends[opening - 1]
    at_end = (closing == len(letters) - 1) | ends[np.minimum(closing + 1, len(letters) - 1)]
    places = np.flatnonzero(ends)
    plain = np.searchsorted(places, opening) == np.searchsorted(places, closing)
    if not (at_start & at_end & plain & (closing > opening + 1)).all():
        return None
    return memoryview(np.delete(letters, quotes).tobytes())
