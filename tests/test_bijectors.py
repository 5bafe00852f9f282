"""Each layer alone: its law, its edges, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows import bijectors, elementwise, networks

tfb = tfp.bijectors


def test_masked_autoregressive_flow_is_a_drop_in_for_tfps(rng):
    made = networks.MADE(3, hidden_units=(8,), seed=0, dtype="float64")
    for variable in made.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    mine, theirs = bijectors.MaskedAutoregressiveFlow(made), tfb.MaskedAutoregressiveFlow(made)
    assert isinstance(mine, tfb.MaskedAutoregressiveFlow)
    x = tf.constant(rng.normal(size=(5, 3)))
    np.testing.assert_allclose(mine.forward(x), theirs.forward(x), atol=1e-12)
    np.testing.assert_allclose(mine.inverse(tf.identity(x)), theirs.inverse(tf.identity(x)), atol=1e-12)
    np.testing.assert_allclose(
        mine.inverse_log_det_jacobian(tf.identity(x), 1), theirs.inverse_log_det_jacobian(tf.identity(x), 1), atol=1e-12
    )


def test_masked_autoregressive_flow_takes_a_foreign_network(rng):
    layer = bijectors.MaskedAutoregressiveFlow(lambda y: (tf.zeros_like(y), tf.ones_like(y)), is_constant_jacobian=True)
    x = tf.constant(rng.normal(size=(5, 3)))
    np.testing.assert_allclose(layer.forward(x), np.e * x.numpy(), atol=1e-12)


@pytest.mark.parametrize("num_masked", [1, 2, -1, -3])
def test_real_nvp_is_a_drop_in_for_tfps(num_masked, rng):
    stays = abs(num_masked)
    network = networks.ShiftAndLogScale(networks.MLP(stays, 4 - stays, seed=0, dtype="float64"))
    for variable in network.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    mine = bijectors.RealNVP(num_masked=num_masked, shift_and_log_scale_fn=network)
    theirs = tfb.RealNVP(num_masked=num_masked, shift_and_log_scale_fn=network)
    x = tf.constant(rng.normal(size=(5, 4)))
    for name in ("forward", "inverse"):
        np.testing.assert_allclose(getattr(mine, name)(x), getattr(theirs, name)(x), atol=1e-12)
    for name in ("forward_log_det_jacobian", "inverse_log_det_jacobian"):
        np.testing.assert_allclose(getattr(mine, name)(x, 1), getattr(theirs, name)(x, 1), atol=1e-12)


def test_log_scales_that_broadcast_count_for_every_dimension(rng):
    def network(x, units):
        return tf.sin(x[..., :1]) + tf.zeros(units, x.dtype), tf.cos(x[..., :1])

    x = tf.constant(rng.normal(size=(5, 4)))
    for mine, theirs in (
        [family.RealNVP(num_masked=1, shift_and_log_scale_fn=network) for family in (bijectors, tfb)],
        [family.MaskedAutoregressiveFlow(lambda x: network(0.0 * x, 4)) for family in (bijectors, tfb)],
    ):
        np.testing.assert_allclose(mine.inverse(x), theirs.inverse(x), atol=1e-12)
        np.testing.assert_allclose(
            mine.inverse_log_det_jacobian(x, 1), theirs.inverse_log_det_jacobian(x, 1), atol=1e-12
        )


def test_one_evaluation_of_the_network_gives_value_and_log_det(rng):
    calls = []

    class Counting(networks.MLP):
        def __call__(self, x, **kwargs):
            calls.append(x)
            return super().__call__(x, **kwargs)

    layer = bijectors.RealNVP(num_masked=1, shift_and_log_scale_fn=networks.ShiftAndLogScale(Counting(1, 2, seed=0)))
    y = tf.constant(rng.normal(size=(5, 3)), tf.float32)
    x = layer.inverse(y)
    layer.inverse_log_det_jacobian(y, 1)
    layer.forward_log_det_jacobian(x, 1)
    assert len(calls) == 1


def test_a_constant_log_scale_is_a_constant_jacobian_that_is_not_zero(rng):
    def shift_and_log_scale(x, units):
        return tf.reduce_sum(tf.sin(x), axis=-1, keepdims=True) + tf.zeros(units, x.dtype), tf.constant([0.3, -1.1])

    options = {"num_masked": 1, "shift_and_log_scale_fn": shift_and_log_scale, "is_constant_jacobian": True}
    ours, theirs = bijectors.RealNVP(**options), tfb.RealNVP(**options)
    x = tf.constant(rng.normal(size=(5, 3)).astype("float32"))
    for name in ("forward_log_det_jacobian", "inverse_log_det_jacobian"):
        found, wanted = (getattr(layer, name)(x, event_ndims=1) for layer in (ours, theirs))
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        assert abs(float(tf.reduce_mean(found))) == pytest.approx(0.8, rel=1e-6)


def test_spline_agrees_with_tfps(rng):
    network = networks.MLP(1, 1, params=3 * 8 - 1, seed=0, dtype="float64")
    for variable in network.trainable_variables:
        variable.assign_add(rng.normal(0, 1.0, variable.shape))
    spline, raw = elementwise.Spline(8), network(tf.constant(rng.normal(size=(100, 1))))
    widths, heights, slopes = tf.split(raw, [8, 8, 7], axis=-1)
    bounded = lambda raw, bound: raw / tf.sqrt(1.0 + (raw / bound) ** 2)  # noqa: E731
    widths, heights = (6.0 * (1e-3 + (1 - 8e-3) * tf.nn.softmax(bounded(part, 2.0))) for part in (widths, heights))
    slopes = 1e-3 + tf.math.softplus(bounded(slopes, 10.0) + np.log(np.expm1(0.999)))
    theirs = tfb.RationalQuadraticSpline(widths, heights, slopes, range_min=-3.0)
    x = tf.constant(rng.uniform(-4, 4, size=(100, 1)))
    for name in ("forward", "inverse"):
        value, log_slope = getattr(spline, name)(raw, x)
        np.testing.assert_allclose(value, getattr(theirs, name)(x), atol=1e-10)
        np.testing.assert_allclose(log_slope, getattr(theirs, f"{name}_log_det_jacobian")(x, 0), atol=1e-9)


def test_spline_is_the_identity_far_outside_and_its_gradients_are_finite(rng):
    network = networks.MLP(1, 1, params=3 * 64 - 1, seed=0)
    for variable in network.trainable_variables:
        variable.assign_add(tf.constant(rng.normal(0, 1.0, variable.shape), tf.float32))
    layer = bijectors.SplineCoupling(1, network)
    edges = np.array([3.0, -3.0, np.nextafter(np.float32(3), 0), 5.0, -1e4, 1e20, -1e20], "float32")
    y = tf.constant(np.stack([np.linspace(-1, 1, len(edges)), edges], axis=1), tf.float32)
    with tf.GradientTape() as tape:
        x = layer.inverse(y)
        total = tf.reduce_sum(layer.inverse_log_det_jacobian(y, 1)) + tf.reduce_sum(x[:4])
    np.testing.assert_allclose(x[:, 1], edges, rtol=1e-5)
    for gradient in tape.gradient(total, layer.trainable_variables):
        assert np.isfinite(gradient).all()


def test_planar_keeps_its_constraint_for_any_parameters(rng):
    """Trap 17: dividing by |w| in place of |w|^2 lets w.v fall below -1, where there is no inverse."""
    for scale in (0.01, 1.0, 10.0):
        layer = bijectors.Planar(3, rng=rng, dtype="float64")
        for variable in layer.trainable_variables:
            variable.assign(rng.normal(0, scale, variable.shape))
        v, slope = layer._constrained()
        assert float(tf.reduce_sum(v * layer.w)) == pytest.approx(float(slope), abs=1e-9)
        assert float(slope) >= -1.0
        w, v0 = layer.w.numpy(), layer.v0.numpy()
        assert float(slope) == pytest.approx(-1.0 + np.log1p(np.exp(w @ v0)), rel=1e-9)
        x = 100.0 * rng.normal(size=(50, 3))
        np.testing.assert_allclose(layer.forward(tf.identity(layer.inverse(x))), x, atol=1e-9 * max(1.0, scale))


@pytest.mark.parametrize("slope", [-0.99, 0.0, 1e-3, 3.0, 20.0])
def test_planar_root_is_found_everywhere_also_by_xla(slope):
    """TFP's root finder gives NaN here for some numbers once XLA has compiled it."""
    from tfp_flows.bijectors.planar import _solve

    p = np.concatenate([np.linspace(-30, 30, 200_001), [1e-8, -1e-8, 1e4]]).astype("float32")
    root = tf.function(_solve, jit_compile=True)(tf.constant(p), tf.constant(slope, tf.float32)).numpy()
    np.testing.assert_allclose(root + slope * np.tanh(root), p, atol=1e-5, rtol=1e-6)


