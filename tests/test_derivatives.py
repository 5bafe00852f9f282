"""First and second derivatives of every layer and every chain, against central finite differences in float64."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import EXHAUSTIVE, make_small, mostly_slow, scramble
from layers import CASES, CONTEXT, SIZE, keywords, layer, without_a_case

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
ROWS, STEP = 4, 2e-6  # longer ones are likelier to cross a knot, where the second derivative of a spline jumps
# What chains add to their layers is tested on a few of each kind.
VARIED = {
    "real_nvp": [{"reversible": True, "batch_norm": False}],
    "nsf_coupling": [{"context_size": CONTEXT}],
    "maf": [{"context_size": CONTEXT, "recompute": True, "batch_norm": False}],
    "iaf": [{"context_size": CONTEXT}],
    "mlp": [{"reversible": True}],
    "planar": [{"recompute": True}],
}


def assert_derivatives(function, x, context, variables, graph=False):
    """The gradient, and the Hessian along a direction of x, context and weights together, of a function of x, context.

    Together: so that mixed derivatives count, and one comparison sees them all.
    """
    rng = np.random.default_rng(1)
    start = [x, context, *(v.numpy() for v in variables)]
    # the float64 networks have some hundred weights: a direction of length one or so, as x has
    along = [rng.normal(size=np.shape(a)) * (1.0 if i < 2 else 0.3) for i, a in enumerate(start)]

    def move(step):
        for variable, a, d in zip(variables, start[2:], along[2:], strict=True):
            variable.assign(a + step * d)
        return [tf.constant(a + step * d) for a, d in zip(start[:2], along[:2], strict=True)]

    def gradient(x, context):
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            value = function(x, context)
        return value, tape.gradient(value, [x, context, *variables], unconnected_gradients="zero")

    def second(x, context):
        with tf.GradientTape() as tape:
            tape.watch([x, context])
            first = gradient(x, context)[1]
            slope = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(first, along, strict=True)])
        return slope, tape.gradient(slope, [x, context, *variables], unconnected_gradients="zero")

    # Not in a graph, unless that is asked for: tracing second derivatives takes five times as long as this.
    gradient, second = (tf.function(f) if graph else f for f in (gradient, second))
    try:
        value_up, first_up = gradient(*move(STEP))
        value_down, first_down = gradient(*move(-STEP))
        slope, found = second(*move(0.0))
    finally:
        move(0.0)
    np.testing.assert_allclose(slope, (value_up - value_down) / (2 * STEP), rtol=1e-6, atol=1e-6)
    for mine, up, down in zip(found, first_up, first_down, strict=True):
        np.testing.assert_allclose(mine, (up - down) / (2 * STEP), rtol=1e-5, atol=1e-5 * (1 + np.abs(mine).max()))


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, SIZE)), rng.normal(size=(ROWS, CONTEXT))


def through(bijector, direction, training=None):
    """A number that depends on the values and on the log-det, of one direction."""

    def function(x, context, **kwargs):
        given = kwargs if training is None else {"training": training}
        value = getattr(bijector, direction)(x, **given)
        log_det = getattr(bijector, f"{direction}_log_det_jacobian")(x, event_ndims=1, **given)
        return tf.reduce_sum(tf.sin(value) * tf.range(1.0, SIZE + 1, dtype=x.dtype)) + tf.reduce_sum(log_det**2)

    return function


def test_every_public_layer_has_a_case():
    assert not without_a_case(), "a new layer needs a case in tests/layers.py"


def assert_derivatives_of_layer(case, direction, graph=False):
    bijector = layer(case)
    of_both = through(bijector, direction)
    assert_derivatives(
        lambda x, context: of_both(x, context, **keywords(case, context)), *data(), bijector.trainable_variables, graph
    )


@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("case", mostly_slow(CASES, 3, 8))
def test_derivatives_of_layers(case, direction):
    assert_derivatives_of_layer(case, direction)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["Autoregressive spline", "Coupling", "Planar"])  # a solver, a network, an iteration
def test_derivatives_of_layers_in_a_graph(case):
    assert_derivatives_of_layer(case, "forward", graph=True)


def test_derivatives_of_batch_norm_in_training():
    bijector = layer("BatchNorm")
    assert_derivatives(through(bijector, "inverse", training=True), *data(), bijector.trainable_variables)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["ActNorm", "Autoregressive spline", "Coupling", "Planar", "RecomputingChain"])
def test_derivatives_of_densities_of_plain_tfp(case):
    bijector = layer(case)
    density = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(SIZE, tf.float64)), bijector)
    assert_derivatives(
        lambda x, _: tf.reduce_sum(tf.sin(density.log_prob(x))), *data(), layer(case).trainable_variables
    )


def chains():
    """Every prebuilt chain, some with a context, some with less memory; in every run a network and none."""
    for name in tff.flows.names():
        yield pytest.param(name, {}, id=name, marks=() if name in ("planar", "real_nvp") else pytest.mark.slow)
        for options in VARIED.get(name, []):
            marks = pytest.mark.slow if name in ("maf", "mlp") else EXHAUSTIVE
            yield pytest.param(name, options, id=" ".join([name, *options]), marks=marks)


@pytest.mark.parametrize(("name", "options"), chains())
def test_derivatives_of_chains(name, options):
    flow = scramble(make_small(name, SIZE, dtype="float64", num_layers=2, **options), scale=0.2)

    def function(x, context):
        given = {"context": context} if flow.context_size else {}
        drawn, log_prob = flow.sample_and_log_prob(() if flow.context_size else ROWS, seed=1, **given)
        return tf.reduce_sum(tf.sin(flow.log_prob(x, **given))) + tf.reduce_sum(tf.cos(drawn) * log_prob[:, None])

    assert_derivatives(function, *data(), flow.trainable_variables)


@pytest.mark.slow
def test_third_derivatives_of_a_planar_inverse():
    """Newton's steps from a constant root: one would be right to the first order, two are to the third."""
    from tfp_flows.bijectors.planar import _solve

    @tf.function
    def derivatives(t):  # of a sum of roots, as p and slope move together
        found = [tf.reduce_sum(_solve(tf.constant([-2.0, 0.3, 1.5], tf.float64) + t, 0.7 + 0.5 * t))]
        for _ in range(3):
            found.append(tf.gradients(found[-1], t)[0])
        return found

    step = 1e-4
    low, middle, high = (derivatives(tf.constant(t, tf.float64)) for t in (-step, 0.0, step))
    for mine, a, b in zip(middle[1:], low, high, strict=False):
        np.testing.assert_allclose(mine, (b - a) / (2 * step), rtol=1e-6)
