"""fit_density: densities of known integral, posteriors, modes that are dropped, and what is refused."""

import warnings

import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, scramble

import tfp_flows as tff
from tfp_flows.pareto import pareto_k
from tfp_flows.targets import as_target, compiles
from tfp_flows.training.own_samples import Density, _OwnSamples

tfd = tfp.distributions
NONE = np.zeros([0, 0])
QUICK = {"verbose": False, "jit_compile": False, "epochs": 2, "steps_per_epoch": 5, "batch_size": 32}
SHORT = {"verbose": False, "jit_compile": False, "epochs": 6, "steps_per_epoch": 50, "batch_size": 200}


def two_modes(x: tf.Tensor) -> tf.Tensor:
    """Two normal laws, 8 apart; the integral is e^3."""
    law = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.5]), tfd.MultivariateNormalDiag([[0.0, 0.0], [8.0, 0.0]], tf.ones(2))
    )
    return law.log_prob(x) + 3.0


def bowl(x: tf.Tensor) -> tf.Tensor:
    """A normal law about (4, 4), not normalised: the integral is 2 pi sqrt(6)."""
    return -0.5 * tf.reduce_sum((x - 4.0) ** 2 / [2.0, 3.0], axis=-1)


def small(size: int = 2, name: str = "real_nvp", **options) -> tff.Flow:
    return tff.make(name, event_size=size, num_layers=2, hidden_units=(16,), seed=0, **options)


@pytest.fixture(scope="module")
def fitted() -> tuple:
    """A flow and its history, of `bowl`."""
    flow = small()
    return flow, tff.fit_density(flow, bowl, **SHORT)


# What it reaches.


