"""Tables with names: from files of every kind and from memory, matched by name, or refused in one sentence."""

import gzip
import importlib.util
import os
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from tfp_flows import datasets
from tfp_flows.atomic import atomic_path
from tfp_flows.datasets import as_table, matched, memory, read_rows, read_table, write_rows
from tfp_flows.errors import InputError

ROWS = np.array([[1.5, -2.0], [0.1, 3e-7], [4.0, 5e20]])
NAMES = ("height", "weight")
FORMATS = (".csv", ".tsv", ".npz", ".parquet", ".feather", ".arrow")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    pathlib.Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def refusal(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300
    return str(caught.value)


# Names in files.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", FORMATS)
def test_names_and_numbers_are_read_as_they_were_written(suffix, dtype):
    for header in (NAMES, ("x (a, b)", 'y; in "m"'), ("größe", "tab\there")):
        write_rows("a" + suffix, ROWS.astype(dtype), header=header, force=True)
        table = read_table("a" + suffix)
        assert table.columns == header
        assert table.rows.astype(dtype).tobytes() == ROWS.astype(dtype).tobytes()
        np.testing.assert_array_equal(read_rows("a" + suffix, columns=[header[1]])[:, 0], table.rows[:, 1])


def test_names_of_the_rows_are_written_where_there_is_a_place():
    frame = pd.DataFrame(ROWS, columns=NAMES)
    for suffix in (*FORMATS, ".npy"):
        write_rows("a" + suffix, frame)
        assert read_table("a" + suffix).columns == (None if suffix == ".npy" else NAMES)
    write_rows("c.parquet", ROWS, header=["x", "x"])
    np.testing.assert_array_equal(read_rows("c.parquet"), ROWS)
    write_rows("b.parquet", ROWS)
    assert read_table("b.parquet").columns == ("x1", "x2")
    write_rows("b.csv", ROWS)
    assert read_table("b.csv").columns is None


def test_what_was_read_can_be_described():
    write_rows("a.csv", np.tile(ROWS, (400, 1)), header=NAMES)
    assert read_table("a.csv").describe() == "a.csv: 1,200 rows of 2 columns, height, weight"
    assert as_table([[1, 2]]).describe() == "x: 1 row of 2 columns without names"
    wide = as_table({f"c{i}": [1.0] for i in range(1000)})
    assert wide.describe().endswith("c6, c7 and 992 more")
    assert len(wide) == 1


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".CSV.GZ"])
def test_text_may_be_packed(suffix):
    mark = "\t" if "tsv" in suffix.lower() else ","
    content = f"height{mark}weight\n1{mark}2\n3{mark}4\n".encode()
    table = read_table(write("a" + suffix, gzip.compress(content)))
    assert table.columns == NAMES
    np.testing.assert_array_equal(table.rows, [[1, 2], [3, 4]])
    for broken in (content, gzip.compress(content)[:-9], b"", gzip.compress(content)[:20] + b"!" * 20):
        assert refusal(read_table, write("b" + suffix, broken)).startswith("b" + suffix)


def test_fields_of_an_array_are_columns():
    np.save("a.npy", np.array([(1.5, 2, b"a"), (2.5, 3, b"b")], [("x", "f8"), ("n", "i4"), ("note", "S1")]))
    table = read_table("a.npy", columns=["n", "x"])
    assert table.columns == ("n", "x")
    np.testing.assert_array_equal(table.rows, [[2, 1.5], [3, 2.5]])
    assert refusal(read_table, "a.npy") == "a.npy: row 1, column 'note' is b'a'; expected a finite number."


