"""Parts of a flow that cannot be written down: named when it is saved, compared when it is read into another."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, scramble

import tfp_flows as tff
from tfp_flows.arrays import whole_arrays

tfd = tfp.distributions
READ = r"tff\.load\(folder, into=flow\)"


class Wide(tfd.Distribution):
    """A law that no recipe can hold: a class of the user's own, with a variable."""

    def __init__(self, law=tfd.Normal):
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, validate_args=False, allow_nan_stats=True, name="wide")
        self.law, self.scale = law, tf.Variable([1.0, 2.0], name="wide/scale")

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _event_shape(self):
        return tf.TensorShape([2])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return self.law(0.0, self.scale).sample(n, seed=seed)

    def _log_prob(self, x):
        return tf.reduce_sum(self.law(0.0, self.scale).log_prob(x), axis=-1)


class Other(Wide):
    """The same law by another name."""


def dense(activation):
    return tf.keras.Sequential([tf.keras.Input([3]), tf.keras.layers.Dense(4, activation=activation)])


def mlp(activation):
    return tff.networks.MLP(3, 4, hidden_units=(4,), activation=activation, seed=0)


def with_network(network=None, **options):
    return make_small("maf", 2, context_size=3, **options, **({"context_network": network} if network else {}))


def with_base(base, **options):
    return make_small("maf", 2, base=base, **options)


def assert_equal(arrays, expected):
    assert len(arrays) == len(expected)  # names count Keras' layers
    for array, value in zip(arrays.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(array, value)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        (lambda: with_network(tf.tanh), lambda: with_network(tf.sin), "another context_network .* made others"),
        (lambda: with_network(dense("tanh")), lambda: with_network(dense("relu")), "another context_network"),
        (lambda: with_network(mlp("tanh")), lambda: with_network(mlp("relu")), "another context_network"),
        (lambda: with_network(tf.tanh), with_network, "another context_network"),
        (with_network, lambda: with_network(tf.tanh), "another context_network"),
        (lambda: with_base(Wide()), lambda: with_base(Wide(tfd.Laplace)), "another base .* made others"),
        (lambda: with_base(Wide()), lambda: with_base("normal"), "another base"),
        (lambda: with_base("student_t"), lambda: with_base(Wide()), "another base"),
        (
            lambda: with_base(Wide()),
            lambda: with_base(Wide(), activation="tanh"),
            "other layers or options",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:.*cannot be written down")
def test_reading_into_a_flow_with_another_part_is_refused(one, other, what, tmp_path):
    scramble(one()).save(tmp_path)
    into = scramble(other(), seed=1)
    before = whole_arrays(into)
    with pytest.raises(tff.InputError, match=rf"flow\.npz belongs to a flow with {what}[^\n]*\.$"):
        tff.load(tmp_path, into=into)
    assert_equal(whole_arrays(into), before)


@pytest.mark.parametrize(
    ("build", "same", "part"),
    [
        (lambda: with_network(tf.tanh), lambda: with_network(lambda c: tf.tanh(c)), r"context_network \(tanh\)"),
        (lambda: with_network(dense("tanh")), None, r"context_network \(Sequential\)"),
        (lambda: with_base(Wide()), lambda: with_base(Other()), r"base \(Wide\)"),
        (
            lambda: with_base(tfd.TransformedDistribution(Wide(), tfp.bijectors.Shift([1.0, 2.0]))),
            None,
            r"distribution of base",
        ),
    ],
)
def test_what_cannot_be_written_down_is_named_when_it_is_saved_and_when_it_is_read(build, same, part, tmp_path):
    flow = scramble(build())
    with pytest.warns(UserWarning, match=rf"^maf is saved, but not its {part}.*{READ}\.$") as said:
        flow.save(tmp_path)
    assert [warning.filename for warning in said] == [__file__]
    with pytest.raises(tff.InputError, match=rf"the flow's {part}.* could not be written down.*{READ}"):
        tff.load(tmp_path)
    again = tff.load(tmp_path, into=scramble((same or build)(), seed=1))
    assert_equal(whole_arrays(again), whole_arrays(flow))


def test_a_network_of_chance_is_compared_by_its_arrays_alone(tmp_path):
    def noisy(c):
        return c + tf.random.normal(tf.shape(c))

    with pytest.warns(UserWarning, match="noisy"):
        with_network(noisy).save(tmp_path)
    assert tff.load(tmp_path, into=with_network(noisy))


def test_what_is_written_down_is_saved_without_a_word(tmp_path, recwarn):
    with_network(mlp("tanh")).save(tmp_path)
    assert not [warning for warning in recwarn if "written down" in str(warning.message)]
