"""The command on a table with names: matched, conditional, written with a header, named in figures."""

import numpy as np
import pandas
import pytest
from test_cli import FAST, call, run

import tfp_flows as tff


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "people.csv"
    age = rng.uniform(20.0, 60.0, 400)
    height, weight = rng.normal(1.7, 0.1, 400), 50.0 + 0.5 * age + rng.normal(0.0, 3.0, 400)
    pandas.DataFrame({"age": age, "height": height, "weight": weight}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "people"
    words = ["train", "--flow", "maf", "--data", table, "--context-columns", "age", "--out", folder]
    assert call(*words, *FAST, "--hidden-units", "8,8") == 0
    return folder


def test_what_the_run_knows(trained):
    flow = tff.load(trained)
    assert (list(flow.columns), list(flow.context_columns)) == (["height", "weight"], ["age"])
    assert {path.stem for path in (trained / "figures").iterdir()} == {"samples", "loss"}


def test_a_table_is_scored_by_names_in_any_order(trained, table, tmp_path, capsys):
    frame = pandas.read_csv(table)
    scores = []
    for i, columns in enumerate((["age", "height", "weight"], ["weight", "age", "height"])):
        path, out = tmp_path / f"{i}.csv", tmp_path / f"{i}.npy"
        frame[columns].to_csv(path, index=False)
        assert run(capsys, "score", trained, "--data", path, "--out", out)[0] == 0
        scores.append(np.load(out)[:, 0])
    np.testing.assert_array_equal(scores[0], scores[1])
    expected = tff.load(trained).log_prob(frame[["height", "weight"]], context=frame[["age"]])
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5)
    frame.rename(columns={"age": "years"}).to_csv(tmp_path / "wrong.csv", index=False)
    status, _, said = run(capsys, "score", trained, "--data", tmp_path / "wrong.csv")
    assert (status, "has no column 'age'" in said) == (2, True)
    for options, message in [
        (["height", "age"], "--columns must be those of the flow, height, weight; got ['height']."),
        (["height", "weight"], "--columns must be those of the flow, height, weight; got ['height']."),
        (["height,weight", "2"], "--context-columns must be others than columns; got 'height' in both."),
        (["height,weight", "weight"], "--context-columns must be others than columns; got 'weight' in both."),
        (["2,3", "3"], "--context-columns must be others than columns; got 3 in both."),
    ]:
        words = ["--columns", options[0], "--context-columns", options[1]]
        status, _, said = run(capsys, "score", trained, "--data", table, *words)
        assert (status, message in said) == (2, True), said


