"""A flow's state: what saves it gives it back to the last bit, and what is no state of it is refused."""

import copy
import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, SMALL, make_small, mostly_slow, scramble

import tfp_flows as tff
from tfp_flows import state
from tfp_flows.arrays import entries_of, whole_arrays
from tfp_flows.networks import dense

tfb = tfp.bijectors
WITH_CONTEXT = ("maf", "iaf", "real_nvp", "nice", "nsf_coupling")
X = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
CONTEXT = np.array([[0.1, -2.0], [0.5, 0.3], [3.0, 1.0]])


def build(name: str) -> tff.Flow:
    options = {"context_size": 2} if name in WITH_CONTEXT else {}
    flow = scramble(make_small(name, 2, **options))
    flow.columns = ["width", "height"]
    return flow


def scores(flow: tff.Flow) -> np.ndarray:
    return flow.log_prob(X, context=CONTEXT if flow.context_size else None).numpy()


def own_chain() -> tff.Flow:
    """Layers of this package and of TFP, two networks of one name, and a network that two layers share."""

    def network(seed: int) -> tff.networks.ShiftAndLogScale:
        made = tff.networks.MADE(2, hidden_units=(8,), context_size=2, seed=seed)
        return tff.networks.ShiftAndLogScale(made)

    shared = network(2)
    maf = tff.bijectors.MaskedAutoregressiveFlow
    layers = [
        tff.bijectors.Standardize(2),
        tfb.Scale(np.array([2.0, 0.5], "float32")),
        maf(network(0), name="a"),
        tff.bijectors.Permute([1, 0]),
        maf(network(1), name="b"),
        maf(shared, name="c"),
        tfb.Invert(maf(shared), name="d"),
        tfb.Chain([tfb.Shift(tf.Variable([1.0, 2.0], name="s")), tfb.Invert(tfb.SinhArcsinh(0.1))], name="e"),
        tff.bijectors.Planar(2),
    ]
    return scramble(tff.Flow(layers, event_size=2, context_size=2))


def through_a_folder(flow: tff.Flow, folder: Path) -> tff.Flow:
    flow.save(folder)
    return tff.load(folder)


def through_a_checkpoint(flow: tff.Flow, folder: Path) -> tff.Flow:
    other = scramble(flow.copy(), seed=1)
    path = tf.train.Checkpoint(flow=flow).write(str(folder / "checkpoint"))
    tf.train.Checkpoint(flow=other).read(path).assert_consumed()
    return other


# Each layer has its own test below, and every chain is saved and loaded in test_flows.py
MARKS = {"maf": (), "nsf_coupling": pytest.mark.slow, "planar": EXHAUSTIVE, "naf": EXHAUSTIVE}
WAYS = {
    "folder": through_a_folder,
    "checkpoint": through_a_checkpoint,
    "deepcopy": lambda flow, _: copy.deepcopy(flow),
    "pickle": lambda flow, _: pickle.loads(pickle.dumps(flow)),
    "method": lambda flow, _: flow.copy(),
}


@pytest.mark.parametrize("way", mostly_slow(list(WAYS), 3))
@pytest.mark.parametrize(
    "make", [own_chain, *(pytest.param(lambda n=n: build(n), id=n, marks=MARKS[n]) for n in MARKS)]
)
def test_gives_the_flow_back_to_the_last_bit(make, way, tmp_path):
    flow = make()
    again = WAYS[way](flow, tmp_path)
    np.testing.assert_array_equal(scores(again), scores(flow))
    assert again.summary() == flow.summary()
    assert tuple(again.columns or ()) == tuple(flow.columns or ())
    assert not {id(v) for v in again.variables} & {id(v) for v in flow.variables}
    again.trainable_variables[0].assign_add(tf.ones_like(again.trainable_variables[0]))
    assert np.any(scores(again) != scores(flow))


def test_a_shallow_copy_has_the_same_variables():
    flow = build("maf")
    assert [id(v) for v in copy.copy(flow).variables] == [id(v) for v in flow.variables]


def _score_in_a_process(flow: tff.Flow) -> tuple[tff.Flow, np.ndarray]:
    return flow, scores(flow)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_goes_to_a_process_and_comes_back():
    flow = build("maf")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        again, there = pool.apply(_score_in_a_process, (flow,))
    np.testing.assert_array_equal(there, scores(flow))
    np.testing.assert_array_equal(scores(again), scores(flow))