def test_planar_inverse_has_the_gradients_of_finite_differences(rng):
    """The root is solved for, yet a planar flow trains by maximum likelihood: so the solver needs derivatives."""
    layer = bijectors.Planar(2, rng=rng, dtype="float64")
    x = tf.constant(rng.normal(size=(4, 2)))

    def loss():
        y = tf.identity(x)
        return tf.reduce_sum(layer.inverse(y) ** 2) + tf.reduce_sum(layer.inverse_log_det_jacobian(y, 1))

    with tf.GradientTape() as tape:
        value = loss()
    for variable, gradient in zip(
        layer.trainable_variables, tape.gradient(value, layer.trainable_variables), strict=True
    ):
        start = variable.numpy()
        for index in np.ndindex(start.shape):
            step = np.zeros_like(start)
            step[index] = 1e-6
            variable.assign(start + step)
            up = loss()
            variable.assign(start - step)
            slope = (up - loss()) / 2e-6
            variable.assign(start)
            assert float(gradient[index]) == pytest.approx(float(slope), abs=1e-6)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_smooth_leaky_relu_has_an_inverse_and_tends_to_the_sharp_one(alpha, rng):
    u = tf.constant(3.0 * rng.normal(size=100))
    sharp = bijectors.LeakyReLU(alpha, dtype="float64")
    smooth = bijectors.LeakyReLU(alpha, smoothness=1.0, dtype="float64")
    nearly_sharp = bijectors.LeakyReLU(alpha, smoothness=1e-12, dtype="float64")
    np.testing.assert_allclose(smooth.inverse(tf.identity(smooth.forward(u))), u, atol=1e-12)
    np.testing.assert_allclose(nearly_sharp.forward(u), sharp.forward(u), atol=1e-5)
    np.testing.assert_allclose(sharp.forward(u), np.where(u >= 0, u, alpha * u), atol=1e-12)
    with tf.GradientTape() as tape:
        tape.watch(u)
        x = smooth.forward(u)
    np.testing.assert_allclose(
        smooth.forward_log_det_jacobian(u, event_ndims=0), np.log(tape.gradient(x, u)), atol=1e-12
    )


