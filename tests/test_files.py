"""A user's file or array must give exactly its numbers, or one sentence that says where it fails."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfp_flows.atomic import atomic_path
from tfp_flows.datasets import as_rows, read_rows, text, write_rows
from tfp_flows.errors import InputError

READ = ".csv, .tsv, .csv.gz, .tsv.gz, .npy, .npz, .parquet, .feather or .arrow"
TABLE = np.array([[1.5, -2.0], [0.1, 3e-7], [4.0, 5e20]])

tables = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, content):
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return name


def refusal(call, *args, **options):
    """Return the one sentence that `call` refuses with, having left the folder as it was."""
    before = {path.name: path.read_bytes() for path in folder() if path.is_file()}
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert {path.name: path.read_bytes() for path in folder() if path.is_file()} == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def folder():
    return sorted(Path.cwd().iterdir())


# Round trips.


@settings(max_examples=60, deadline=None)
@given(table=tables, suffix=st.sampled_from([".csv", ".tsv", ".npy", ".npz", ".CSV"]), named=st.booleans())
def test_what_is_written_is_read_bit_for_bit(tmp_path_factory, table, suffix, named):
    path = tmp_path_factory.mktemp("round") / f"table{suffix}"
    is_text = suffix.lower() in (".csv", ".tsv")
    write_rows(path, table, header=[f"c{i}" for i in range(table.shape[1])] if named and is_text else None)
    read = read_rows(path)
    assert read.dtype == (np.float64 if is_text else table.dtype)
    assert read.astype(table.dtype).tobytes() == table.tobytes()


@settings(max_examples=60, deadline=None)
@given(table=tables, named=st.booleans(), quoted=st.booleans())
def test_the_fast_reader_reads_what_the_definition_says(table, named, quoted):
    mark = '"' if quoted else ""
    lines = [[f"c{i}" for i in range(table.shape[1])]] * named + [[repr(x) for x in row] for row in table.tolist()]
    data = "\n".join(",".join(f"{mark}{cell}{mark}" for cell in line) for line in lines).encode()
    layout = text._layout("a.csv", data, False)
    chosen = list(range(layout.width))
    fast = text._read_fast(data, layout, chosen)
    if (abs(table) < 2.0**53).all():
        assert (
            fast.tobytes()
            == text._read_carefully("a.csv", data, layout, chosen).tobytes()
            == table.astype(float).tobytes()
        )
    else:
        assert fast is None  # the cells of such numbers must be looked at


@settings(max_examples=500, deadline=None)
@given(cell=st.text("0123456789.+-eE_ \tainf,x\u0663\xa0\x0b\x0c", min_size=1, max_size=12))
def test_the_fast_reader_takes_for_a_number_only_what_float_does(cell):
    fast = text._read_fast(f"1;2\n3;{cell}\n".encode(), text._Layout(";", None, 2, 1), [1])
    assert fast is None or fast.tolist() == [[2], [float(cell)]]
    assert fast is None or "_" not in cell


def test_text_has_the_fewest_digits():
    write_rows("a.csv", np.array([[0.1, 1 / 3]]))
    write_rows("b.csv", np.array([[0.5, 1 / 3]], np.float32))
    assert Path("a.csv").read_text() == "0.1,0.3333333333333333\n"
    assert Path("b.csv").read_text() == "0.5,0.333333343\n"


# Text as people have it.


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("columns", [None, [1, 2]])
@pytest.mark.parametrize(
    "content",
    [
        "1.5,-2\n0.1,3e-7\n4,5e20\n",
        "1.5,-2\n0.1,3e-7\n4,5e20",
        "x,y\n1.5,-2\n0.1,3e-7\n4,5e20\n",
        "x,y\r\n1.5,-2\r\n0.1,3e-7\r\n4,5e20\r\n",
        "x,y\r1.5,-2\r0.1,3e-7\r4,5e20\r",
        "\ufeffx,y\n1.5,-2\n0.1,3e-7\n4,5e20\n",
        "\ufeff1.5,-2\n0.1,3e-7\n4,5e20\n",
        "x;y\n1.5;-2\n0.1;3e-7\n4;5e20\n",
        "x (a, b);y\n1.5;-2\n0.1;3e-7\n4;5e20\n",
        "1.5\t-2\n0.1\t3e-7\n4\t5e20\n",
        '"x","y"\n"1.5","-2"\n"0.1","3e-7"\n"4","5e20"\n',
        '"x, in m",y\n1.5,-2\n0.1,3e-7\n4,5e20\n',
        '"x\nin m",y\n1.5,-2\n0.1,3e-7\n4,5e20\n',
        "\n\nx,y\n\n1.5,-2\n0.1,3e-7\n\n4,5e20\n\n\n",
        " x , y \n 1.5 , -2 \n0.1,\t3e-7\n4,5e20\n".replace("\t", " "),
        "größe,名\n1.5,-2\n0.1,3e-7\n4,5e20\n",
        "x,y\n1.5,-2\n1e-1,+3.0E-7\n4.,5e20\n",
    ],
)
def test_text_is_read_however_it_is_laid_out(content, columns, careful, monkeypatch):
    if careful:
        monkeypatch.setattr(text, "_read_fast", lambda *_: None)
    np.testing.assert_array_equal(read_rows(write("a.csv", content), columns=columns), TABLE)


def test_a_tsv_file_has_tabs_and_a_comma_in_it_separates_nothing():
    np.testing.assert_array_equal(read_rows(write("a.tsv", "x, y;z\tw\n1\t2\n")), [[1, 2]])
    assert refusal(read_rows, write("b.tsv", "x\ty\n1,5\t2\n")) == (
        "b.tsv: row 2, column 1 ('x') is '1,5'; expected a finite number."
    )


def test_one_column_and_one_row_are_tables_too():
    np.testing.assert_array_equal(read_rows(write("a.csv", "x\n1\n2\n")), [[1], [2]])
    np.testing.assert_array_equal(read_rows(write("b.csv", "1,2,3\n")), [[1, 2, 3]])


def test_columns_choose_by_name_and_by_number():
    path = write("a.csv", "name,x,y,note\nAnn,1,2,\nBob,3,4,nan\n")
    np.testing.assert_array_equal(read_rows(path, columns=["y", "x"]), [[2, 1], [4, 3]])
    np.testing.assert_array_equal(read_rows(path, columns=[3, "x"]), [[2, 1], [4, 3]])
    np.save("a.npy", np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]))
    np.testing.assert_array_equal(read_rows("a.npy", columns=[3, 1]), [[3, 1], [6, 4]])


def test_a_path_may_be_any_path(tmp_path):
    write("a.csv", "1,2\n")
    for path in ("a.csv", tmp_path / "a.csv", str(tmp_path / "a.csv")):
        assert read_rows(path).shape == (1, 2)


# Text that cannot be read.


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "a.csv is empty; expected rows of numbers."),
        ("\n\n", "a.csv is empty; expected rows of numbers."),
        ("x,y\n", "a.csv has a header and nothing below it; expected rows of numbers."),
        ("x,y\n\n\n", "a.csv has a header and nothing below it; expected rows of numbers."),
        ("x,y\n1,2\n3,abc\n", "a.csv: row 3, column 2 ('y') is 'abc'; expected a finite number."),
        ("1,2\n3,abc\n", "a.csv: row 2, column 2 is 'abc'; expected a finite number."),
        ("\nx,y\n\n1,2\n\nabc,3\n", "a.csv: row 6, column 1 ('x') is 'abc'; expected a finite number."),
        ("1,2\n,3\n", "a.csv: row 2, column 1 is empty; expected a finite number."),
        ("1,2\n ,3\n", "a.csv: row 2, column 1 is empty; expected a finite number."),
        ("1,2\n3,4,\n", "a.csv: row 2 has 3 cells; expected 2, as in the first row."),
        (
            "1,2,\n3,4,\n",
            "a.csv: 2 values are missing or nan: 2 in column 3 (first in row 1); fill them, or leave the rows out.",
        ),
        ("1,2\nnan,4\n", "a.csv: row 2, column 1 is 'nan'; expected a finite number."),
        ("nan,4\n1,2\n", "a.csv: row 1, column 1 is 'nan'; expected a finite number."),
        ("1,2\n3,-inf\n", "a.csv: row 2, column 2 is '-inf'; expected a finite number."),
        ("1,2\n3,1e999\n", "a.csv: row 2, column 2 is '1e999'; expected a finite number."),
        ("1,2\n3,2021_05\n", "a.csv: row 2, column 2 is '2021_05'; expected a finite number."),
        ("1,2\n3,0x10\n", "a.csv: row 2, column 2 is '0x10'; expected a finite number."),
        ("1,2\n3,1+2j\n", "a.csv: row 2, column 2 is '1+2j'; expected a finite number."),
        ("1;2\n1,5;2\n", "a.csv: row 2, column 1 is '1,5'; expected a finite number."),
        ("1,2\n3\n", "a.csv: row 2 has 1 cell; expected 2, as in the first row."),
        ("x,y\n1,2\n3,4\n5,6,7\n", "a.csv: row 4 has 3 cells; expected 2, as in the first row."),
        ("x,y,z\n1,2\n3,4\n", "a.csv: row 2 has 2 cells; expected 3, as in the first row."),
        ("1 2\n3 4\n", "a.csv: row 1, column 1 is '1 2'; expected a finite number."),
        ("1,2\n# note\n", "a.csv: row 2 has 1 cell; expected 2, as in the first row."),
        (
            ",x,y\n0,1,2\n1,3,4\n",
            "a.csv: column 1 has no name in the header, as pandas writes an index; "
            "choose what to read with columns, or write the file without it.",
        ),
    ],
)
def test_text_is_refused_with_row_and_column(content, sentence):
    assert refusal(read_rows, write("a.csv", content)) == sentence


@pytest.mark.parametrize("content", ["größe\n1\n".encode("latin-1"), "x,y\n1,2\n".encode("utf-16")])
def test_text_that_is_not_utf8_is_refused(content):
    assert refusal(read_rows, write("a.csv", content)).startswith("a.csv is not UTF-8 text: ")


@settings(max_examples=300, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.text("1.,;\t\n\r\"'x-e_ \x00\ufeff", max_size=40)))
def test_any_text_gives_finite_rows_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    write(path, content)
    try:
        rows = read_rows(path)
    except InputError:
        return
    assert rows.ndim == 2
    assert rows.size > 0
    assert np.isfinite(rows).all()


def test_a_bad_cell_deep_in_a_large_file_is_found():
    lines = ["0.25,0.5"] * 100_000
    lines[77_777] = "0.25,oops"
    sentence = refusal(read_rows, write("a.csv", "x,y\n" + "\n".join(lines)))
    assert sentence == "a.csv: row 77779, column 2 ('y') is 'oops'; expected a finite number."


def test_columns_that_are_not_there_are_refused():
    path = write("a.csv", "x,y,y\n1,2,3\n")
    assert refusal(read_rows, path, columns=["z"]) == ("a.csv has 0 columns named 'z'; its columns are: 'x', 'y', 'y'.")
    assert "2 columns named 'y'" in refusal(read_rows, path, columns=["y"])
    for number in (0, -1, 4, 1.0, True):
        assert refusal(read_rows, path, columns=[number]) == (
            f"a.csv has no column {number!r}; expected a number from 1 to 3."
        )
    for columns in ([], "x"):
        assert refusal(read_rows, path, columns=columns) == (
            f"columns is {columns!r}; expected a list of names or numbers."
        )
    assert refusal(read_rows, write("b.csv", "1,2\n"), columns=["x"]) == (
        "b.csv has no header, so there is no column 'x'; give its number, from 1."
    )


def test_paths_that_cannot_be_read_are_refused():
    os.mkdir("folder.csv")
    write("a.txt", "1,2\n")
    write("a.csv", "1,2\n")
    assert refusal(read_rows, "none.csv") == "none.csv is missing; expected a file to read."
    assert refusal(read_rows, "folder.csv") == (
        "folder.csv is an empty folder; expected a file, or a folder of files, to read."
    )
    assert refusal(read_rows, "a.txt") == f"a.txt has the suffix '.txt'; expected {READ}."
    assert refusal(read_rows, "a") == f"a has the suffix ''; expected {READ}."
    assert refusal(read_rows, 3) == "path is 3; expected the name of a file."
    assert refusal(read_rows, "a.csv", key="x") == "key is 'x', but a.csv is no .npz file; leave it out."


# Arrays in files.


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.arange(3), np.arange(3.0)[:, None]),
        (np.ones((2, 3), ">f4"), np.ones((2, 3), np.float32)),
        (np.asfortranarray(TABLE), TABLE),
        (np.array([[True, False]]), np.array([[1, 0]], np.float32)),
    ],
)
def test_arrays_become_rows(array, expected, suffix):
    (np.save if suffix == ".npy" else np.savez_compressed)("a" + suffix, array)
    rows = read_rows("a" + suffix)
    assert rows.dtype == expected.dtype
    np.testing.assert_array_equal(rows, expected)


def test_npz_of_a_cloud_gives_its_points():
    """What `tfp-flows points` writes, `tfp-flows train` reads."""
    np.savez("cloud.npz", mesh=np.zeros([5, 3, 2]), points=TABLE, recipe=np.array("{}"))
    np.testing.assert_array_equal(read_rows("cloud.npz"), TABLE)


def test_npz_gives_the_array_that_key_names():
    np.savez("a.npz", train=TABLE, test=TABLE + 1)
    np.testing.assert_array_equal(read_rows("a.npz", key="test"), TABLE + 1)
    assert refusal(read_rows, "a.npz") == "a.npz holds 2 arrays, train, test; choose one with key."
    assert refusal(read_rows, "a.npz", key="x") == "a.npz holds no array 'x'; it holds: train, test."
    with zipfile.ZipFile("b.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert refusal(read_rows, "b.npz") == "b.npz holds no array; expected one."


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.array([[1.0, 2.0], [np.nan, 3.0]]), "row 2, column 1 is nan; expected a finite number."),
        (np.array([[1.0, np.inf]]), "row 1, column 2 is inf; expected a finite number."),
        (np.zeros((2, 2, 2)), "has shape [2, 2, 2]; expected [n, D], rows and columns."),
        (np.float64(3), "has shape []; expected [n, D], rows and columns."),
        (np.zeros((0, 2)), "has shape [0, 2]: no data; expected at least one row and column."),
        (np.zeros((2, 0)), "has shape [2, 0]: no data; expected at least one row and column."),
        (np.zeros((2, 2), complex), "has type complex128; expected real numbers."),
        (np.array([["a", "b"]]), "row 1, column 1 is 'a'; expected a finite number."),
        (np.zeros(2, "datetime64[s]"), "has type datetime64[s]; expected real numbers."),
        (np.zeros(2, [("x", "S3")]), "row 1, column 'x' is b''; expected a finite number."),
        (np.zeros(2, [("x", complex)]), "column 'x' has type complex128; expected real numbers."),
    ],
)
def test_arrays_in_files_are_refused_with_row_and_column(array, sentence):
    np.save("a.npy", array)
    np.savez("a.npz", cloud=array)
    for path, name in (("a.npy", "a.npy"), ("a.npz", "a.npz, array 'cloud'")):
        said = refusal(read_rows, path)
        assert said.startswith(name)
        assert said.removeprefix(name).removeprefix(":").strip() == sentence


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return open, ("sprung", "w")


def test_pickles_are_never_loaded():
    trap = np.array([[Trap()]], dtype=object)
    np.save("a.npy", trap, allow_pickle=True)
    np.savez("b.npz", trap)
    write("c.npy", pickle.dumps(Trap()))
    write("d.npz", pickle.dumps(Trap()))
    for path in ("a.npy", "b.npz", "c.npy", "d.npz"):
        assert refusal(read_rows, path).startswith(path)
    assert not os.path.exists("sprung")
    pickle.loads(pickle.dumps(Trap())).close()
    assert os.path.exists("sprung")  # the trap works


def packed(save, **options):
    buffer = io.BytesIO()
    save(buffer, TABLE.astype(np.float32), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_a_truncated_array_file_is_refused(save):
    path, content = "a.npy" if save is np.save else "a.npz", packed(save)
    for length in range(len(content)):
        write(path, content[:length])
        assert refusal(read_rows, path).startswith(path)


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
def test_a_damaged_array_file_gives_rows_or_a_sentence(save):
    path, content = "a.npy" if save is np.save else "a.npz", packed(save)
    for place in range(len(content)):
        for flip in (1, 4, 0x42, 0x80):  # 0x42 turns a space into a b: bytes for text
            write(path, content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            try:
                assert np.isfinite(read_rows(path)).all()
            except InputError as error:
                assert str(error).startswith(path)  # noqa: PT017


# Arrays in memory.


class Tensor:
    """Anything that NumPy can turn into an array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.bool_, np.float32),
        (np.int8, np.float32),
        (np.uint16, np.float32),
        (np.int32, np.float64),
        (np.int64, np.float64),
        (np.uint64, np.float64),
        (np.longdouble, np.float64),
        (">f8", np.float64),
    ],
)
def test_types_become_the_float_that_holds_them(dtype, expected):
    array = np.array([[0, 1], [1, 1]]).astype(dtype)
    for x in (array, Tensor(array)):
        rows = as_rows(x)
        assert rows.dtype == np.dtype(expected)
        assert rows.dtype.isnative
        np.testing.assert_array_equal(rows, [[0, 1], [1, 1]])