def test_parquet_as_others_write_it():
    frame = pd.DataFrame(
        {
            "x": [1.5, 2.5, 3.5],
            "n": pd.array([1, 2, 3], "Int64"),
            "flag": [True, False, True],
            "note": ["a", "b", "c"],
        },
        index=[7, 3, 5],
    )
    frame.to_parquet("a.parquet")
    assert refusal(read_table, "a.parquet") == (
        "a.parquet: column 'note' has type large_string; expected real numbers, or choose what to read with columns."
    )
    frame.drop(columns="note").to_parquet("b.parquet")
    table = read_table("b.parquet")
    assert table.columns == ("x", "n", "flag")  # and not the index
    np.testing.assert_array_equal(table.rows, [[1.5, 1, 1], [2.5, 2, 0], [3.5, 3, 1]])
    np.testing.assert_array_equal(read_rows("a.parquet", columns=["n", "__index_level_0__"]), [[1, 7], [2, 3], [3, 5]])
    prices = pa.array(["1.50", "2.25"]).cast(pa.decimal128(6, 2))
    pyarrow.parquet.write_table(pa.table({"p": prices, "c": pa.array([3, 4]).dictionary_encode()}), "c.parquet")
    np.testing.assert_array_equal(read_rows("c.parquet"), [[1.5, 3], [2.25, 4]])
    with pa.ipc.new_stream("d.arrow", pa.schema([("x", pa.float32())])) as stream:
        stream.write(pa.record_batch({"x": pa.array([1, 2], pa.float32())}))
    assert read_rows("d.arrow").dtype == np.float32


def test_missing_values_in_parquet_are_counted():
    pyarrow.parquet.write_table(
        pa.table({"x": pa.array([1.0, None, None]), "n": pa.array([None, 2, 3]), "z": [1, 2, 3]}), "a.parquet"
    )
    assert refusal(read_table, "a.parquet") == (
        "a.parquet: 3 values are missing or nan: 2 in column 'x' (first in row 2), 1 in column 'n' (first in row 1); "
        "fill them, or leave the rows out."
    )
    np.testing.assert_array_equal(read_rows("a.parquet", columns=["z"]), [[1], [2], [3]])


def test_a_checksum_finds_a_bit_that_fell():
    write_rows("a.parquet", np.random.default_rng(0).normal(size=(100, 1)))
    content = bytearray(pathlib.Path("a.parquet").read_bytes())
    content[500] ^= 1
    assert refusal(read_table, write("b.parquet", bytes(content))).startswith("b.parquet cannot be loaded (")


# Folders.


def test_a_folder_of_files_is_one_table():
    os.makedirs("parts/_temporary")
    os.rmdir("parts/_temporary")
    write_rows("parts/2.parquet", [[4.0, 3.0]], header=["weight", "height"])
    write_rows("parts/1.csv", [[1.0, 2.0]], header=NAMES)
    write("parts/.hidden", "")
    write("parts/_SUCCESS", "")
    table = read_table("parts")
    assert table.columns == NAMES
    np.testing.assert_array_equal(table.rows, [[1, 2], [3, 4]])
    assert table.describe() == "parts: 2 rows of 2 columns, height, weight"
    np.testing.assert_array_equal(read_rows("parts", columns=["weight"]), [[2], [4]])


def test_files_of_a_folder_must_go_together():
    os.mkdir("parts")
    assert refusal(read_table, "parts") == ("parts is an empty folder; expected a file, or a folder of files, to read.")
    write_rows("parts/1.csv", [[1.0, 2.0]], header=NAMES)
    write_rows("parts/2.csv", [[1.0, 2.0]], header=["height", "age"])
    assert refusal(read_table, "parts") == "parts/2.csv has no column 'weight'; its columns are: height, age."
    write_rows("parts/2.csv", [[1.0, 2.0]], force=True)
    assert refusal(read_table, "parts") == (
        "parts/1.csv has names for its columns and parts/2.csv has none; expected both or none."
    )
    write_rows("parts/1.csv", [[1.0, 2.0, 3.0]], force=True)
    assert refusal(read_table, "parts") == "parts/2.csv has 2 columns; expected 3."
    write("parts/notes.txt", "")
    assert refusal(read_table, "parts").startswith("parts/notes.txt has the suffix '.txt'; expected .csv,")
    os.mkdir("parts/0")
    assert refusal(read_table, "parts") == ("parts is a folder with a folder 0 in it; expected files with tables only.")


