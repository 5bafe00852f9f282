"""Elementwise maps: both directions, their log-slopes, and what they make in a layer."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import mostly_slow, scramble_variables

import tfp_flows as tff
from tfp_flows.elementwise import Affine, Composed, MixtureOfLogistics, Shift, Spline
from tfp_flows.networks.solver import BLOCK

MAPS = [Shift(), Affine(), Affine(0.5), Affine(None), Spline(5), Spline(2, 1.5, 1.0), Spline(8, 3.0, None)]
MAPS += [Spline(5, tails="equal"), Spline(5, tails="free")]
MAPS += [Composed((Affine(), Spline(5, tails="free"))), MixtureOfLogistics(1), MixtureOfLogistics(4)]
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
    """A mixture of several starts close to it only: equal components would stay equal."""
    raw, u = parameters(elementwise, scale=0.0)
    off = 0.6 if elementwise == MixtureOfLogistics(4) else 1e-12
    for value, log_slope in (elementwise.forward(raw, u), elementwise.inverse(raw, u)):
        np.testing.assert_allclose(value, u, atol=off)
        np.testing.assert_allclose(log_slope, tf.zeros_like(u), atol=off)


@pytest.mark.parametrize("bound", [2.0, 29.0, 1000.0, None])
def test_bins_of_a_spline_are_finite_whatever_a_network_says(bound, rng):
    spline = Spline(8, logit_bound=bound)
    for scale in (1.0, 100.0) if bound is None else (1.0, 100.0, 1e38):
        raw = tf.constant(np.clip(rng.normal(size=[200, spline.params]) * scale, -3e38, 3e38), tf.float32)
        x = tf.constant(rng.uniform(-4, 4, size=[200]), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch([raw, x])
            u, log_slope = spline.inverse(raw, x)
        gradients = tape.gradient([u, log_slope], [raw, x])
        assert all(np.isfinite(part).all() for part in (u, log_slope, *gradients))
        again = spline.inverse(tf.cast(raw, tf.float64), tf.cast(x, tf.float64))[1]
        if scale == 1.0:
            np.testing.assert_allclose(log_slope, again, atol=1e-3)


@every_map
def test_leading_dimensions_broadcast(elementwise):
    raw, u = parameters(elementwise, shape=(3,))
    many = tf.stack([u, u + 0.1])
    for direction in (elementwise.forward, elementwise.inverse):
        for found, one in zip(direction(raw, many), direction(raw, u), strict=True):
            np.testing.assert_allclose((found + tf.zeros_like(many))[0], one, atol=1e-12)


@pytest.mark.parametrize("elementwise", mostly_slow(MAPS, 2, 4), ids=str)
def test_second_derivatives(elementwise):
    """Of both directions, in the value and in the parameters, against differences of the gradient."""
    raw, u = parameters(elementwise, shape=(6,), scale=1.0)
    rng = np.random.default_rng(1)
    along = tf.constant(rng.normal(size=raw.shape)), tf.constant(rng.normal(size=u.shape))

    def gradient(direction, raw, u):
        with tf.GradientTape() as tape:
            tape.watch([raw, u])
            x, log_slope = getattr(elementwise, direction)(raw, u)
            loss = tf.reduce_sum(tf.sin(x)) + tf.reduce_sum(log_slope**2)
        found = tape.gradient(loss, [raw, u], unconnected_gradients="zero")
        return sum(tf.reduce_sum(a * b) for a, b in zip(along, found, strict=True))

    for direction in ("forward", "inverse"):
        with tf.GradientTape() as tape:
            tape.watch([raw, u])
            slope = gradient(direction, raw, u)
        second = tape.gradient(slope, [raw, u], unconnected_gradients="zero")
        exact = sum(tf.reduce_sum(a * b) for a, b in zip(along, second, strict=True))
        step = 1e-5
        ahead, behind = (
            gradient(direction, raw + sign * step * along[0], u + sign * step * along[1]) for sign in (1, -1)
        )
        np.testing.assert_allclose(exact, (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_mixture_of_logistics_finds_its_root_whatever_it_is(jit_compile, rng):
    """In float32, with parameters and values far out."""
    mixture = MixtureOfLogistics(5)
    raw = tf.constant(rng.normal(0.0, 5.0, (5000, mixture.params)).astype("float32"))
    u = tf.constant(rng.normal(0.0, 5.0, 5000).astype("float32"))
    both = tf.function(
        lambda: (mixture.forward(raw, u), mixture.inverse(raw, mixture.forward(raw, u)[0])), jit_compile=jit_compile
    )
    (x, log_slope), (again, back) = both()
    assert np.isfinite([x, log_slope, again, back]).all()
    off = np.abs(again - u) * np.minimum(
        1.0, np.exp(log_slope)
    )  # a step of float32 in x is as much in u as the slope says
    assert np.quantile(off / (1.0 + np.abs(u) + np.abs(x)), 0.999) < 1e-5


@pytest.mark.parametrize("size", [1.0, 3.0, 8.0])
def test_a_mixture_of_logistics_finds_its_root_to_the_last_digits(size, rng):
    """Of narrow modes far apart too, between which the cdf is flat: Newton's steps alone went round in circles."""
    mixture = MixtureOfLogistics(8)
    raw = tf.constant(rng.normal(0.0, size, (4000, mixture.params)))
    u, _ = mixture.inverse(raw, tf.constant(rng.normal(0.0, 3.0 * size, 4000)))
    x, _ = mixture.forward(raw, u)
    off = (mixture.inverse(raw, x)[0] - u) * tf.exp(-mixture.inverse(raw, x)[1])
    assert np.max(np.abs(off) / (1 + np.abs(x))) < 1e-11