RETURNED = """
import multiprocessing
import os
import tfp_flows as tff

class Twice(tff.bijectors.Scale):
    pass

def make(_):
    return tff.Flow([Twice(2)], event_size=2), tff.bijectors.ActNorm(2)

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        flow, layer = pool.apply_async(make, (0,)).get(timeout=300)
    print(type(flow.layers[0]).__name__, flow.log_prob([0.0, 0.0]).shape, layer.name)
"""


@pytest.mark.slow
def test_comes_back_to_a_process_that_has_none(tmp_path):
    """A pickle of a flow is all that another process needs; a script's own layers are found there too."""
    (tmp_path / "script.py").write_text(RETURNED)
    command = [sys.executable, str(tmp_path / "script.py")]
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=os.environ | path, capture_output=True, text=True, check=False)
    assert done.stdout == "Twice () act_norm\n", done.stderr[-2000:]
    (tmp_path / "flow.pickle").write_bytes(pickle.dumps(build("maf")))
    code = f"import pickle; print(type(pickle.load(open({str(tmp_path / 'flow.pickle')!r}, 'rb'))).__name__)"
    done = subprocess.run(
        [*command[:1], "-c", code], env=os.environ | path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "Flow\n", done.stderr[-2000:]


def _seeing_waves():
    return tff.networks.MLP(1, 2, 1, residual=True, features=tff.networks.Fourier(2), seed=0)


def _of_images():
    return tff.networks.ConvNet((3, 1), 1, 1, hidden_channels=4, seen=[1], asked=[0, 2], seed=0)


AFFINE_OF_SPLINE = tff.elementwise.Composed((tff.elementwise.Affine(), tff.elementwise.Spline(5, 2.0)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tff.bijectors.ActNorm(3),
        lambda: tff.bijectors.Affine(3, rng=np.random.default_rng(0)),
        lambda: tff.bijectors.Autoregressive(tff.networks.MADE(3, 14, seed=0), tff.elementwise.Spline(5, 2.0)),
        lambda: tff.bijectors.BatchNorm(3),
        lambda: tff.bijectors.ChannelMixing(1, 3, rng=np.random.default_rng(0)),
        lambda: tff.bijectors.Circle([0.0, None, -3.0], [24.0, None, 3.0]),
        lambda: tff.bijectors.Autoregressive(tff.networks.MADE(3, 16, seed=0), AFFINE_OF_SPLINE),
        lambda: tff.bijectors.Coupling(1, tff.networks.MLP(1, 2, seed=0), tff.elementwise.Affine(2.0)),
        lambda: tff.bijectors.Coupling(1, _of_images(), tff.elementwise.Affine(2.0)),
        lambda: tff.bijectors.LeakyReLU(0.5, smoothness=0.2),
        lambda: tff.bijectors.MaskedAutoregressiveFlow(tff.networks.MADE(3, hidden_units=(4,), seed=0)),
        lambda: tff.bijectors.NICE(1, tff.networks.ShiftAndLogScale(tff.networks.MLP(1, 2, params=1, seed=0))),
        lambda: tff.bijectors.Permute([2, 0, 1]),
        lambda: tff.bijectors.Planar(3),
        lambda: tff.bijectors.RealNVP(
            num_masked=1, shift_and_log_scale_fn=tff.networks.ShiftAndLogScale(tff.networks.MLP(1, 2, seed=0))
        ),
        lambda: tff.bijectors.RecomputingChain([tff.bijectors.Planar(3), tff.bijectors.Scale(3)]),
        lambda: tff.bijectors.ReversibleChain([tff.bijectors.Planar(3), tff.bijectors.Scale(3)]),
        lambda: tff.bijectors.Power(3, keep=[1]),
        lambda: tff.bijectors.Rotate(3, [0, 2]),
        lambda: tff.bijectors.Scale(3),
        lambda: tff.bijectors.SplineCoupling(1, tff.networks.MLP(1, 2, params=3 * 4 - 1, seed=0)),
        lambda: tff.bijectors.Standardize(3),
        lambda: tff.bijectors.Standardize(3, whiten=True),
        lambda: tff.bijectors.NICE(1, tff.networks.ShiftAndLogScale(_seeing_waves())),
        lambda: tff.bijectors.Support([0.0, None, -40.0], [None, 30.0, 40.0]),
    ],
)
def test_every_layer_can_be_copied(make):
    layer = scramble(make())
    x = np.linspace(-1.0, 1.0, 6, dtype="float32").reshape(2, 3)
    for again in (layer.copy(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again.forward(x), layer.forward(x))
        assert again != layer
        assert again.name == layer.name
    assert layer.copy(name="another").name == "another"
    np.testing.assert_array_equal(layer.copy(name="another").forward(x), layer.forward(x))


def test_every_layer_that_can_be_copied_is_tested():
    """A new layer needs a line above: the ones that are there are named in it by their constructors."""
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f"tff.bijectors.{name}(" in source for name in tff.bijectors.__all__)


def test_networks_can_be_copied():
    made = scramble(tff.networks.MADE(3, hidden_units=(4,), order="random", seed=0))
    np.testing.assert_array_equal(copy.deepcopy(made)(np.ones((2, 3), "float32")), made(np.ones((2, 3), "float32")))


def test_a_shared_network_is_shared_again(tmp_path):
    again = through_a_folder(own_chain(), tmp_path)
    assert again.layers[5]._shift_and_log_scale_fn is again.layers[6].bijector._shift_and_log_scale_fn


def test_what_is_saved_does_not_depend_on_the_layout_in_memory(tmp_path, monkeypatch):
    """Stripes and transposition are chosen for speed: another version of the package may choose others."""
    flow = scramble(tff.maf(16, num_layers=1, hidden_units=(48, 32), seed=0))
    flow.save(tmp_path / "whole")
    path = tf.train.Checkpoint(flow=flow).write(str(tmp_path / "checkpoint"))
    monkeypatch.setattr(dense, "STRIPE", 8)
    monkeypatch.setattr(dense, "WORTH_SAVING", 1)
    cut = tff.load(tmp_path / "whole")
    assert len(cut.variables) > len(flow.variables)
    assert list(whole_arrays(cut)) == list(whole_arrays(flow))
    x = np.random.default_rng(0).normal(size=(5, 16))
    np.testing.assert_allclose(cut.log_prob(x), flow.log_prob(x), rtol=1e-5)
    other = scramble(tff.maf(16, num_layers=1, hidden_units=(48, 32), seed=0), seed=1)
    tf.train.Checkpoint(flow=other).read(path).assert_consumed()
    for name, value in whole_arrays(flow).items():
        np.testing.assert_array_equal(whole_arrays(cut)[name], value)
        np.testing.assert_array_equal(whole_arrays(other)[name], value)


def test_names_are_those_of_layers_and_kernels_are_whole():
    flow = tff.maf(2, num_layers=2, hidden_units=(8,), seed=0)
    shapes = {name: entry.shape for name, entry in entries_of(flow).items()}
    assert shapes["maf1/layer1/kernel"] == (8, 4)
    assert shapes["standardize/loc"] == (2,)
    assert len(shapes) == len(flow.variables)


@pytest.mark.parametrize("name", ["maf", "iaf", "nsf_coupling"])
def test_version_0_1_is_read(name):
    folder = Path(__file__).parent / "data" / "format_0_1" / name
    np.testing.assert_allclose(scores(tff.load(folder)), np.load(folder / "log_prob.npy"), rtol=2e-5)


def test_stripes_of_version_0_1_are_put_together(tmp_path):
    """Kernels of 512 columns were two stripes there, each only as high as its mask reaches."""
    flow = scramble(tff.maf(16, num_layers=1, hidden_units=(512, 512), power=False, seed=0))
    weights = {k: v.astype("float32") for k, v in whole_arrays(flow).items() if "kernel" not in k}
    for name, entry in entries_of(flow).items():
        if "kernel" in name:
            whole, mask = entry.read(), entry.source.mask.numpy()
            pieces = [slice(0, 256), slice(256, 512)] if whole.shape == (512, 512) else [slice(None)]
            for i, piece in enumerate(pieces):
                height = np.flatnonzero(mask[:, piece].any(axis=1))[-1] + 1 if len(pieces) > 1 else len(whole)
                stripe = whole[:height, piece]
                weights[f"{name}{i}"] = stripe.T if whole.shape[0] >= 2 * stripe.shape[1] else stripe
    np.savez(tmp_path / "weights.npz", **weights)
    (tmp_path / "config.json").write_text(json.dumps({"flow": flow.config}, default=dict))
    again = tff.load(tmp_path)
    for name, value in whole_arrays(flow).items():
        np.testing.assert_allclose(whole_arrays(again)[name], value, rtol=1e-6)


def test_saving_over_a_run_of_version_0_1_leaves_one_flow(tmp_path):
    old = tff.load(Path(__file__).parent / "data" / "format_0_1" / "iaf")
    np.savez(tmp_path / "weights.npz", a=np.ones(2))
    old.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"flow.npz"}
    np.testing.assert_array_equal(scores(tff.load(tmp_path)), scores(old))


