"""The latent Gaussian: TFP's law and, eagerly, its draws."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bases import Gaussian


@pytest.mark.parametrize("shape", [(), 5, (2, 3)])
def test_draws_are_those_of_tfp(shape):
    ours, theirs = (d(loc=np.zeros(4)) for d in (Gaussian, tfp.distributions.MultivariateNormalDiag))
    seed = tf.constant([3, 7])
    x, log_prob = ours.experimental_sample_and_log_prob(shape, seed=seed)
    np.testing.assert_array_equal(ours.sample(shape, seed=seed), theirs.sample(shape, seed=seed))
    np.testing.assert_array_equal(x, theirs.sample(shape, seed=seed))
    np.testing.assert_allclose(log_prob, theirs.log_prob(x))


def test_draws_under_xla_are_normal():
    gaussian = Gaussian(loc=np.zeros(2, "float32"))
    x = tf.function(lambda: gaussian.sample(20_000, seed=tf.constant([3, 7])), jit_compile=True)().numpy()
    np.testing.assert_allclose(x.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), np.eye(2), atol=0.04)
    np.testing.assert_allclose((np.abs(x) > 1.959964).mean(), 0.05, atol=0.006)
