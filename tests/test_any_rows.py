"""Rows of any number of batch dimensions, and of any value."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import PLANES, SMALL, make_small, mostly_slow, scramble, scrambled
from layers import CASES, CONTEXT, SIZE, keywords, layer

import tfp_flows as tff

tfb = tfp.bijectors
DEEP = (1, 2, 1, 1, 3, 1, 1, 1, 2)  # with the event, ten dimensions
MODES = {
    "eager": lambda f: f,
    "graph": lambda f: tf.function(f, autograph=False),
    "xla": lambda f: tf.function(f, autograph=False, jit_compile=True),
}
FAR = np.array([[np.inf, 0], [0, -np.inf], [3e38, 0], [0, -3e38], [3e38, 3e38], [-3e38, np.inf]], "float32")


def all_of(bijector, event_ndims=1, **kwargs):
    def function(x):
        return [
            *(getattr(bijector, d)(tf.identity(x), **kwargs) for d in ("forward", "inverse")),
            *(
                getattr(bijector, f"{d}_log_det_jacobian")(tf.identity(x), event_ndims=event_ndims, **kwargs)
                for d in ("forward", "inverse")
            ),
        ]

    return function


@pytest.mark.parametrize("case", mostly_slow(CASES, len(CASES) // 8, len(CASES) // 4))
def test_layers_take_ten_dimensions(case, rng):
    four = rng.normal(size=(2, 3, 4, SIZE))
    given = keywords(case, tf.constant(rng.normal(size=(4, CONTEXT))))
    for a, b in zip(all_of(layer(case), **given)(four), all_of(layer(case), **given)(four[1, 2]), strict=True):
        np.testing.assert_allclose(a[1, 2] if a.shape.rank > 1 else a, b, atol=1e-12)
    x, context = rng.normal(size=(*DEEP, SIZE)), tf.constant(rng.normal(size=(2, CONTEXT)))
    flat = tf.constant(x.reshape(-1, SIZE))
    one_each = tf.reshape(tf.broadcast_to(context, [*DEEP, CONTEXT]), [-1, CONTEXT])
    wanted = all_of(layer(case), **keywords(case, one_each))(flat)
    if "Chain" in case:  # that rank is beyond what its keyword arguments broadcast to
        context = tf.broadcast_to(context, [*DEEP, CONTEXT])
    found = all_of(layer(case), **keywords(case, context))(tf.constant(x))
    for a, b in zip(found, wanted, strict=True):
        event = [SIZE] if b.shape.rank == 2 else []
        np.testing.assert_allclose(
            tf.broadcast_to(a, [*DEEP, *event]),
            tf.reshape(tf.broadcast_to(b, [12, *event]), [*DEEP, *event]),
            atol=1e-9,
        )


# Compiled once for each kind of layer
TEN = [("planar", "eager"), *((n, m) for n in ("nsf_coupling", "maf") for m in MODES)]
TEN = mostly_slow([*TEN, *((n, "eager") for n in SMALL)], 2, 3, several=True)


@pytest.mark.parametrize(("name", "mode"), TEN)
def test_chains_take_ten_dimensions(name, mode, rng):
    flow, x = scrambled(name, 3), rng.normal(size=(*DEEP, 3))
    found = MODES[mode](flow.log_prob)(tf.constant(x))
    np.testing.assert_allclose(found, tf.reshape(flow.log_prob(x.reshape(-1, 3)), DEEP), atol=1e-9)
    if mode == "eager":
        drawn, log_prob = flow.sample_and_log_prob(DEEP, seed=0)
        assert drawn.shape == (*DEEP, 3)
        np.testing.assert_array_equal(flow.sample(12, seed=0), tf.reshape(drawn, [12, 3]))
        np.testing.assert_allclose(flow.log_prob(drawn), log_prob, atol=1e-8)


@pytest.mark.parametrize("name", mostly_slow([name for name in SMALL if "hidden_units" in SMALL[name]]))
def test_chains_with_a_context_take_ten_dimensions(name, rng):
    flow = scramble(make_small(name, 3, context_size=2, dtype="float64"))
    context = rng.normal(size=(3, 1, 1, 1, 2, 2))
    x = flow.sample(DEEP[:4], seed=0, context=context)
    assert x.shape == (*DEEP, 3)
    each = np.broadcast_to(context, (*DEEP, 2)).reshape(-1, 2)
    found = flow.log_prob(x, context=context)
    np.testing.assert_allclose(tf.reshape(found, [-1]), flow.log_prob(tf.reshape(x, [-1, 3]), context=each), atol=1e-9)


OPTIONS = {
    "student_t": {"base": "student_t"},
    "mixture": {"base": "mixture"},
    "half_lines": {"support": {0: (-9, None)}, "base": "student_t", "whiten": True},
    "whole_numbers": {"dequantize": [0], "support": {0: (-9, 9)}},
    "circular": {"circular": {0: 24.0}, "num_layers": 2, "base": "student_t"},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", mostly_slow(list(OPTIONS.values())))
@pytest.mark.parametrize("event_size", [1, 2])
def test_columns_and_bases_take_ten_dimensions(event_size, options):
    options = {"num_layers": 1, "hidden_units": (4,), "dtype": "float64", "seed": 0} | options
    flow = scramble(tff.nsf(event_size, **options), 0.1)
    drawn, log_prob = flow.sample_and_log_prob(DEEP, seed=0)
    assert drawn.shape == (*DEEP, event_size)
    rows = tf.reshape(drawn, [12, event_size])
    np.testing.assert_array_equal(flow.sample(12, seed=0), rows)
    np.testing.assert_allclose(flow.log_prob(drawn), log_prob, atol=1e-8)
    np.testing.assert_allclose(tf.reshape(log_prob, [12]), flow.log_prob(rows), atol=1e-9)
    if event_size == 1 and not flow.circular:
        p = flow.cdf(drawn)
        np.testing.assert_allclose(tf.reshape(p, [12]), flow.cdf(rows), atol=1e-9)
        np.testing.assert_allclose(flow.quantile(p - 1e-6), drawn, rtol=1e-3)


@pytest.mark.parametrize("name", PLANES)
def test_far_rows_have_no_density_and_spoil_no_gradient(name, rng):
    flow = scramble(make_small(name, 2))
    good = rng.normal(size=(5, 2)).astype("float32")
    x = tf.constant(np.concatenate([good, FAR, [[np.nan, 0.0]]]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = flow.log_prob(x)
        loss = tf.reduce_sum(log_prob[:5])
    np.testing.assert_allclose(log_prob[:5], flow.log_prob(good), rtol=1e-5)
    np.testing.assert_array_equal(log_prob[5:-1], -np.inf)
    assert np.isnan(log_prob[-1])
    of_rows, *of_weights = tape.gradient(loss, [x, *flow.trainable_variables])
    assert np.isfinite(of_rows[:5]).all()
    assert np.isnan(of_rows[:5]).sum() == 0
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(flow.log_prob(x[:-1])[:5])
    for gradient in tape.gradient(loss, flow.trainable_variables):
        assert np.isfinite(gradient).all()
    assert len(of_weights) == len(flow.trainable_variables)


@pytest.mark.parametrize("name", [name for name in SMALL if "hidden_units" in SMALL[name]])
def test_a_context_that_is_not_a_number_is_not_hidden(name):
    flow = scramble(make_small(name, 2, context_size=1))
    log_prob = flow.log_prob(np.zeros([2, 2]), context=[[0.0], [np.nan]]).numpy()
    assert np.isfinite(log_prob[0])
    assert np.isnan(log_prob[1])


def test_large_numbers_that_are_not_far_keep_their_density():
    """Of a lognormal law: 1e30 is no number of standard deviations away."""
    flow = tff.Flow([tfb.Exp(), tff.bijectors.Standardize(1)], event_size=1)
    x = tf.constant([[1e30]])
    np.testing.assert_allclose(flow.log_prob(x), tfp.distributions.LogNormal(0.0, 1.0).log_prob(x[:, 0]), rtol=1e-5)
    wide = tff.Flow([tff.bijectors.Standardize(1)], event_size=1)
    wide.standardize(np.array([[-1e30], [1e30]]))
    np.testing.assert_allclose(wide.log_prob(x), -0.5 - 0.5 * np.log(2 * np.pi) - np.log(1e30), rtol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 10.0, 1e3, 1e30])
def test_a_spline_flow_has_no_nan_whatever_its_weights_are(scale, rng):
    flow = make_small("nsf_coupling", 3)
    for variable in flow.trainable_variables:
        variable.assign(rng.normal(0.0, scale, variable.shape).astype("float32"))
    x = rng.normal(size=(20_000, 3)).astype("float32") * 10.0 ** rng.uniform(-3, 7, size=(20_000, 1))
    assert not np.isnan(flow.log_prob(x)).any()


@pytest.mark.slow
@pytest.mark.parametrize(("mixing", "bits"), [("reverse", 2), ("linear", 4)])
def test_log_densities_of_samples_are_those_of_the_same_rows_in_float32(mixing, bits, rng):
    """Such weights can make log p so steep that the last bit of a row counts: that bounds what any float32 can do."""
    options = {"mixing": mixing, "affine": mixing == "linear", "seed": 0}
    flow, exact = (tff.nsf_coupling(5, dtype=dtype, **options) for dtype in ("float32", "float64"))
    for variable, other in zip(flow.trainable_variables, exact.trainable_variables, strict=True):
        variable.assign_add(rng.normal(0.0, 0.15, variable.shape).astype("float32"))
        other.assign(variable.numpy())
    x, log_prob = flow.sample_and_log_prob(4000, seed=1)
    next_number = exact.log_prob(np.nextafter(x, np.float32(np.inf)).astype("float64"))
    of_a_bit = np.percentile(np.abs(next_number - exact.log_prob(x.numpy().astype("float64"))), 99)
    assert np.percentile(np.abs(flow.log_prob(x) - log_prob), 99) < bits * of_a_bit


@pytest.mark.slow
def test_log_densities_of_samples_are_exact_where_they_are_not_steep(rng):
    flow = tff.nsf_coupling(5, num_bins=64, affine=False, mixing="reverse", seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(rng.normal(0.0, 0.15, variable.shape).astype("float32"))
    x, log_prob = flow.sample_and_log_prob(4000, seed=1)
    assert np.percentile(np.abs(flow.log_prob(x) - log_prob), 99) < 0.01


@pytest.mark.parametrize("bound", [None, 2.0])
def test_a_spline_starts_as_the_identity(bound, rng):
    network = tff.networks.MLP(1, 2, params=3 * 7 - 1, seed=0, dtype="float64")
    for variable in network.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    spline = tff.bijectors.SplineCoupling(1, network, logit_bound=bound)
    x = rng.uniform(-4, 4, size=(100, 3))
    np.testing.assert_allclose(spline.forward(x), x, atol=1e-12)
    np.testing.assert_allclose(spline.inverse_log_det_jacobian(tf.constant(x), 1), 0.0, atol=1e-12)
