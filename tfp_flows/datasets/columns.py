"""Which columns of a table have no density, judged on the numbers that training uses.

A flow trained on a column that is discrete, or a function of others, gets a likelihood that rises without end and means
nothing. What is found:

| kind | what it is | |
|---|---|---|
| constant | one value in every row of positive weight, or a spread that rounding swallows | an error |
| outlier | a few rows so far out that, standardised, the others are one number | an error |
| counter | every value once, evenly spaced: a row number, a rank, a grid | a warning |
| copy | a function of another column | a warning |
| combination | a linear combination of several other columns | a warning |
| whole, steps | whole numbers, or multiples of a step, coarse beside their spread | a warning |
| repeated | a value that many rows share | a warning |
| rows | whole rows that occur again | a warning |

How coarse is too coarse was measured: standard normal rows rounded to 1/r, 10,000 of them in two columns, under
`nsf_coupling` (benchmarks/rounded_rows.py). For r = 3 and 10 held-out NLL fell 5.7 and 3.7 nats below the truth; for
r = 20 and more, and so for prices with their cents, it did not move. At r = 20 the most frequent value is in 2 % of the
rows.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfp_flows.datasets.dependent import dependences, standardised
from tfp_flows.datasets.refusals import column_label, some_of
from tfp_flows.errors import InputError
from tfp_flows.words import in_short, plural

__all__ = ["Finding", "check_trainable", "column_warnings", "context_warnings", "judge_columns"]

_FREQUENT = 0.02  # of the rows with one value: no longer a rounded continuous column (see above)
_REPEATED = 0.01  # of the rows that occur before
_COINCIDING = 5.0  # times as many repeats as chance brings to independent columns: correlated ones have some more
_ONE_BY_ONE = 4  # columns of one kind that have a sentence each
_BYTE = 256  # evenly spaced values, each in five rows or more: 8-bit numbers, whatever their spread
_SHARED = 0.5  # of the rows at most have a whole number of their own: such are counts, not readings of a fine scale
_SAMPLE = 100_000  # rows that values and repeats are looked for in; of more, as many are drawn
_WIDEST = 1_000  # columns; among more, dependencies are not looked for
_COINCIDENCES = 8.0  # equal pairs that chance would bring: that there is none, it brings once in exp(8) = 3000 times

ADD_NOISE = "add uniform noise of one step to it, or leave it out"
DEQUANTIZE = "model it with dequantize, which adds uniform noise, or leave it out"  # the command says --whole


class Finding(NamedTuple):
    """What is wrong with a column (from 0), or with all rows (None), in one sentence; `fatal`: training is in vain."""

    kind: str
    column: int | None
    sentence: str
    fatal: bool = False


def judge_columns(
    rows: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float32",
    name: str = "x",
) -> list[Finding]:
    """What is wrong with the columns of training rows: the errors if there are any, or else the warnings.

    A column has at most one finding. Of more than 100,000 rows, a random sample (always the same) is compared.

    Args:
      rows: `[n, D]`, finite, of the dtype they came in: the steps between float32 numbers are taken into account.
      weight: `[n]`, at least 0; rows of weight 0 do not count.
      columns: the names of the D columns.
      dtype: of the flow, in which the standardised rows will be.
      name: what the sentences call the table.

    Raises:
      InputError: for rows or weights that are no tables of numbers, or do not fit together.

    >>> import numpy as np
    >>> from tfp_flows import datasets
    >>> rng = np.random.default_rng(0)
    >>> rows = np.stack([rng.normal(size=1000), rng.poisson(3.0, 1000)], axis=1)
    >>> for finding in datasets.judge_columns(rows, columns=["height", "sons"]):
    ...     print(finding.kind, finding.sentence.partition(";")[0])
    whole x: column 'sons' has whole numbers only, and so no density
    """
    rows, weight, labels = _checked(rows, weight, columns, name)
    used = rows if weight is None or (weight > 0).all() else rows[weight > 0]
    fatal = list(_fatal(used, weight, labels, np.dtype(dtype), name))
    if fatal:
        return fatal
    with np.errstate(all="ignore"):  # of the largest and the least numbers, differences are inf and quotients nan
        found = {finding.column: finding for finding in reversed(list(_warnings(used, labels, name)))}
    return [found[column] for column in sorted(found, key=lambda column: (column is None, column))]


def column_warnings(
    rows: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float32",
    name: str = "x",
) -> list[str]:
    """The warnings of `judge_columns`, one sentence each; `InputError` with the first error if there is one.

    Of more than four columns of one kind, one sentence speaks for all.
    """
    found = judge_columns(rows, weight=weight, columns=columns, dtype=dtype, name=name)
    _refuse_fatal(found)
    sentences = []
    for kind in dict.fromkeys(finding.kind for finding in found):
        alike = [finding for finding in found if finding.kind == kind]
        if len(alike) <= _ONE_BY_ONE:
            sentences += [finding.sentence for finding in alike]
        else:
            places = [finding.column for finding in alike[1:] if finding.column is not None]
            others = [str(i + 1) if columns is None else repr(columns[i]) for i in places]
            sentences.append(
                f"{alike[0].sentence.removesuffix('.')}; so it is with column{'s' * (len(others) > 1)} "
                f"{some_of(others, 3)}."
            )
    return sentences


def context_warnings(
    rows: np.ndarray,
    context: np.ndarray,
    *,
    columns: Sequence[str] | None = None,
    context_columns: Sequence[str] | None = None,
) -> list[str]:
    """One sentence for each column, of rows `[n, D]`, that has no density given its context `[n, C]`.

    The two determine each other: one is a function of the other, or a linear combination with others' help. Of more
    than 100,000 rows, a random sample (always the same) is looked at.
    """
    size, width = context.shape[1], rows.shape[1]
    if size + width > _WIDEST:
        return []
    labels = [f"the context's {label}" for label in _labels(size, context_columns)] + _labels(width, columns)
    if len(rows) > _SAMPLE:
        drawn = np.random.default_rng(0).choice(len(rows), _SAMPLE, replace=False)
        rows, context = rows[drawn], context[drawn]
    both = np.unique(np.concatenate([context, rows], axis=1), axis=0)
    sentences = []
    with np.errstate(all="ignore"):
        for column, others, how in dependences(both):
            parts = {column, *others}
            if min(parts) < size <= max(parts):
                found = f"{how} of {labels[others[0]]}"
                if len(others) > 1:
                    found = f"a linear combination of {some_of([labels[i] for i in others], 4)}"
                sentences.append(f"x: {labels[column]} is {found}: there is no density given that; leave one out.")
    return sentences


def _labels(width: int, columns: Sequence[str] | None) -> list[str]:
    return [column_label(i, columns and [repr(title) for title in columns]) for i in range(width)]


def check_trainable(
    rows: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float32",
    name: str = "x",
) -> None:
    """Raise `InputError` for the first column that training is in vain with; look for nothing else."""
    rows, weight, labels = _checked(rows, weight, columns, name)
    used = rows if weight is None or (weight > 0).all() else rows[weight > 0]
    _refuse_fatal(list(_fatal(used, weight, labels, np.dtype(dtype), name)))


def _checked(
    rows: Any, weight: Any, columns: Sequence[str] | None, name: str
) -> tuple[np.ndarray, np.ndarray | None, list[str] | None]:
    """Rows and weights as arrays, and what sentences call the columns."""
    from tfp_flows.datasets.table import as_rows  # which imports this file

    rows = as_rows(rows, name=name)
    if columns is not None and len(columns) != rows.shape[1]:
        raise InputError(f"columns must be a list of {plural(rows.shape[1], 'name')}; got {in_short(columns)}.")
    if weight is not None:
        weight = as_rows(weight, name="weight", event_size=1)[:, 0]
        if len(weight) != len(rows):
            raise InputError(
                f"weight must have a number for each of the {plural(len(rows), 'row')} of {name}; got {len(weight)}."
            )
        if (weight < 0).any():
            raise InputError(f"weight must be at least 0; got a minimum of {weight.min():g}.")
    return rows, weight, None if columns is None else [repr(title) for title in columns]


def _refuse_fatal(found: list[Finding]) -> None:
    """Raise for the first error, and say how many more there are."""
    if found and found[0].fatal:
        others = len(found) - 1
        more = f"; {plural(others, 'more column')} {'is' if others == 1 else 'are'} no better." if others else "."
        raise InputError(found[0].sentence.removesuffix(".") + more)


# Errors.


def _fatal(
    rows: np.ndarray, weight: np.ndarray | None, labels: Sequence[str] | None, dtype: np.dtype, name: str
) -> Iterator[Finding]:
    weighted = "" if weight is None else " of positive weight"
    if len(rows) < 2:
        yield Finding(
            "constant", None, f"{name} has {plural(len(rows), 'row')}{weighted}; training needs at least 2.", True
        )
        return
    for i in range(rows.shape[1]):
        column = rows[:, i].astype(np.float64)
        where = f"{name}: {column_label(i, labels)}"
        low, high = column.min(), column.max()
        if low == high:
            sentence = (
                f"{where} is {low} in all {len(rows):,} rows of training{weighted} and has no density; leave it out."
            )
            yield Finding("constant", i, sentence, True)
            continue
        size = max(-low, high)
        step = float(np.spacing(np.asarray(size, rows.dtype)))
        z, spread = standardised(column / size, weight)
        if not spread * size > 2 * step:
            sentence = (
                f"{where} is {size:g} give or take {spread * size:.1g}, which is lost in the rounding of {rows.dtype} "
                "numbers of that size; subtract an offset before it is rounded, or leave it out."
            )
            yield Finding("constant", i, sentence, True)
            continue
        left, middle, right = np.quantile(z if len(z) <= _SAMPLE else z[:: len(z) // _SAMPLE], [0.1, 0.5, 0.9])
        together = right - left < 8 * np.finfo(dtype).eps * max(1.0, abs(middle))
        if together and len(np.unique(column[(left <= z) & (z <= right)])) > 5:  # and not one value, such as 0
            row = int(np.argmax(np.abs(z)))
            sentence = (
                f"{where} has a value of {column[row]:g} so far from the others that they are all the same in {dtype} "
                "beside it; leave such rows out, or take the column's logarithm."
            )
            yield Finding("outlier", i, sentence, True)


# Warnings.


def _warnings(rows: np.ndarray, labels: Sequence[str] | None, name: str) -> Iterator[Finding]:
    """All that is found, the most telling first."""
    marks = _marks(rows)
    again = int((np.diff(np.sort(marks)) == 0).sum())
    if len(rows) > _SAMPLE:
        drawn = np.sort(np.random.default_rng(0).choice(len(rows), _SAMPLE, replace=False))
        rows, marks, whole = rows[drawn], marks[drawn], len(rows)
    else:
        whole = len(rows)
    distinct = rows[np.sort(np.unique(marks, return_index=True)[1])]
    width = rows.shape[1]
    judged = [
        _discrete(rows[:, i], distinct[:, i], i, f"{name}: {column_label(i, labels)}", width) for i in range(width)
    ]
    discrete = [finding for finding in judged if finding]
    yield from (finding for finding in discrete if finding.kind == "counter")
    if width <= _WIDEST:
        yield from _dependent(distinct, labels, name)
    yield from discrete
    by_chance = _COINCIDING * _expected_repeats(distinct, whole)
    if again >= max(3.0, _REPEATED * whole, by_chance) and len(discrete) < width:
        yield Finding(
            "rows",
            None,
            f"{name}: {again:,} of {whole:,} rows repeat an earlier row exactly, and may be both trained on and held "
            "out; leave the repeats out, or give each row once with its count as its weight.",
        )


def _expected_repeats(distinct: np.ndarray, n: int) -> float:
    """About how many of n rows chance repeats where columns are rounded: pairs of rows that agree in each column."""
    if len(distinct) < 2:
        return 0.0
    if distinct.shape[1] == 1:  # all values differ here; as if they were spread evenly over twice their middle half
        values = np.sort(distinct[:, 0])
        step, middle = _step(values), np.subtract(*np.quantile(values, [0.75, 0.25]))
        return n * n / 2 * step / (2 * float(middle)) if step and middle else 0.0
    agree = 1.0
    for column in distinct.T:
        counts = np.unique(column, return_counts=True)[1].astype(np.float64)
        agree *= float((counts * (counts - 1)).sum()) / (len(column) * (len(column) - 1.0))
    return n * n / 2 * agree


def _marks(rows: np.ndarray) -> np.ndarray:
    """A 64-bit number for each row: equal for equal rows, and for others once in 2**64 times."""
    odd = np.random.default_rng(0).integers(0, 2**63, rows.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    marks = np.zeros(len(rows), np.uint64)
    for i in range(rows.shape[1]):
        bits = (rows[:, i].astype(np.float64) + 0.0).view(np.uint64)  # + 0.0: -0.0 is 0.0
        marks = (marks ^ bits ^ (bits >> np.uint64(29))) * odd[i]
        marks ^= marks >> np.uint64(32)
    return marks


def _discrete(column: np.ndarray, distinct: np.ndarray, i: int, where: str, width: int) -> Finding | None:
    """A counter, whole numbers, steps or a repeated value; `distinct` are the column's cells of rows seen once."""
    values, counts = np.unique(column, return_counts=True)
    step = _step(values)
    if step and len(values) == len(distinct if width > 1 else column) > 2:
        room = (float(values[-1]) - float(values[0])) / step + 1
        # Rows that were drawn again repeat a counter's values; so does rounding, of a column that the others follow.
        once = len(values) == len(column) or (len(values) > 0.6 * len(column) and len(values) > 0.5 * room)
        if once and len(values) ** 2 / (2 * room) > _COINCIDENCES:
            found = "has evenly spaced values, each once, as a row counter has, and so no density; leave it out"
            return Finding("counter", i, f"{where} {found}.")
    whole = bool((values == np.rint(values)).all())
    top = int(np.argmax(counts))
    is_byte = step and len(values) <= _BYTE and len(column) >= 5 * len(values)
    is_count = whole and len(values) <= _SHARED * len(distinct if width > 1 else column)
    if not is_byte and not is_count:
        least = 3 if whole else 5 if width > 1 else 10
        if counts[top] < max(least, _FREQUENT * len(column)):
            return None
        if width > 1 and (distinct == values[top]).sum() < _FREQUENT * len(distinct):
            return None  # it is its whole row that was drawn again
    kind, found = _in_words(values, step, whole, f"is {values[top]:g} in {counts[top] / len(column):.0%} of the rows")
    return Finding(kind, i, f"{where} {found}.")