def test_a_mixture_of_logistics_is_the_cdf_of_that_mixture(rng):
    mixture = MixtureOfLogistics(3)
    raw = tf.constant(rng.normal(size=mixture.params))
    log_weights, means, log_scales = mixture._parts(raw)
    logistic = tfp.distributions.Logistic(means, tf.exp(log_scales))
    law = tfp.distributions.MixtureSameFamily(tfp.distributions.Categorical(logits=log_weights), logistic)
    x = tf.constant(np.linspace(-6.0, 6.0, 41))
    u, log_slope = mixture.inverse(raw, x)
    np.testing.assert_allclose(tf.sigmoid(u), law.cdf(x), atol=1e-9)
    standard = tfp.distributions.Logistic(tf.constant(0.0, tf.float64), 1.0)
    np.testing.assert_allclose(standard.log_prob(u) + log_slope, law.log_prob(x), atol=1e-9)


def test_equal_maps_are_equal_and_others_are_not():
    assert Spline(5) == Spline(5, 3.0, 2.0)
    assert Composed([Affine(), Spline(5)]) == Composed((Affine(), Spline(5)))
    assert hash(Affine(2.0)) == hash(Affine(2.0))
    assert len({*MAPS, *MAPS}) == len(MAPS)


LARGE = [(elementwise, BLOCK + 3, 2) for elementwise in (Affine(), Spline(5), MixtureOfLogistics(4))]
SOLVED = [*((elementwise, 3, 2) for elementwise in MAPS), (Affine(), 1, 0), (Spline(5), 1, 0), *LARGE]


@pytest.mark.parametrize(
    ("elementwise", "event_size", "context_size"), mostly_slow(SOLVED, 3, 3, several=True), ids=str
)
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: Affine(0.0),
        lambda: Affine(float("inf")),
        lambda: Spline(1),
        lambda: Spline(5, tails="loose"),
        lambda: Spline(True),
        lambda: Spline(1001),
        lambda: Spline(8, -3.0),
        lambda: Spline(8, 1e5),
        lambda: Spline(8, float("nan")),
        lambda: Spline(8, 3.0, 0.0),
        lambda: MixtureOfLogistics(0),
        lambda: Composed(()),
        lambda: Composed(Affine()),
        lambda: Composed([Affine]),
        lambda: Composed([tff.networks.MADE(3)]),
        lambda: tff.bijectors.Autoregressive(None, Affine()),
        lambda: tff.bijectors.Autoregressive(tff.networks.MADE(3), Affine),
        lambda: tff.bijectors.Autoregressive(tff.networks.MADE(3), "affine"),
        lambda: tff.bijectors.Autoregressive(tff.networks.MLP(3, 3), Affine()),
        lambda: tff.bijectors.Coupling("1", tff.networks.MLP(1, 2), Affine()),
        lambda: tff.bijectors.Coupling(True, tff.networks.MLP(1, 2), Affine()),
        lambda: tff.bijectors.Coupling(3, tff.networks.MLP(1, 2), Affine()),
        lambda: tff.networks.MADE(3, 2).solve(np.ones([4, 3], "float32"), Shift()),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(make):
    with pytest.raises(tff.InputError):
        make()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("wrong", [2, 4])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_rows_of_another_width_are_refused(size, wrong, jit_compile):
    layer = tff.bijectors.Autoregressive(tff.networks.MADE(size, 2, seed=0), Affine())
    for direction in (layer.forward, layer.inverse):
        call = tf.function(direction, jit_compile=jit_compile, autograph=False)
        with pytest.raises(tff.InputError, match=f"x must have {size} columns?,"):
            call(tf.ones([4, wrong]))


def test_a_batch_of_unknown_rank_keeps_its_shape():
    network = tff.networks.MADE(3, 2, seed=0)
    for layer in (tff.bijectors.Autoregressive(network, Affine()), tff.bijectors.MaskedAutoregressiveFlow(network)):
        for direction in (layer.forward, layer.inverse):
            call = tf.function(direction, input_signature=[tf.TensorSpec(None)], autograph=False)
            x = tf.reshape(tf.range(24.0), [2, 4, 3]) / 24
            np.testing.assert_allclose(call(x), direction(x), atol=1e-6)


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
    scramble_variables(flow.variables, scale=0.1)  # the sinh of a sinh overflows soon
    x, log_prob = flow.sample_and_log_prob(5, seed=0)
    assert np.isfinite(x).all()
    np.testing.assert_allclose(flow.log_prob(tf.identity(x)), log_prob, atol=1e-9)
    u = flow.encode(x)
    with tf.GradientTape() as tape:
        tape.watch(u)
        again = flow.decode(u)
    log_det = np.linalg.slogdet(tape.batch_jacobian(again, u))[1]
    base = tfp.distributions.MultivariateNormalDiag(tf.zeros(3, tf.float64)).log_prob(u)
    np.testing.assert_allclose(base - log_det, log_prob, atol=1e-9)
