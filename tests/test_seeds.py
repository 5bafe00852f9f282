"""Any integer is a seed, and different ones give different draws."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import mostly_slow, scrambled

import tfp_flows as tff
from tfp_flows.seeds import stateless

tfd = tfp.distributions
SEEDS = [
    0,
    1,
    2**31 - 1,
    2**31,
    2**32,
    2**32 + 1,
    2**63 - 1,
    2**63,
    2**64,
    2**200,
    -1,
    -2,
    -(2**31),
    -(2**63),
    -(2**70),
]


def test_every_integer_is_another_seed():
    pairs = {tuple(stateless(seed).numpy()) for seed in SEEDS}
    assert len(pairs) == len(SEEDS)


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_seeds_of_31_bits_are_what_they_were(seed):
    np.testing.assert_array_equal(stateless(seed), [0, seed])


@pytest.mark.slow
def test_draws_of_any_integer():
    flow = scrambled("nice", 2)
    draws = [flow.sample(3, seed=seed).numpy() for seed in SEEDS]
    assert len({draw.tobytes() for draw in draws}) == len(SEEDS)
    for seed, draw in zip(SEEDS, draws, strict=True):
        np.testing.assert_array_equal(flow.sample_and_log_prob(3, seed=seed)[0], draw)
        assert flow.sample(3, seed=seed, batch_size=2).shape == (3, 2)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint64, np.uint8, np.array, tf.constant])
def test_integers_of_other_kinds(kind):
    flow = scrambled("nice", 2)
    np.testing.assert_array_equal(flow.sample(3, seed=kind(5)), flow.sample(3, seed=5))


def test_seeds_of_tfp():
    flow = scrambled("nice", 2)
    for seed in ([1, 2], tf.constant([1, 2]), tfp.random.sanitize_seed([1, 2])):
        np.testing.assert_array_equal(flow.sample(3, seed=seed), flow.sample(3, seed=(1, 2)))
    assert np.any(flow.sample(3).numpy() != flow.sample(3).numpy())
    assert flow.sample(3, seed=tfp.util.SeedStream(1, salt="draws")).shape == (3, 2)


def test_a_number_of_a_graph_is_a_seed():
    for seed in (5, -1, 7 + 2**32, -(2**40) + 3):
        np.testing.assert_array_equal(tf.function(stateless)(tf.constant(seed, tf.int64)), stateless(seed))


@pytest.mark.parametrize("seed", [tf.random.Generator.from_seed(1).state, tf.constant([1.0, 2.0])])
def test_the_state_of_a_generator_is_no_seed(seed):
    with pytest.raises(tff.InputError, match="seed must be an integer, a seed of TFP's or None"):
        scrambled("nice", 2).sample(3, seed=seed)


@pytest.mark.parametrize("seed", [1.5, "1", [2**32 + 5, 1], [-(2**40), 1], tf.constant([2**40, 1])])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(tff.InputError, match=f"seed must be an integer.*got {re.escape(repr(seed))}"):
        scrambled("nice", 2).sample(3, seed=seed)


@pytest.mark.filterwarnings("ignore:Saw Tensor seed")
@pytest.mark.parametrize("seed", mostly_slow([3, 2**40, (1, 2), None, -5, 0], 1))
@pytest.mark.parametrize("kind", ["JointDistributionSequential", "JointDistributionSequentialAutoBatched"])
def test_joint_distributions_take_any_seed(kind, seed):
    flow = scrambled("nice", 2)
    if isinstance(seed, int) and not 0 <= seed < 2**31 and kind == "JointDistributionSequential":
        seed = abs(seed) % 2**31  # TFP's own limit for the distributions beside a flow
    joint = getattr(tfd, kind)([flow, lambda x: tfd.MultivariateNormalDiag(x, tf.ones(2, tf.float64))])
    x, y = joint.sample(4, seed=seed)
    assert x.shape == y.shape == (4, 2)
    assert np.unique(x.numpy().round(9)).size == 8
    assert joint.log_prob([x, y]).shape == (4,)