def test_evidence_of_a_gaussian(fitted):
    _, history = fitted
    found = history.importance
    exact = np.log(2 * np.pi * np.sqrt(6))
    assert abs(found.log_evidence - exact) < 0.01
    assert found.ess > 0.95
    assert found.elbo < found.log_evidence
    assert history.missed == pytest.approx(0.0, abs=0.01)
    assert sorted(history.history) == ["negative_elbo", "val_negative_elbo"]
    assert -history.history["val_negative_elbo"][history.best_epoch] == pytest.approx(found.elbo, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_two_far_modes_are_kept(seed):
    flow = tff.real_nvp(2, hidden_units=(32,), num_layers=4, seed=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="about")
        found = tff.fit_density(flow, two_modes, **SHORT | {"epochs": 12, "seed": seed}).importance
    assert 0.4 < np.mean(found.x[:, 0] > 4) < 0.6
    assert abs(found.log_evidence - 3.0) < 0.05


def test_a_dropped_mode_is_seen():
    """The flow begins at one mode, and nothing shows it the other; its own weights say that all is well."""
    rows = np.random.default_rng(0).normal(size=(500, 2))
    with pytest.warns(UserWarning, match=r"about \d\d% of the density's mass lies .* modes were likely dropped"):
        history = tff.fit_density(small(), two_modes, start=rows, warm_up=0.0, **SHORT)
    assert 0.35 < history.missed < 0.65
    assert history.importance.ess > 0.9
    assert history.importance.log_evidence == pytest.approx(3.0 - np.log(2), abs=0.02)


def test_a_density_far_away_is_found():
    """Particles find it, and the flow is standardised by them."""
    law = tfd.MultivariateNormalDiag([100.0, -50.0], [0.1, 2.0])
    flow = small()
    found = tff.fit_density(flow, law.log_prob, **SHORT).importance
    assert abs(found.log_evidence) < 0.02
    assert found.ess > 0.9


@pytest.mark.slow
def test_support():
    """A density on a half-line and an interval, whose integral is 1."""

    def log_prob(x: tf.Tensor) -> tf.Tensor:
        return tfd.Gamma(3.0, 2.0).log_prob(x[..., 0]) + tfd.Beta(2.0, 3.0).log_prob(x[..., 1] / 2) - np.log(2.0)

    flow = tff.real_nvp(2, hidden_units=(16,), num_layers=3, support={0: (0, None), 1: (0, 2)}, seed=0)
    history = tff.fit_density(flow, log_prob, **SHORT)
    assert abs(history.importance.log_evidence) < 0.02
    assert history.missed < 0.05


@pytest.mark.slow
def test_context_reaches_both():
    """x ~ N(c, 1), times e^c: the evidence is c in each context."""

    def log_prob(x: tf.Tensor, context: tf.Tensor) -> tf.Tensor:
        return tfd.Normal(context[..., 0], 1.0).log_prob(x[..., 0]) + context[..., 0]

    contexts = np.random.default_rng(0).uniform(-3, 3, size=(400, 1))
    flow = tff.maf(1, context_size=1, hidden_units=(16,), num_layers=2, seed=0)
    history = tff.fit_density(flow, log_prob, context=contexts, **SHORT)
    found = tff.importance(flow, log_prob, 2000, context=[[-2.0], [0.0], [2.0]], seed=1)
    np.testing.assert_allclose(found.log_evidence, [-2.0, 0.0, 2.0], atol=0.03)
    assert found.x.shape == (2000, 3, 1)
    assert history.importance.elbo.shape == (8,)
    assert history.missed < 0.05


# The gradient.


def test_the_path_gradient_is_the_total_one_on_average():
    """They differ by a mean of zero; and at the density itself the path's is zero in every batch."""
    flow = scramble(make_small("real_nvp", 2), scale=0.1)
    model = {
        way: _OwnSamples(flow, Density(bowl, NONE, None, (None, None), {}), "negative_elbo", way, name=way)
        for way in ("path", "total")
    }
    batch = (tf.constant([0, 1]), tf.zeros([20_000, 0]), 1.0)
    gradients = {}
    for way, each in model.items():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(each.losses_of(batch, training=True)[0])
        gradients[way] = np.concatenate([np.ravel(g) for g in tape.gradient(loss, flow.trainable_variables)])
    np.testing.assert_allclose(gradients["path"], gradients["total"], atol=0.15 * np.abs(gradients["total"]).max())
    itself = _OwnSamples(flow, Density(flow.copy().log_prob, NONE, None, (None, None), {}), "kl", "path", name="itself")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(itself.losses_of((tf.constant([0, 1]), tf.zeros([50, 0]), 1.0), training=True)[0])
    for gradient in tape.gradient(loss, flow.trainable_variables):
        np.testing.assert_allclose(gradient, np.zeros(gradient.shape), atol=2e-4)


# Posteriors.


def hierarchy() -> tfp.experimental.distributions.JointDistributionPinned:
    """A small hierarchical model with a scale and a simplex."""
    model = tfd.JointDistributionNamedAutoBatched(
        {
            "part": tfd.Dirichlet([2.0, 3.0, 4.0]),
            "scale": tfd.HalfNormal(1.0),
            "x": lambda part, scale: tfd.Normal(part[..., 0], scale),
        }
    )
    return model.experimental_pin(x=0.5)


def test_unconstrained():
    """Its density is the joint one times the stretching, which autodiff tells too."""
    pinned = hierarchy()
    posterior = tff.Unconstrained(pinned)
    assert posterior.event_size == 3
    assert posterior.columns == ("part[0]", "part[1]", "scale")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 3)), tf.float32)
    parts = posterior.constrain(x)
    assert parts["part"].shape == (2, 3)
    np.testing.assert_allclose(posterior.unconstrain(parts), x, atol=1e-5)

    def free(x: tf.Tensor) -> tf.Tensor:  # two of three probabilities, and the scale
        parts = posterior.constrain(x)
        return tf.concat([parts["part"][..., :2], parts["scale"][..., tf.newaxis]], axis=-1)

    jacobians = tf.stack([_jacobian(free, row) for row in x])
    wanted = pinned.unnormalized_log_prob(parts) + tf.linalg.slogdet(jacobians)[1]
    np.testing.assert_allclose(posterior.log_prob(x), wanted, atol=1e-4)
    assert posterior.sample_prior(5, seed=0).shape == (5, 3)


