"""Solving a MADE block by block: TFP's loop of D passes is what it must agree with, in values and in gradients."""

import functools
import importlib
import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, mostly_slow

import tfp_flows as tff
from tfp_flows.networks import dense
from tfp_flows.networks.solver import BLOCK, Plan
from tfp_flows.networks.solver import plan as plans
from tfp_flows.networks.solver.sweep import sweep

SIZES = [
    1,
    2,
    BLOCK,
    BLOCK + 1,
    3 * BLOCK,
    41,
]  # one dimension, one block, one more, whole blocks, a last one that is not


def made_of(event_size, hidden_units=(23, 31), dtype="float64", **options):
    """A network with weights far from their start."""
    made = tff.networks.MADE(event_size, hidden_units=hidden_units, dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(0.0, 0.4 / np.sqrt(variable.shape[0]), variable.shape))
    return made


def pair(made, bound=5.0):
    """Our layer, and TFP's with the same network."""
    network = tff.networks.ShiftAndLogScale(made, bound)
    return tff.bijectors.MaskedAutoregressiveFlow(network), tfp.bijectors.MaskedAutoregressiveFlow(network)


def test_a_wide_kernel_in_stripes_is_the_masked_kernel(monkeypatch):
    """Small networks keep their kernels whole: here they are cut, and nothing else may change."""
    monkeypatch.setattr(dense, "WORTH_SAVING", 1)
    monkeypatch.setattr(dense, "STRIPE", 16)
    cut = made_of(9, hidden_units=(64, 40))
    monkeypatch.undo()
    whole = made_of(9, hidden_units=(64, 40))
    for ours, theirs in zip(cut._layers, whole._layers, strict=True):
        theirs.assign_kernel(ours.whole_kernel().numpy())
        theirs.bias.assign(ours.bias)
        if len(ours.kernels) > 1:
            assert sum(v.shape.num_elements() for v in ours.kernels) < 0.8 * np.prod(ours.kernel_shape)
    assert [len(layer.kernels) for layer in cut._layers] == [4, 2, 1]
    u, _ = inputs(9, {}, (4,))
    for one, other in ((cut(u), whole(u)), (pair(cut)[0].forward(u), pair(whole)[0].forward(u))):
        np.testing.assert_allclose(one, other, atol=1e-12)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(u)
        shift = cut(u)[..., 0]
    assert (np.triu(tape.batch_jacobian(shift, u)) == 0).all()
    gradients = tape.gradient(shift, cut.trainable_variables)
    assert all(np.any(g.numpy() != 0) for g in gradients)


WAVES = {"features": tff.networks.Fourier(2)}
DAMPED = {"features": tff.networks.Fourier(damped_beyond=0.5)}
RESIDUAL = {"residual": True, "hidden_units": (24, 24, 24)}

CASES = {
    **{f"D = {d}": (d, {}) for d in SIZES},
    "waves": (11, WAVES),
    "waves in one block": (3, WAVES),
    "waves, no hidden layer": (11, WAVES | {"hidden_units": ()}),
    "damped": (11, DAMPED),
    "damped waves": (11, {"features": tff.networks.Fourier(2, damped_beyond=0.5)}),
    "residual": (19, RESIDUAL),
    "residual in one block": (3, RESIDUAL),
    "residual, context": (11, RESIDUAL | {"context_size": 2}),
    "all at once": (19, WAVES | RESIDUAL | {"context_size": 2, "order": "random"}),
    "no hidden layer": (11, {"hidden_units": ()}),
    "one narrow layer": (11, {"hidden_units": (3,)}),
    "three layers": (19, {"hidden_units": (40, 7, 64)}),
    "blocks of equal sizes": (24, {"hidden_units": (48, 24)}),
    "right to left": (19, {"order": "right-to-left"}),
    "random order": (19, {"order": "random"}),
    "shift alone": (19, {"params": 1}),
    **{f"context, D = {d}": (d, {"context_size": 3}) for d in (1, 2, 19)},
    "context, narrow": (11, {"context_size": 3, "hidden_units": (1, 2)}),
}
every_case = pytest.mark.parametrize(
    ("event_size", "options"),
    [
        pytest.param(*case, id=name, marks=((), EXHAUSTIVE, pytest.mark.slow, pytest.mark.slow, EXHAUSTIVE)[i % 5])
        for i, (name, case) in enumerate(CASES.items())
    ],
)


