"""The command: what it leaves, what it prints, and how it refuses."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import tfp_flows as tff
from tfp_flows import cli
from tfp_flows.datasets.blender import blender_folder
from tfp_flows.run_folder import FIGURES

STILLS = {"samples", "density", "grid", "gap", "layers", "loss"}
FAST = ["--epochs", "2", "--steps-per-epoch", "5", "--num-layers", "2"]


def call(*words) -> int:
    """Exit status of `tfp-flows WORDS`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tfp-flows", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return stop.value.code or 0


def run(capsys, *words) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    return call(*words), *capsys.readouterr()


@pytest.fixture(scope="module", autouse=True)
def coarse_pictures():
    """How they look is tested elsewhere: here a few cells, frames and dots will do."""
    save = Figure.savefig

    def coarsely(*args, dpi, **options):
        save(*args, dpi=30 if dpi == 150 else dpi, **options)  # frames of a film have one size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", coarsely)
        for make, option, value in (
            (tff.plots.density, "resolution", 80),
            (tff.plots.gap_map, "resolution", 40),
            (tff.plots.layers, "n", 100),
            (tff.plots.animate_flow, "frames", 5),
        ):
            patch.setitem(make.__kwdefaults__, option, value)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "moons"
    assert call("train", "--flow", "nice", "--data", "two_moons", *FAST, "--out", folder) == 0
    return folder


def test_train_leaves_a_run_folder(trained):
    assert {p.name for p in trained.iterdir()} == {
        "config.json",
        "flow.npz",
        "metrics.json",
        "history.csv",
        "figures",
    }
    assert {p.stem for p in (trained / "figures").iterdir()} == STILLS
    metrics = json.loads((trained / "metrics.json").read_text())
    law = tff.datasets.two_moons()
    assert metrics["gap"] == pytest.approx(metrics["nll"] - law.entropy)
    assert metrics["nll"] == pytest.approx(-tff.load(trained).log_prob(law.split(0).test).numpy().mean(), rel=1e-4)
    assert metrics["epochs"] == 2
    assert (trained / "history.csv").read_text().splitlines()[0] == "epoch,gap,nll,val_gap,val_nll"


