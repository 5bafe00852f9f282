"""Chains that compute again what plain backpropagation keeps: the same values, the same gradients, less memory."""

import functools
import gc
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import SMALL, make_small, mostly_slow, scramble

import tfp_flows as tff
from tfp_flows.networks.dense import Dense

OPTION = dict.fromkeys(("maf", "iaf", "planar", "nsf", "naf"), "recompute") | dict.fromkeys(
    ("real_nvp", "nice", "nsf_coupling", "mlp", "glow"), "reversible"
)
ROWS = 6
# A network both ways, none, and one cheap direction; in the full run splines, and a solver without a network.
NAMES = ["real_nvp", "mlp", "maf", "nsf", "planar"]
every = pytest.mark.parametrize("name", mostly_slow([*NAMES, *sorted({*SMALL} - {*NAMES})], 2, 3))
of_0_1 = pytest.mark.parametrize("name", mostly_slow([*NAMES, *sorted({*SMALL} - {*NAMES, "glow"})], 2, 3))
# A compiler sees the chain, not the layers' kinds: one that is undone, and one that is recomputed, with a solver.
compiled = pytest.mark.parametrize("name", mostly_slow(["maf", "nice"], 0, 1))


def make_deep(name, num_layers=4, **options):
    """A small flow in float64 with arbitrary weights, and a context where it can have one."""
    fixed = {"dtype": "float64", "num_layers": num_layers}
    if "hidden_units" in SMALL[name]:
        fixed |= {"hidden_units": (4, 4), "context_size": 2}
    if name in ("maf", "real_nvp"):
        fixed["batch_norm"] = False
    return scramble(make_small(name, 3, **(fixed | options)))


@functools.cache
def pair(name, num_layers=4):
    """The same flow with a plain chain, and with one that forgets."""
    return make_deep(name, num_layers), make_deep(name, num_layers, **{OPTION[name]: True})


@functools.cache
def arguments(name):
    rng = np.random.default_rng(0)
    context = tf.constant(rng.normal(size=(ROWS, 2))) if "hidden_units" in SMALL[name] else None
    return tf.constant(rng.normal(size=(ROWS, 3))), context


def gradients(flow, x, context, draws=True):
    """Both directions, and the density of a sample: their values, and the gradients in all that they depend on."""
    weight = tf.range(1.0, ROWS + 1.0, dtype=tf.float64)
    inputs = [x] if context is None else [x, context]
    _, kwargs = flow._split_kwargs({"context": context})
    uses = [
        lambda: flow.log_prob(x, context=context),
        lambda: tf.reduce_sum(flow.bijector.forward(tf.identity(x), **kwargs) ** 2, axis=-1),
        lambda: flow.sample_and_log_prob(ROWS if context is None else (), seed=1, context=context)[1],
    ]
    found = []
    for use in uses if draws else uses[:2]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = use()
            loss = tf.reduce_sum(weight * tf.sin(value))
        sources = [*inputs, *flow.trainable_variables]
        found += [value, *tape.gradient(loss, sources, unconnected_gradients="zero")]
    return found


@functools.cache
def expected(name):
    return gradients(pair(name)[0], *arguments(name))