def test_layers_that_cannot_be_written_down_are_read_into_a_flow(tmp_path):
    def build_foreign(seed: int, activation: str = "tanh") -> tff.Flow:
        network = tfb.AutoregressiveNetwork(params=2, hidden_units=[4], event_shape=[2], activation=activation)
        network.build([2])
        layers = [tff.bijectors.Standardize(2), tff.bijectors.MaskedAutoregressiveFlow(network, name="maf")]
        return scramble(tff.Flow(layers, event_size=2), seed=seed)

    flow, other = build_foreign(0), build_foreign(1)
    flow.save(tmp_path)
    with pytest.raises(tff.InputError, match=r"tff.load\(folder, into=flow\)"):
        tff.load(tmp_path)
    assert tff.load(tmp_path, into=other) is other
    np.testing.assert_array_equal(scores(other), scores(flow))
    with pytest.raises(tff.InputError, match="AutoregressiveNetwork, which cannot be written down"):
        copy.deepcopy(flow)


def test_reading_into_a_flow_of_other_options_is_refused(tmp_path):
    flow = make_small("maf", 2)
    flow.save(tmp_path)
    other = scramble(make_small("maf", 2, activation="tanh"))
    before = scores(other)
    with pytest.raises(tff.InputError, match="belongs to a flow with other layers or options"):
        tff.load(tmp_path, into=other)
    np.testing.assert_array_equal(scores(other), before)
    tff.load(tmp_path, into=tff.make("maf", **SMALL["maf"], event_size=2, seed=5))  # the start is no option


