"""Readers of text side by side: how fast, whether to the last bit, and what they make of text that is not certain.

`python benchmarks/readers.py` prints both tables of the README. The file has 500,000 rows of 8 normal numbers, as
`repr` writes them, below a header (79 MB); each time is the best of three.
"""

import csv
import pathlib
import tempfile
import time

import numpy as np
import pandas as pd
import pyarrow.csv

from tfp_flows.datasets import read_rows
from tfp_flows.datasets.text import _layout, _read_carefully
from tfp_flows.errors import InputError

UNCERTAIN = {
    "unclosed quote": 'x,y\n"1,2\n3,4\n',
    '`"1"2`': 'x,y\n"1"2,3\n',
    "ragged row": "x,y\n1,2\n3\n",
    "decimal comma": "x;y\n1,5;2\n3;4\n",
    "zero byte": "x,y\n1\0,2\n3,4\n",
    "2**53 + 1": "x,y\n9007199254740993,2\n3,4\n",
    "empty cell": "x,y\n1,2\n,4\n",
    "`NA`": "x,y\n1,2\nNA,4\n",
    "`inf`": "x,y\n1,2\ninf,4\n",
    "`2021_05`": "x,y\n1,2\n2021_05,4\n",
    "line end in a cell": 'x,y\n1,2\n"3\n",4\n',
    "`1e5x` on top": "1e5x,abc\n3,4\n",
    "`NA,NA` on top": "NA,NA\n3,4\n",
}


def carefully(path: pathlib.Path) -> np.ndarray:
    """The definition of `read_rows` alone: Python's csv and float."""
    data = path.read_bytes()
    layout = _layout("file", data, False)
    return _read_carefully("file", data, layout, list(range(layout.width)))


READERS = {
    "`read_rows`": read_rows,
    "its definition (Python's `csv`, `float`)": carefully,
    "`pyarrow.csv`": lambda path: pyarrow.csv.read_csv(path).to_pandas().to_numpy(),
    "`numpy.loadtxt`": lambda path: np.loadtxt(path, delimiter=delimiter_of(path), quotechar='"', skiprows=1, ndmin=2),
    "`pandas.read_csv`": lambda path: pd.read_csv(path, sep=delimiter_of(path)).to_numpy(),
}


def delimiter_of(path: pathlib.Path) -> str:
    """Semicolons where there are some: not every reader looks by itself."""
    with open(path, encoding="utf-8") as file:
        return ";" if ";" in file.readline() else ","


def speed(folder: pathlib.Path) -> None:
    """Print the seconds of each reader, and whether it gives back each bit."""
    x = np.random.default_rng(0).normal(size=(500_000, 8))
    path, quoted = folder / "large.csv", folder / "quoted.csv"
    with open(path, "w") as file, open(quoted, "w") as other:
        file.write("a,b,c,d,e,f,g,h\n")
        csv.writer(other, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([list("abcdefgh"), *x.tolist()])
        file.writelines(",".join(map(repr, row)) + "\n" for row in x.tolist())
    print("| reader | seconds | all cells in quotes | every bit |", "|---|---|---|---|", sep="\n")
    for name, read in READERS.items():
        times = [timed(read, path, x) for _ in range(3)]
        times_quoted = [timed(read, quoted, x) for _ in range(3)]
        same = all(same for _, same in times + times_quoted)
        print(f"| {name} | {min(times)[0]:.2f} | {min(times_quoted)[0]:.2f} | {'yes' if same else 'no'} |", flush=True)


def timed(read: object, path: pathlib.Path, x: np.ndarray) -> tuple[float, bool]:
    """Seconds, and whether it read what was written."""
    started = time.perf_counter()
    rows = read(path)
    return time.perf_counter() - started, bool(np.array_equal(rows, x))


def strictness(folder: pathlib.Path) -> None:
    """Print what each reader makes of text that is not certain."""
    readers = {name: read for name, read in READERS.items() if read is not carefully}
    print("|", *[f"{name} |" for name in ["text", *readers]], "\n|", "---|" * (len(readers) + 1))
    path = folder / "small.csv"
    for name, content in UNCERTAIN.items():
        path.write_text(content, newline="")
        print(f"| {name} |", *[f"{result(read, path)} |" for read in readers.values()])


def result(read: object, path: pathlib.Path) -> str:
    """What was read, or how it was refused: with row and column, or without."""
    try:
        rows = read(path)
    except InputError as error:
        return f"refused: {str(error).split(': ', 1)[-1].split(';')[0][:60]}"
    except Exception:
        return "refused"
    return f"`{rows.tolist()}`".replace("\n", "\\n").replace("\0", "\\0")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        speed(pathlib.Path(name))
        print()
        strictness(pathlib.Path(name))
