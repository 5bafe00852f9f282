"""Damages valid tables in thousands of ways, and checks what the readers make of them.

`python benchmarks/mutated_tables.py [NUMBER] [FIRST SEED]` takes 5000 if no number is given, prints a line a fault and
the totals. A seed decides everything: the table, its format, how it is damaged. For each file:

- the numbers are read, or `InputError` says in one sentence of at most 300 characters why not: no other exception;
- within 10 seconds, and with less than 1 GB of memory on top;
- what is read is what stands there. In text: the cells of Python's `csv` in strict mode, each as `float` reads it, to
  the last bit, whole numbers exactly, no row lost but a header in which no cell is a number. In arrays: what `np.load`
  gives. In Parquet and Feather: what `pyarrow` gives; our Parquet files have checksums: a bit that fell is seen.

Every third file is read whole but for its first column.
"""

import csv
import gzip
import io
import json
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter

import numpy as np

from tfp_flows.datasets import read_table, write_rows
from tfp_flows.errors import InputError

SUFFIXES = (".csv", ".csv", ".csv", ".tsv", ".csv.gz", ".npy", ".npz", ".parquet", ".feather")
SECONDS, MEGABYTES = 10, 1024
TOKENS = (
    *(
        '"',
        '""',
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\ufeff",
        " ",
        "+",
        "-",
        "_",
        ".",
        "e",
        "\u0663",
        "\xa0",
        "\x0b",
    ),
    *(
        "nan",
        "NA",
        "null",
        "inf",
        "1e999",
        "1,5",
        "9007199254740993",
        "0x10",
        "1e5x",
        "True",
        "#",
        "é",
        "\x85",
        "\u2028",
    ),
    *('"1"2', '"1\n2"', ' "1"', '"1" ', "1 2", "\n\n", "+-1", "1e-400", "1e", "x", "0" * 400),
)


def table_of(rng: np.random.Generator) -> np.ndarray:
    """Normal numbers of any scale, in either float type."""
    rows = rng.normal(size=(rng.integers(1, 30), rng.integers(1, 6))) * 10.0 ** rng.integers(-9, 10)
    return rows.astype(rng.choice([np.float32, np.float64]))


def text_of(rows: np.ndarray, delimiter: str, rng: np.random.Generator) -> bytes:
    """A valid table in text, as people have it."""
    quoted, end = rng.random() < 0.3, rng.choice(["\n", "\r\n", "\r"])
    lines = [[f'"{x!r}"' if quoted and rng.random() < 0.5 else repr(x) for x in row] for row in rows.tolist()]
    if rng.random() < 0.6:
        names = [f"name {i}" for i in range(rows.shape[1])]
        lines.insert(0, [f'"{name}"' if quoted else name for name in names])
    if rng.random() < 0.3:  # whole numbers
        lines.append([str(rng.integers(0, 2**54)) for _ in range(rows.shape[1])])
    return (end.join(delimiter.join(line) for line in lines) + end * int(rng.integers(0, 3))).encode()


def damaged(data: bytes, text: bool, rng: np.random.Generator) -> bytes:
    """The bytes after one to three accidents, in text none to three."""
    data = bytearray(data)
    for _ in range(rng.integers(0 if text else 1, 4)):
        place, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 40))
        match rng.integers(0, 8 if text else 6):
            case 0:
                data[place : place + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = data[place : place + length]
            case 3:
                del data[place:]
            case 4:
                other = int(rng.integers(0, len(data) + 1))
                data[place : place + length] = data[other : other + length]
            case 5:
                data[place : place + 1] = bytes(
                    [(data[place] if place < len(data) else 0) ^ 1 << int(rng.integers(0, 8))]
                )
            case _:
                data[place:place] = TOKENS[rng.integers(0, len(TOKENS))].encode()
    if text and rng.random() < 0.03:
        return (
            bytes(data)
            .decode("utf-8", "replace")
            .encode(str(rng.choice(["utf-16", "latin-1", "utf-8-sig"])), "replace")
        )
    return bytes(data)


def write_case(folder: pathlib.Path, seed: int) -> tuple[pathlib.Path, int]:
    """Write the file of a seed; its path, and how many columns it had."""
    rng = np.random.default_rng(seed)
    suffix, rows = str(rng.choice(SUFFIXES)), table_of(rng)
    path = folder / f"table{suffix}"
    if suffix.startswith((".csv", ".tsv")):
        delimiter = "\t" if suffix == ".tsv" else str(rng.choice([",", ",", ";", "\t"]))
        data = damaged(text_of(rows, delimiter, rng), True, rng)
        path.write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
        if suffix.endswith(".gz") and rng.random() < 0.3:
            path.write_bytes(damaged(path.read_bytes(), False, rng))
    else:
        named = suffix != ".npy" and rng.random() < 0.5
        path.unlink(missing_ok=True)
        write_rows(path, rows, header=[f"c{i}" for i in range(rows.shape[1])] if named else None)
        path.write_bytes(damaged(path.read_bytes(), False, rng))
    return path, rows.shape[1]


def expected(path: pathlib.Path, chosen: slice) -> np.ndarray:
    """What stands in the file, by the strict reading of others; any exception if it cannot be read."""
    data = path.read_bytes()
    if path.suffix == ".npy":
        array = np.load(io.BytesIO(data), allow_pickle=False)
    elif path.suffix == ".npz":
        array = np.load(io.BytesIO(data), allow_pickle=False)["rows"]
    elif path.suffix in (".parquet", ".feather"):
        import pyarrow.feather
        import pyarrow.parquet

        read = pyarrow.parquet.read_table if path.suffix == ".parquet" else pyarrow.feather.read_table
        array = np.stack([column.to_numpy() for column in read(io.BytesIO(data)).columns], axis=1)
    else:
        return expected_of_text(gzip.decompress(data) if path.suffix == ".gz" else data, path.suffix == ".tsv", chosen)
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)[:, chosen]