def _jacobian(function, row: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(row)
        y = function(row)
    return tape.jacobian(y, row)


def test_evidence_of_a_conjugate_posterior():
    """m ~ N(0, 2), y ~ N(m, 1): y is N(0, sqrt(5)). The flow learns the name."""
    model = tfd.JointDistributionNamed({"m": tfd.Normal(0.0, 2.0), "y": lambda m: tfd.Normal(m, 1.0)})
    flow = tff.maf(1, num_layers=1, hidden_units=(4,), seed=0)
    found = tff.fit_density(flow, model.experimental_pin(y=1.5), **SHORT).importance
    assert abs(found.log_evidence - tfd.Normal(0.0, 5.0**0.5).log_prob(1.5)) < 0.01
    assert flow.columns == ("m",)
    mean = np.sum(found.weight * found.x[:, 0])
    assert mean == pytest.approx(1.5 * 4 / 5, abs=0.05)


def test_supports_that_depend_on_other_parts():
    model = tfd.JointDistributionNamed(
        {"a": tfd.Gamma(3.0, 1.0), "b": lambda a: tfd.Uniform(0.0, a), "x": lambda b: tfd.Normal(b, 1.0)}
    )
    posterior = tff.Unconstrained(model.experimental_pin(x=0.0))
    x = tf.constant([[0.3, -0.4], [2.0, 1.0]])
    parts = posterior.constrain(x)
    assert np.all(parts["b"] < parts["a"])
    np.testing.assert_allclose(posterior.unconstrain(parts), x, atol=1e-4)


@pytest.mark.parametrize(
    "law",
    [
        tfd.LKJ(2, 2.0),
        tfd.WishartTriL(3.0, tf.eye(2)),
        tfd.VonMisesFisher([1.0, 0.0, 0.0], 2.0),
        tfd.SphericalUniform(3),
    ],
    ids=lambda law: type(law).__name__,
)
def test_parts_over_other_measures_are_refused(law):
    model = tfd.JointDistributionNamed({"p": law, "y": tfd.Normal(0.0, 1.0)})
    with pytest.raises(tff.InputError, match=f"got 'p', a {type(law).__name__}"):
        tff.Unconstrained(model.experimental_pin(y=0.0))


@pytest.mark.parametrize(
    "law", [tfd.Dirichlet([1.0, 2.0, 3.0]), tfd.CholeskyLKJ(2, 2.0), tfd.Sample(tfd.Dirichlet([2.0, 2.0]), 2)]
)
def test_priors_of_probabilities_integrate_to_one(law):
    model = tfd.JointDistributionNamed({"p": law, "y": tfd.Normal(0.0, 1.0)})
    posterior = tff.Unconstrained(model.experimental_pin(y=0.0))
    start = tfd.MultivariateNormalDiag(scale_diag=tf.fill([posterior.event_size], 2.5))
    x = start.sample(200_000, seed=(0, 1))
    weight = tf.exp(posterior.log_prob(x) - start.log_prob(x) - tfd.Normal(0.0, 1.0).log_prob(0.0)).numpy()
    error = float(np.std(weight)) / len(weight) ** 0.5
    assert error < 0.01
    assert np.mean(weight) == pytest.approx(1.0, abs=5 * error)


def test_data_that_broadcast_against_rows_are_refused():
    """As many data as rows would pass for a number a row."""
    data = np.ones(5, "float32")
    with pytest.raises(tff.InputError, match="target_log_prob must"):
        tff.importance(small(), lambda x: tfd.Normal(x[:, 0], 1.0).log_prob(data), 5)


def test_names_of_context_and_start():
    """They are learnt, and rows with names are matched by them."""
    rows = pandas.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["a", "b"])
    flow = small(1, "maf", context_size=2)
    target = lambda x, context: -0.5 * tf.reduce_sum((x - context[:, :1]) ** 2, -1)  # noqa: E731
    tff.fit_density(flow, target, context=rows, **QUICK, look_for_modes=False)
    assert flow.context_columns == ("a", "b")
    flow = small()
    flow.columns = ("a", "b")
    tff.fit_density(flow, bowl, start=rows.assign(a=rows["a"] + 50.0)[["b", "a"]], **QUICK, look_for_modes=False)
    assert flow.sample(500, seed=0).numpy().mean(axis=0)[0] > 20


