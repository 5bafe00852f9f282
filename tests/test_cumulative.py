"""cdf, survival function and quantiles of flows of one dimension."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import SMALL, make_small, mostly_slow, scramble, scrambled

import tfp_flows as tff
from tfp_flows import bijectors

tfb = tfp.bijectors
NAMES = list(SMALL)


def decreasing():
    layers = [
        bijectors.Standardize(1, dtype="float64"),
        tfb.Scale(tf.constant(-2.0, tf.float64)),
        bijectors.LeakyReLU(0.5, dtype="float64"),
        tfb.Invert(bijectors.Planar(1, rng=np.random.default_rng(0), dtype="float64"), name="planar"),
    ]
    return tff.Flow(layers, event_size=1, dtype="float64")


FLOWS = {
    **{name: lambda name=name: scrambled(name, 1) for name in NAMES},
    "decreasing": decreasing,
    # naf alone is slow
    **{
        base: lambda b=base: scramble(make_small("naf", 1, dtype="float64", base=b))
        for base in ("student_t", "mixture")
    },
    "flow": lambda: make_small("maf", 1, dtype="float64", base=scrambled("nsf", 1)),
    "reversible": lambda: scramble(make_small("mlp", 1, dtype="float64", reversible=True)),
    "recompute": lambda: scramble(make_small("planar", 1, dtype="float64", recompute=True)),
}
FIRST = ("maf", "decreasing", "planar", "student_t")
flows = pytest.mark.parametrize("name", mostly_slow([*FIRST, *sorted({*FLOWS} - {*FIRST})], 2, 3))


@flows
def test_cdf_is_the_integral_of_the_density(name):
    flow = FLOWS[name]()
    ends = flow.quantile([1e-12, 1 - 1e-12]).numpy().ravel()
    x = np.linspace(*ends, 40_001)[:, None]
    density = flow.prob(x).numpy()
    integral = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(x[:, 0]))])
    cdf = flow.cdf(x).numpy()
    assert cdf.shape == (40_001,)
    np.testing.assert_allclose(cdf, integral, atol=1e-4)
    np.testing.assert_allclose(flow.survival_function(x), 1 - cdf, atol=1e-12)
    np.testing.assert_allclose(np.exp(flow.log_cdf(x)), cdf, atol=1e-12)
    np.testing.assert_allclose(np.exp(flow.log_survival_function(x)), 1 - cdf, atol=1e-12)


@flows
def test_quantiles_are_those_of_samples(name):
    flow, p = FLOWS[name](), np.linspace(0.05, 0.95, 19).reshape(1, 19)
    x = flow.quantile(p)
    assert x.shape == (1, 19, 1)
    assert (np.diff(x[0, :, 0]) > 0).all()
    np.testing.assert_allclose(flow.cdf(x), p, atol=1e-9)
    drawn = flow.sample(20_000, seed=0).numpy()
    np.testing.assert_allclose((drawn[:, 0, None] <= x[0, :, 0].numpy()).mean(axis=0), p[0], atol=0.015)


def test_with_a_context(rng):
    flow = scramble(make_small("maf", 1, context_size=2, dtype="float64"))
    context, p = rng.normal(size=(3, 2)), np.array([[0.1], [0.5], [0.8], [0.9]])
    x = flow.quantile(p, context=context)
    assert x.shape == (4, 3, 1)
    np.testing.assert_allclose(flow.cdf(x, context=context), np.broadcast_to(p, (4, 3)), atol=1e-9)
    assert flow.cdf([0.3], context=context).shape == (3,)
    assert np.ptp(flow.cdf([0.3], context=context)) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_in_a_graph(jit_compile):
    flow = scrambled("mlp", 1)
    both = tf.function(lambda x: (flow.cdf(x), flow.quantile(flow.cdf(x))), jit_compile=jit_compile)
    x = tf.constant([[0.1], [0.7]], tf.float64)
    cdf, back = both(x)
    np.testing.assert_allclose(cdf, flow.cdf(x), atol=1e-12)
    np.testing.assert_allclose(back, x, atol=1e-8)


@pytest.mark.parametrize("what", ["cdf", "log_cdf", "survival_function", "log_survival_function", "quantile"])
def test_more_dimensions_and_layers_that_do_not_say_are_refused(what):
    with pytest.raises(tff.InputError, match=rf"^{what} is that of one dimension; this flow has event_size=2\.$"):
        getattr(scrambled("maf", 2), what)([0.5, 0.5])

    class Silent(tfb.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0, name="silent")

        _forward = _inverse = lambda self, x: x

    flow = tff.Flow([Silent()], event_size=1)
    with pytest.raises(tff.InputError, match=f"^{what} needs layers that say whether they increase.*silent"):
        getattr(flow, what)([0.5])
    flow = tff.Flow([tfb.Scale(2.0)], event_size=1, base=tfp.distributions.MultivariateNormalDiag([0.0]))
    with pytest.raises(tff.InputError, match=f"a base that has {what}; got a chain of scale on MultivariateNormalDiag"):
        getattr(flow, what)([0.5])


def test_in_plain_tfp():
    base = tff.flow.Gaussian(loc=np.zeros(1))
    density = tfp.distributions.TransformedDistribution(base, bijectors.Affine(1, dtype="float64"))
    assert float(density.cdf([0.0])) == pytest.approx(0.5)
    assert density.quantile([0.1, 0.9]).shape == (2, 1)
    with pytest.raises(tff.InputError, match=r"^cdf is that of one dimension; got a distribution of 2\.$"):
        tff.flow.Gaussian(loc=np.zeros(2)).cdf(np.zeros(2))


def test_lists_and_doubles_are_taken():
    flow = tff.maf(1, num_layers=1, hidden_units=(8,), seed=0)
    for value in ([[0.5]], np.array([[0.5]]), np.array([[0.5]], "float32")):
        assert float(flow.cdf(value)[0]) + float(flow.survival_function(value)[0]) == pytest.approx(1.0, abs=1e-6)
