"""Tables of Arrow: Parquet and Feather files, and pyarrow tables in memory."""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfp_flows.datasets.memory import check_memory
from tfp_flows.datasets.refusals import of_others
from tfp_flows.datasets.text import chosen_columns
from tfp_flows.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrays_of", "read_arrow", "write_arrow"]


def read_arrow(
    name: str, data: bytes, columns: Sequence[str | int] | None, *, parquet: bool
) -> tuple[list[str], list[np.ndarray]]:
    """Read names and columns, `[n]` each, from the bytes of a Parquet or Feather (Arrow IPC) file."""
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    try:
        if parquet:  # a column of one value, again and again, takes no room in the file
            file = pyarrow.parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
            check_memory(name, 8 * file.metadata.num_rows * file.metadata.num_columns)
            table = file.read()
        elif data[:6] == b"ARROW1" or data[:4] == b"FEA1":
            table = pyarrow.feather.read_table(pa.BufferReader(data))
        else:
            table = pa.ipc.open_stream(pa.BufferReader(data)).read_all()
        table.validate(full=True)  # lengths and offsets inside a damaged file may point anywhere
    except InputError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError) as error:
        raise InputError(f"{name} cannot be loaded ({of_others(error)}); expected a table.") from error
    if columns is None:
        index = _index_of_pandas(table.schema)
        chosen = [i for i, title in enumerate(table.column_names) if title not in index]
    else:
        chosen = chosen_columns(columns, table.column_names, table.num_columns, name)
    return arrays_of(table.select(chosen), name)


def arrays_of(table: "pa.Table", name: str) -> tuple[list[str], list[np.ndarray]]:
    """Names and columns, `[n]` each, of an Arrow table; nulls are nan."""
    return list(table.column_names), [
        _array(column, title, name) for title, column in zip(table.column_names, table.columns, strict=True)
    ]


def _array(column: "pa.ChunkedArray", title: str, name: str) -> np.ndarray:
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
    except pa.ArrowException as error:
        raise InputError(f"{name}: column {title!r} cannot be read as numbers: {of_others(error)}.") from error
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise InputError(
            f"{name}: column {title!r} has type {str(kind)[:60]}; expected real numbers, or choose what "
            f"to read with columns."
        )
    if column.null_count and not pa.types.is_floating(kind):
        return np.array(column.to_pylist(), dtype=object)  # whole numbers stay whole until they are checked
    return column.to_numpy()


def _index_of_pandas(schema: "pa.Schema") -> set[str]:
    """The columns that pandas wrote as an index: it gives them back as one, and they are no data."""
    try:
        index = json.loads(schema.metadata[b"pandas"])["index_columns"]
    except (TypeError, KeyError, ValueError):
        return set()
    return {title for title in index if isinstance(title, str)} if isinstance(index, list) else set()


def write_arrow(path: Any, rows: np.ndarray, header: Sequence[str], *, parquet: bool, whole: Sequence[int]) -> None:
    """Write columns with names, those of whole numbers as such."""
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    types = [np.int64 if i in whole else rows.dtype for i in range(rows.shape[1])]
    columns = [np.ascontiguousarray(column, kind) for column, kind in zip(rows.T, types, strict=True)]
    table = pa.table(columns, names=list(header))
    buffer = io.BytesIO()
    if parquet:
        pyarrow.parquet.write_table(table, buffer, write_page_checksum=True)
    else:
        pyarrow.feather.write_feather(table, buffer)
    path.write_bytes(buffer.getvalue())