def assert_equal(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


@every
def test_gradients_are_those_of_autodiff(name):
    assert_equal(gradients(pair(name)[1], *arguments(name)), expected(name))


@compiled
def test_gradients_in_a_graph(name):
    assert_equal(tf.function(functools.partial(gradients, pair(name)[1]))(*arguments(name)), expected(name))


@compiled
def test_gradients_under_xla(name):
    """Without a sample: XLA draws other ones."""
    plain, frugal = pair(name, 2)
    compiled = tf.function(functools.partial(gradients, frugal, draws=False), jit_compile=True)
    assert_equal(compiled(*arguments(name)), gradients(plain, *arguments(name), draws=False))


@pytest.mark.slow
def test_gradient_of_a_compiled_function_from_outside():
    x, context = arguments("nice")
    found = []
    for flow in pair("nice", 2):
        log_prob = tf.function(lambda x, context, flow=flow: flow.log_prob(x, context=context))
        with tf.GradientTape(persistent=True) as tape:  # for which TensorFlow prepares second derivatives
            tape.watch([x, context])
            value = log_prob(x, context)
        found.append([value, *tape.gradient(value, [x, context, *flow.trainable_variables])])
    assert_equal(*found)


@pytest.mark.parametrize("name", ["real_nvp", "planar"])
def test_second_derivatives_are_those_of_autodiff(name):
    x, context = arguments(name)
    found = []
    for flow in pair(name, 2):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                value = flow.log_prob(x, context=context)
            score = inner.gradient(value, x)
            loss = tf.reduce_sum(score**3)
        found.append(outer.gradient(loss, [x, *flow.trainable_variables], unconnected_gradients="zero"))
    assert_equal(*found)


@pytest.mark.slow
@every
def test_values_in_both_directions_are_those_of_the_plain_chain(name):
    plain, frugal = (flow.bijector for flow in pair(name))
    x, context = arguments(name)
    _, kwargs = pair(name)[0]._split_kwargs({"context": context})
    for batch in (x, tf.reshape(x, [2, 3, 3])):
        if context is not None and batch.shape.rank != 2:
            kwargs = {layer: {"conditional_input": context[0]} for layer in kwargs}
        for direction in ("forward", "inverse"):
            values = [getattr(b, direction)(tf.identity(batch), **kwargs) for b in (plain, frugal)]
            log_dets = [
                getattr(b, f"{direction}_log_det_jacobian")(tf.identity(batch), event_ndims=1, **kwargs)
                for b in (plain, frugal)
            ]
            np.testing.assert_allclose(*values, atol=1e-12)
            np.testing.assert_allclose(*log_dets, atol=1e-12)
            assert log_dets[0].shape == log_dets[1].shape


def test_one_row_with_many_contexts():
    """The chain makes more rows of its input: the gradient in it is the sum over them."""
    x, context = arguments("maf")
    found = []
    for flow in pair("maf"):
        _, kwargs = flow._split_kwargs({"context": context})
        with tf.GradientTape() as tape:
            tape.watch(x)
            u = flow.bijector.inverse(x[:1], **kwargs)
        found.append([u, tape.gradient(u, x)])
    assert_equal(*found)


def test_value_and_log_det_come_from_one_evaluation(monkeypatch):
    calls = []
    call = tff.networks.MLP.__call__
    monkeypatch.setattr(tff.networks.MLP, "__call__", lambda self, *a, **k: calls.append(1) or call(self, *a, **k))
    x, context = arguments("real_nvp")
    flow = pair("real_nvp")[1]
    for use in (
        lambda: flow.log_prob(x, context=context),
        lambda: flow.sample(context=context),
        lambda: flow.sample_and_log_prob(context=context),
    ):
        calls.clear()
        use()
        assert len(calls) == 4


def test_results_follow_the_weights_while_old_ones_are_held():
    flow = make_deep("nice", context_size=0, reversible=True)
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3)))
    held = flow.log_prob(x), flow.bijector.inverse(x)
    for variable in flow.trainable_variables:
        variable.assign_add(0.1 * tf.ones_like(variable))
    assert np.all(flow.log_prob(x).numpy() != held[0].numpy())


def kept_by_the_graph(name, num_layers, **options):
    """Numbers of each row that the gradient takes from the pass before it, in the graph of a training step."""
    flow = make_deep(name, num_layers, context_size=0, **options) if name != "mlp" else make_deep(name, num_layers)
    kept = {}

    @tf.function(input_signature=[tf.TensorSpec([ROWS, 3], tf.float64)])
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(flow.log_prob(x))
        graph = tf.compat.v1.get_default_graph()
        before = set(graph.get_operations())
        found = tape.gradient(loss, flow.trainable_variables)
        for op in graph.get_operations():
            if op not in before:
                kept.update({t.ref(): t for t in op.inputs if t.op in before})
        return found

    step.get_concrete_function()
    rows = [t for t in kept.values() if t.shape.rank and t.shape[0] == ROWS]
    return sum(t.shape.num_elements() for t in rows) / ROWS


@pytest.mark.slow
def test_what_a_graph_keeps_for_the_gradient_does_not_grow_with_the_depth():
    plain = [kept_by_the_graph("real_nvp", depth) for depth in (1, 4)]
    assert plain[1] > 2 * plain[0], "the measure does not see what plain backpropagation keeps"
    few, many = (kept_by_the_graph("real_nvp", depth, reversible=True) for depth in (1, 4))
    assert few == many < 0.5 * plain[0]


@pytest.mark.slow
def test_what_a_graph_keeps_for_recomputing_is_the_inputs_of_segments():
    few, many = (kept_by_the_graph("maf", depth, recompute=True) for depth in (1, 4))
    assert many - few == 3  # one more segment, with an input of three numbers


