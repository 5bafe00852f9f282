"""A network of the user's between the context and the layers."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, mostly_slow, scramble

import tfp_flows as tff

C = np.array([[0.1, -2.0], [0.5, 0.3], [3.0, 1.0]], "float32")


@tf.keras.utils.register_keras_serializable("tests")
class Features(tf.keras.layers.Layer):
    """A layer of the user's own, with one inside that is frozen."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = tf.keras.layers.Dense(5, activation="silu")
        self.frozen = tf.keras.layers.Dense(2, trainable=False)

    def build(self, shape):  # without it, Keras 3 can copy and load no layer with others inside
        self.dense.build(shape)
        self.frozen.build(shape)

    def call(self, c):
        return tf.concat([self.dense(c), self.frozen(c)], axis=-1)


class Plain(tf.Module):
    """No Keras at all."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.eye(2))

    def __call__(self, c):
        return tf.tanh(c @ self.kernel)


def squares(c):
    return tf.concat([c, c**2], axis=-1)


def model():
    dense = [tf.keras.layers.Dense(8, activation="silu"), tf.keras.layers.Dropout(0.5), tf.keras.layers.Dense(3)]
    return tf.keras.Sequential(dense)


NETWORKS = {
    "mlp": lambda: tff.networks.MLP(2, 5, params=1, hidden_units=(8,), seed=0),
    "dense": lambda: tf.keras.layers.Dense(4, activation="silu"),
    "model": model,
    "layer": Features,
    "module": Plain,
    "function": lambda: squares,
}
SIZES = {"mlp": (5, 69), "dense": (4, 12), "model": (3, 51), "layer": (7, 15), "module": (2, 4), "function": (4, 0)}
networks = pytest.mark.parametrize("kind", mostly_slow(list(NETWORKS), 2))


def build(kind, name="maf", **options):
    return scramble(make_small(name, 2, context_size=2, context_network=NETWORKS[kind](), **options))


@pytest.mark.slow
@networks
def test_the_layers_see_what_the_network_makes_of_the_context(kind, rng):
    flow = build(kind)
    size, count = SIZES[kind]
    assert flow.context_size == 2
    assert flow.context_network.output_size == size
    assert sum(v.shape.num_elements() for v in flow.context_network.trainable_variables) == count
    assert f"{count} parameters" in flow.summary().splitlines()[1]
    x = rng.normal(size=(3, 2)).astype("float32")
    inside = flow.context_network(flow.standardize_context.standardized(tf.constant(C)))
    _, by_layer = flow._split_kwargs({"context": tf.constant(C)})
    np.testing.assert_allclose(by_layer["maf0"]["conditional_input"], inside, rtol=1e-6)
    log_prob = flow.log_prob(x, context=C)
    assert np.ptp(flow.log_prob([0.0, 0.0], context=C)) > 1e-3
    one_by_one = [flow.log_prob(x[i], context=C[i]) for i in range(3)]
    np.testing.assert_allclose(one_by_one, log_prob, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(flow.log_prob(x, context=C, batch_size=2), log_prob, rtol=1e-4, atol=1e-5)
    y, expected = flow.sample_and_log_prob(4, seed=0, context=C)
    assert y.shape == (4, 3, 2)
    np.testing.assert_allclose(flow.log_prob(y.numpy(), context=C), expected, rtol=1e-3, atol=1e-3)
    for jit_compile in (False, True):
        compiled = tf.function(lambda x: flow.log_prob(x, context=C), jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(x), log_prob, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@networks
def test_whatever_copies_or_saves_it_gives_it_back_to_the_last_bit(kind, tmp_path, rng):
    flow, x = build(kind), rng.normal(size=(3, 2))
    scores = flow.log_prob(x, context=C).numpy()
    flow.save(tmp_path / "flow")
    other = scramble(build(kind), seed=1)
    path = tf.train.Checkpoint(flow=flow).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=other).read(path).assert_consumed()
    for again in (flow.copy(), copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)), other):
        np.testing.assert_array_equal(again.log_prob(x, context=C), scores)
        assert not {id(v) for v in again.variables} & {id(v) for v in flow.variables}
        assert len(again.trainable_variables) == len(flow.trainable_variables)
    into = scramble(build(kind), seed=2)
    np.testing.assert_array_equal(tff.load(tmp_path / "flow", into=into).log_prob(x, context=C), scores)
    if kind == "mlp":
        np.testing.assert_array_equal(tff.load(tmp_path / "flow").log_prob(x, context=C), scores)
    else:
        with pytest.raises(tff.InputError, match=r"tff.load\(folder, into=flow\)"):
            tff.load(tmp_path / "flow")


@pytest.mark.slow
@networks
def test_it_is_trained_and_what_is_frozen_is_not(kind, rng):
    flow = build(kind, "nice")
    frozen = [v for v in flow.context_network.variables if not v.trainable and v.dtype.is_floating]
    assert bool(frozen) == (kind == "layer")
    variables = flow.trainable_variables
    before, kept = [v.numpy() for v in variables], [v.numpy() for v in frozen]
    x, context = rng.normal(size=(2, 64, 2)).astype("float32")
    tff.fit(flow, x, context=context, validation_split=0.0, epochs=1, verbose=False, jit_compile=False, seed=0)
    for variable, value in zip(variables, before, strict=True):
        assert np.any(variable.numpy() != value), variable.name
    for variable, value in zip(frozen, kept, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("kind", mostly_slow(["model", "mlp", "layer"], 0))
def test_in_keras(kind, tmp_path, rng):
    flow, other = build(kind, "nice"), scramble(build(kind, "nice"), seed=1)
    x, context = rng.normal(size=(2, 64, 2)).astype("float32")
    model, again = tff.FlowModel(flow), tff.FlowModel(other)
    model.compile(tf.keras.optimizers.Adam(1e-2), jit_compile=False)
    model.fit(x, context, batch_size=32, verbose=0)
    assert len(model.layer.trainable_variables) == len(flow.trainable_variables)
    model.save_weights(str(tmp_path / "model.weights.h5"))
    again.load_weights(str(tmp_path / "model.weights.h5"))
    np.testing.assert_array_equal(other.log_prob(x, context=context), flow.log_prob(x, context=context))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_exported(tmp_path, rng):
    flow, x = build("layer"), rng.normal(size=(3, 2)).astype("float32")
    flow.export(tmp_path / "saved")
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.log_prob(x, C), flow.log_prob(x, context=C), rtol=1e-4, atol=1e-5)


def test_dropout_is_that_of_training_alone(rng):
    flow, x = build("model"), rng.normal(size=(3, 2))
    np.testing.assert_array_equal(flow.log_prob(x, context=C), flow.log_prob(x, context=C))
    flow = build("model", batch_norm=False)
    assert np.any(flow.log_prob(x, context=C, training=True) != flow.log_prob(x, context=C))
    with pytest.raises(tff.InputError, match=r"training=True.*at once; got batch_size=2"):
        flow.log_prob(x, context=C, training=True, batch_size=2)


def test_a_context_of_float64_keeps_its_digits_until_it_is_standardised(rng):
    flow = make_small("maf", 2, context_size=1, context_network=tf.keras.layers.Dense(3))
    context = 1.7e9 + rng.normal(size=(50, 1))
    flow.standardize(rng.normal(size=(50, 2)), context=context)
    _, by_layer = flow._split_kwargs(flow._check_kwargs({"context": context}))
    assert len(np.unique(by_layer["maf0"]["conditional_input"].numpy()[:, 0])) == 50


def test_what_cannot_be_pickled_is_refused_in_one_sentence(rng):
    flow, x = make_small("maf", 2, context_size=2, context_network=lambda c: 2 * c), rng.normal(size=(3, 2))
    for again in (flow.copy(), copy.deepcopy(flow)):
        np.testing.assert_array_equal(again.log_prob(x, context=C), flow.log_prob(x, context=C))
    with pytest.raises(tff.InputError, match=r"^the context_network .*lambda.* cannot be pickled: .*\.$"):
        pickle.dumps(flow)


MUST = r"must take a context \[N, 2\] of float32, as context_size=2 says"


def built_for(size):
    return tf.keras.Sequential([tf.keras.Input([size]), tf.keras.layers.Dense(2)])


def wrapped(network):
    class Wrapped(tf.keras.layers.Layer):
        def call(self, c):
            return network(c)

    return Wrapped()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: 3, "must be a network that can be called on a context; got 3"),
        (lambda: tf.keras.layers.Dense, "must be a network that can be called on a context; got <class"),
        (lambda: lambda c: c[0], r"must make \[N, E\] of a context \[N, 2\].* made float32 \(2,\)"),
        (lambda: lambda c: 1, "made no tensor"),
        (lambda: lambda c: tf.cast(c, tf.int32), "made int32"),
        (lambda: lambda c: tf.zeros([1, 0]), r"made float32 \(1, 0\)"),
        (lambda: tff.networks.MLP(4, 1), rf"{MUST}; MLP takes \[N, 4\]: give a network of 2 inputs, or context_size=4"),
        (lambda: built_for(5), rf"{MUST}; Sequential takes \[N, 5\]: give a network of 2 inputs, or context_size=5"),
        (lambda: built_for(5).layers[0], rf"{MUST}; Dense takes \[N, 5\]"),
        (lambda: lambda c: c @ tf.ones([5, 2]), rf"{MUST}; <lambda> cannot: .*\[1,2\].*\[5,2\]\.$"),
        (lambda: lambda c: 1 / 0, rf"{MUST}; <lambda> cannot: division by zero\.$"),
        (
            lambda: wrapped(built_for(5)),
            rf"{MUST}; Wrapped cannot: .*expected axis -1.* value 5, but received.*\(1, 2\)",
        ),
        (lambda: around(tf.keras.layers.Dense(2)), "reads the variable .*kernel.*, which it does not hold"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_one_sentence(network, message):
    with pytest.raises(tff.InputError, match=f"^context_network .*{message}"):
        tff.maf(2, num_layers=1, context_size=2, context_network=network())


def around(layer):
    return lambda c: layer(c)


def test_a_network_without_a_context_is_refused():
    with pytest.raises(tff.InputError, match=r"context_network needs a context.*context_size=0"):
        tff.maf(2, num_layers=1, context_network=squares)
    layers = make_small("maf", 2, context_size=3).layers
    flow = tff.Flow(layers, event_size=2, context_size=2, context_network=squares)
    with pytest.raises(tff.InputError, match=r"conditional_input must have 3 columns.*got shape \(4,\)"):
        flow.log_prob([0.0, 0.0], context=[0.0, 0.0])


@pytest.mark.parametrize(("name", "context_size"), mostly_slow([("nsf_coupling", 1), ("nsf", 0)], 0, 1, several=True))
def test_mass_moves_across_the_ends_of_the_interval(name, context_size, rng):
    """Of one column: 8 % of the rows five standard deviations below the others, or many times as large, as c is."""

    def law(n):
        context = rng.normal(size=(n, 1))
        far = np.where(rng.random((n, 1)) < 0.08, -5.0, 5.0)
        return context, (np.exp(1.5 * context) if context_size else far) + 0.3 * rng.normal(size=(n, 1))

    def log_prob(context, y):
        if context_size:
            return tfp.distributions.Normal(np.exp(1.5 * context), 0.3).log_prob(y)
        of_modes = [tfp.distributions.Normal(np.float64(mode), 0.3).log_prob(y) for mode in (-5, 5)]
        return np.logaddexp(np.log(0.08) + of_modes[0], np.log(0.92) + of_modes[1])

    context, y = law(10_000)
    given = {"context": context} if context_size else {}
    flow = tff.make(name, event_size=1, context_size=context_size, num_layers=3, hidden_units=(32,), num_bins=8, seed=0)
    tff.fit(flow, y, **given, epochs=30, learning_rate=5e-3, verbose=False, seed=0)
    context, y = law(20_000)
    given = {"context": context} if context_size else {}
    gap = np.mean(log_prob(context, y)) - np.mean(flow.log_prob(y, **given))
    assert -0.005 < gap < 0.05
    if not context_size:
        np.testing.assert_allclose(flow.cdf([[0.0]]), 0.08, atol=0.01)


@pytest.mark.slow
def test_a_density_of_two_modes_given_a_context(rng):
    """One target, with two narrow modes whose places depend on the context: no Gaussian comes within a nat."""

    def law(n):
        context = rng.uniform(-2.0, 2.0, size=(n, 1))
        mode = 1.5 + 0.5 * np.sin(2.0 * context)
        y = rng.choice([-1.0, 1.0], (n, 1)) * mode + 0.2 * rng.normal(size=(n, 1))
        below, above = -0.5 * ((y + mode) / 0.2) ** 2, -0.5 * ((y - mode) / 0.2) ** 2
        return context, y, (np.logaddexp(below, above) - np.log(0.4 * np.sqrt(2.0 * np.pi)))[:, 0]

    context, y, _ = law(20_000)
    flow = tff.nsf_coupling(1, context_size=1, num_layers=2, num_bins=16, seed=0)
    tff.fit(flow, y, context=context, epochs=25, learning_rate=5e-3, verbose=False, seed=0)
    context, y, log_prob = law(20_000)
    assert -0.005 < (log_prob - flow.log_prob(y, context=context).numpy()).mean() < 0.03