def _in_words(values: np.ndarray, step: float, whole: bool, frequent: str) -> tuple[str, str]:
    """The kind of a discrete column, and what to say of it."""
    size = max(abs(values[0]), abs(values[-1]))
    if values.dtype == np.float32 and 0 < step <= np.spacing(size) and size > 100 * step:
        return (
            "steps",
            f"has steps of {step:g}, the least between float32 numbers of that size; give the rows in float64",
        )
    if whole:
        return "whole", f"has whole numbers only, and so no density; {DEQUANTIZE}"
    if step and len(values) > 2:
        return "steps", f"has multiples of {step:.6g} only, and so no density; {ADD_NOISE}"
    found = f"has {len(values)} different values only" if len(values) <= 20 else frequent
    return "repeated", f"{found}, and so no density; leave it out, or those rows"


def _step(values: np.ndarray) -> float:
    """The step whose multiples lie between all of the sorted values; 0 if there is none, or too few to tell."""
    gaps = np.diff(values.astype(np.float64))
    if not len(gaps) or (len(gaps) < 8 and not (values == np.rint(values)).all()):
        return 0.0
    step = float(gaps.min())
    multiples = gaps / step
    # The gaps between decimals are multiples but for the rounding to binary; those between floats near their least step
    # are exactly.
    rounding = 4 * float(np.spacing(max(abs(values[0]), abs(values[-1])))) / step
    tolerance = 0.02 + (rounding if rounding < 0.2 else 0.0)
    return step if (np.abs(multiples - np.rint(multiples)) < tolerance).all() else 0.0


def _dependent(rows: np.ndarray, labels: Sequence[str] | None, name: str) -> Iterator[Finding]:
    """Columns that others determine."""
    for column, others, how in dependences(rows):
        kind, of = "copy", f"{how} of {column_label(others[0], labels)}"
        if len(others) > 1:
            called = some_of([str(i + 1) if labels is None else labels[i] for i in others], 4)
            kind, of = "combination", f"a linear combination of columns {called}"
        where = f"{name}: {column_label(column, labels)}"
        yield Finding(kind, column, f"{where} is {of}, and so has no density beside it; leave one out.")
