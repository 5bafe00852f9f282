"""Checkpoints: a training that was stopped ends with the same weights as one that never was, to the last bit.

test_processes.py runs this file again under tf_keras.
"""

import os
import signal
import threading

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, make_small, mostly_slow, scramble

import tfp_flows as tff
from tfp_flows.training.checkpoint import FILE

WIDE = tfp.distributions.MultivariateNormalDiag(tf.zeros(2), tf.fill([2], 9.0))
ROWS = tff.datasets.gaussian().sample(400, seed=0)
QUICK = {"verbose": False, "jit_compile": False, "epochs": 3}


class Stop(tf.keras.callbacks.Callback):
    """Does something at the n-th event of a training: an execution, the end of an epoch, the start of a validation."""

    def __init__(self, event, n, action):
        super().__init__()
        self.event, self.left, self.action = event, n, action

    def count(self, event):
        if event == self.event:
            self.left -= 1
            if self.left == 0:
                self.action()

    def on_train_batch_end(self, batch, logs=None):
        self.count("execution")

    def on_epoch_begin(self, epoch, logs=None):
        self.count("epoch")

    def on_test_begin(self, logs=None):
        self.count("validation")


def by_signal(number):
    return lambda: os.kill(os.getpid(), number)


def by_error():
    raise RuntimeError("the machine is on fire")


def rows_in_memory(flow, **options):
    """40 steps an epoch: two executions of 20, and batch norm's statistics."""
    return tff.fit(flow, ROWS, batch_size=9, **QUICK, **options)


def fresh_draws(flow, **options):
    return tff.fit(flow, tff.datasets.banana(), batch_size=8, steps_per_epoch=50, **QUICK, **options)


def stream(flow, **options):
    batches = tf.data.Dataset.from_tensor_slices(ROWS).shuffle(400, seed=3).batch(10)
    return tff.fit(flow, batches, **QUICK, **options)


def own_optimizer(flow, **options):
    optimizer = tf.keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
    return tff.fit(flow, ROWS, batch_size=9, optimizer=optimizer, patience=1, **QUICK, **options)


def student(flow, **options):
    teacher = scramble(make_small("mlp", 2, num_layers=1), 0.1, seed=2)
    return tff.distill(teacher, flow, batch_size=16, steps_per_epoch=50, **QUICK, **options)


TRAININGS = {
    rows_in_memory: lambda: make_small("real_nvp", 2, num_layers=2),
    fresh_draws: lambda: make_small("mlp", 2, num_layers=1),
    stream: lambda: make_small("mlp", 2, num_layers=1),
    own_optimizer: lambda: make_small("mlp", 2, num_layers=1),
    student: lambda: make_small("mlp", 2, num_layers=1),
}
_ends = {}


def never_stopped(train):
    """Weights and history of the training that nothing disturbs."""
    if train not in _ends:
        flow = TRAININGS[train]()
        history = train(flow)
        _ends[train] = [v.numpy() for v in flow.variables], history
    return _ends[train]