def test_too_many_rows_are_refused_by_their_option(trained, tmp_path, capsys):
    status, out, err = run(capsys, "sample", trained, "-n", 99_999_999_999, "--out", tmp_path / "x.csv")
    assert (status, out) == (2, "")
    assert "-n must be an integer of at most 2147483647; got 99999999999." in err


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz"])
def test_sample_then_score(trained, tmp_path, capsys, suffix):
    rows, scores = tmp_path / f"rows.{suffix}", tmp_path / f"scores.{suffix}"
    status, out, err = run(capsys, "sample", trained, "-n", 50, "--out", rows, "--seed", 4)
    assert (out, f"50 rows in {rows}" in err) == ("", True)
    assert status == 0
    np.testing.assert_array_equal(tff.datasets.read_rows(rows), tff.load(trained).sample_in_float64(50, seed=4))
    status, out, _ = run(capsys, "score", trained, "--data", rows, "--out", scores)
    expected = tff.load(trained).log_prob(tff.datasets.read_rows(rows)).numpy()
    assert status == 0
    assert f"NLL {-expected.mean():.4f}" in out
    np.testing.assert_allclose(tff.datasets.read_rows(scores)[:, 0], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_rows_without_names_are_said_to_be_taken_in_order(tmp_path, capsys, rng):
    named, bare, run_folder = tmp_path / "named.csv", tmp_path / "bare.csv", tmp_path / "run"
    rows = rng.normal(size=(200, 2))
    tff.datasets.write_rows(named, tff.datasets.Table(rows, ("height", "weight"), "named"))
    tff.datasets.write_rows(bare, rows)
    assert call("train", "--flow", "nice", "--data", named, *FAST, "--out", run_folder) == 0
    capsys.readouterr()
    assert run(capsys, "score", run_folder, "--data", named)[2].strip() == ""
    status, _, err = run(capsys, "score", run_folder, "--data", bare)
    assert status == 0
    assert f"{bare} has no names of columns: they are taken in the order 'height', 'weight'" in err


def test_score_of_a_known_law_prints_the_gap(trained, capsys):
    status, out, _ = run(capsys, "score", trained, "--data", "two_moons")
    assert status == 0
    assert "gap to the entropy" in out


@pytest.mark.slow
def test_plot_draws_the_figures_again(trained, capsys):
    for path in (trained / "figures").iterdir():
        path.unlink()
    assert run(capsys, "plot", trained)[0] == 0
    assert {p.name for p in (trained / "figures").iterdir()} == {*FIGURES} - {"corner.png"}
    (trained / "figures" / "flow.gif").unlink()


def test_a_student_in_the_place_of_its_teacher_is_refused(trained, capsys):
    before = (trained / "flow.npz").read_bytes()
    status, _, err = run(capsys, "distill", trained, "--out", trained, "--force", *FAST)
    assert (status, err) == (2, f"tfp-flows: --out must not be that of the teacher; got {trained}.\n")
    assert (trained / "flow.npz").read_bytes() == before


@pytest.mark.parametrize("option", ["--context-columns", "--data", "--epochs"])
def test_an_option_that_is_given_twice_is_refused(option, tmp_path, capsys):
    status, _, err = run(capsys, "train", option, "1", option, "2", "--out", tmp_path / "run")
    more = ", with commas between names" if option == "--context-columns" else ""
    assert (status, err) == (2, f"tfp-flows: {option} was given 2 times; give it once{more}.\n")
    assert not (tmp_path / "run").exists()


def test_forward_is_a_part(trained, tmp_path, capsys):
    status, _, err = run(capsys, "distill", trained, "--out", tmp_path / "student", "--forward", "1.5")
    assert (status, err) == (2, "tfp-flows: --forward is 1.5; expected a number from 0 to 1.\n")
    assert not (tmp_path / "student").exists()


@pytest.mark.slow
def test_distill_leaves_a_run_of_its_own(trained, tmp_path, capsys):
    out = tmp_path / "student"
    status, printed, _ = run(capsys, "distill", trained, "--out", out, *FAST, "--hidden-units", "8,8")
    assert status == 0
    student, teacher = tff.load(out), tff.load(trained)
    metrics = json.loads((out / "metrics.json").read_text())
    assert f"KL(student, teacher) {metrics['kl']:.4f}" in printed
    x, log_prob = student.sample_and_log_prob(10_000, seed=1)
    assert metrics["kl"] == pytest.approx(np.mean(log_prob - teacher.log_prob(x)), rel=1e-3)
    z, log_prob = teacher.sample_and_log_prob(10_000, seed=1)
    assert metrics["kl_teacher_student"] == pytest.approx(np.mean(log_prob - student.log_prob(z)), rel=1e-3)
    assert f"KL(teacher, student) {metrics['kl_teacher_student']:.4f}" in printed
    assert student.config["name"] == "iaf"
    assert {p.stem for p in (out / "figures").iterdir()} == STILLS
    assert (out / "history.csv").read_text().splitlines()[0] == "epoch,kl,val_kl"
    assert run(capsys, "plot", out)[0] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_train_on_a_file_of_ones_own(tmp_path, capsys, rng):
    data = tmp_path / "mine.csv"
    tff.datasets.write_rows(data, rng.normal(size=(300, 3)), header=["a", "b", "c"])
    words = ["train", "--flow", "maf", "--data", data, "--out", tmp_path / "run", *FAST, "--hidden-units", "8,8"]
    status, out, _ = run(capsys, *words)
    assert status == 0
    assert "on 30 held-out rows" in out
    assert tff.load(tmp_path / "run").event_size == 3
    status, _, err = run(capsys, "score", tmp_path / "run", "--data", "two_moons")
    assert status == 2
    assert "expected 3" in err or "3 columns" in err


@pytest.mark.slow
def test_train_on_the_mesh_of_a_file_knows_its_law(tmp_path, capsys):
    data = Path(shutil.copy(blender_folder() / "siggraph.npz", tmp_path / "mine.npz"))
    run_folder = tmp_path / "run"
    status, out, _ = run(capsys, "train", "--flow", "nice", "--data", data, "--out", run_folder, *FAST)
    assert (status, "gap to the entropy" in out) == (0, True)
    assert {p.stem for p in (run_folder / "figures").iterdir()} == STILLS
    assert json.loads((run_folder / "config.json").read_text())["data"]["name"] == "mesh"
    assert run(capsys, "plot", run_folder)[0] == 0
    status, out, _ = run(capsys, "score", run_folder, "--data", data)
    assert (status, "on 9,800 rows (lower is better); gap" in out) == (0, True)


def test_list_names_everything(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    assert all(name in out for name in [*tff.flows.names(), *tff.datasets.names()])


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_an_interrupt_leaves_a_usable_run(tmp_path, capsys, monkeypatch):
    import tensorflow as tf

    from tfp_flows.training import callbacks

    class Interrupting(callbacks.ProgressBar):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["tfp_flows.training.loop"], "ProgressBar", Interrupting)
    folder = tmp_path / "run"
    status, out, err = run(capsys, "train", "--flow", "nice", "--data", "gaussian", *FAST, "--out", folder)
    assert status == 130
    assert f"interrupted after epoch 1: epoch 1 is the best so far, and in {folder}; `tfp-flows train --resume`" in err
    assert "held-out rows" in out
    assert np.isfinite(tff.load(folder).log_prob(tf.zeros(2)))
    assert (folder / "metrics.json").exists()
    monkeypatch.undo()
    status, out, err = run(capsys, "train", "--resume", folder)
    assert (status, tff.Run.open(folder).metrics["epochs"]) == (0, 2)
    status, out, err = run(capsys, "train", "--resume", folder)
    assert (status, "NLL" in out, "epoch" in err) == (0, True, False)


@pytest.mark.skipif(not hasattr(os, "kill"), reason="signals")
def test_sigterm_outside_of_training_is_one_sentence(tmp_path, capsys, monkeypatch):
    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the signal was lost")

    monkeypatch.setattr(tff.Run, "open", stop)
    before = signal.getsignal(signal.SIGTERM)
    status, out, err = run(capsys, "sample", tmp_path, "--out", tmp_path / "samples.csv")
    assert (status, out) == (143, "")
    assert err == "tfp-flows: stopped by SIGTERM; what was written is whole.\n"
    assert signal.getsignal(signal.SIGTERM) == before


class Losing:
    """Sends a signal where Python loses the exception that it becomes."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(os, "kill"), reason="signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_whose_exception_is_lost_still_ends_the_command(number, status, tmp_path, capsys, monkeypatch):
    make = tff.flows.make

    def losing(*args, **options):
        Losing(number)
        return make(*args, **options)

    monkeypatch.setattr(tff, "make", losing)
    words = ["train", "--data", "gaussian", "--flow", "mlp", "--epochs", "10000", "--out", tmp_path / "run"]
    assert run(capsys, *words)[0] == status
    assert (tmp_path / "run" / "training" / "checkpoint.npz").exists()

    monkeypatch.setattr(tff.Run, "open", lambda _: Losing(number))  # and whatever comes after
    monkeypatch.setattr(cli, "_draw", lambda *_, **__: None)
    found, _, said = run(capsys, "plot", tmp_path)
    assert (found, "what was written is whole" in said) == (status, True), said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--flow", "ffjord"], "flow must be one of maf"),
        (["train", "--data", "moons"], "--data must be one of siggraph, two_moons"),
        (["train", "--data", "nowhere.csv"], "nowhere.csv"),
        (["train", "--data", "-"], "--data is -, and a run reads its rows again.*: write them into a file"),
        (["train", "--out", "-"], "--out is -, and what is made is a folder: give it a name"),
        (["distill", "RUN", "--out", "-"], "--out is -, and what is made is a folder"),
        (["export", "RUN", "--out", "-"], "--out is -, and what is made is a folder"),
        (["train", "--device", "TPU:9"], "--device must be one of CPU:0"),
        (["train", "--hidden-units", "64x64"], "--hidden-units must be integers.*'64x64'"),
        (["train", "--epochs", "0"], "--epochs must be an integer of at least 1; got 0"),
        (["train", "--batch-size", "0"], "--batch-size must be an integer of at least 1; got 0"),
        (["train", "--resume", "nowhere"], "nowhere holds no run"),
        (["train", "--resume", "FULL"], "holds no run"),
        (["train", "--resume", "RUN", "--epochs", "3"], "--resume must be the only option.*--from"),
        (["train", "--from", "nowhere"], "holds no run"),
        (["train", "--out", "FILE/below"], "--out cannot be written"),
        (["train", "--data", "two.npz"], "choose one with --key"),
        (["train", "--data", "two.npz", "--key", "c"], "no array 'c'"),
        (["train", "--data", "FILE.csv", "--columns", "9"], "FILE.csv"),
        (["train", "--flow", "mlp", "--hidden-units", "8"], "--hidden-units is no option of mlp"),
        (["train", "--flow", "maf", "--tails", "free"], "^tfp-flows: --tails is no option of maf, which takes --num-l"),
        (["train", "--flow", "planar", "--octaves", "2"], "--octaves is no option of planar, which takes .*--base"),
        (["train", "--base", "cauchy"], "--base must be one of normal, student_t, mixture; got 'cauchy'"),
        (["train", "--mixing", "shuffle"], "--mixing must be one of reverse, random, linear, none; got 'shuffle'"),
        (["train", "--octaves", "a"], "--octaves must be an integer, or several; got 'a'"),
        (["train", "--octaves", "2,1"], "--octaves must list 4 integers, one for each layer"),
        (["train", "--tails", "long"], "--tails must be one of"),
        (["train", "--out", "FILE"], "--out must not be a file; got FILE"),
        (["train", "--out", "FULL"], r"--out is FULL, which is not empty: .* or --force\."),
        (["sample", "nowhere", "--out", "x.csv"], "holds no run"),
        (["sample", "RUN", "--out", "FILE"], r"exists; choose another name, or --force"),
        (["sample", "RUN", "--out", "x.txt"], "x.txt"),
        (["score", "RUN", "--data", "nowhere.npy"], "nowhere.npy"),
        (["plot", "nowhere"], "holds no run"),
        (["distill", "nowhere", "--out", "new"], "holds no run"),
        (["distill", "RUN", "--out", "FULL"], "--force"),
        (["distill", "RUN", "--out", "new", "--flow", "ffjord"], "flow must be one of maf"),
        (["distill", "RUN", "--out", "new", "--epochs", "0"], "epochs must be an integer of at least 1; got 0"),
        (["points", " ", "--out", "x.npz"], "text"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_status_2(words, message, trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_text("mine")
    (tmp_path / "FILE.csv").write_text("mine")
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
    (tmp_path / "FULL").mkdir()
    (tmp_path / "FULL" / "mine").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    words = [str(trained) if w == "RUN" else "FILE.csv" if (w, words[0]) == ("FILE", "sample") else w for w in words]
    status, _, err = run(capsys, *words)
    assert status == 2
    lines = [line for line in err.splitlines() if line.startswith("tfp-flows: ")]
    assert len(lines) == 1
    assert re.search(message, lines[0])
    assert len(lines[0]) <= 320
    assert not re.search(r"=True|\w_\w*=", lines[0])
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_samples_go_through_stdout_and_stdin(trained, capsys, monkeypatch):
    status, out, err = run(capsys, "sample", trained, "-n", 20, "--out", "-", "--seed", 4)
    assert (status, len(out.splitlines()), "20 rows on stdout" in err) == (0, 20, True)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(out.encode())))
    status, scores, err = run(capsys, "score", trained, "--data", "-", "--out", "-")
    assert status == 0
    header, *values = scores.splitlines()
    assert header == "log_prob"
    rows = np.loadtxt(out.splitlines(), delimiter=",", dtype="float32")
    np.testing.assert_allclose(np.array(values, float), tff.load(trained).log_prob(rows), rtol=1e-5)
    assert f"NLL {-np.mean(np.array(values, float)):.4f}" in err
    assert "held-out" not in err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1,2\n3,x\n")))
    status, _, err = run(capsys, "score", trained, "--data", "-")
    assert (status, "stdin: row 2, column 2 is 'x'" in err) == (2, True)


def test_scores_have_their_name_in_text(trained, tmp_path, capsys):
    assert run(capsys, "score", trained, "--data", "gaussian", "--out", tmp_path / "scores.csv")[0] == 0
    assert (tmp_path / "scores.csv").read_text().startswith("log_prob\n")


@pytest.mark.parametrize("name", ["scores.csv", "scores.npy"])
def test_rows_that_are_impossible_have_their_score(name, trained, tmp_path, capsys):
    """They are too far off for floats here, as others may be outside of a support."""
    np.save(tmp_path / "rows.npy", [[0.0, 0.0], [1e200, 0.0], [0.5, 0.0]])
    status, out, _ = run(capsys, "score", trained, "--data", tmp_path / "rows.npy", "--out", tmp_path / name)
    assert (status, "NLL inf nats on 3 rows" in out) == (0, True)
    assert "the log p of 1 row is -inf, the first is row 2" in out
    path = tmp_path / name
    scores = np.load(path)[:, 0] if name.endswith("npy") else np.loadtxt(path, skiprows=1)
    assert (scores[1], np.isfinite(scores[[0, 2]]).all()) == (-np.inf, True)


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_train_repeats_a_run_but_for_the_options_given(trained, tmp_path, capsys):
    again, other = tmp_path / "again", tmp_path / "other"
    assert run(capsys, "train", "--from", trained, "--out", again)[0] == 0
    for a, b in zip(tff.load(trained).variables, tff.load(again).variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert run(capsys, "train", "--from", trained, "--out", other, "--epochs", 1, "--num-layers", 3)[0] == 0
    first, second = tff.Run.open(trained).settings, tff.Run.open(other).settings
    assert second == first | {"epochs": 1, "options": first["options"] | {"num_layers": 3}}


@pytest.mark.slow
def test_a_figure_that_fails_costs_a_sentence_and_status_1(tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(tff.plots, "grid_warp", fail)
    folder = tmp_path / "run"
    status, out, err = run(capsys, "train", "--flow", "mlp", "--data", "gaussian", *FAST, "--out", folder)
    assert (status, "NLL" in out) == (1, True)
    assert f"tfp-flows: {folder}/figures/grid.png was not drawn: no ink" in err
    assert {p.stem for p in (folder / "figures").iterdir()} == STILLS - {"grid"}
    assert tff.Run.open(folder).is_finished


def test_version(capsys):
    assert run(capsys, "--version")[:2] == (0, f"tfp-flows {tff.__version__}\n")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "x.csv exists; choose another name, or force=True to replace it.",
            "x.csv exists; .* or --force to replace it",
        ),
        ("hidden_units must be a list of integers; got 3.", "--hidden-units must be a list"),
        ("validation_split=0.5 leaves 1 of 2 rows.", "validation_split=0.5"),  # no option of the command
        ("a learning_rate below 0.005 may work.", "a --learning-rate below 0.005"),
        ("a.npz holds 2 arrays; choose one with key.", "choose one with --key"),
        ("key is 'a', but x.csv is no .npz file; leave key out.", "--key is 'a', but .* leave --key out"),
        ("the key of the flow is its data", "the key of the flow is its data$"),
        ("resume it, or force=True", "`tfp-flows train --resume` it, or --force"),
        ("size 0 does not work: give a number", "size 0"),
        ("columns is [9]; expected " + 500 * "x" + " at the end.", "^--columns is .* … .* at the end.$"),
    ],
)
def test_sentences_speak_of_options(message, expected):
    found = cli._in_options(message)
    assert re.search(expected, found)
    assert len(found) <= cli.MOST_WORDS


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_options_of_a_chain_are_kept_by_the_run(tmp_path):
    first = tmp_path / "first"
    words = ["train", "--flow", "nsf_coupling", "--data", "two_moons", *FAST, "--hidden-units", "4"]
    words += ["--base", "student_t", "--mixing", "linear", "--whiten", "--octaves", "2,1", "--tails", "free"]
    assert call(*words, "--out", first) == 0
    options = {"base": "student_t", "mixing": "linear", "whiten": True, "octaves": [2, 1], "tails": "free"}
    assert options.items() <= json.loads((first / "config.json").read_text())["settings"]["options"].items()
    config = tff.load(first).config
    assert {**config} | options == {**config}


@pytest.mark.slow
def test_a_finished_run_whose_rows_are_gone_has_failed_figures_alone(tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    tff.datasets.write_rows(rows, tff.datasets.gaussian().sample(200, seed=0))
    folder = tmp_path / "run"
    assert call("train", "--flow", "nice", "--data", rows, *FAST, "--out", folder) == 0
    capsys.readouterr()
    rows.unlink()
    status, out, err = run(capsys, "train", "--resume", folder)
    assert status == 1
    assert "NLL" in out
    assert f"the training of {folder} has ended: nothing is trained" in err
    assert "\ntfp-flows: figures were not drawn: " in err
    assert "rows.csv" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_stdout_is_called_by_its_name():
    code = "from tfp_flows.cli import main; main()"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code, "list"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.decode()) == (
        2,
        "tfp-flows: stdout cannot be written: No space left on device.\n",
    )
