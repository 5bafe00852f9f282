"""Runs: a folder that one process at a time trains into, and whose results change all at once."""

import functools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import mostly_slow

import tfp_flows as tff
from tfp_flows.flows.registry import CHAINS
from tfp_flows.json_files import write_json
from tfp_flows.run_folder import COMMIT, FIGURES, LOCK, RunFolder, read_history, write_history
from tfp_flows.runs import EDGES, _training, _whole

ROOT = Path(__file__).parents[1]
SMALL = {"flow": "mlp", "options": {"num_layers": 1}, "data": "gaussian", "steps_per_epoch": 50, "verbose": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs; not to be changed."""
    return tff.Run.train(tmp_path_factory.mktemp("runs") / "run", **SMALL, epochs=2)


def files(folder):
    """Every file below a folder, with its bytes."""
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def stopping(number, events, monkeypatch):
    """Sends a signal after so many executions of the next training."""
    from tfp_flows.training import checkpoint

    class Stopping(checkpoint.Checkpoints):
        left = events

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), number)
            super().on_train_batch_end(batch, logs)

    monkeypatch.setattr(sys.modules["tfp_flows.training.loop"], "Checkpoints", Stopping)


# --- The folder.


def test_a_folder_at_work_is_refused_to_others(tmp_path):
    with RunFolder.claimed(tmp_path / "run") as folder:
        assert folder.is_locked
        for anew in (True, False):
            with (
                pytest.raises(tff.InputError, match=f"is being trained by process {os.getpid()} on"),
                RunFolder.claimed(tmp_path / "run", force=True, anew=anew),
            ):
                pass
        assert folder.is_locked
    assert not (tmp_path / "run").exists()  # as nothing came of it


@pytest.mark.parametrize("stale", ["gone", "another start", "half written"])
def test_the_lock_of_a_process_that_is_gone_is_taken_over(stale, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    owner = {"pid": gone.pid if stale == "gone" else os.getpid(), "host": socket.gethostname(), "started": "earlier"}
    (tmp_path / LOCK).write_text(json.dumps(owner)[: 5 if stale == "half written" else None])
    with RunFolder.claimed(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_another_machine_holds_until_it_is_deleted(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": None}))
    with (
        pytest.raises(tff.InputError, match=f"process 1 on elsewhere: .* if that is gone, delete {tmp_path / LOCK}"),
        RunFolder.claimed(tmp_path),
    ):
        pass


def race(out, barrier, results):
    os.chdir(out)
    barrier.wait()
    try:
        with RunFolder.claimed("one") as _:
            results.put("won")
            barrier.wait(30)
    except tff.InputError as error:
        results.put(str(error))
        barrier.wait(30)
    with RunFolder.claimed(None, name="any") as folder:
        barrier.wait(30)
        results.put(folder.path.name)
        barrier.wait(30)


def test_of_many_processes_one_gets_a_folder_and_without_one_each_gets_its_own(tmp_path):
    context, count = multiprocessing.get_context("spawn"), 4
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / LOCK).write_text(
        json.dumps({"pid": 2**22 + 1, "host": socket.gethostname(), "started": None})
    )  # stale: all see it
    barrier, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=race, args=(tmp_path, barrier, results)) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in range(2 * count)]
    for process in processes:
        process.join()
    first = [text for text in found if not text.startswith("any")]
    assert first.count("won") == 1
    assert sum("is being trained by process" in text for text in first) == count - 1
    assert sorted(text for text in found if text.startswith("any")) == ["any", "any-2", "any-3", "any-4"]


def test_results_that_count_are_what_is_loaded(tmp_path):
    old, new = (tff.nice(2, num_layers=1, hidden_units=(4,), seed=seed) for seed in (0, 1))
    old.save(tmp_path)
    new.save(tmp_path / COMMIT)
    np.testing.assert_array_equal(tff.load(tmp_path).sample(3, seed=0), new.sample(3, seed=0))


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_results_that_count_are_moved_into_place_by_whoever_comes_next(moved, tmp_path):
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    for name in ("config.json", "history.csv", "metrics.json", "figures/loss.png", "mine.txt"):
        (run / name).write_text("old")
    (run / COMMIT).mkdir()
    for i, name in enumerate(("config.json", "history.csv")):
        (run / name if i < moved else run / COMMIT / name).write_text("new")
    tff.Run.open(run)
    assert files(run) == {Path("config.json"): b"new", Path("history.csv"): b"new", Path("mine.txt"): b"old"}


def test_figures_of_others_are_left_alone(tmp_path):
    """What a run draws is of earlier weights once there are others; what it does not draw is not its own."""
    (tmp_path / "figures" / FIGURES[0]).mkdir(parents=True)  # whatever the name, no picture of a run's
    for name in (*FIGURES[1:], "mine.png"):
        (tmp_path / "figures" / name).write_text("")
    with RunFolder.claimed(tmp_path, force=True) as folder:
        folder.commit(lambda staged: write_json(staged / "config.json", {}))
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {FIGURES[0], "mine.png"}


def test_results_that_cannot_be_written_change_nothing(tmp_path):
    (tmp_path / "config.json").write_text("old")

    def fill(staged):
        (staged / "config.json").write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(tff.InputError, match=f"{tmp_path} cannot be written: No space left on device"):
        RunFolder(tmp_path).commit(fill)
    assert files(tmp_path) == {Path("config.json"): b"old"}


def test_a_history_comes_back_and_a_spoilt_one_is_refused(tmp_path):
    history = {"nll": [2.0, 0.1 + 0.2], "val_nll": [float("inf"), 1.0]}
    write_history(tmp_path / "history.csv", history)
    assert read_history(tmp_path / "history.csv") == history
    (tmp_path / "history.csv").write_text("epoch,nll\n1,two\n")
    with pytest.raises(tff.InputError, match=r"history.csv is no history"):
        read_history(tmp_path / "history.csv")


# --- Runs.


@pytest.mark.slow
def test_a_run_knows_all_that_is_needed_to_repeat_it(trained, tmp_path):
    assert trained.is_finished
    assert {p.name for p in trained.folder.iterdir()} >= {"config.json", "history.csv", "metrics.json"}
    assert not (trained.folder / "training").exists()
    assert set(trained.settings) == {
        *(
            "flow",
            "options",
            "data",
            "columns",
            "context_columns",
            "key",
            "epochs",
            "batch_size",
            "learning_rate",
            "weight_decay",
            "patience",
        ),
        *("steps_per_epoch", "device", "seed"),
    }
    again = tff.Run.train(tmp_path / "again", **trained.settings, verbose=False)
    for a, b in zip(trained.flow.variables, again.flow.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.history == trained.history
    assert again.config == trained.config


def test_settings_have_every_option_so_that_other_data_or_defaults_change_none(tmp_path, monkeypatch):
    def trained(folder, **settings):
        sizes = {"options": {"num_layers": 1, "hidden_units": [4]}, "epochs": 1, "steps_per_epoch": 5}
        return tff.Run.train(tmp_path / folder, **{**sizes, **settings}, verbose=False)

    first = trained("first", data="siggraph")
    options = first.settings["options"]
    assert {option: options[option] for option in ("num_layers", "num_bins")} == {"num_layers": 1, "num_bins": 64}
    monkeypatch.setitem(EDGES, "nsf_coupling", {"num_bins": 5, "octaves": 2})  # as a later version might choose
    monkeypatch.setitem(CHAINS, "nsf_coupling", functools.partial(tff.nsf_coupling, num_bins=6, activation="tanh"))
    assert trained("again", **first.settings).config == first.config
    other = trained("other", **first.settings | {"data": "banana"})
    assert other.settings["options"] == options


def test_what_is_measured_belongs_to_the_weights(trained):
    law = tff.datasets.gaussian()
    expected = -trained.flow.log_prob(law.split(0).test).numpy().mean()
    assert trained.metrics["nll"] == pytest.approx(expected, rel=1e-5)
    scores = trained.score("gaussian", seed=3)
    np.testing.assert_allclose(scores.log_prob, trained.flow.log_prob(law.sample(10_000, seed=3)), rtol=1e-4)
    assert scores.metrics["gap"] == pytest.approx(-scores.log_prob.mean() - law.entropy, rel=1e-4)


def test_a_finished_run_has_nothing_to_resume(trained):
    before = files(trained.folder)
    assert trained.resume(verbose=False).is_finished
    assert files(trained.folder) == before


def test_a_file_of_too_few_rows_is_refused(tmp_path):
    for rows in (1, 2):
        (tmp_path / "few.csv").write_text("a,b\n" + "".join(f"{i}.5,{i}.25\n" for i in range(rows)))
        with pytest.raises(tff.InputError, match=rf"few.csv must have at least 3 rows.* held out; got {rows}\.$"):
            tff.Run.train(tmp_path / "run", flow="nice", data=tmp_path / "few.csv", verbose=False)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", mostly_slow([signal.SIGTERM, signal.SIGINT], 1))
def test_a_stopped_run_is_resumed_to_the_same_end(number, trained, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stopping(number, 3, monkeypatch)  # in the second epoch, of two executions each
    with pytest.raises(tff.TrainingInterrupted, match=r"after epoch 1: epoch 1 is the best so far, and in .*resume"):
        tff.Run.train(folder, **SMALL, epochs=2)
    monkeypatch.undo()
    run = tff.Run.open(folder)
    assert not run.is_finished
    assert len(run.history["nll"]) == 1
    assert ("nll" in run.metrics) == (number == signal.SIGINT)  # a cluster does not wait for that
    with pytest.raises(tff.InputError, match=r"a training has not ended: resume it, or force=True"):
        tff.Run.train(folder, **SMALL, epochs=2)
    run = run.resume(verbose=False)
    assert run.is_finished
    for a, b in zip(trained.flow.variables, run.flow.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (run.history, run.config) == (trained.history, trained.config)
    assert run.metrics["nll"] == trained.metrics["nll"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "events"), [(signal.SIGINT, 1), (signal.SIGTERM, 3)])
def test_a_run_that_is_there_is_only_replaced_by_something_better(number, events, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    tff.Run.train(folder, **SMALL, epochs=1)
    before = files(folder)
    stopping(number, events, monkeypatch)
    said = "before the first epoch had ended" if events == 1 else "what was there before is untouched"
    with pytest.raises(tff.TrainingInterrupted, match=said):
        tff.Run.train(folder, **SMALL, epochs=2, seed=1, force=True)
    kept = {path: content for path, content in files(folder).items() if path.parts[0] != "training"}
    assert kept == before
    monkeypatch.undo()
    run = tff.Run.open(folder).resume(verbose=False)
    assert run.settings["seed"] == 1
    assert run.is_finished


@pytest.mark.slow
def test_a_divergence_leaves_the_best_weights_in_the_run(tmp_path, monkeypatch):
    from tfp_flows.training import callbacks

    class Blow(callbacks.StopWhenNotFinite):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs if self._now == 0 else logs | {"nll": np.nan})

    monkeypatch.setattr(sys.modules["tfp_flows.training.loop"], "StopWhenNotFinite", Blow)
    with pytest.raises(tff.DivergenceError, match=r"in epoch 2: .*; epoch \d is the best so far, and in .*run"):
        tff.Run.train(tmp_path / "run", **SMALL, epochs=3)
    run = tff.Run.open(tmp_path / "run")
    assert run.is_finished
    assert np.isfinite(run.metrics["nll"])
    assert np.isfinite(run.flow.log_prob([[0.0, 0.0]])).all()


def test_a_divergence_with_nothing_good_leaves_no_folder(tmp_path):
    with pytest.raises(tff.DivergenceError, match="as it was before"):
        tff.Run.train(tmp_path / "run", **SMALL, epochs=2, learning_rate=1e30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_weights_are_safe_when_what_comes_later_fails(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr(tff.plots, "log_prob_of", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        tff.Run.train(tmp_path / "run", **SMALL, epochs=1)
    run = tff.Run.open(tmp_path / "run")
    assert np.isfinite(run.flow.log_prob([[0.0, 0.0]])).all()
    assert (run.metrics, run.is_finished) == ({}, False)
    monkeypatch.undo()
    assert run.resume(verbose=False).metrics["epochs"] == 1


@pytest.mark.slow
def test_figures_are_of_the_flow_that_is_in_the_folder(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("tfp_flows.runs._figures", lambda flow, *_: drawn.append(flow) or {})
    first = tff.Run.train(tmp_path / "run", **SMALL, epochs=1)
    first.draw()
    tff.Run.train(tmp_path / "run", **SMALL, epochs=1, seed=5, force=True)
    first.draw()
    tff.Run.open(tmp_path / "run").draw()
    before, after, opened = (flow.log_prob([[0.5, -0.5]]).numpy() for flow in drawn)
    assert after == opened != before


def test_a_disk_without_space_is_noticed_before_training(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        with pytest.raises(tff.InputError, match=r"cannot hold the .* bytes that are needed: File too large"):
            tff.Run.train(tmp_path / "run", **SMALL, epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_student_of_the_same_chain_has_its_teachers_options(trained, tmp_path):
    name, short = trained.settings["flow"], {"epochs": 1, "steps_per_epoch": 2, "verbose": False}
    given = trained.settings["options"]
    student = trained.distill(tmp_path / "one", flow=name, **short)
    assert student.config["settings"]["options"] == given
    assert [v.shape for v in student.flow.variables] == [v.shape for v in trained.flow.variables]
    other = trained.distill(tmp_path / "two", flow=name, options={"num_layers": 1 + given["num_layers"]}, **short)
    assert other.config["settings"]["options"] == given | {"num_layers": 1 + given["num_layers"]}


@pytest.mark.slow
def test_a_student_is_resumed_too(trained, tmp_path, monkeypatch):
    options = {"flow": "mlp", "options": {"num_layers": 1}, "epochs": 2, "steps_per_epoch": 50, "verbose": False}
    options["forward"] = 0.5
    expected = trained.distill(tmp_path / "one", **options)
    stopping(signal.SIGTERM, 3, monkeypatch)
    with pytest.raises(tff.TrainingInterrupted):
        trained.distill(tmp_path / "two", **options)
    monkeypatch.undo()
    run = tff.Run.open(tmp_path / "two").resume(verbose=False)
    for a, b in zip(expected.flow.variables, run.flow.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert run.metrics["kl"] == expected.metrics["kl"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: None, "holds no run"),
        (lambda f: (f / "training").mkdir(), "holds no run"),
        (lambda f: write_json(_made(f / "training") / "config.json", {"kind": "bake"}), "does not say what to train"),
        (lambda f: (_made(f / "training") / "config.json").write_text("{"), "cannot be read"),
        (lambda f: (_made(f / "training") / "config.json").write_text("[" * 100_000), "cannot be read"),
    ],
)
def test_a_spoilt_folder_is_refused(spoil, message, tmp_path):
    spoil(tmp_path)
    with pytest.raises(tff.InputError, match=message):
        tff.Run.open(tmp_path).resume()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("folder", 3),
        ("folder", ["a"]),
        ("flow", None),
        ("flow", ["maf"]),
        ("options", 3),
        ("options", "ab"),
        ("options", {"base": object()}),
        ("data", None),
        ("data", np.ones([5, 2])),
        ("columns", b"x"),
        ("columns", "x"),
        ("context_columns", [1.5]),
        ("key", 3),
        ("epochs", print),
        ("learning_rate", True),
        ("seed", "a"),
        ("device", 3),
        ("checkpoint_every", "often"),
        ("force", "yes"),
        ("verbose", "loud"),
    ],
)
def test_options_of_wrong_types_are_refused_before_there_is_a_folder(option, value, tmp_path):
    arguments = {"folder": tmp_path / "run", "flow": "mlp", "data": "gaussian", "verbose": False, option: value}
    with pytest.raises(tff.InputError, match=option):
        tff.Run.train(**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_numbers_of_numpy_are_numbers(tmp_path):
    sizes = {"epochs": np.int64(1), "steps_per_epoch": np.int32(2), "learning_rate": np.float32(0.01)}
    options = {"num_layers": np.int64(1), "hidden_units": [np.int64(8)]}
    run = tff.Run.train(tmp_path / "run", flow="nice", options=options, data="gaussian", verbose=False, **sizes)
    assert run.settings["epochs"] == 1
    assert run.flow.log_prob([[0.0, 0.0]]).shape == [1]


def _made(folder):
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_kills_lose_nothing():
    """A sample of benchmarks/kills.py, in processes of their own."""
    script = [sys.executable, "benchmarks/kills.py", "--number", "1", "--jobs", "1", "--seed", "5", "--epochs", "8"]
    done = subprocess.run(
        script, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["kills"] >= 1
    assert counts["lost"] == counts["mixed"] == counts["different"] == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "kill"), reason="signals")
def test_sigterm_ends_the_command_with_143_after_a_checkpoint(tmp_path):
    words = ["train", "--flow", "mlp", "--data", "gaussian", "--num-layers", "1", "--epochs", "100000"]
    code = "from tfp_flows.cli import main; main()"
    command = [sys.executable, "-c", code, *words, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "training" / "checkpoint.npz").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    first = (tmp_path / "run" / "training" / "checkpoint.npz").stat().st_mtime_ns
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 143
    assert (tmp_path / "run" / "training" / "checkpoint.npz").stat().st_mtime_ns > first
    lines = [line for line in err.splitlines() if line.strip() and not line.startswith("epoch")]
    assert len(lines) == 1, err
    assert lines[0].startswith("tfp-flows: stopped by a signal")
    assert (out, (tmp_path / "run" / LOCK).exists()) == ("", False)


@pytest.mark.parametrize("force", mostly_slow([False, True], 0, 1))
def test_a_run_that_appears_meanwhile_is_left_alone(force, tmp_path):
    """Copied there by somebody who knows nothing of locks."""
    settings = {"flow": "mlp", "options": {"num_layers": 1}, "data": "gaussian", "epochs": 1, "steps_per_epoch": 5}
    other = tff.Run.train(tmp_path / "other", **settings, seed=1, verbose=False)
    folder = tmp_path / "run"
    if force:
        tff.Run.train(folder, **settings, seed=2, verbose=False)
    claimed = RunFolder.commit

    def copied_before(self, fill):
        shutil.copytree(other.folder, self.path, dirs_exist_ok=True)
        claimed(self, fill)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "commit", copied_before)
        with pytest.raises(tff.InputError, match=r"came meanwhile and are left alone: its own are in .*run-2, where"):
            tff.Run.train(folder, **settings, seed=3, force=force, verbose=False)
    left = tff.Run.open(folder)
    assert (left.is_finished, left.metrics) == (True, other.metrics)
    found = tff.Run.open(f"{folder}-2").resume(verbose=False)
    assert found.is_finished
    expected = tff.Run.train(tmp_path / "alone", **settings, seed=3, verbose=False)
    assert (found.history, found.metrics["nll"]) == (expected.history, expected.metrics["nll"])


@pytest.mark.slow
@pytest.mark.parametrize("has_results", [False, True])
def test_force_loses_no_training_to_one_that_cannot_begin(has_results, tmp_path):
    """What has not ended is somebody's work, until there is something in its place."""
    folder = tmp_path / "run"
    if has_results:  # the best weights so far, as Ctrl-C leaves them
        tff.Run.train(folder, flow="mlp", options={"num_layers": 1}, data="gaussian", epochs=1, verbose=False)
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "config.json").write_text("{}")
    (folder / "training" / "checkpoint.npz").write_text("hours of work")
    with pytest.raises(tff.InputError, match="nope"):
        tff.Run.train(folder, flow="mlp", data="nope.csv", force=True)
    assert (folder / "training" / "checkpoint.npz").read_text() == "hours of work"
    run = tff.Run.train(
        folder, flow="mlp", options={"num_layers": 1}, data="gaussian", epochs=1, force=True, verbose=False
    )
    assert run.is_finished
    assert {path.name for path in folder.iterdir()} == {"config.json", "flow.npz", "history.csv", "metrics.json"}