@pytest.mark.slow
def test_what_eager_mode_keeps_for_the_gradient_does_not_grow_with_the_depth():
    rows = 1234

    def kept(num_layers, **options):
        flow = make_deep("real_nvp", num_layers, context_size=0, **options)
        with tf.GradientTape() as tape:
            log_prob = flow.log_prob(np.zeros([rows, 3]))
        gc.collect()
        # by its name, as `isinstance` asks a protocol of each of a million objects
        alive = (
            t for t in gc.get_objects() if type(t).__name__ == "EagerTensor" and t.shape.rank and t.shape[0] == rows
        )
        total = sum(t.shape.num_elements() for t in alive) / rows
        del tape, log_prob
        return total

    plain = [kept(depth) for depth in (1, 4)]
    assert plain[1] > 2 * plain[0], "the measure does not see what plain backpropagation keeps"
    few, many = (kept(depth, reversible=True) for depth in (1, 4))
    assert few == many < 0.5 * plain[0]


@every
def test_saved_and_loaded_flow_keeps_its_option(name, tmp_path):
    flow = make_deep(name, context_size=0, **{OPTION[name]: True})
    flow.save(tmp_path)
    loaded = tff.load(tmp_path)
    assert loaded.config[OPTION[name]] is True
    assert type(loaded.bijector) is type(flow.bijector)
    np.testing.assert_array_equal(flow.sample(5, seed=0), loaded.sample(5, seed=0))


@of_0_1
def test_a_run_that_was_saved_before_there_was_the_option_is_loaded(name, tmp_path):
    flow = make_deep(name, context_size=0)
    arrays = {v.name.removesuffix(":0"): v.numpy() for v in flow.variables}
    dense = [part for part in flow.submodules if isinstance(part, Dense) and part.kernels]
    # version 0.1 kept a small kernel whole, with the rows that its mask hides
    arrays |= {part.kernels[0].name.removesuffix(":0"): part.whole_kernel().numpy() for part in dense}
    np.savez(tmp_path / "weights.npz", **arrays)
    config = {key: value for key, value in flow.config.items() if key != OPTION[name]}
    (tmp_path / "config.json").write_text(json.dumps({"flow": config}, default=dict))
    np.testing.assert_array_equal(flow.sample(5, seed=0), tff.load(tmp_path).sample(5, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["real_nvp", pytest.param("maf", marks=pytest.mark.slow)])
def test_training_reproduces_the_losses_of_the_plain_flow(name):
    x = tff.datasets.two_moons().sample(400, seed=0)
    losses = []
    for options in ({}, {OPTION[name]: True}):
        flow = tff.make(name, event_size=2, num_layers=2, hidden_units=(8,), seed=0, **options)
        losses.append(tff.fit(flow, x, epochs=3, batch_size=100, verbose=False).history)
    assert losses[0]["nll"][-1] < losses[0]["nll"][0]
    for key, values in losses[0].items():
        np.testing.assert_allclose(losses[1][key], values, rtol=1e-3)


def test_batch_norm_can_be_recomputed_and_cannot_be_undone():
    x = np.random.default_rng(0).normal(size=(ROWS, 3))
    found = []
    for recompute in (False, True):
        flow = make_deep("maf", context_size=0, batch_norm=True, recompute=recompute)
        with tf.GradientTape() as tape:
            value = flow.log_prob(x, training=True)
        found.append([value, *tape.gradient(value, flow.trainable_variables)])
    assert_equal(*found)
    with pytest.raises(tff.InputError, match=r"reversible=True needs batch_norm=False.*got batch_norm=True"):
        tff.real_nvp(3, batch_norm=True, reversible=True)
    with pytest.raises(tff.InputError, match=r"cannot undo batch_norm, whose statistics"):
        tff.bijectors.ReversibleChain([tff.bijectors.BatchNorm(3)])


def test_a_layer_that_changes_the_number_of_dimensions_is_refused():
    with pytest.raises(tff.InputError, match=r"must keep the number of dimensions; fill takes 1 to 2"):
        tff.bijectors.RecomputingChain([tfp.bijectors.FillTriangular(name="fill")])


MIRRORED = """
import numpy as np, tensorflow as tf
import tfp_flows as tff
from tfp_flows.networks.dense import Dense
cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = tff.datasets.two_moons().sample(200, seed=0)
losses = []
for options in ({}, {"reversible": True}):
    with strategy.scope():
        flow = tff.real_nvp(event_size=2, num_layers=2, hidden_units=(8,), seed=0, **options)
    losses.append(tff.fit(flow, x, strategy=strategy, epochs=2, batch_size=40, verbose=False).history["nll"])
np.testing.assert_allclose(*losses, rtol=1e-3)
"""


@pytest.mark.slow
@pytest.mark.exhaustive
def test_several_devices():
    done = subprocess.run([sys.executable, "-c", MIRRORED], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