def test_seeds():
    flow = small()
    tff.fit_density(flow, bowl, **QUICK | {"epochs": 1, "seed": 2**32 - 1})
    with pytest.raises(tff.InputError, match="seed must be an integer from 0 to 4294967295; got -1"):
        tff.fit_density(flow, bowl, **QUICK, seed=-1)
    draws = [
        tff.importance(flow, bowl, 50, seed=seed).x for seed in (-1, 2**40, np.int64(3), 3)
    ]  # as flow.sample has it
    np.testing.assert_array_equal(draws[2], draws[3])
    assert np.any(draws[0] != draws[1])


def test_xla_is_left_out_where_it_would_compile_anew_for_every_batch():
    """TFP's vectorised joint distributions: the gradient of their sums."""
    flow = small(size=1)
    model = tfd.JointDistributionNamedAutoBatched({"s": tfd.HalfNormal(1.0), "x": lambda s: tfd.Normal(0.0, s)})
    whole = model.experimental_pin(x=0.5).experimental_default_event_space_bijector()

    def anew(x: tf.Tensor) -> tf.Tensor:
        return whole.forward_log_det_jacobian({"s": x[..., 0]}, event_ndims={"s": 0}) - x[..., 0] ** 2

    assert compiles(as_target(lambda x: -tf.reduce_sum(x**2, -1), flow), flow, NONE)
    assert not compiles(as_target(anew, flow), flow, NONE)


# Figures of weights.


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_of_pareto_tails(k):
    u = np.random.default_rng(0).uniform(size=(20, 20_000))
    assert np.mean([pareto_k(-k * np.log(row)) for row in u]) == pytest.approx(k, abs=0.06)


def test_pareto_k_of_a_narrow_proposal():
    """Weights of N(0, 1) under draws of N(0, s) have k = 1 - s^2, or none to speak of where s > 1."""
    draws = np.random.default_rng(1).normal(size=(20, 10_000))
    found = {s: np.mean([pareto_k(0.5 * (1 - s**2) * row**2) for row in draws]) for s in (0.4, 0.6, 1.5)}
    assert found[0.4] == pytest.approx(0.84, abs=0.1)
    assert found[0.6] == pytest.approx(0.64, abs=0.1)
    assert found[1.5] < 0
    assert pareto_k(np.zeros(100)) == -np.inf
    assert pareto_k(np.r_[0.0, np.full(99, -1e9)]) == np.inf


def test_importance_of_a_flow_that_is_too_narrow():
    flow = tff.maf(1, num_layers=1, hidden_units=(4,), seed=0)  # untrained, it is N(0, 1)
    found = tff.importance(flow, tfd.MultivariateNormalDiag([0.0], [3.0]), 2000)
    assert found.pareto_k > 0.5
    assert found.elbo == pytest.approx(-np.log(3.0) - 0.5 / 9 + 0.5, abs=0.05)  # minus KL(N(0, 1), N(0, 3))
    assert found.weight.sum() == pytest.approx(1.0)
    assert "Pareto k" in str(found)


# What is kept, refused, and gone on with.


def test_what_is_evaluated_is_not_trained():
    inside = tf.Variable(1.0)
    flow = small()
    tff.fit_density(flow, lambda x: inside * bowl(x), **QUICK, look_for_modes=False)
    assert float(inside) == 1.0