def test_samples_have_a_header_and_their_context(trained, table, tmp_path, capsys):
    out = tmp_path / "samples.csv"
    assert run(capsys, "sample", trained, "--context", table, "--out", out)[0] == 0
    drawn = pandas.read_csv(out)
    assert list(drawn.columns) == ["height", "weight", "age"]
    np.testing.assert_allclose(drawn["age"], pandas.read_csv(table)["age"])
    assert run(capsys, "score", trained, "--data", out)[0] == 0
    status, _, said = run(capsys, "sample", trained, "--out", tmp_path / "more.csv")
    assert (status, "--context must be a file of 1 column, age" in said) == (2, True)
    status, _, said = run(capsys, "sample", trained, "-n", 5, "--context", table, "--out", tmp_path / "more.csv")
    assert (status, "-n must be left out beside a context" in said) == (2, True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_whole_columns_of_a_context_come_out_as_they_went_in(trained, suffix, tmp_path, capsys):
    pandas.DataFrame({"age": [20, 33, 60]}).to_csv(tmp_path / "ages.csv", index=False)
    out = tmp_path / f"samples{suffix}"
    assert run(capsys, "sample", trained, "--context", tmp_path / "ages.csv", "--out", out)[0] == 0
    drawn = (pandas.read_csv if suffix == ".csv" else pandas.read_parquet)(out)
    assert drawn["age"].dtype == np.int64
    assert drawn["age"].tolist() == [20, 33, 60]
    assert drawn["height"].dtype.kind == "f"
    if suffix == ".csv":
        assert [line.split(",")[-1] for line in out.read_text().splitlines()] == ["age", "20", "33", "60"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_student_of_a_conditional_flow(trained, tmp_path, capsys):
    out = tmp_path / "student"
    assert run(capsys, "distill", trained, "--out", out, *FAST, "--hidden-units", "8,8")[0] == 0
    student = tff.load(out)
    assert (student.context_size, list(student.context_columns)) == (1, ["age"])


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_column_without_a_density_is_one_line_on_stderr(table, tmp_path, capsys):
    frame = pandas.read_csv(table).assign(id=np.arange(400))
    frame.to_csv(tmp_path / "ids.csv", index=False)
    words = ["train", "--flow", "nice", "--data", tmp_path / "ids.csv", "--out", tmp_path / "run", *FAST]
    status, _, said = run(capsys, *words)
    assert status == 0
    assert "400 rows of 4 columns" in said
    (line,) = [line for line in said.splitlines() if "density" in line]
    assert line.startswith("tfp-flows: ")
    assert "'id' has evenly spaced values" in line


@pytest.mark.usefixtures("no_figures")
def test_a_training_is_repeated_on_other_rows_with_its_columns(trained, table, tmp_path, capsys):
    assert call("train", "--from", trained, "--data", table, "--epochs", 1, "--out", tmp_path / "again") == 0
    assert tff.Run.open(tmp_path / "again").flow.context_columns == tff.Run.open(trained).flow.context_columns
    pandas.read_csv(table).drop(columns="age").to_csv(tmp_path / "other.csv", index=False)
    status, _, said = run(
        capsys, "train", "--from", trained, "--data", tmp_path / "other.csv", "--out", tmp_path / "third"
    )
    assert (status, "has 0 columns named 'age'" in said) == (2, True), said
    for words in (["--columns", "height,height"], ["--context-columns", "age,age"]):
        status, _, said = run(capsys, "train", "--data", table, *words, "--out", tmp_path / "third")
        assert (status, f"{words[0]} must have each column once" in said) == (2, True), said


@pytest.mark.slow
def test_export(trained, tmp_path, capsys):
    import tensorflow as tf

    assert run(capsys, "export", trained, "--out", tmp_path / "saved")[0] == 0
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    x, context = np.array([[1.7, 70.0]], "float32"), np.array([[30.0]], "float32")
    flow = tff.load(trained)
    np.testing.assert_allclose(loaded.log_prob(x, context), flow.log_prob(x, context=context), rtol=1e-5)
    assert run(capsys, "export", trained, "--out", tmp_path / "saved")[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize("columns", [None, [3, 1]])
def test_numbers_of_columns_count_in_the_file(columns, table, tmp_path):
    """The context of an array without names may be any of its columns."""
    rows = pandas.read_csv(table).to_numpy()
    np.save(tmp_path / "rows.npy", rows)
    options = {"num_layers": 1, "hidden_units": [8]}
    given = {"options": options, "columns": columns, "context_columns": [2], "epochs": 1, "verbose": False}
    trained = tff.Run.train(tmp_path / "run", flow="maf", data=tmp_path / "rows.npy", **given)
    flow = trained.flow
    assert flow.standardize_context.loc.numpy()[0] == pytest.approx(rows[:, 1].mean(), abs=0.02)
    assert flow.layers[0].loc.numpy()[0] == pytest.approx(rows[:, 2 if columns else 0].mean(), abs=2.0)
    np.testing.assert_allclose(trained.context()[:, 0], rows[:, 1])
    scores = trained.score(tmp_path / "rows.npy", columns=columns, context_columns=[2])
    assert scores.metrics["nll"] == pytest.approx(trained.metrics["nll"], abs=1.0)
    with pytest.raises(tff.InputError, match="context_columns must say which columns"):
        trained.score(tmp_path / "rows.npy")