# What is refused.


@pytest.fixture
def folder(tmp_path):
    build("maf").save(tmp_path / "run")
    return tmp_path / "run"


def spoil(folder: Path, change) -> None:
    """Writes the archive again, its members changed by `change(members)`, a dictionary of bytes."""
    with zipfile.ZipFile(folder / "flow.npz") as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(folder / "flow.npz", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def spoil_header(change, *, forge: bool = False):
    """A change of the header; with `forge`, its hash is made to fit again."""

    def apply(members: dict[str, bytes]) -> None:
        header = json.loads(members["flow.json"])
        change(header)
        if forge:
            header.pop("sha256", None)
            arrays = {n.removesuffix(".npy"): np.load(io.BytesIO(m)) for n, m in members.items() if n != "flow.json"}
            header["sha256"] = state._hash_of(header, arrays)
        members["flow.json"] = json.dumps(header).encode()

    return lambda folder: spoil(folder, apply)


def spoil_array(name: str, value: np.ndarray):
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=True)
    return lambda folder: spoil(folder, lambda members: members.update({f"{name}.npy": buffer.getvalue()}))


def option(header: dict, layer: int, **changes) -> None:
    header["recipe"]["with"]["layers"][layer]["with"].update(changes)


def network(header: dict, **changes) -> None:
    maf = next(layer for layer in header["recipe"]["with"]["layers"] if layer["make"] == "MaskedAutoregressiveFlow")
    maf["with"]["shift_and_log_scale_fn"]["with"]["network"]["with"].update(changes)