def test_batch_norm_normalises_the_batch_in_training(rng):
    layer = bijectors.BatchNorm(2, dtype="float64")
    x = 3.0 + 5.0 * rng.normal(size=(200, 2))
    u = layer.inverse(x, training=True).numpy()
    np.testing.assert_allclose(u.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(u.std(axis=0), 1.0, atol=1e-5)
    np.testing.assert_allclose(layer.inverse(x), x / np.sqrt(1 + layer.epsilon))


def test_batch_norm_of_one_row_does_not_explode_at_test_time():
    """Trap 15."""
    layer = bijectors.BatchNorm(2)
    layer.set_statistics(tf.constant([[0.0, 0.0], [2.0, 4.0]]))
    u = layer.inverse(tf.constant([[1.0, 2.0]]))
    np.testing.assert_allclose(u, [[0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bijectors.LeakyReLU(0.0), "alpha must be a number above 0; got 0.0"),
        (lambda: bijectors.LeakyReLU(0.5, smoothness=-1.0), "smoothness is -1.0; expected a number from 0"),
        (
            lambda: bijectors.SplineCoupling(1, networks.MLP(1, 1, params=5), interval=-1.0),
            "interval must be a number above 0; got -1.0",
        ),
        (lambda: bijectors.SplineCoupling(1, networks.MLP(1, 1, params=4)), "must be 3 K - 1.*got 4"),
        (lambda: networks.MADE(3, order="sideways"), "order must be one of.*got 'sideways'"),
        (lambda: networks.MADE(3, order=[1, 1, 2]), r"permutation of 1..3; got \[1, 1, 2\]"),
        (lambda: networks.MADE(3, order=[[1, 2, 3]]), r"permutation of 1..3; got \[\[1, 2, 3\]\]"),
        (lambda: networks.MADE(3, order=[1.0, 2.0, 3.0]), r"permutation of 1..3; got \[1.0, 2.0, 3.0\]"),
        (lambda: networks.Fourier(1, 1e-40), r"interval is 1e-40; expected a number from 1e-30 to 1e\+30"),
        (lambda: networks.Fourier(1, 10**400), r"interval is 1"),
        (
            lambda: networks.MADE(3)(tf.ones([1, 3]), tf.ones([1, 2])),
            r"conditional_input must have 0 columns.*\(1, 2\)",
        ),
        (
            lambda: networks.MLP(3, 1, context_size=2)(tf.ones([1, 3])),
            "conditional_input must have 2 columns.*got none",
        ),
        (lambda: networks.MLP(3, 1, context_size=2)(tf.ones([1, 3]), 1.0), r"must have 2 columns.*got shape \(\)"),
        (lambda: networks.MLP(3, 1)(np.ones([1, 3])), "x must be of float32, as the network is; got float64"),
        (lambda: networks.MADE(3)(tf.ones([1, 3], tf.int32)), "x must be of float32, as the network is; got int32"),
        (lambda: networks.MADE(3, params=0), "params must be an integer of at least 1; got 0"),
    ],
)
def test_bad_arguments_are_refused(build, message):
    with pytest.raises(tff.InputError, match=message):
        build()


@pytest.mark.parametrize("order", ["right-to-left", "random", [2, 3, 1]])
def test_made_respects_any_order(order, rng):
    made = networks.MADE(3, hidden_units=(7, 5), order=order, seed=1, dtype="float64")
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    x = tf.constant(rng.normal(size=(2, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        shift = made(x)[..., 0]
    jacobian = tape.batch_jacobian(shift, x, experimental_use_pfor=False).numpy()[0]
    degrees = np.asarray(made.order)
    np.testing.assert_array_equal(jacobian != 0, degrees[:, None] > degrees[None, :])


def test_made_is_exchangeable_with_tfps_network():
    made = networks.MADE(3, params=2, hidden_units=(8,))
    theirs = tfb.AutoregressiveNetwork(params=2, event_shape=[3], hidden_units=[8])
    assert made(tf.ones([5, 3])).shape == theirs(tf.ones([5, 3])).shape == (5, 3, 2)
    assert made(tf.ones([4, 5, 3])).shape == (4, 5, 3, 2)


def test_default_activations_are_not_linear(rng):
    """Trap 6: TFP's default activation is None, so its default network is linear."""
    made = networks.MADE(2, seed=0, dtype="float64")
    made.trainable_variables[0].assign_add(rng.normal(size=made.trainable_variables[0].shape))
    shift = [made(tf.constant([[x, 0.0]], tf.float64))[0, 1, 0].numpy() for x in (-2.0, 0.0, 2.0)]
    assert shift[0] + shift[2] != pytest.approx(2 * shift[1], rel=1e-3)