@pytest.mark.parametrize(("given", "used"), [({}, 0.0), ({"weight_decay": 0.25}, 0.25)])
def test_metrics_say_which_decay_there_was(given, used, tmp_path):
    options = {"flow": "mlp", "options": {"num_layers": 1}, "data": "gaussian", "epochs": 1, "steps_per_epoch": 2}
    run = tff.Run.train(tmp_path / "run", **options, **given, verbose=False)
    assert run.metrics["weight_decay"] == used


@pytest.mark.slow
def test_a_run_without_metrics_is_measured_when_it_is_resumed(tmp_path):
    options = {"flow": "mlp", "options": {"num_layers": 1}, "data": "gaussian", "epochs": 1, "verbose": False}
    run = tff.Run.train(tmp_path / "run", **options)
    before = run.metrics
    (tmp_path / "run" / "metrics.json").unlink()
    assert tff.Run.open(tmp_path / "run").resume().metrics["nll"] == pytest.approx(before["nll"], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "value"), [("options", [1]), ("seed", "x"), ("data", 3), ("device", 7), ("epochs", None)]
)
def test_an_edited_training_is_refused_in_one_sentence(name, value, tmp_path):
    folder = tmp_path / "run"
    (folder / "training").mkdir(parents=True)
    settings = {"flow": "mlp", "options": {}, "data": "gaussian", "columns": None, "key": None, "epochs": 1, "seed": 0}
    settings |= {"batch_size": 500, "learning_rate": 0.01, "patience": None, "steps_per_epoch": None, "device": None}
    settings[name] = value
    write_json(folder / "training" / "config.json", {"format": 1, "kind": "train", "settings": settings})
    with pytest.raises(tff.InputError) as caught:
        tff.Run.open(folder).resume(verbose=False)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("options", -1), ("options", [[]]), ("flows", "maf"), ("folder", "x"), ("force", True), ("verbose", 1)),
        *(("data_options", -1), ("data_options", {"noisy": 1}), ("data_options", {"noise": "x"})),
    ],
)
def test_edited_settings_are_refused_in_one_sentence(name, value, tmp_path):
    """They go to `Run.train` as keyword arguments, and the command's options with them."""
    settings = {"flow": "maf", "options": {}, "data": "two_moons", "seed": 0, "epochs": 1, "learning_rate": 0.1}
    settings[name] = value
    write_json(tmp_path / "config.json", {"kind": "train", "settings": settings})
    with pytest.raises(
        tff.InputError, match=r"config.json has settings that do not work: |two_moons has no option|noise (is|must)"
    ) as caught:
        _ = tff.Run.open(tmp_path).settings
    assert "bind" not in str(caught.value)