def expected_of_text(data: bytes, tabs: bool, chosen: slice) -> np.ndarray:
    """The cells of a strict reader as floats."""
    text = data.decode("utf-8-sig")
    first = next(line for line in io.StringIO(text) if line.strip())
    outside = "".join(first.split('"')[::2])
    delimiter = "\t" if tabs else next((mark for mark in ";\t" if mark in outside), ",")
    lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if cells]
    if all(not is_number(cell) for cell in lines[0]):
        lines = lines[1:]
    width = {len(cells) for cells in lines}
    assert len(width) == 1
    lines = [cells[chosen] for cells in lines]
    for cell in (cell.strip() for cells in lines for cell in cells):
        assert not cell.lstrip("+-").isdecimal() or int(cell) == float(cell)
        assert "_" not in cell
    return np.array([[float(cell) for cell in cells] for cells in lines])


def is_number(cell: str) -> bool:
    """Whether `float` reads it."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def fault_of(path: pathlib.Path, chosen: slice) -> tuple[str, str]:
    """How a case ended, and what is wrong with that, or nothing."""
    try:
        rows = read_table(path, columns=list(range(chosen.start + 1, chosen.stop + 1)) if chosen.stop else None).rows
    except InputError as error:
        sentence = str(error).replace(str(path), path.name)
        wrong = "\n" in sentence or len(sentence) > 300
        return "refused", f"no sentence: {sentence!r}" if wrong else ""
    except BaseException as error:
        return "raised", f"{type(error).__name__}: {error}"[:300]
    try:
        wanted = expected(path, chosen)
        same = wanted.shape == rows.shape and (wanted == rows).all() and np.isfinite(wanted).all()
    except Exception as error:
        return "read", f"misread: {rows.shape} where a strict reader says {type(error).__name__}: {error}"[:300]
    return "read", "" if same else f"misread: {rows.tolist()} where there is {wanted.tolist()}"[:300]


def check(first: int, number: int) -> None:
    """Checks the cases one by one, and prints a line of JSON before and after each: its reader may not survive."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))  # for the machine's sake
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + number):
            path, width = write_case(pathlib.Path(folder), seed)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            signal.alarm(SECONDS)  # nobody handles it: it ends the process, even in the middle of C
            ended, fault = fault_of(path, slice(1, width) if width > 1 and seed % 3 == 0 else slice(None))
            signal.alarm(0)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if grown > MEGABYTES:
                fault = f"{grown:.0f} MB of memory"
            print(json.dumps([seed, path.name.removeprefix("table"), ended, fault]), flush=True)


def run(number: int, first: int = 0) -> tuple[Counter, list[str]]:
    """How the cases ended, and the faults, in processes of their own."""
    ends, faults, seed = Counter(), [], first
    while seed < first + number:
        count = min(500, first + number - seed)
        command = [sys.executable, __file__, "--check", str(seed), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        for line in done.stdout.splitlines():
            seed, suffix, ended, fault = json.loads(line)
            ends[f"{suffix} {ended}"] += 1
            faults += [f"seed {seed} ({suffix}): {fault}"] * bool(fault)
            seed += 1
            count -= 1
        if count:
            death = "a hang" if done.returncode == -signal.SIGALRM else f"exit {done.returncode}"
            faults.append(f"seed {seed}: {death} {done.stderr[-300:]}")
            seed += 1
    return ends, faults


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(int(sys.argv[2]), int(sys.argv[3]))
    else:
        arguments = [int(argument) for argument in sys.argv[1:]]
        ends, faults = run(*(arguments or [5000]))
        print(*faults, *(f"{count:6} {end}" for end, count in sorted(ends.items())), sep="\n")
        print(f"{sum(ends.values())} tables, {len(faults)} faults")
        sys.exit(bool(faults))