def inputs(event_size, options, batch=(5,)):
    rng = np.random.default_rng(2)
    u = tf.constant(rng.normal(size=(*batch, event_size)))
    context_size = options.get("context_size", 0)
    return u, {"conditional_input": tf.constant(rng.normal(size=(*batch, context_size)))} if context_size else {}


@every_case
def test_same_values_as_the_loop(event_size, options):
    ours, theirs = pair(made_of(event_size, **options))
    u, context = inputs(event_size, options)
    np.testing.assert_allclose(ours.forward(u, **context), theirs.forward(u, **context), atol=1e-10)
    np.testing.assert_allclose(
        ours.forward_log_det_jacobian(tf.identity(u), 1, **context),
        theirs.forward_log_det_jacobian(tf.identity(u), 1, **context) + tf.zeros(5, "float64"),
        atol=1e-10,
    )


@every_case
def test_same_gradients_as_the_loop(event_size, options):
    made = made_of(event_size, **options)
    u, context = inputs(event_size, options)
    weights = tf.constant(np.random.default_rng(3).normal(size=u.shape))
    found = []
    for layer in pair(made):
        with tf.GradientTape() as tape:
            sources = [u, *context.values(), *made.trainable_variables]
            tape.watch(sources)
            x = layer.forward(u, **context)
            log_det = layer.inverse_log_det_jacobian(x, 1, **context)
            loss = tf.reduce_sum(weights * tf.sin(x)) + tf.reduce_sum(tf.square(log_det))
        found.append(tape.gradient(loss, sources, unconnected_gradients="zero"))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event_size", "options"),
    mostly_slow(
        [
            (41, WAVES | RESIDUAL | {"hidden_units": (48, 48)}),
            (41, {}),
            (48, {"hidden_units": (96,), "context_size": 2}),
        ],
        1,
        1,
        several=True,
    ),
)
def test_the_same_in_stretches_of_several_blocks(event_size, options, monkeypatch):
    monkeypatch.setattr(plans, "STRETCHES", 1)
    plan = Plan([np.arange(1, event_size)], event_size, (1, 1))
    assert plan.stretches > 1
    assert plan.in_stretch > 1
    test_same_values_as_the_loop(event_size, options)
    test_same_gradients_as_the_loop(event_size, options)


@pytest.mark.parametrize("event_size", [2, pytest.param(2 * BLOCK + 3, marks=pytest.mark.slow)])
def test_equal_eagerly_in_a_graph_and_under_xla(event_size):
    made = made_of(event_size)
    u, _ = inputs(event_size, {})

    def value_and_gradient(u):
        with tf.GradientTape() as tape:
            x = pair(made)[0].forward(u)
            loss = tf.reduce_sum(tf.square(x))
        return x, *tape.gradient(loss, made.trainable_variables)

    eager = value_and_gradient(u)
    for jit_compile in (False, True):
        compiled = tf.function(
            value_and_gradient, jit_compile=jit_compile, input_signature=[tf.TensorSpec([None, event_size], u.dtype)]
        )
        for a, b in zip(eager, compiled(u), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("as_function", "options"),
    [
        (lambda f: f, {"hidden_units": (12,)}),
        pytest.param(lambda f: f, WAVES | {"hidden_units": (8, 8), "residual": True}, marks=EXHAUSTIVE),
        pytest.param(tf.function, {"hidden_units": (12,)}, marks=EXHAUSTIVE),
    ],
    ids=["eagerly", "with waves", "in a graph"],
)
def test_second_derivatives_and_jacobians(as_function, options):
    made = made_of(BLOCK + 3, **options)
    ours, theirs = pair(made)
    u, _ = inputs(BLOCK + 3, {}, batch=(2,))
    sources = [u, *made.trainable_variables]

    def second(layer):
        with tf.GradientTape() as outer:
            outer.watch(u)
            with tf.GradientTape() as inner:
                inner.watch(u)
                loss = tf.reduce_sum(tf.sin(layer.forward(u)))
            first = inner.gradient(loss, sources)
            loss = tf.add_n([tf.reduce_sum(tf.sin(gradient)) for gradient in first])
        return outer.gradient(loss, sources)

    jacobians, seconds = [], []
    for layer in (ours, theirs):
        run = as_function if layer is ours else lambda f: f
        seconds.append(run(functools.partial(second, layer))())
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(u)
            x = layer.forward(u)
        jacobians.append(tape.batch_jacobian(x, u, experimental_use_pfor=layer is ours))
    np.testing.assert_allclose(*jacobians, atol=1e-9)
    for a, b in zip(*seconds, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)


