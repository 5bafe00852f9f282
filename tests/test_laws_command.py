"""`tfp-flows check`: what it reads, prints and answers."""

import json
import re
import shutil

import numpy as np
import pytest
from test_cli import FAST, call, run

import tfp_flows as tff

NAMES = ["round trip", "log-det", "density", "integral", "entropy", "calibration", "two-sample"]


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    monkeypatch.setattr("tfp_flows.integral.ROUNDS", 1)
    monkeypatch.setattr("tfp_flows.laws.CONTEXTS", 1)


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfp_flows.runs._figures", lambda *_: {})
        yield


@pytest.fixture(scope="module")
def gaussian(tmp_path_factory):
    """A run that fits: two steps of a chain that whitens the rows of a normal law."""
    folder = tmp_path_factory.mktemp("runs") / "gaussian"
    words = ["--flow", "nice", "--data", "gaussian", *FAST, "--hidden-units", "4", "--whiten"]
    assert call("train", *words, "--learning-rate", "1e-5", "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A conditional run on a file, and the file: weight and height, given the age."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    age = rng.uniform(20, 60, size=(600, 1))
    rows = np.concatenate([age, 170 + 8 * rng.normal(size=(600, 1)), 50 + 5 * rng.normal(size=(600, 1))], axis=1)
    tff.datasets.write_rows(folder / "people.csv", rows, header=["age", "height", "weight"])
    words = ["--flow", "maf", "--data", folder / "people.csv", "--context-columns", "age", *FAST]
    assert call("train", *words, "--hidden-units", "4", "--out", folder / "run") == 0
    return folder


def verdicts(out):
    """The verdict of each law, by its name."""
    found = {}
    for line in out.splitlines():
        name = next(name for name in [*NAMES, "whole numbers"] if name in line[:24])
        found[name] = line[:9].strip()
    return found


def test_a_run_is_tried_on_the_rows_that_it_held_out(gaussian, capsys):
    status, out, err = run(capsys, "check", gaussian)
    assert (status, err) == (0, "")
    assert verdicts(out) == dict.fromkeys(NAMES, "holds")
    assert "1,000 rows" in out


def test_rows_of_another_law_fail_the_fit_alone(gaussian, tmp_path, capsys):
    rows = tff.datasets.gaussian().sample(500, seed=1) * [1.0, 0.5]
    np.save(tmp_path / "rows.npy", rows)
    status, out, err = run(capsys, "check", gaussian, "--data", tmp_path / "rows.npy")
    assert status == 1
    assert verdicts(out) == dict.fromkeys(NAMES, "holds") | {
        "entropy": "not tried",
        "calibration": "fails",
        "two-sample": "fails",
    }
    what = "calibration, two-sample: the flow is a density, and these rows have another law."
    assert err == f"tfp-flows: {gaussian} fails {what}\n"


def test_a_wrong_density_is_told_from_a_poor_fit(gaussian, capsys, monkeypatch):
    log_density = tff.Flow._log_density
    monkeypatch.setattr(tff.Flow, "_log_density", lambda *args, **kwargs: log_density(*args, **kwargs) + 0.1)
    status, out, err = run(capsys, "check", gaussian)
    assert (status, err) == (1, f"tfp-flows: {gaussian} fails density, integral, entropy: its density is wrong.\n")
    assert verdicts(out)["calibration"] == "holds"


@pytest.mark.slow
def test_a_saved_flow_has_no_rows_of_its_own(tmp_path, capsys, monkeypatch):
    tff.nice(event_size=2, num_layers=2, hidden_units=(4,), seed=0).save(tmp_path / "flow")
    assert not (tmp_path / "flow" / "training").exists()
    status, out, _ = run(capsys, "check", tmp_path / "flow")
    assert status == 0
    assert verdicts(out)["calibration"] == "not tried"
    status, out, _ = run(capsys, "check", tmp_path / "flow", "--data", "two_moons", "--seed", "1")
    assert (status, verdicts(out)["two-sample"], verdicts(out)["entropy"]) == (1, "fails", "holds")


@pytest.mark.slow
def test_a_conditional_run_and_its_contexts(people, capsys):
    before = sorted(people.rglob("*"))
    status, out, err = run(capsys, "check", people / "run")
    assert (status, err) == (0, "")
    assert "latents of 60 rows" in out  # every tenth
    assert "contexts" in out
    status, out, _ = run(capsys, "check", people / "run", "--data", people / "people.csv")
    assert "latents of 600 rows" in out
    assert sorted(people.rglob("*")) == before


@pytest.mark.slow
def test_a_student_is_tried_on_the_rows_of_its_teacher(gaussian, tmp_path, capsys):
    words = ["distill", gaussian, "--out", tmp_path / "student", *FAST, "--hidden-units", "4"]
    assert run(capsys, *words)[0] == 0
    _, out, _ = run(capsys, "check", tmp_path / "student")
    assert verdicts(out)["round trip"] == "holds"
    assert verdicts(out)["entropy"] == "holds"
    assert "not tried" not in out


@pytest.mark.slow
def test_a_run_that_forgot_its_rows_says_what_was_not_tried(gaussian, tmp_path, capsys):
    folder = shutil.copytree(gaussian, tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in ("kind", "settings")}))
    status, out, _ = run(capsys, "check", folder)
    assert (status, verdicts(out)["calibration"]) == (0, "not tried")


@pytest.mark.slow
def test_python_has_the_same(gaussian, capsys):
    report = tff.Run.open(gaussian).check()
    assert str(report) == run(capsys, "check", gaussian)[1].rstrip("\n")
    assert report["entropy"].holds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere holds no run"),
        (["RUN", "--data", "moons"], "--data must be one of siggraph"),
        (["RUN", "--data", "nowhere.csv"], "nowhere.csv"),
        (["RUN", "--columns", "1,2"], r"--columns must go with --data, whose columns they are; got \[1, 2\] alone"),
        (["RUN", "--seed", "-1"], "--seed must be an integer from 0"),
        (["PEOPLE", "--data", "two_moons"], "--data must be a file with rows and their context"),
    ],
)
def test_errors_of_use_are_one_sentence_and_exit_status_2(
    words, message, gaussian, people, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": gaussian, "PEOPLE": people / "run"}
    status, out, err = run(capsys, "check", *(places.get(word, word) for word in words))
    assert (status, out) == (2, "")
    lines = [line for line in err.splitlines() if line.startswith("tfp-flows: ")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