@pytest.mark.parametrize("name", ["flow", "options", "data", "epochs", "learning_rate", "seed"])
def test_settings_that_are_missing_are_not_replaced_by_others(name, trained, tmp_path):
    settings = {key: value for key, value in trained.settings.items() if key != name}
    write_json(tmp_path / "config.json", {"kind": "train", "settings": settings})
    with pytest.raises(tff.InputError, match=f"config.json does not say {name}, which its settings must have"):
        _ = tff.Run.open(tmp_path).settings


@pytest.mark.parametrize("name", ["event_size", "context_size", "seed"])
def test_options_of_a_chain_that_the_run_gives_are_refused(name, tmp_path):
    with pytest.raises(tff.InputError, match=f"^options: the run gives {name} to its chain itself"):
        tff.Run.train(tmp_path / "run", **SMALL | {"options": {name: 3}})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("data", "options", "octaves", "num_bins", "logit_bound"),
    [("siggraph", {}, 8, 64, 4.0), ("siggraph", {"octaves": 1}, 1, 64, 4.0), ("two_moons", {}, 0, 16, 2.0)],
)
def test_letters_are_trained_on_with_waves_and_fine_splines_as_they_have_edges(
    data, options, octaves, num_bins, logit_bound, trained
):
    small = {"num_layers": 1, "hidden_units": [4]}
    settings = trained.settings | {"flow": "nsf_coupling", "options": small | options, "data": data}
    known = _training(_whole(settings)).flow.config
    assert (known["octaves"], known["num_bins"], known["logit_bound"]) == (octaves, num_bins, logit_bound)
