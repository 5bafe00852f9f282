"""The laws that every flow obeys: one table of flows and sizes, and each law for every row of it."""

import contextlib
import inspect

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import (
    CASES,
    COUPLING,
    EXHAUSTIVE,
    PLANES,
    SMALL,
    TABLE,
    make_small,
    mostly_slow,
    scramble,
    scramble_variables,
    scrambled,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tfp_flows as tff
from tfp_flows.arrays import whole_arrays

BATCHES = [(), (5,), (2, 3)]
table = pytest.mark.parametrize(("name", "d"), TABLE)
few = pytest.mark.parametrize(("name", "d"), mostly_slow([case.values for case in TABLE], 5, 0, several=True))
planes = pytest.mark.parametrize("name", PLANES)


def fresh(x):
    """The same values as a tensor that TFP's cache has never seen."""
    return tf.constant(np.array(x))


@table
def test_round_trip_without_the_cache(name, d, rng):
    """Trap 4: with the cache a round trip is exact by construction."""
    bijector = scrambled(name, d).bijector
    for batch in BATCHES:
        x = rng.normal(size=(*batch, d))
        np.testing.assert_allclose(bijector.forward(fresh(bijector.inverse(fresh(x)))), x, atol=1e-9)
        np.testing.assert_allclose(bijector.inverse(fresh(bijector.forward(fresh(x)))), x, atol=1e-9)


@table
def test_log_det_is_that_of_autodiff_in_both_directions(name, d, rng):
    bijector = scrambled(name, d).bijector
    x = rng.normal(size=(4, d))
    for function, log_det in (
        (bijector.forward, bijector.forward_log_det_jacobian),
        (bijector.inverse, bijector.inverse_log_det_jacobian),
    ):
        jacobian = jacobian_of(function, x)
        np.testing.assert_allclose(log_det(fresh(x), event_ndims=1), np.linalg.slogdet(jacobian)[1], atol=1e-8)


def jacobian_of(function, x):
    x = fresh(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = function(x)
    return tape.batch_jacobian(y, x, experimental_use_pfor=False).numpy()


@few
def test_log_prob_is_the_base_density_through_the_inverse(name, d, rng):
    flow = scrambled(name, d)
    x = rng.normal(size=(4, d))
    u = flow.bijector.inverse(fresh(x)).numpy()
    density = -0.5 * (u**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
    if flow.circular:
        density = flow.distribution.log_prob(u)  # uniform on circles: tested with them
    log_det = np.linalg.slogdet(jacobian_of(flow.bijector.inverse, x))[1]
    np.testing.assert_allclose(flow.log_prob(x), density + log_det, atol=1e-8)


@few
def test_shapes(name, d):
    flow = scrambled(name, d)
    for batch in BATCHES:
        x, log_prob = flow.sample_and_log_prob(batch, seed=1)
        assert x.shape == (*batch, d)
        assert log_prob.shape == batch
        np.testing.assert_allclose(flow.log_prob(fresh(x)), log_prob, atol=1e-8)


@table
def test_every_variable_gets_a_gradient_and_changes_in_one_step(name, d, rng):
    flow = make_small(name, d)
    # At the latent end, batch norm starts at the best there is, where only rounding keeps its gradient from zero.
    scramble_variables([v for v in flow.trainable_variables if "batch_norm" in v.name])
    x = rng.normal(size=(32, d)).astype("float32")
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x, training=True))
    variables = flow.trainable_variables
    before = [v.numpy() for v in variables]
    gradients = tape.gradient(loss, variables)
    tf.keras.optimizers.Adam(1e-2).apply_gradients(zip(gradients, variables, strict=True))
    for variable, gradient, value in zip(variables, gradients, before, strict=True):
        assert gradient is not None, variable.name
        assert np.any(gradient.numpy() != 0), variable.name
        assert np.any(variable.numpy() != value), variable.name


@pytest.mark.parametrize(
    ("name", "d"),
    [
        ("maf", 2),
        pytest.param("nsf_coupling", 2, marks=pytest.mark.slow),
        *(pytest.param(*case, marks=EXHAUSTIVE) for case in CASES if case[1] in (2, 3)),  # compiling takes long
    ],
)
def test_eager_graph_and_xla_agree(name, d, rng):
    flow = scrambled(name, d)
    x = rng.normal(size=(6, d))

    def both(x):
        return flow.log_prob(x), flow.bijector.forward(tf.identity(x))

    eager = both(fresh(x))
    for jit_compile in (False, True):
        compiled = tf.function(both, jit_compile=jit_compile)(fresh(x))
        for a, b in zip(eager, compiled, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-8)


@table
def test_saved_and_loaded_flow_is_equal_to_the_last_bit(name, d, tmp_path, rng):
    """Trap 18: permutations and statistics are saved with the weights."""
    flow = scramble(make_small(name, d, **({"mixing": "random"} if "hidden_units" in SMALL.get(name, {}) else {})))
    flow.save(tmp_path)
    loaded = tff.load(tmp_path)
    x = rng.normal(size=(20, d))
    np.testing.assert_array_equal(flow.log_prob(x), loaded.log_prob(x))
    np.testing.assert_array_equal(flow.sample(20, seed=3), loaded.sample(20, seed=3))
    for array, value in whole_arrays(flow).items():
        np.testing.assert_array_equal(value, whole_arrays(loaded)[array])


@few
def test_samples_are_reproducible_by_seed(name, d):
    flow = scrambled(name, d)
    np.testing.assert_array_equal(flow.sample(10, seed=1), flow.sample(10, seed=1))
    np.testing.assert_array_equal(flow.sample(10, seed=1), flow.sample_and_log_prob(10, seed=1)[0])
    assert np.all(flow.sample(10, seed=1).numpy() != flow.sample(10, seed=2).numpy())


@table
def test_finite_at_the_start_for_inputs_a_thousand_times_the_usual(name, d, rng):
    """Trap 14: an exploding start."""
    flow = tff.make(name, event_size=d, seed=0) if name in SMALL else make_small(name, d)  # the full-size defaults
    x = 1000.0 * rng.normal(size=(64, d)).astype("float32")
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob(x)
        loss = -tf.reduce_mean(log_prob)
    assert np.isfinite(log_prob).all()
    for variable, gradient in zip(flow.trainable_variables, tape.gradient(loss, flow.trainable_variables), strict=True):
        assert np.isfinite(gradient).all(), variable.name
    assert np.isfinite(flow.bijector.forward(x)).all()


@few
def test_works_inside_a_joint_distribution(name, d):
    flow = scrambled(name, d)
    joint = tfp.distributions.JointDistributionSequential(
        [flow, lambda x: tfp.distributions.MultivariateNormalDiag(x, tf.ones(d, tf.float64))]
    )
    x, y = joint.sample(3, seed=1)
    expected = flow.log_prob(fresh(x)) + tfp.distributions.MultivariateNormalDiag(x).log_prob(y)
    np.testing.assert_allclose(joint.log_prob([x, y]), expected, atol=1e-8)


def any_rows(data, name):
    """A flow of the table, and rows for it of any shape and value that floats can tell apart from their neighbours."""
    d = data.draw(st.sampled_from([d for n, d in CASES if n == name]))
    batch = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
    # Far out, a mixture's modes lie far apart, and it is so flat between them that u does not tell one x from another.
    most = 4 if name == "naf" else 50
    return scrambled(name, d), data.draw(hnp.arrays(np.float64, (*batch, d), elements=st.floats(-most, most)))


@settings(max_examples=6, deadline=None)
@given(data=st.data())
@planes
def test_round_trip_for_any_shape_and_value(name, data):
    flow, x = any_rows(data, name)
    back = flow.bijector.forward(fresh(flow.bijector.inverse(fresh(x))))
    assert back.shape == x.shape
    np.testing.assert_allclose(back, x, atol=1e-6)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
@planes
def test_log_dets_of_the_two_directions_cancel_for_any_shape_and_value(name, data):
    flow, x = any_rows(data, name)
    inverse = flow.bijector.inverse_log_det_jacobian(fresh(x), event_ndims=1)
    u = flow.bijector.inverse(fresh(x))
    forward = flow.bijector.forward_log_det_jacobian(fresh(u), event_ndims=1)
    np.testing.assert_allclose(tf.broadcast_to(forward + inverse, x.shape[:-1]), np.zeros(x.shape[:-1]), atol=1e-6)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
@planes
def test_log_prob_is_that_of_each_row_for_any_shape_and_value(name, data):
    flow, x = any_rows(data, name)
    log_prob = flow.log_prob(x)
    assert log_prob.shape == x.shape[:-1]
    rows = [flow.log_prob(row) for row in x.reshape(-1, x.shape[-1])]
    np.testing.assert_allclose(np.ravel(log_prob), rows, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(data=st.data())
@planes
def test_laws_hold_for_any_options(name, data):
    """Whatever is asked for: the map is invertible, and its log-det is that of autodiff."""
    d = data.draw(st.integers(1, 5), label="event_size")
    options = {"num_layers": data.draw(st.integers(1, 3), label="num_layers")}
    if "hidden_units" in SMALL[name]:
        options["hidden_units"] = data.draw(st.lists(st.integers(1, 6), max_size=3), label="hidden_units")
        options["mixing"] = data.draw(st.sampled_from(["reverse", "random", "linear", "none"]), label="mixing")
        options["octaves"] = data.draw(st.integers(0, 3), label="octaves")
        options["residual"] = len(set(options["hidden_units"])) < 2
        options |= {flag: data.draw(st.booleans(), label=flag) for flag in ("whiten", "act_norm")}
    if name.startswith("nsf"):
        options["affine"] = data.draw(st.sampled_from([None, False, True]), label="affine")
    context_size = data.draw(st.integers(0, 2), label="context_size") if "hidden_units" in SMALL[name] else 0
    if context_size:
        options["context_size"] = context_size
    flow = scramble(tff.make(name, event_size=d, seed=data.draw(st.integers(0, 99)), dtype="float64", **options))
    x = data.draw(hnp.arrays(np.float64, (2, d), elements=st.floats(-5, 5)))
    context = data.draw(hnp.arrays(np.float64, (2, context_size), elements=st.floats(-3, 3)))
    _, kwargs = flow._split_kwargs({"context": tf.constant(context)} if context_size else {})
    u = flow.bijector.inverse(fresh(x), **kwargs)
    np.testing.assert_allclose(flow.bijector.forward(fresh(u), **kwargs), x, atol=1e-7)
    jacobian = jacobian_of(lambda x: flow.bijector.inverse(x, **kwargs), x)
    log_det = flow.bijector.inverse_log_det_jacobian(fresh(x), event_ndims=1, **kwargs)
    np.testing.assert_allclose(tf.broadcast_to(log_det, [2]), np.linalg.slogdet(jacobian)[1], atol=1e-7)


def few_steps(name, d, x, steps=50):
    """A small flow after some steps of Adam, in float32, as users train it."""
    flow = make_small(name, d)
    flow.standardize(x)
    optimizer = tf.keras.optimizers.Adam(1e-2)

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(batch, training=True))
        variables = flow.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    optimizer.build(flow.trainable_variables)
    for i in range(steps):
        step(tf.constant(x[i % 4 :: 4]))
    flow.set_batch_norm(x)
    return flow


@planes
def test_density_integrates_to_one_after_training(name):
    x = tff.datasets.two_moons(noise=0.2).sample(800, seed=0)
    flow = few_steps(name, 2, x)
    before = tff.datasets.two_moons(noise=0.2).log_prob(x)
    assert abs(tff.plots.integral(flow, ((-12.0, 13.0), (-12.0, 12.0)), resolution=400) - 1.0) < 0.01
    assert -flow.log_prob(x).numpy().mean() > -before.mean() - 0.1, "below the entropy: the density is wrong"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maf", "iaf"])
@pytest.mark.parametrize("d", [3, 8])
def test_jacobian_of_autoregressive_layers_is_exactly_triangular_after_training(name, d, rng):
    """Trap 6: a mask that lives in the initialiser is lost in training."""
    x = rng.normal(size=(200, d)).astype("float32") @ rng.normal(size=(d, d)).astype("float32")
    flow = few_steps(name, d, x)
    autoregressive = [layer for layer in flow.layers if layer.name.startswith(name)]
    assert len(autoregressive) == 2
    for layer in autoregressive:
        for direction in (layer.forward, layer.inverse):
            jacobian = jacobian_of(direction, x[:5])
            assert (np.triu(jacobian, 1) == 0).all()
            assert (np.abs(np.diagonal(jacobian, axis1=1, axis2=2)) > 0).all()


@pytest.mark.parametrize("name", COUPLING)
def test_coupling_flows_of_one_dimension_are_maps_of_the_context(name, rng):
    """The whole row moves, by what the network makes of the context; without one, by constants."""
    flow = scramble(make_small(name, 1, context_size=2, dtype="float64"))
    x, context = rng.normal(size=(5, 1)), rng.normal(size=(5, 2))
    u = flow.encode(x, context=context)
    assert np.all(u.numpy() != flow.encode(x, context=context + 1.0).numpy())
    np.testing.assert_allclose(flow.decode(fresh(u), context=context), x, atol=1e-9)
    normal = tfp.distributions.Normal(fresh(0.0), fresh(1.0))
    np.testing.assert_allclose(flow.cdf(x, context=context), normal.cdf(u)[:, 0], atol=1e-9)


def test_log_det_of_nice_is_the_same_everywhere(rng):
    flow = scrambled("nice", 3)
    log_det = flow.bijector.inverse_log_det_jacobian(rng.normal(size=(50, 3)), event_ndims=1)
    assert flow.bijector.is_constant_jacobian
    assert np.ptp(log_det) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_size": 0}, "event_size must be an integer of at least 1; got 0"),
        ({"event_size": 2.5}, "event_size must be an integer of at least 1; got 2.5"),
        ({"event_size": 2, "num_layers": 10**9}, "num_layers must be an integer of at most 10000; got 1000000000"),
        (
            {"event_size": 2, "hidden_units": (10**9,)},
            "such sizes make .* numbers of one layer, and 2.1e.09 ",
        ),
        ({"event_size": 2, "num_layers": 0}, "num_layers must be an integer of at least 1; got 0"),
        ({"event_size": 2, "hidden_units": (0,)}, "hidden_units must be an integer of at least 1; got 0"),
        ({"event_size": 2, "hidden_units": 64}, "hidden_units must be a list of integers; got 64"),
        ({"event_size": 2, "context_size": -1}, "context_size must be an integer of at least 0; got -1"),
        ({"event_size": 2, "activation": "sigmoidal"}, "activation must be one of silu.*got 'sigmoidal'"),
        ({"event_size": 2, "mixing": "shuffle"}, "mixing must be one of reverse, random, linear, none; got 'shuffle'"),
        ({"event_size": 2, "mixing": [[0, 0]] * 5}, r"permutations of 0..1; got \[0, 0\]"),
        ({"event_size": 2, "mixing": [[1, 0]]}, "mixing must list 5 permutations.*got 1"),
        ({"event_size": 2, "octaves": [1, 2]}, r"octaves must list 5 integers, one for each layer; got \[1, 2\]"),
        ({"event_size": 2, "octaves": 17}, "octaves must be at most 16"),
        ({"event_size": 2, "residual": True, "hidden_units": (8, 9)}, r"residual=True needs hidden_units of one size"),
        ({"event_size": 2, "dtype": "float16"}, "dtype must be 'float32' or 'float64'; got 'float16'"),
        ({"event_size": 2, "log_scale_bound": 0.0}, "log_scale_bound must be a number above 0; got 0.0"),
        ({"event_size": 2, "damped_beyond": -1.0}, "damped_beyond must be a number above 0; got -1.0"),
        ({"event_size": 2, "damped_beyond": 10**400}, "damped_beyond must be a number above 0; got 1"),
        ({"event_size": 2, "layers": 3}, "maf takes the options event_size.*got 'layers'"),
        ({}, "event_size is missing"),
    ],
)
def test_bad_options_are_refused_with_one_sentence(options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.make("maf", **options)


ODD = [None, True, -1, 1.5, float("nan"), "a", b"x", [], [1], ["a"], {"a": 1}, object(), np.ones(3), print]


@pytest.mark.parametrize("name", tff.flows.names())
def test_options_of_any_type_work_or_are_refused(name):
    for option in inspect.signature(getattr(tff, name)).parameters:
        for value in ODD:
            with contextlib.suppress(tff.InputError):
                tff.make(name, **{"event_size": 2, "num_layers": 1, option: value})


PARTS = [(getattr(tff.bijectors, name), [2]) for name in ("Affine", "BatchNorm", "Planar", "Scale", "Standardize")]
PARTS += [(tff.bijectors.Support, [[0.0, None], [1.0, 2.0]])]
PARTS += [(tff.bijectors.LeakyReLU, []), (tff.networks.MADE, [2]), (tff.networks.MLP, [2, 2])]
PARTS += [(tff.bijectors.ChannelMixing, [2, 2]), (tff.networks.ConvNet, [(2, 2), 1, 1])]


@pytest.mark.parametrize(("part", "sizes"), PARTS, ids=[part.__name__ for part, _ in PARTS])
def test_options_of_a_layer_or_network_work_or_are_refused(part, sizes):
    names = [name for name in inspect.signature(part.__init__).parameters if name not in ("self", "rng", "name")]
    for i, option in enumerate(names):
        for value in ODD:
            given = [*sizes[:i], value, *sizes[i + 1 :]] if i < len(sizes) else sizes
            with contextlib.suppress(tff.InputError):
                part(*given, **({} if i < len(sizes) else {option: value}))


def test_unknown_flow_is_refused_with_the_names_there_are():
    with pytest.raises(tff.InputError, match=r"must be one of maf, iaf, real_nvp.*got 'pixel_cnn'"):
        tff.make("pixel_cnn", event_size=2)
