"""Layers and chains in TFP's own distributions, chains and joint distributions."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import mostly_slow, scrambled
from layers import CASES, SIZE, layer

import tfp_flows as tff
from tfp_flows import bijectors

tfb, tfd = tfp.bijectors, tfp.distributions
WRAPS = {
    "alone": lambda b: b,
    "inverted": tfb.Invert,
    "before": lambda b: tfb.Chain([tfb.Scale(tf.constant(2.0, tf.float64)), b]),
    "after": lambda b: tfb.Chain([b, tfb.Shift(tf.constant(1.0, tf.float64))]),
}
ALONE = [case for case in CASES if not case.endswith("context")]


@pytest.mark.parametrize("wrap", mostly_slow(WRAPS))
@pytest.mark.parametrize("case", mostly_slow(ALONE, len(ALONE) // 8, len(ALONE) // 8))
def test_transformed_distribution(case, wrap):
    bijector = WRAPS[wrap](layer(case))
    density = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(SIZE, tf.float64)), bijector)
    assert density.batch_shape == ()
    assert density.batch_shape_tensor().shape == (0,)
    assert density.event_shape == (SIZE,)
    assert bijector.experimental_batch_shape(x_event_ndims=1) == ()
    assert bijector.experimental_batch_shape_tensor(x_event_ndims=1).shape == (0,)
    assert isinstance(bijector.parameter_properties(), dict)
    x, log_prob = density.experimental_sample_and_log_prob([4, 2], seed=(0, 1))
    np.testing.assert_allclose(density.log_prob(tf.identity(x)), log_prob, atol=1e-8)
    np.testing.assert_array_equal(density.sample([4, 2], seed=(0, 1)), x)
    assert density[...].batch_shape == ()
    many = tfd.Independent(tfd.BatchBroadcast(density, [2]), 1)
    assert many.log_prob(x).shape == (4,)
    assert tfd.Sample(density, 2).log_prob(x).shape == (4,)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Saw Tensor seed")
@pytest.mark.parametrize("kind", ["JointDistributionSequential", "JointDistributionSequentialAutoBatched"])
@pytest.mark.parametrize("case", mostly_slow(["RecomputingChain", "Planar", "ReversibleChain"], 0, 2))
def test_joint_distributions(case, kind):
    density = tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(SIZE, tf.float64)), layer(case))
    joint = getattr(tfd, kind)([density, lambda x: tfd.MultivariateNormalDiag(x, tf.ones(SIZE, tf.float64))])
    for seed in (3, (0, 3)):
        x, y = joint.sample(4, seed=seed)
        assert x.shape == y.shape == (4, SIZE)
    wanted = density.log_prob(x) + tfd.MultivariateNormalDiag(x).log_prob(y)
    np.testing.assert_allclose(joint.log_prob([tf.identity(x), y]), wanted, atol=1e-8)


@pytest.mark.parametrize("kind", [bijectors.RecomputingChain, bijectors.ReversibleChain])
def test_chains_of_the_same_layers_are_equal_to_themselves_only(kind, rng):
    """Trap 1: TFP's cache is keyed by equality."""
    one, two = (kind([bijectors.Affine(2, rng=rng, dtype="float64")]) for _ in range(2))
    assert one == one
    assert one != two
    assert kind(one.bijectors) != one
    x = tf.constant(rng.normal(size=(3, 2)))
    assert np.all(one.forward(x).numpy() != two.forward(x).numpy())
    again = one.copy(name="again")
    assert again.name == "again"
    np.testing.assert_array_equal(again.forward(tf.identity(x)), one.forward(x))


def test_rows_that_sum_to_one_after_a_flow():
    """TFP 0.25 cannot build these bijectors with NumPy 2.4, which setup.cfg leaves out."""
    flow = scrambled("maf", 2)
    law = tfd.TransformedDistribution(flow, tfb.SoftmaxCentered())
    x = law.sample(5, seed=0)
    np.testing.assert_allclose(tf.reduce_sum(x, axis=-1), np.ones(5), atol=1e-12)
    logits = np.log(x[:, :2] / x[:, 2:])
    # d logits / dx = 1 / prod x in the first two, of which sqrt(3) times as much area is on the triangle
    slope = tf.reduce_sum(tf.math.log(x), axis=-1) + np.log(3) / 2
    np.testing.assert_allclose(law.log_prob(tf.identity(x)), flow.log_prob(logits) - slope, rtol=1e-9)


@pytest.mark.slow
def test_rows_that_sum_to_one_are_fitted_as_by_the_law_that_made_them():
    """README's recipe: its density of the first two columns is a Dirichlet's, and integrates to one."""
    dirichlet = tfd.Dirichlet(np.array([2.0, 3.0, 4.0]))
    x, held_out = dirichlet.sample(4000, seed=0), dirichlet.sample(2000, seed=1)
    simplex = tfb.SoftmaxCentered()
    flow = tff.nsf(2, num_layers=2, hidden_units=(16,), dtype="float64", seed=0)
    tff.fit(flow, simplex.inverse(x), epochs=10, verbose=False, jit_compile=False, seed=0)
    law = tfd.TransformedDistribution(flow, simplex)
    gap = tf.reduce_mean(dirichlet.log_prob(held_out) - law.log_prob(held_out) - np.log(3) / 2)
    assert -0.02 < float(gap) < 0.06
    t = (np.arange(100) + 0.5) / 100
    a, b = (part.ravel() for part in np.meshgrid(t, t))
    grid = np.stack([a, (1 - a) * b, (1 - a) * (1 - b)], axis=-1)
    total = float(tf.reduce_mean(tf.exp(law.log_prob(grid)) * np.sqrt(3) * (1 - a)))
    assert abs(total - 1.0) < 2e-3
