"""A SavedModel of a flow, loaded where neither this package nor TFP can be imported."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import make_small, mostly_slow, scramble

import tfp_flows as tff

PLAIN = """
import sys
sys.modules["tfp_flows"] = sys.modules["tensorflow_probability"] = None
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load("{folder}")
given = dict(np.load("{folder}/given.npz"))
context = [given["context"]] if "context" in given else []
seed = tf.constant([0, 7])
found = dict(
    log_prob=loaded.log_prob(given["x"], *context),
    wide=loaded.log_prob(given["x"].astype("float64"), *(c.astype("float64") for c in context)),
    encode=loaded.encode(given["x"], *context), decode=loaded.decode(given["u"], *context),
    sample=loaded.sample(*(context or [tf.constant(5)]), seed),
    far=loaded.sample_in_float64(*(context or [tf.constant(5)]), seed),
    few=loaded.log_prob(given["x"][:2], *(c[:2] for c in context)),
)
named = {{"context": tf.constant(context[0])}} if context else {{}}
(found["signature"],) = loaded.signatures["log_prob"](x=tf.constant(given["x"]), **named).values()
assert set(loaded.signatures) == {{"log_prob", "sample", "sample_in_float64", "encode", "decode"}}
np.savez("{folder}/found.npz", **found)
"""


@pytest.mark.parametrize(
    ("name", "options"),
    mostly_slow(
        [
            ("maf", {"context_size": 2, "num_layers": 1}),
            ("nsf_coupling", {"num_layers": 1, "circular": {0: 24.0}}),
        ],
        *(0, 1),
        several=True,
    ),
)
def test_plain_tensorflow_loads_what_is_exported(name, options, tmp_path, rng):
    flow = scramble(make_small(name, 3, **options))
    x, u = rng.normal(size=(2, 5, 3)).astype("float32")
    context = rng.normal(size=(5, 2)).astype("float32") if flow.context_size else None
    kwargs = {} if context is None else {"context": context}
    flow.export(tmp_path / "saved")
    np.savez(tmp_path / "saved" / "given.npz", x=x, u=u, **kwargs)
    code = PLAIN.format(folder=tmp_path / "saved")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "saved" / "found.npz")
    names = ("log_prob", "encode", "decode", "sample", "sample_in_float64")
    graph = {name: tf.function(getattr(flow, name)) for name in names}
    log_prob = graph["log_prob"](x, **kwargs).numpy()  # eagerly, the last bits are other ones
    for key, expected in {
        "log_prob": log_prob,
        "wide": log_prob,
        "few": log_prob[:2],
        "signature": log_prob,
        "encode": graph["encode"](x, **kwargs),
        "decode": graph["decode"](u, **kwargs),
        "sample": graph["sample"](() if kwargs else 5, seed=7, **kwargs),
        "far": graph["sample_in_float64"](() if kwargs else 5, seed=7, **kwargs),
    }.items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-6, atol=1e-6, err_msg=key)


@pytest.mark.slow
def test_exported_samples_have_all_their_digits(tmp_path):
    flow = make_small("nice", 2)
    flow.standardize(1.7e9 + np.random.default_rng(0).normal(size=(50, 2)))
    flow.export(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    x = loaded.sample_in_float64(tf.constant(100), tf.constant([0, 7]))
    assert x.dtype == tf.float64
    assert len(np.unique(x)) == 200  # float32 numbers are 128 apart there
    np.testing.assert_allclose(x, flow.sample_in_float64(100, seed=7), atol=1e-5)


@pytest.mark.slow
def test_saved_model_save_holds_the_functions(tmp_path, rng):
    flow, x = scramble(make_small("nice", 2)), rng.normal(size=(3, 2))
    tf.saved_model.save(flow, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.log_prob(x), flow.log_prob(x), rtol=1e-6)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(tff.InputError, match="in use, and not by a SavedModel"):
        make_small("nice", 2).export(tmp_path)


def scores(folder, x):
    loaded = tf.saved_model.load(str(folder))
    return loaded.log_prob(x).numpy()


def tiny():
    """A flow that is exported in no time."""
    return tff.Flow([tff.bijectors.Standardize(2), tff.bijectors.Affine(2)], event_size=2)


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_old_flow_and_a_folder_that_can_be_used(tmp_path, rng):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    one, other = (scramble(tiny(), seed=seed) for seed in (0, 1))
    x = tf.constant(rng.normal(size=(3, 2)).astype("float32"))
    one.export(tmp_path / "old")
    for name in ("old", "new"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # bytes: the graph has more, the variables less
        try:
            with pytest.raises(tff.InputError, match=rf"{name} cannot be written: "):
                other.export(tmp_path / name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_allclose(scores(tmp_path / "old", x), one.log_prob(x), rtol=1e-6)
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]
    (tmp_path / "new" / "variables").mkdir(parents=True)  # what a process that was killed may leave
    (tmp_path / "old" / "notes.txt").write_text("mine")
    for name in ("old", "new"):
        other.export(tmp_path / name)
        np.testing.assert_allclose(scores(tmp_path / name, x), other.log_prob(x), rtol=1e-6)
    assert (tmp_path / "old" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "old" / ".staged").exists()


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_no_mixture(tmp_path, monkeypatch):
    one, other = (scramble(tiny(), seed=seed) for seed in (0, 1))
    one.export(tmp_path)
    replace, killed = os.replace, []

    def kill(source, target):
        if killed or "saved_model" in str(source):
            killed.append(target)
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", kill)
    with pytest.raises(KeyboardInterrupt):
        other.export(tmp_path)
    monkeypatch.undo()
    with pytest.raises(OSError, match="SavedModel file does not exist"):
        tf.saved_model.load(str(tmp_path))
    other.export(tmp_path)


def test_an_export_says_nothing(tmp_path, caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        tiny().export(tmp_path)
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.records == []


@pytest.mark.parametrize("folder", [None, "", 3])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(tff.InputError, match="folder must be a path, a text; got"):
        tiny().export(folder)