class Loud:
    """A pickle that tells when it is opened."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "flow.npz").unlink(), "holds no run: flow.npz is missing"),
        (lambda f: (f / "flow.npz").write_bytes(b"junk"), "flow.npz cannot be read"),
        (lambda f: (f / "flow.npz").write_bytes((f / "flow.npz").read_bytes()[:200]), "flow.npz cannot be read"),
        (lambda f: spoil(f, lambda m: m.pop("flow.json")), "holds no flow.json"),
        (lambda f: spoil(f, lambda m: m.update({"flow.json": b"{"})), "cannot be read"),
        (lambda f: spoil(f, lambda m: m.update({"flow.json": b"[]"})), "must hold a JSON object; got list"),
        (lambda f: spoil(f, lambda m: m.update({"flow.json": DEEP.encode()})), "cannot be read"),
        (lambda f: spoil(f, lambda m: m.pop("standardize/loc.npy")), "was changed after it was written"),
        (spoil_header(lambda h: h.update(format=2, versions={"tfp_flows": "9.9"})), "has format 2, of tfp_flows 9.9"),
        (spoil_header(lambda h: h.pop("format")), "no header of format 1"),
        (spoil_header(lambda h: h.update(columns=["height", "width"])), "was changed after it was written"),
        (spoil_header(lambda h: network(h, activation="tanh")), "was changed after it was written"),
        (spoil_array("standardize/loc", np.array([5.0, 5.0])), "was changed after it was written"),
        (spoil_array("standardize/loc", np.array([Loud()], object)), "is no plain array of numbers"),
        # the same with a hash that fits
        (spoil_header(lambda h: h["recipe"].update(make="Glow"), forge=True), "got 'Glow'"),
        (spoil_header(lambda h: h["recipe"].update(make="tfb.Bijector.copy"), forge=True), "got 'tfb.Bijector.copy'"),
        (spoil_header(lambda h: option(h, 0, depth=3), forge=True), "nothing can be built from"),
        (spoil_header(lambda h: option(h, 0, event_size=10**9), forge=True), "more numbers than were saved"),
        (spoil_header(lambda h: network(h, hidden_units=[10**9]), forge=True), "more numbers than were saved"),
        (spoil_header(lambda h: network(h, hidden_units=[9, 9]), forge=True), "must be float32"),
        (spoil_header(lambda h: network(h, hidden_units={"dict": {}}), forge=True), "hidden_units must be a list"),
        (spoil_header(lambda h: h["recipe"].update({"with": 3}), forge=True), "nothing can be built from"),
        (spoil_header(lambda h: h.update(recipe=None), forge=True), r"into=flow"),
    ],
)
def test_a_spoilt_file_is_refused_with_one_sentence(folder, damage, message):
    damage(folder)
    with pytest.raises(tff.InputError, match=message) as caught:
        tff.load(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_a_compressed_member_is_not_unpacked(folder):
    """A zip bomb of a few kilobytes could fill the memory."""
    with zipfile.ZipFile(folder / "flow.npz", "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.npy", bytes(10_000_000))
    with pytest.raises(tff.InputError, match="are compressed, or larger than the file"):
        tff.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "ffjord"}, "flow must be one of"),
        ({"depth": 3}, "maf takes the options"),
        ({"hidden_units": [9]}, "has an array too many|has no array|another shape"),
        ({"hidden_units": [10**9]}, "more numbers than were saved"),
        ({"num_layers": 10**9}, "num_layers must be an integer of at most 10000"),
        ({"event_size": 10**9}, "more numbers than were saved"),
        ({"permutation": 7}, "nothing can be built from"),
        ({"seed": -1}, "seed must be"),
        ({"log_scale_bound": "wide"}, "nothing can be built from|log_scale_bound"),
    ],
)
def test_an_edited_config_of_version_0_1_is_refused(change, message, tmp_path):
    source = Path(__file__).parent / "data" / "format_0_1" / "maf"
    (tmp_path / "weights.npz").write_bytes((source / "weights.npz").read_bytes())
    config = json.loads((source / "config.json").read_text())
    config["flow"] |= change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(tff.InputError, match=message):
        tff.load(tmp_path)


def test_a_value_that_is_not_finite_is_neither_written_nor_read(folder, tmp_path):
    flow = tff.load(folder)
    flow.trainable_variables[0].assign(flow.trainable_variables[0] * np.nan)
    with pytest.raises(tff.InputError, match="holds nan; expected finite numbers"):
        flow.save(folder)
    np.testing.assert_array_equal(scores(tff.load(folder)), scores(build("maf")))
    spoil_array("standardize/loc", np.array([np.inf, 0.0]))(folder)
    spoil_header(lambda header: None, forge=True)(folder)
    with pytest.raises(tff.InputError, match="standardize/loc holds inf"):
        tff.load(folder)


def test_a_crash_while_saving_leaves_the_flow_that_was_there(folder, monkeypatch):
    before = scores(tff.load(folder))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        scramble(tff.load(folder), seed=5).save(folder)
    monkeypatch.undo()
    np.testing.assert_array_equal(scores(tff.load(folder)), before)
    assert [path.name for path in folder.iterdir()] == ["flow.npz"]