def test_checkpoint_of_another_density_is_refused(tmp_path):
    options = QUICK | {"look_for_modes": False, "checkpoint": tmp_path}
    once, again = small(), small()
    tff.fit_density(once, bowl, **options)
    tff.fit_density(again, bowl, **options)
    for one, other in zip(once.variables, again.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    for other in (lambda x: 2 * bowl(x), lambda x: bowl(-x)):
        with pytest.raises(tff.InputError, match="target"):
            tff.fit_density(small(), other, **options)
    with pytest.raises(tff.InputError, match="start"):
        tff.fit_density(small(), bowl, start=np.random.default_rng(0).normal(size=(9, 2)), **options)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (3, {}, "target_log_prob must be a function of rows, a distribution, or a joint distribution .*; got 3"),
        (tfd.Normal(0.0, 1.0), {}, "target_log_prob must be over rows of 2"),
        (tfd.MultivariateNormalDiag(tf.zeros(3)), {}, "is over rows of 3, and .* has event_size=2"),
        (tfd.MultivariateNormalDiag(tf.zeros(2, tf.float64)), {}, "is of float64, and .* of float32"),
        (lambda x: x, {}, r"must give float32 \[5\] for 5 rows; got float32 \[5, 2\]"),
        (lambda x: np.sum(x.numpy() ** 2, axis=-1), {}, r"rows \[N, 2\], written in TensorFlow; it says: .*numpy"),
        (lambda x: 0.0, {}, r"must give float32 \[5\] for 5 rows; got float32 \[\]"),
        (lambda x: tf.zeros(x.shape[0]), {}, "must be differentiable in its rows"),
        (lambda x, y: bowl(x), {}, r"must be a function of rows \[N, 2\], .*; it says: .*'y'"),
        (bowl, {"context": np.zeros([5, 1])}, "context was given, but .* was built without"),
        (bowl, {"gradient": "score"}, "gradient must be one of path, total; got 'score'"),
        (bowl, {"start": np.zeros([5, 3])}, "start has 3 columns; expected 2"),
        (bowl, {"start": [[0.0, np.nan]]}, "start"),
        (bowl, {"look_for_modes": "no"}, "look_for_modes must be True or False; got 'no'"),
        (bowl, {"epochs": 0}, "epochs must be an integer of at least 1; got 0"),
        (bowl, {"warm_up": -1}, "warm_up is -1; expected a number from 0 to 1"),
    ],
)
def test_bad_input_is_refused(target, options, message):
    flow = make_small("real_nvp", 2)
    before = [v.numpy() for v in flow.variables]
    with pytest.raises(tff.InputError, match=message):
        tff.fit_density(flow, target, **(QUICK | options))
    for variable, value in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_flow_of_whole_numbers_is_refused():
    with pytest.raises(tff.InputError, match=r"over real numbers; got one with dequantize=\[0\]"):
        tff.fit_density(make_small("maf", 2, dequantize=[0]), bowl, **QUICK)


def test_joint_distributions_that_cannot_be():
    with pytest.raises(tff.InputError, match=r"pinned to the data, .*; got 3"):
        tff.Unconstrained(3)
    counted = tfd.JointDistributionNamed({"n": tfd.Poisson(3.0), "x": lambda n: tfd.Normal(n, 1.0)})
    with pytest.raises(tff.InputError, match="parts with a density on the line, or pinned"):
        tff.Unconstrained(counted.experimental_pin(x=0.0))
    model = tfd.JointDistributionNamed({"m": tfd.Normal(0.0, 2.0), "y": lambda m: tfd.Normal(m, 1.0)})
    with pytest.raises(tff.InputError, match="no part that is left"):
        tff.Unconstrained(model.experimental_pin(m=0.0, y=0.0))


def test_divergence_is_told():
    with pytest.raises(tff.DivergenceError, match=r"the loss was nan in epoch 1: .* or a density without NaN may work"):
        tff.fit_density(make_small("real_nvp", 2), lambda x: bowl(x) + np.nan, **QUICK)