def assert_same_end(flow, history, train):
    weights, expected = never_stopped(train)
    for variable, value in zip(flow.variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert history.history == expected.history
    assert (history.epoch, history.best_epoch) == (expected.epoch, expected.best_epoch)


@pytest.mark.parametrize(
    ("train", "event", "action"),
    [
        pytest.param(
            rows_in_memory, "execution", by_signal(signal.SIGTERM), marks=[pytest.mark.slow, pytest.mark.kerases]
        ),
        pytest.param(rows_in_memory, "epoch", by_signal(signal.SIGINT), marks=EXHAUSTIVE),
        pytest.param(rows_in_memory, "validation", by_error, marks=[pytest.mark.slow, pytest.mark.kerases]),
        pytest.param(rows_in_memory, "validation", by_signal(signal.SIGINT), marks=EXHAUSTIVE),
        pytest.param(fresh_draws, "execution", by_error, marks=pytest.mark.slow),
        pytest.param(fresh_draws, "epoch", by_signal(signal.SIGTERM), marks=EXHAUSTIVE),
        pytest.param(stream, "execution", by_signal(signal.SIGINT), marks=EXHAUSTIVE),
        pytest.param(stream, "epoch", by_error, marks=pytest.mark.slow),
        pytest.param(own_optimizer, "execution", by_signal(signal.SIGTERM), marks=EXHAUSTIVE),
        pytest.param(own_optimizer, "epoch", by_error, marks=EXHAUSTIVE),
        pytest.param(student, "execution", by_signal(signal.SIGTERM), marks=pytest.mark.slow),
        pytest.param(student, "validation", by_error, marks=EXHAUSTIVE),
    ],
)
def test_a_stopped_training_ends_as_if_it_never_was(train, event, action, tmp_path):
    stop = Stop(event, 3 if event == "execution" else 2, action)
    with pytest.raises(RuntimeError if action is by_error else tff.TrainingInterrupted) as raised:
        train(TRAININGS[train](), checkpoint=tmp_path, callbacks=[stop])
    if action is not by_error:
        assert raised.value.signal in (signal.SIGTERM, signal.SIGINT)
        assert str(tmp_path / FILE) in str(raised.value)
    flow = scramble(TRAININGS[train](), seed=5)  # whatever it starts from
    assert_same_end(flow, train(flow, checkpoint=tmp_path), train)


@pytest.mark.parametrize("train", mostly_slow([rows_in_memory, stream, own_optimizer, fresh_draws, student], 0))
def test_every_checkpoint_leads_to_the_same_end(train, tmp_path, monkeypatch):
    """What SIGKILL leaves is one of the files that were written."""
    replace, kept = os.replace, []

    def keep(scratch, path):
        replace(scratch, path)
        kept.append(path.read_bytes())

    monkeypatch.setattr(os, "replace", keep)
    flow = TRAININGS[train]()
    assert_same_end(flow, train(flow, checkpoint=tmp_path, checkpoint_every=0), train)
    monkeypatch.undo()
    assert len(kept) >= 5
    for i in (1, len(kept) // 2, len(kept) - 2) if train is rows_in_memory else (len(kept) // 2,):
        (tmp_path / FILE).write_bytes(kept[i])
        flow = scramble(TRAININGS[train](), seed=i)
        assert_same_end(flow, train(flow, checkpoint=tmp_path), train)


@pytest.mark.kerases
@pytest.mark.slow
def test_a_training_that_has_ended_is_restored_and_says_so(tmp_path, capsys):
    rows_in_memory(make_small("real_nvp", 2, num_layers=2), checkpoint=tmp_path)
    flow = make_small("real_nvp", 2, num_layers=2)
    options = QUICK | {"verbose": True}
    history = tff.fit(flow, ROWS, batch_size=9, checkpoint=tmp_path, **options, callbacks=[Stop("epoch", 1, by_error)])
    assert_same_end(flow, history, rows_in_memory)
    assert "has ended: its weights are restored" in capsys.readouterr().err


@pytest.mark.kerases
@pytest.mark.slow
def test_early_stopping_is_announced_with_its_epoch_and_remembered(tmp_path, capsys):
    optimizer = tf.keras.optimizers.SGD(0.0)
    options = {"optimizer": optimizer, "patience": 2, "epochs": 20, "jit_compile": False}
    with pytest.warns(UserWarning, match="no epoch had a lower validation NLL"):
        history = tff.fit(make_small("nice", 2), ROWS, checkpoint=tmp_path, **options)
    err = capsys.readouterr().err
    assert (len(history.epoch), history.best_epoch) == (3, -1)
    assert "stopped after epoch 3, as 2 brought nothing better: the weights of the start are restored" in err


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A training that was stopped in its first epoch: its arguments, and its checkpoint."""
    folder = tmp_path_factory.mktemp("begun")
    given = {"flow": lambda: make_small("real_nvp", 2, num_layers=2), "x": ROWS, "batch_size": 9, **QUICK}
    arguments = given | {"flow": given["flow"](), "callbacks": [Stop("execution", 1, by_signal(signal.SIGINT))]}
    with pytest.raises(tff.TrainingInterrupted):
        tff.fit(**arguments, checkpoint=folder)
    return given, (folder / FILE).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    mostly_slow(
        [
            ({"epochs": 4}, "epochs was 3, and is 4"),
            ({"seed": 1}, "seed was 0, and is 1"),
            ({"learning_rate": 1e-3}, "it has other optimizer settings"),
            ({"x": ROWS + 1e-3}, "it has other rows"),
            ({"validation_data": ROWS}, "it has other validation rows"),
            ({"flow": lambda: make_small("nice", 2)}, "it has other variables"),
            ({"flow": lambda: make_small("real_nvp", 2, num_layers=2, mixing="none")}, "it has another flow"),
            ({"flow": lambda: make_small("real_nvp", 2, num_layers=2, log_scale_bound=1.0)}, "it has another flow"),
            ({"flow": lambda: make_small("real_nvp", 2, num_layers=2, base=WIDE)}, "it has another flow"),
        ],
        3,
        9,
        several=True,
    ),
)
def test_a_checkpoint_of_another_training_is_refused(change, message, begun, tmp_path):
    given, before = begun
    (tmp_path / FILE).write_bytes(before)
    given = given | change
    flow = given.pop("flow")()
    start = [v.numpy() for v in flow.variables]
    with pytest.raises(tff.InputError, match=f"is of another training: .*{message}"):
        tff.fit(flow, **given, checkpoint=tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    for variable, value in zip(flow.variables, start, strict=True):
        np.testing.assert_array_equal(variable, value)


class Unwritten(tfp.distributions.MultivariateNormalDiag):
    """A law of a class that no recipe can name, without variables."""

    def __init__(self, loc):
        super().__init__(loc=tf.fill([2], loc), scale_diag=tf.ones(2))


class Moved(Unwritten):
    """The same, somewhere else."""

    def __init__(self):
        super().__init__(5.0)


Moved.__name__ = "Unwritten"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teacher", "other"),
    mostly_slow(
        [
            (lambda: tfp.distributions.MultivariateNormalDiag(tf.zeros(2)), lambda: WIDE),
            (lambda: make_small("nice", 2), lambda: make_small("nice", 2, mixing="none")),
            (lambda: Unwritten(0.0), Moved),
        ],
        fast=1,
        slow=1,
        several=True,
    ),
)
@pytest.mark.filterwarnings("ignore:no epoch had a lower validation KL")
def test_a_checkpoint_of_another_teacher_is_refused(teacher, other, tmp_path):
    options = QUICK | {"epochs": 1, "steps_per_epoch": 2, "batch_size": 8, "checkpoint": tmp_path}
    student = make_small("mlp", 2, num_layers=1)
    tff.distill(teacher(), student, **options)
    ended = [v.numpy() for v in student.variables]
    again = make_small("mlp", 2, num_layers=1)
    with pytest.raises(tff.InputError, match="is of another training: it has another teacher"):
        tff.distill(other(), again, **options)
    tff.distill(teacher(), again, **options)
    for variable, value in zip(again.variables, ended, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_a_checkpoint_with_a_base_that_cannot_be_written_down_is_held_against_it(tmp_path):
    options = QUICK | {"epochs": 1, "checkpoint": tmp_path}
    build = lambda base: make_small("nice", 2, base=base)  # noqa: E731
    tff.fit(build(Unwritten(0.0)), ROWS, **options)
    flow = build(Moved())
    start = [v.numpy() for v in flow.variables]
    with pytest.raises(tff.InputError, match="belongs to a flow with another base than this one"):
        tff.fit(flow, ROWS, **options)
    for variable, value in zip(flow.variables, start, strict=True):
        np.testing.assert_array_equal(variable, value)
    tff.fit(build(Unwritten(0.0)), ROWS, **options)


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"junk", lambda b: b[:-900]])
def test_a_damaged_checkpoint_is_refused(spoil, begun, tmp_path):
    given, whole = begun
    (tmp_path / FILE).write_bytes(spoil(whole))
    with pytest.raises(tff.InputError, match="damaged or no checkpoint; delete it"):
        tff.fit(**given | {"flow": given["flow"]()}, checkpoint=tmp_path)


def test_a_folder_that_cannot_hold_a_checkpoint_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, message in (("file", "checkpoint must be a folder"), ("file/below", r"cannot hold the .* bytes")):
        with pytest.raises(tff.InputError, match=message):
            rows_in_memory(
                make_small("real_nvp", 2, num_layers=2),
                checkpoint=tmp_path / folder,
                callbacks=[Stop("epoch", 1, by_error)],
            )


@pytest.mark.slow
def test_a_disk_that_fills_up_meanwhile_ends_no_training(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))

    flow = make_small("real_nvp", 2, num_layers=2)
    try:
        with pytest.warns(UserWarning, match="no checkpoint: .* cannot be written: File too large"):
            history = rows_in_memory(
                flow, checkpoint=tmp_path, checkpoint_every=0, callbacks=[Stop("epoch", 2, fill_the_disk)]
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_same_end(flow, history, rows_in_memory)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.slow
def test_handlers_of_signals_are_put_back(tmp_path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    rows_in_memory(make_small("real_nvp", 2, num_layers=2), checkpoint=tmp_path)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.slow
def test_fit_works_outside_the_main_thread(tmp_path):
    flow, done = make_small("real_nvp", 2, num_layers=2), []
    thread = threading.Thread(target=lambda: done.append(rows_in_memory(flow, checkpoint=tmp_path)))
    thread.start()
    thread.join()
    assert_same_end(flow, done[0], rows_in_memory)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [None, 0.5])
def test_no_pass_or_draw_needs_the_ones_before(noise):
    """Batches are a function of the seed and of their number, noise and all."""
    from tfp_flows.training.noise import noise_for
    from tfp_flows.training.rows import as_source

    flow = tff.mlp(2, seed=0)
    options = {"flow": flow, "batch_size": 8, "validation_split": 0.1, "noise": noise_for(flow, noise, 0)}
    for x, steps in ((ROWS, None), (ROWS, 7), (tff.datasets.banana(), 20)):
        for in_blocks in (True, False):
            source = as_source(x, None, None, steps_per_epoch=steps, in_blocks=in_blocks, **options)
            at_once = max(1, source.in_blocks)
            steps_of = 3 * source.steps // at_once
            drawn = [b[0].numpy() for b in source.batches(0).take(steps_of)]
            for start in (1, source.steps // at_once, steps_of - 1):
                found = next(iter(source.batches(start * at_once)))[0].numpy()
                np.testing.assert_array_equal(found, drawn[start])


@pytest.mark.kerases
def test_our_pipelines_start_no_search_for_settings():
    """The iterator's destructor would wait for its thread, up to 19 s after the last epoch."""
    from tfp_flows.training.noise import noise_for
    from tfp_flows.training.rows import as_source, batches_of

    flow = tff.mlp(2, seed=0)
    options = {"flow": flow, "batch_size": 8, "validation_split": 0.1, "noise": noise_for(flow, None, 0)}
    for x in (ROWS, tff.datasets.banana()):
        source = as_source(x, None, None, steps_per_epoch=10, in_blocks=True, **options)
        for dataset in (source.batches(0), batches_of(source.validation, 100)):
            assert dataset.options().autotune.enabled is False
