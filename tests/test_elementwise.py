"""Elementwise maps: both directions, their log-slopes, and what they make in a layer."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import scramble_variables

import tfp_flows as tff
from tfp_flows.elementwise import Affine, Shift, Spline
from tfp_flows.networks.solver import BLOCK

MAPS = [Shift(), Affine(), Affine(0.5), Affine(None), Spline(5), Spline(2, 1.5, 1.0), Spline(8, 3.0, None)]
every_map = pytest.mark.parametrize("elementwise", MAPS, ids=str)


def parameters(elementwise, shape=(40, 3), scale=2.0):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(0.0, scale, (*shape, elementwise.params))), tf.constant(rng.normal(0.0, 2.0, shape))


@every_map
def test_directions_undo_each_other_and_their_slopes_are_the_derivatives(elementwise):
    raw, u = parameters(elementwise)
    with tf.GradientTape() as tape:
        tape.watch(u)
        x, log_slope = elementwise.forward(raw, u)
    np.testing.assert_allclose(tf.math.log(tape.gradient(x, u)), log_slope, atol=1e-9)
    again, back = elementwise.inverse(raw, x)
    np.testing.assert_allclose(again, u, atol=1e-9)
    np.testing.assert_allclose(back, -log_slope, atol=1e-7)
    assert x.shape == log_slope.shape == u.shape


@every_map
def test_zeros_of_a_network_are_the_identity(elementwise):
    raw, u = parameters(elementwise, scale=0.0)
    for value, log_slope in (elementwise.forward(raw, u), elementwise.inverse(raw, u)):
        np.testing.assert_allclose(value, u, atol=1e-12)
        np.testing.assert_allclose(log_slope, tf.zeros_like(u), atol=1e-12)


@every_map
def test_leading_dimensions_broadcast(elementwise):
    raw, u = parameters(elementwise, shape=(3,))
    many = tf.stack([u, u + 0.1])
    for direction in (elementwise.forward, elementwise.inverse):
        for found, one in zip(direction(raw, many), direction(raw, u), strict=True):
            np.testing.assert_allclose((found + tf.zeros_like(many))[0], one, atol=1e-12)


def test_equal_maps_are_equal_and_others_are_not():
    assert Spline(5) == Spline(5, 3.0, 2.0)
    assert hash(Affine(2.0)) == hash(Affine(2.0))
    assert len({*MAPS, *MAPS}) == len(MAPS)


@pytest.mark.parametrize("event_size", [1, 3, pytest.param(BLOCK + 3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("context_size", [0, 2])
@every_map
def test_a_map_is_solved_as_by_the_loop(elementwise, event_size, context_size, rng):
    """TFP's loop of D passes evaluates the same network and the same map: values, log-dets and gradients agree."""
    options = {"hidden_units": (9, 7), "context_size": context_size, "seed": 0, "dtype": "float64"}
    network = tff.networks.MADE(event_size, elementwise.params, **options)
    scramble_variables(network.variables)
    layer = tff.bijectors.Autoregressive(network, elementwise)
    given = {"conditional_input": tf.constant(rng.normal(size=(4, 2)))} if context_size else {}
    u = tf.constant(rng.normal(size=(4, event_size)))

    def loop(u):
        x = tf.zeros_like(u)
        for _ in range(event_size):
            x, log_slope = elementwise.forward(network(x, **given), u)
        return x, tf.reduce_sum(log_slope, axis=-1)

    def ours(u):
        return layer.forward(u, **given), layer.forward_log_det_jacobian(tf.identity(u), event_ndims=1, **given)

    found = []
    for solve in (ours, loop):
        with tf.GradientTape() as tape:
            tape.watch([u, *given.values()])
            x, log_det = solve(u)
            loss = tf.reduce_sum(tf.sin(x)) + tf.reduce_sum(log_det**2)
        sources = [u, *given.values(), *network.trainable_variables]
        found.append([x, log_det, *tape.gradient(loss, sources, unconnected_gradients="zero")])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    np.testing.assert_allclose(layer.inverse(tf.identity(found[0][0]), **given), u, atol=1e-9)


@pytest.mark.parametrize("kind", ["Coupling", "Autoregressive"])
def test_a_network_that_does_not_fit_the_map_is_refused(kind):
    networks = {"Coupling": tff.networks.MLP(1, 2, 3), "Autoregressive": tff.networks.MADE(3, 3)}
    arguments = [1] if kind == "Coupling" else []
    with pytest.raises(tff.InputError, match=r"network\.params must be 2 for Affine"):
        getattr(tff.bijectors, kind)(*arguments, networks[kind], Affine())


def test_a_coupling_refuses_rows_that_its_network_was_not_built_for():
    layer = tff.bijectors.Coupling(1, tff.networks.MLP(1, 2), Affine())
    with pytest.raises(tff.InputError, match="x must have 3 columns, 1 of which stay; got shape"):
        layer.forward(np.zeros([5, 2], "float32"))


def test_a_map_of_ones_own_is_a_layer_and_a_flow(rng):
    """The protocol is all that a map needs: here `x = sinh(u + shift)`."""

    class Sinh:
        params = 1

        def forward(self, raw, u):
            x = tf.sinh(u + raw[..., 0])
            return x, 0.5 * tf.math.log1p(x**2)

        def inverse(self, raw, x):
            return tf.asinh(x) - raw[..., 0], -0.5 * tf.math.log1p(x**2)

    layers = [
        tff.bijectors.Autoregressive(tff.networks.MADE(3, 1, seed=0, dtype="float64"), Sinh(), name="autoregressive"),
        tff.bijectors.Coupling(1, tff.networks.MLP(1, 2, 1, seed=0, dtype="float64"), Sinh(), name="coupling"),
    ]
    flow = tff.Flow(layers, event_size=3, dtype="float64")
    scramble_variables(flow.variables)
    x, log_prob = flow.sample_and_log_prob(5, seed=0)
    np.testing.assert_allclose(flow.log_prob(tf.identity(x)), log_prob, atol=1e-9)
    u = flow.encode(x)
    with tf.GradientTape() as tape:
        tape.watch(u)
        again = flow.decode(u)
    log_det = np.linalg.slogdet(tape.batch_jacobian(again, u))[1]
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros(3, tf.float64)).log_prob(u)
    np.testing.assert_allclose(base - log_det, log_prob, atol=1e-9)