# What text says.


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('"1,2\n3,4\n5,6\n', "row 1, column 1 opens a quote that is not closed at the end of the cell;"),
        ('x,y\n1,2\n3,"4\n5,6\n', "row 3, column 2 opens a quote that is not closed at the end of the cell;"),
        ('x,y\n1,2\n"3,4\n' + "5,6\n" * 99_999, "row 3, column 1 opens a quote that is not closed"),
        ('x,y\n"1"2,3\n', "row 2, column 1 opens a quote that is not closed at the end of the cell;"),
        ('x,y\n1,"2" \n', "row 2, column 2 opens a quote that is not closed at the end of the cell;"),
        ('x,y\n1,"2\n3",4\n', "row 2 has 3 cells; expected 2, as in the first row."),
        ('x,y\n1,"2\n3"\n', "row 2, column 2 ('y') is '2\\n3'; expected a finite number."),
        ('x,y\n1, "2"\n', "row 2, column 2 ('y') is '\"2\"'; expected a finite number."),
        ("x,y\n1,2\n3\0,4\n", "row 3"),
        ("9007199254740993,1\n", "row 1, column 1 is 9007199254740993, a whole number that float64 cannot hold"),
        ("id,y\n1,2\n-9007199254740993,1\n", "row 3, column 1 ('id') is -9007199254740993, a whole number"),
        # Rows of data, not headers.
        ("nan,inf\n1,2\n", "row 1, column 2 is 'inf'; expected a finite number."),
        (
            "NA,NA\n1,2\n",
            "2 values are missing or nan: 1 in column 1 (first in row 1), 1 in column 2 (first in row 1);",
        ),
        ("NA,NA,3\n1,2,3\n", "2 values are missing or nan: 1 in column 1 (first in row 1),"),
        ("?\n1\n", "row 1, column 1 is '?'; expected a finite number."),
        ("1e5x\n2\n", "row 1, column 1 is '1e5x'; expected a finite number."),
        ("1,5;2,5\n3;4\n", "row 1, column 1 is '1,5'; expected a finite number."),
        ("2021-01-01,abc\n1,2\n", "row 1, column 1 is '2021-01-01'; expected a finite number."),
        ("0,1,2\n0.5,1.5,2.5\n", "row 1 is 0 to 2 above decimals, as pandas heads columns without names;"),
        ("region,2020,2021\nnorth,0.5,1.5\n", "row 1 is 2020 to 2021 above decimals, as a header of numbers has it;"),
        ("4,3,2,1\n0.5,1.5,2.5,3.5\n", "row 1 is 1 to 4 above decimals, as a header of numbers has it;"),
        ("2019,2020,2021\n0.5,1.5,2.5\n", "row 1 is 2019 to 2021 above decimals, as a header of numbers has it;"),
        ("x,,z\n1,2,3\n", "column 2 has no name in the header; choose what to read with columns,"),
        # Missing values.
        (
            "x,y,z\n1,,3\nnull,NA,3\n1,nan,3\n",
            "4 values are missing or nan: 1 in column 1 ('x') (first in row 3), 3 in column 2 ('y') (first in row 2);",
        ),
    ],
)
def test_text_that_is_not_certain_is_refused(content, sentence):
    for suffix in ("csv", "csv.gz"):
        path = write(f"a.{suffix}", gzip.compress(content.encode()) if suffix == "csv.gz" else content)
        assert sentence in refusal(read_table, path)


@pytest.mark.parametrize("content", ["a,2020,2021\nb,2020,2022\n", "a,3,4\nb,0.5,1.5\n", "0,0,0\n0.5,1.5,2.5\n"])
def test_numbers_that_may_be_data_are(content):
    rows = read_rows(write("a.csv", content), columns=[2, 3])
    np.testing.assert_array_equal(rows[0], [float(cell) for cell in content.splitlines()[0].split(",")[1:]])


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("9007199254740994,1\n", None, [[9007199254740994, 1]]),
        ("0,1,2\n3,4,5\n", None, [[0, 1, 2], [3, 4, 5]]),
        ("0,1\n0.5,0.9\n", None, [[0, 1], [0.5, 0.9]]),
        ("Na,Mg\n1,2\n", ("Na", "Mg"), [[1, 2]]),
        ("2m_temperature,90th\n1,2\n", ("2m_temperature", "90th"), [[1, 2]]),
        ('x,y\n"1","2"\n3,"4"\n', ("x", "y"), [[1, 2], [3, 4]]),
        ('"x ""in m""",y\n1,2\n', ('x "in m"', "y"), [[1, 2]]),
        ("x,x\n1,2\n", ("x", "x"), [[1, 2]]),
        ("x\n1\n\n2\n", ("x",), [[1], [2]]),
        ("x,y\n٣,+1\n", ("x", "y"), [[3, 1]]),
    ],
)
def test_text_that_is_certain_is_read(content, names, rows):
    table = read_table(write("a.csv", content))
    assert table.columns == names
    np.testing.assert_array_equal(table.rows, rows)