def test_floats_are_not_copied():
    for dtype in (np.float32, np.float64):
        x = np.ones((3, 2), dtype)
        assert np.shares_memory(as_rows(x), x)


def test_tensorflow_tensors_are_rows():
    tf = pytest.importorskip("tensorflow")
    for dtype, expected in ((tf.float32, np.float32), (tf.float64, np.float64), (tf.bfloat16, np.float32)):
        for x in (tf.ones([3, 2], dtype), tf.Variable(tf.ones([3, 2], dtype))):
            assert as_rows(x).dtype == expected
            np.testing.assert_array_equal(as_rows(x), np.ones((3, 2)))
    assert refusal(as_rows, tf.constant(["a"])) == "x: row 1, column 1 is b'a'; expected a finite number."


def test_data_frames_are_rows():
    frame = pd.DataFrame({"x": [1, 2], "y": [0.5, 1.5], "z": [True, False]})
    np.testing.assert_array_equal(as_rows(frame), [[1, 0.5, 1], [2, 1.5, 0]])
    np.testing.assert_array_equal(as_rows(frame.convert_dtypes()), [[1, 0.5, 1], [2, 1.5, 0]])
    np.testing.assert_array_equal(as_rows(frame["y"]), [[0.5], [1.5]])
    assert as_rows(frame[["y"]].astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"x": [1, 2], "y": ["a", 3]}, "row 1, column 'y' is 'a'; expected a finite number."),
        ({"x": [1, 2], "y": [3.0, np.nan]}, "row 2, column 'y' is nan; expected a finite number."),
        ({"x": [1, 2], "y": [3.0, None]}, "row 2, column 'y' is nan; expected a finite number."),
        ({"x": [1, 2], "y": pd.array([3, None], "Int64")}, "row 2, column 'y' is "),
        ({"x": [1, 2], "y": pd.Categorical(["a", "b"])}, "row 1, column 'y' is 'a'; expected a finite number."),
        ({3: [1, 2], 4: [1, np.inf]}, "row 2, column 4 is inf; expected a finite number."),
    ],
)
def test_data_frames_are_refused_with_the_columns_name(columns, sentence):
    assert refusal(as_rows, pd.DataFrame(columns), name="people").startswith(f"people: {sentence}")


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ([[1, 2], [3]], "x: row 2 has 1 cell; expected 2, as in the first row."),
        ([[1, 2], 3], "x: row 2 has 1 cell; expected 2, as in the first row."),
        ([[1, 2], [3, "4"]], "x: row 2, column 2 is '4'; expected a finite number."),
        ([[1, 2], [3, None]], "x: row 2, column 2 is None; expected a finite number."),
        ([[1, 2], [3, float("inf")]], "x: row 2, column 2 is inf; expected a finite number."),
        ([], "x has shape [0]: no data; expected at least one row and column."),
        ([[]], "x has shape [1, 0]: no data; expected at least one row and column."),
        (None, "x is None; expected a table of numbers, [n, D], in memory."),
        (3.0, "x has shape []; expected [n, D], rows and columns."),
        ("rows", "x is a str; expected a table of numbers, [n, D], in memory."),
        ({"a": 1}, "x: column 'a' has shape []; expected [n], a number for each row."),
        ({}, "x has shape [0, 0]: no data; expected at least one row and column."),
        ({"a": [1, 2], "b": [1]}, "x: column 'b' has shape [1]; expected [2], a number for each row."),
        ([[1j]], "x has type complex128; expected real numbers."),
        (
            np.ma.masked_array([[1.0, 2.0]], mask=[[False, True]]),
            "x: row 1, column 2 is nan; expected a finite number.",
        ),
        (np.ma.masked_array([[1, 2]], mask=[[True, False]]), "x: row 1, column 1 is nan; expected a finite number."),
    ],
)
def test_what_is_no_table_is_refused(x, sentence):
    assert refusal(as_rows, x) == sentence


