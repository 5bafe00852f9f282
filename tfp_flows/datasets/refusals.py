"""The sentences that refuse a table: file or argument, row, column, value, and what would work."""

from collections.abc import Sequence
from typing import NoReturn

from tfp_flows.errors import InputError
from tfp_flows.words import plural

__all__ = [
    "column_label",
    "of_others",
    "refuse_cell",
    "refuse_inexact",
    "refuse_missing",
    "refuse_width",
    "some_of",
]

_SENTENCE = 300  # characters
_LONGEST = 40  # characters of a cell or a name that a sentence shows


def column_label(column: int, labels: Sequence[str] | None) -> str:
    """`column 3`, or `column 'height'` where `labels` say how columns are called."""
    return f"column {column + 1 if labels is None else _shortened(labels[column])}"


def refuse_cell(name: str, row: int, column: int, labels: Sequence[str] | None, cell: str) -> NoReturn:
    """Raise for a cell, which counts from row 1 and column 0, that is no finite number."""
    raise InputError(
        f"{name}: row {row}, {column_label(column, labels)} is {_shortened(cell)}; expected a finite number."
    )


def refuse_inexact(name: str, row: int, column: int, labels: Sequence[str] | None, cell: int) -> NoReturn:
    """Raise for a whole number that float64 would round."""
    raise InputError(
        f"{name}: row {row}, {column_label(column, labels)} is {_shortened(str(cell))}, a whole number that float64 "
        "cannot hold (it holds all up to 2**53); leave the column out, or subtract an offset from it."
    )


def refuse_width(name: str, row: int, width: int, expected: int) -> NoReturn:
    """Raise for a row that has more or fewer cells than the first."""
    raise InputError(f"{name}: row {row} has {plural(width, 'cell')}; expected {expected}, as in the first row.")


def refuse_missing(name: str, missing: dict[int, tuple[int, int, str]], labels: Sequence[str] | None) -> NoReturn:
    """Raise for missing values: by column (from 0), how many, the row of the first (from 1) and what stands there."""
    total = sum(count for count, _, _ in missing.values())
    if total == 1:
        ((column, (_, row, cell)),) = missing.items()
        refuse_cell(name, row, column, labels, cell)
    for shown in (3, 2, 1):  # columns, as many as a short sentence holds
        parts = [
            f"{count:,} in {column_label(column, labels)} (first in row {row})"
            for column, (count, row, _) in sorted(missing.items())[:shown]
        ]
        if len(missing) > shown:
            parts.append(f"the rest in {plural(len(missing) - shown, 'more column')}")
        sentence = f"{name}: {total:,} values are missing or nan: {', '.join(parts)}; fill them, or leave the rows out."
        if len(sentence) <= _SENTENCE:
            break
    raise InputError(sentence)


def of_others(error: BaseException) -> str:
    """What an error of another library says, as a short part of a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 100 else f"{text[:97]}...").rstrip(".")


def some_of(names: Sequence[str], most: int = 8) -> str:
    """Names with commas between them: the first few, and how many more."""
    shown = ", ".join(_shortened(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...{text[-1]}"