def test_cells_of_columns_that_are_not_read_may_be_anything():
    path = write("a.csv", 'note,x,id\n"a ""b"",\nc",1,9007199254740993\n5 " pipe,2,\n')
    assert read_table(path, columns=["x"]).columns == ("x",)
    np.testing.assert_array_equal(read_rows(path, columns=[2]), [[1], [2]])


def test_many_missing_columns_are_one_short_sentence():
    many = {f"a rather long name of a column, number {i}": [1.0, np.nan] for i in range(40)}
    assert refusal(as_table, many).endswith("the rest in 38 more columns; fill them, or leave the rows out.")
    assert "40 values are missing or nan: 1 in column 1 (first in row 2), 1 in" in refusal(
        as_table, np.array([*many.values()]).T
    )
    assert refusal(as_table, [[None, 1], [1, None]]) == (
        "x: 2 values are missing or nan: 1 in column 1 (first in row 1), 1 in column 2 (first in row 2); "
        "fill them, or leave the rows out."
    )


# Names in memory.


class Polars:
    """What is used of a polars DataFrame."""

    columns = NAMES

    def get_columns(self):
        return [pd.Series(column) for column in ROWS.T]

    def select(self, names):
        return {name: ROWS[:, NAMES.index(name)] for name in names}


@pytest.mark.parametrize(
    "x",
    [
        pd.DataFrame(ROWS, columns=NAMES),
        dict(zip(NAMES, ROWS.T, strict=True)),
        pa.table(dict(zip(NAMES, ROWS.T, strict=True))),
        np.array([tuple(row) for row in ROWS], [(name, "f8") for name in NAMES]),
        Polars(),
    ],
)
def test_names_come_with_the_columns(x):
    table = as_table(x, name="people")
    assert table.columns == NAMES
    assert table.name == "people"
    np.testing.assert_array_equal(table.rows, ROWS)
    np.testing.assert_array_equal(matched(x, NAMES[::-1]), ROWS[:, ::-1])
    np.testing.assert_array_equal(matched(x, ["weight"], drop_extra=True), ROWS[:, 1:])
    np.testing.assert_array_equal(datasets.as_rows(x), ROWS)


def test_numbers_that_pandas_counts_columns_with_are_no_names():
    assert as_table(pd.DataFrame(ROWS)).columns is None
    assert as_table(ROWS).columns is None
    assert as_table(pd.DataFrame(ROWS, columns=[2019, 2020])).columns == ("2019", "2020")
    turned = pd.DataFrame(ROWS)[[1, 0]]
    assert refusal(as_table, turned).startswith("x has the columns 1, 0: numbers that count are no names")
    assert refusal(matched, turned, None, event_size=2).startswith("x has the columns 1, 0: numbers that count")
    for names in (["2", "0"], ["1", "0"]):
        assert refusal(matched, pd.DataFrame(ROWS), names).startswith("x has columns that only count; expected")
        np.testing.assert_array_equal(matched(ROWS, names), ROWS)
    assert as_table(pd.DataFrame(ROWS, columns=[True, False])).columns == ("True", "False")
    for none in (None, np.nan):
        assert refusal(as_table, pd.DataFrame(ROWS, columns=["a", none])).startswith("x: column 2 has the name n")