def test_training_needs_more_than_scoring():
    one, constant = [[1.0, 2.0]], [[1.0, 2.0], [1.0, 3.0]]
    for x in (one, constant):
        assert as_rows(x).shape == as_rows(x, purpose="score").shape == np.shape(x)
    assert refusal(as_rows, one, purpose="train") == "x has 1 row; training needs at least 2."
    assert refusal(as_rows, constant, purpose="train", name="a.csv") == (
        "a.csv: column 1 is 1.0 in all 2 rows of training and has no density; leave it out."
    )
    frame = pd.DataFrame({"height": [1.0, 2.0], "unit": [3, 3]})
    assert "column 'unit' is 3.0 in all 2 rows of training" in refusal(as_rows, frame, purpose="train")
    assert as_rows(TABLE, purpose="train") is TABLE
    assert refusal(as_rows, one, purpose="fit") == "purpose is 'fit'; expected 'score' or 'train'."


def test_a_flow_takes_only_its_number_of_columns():
    assert as_rows(TABLE, event_size=2).shape == (3, 2)
    assert refusal(as_rows, TABLE, event_size=3, name="a.csv") == "a.csv has 2 columns; expected 3."
    assert refusal(as_rows, [1, 2], event_size=2) == "x has 1 column; expected 2."


# Writing.


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".npy", ".npz"])
def test_an_existing_file_is_replaced_only_by_force(suffix):
    path = "a" + suffix
    write_rows(path, TABLE)
    assert refusal(write_rows, path, TABLE + 1) == f"{path} exists; choose another name, or force=True to replace it."
    write_rows(path, TABLE + 1, force=True)
    np.testing.assert_array_equal(read_rows(path), TABLE + 1)
    assert [path.name for path in folder()] == [path]