def test_equal_layers_are_traced_once(monkeypatch):
    flow = tff.maf(event_size=2 * BLOCK, num_layers=3, hidden_units=(13,), seed=0)
    traced = []
    solving = importlib.import_module("tfp_flows.networks.solver.solve")
    monkeypatch.setattr(solving, "sweep", lambda *args, **more: traced.append(1) or sweep(*args, **more))
    flow.sample(3, seed=0)
    flow.sample(3, seed=1)
    assert len(traced) == 1


@pytest.mark.parametrize("jit_compile", [False, True])
def test_no_rows_where_the_graph_does_not_know_how_many(jit_compile):
    layer = pair(made_of(BLOCK + 3))[0]
    signature = [tf.TensorSpec([None, BLOCK + 3], tf.float64)]
    forward = tf.function(layer.forward, input_signature=signature, jit_compile=jit_compile)
    assert forward(tf.zeros([0, BLOCK + 3], tf.float64)).shape == (0, BLOCK + 3)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)], ids=str)
def test_batches_of_any_rank_and_contexts_that_broadcast(batch):
    made = made_of(11, context_size=2)
    ours, _ = pair(made)
    u, _ = inputs(11, {}, batch)
    context = tf.constant([0.3, -0.7], "float64")
    x = ours.forward(u, conditional_input=context)
    assert x.shape == u.shape
    np.testing.assert_allclose(ours.inverse(tf.identity(x), conditional_input=context), u, atol=1e-10)


@pytest.mark.parametrize("network", [tff.networks.MADE(5, dtype="float64", seed=0), lambda y: made_of(5)(y)])
def test_a_bare_made_is_solved_and_a_foreign_network_goes_through_the_loop(network):
    layer = tff.bijectors.MaskedAutoregressiveFlow(network)
    assert layer.is_sequential is not isinstance(network, tff.networks.MADE)
    u, _ = inputs(5, {})
    expected = tfp.bijectors.MaskedAutoregressiveFlow(network).forward(u)
    np.testing.assert_allclose(layer.forward(u), expected, atol=1e-10)


def test_a_network_of_another_transform_is_refused():
    layer = tff.bijectors.MaskedAutoregressiveFlow(made_of(3, params=3))
    with pytest.raises(tff.InputError, match="params=1 or params=2; got params=3"):
        layer.forward(inputs(3, {})[0])


@pytest.mark.slow
def test_graph_grows_less_than_the_root_of_the_dimensions():
    def nodes(event_size):
        layer = pair(made_of(event_size))[0]
        graph = tf.function(layer.forward).get_concrete_function(tf.TensorSpec([4, event_size], tf.float64)).graph
        library = graph.as_graph_def().library.function
        return len(graph.get_operations()) + sum(len(function.node_def) for function in library)

    assert nodes(128 * BLOCK) < 2 * nodes(32 * BLOCK)


def test_plan_completes_every_unit_in_its_block():
    for event_size, units, context in itertools.product((2, 9, 40), (1, 5, 64), (0, 1)):
        degree = np.sort(np.random.default_rng(0).integers(1 - context, event_size, size=units))
        plan = Plan([degree], event_size, (1, 2))
        positions = plan.levels[1].positions()
        completing = np.maximum(degree - 1, 0) // plan.block
        np.testing.assert_array_equal(positions // plan.levels[1].size, completing)
        assert (np.diff(positions) > 0).all()
        for t, i in itertools.product(range(plan.count), range(plan.block + 1)):
            done = np.flatnonzero(degree <= t * plan.block + i) - plan.levels[1].starts[t]
            assert max(done, default=-1) < max(high for _, high in plan.levels[1].windows[: i + 1])