def test_whole_numbers_that_float64_would_round_are_refused():
    big = 2**53 + 1
    for x in (
        pd.DataFrame({"x": [0.5, 1.5], "id": [1, big]}),
        {"x": [0.5, 1.5], "id": np.array([1, big])},
        pd.DataFrame({"x": [0.5, 1.5], "id": pd.array([1, big], "Int64")}),
    ):
        assert refusal(as_table, x).startswith(f"x: row 2, column 'id' is {big}, a whole number that float64 cannot")
    assert refusal(as_table, [[1, 2], [3, big]]).startswith(f"x: row 2, column 2 is {big}, a whole number")
    for fine in (2**53, 2**62, -(2**63), -(2**53) * 3):
        np.testing.assert_array_equal(as_table(np.array([[fine, 1]])).rows, [[float(fine), 1]])
    np.testing.assert_array_equal(as_table(np.array([[2**63]], np.uint64)).rows, [[2.0**63]])


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "npz"])
def test_a_small_file_may_not_unpack_to_more_than_memory_holds(kind, tmp_path, monkeypatch):
    path, rows = tmp_path / f"zeros.{kind}", np.zeros([1_000_000, 1])
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(b"0\n" * 4_000_000))
    elif kind == "npz":
        np.savez_compressed(path, rows)
    else:
        pa.parquet.write_table(pa.table({"x": rows[:, 0]}), path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(memory, "free_memory", lambda: 4_000_000)
    sentence = refusal(read_table, path)
    assert sentence.startswith(str(path))
    assert "and 0.00373 GiB of memory are free" in sentence


# Matching.


def test_columns_are_matched_by_name_or_refused():
    frame = pd.DataFrame({"weight": [65.0], "height": [1.7]})
    np.testing.assert_array_equal(matched(frame, NAMES), [[1.7, 65]])
    np.testing.assert_array_equal(matched(frame.to_numpy(), NAMES), [[65, 1.7]])  # no names: by position
    np.testing.assert_array_equal(matched(frame, None, event_size=2), [[65, 1.7]])
    assert refusal(matched, frame, ["height", "age", "size"], name="a.csv") == (
        "a.csv has no columns 'age', 'size'; its columns are: weight, height."
    )
    assert refusal(matched, frame.assign(note="a", age=3), NAMES) == (
        "x has the columns 'note', 'age' too; expected only height, weight."
    )
    assert refusal(matched, frame.assign(age=3), NAMES) == "x has the column 'age' too; expected only height, weight."
    np.testing.assert_array_equal(matched(frame.assign(note="a", age=3), NAMES, drop_extra=True), [[1.7, 65]])
    assert refusal(matched, [[1.0]], NAMES) == "x has 1 column; expected 2: height, weight."
    assert refusal(matched, frame, None, event_size=3) == "x has 2 columns; expected 3."
    twice = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["height", "height", "weight"])
    for drop_extra in (False, True):
        assert refusal(matched, twice, NAMES, drop_extra=drop_extra) == (
            "x has 2 columns named 'height'; expected one."
        )
    numbered = pd.DataFrame([[1.0, 2.0, 3.0]], columns=[5, 0, 1])
    np.testing.assert_array_equal(matched(numbered, ["1", "0"], drop_extra=True), [[3, 2]])
    table = as_table(frame)
    np.testing.assert_array_equal(matched(table, NAMES), [[1.7, 65]])
    np.testing.assert_array_equal(matched(table, NAMES[:1], drop_extra=True), [[1.7]])
    assert matched(table, None) is matched(table, ["weight", "height"]) is table.rows


# The words.


def test_sentences_speak_of_arguments():
    """What the command makes of them: tests/test_cli.py."""
    np.savez("a.npz", train=ROWS, test=ROWS)
    with pytest.raises(InputError, match=r"a.npz holds 2 arrays, train, test; choose one with key\."):
        read_table("a.npz")
    with pytest.raises(InputError, match="exists; choose another name, or force=True"), atomic_path("a.npz"):
        pass


def test_damaged_tables_are_read_as_a_strict_reader_does_or_refused():
    """A sample of what benchmarks/mutated_tables.py does by the thousand."""
    path = pathlib.Path(__file__).parents[1] / "benchmarks" / "mutated_tables.py"
    spec = importlib.util.spec_from_file_location("mutated_tables", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    ends, faults = script.run(150)
    assert faults == []
    assert sum(ends.values()) == 150