@pytest.mark.parametrize(
    ("path", "rows", "options", "sentence"),
    [
        (
            "a.txt",
            TABLE,
            {},
            "a.txt has the suffix '.txt'; expected .csv, .tsv, .npy, .npz, .parquet, .feather or .arrow.",
        ),
        ("a.csv.gz", TABLE, {}, "a.csv.gz has the suffix '.gz'; expected .csv, .tsv, .npy,"),
        ("a.csv", [[np.nan]], {}, "rows: row 1, column 1 is nan; expected a finite number."),
        ("a.csv", [], {}, "rows has shape [0]: no data; expected at least one row and column."),
        ("no/a.csv", TABLE, {}, "no/a.csv cannot be written: there is no folder no; make it first."),
        ("a.csv", TABLE, {"header": ["x"]}, "header is ['x']; expected 2 names."),
        ("a.csv", TABLE, {"header": "xy"}, "header is 'xy'; expected 2 names."),
        ("a.csv", TABLE, {"header": ["x", "1"]}, "header has the name '1', which text cannot tell from data;"),
        ("a.csv", TABLE, {"header": ["x", "nan"]}, "header has the name 'nan', which text cannot tell from data;"),
        ("a.csv", TABLE, {"header": ["NA", "?"]}, "header has the name 'NA', which text cannot tell from data;"),
        ("a.csv", TABLE, {"header": ["x", " "]}, "header has the name ' '; expected text in one line."),
        ("a.csv", TABLE, {"header": ["x", 2]}, "header has the name 2; expected text in one line."),
        ("a.npy", TABLE, {"header": ["x", "y"]}, "header is ['x', 'y'], but a.npy has no place for one"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_written(path, rows, options, sentence):
    assert refusal(write_rows, path, rows, **options).startswith(sentence)
    assert folder() == []


def test_a_folder_is_never_replaced():
    os.mkdir("a.csv")
    assert refusal(write_rows, "a.csv", TABLE, force=True) == "a.csv is a folder; expected a file to write."


def test_atomic_path_leaves_nothing_of_a_block_that_fails():
    def fail(path):
        with atomic_path(path, force=True) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    write("old.txt", "old")
    for path in ("old.txt", "new.txt"):
        with pytest.raises(ZeroDivisionError):
            fail(path)
    assert [path.name for path in folder()] == ["old.txt"]
    assert Path("old.txt").read_text() == "old"


def test_atomic_path_shows_the_file_only_when_it_is_whole():
    with atomic_path("a.txt") as temporary:
        temporary.write_text("whole")
        assert not os.path.exists("a.txt")
        assert temporary.suffix == ".txt"
    assert Path("a.txt").read_text() == "whole"
    assert [path.name for path in folder()] == ["a.txt"]


def test_atomic_path_reports_what_the_system_refuses():
    def full_disk():
        with atomic_path("a.txt") as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    assert refusal(full_disk) == "a.txt cannot be written: No space left on device."
