"""Base laws: alone, and below the chains."""

import copy
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, mostly_slow, scramble, scramble_variables
from test_derivatives import assert_derivatives

import tfp_flows as tff
from tfp_flows.arrays import whole_arrays
from tfp_flows.bases import Gaussian, Mixture, StudentT

tfb, tfd = tfp.bijectors, tfp.distributions
C = np.array([[0.1, -2.0], [0.5, 0.3], [3.0, 1.0]])


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


def learnt(kind, d, dtype="float64"):
    base = kind(d, dtype=dtype)
    scramble_variables(base.variables)
    return base


@pytest.mark.parametrize("kind", [StudentT, Mixture])
def test_a_learnt_law_is_a_law(kind):
    """It integrates to one, and its moments and draws are those of its density."""
    base = learnt(kind, 1)
    x = np.linspace(-60.0, 60.0, 60_001)[:, None]
    density = base.prob(x).numpy()
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(x[:, 0] * density, x[:, 0]) == pytest.approx(float(base.mean()[0]), abs=1e-5)
    drawn = base.sample(20_000, seed=0).numpy()
    p = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose((drawn <= base.quantile(p).numpy()[:, 0]).mean(axis=0), p, atol=0.015)
    pair = learnt(kind, 2)
    drawn = pair.sample(50_000, seed=0).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), pair.mean(), atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), pair.covariance(), atol=0.06)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [StudentT, Mixture])
def test_quantiles_reach_far_into_both_tails(kind, dtype):
    base = learnt(kind, 1, dtype)
    p = np.array([0.0, 1e-30, 1e-6, 0.3, 0.5, 0.7, 1.0], dtype)
    x = base.quantile(p)
    np.testing.assert_allclose(base.cdf(x), p, rtol=2e-5 if dtype == "float32" else 1e-9)
    assert x.numpy()[[0, -1], 0].tolist() == [-np.inf, np.inf]
    np.testing.assert_allclose(base.survival_function(x), 1 - p, atol=1e-6)
    for far in (base.log_cdf([[-1e4]]), base.log_survival_function([[1e4]])):
        assert np.isfinite(far).all()
    assert np.isnan(base.quantile([1.5])).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [StudentT, Mixture])
def test_quantiles_are_differentiable(kind):
    base, step = learnt(kind, 1), 1e-5
    for variable in base.trainable_variables:
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.sin(base.quantile([0.2, 0.8])))
        slope, value, sums = tf.reduce_sum(tape.gradient(total, variable)), variable.numpy(), []
        for sign in (1, -1):
            variable.assign(value + sign * step)
            sums.append(float(tf.reduce_sum(tf.sin(base.quantile([0.2, 0.8])))))
        variable.assign(value)
        assert float(slope) == pytest.approx((sums[0] - sums[1]) / (2 * step), abs=1e-6), variable.name


@pytest.mark.slow
@pytest.mark.parametrize("kind", [StudentT, Mixture])
def test_gradients_through_draws_are_those_of_their_expectation(kind):
    base, grid = learnt(kind, 1), np.linspace(-40.0, 40.0, 20_001)[:, None]
    scores = lambda x: tf.tanh(x[..., 0] - 0.3) ** 2  # noqa: E731
    with tf.GradientTape(persistent=True) as tape:
        exact = tf.reduce_sum(scores(tf.constant(grid)) * base.prob(grid)) * (grid[1, 0] - grid[0, 0])
        drawn = tf.reduce_mean(scores(base.sample(40_000, seed=tf.constant([0, 1]))))
    for variable in base.trainable_variables:
        expected = tape.gradient(exact, variable)
        np.testing.assert_allclose(tape.gradient(drawn, variable), expected, atol=0.01, err_msg=variable.name)


# Below the chains.

BASES = {
    "student_t": lambda dtype, c: "student_t",
    "mixture": lambda dtype, c: "mixture",
    "tfp": lambda dtype, c: tfd.MultivariateNormalDiag(tf.Variable(np.zeros(2, dtype)), np.array([1.0, 2.0], dtype)),
    "nested": lambda dtype, c: tfd.TransformedDistribution(
        tfd.Sample(tfd.StudentT(*np.array([3.0, 0.0, 1.0], dtype)), 2), tff.bijectors.Planar(2, dtype=dtype)
    ),
    "flow": lambda dtype, c: make_small("maf", 2, dtype=dtype, context_size=c),
}
chains = pytest.mark.parametrize(
    ("name", "base"),
    [
        pytest.param(name, base, marks=[] if i == 0 and name == "maf" else pytest.mark.slow)
        for i, base in enumerate(BASES)
        for name in (("maf", "nsf_coupling")[i % 2],)
    ],
)


def build(name, base, dtype="float64", context_size=2, **options):
    """Batch norm has a layer in the flow and in one that is its base, and their networks have the same names."""
    given = BASES[base](dtype, context_size)
    return scramble(make_small(name, 2, dtype=dtype, base=given, context_size=context_size, **options))


@chains
def test_log_prob_is_the_base_density_through_the_inverse_in_every_mode(name, base, rng):
    flow = build(name, base)
    x = rng.normal(size=(3, 2))
    u = flow.encode(x, context=C)
    kwargs = {"context": C} if base == "flow" else {}
    rows = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(rows)
        latent = flow.encode(rows, context=C)
    log_det = np.linalg.slogdet(tape.batch_jacobian(latent, rows, experimental_use_pfor=False))[1]
    log_prob = flow.log_prob(x, context=C)
    np.testing.assert_allclose(log_prob, flow.distribution.log_prob(u, **kwargs) + log_det, atol=1e-9)
    for jit_compile in (False, True):
        compiled = tf.function(lambda x, c: flow.log_prob(x, context=c), jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(x, C), log_prob, atol=1e-9)
    np.testing.assert_allclose(flow.log_prob(x, context=C, batch_size=2), log_prob, atol=1e-9)


@chains
def test_samples_with_a_context(name, base):
    flow = build(name, base)
    x, log_prob = flow.sample_and_log_prob(4, seed=0, context=C)
    assert x.shape == (4, 3, 2)
    assert log_prob.shape == (4, 3)
    np.testing.assert_allclose(flow.log_prob(x.numpy(), context=C), log_prob, atol=1e-8)
    np.testing.assert_array_equal(flow.sample(4, seed=0, context=C), x)
    assert flow.sample(5, seed=0, context=C, batch_size=4).shape == (5, 3, 2)
    if base == "flow":  # it sees each row's own context
        u = flow.distribution.sample(4, seed=tf.constant([1, 2]), context=C)
        assert u.shape == (4, 3, 2)


@pytest.mark.slow
@chains
def test_whatever_copies_or_saves_it_gives_it_back_to_the_last_bit(name, base, tmp_path, rng):
    flow = build(name, base, "float32")
    x = rng.normal(size=(3, 2))
    scores = flow.log_prob(x, context=C).numpy()
    flow.save(tmp_path / "flow")
    other = scramble(flow.copy(), seed=1)
    path = tf.train.Checkpoint(flow=flow).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(flow=other).read(path).assert_consumed()
    into = scramble(copy.deepcopy(flow), seed=2)
    for again in (flow.copy(), copy.deepcopy(flow), pickle.loads(pickle.dumps(flow)), other):
        np.testing.assert_array_equal(again.log_prob(x, context=C), scores)
        assert not {id(v) for v in again.variables} & {id(v) for v in flow.variables}
    for again in (tff.load(tmp_path / "flow"), tff.load(tmp_path / "flow", into=into)):
        np.testing.assert_array_equal(again.log_prob(x, context=C), scores)
    assert len(whole_arrays(flow)) == len({v.ref() for v in flow.variables})
    module = tf.Module()
    module.flow = flow
    assert len(module.trainable_variables) == len(flow.trainable_variables)


@pytest.mark.slow
@chains
def test_derivatives(name, base, rng):
    flow = build(name, base, **({} if name == "maf" else {"logit_bound": 2.0}))
    x, c = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    assert_derivatives(lambda x, c: tf.reduce_sum(flow.log_prob(x, context=c)), x, c, flow.trainable_variables)


@pytest.mark.slow
@pytest.mark.parametrize("base", mostly_slow(list(BASES), 1))
def test_every_variable_of_the_base_gets_a_gradient(base, rng):
    flow = build("maf", base, "float32")
    x = rng.normal(size=(32, 2)).astype("float32")
    with tf.GradientTape(persistent=True) as tape:
        loss = -tf.reduce_mean(flow.log_prob(x, context=C[:1], training=True))
        drawn = tf.reduce_mean(tf.sin(flow.sample(32, seed=0, context=C[:1])))
    assert flow.distribution.trainable_variables
    for variable in flow.distribution.trainable_variables:
        assert tape.gradient(loss, variable) is not None, variable.name
        assert tape.gradient(drawn, variable) is not None, variable.name


@pytest.mark.parametrize("name", mostly_slow(["maf", "nsf_coupling"], 1))
@pytest.mark.parametrize("base", mostly_slow(["student_t", "mixture", "flow"]))
def test_rows_far_away_have_no_density_and_do_no_harm(name, base):
    flow = build(name, base, "float32", context_size=0)
    far = np.array([[np.inf, 0.0], [-np.inf, 1.0], [3e38, 0.0], [0.0, -3e38]], "float32")
    assert flow.log_prob(far).numpy().tolist() == [-np.inf] * 4
    for size in (1e10, 1e18, 1e19, 1e25):
        found = flow.log_prob(np.array([[size, 0.0], [-size, size]], "float32")).numpy()
        assert not np.isnan(found).any(), size
    x = np.concatenate([far, np.zeros([2, 2], "float32")])
    with tf.GradientTape() as tape:
        log_prob = flow.log_prob(x)
        total = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
    for variable, gradient in zip(
        flow.trainable_variables, tape.gradient(total, flow.trainable_variables), strict=True
    ):
        assert np.isfinite(gradient).all(), variable.name


@pytest.mark.parametrize("base", ["student_t", "mixture", "flow"])
def test_density_integrates_to_one(base):
    options = {"dtype": "float64", "log_scale_bound": 0.5}
    given = make_small("maf", 2, **options) if base == "flow" else base
    flow = scramble(make_small("maf", 2, base=given, **options), 0.2)
    assert tff.plots.integral(flow, ((-40.0, 40.0), (-40.0, 40.0)), resolution=800) == pytest.approx(1.0, abs=0.01)


def test_a_base_flow_is_standardised_and_normalised_with_the_flow(rng):
    flow = make_small("real_nvp", 2, context_size=2, base=make_small("maf", 2, context_size=2))
    x, context = 50.0 + 3.0 * rng.normal(size=(200, 2)), 1000.0 * rng.normal(size=(200, 2))
    flow.standardize(x, context=context)
    flow.set_batch_norm(x, context=context)
    base = flow.distribution
    np.testing.assert_allclose(base.standardize_context.scale, context.std(axis=0), rtol=1e-6)
    u = flow.encode(x, context=context)
    np.testing.assert_allclose(base.layers[0].scale, np.std(u, axis=0), rtol=1e-2)
    assert any("batch_norm" in v.name and np.any(v.numpy() != 0) for v in base.variables if not v.trainable)
    fitted = make_small("maf", 2)
    fitted.standardize(x)
    kept = [v.numpy() for v in fitted.variables]
    flow = make_small("real_nvp", 2, base=fitted)
    flow.standardize(x)
    for value, variable in zip(kept, fitted.variables, strict=True):  # it was fitted before
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("cauchy", "base must be one of normal, student_t, mixture, or a distribution of TFP; got 'cauchy'"),
        (3, "base must be one of normal.*got 3"),
        (tfd.Normal(0.0, 1.0), r"event_shape \[2\] and batch_shape \[\]; got \(\) and \(\) of Normal"),
        (tfd.MultivariateNormalDiag(np.zeros((3, 2), "float32")), r"got \(2,\) and \(3,\) of MultivariateNormalDiag"),
        (tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]), r"base must have event_shape \[2\]"),
        (tfd.MultivariateNormalDiag(np.zeros(2)), "of float32, as the flow is; got MultivariateNormalDiag of float64"),
        (tfd.Independent(tfd.Poisson([1.0, 2.0]), 1), "must have a density on all of .*; got IndependentPoisson"),
    ],
)
def test_bases_that_do_not_fit_are_refused_in_one_sentence(base, message):
    with pytest.raises(tff.InputError, match=message):
        tff.maf(2, num_layers=1, base=base)


def test_a_base_with_another_context_is_refused():
    with pytest.raises(tff.InputError, match=r"base must have context_size=0, as .*; maf has 3\."):
        tff.maf(2, num_layers=1, base=make_small("maf", 2, context_size=3))
    with pytest.raises(tff.InputError, match=r"base must have context_size=0 or 1, as"):
        tff.maf(2, num_layers=1, context_size=1, base=make_small("maf", 2, context_size=3))


def test_a_student_needs_draws_that_are_differentiable():
    rough = tfd.MixtureSameFamily(tfd.Categorical(logits=[0.0, 0.0]), tfd.MultivariateNormalDiag(tf.eye(2)))
    with pytest.raises(tff.InputError, match=r"student must have samples that are differentiable.*MixtureSameFamily"):
        tff.distill(make_small("maf", 2), make_small("iaf", 2, base=rough))


def test_a_base_that_cannot_be_written_down_is_saved_as_arrays(tmp_path, rng):
    def with_operator():
        scale = tf.linalg.LinearOperatorDiag(tf.Variable([1.0, 2.0]))
        return scramble(make_small("maf", 2, base=tfd.MultivariateNormalLinearOperator(tf.zeros(2), scale)))

    flow, x = with_operator(), rng.normal(size=(3, 2))
    flow.save(tmp_path)
    with pytest.raises(tff.InputError, match=r"tff.load\(folder, into=flow\)"):
        tff.load(tmp_path)
    other = scramble(with_operator(), seed=1)
    np.testing.assert_array_equal(tff.load(tmp_path, into=other).log_prob(x), flow.log_prob(x))


def test_a_mean_is_that_of_the_base():
    flow = tff.Flow([tfb.Shift([1.0, 2.0])], event_size=2, base="mixture")
    np.testing.assert_allclose(flow.mean(), [1.0, 2.0], atol=1e-6)
    assert "base" in flow.summary()
    assert "Mixture" in repr(flow.copy().summary())


@pytest.mark.parametrize("raw", [-10.0, 0.0, 5.0])
@pytest.mark.parametrize("jit_compile", mostly_slow([False, True], 1))
def test_heavy_tails_have_a_density_and_gradients_of_every_finite_number(raw, jit_compile):
    base = tff.bases.StudentT(1)
    base.raw_df.assign([raw])
    x = tf.constant([[0.0], [0.5], [-3.0], [1e3], [1e18], [1e20], [-3e38], [3.4e38]])
    expected = tfd.StudentT(tf.cast(base.df, tf.float64), np.float64(0), np.float64(1))

    @tf.function(jit_compile=jit_compile)
    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                log_prob = base.log_prob(x)
            slope, of_df = inner.gradient(log_prob, [x, base.raw_df])
        return log_prob, slope, of_df, outer.gradient(slope, x)

    log_prob, slope, of_df, curvature = derivatives(x)
    np.testing.assert_allclose(log_prob, expected.log_prob(tf.cast(x, tf.float64))[:, 0], rtol=1e-5)
    df = base.df.numpy().astype(np.float64)
    far = np.asarray(x, np.float64)
    np.testing.assert_allclose(slope, -(df + 1) * far / (df + far**2), rtol=1e-4, atol=1e-35)
    assert np.isfinite(of_df).all()
    np.testing.assert_allclose(curvature, -(df + 1) * (df - far**2) / (df + far**2) ** 2, rtol=1e-3, atol=1e-36)


@pytest.mark.slow
@pytest.mark.parametrize(("base", "gain"), [("student_t", 0.05), ("mixture", 0.05)])
def test_training_learns_the_base(base, gain, rng):
    """Heavy tails, and two far modes, are fitted better than on the normal law, by a chain that keeps what it gets."""
    x = (
        rng.standard_t(2.0, size=(4000, 2))
        if base == "student_t"
        else rng.choice([-4, 4], (4000, 1)) + rng.normal(size=(4000, 2))
    )
    losses = []
    for law in ("normal", base):
        flow = tff.Flow([tff.bijectors.Standardize(2), tff.bijectors.Scale(2)], event_size=2, base=law)
        history = tff.fit(flow, x, epochs=30, learning_rate=2e-2, verbose=False, jit_compile=False, seed=0)
        losses.append(min(history.history["val_nll"]))
    assert losses[1] < losses[0] - gain


# Where a base lives.


def independent(law):
    return tfd.Independent(law, 1)


def pushed(bijector):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), 2), bijector)


class Custom(tfd.Distribution):
    """A law of the user's that does not say where it lives."""

    def __init__(self, law):
        self.law = law
        super().__init__(tf.float32, tfd.FULLY_REPARAMETERIZED, False, True, parameters={}, name="custom")

    def _event_shape(self):
        return tf.TensorShape([2])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _sample_n(self, n, seed=None):
        return self.law.sample(n, seed=seed)

    def _log_prob(self, x):
        return self.law.log_prob(x)


ZERO, ONE = np.zeros(2, "float32"), np.ones(2, "float32")
PAIR = tfd.Categorical(logits=ZERO)
ELSEWHERE = {
    "angles": lambda: independent(tfd.VonMises(ZERO, 1.0)),
    "simplex": lambda: tfd.Dirichlet(ONE),
    "log-simplex": lambda: tfd.ExpRelaxedOneHotCategorical(1.0, logits=ZERO),
    "sphere": lambda: tfd.VonMisesFisher([1.0, 0.0], 2.0),
    "points": lambda: tfd.Empirical(np.random.default_rng(0).normal(size=(5, 2)).astype("float32"), event_ndims=1),
    "a point": lambda: tfd.VectorDeterministic(ZERO),
    "exp": lambda: pushed(tfb.Exp()),
    "softsign": lambda: pushed(tfb.Softsign()),
    "box": lambda: independent(tfd.Uniform(-30 * ONE, 30.0)),
    "positive": lambda: independent(tfd.Gamma(100 * ONE, 1.0)),
    "one column positive": lambda: tfd.Blockwise([tfd.Normal(0.0, 1.0), tfd.Exponential(1.0)]),
    "positive mixture": lambda: tfd.MixtureSameFamily(PAIR, independent(tfd.Gamma(np.ones([2, 2], "float32"), 1.0))),
    "columns of mixtures": lambda: independent(
        tfd.MixtureSameFamily(
            tfd.Categorical(logits=np.zeros([2, 2], "float32")), tfd.LogNormal(np.zeros([2, 2], "float32"), 1.0)
        )
    ),
    "mixture of other kinds": lambda: tfd.Mixture(PAIR, [independent(tfd.Laplace(ZERO, 1.0)), tfd.Dirichlet(ONE)]),
    "whole numbers": lambda: tfd.Multinomial(3.0, logits=ZERO),
    "custom box": lambda: Custom(independent(tfd.Uniform(-ONE, 1.0))),
    "torus": lambda: tff.bases.Torus(2, circular=[1]),
    "circular": lambda: make_small("nsf", 2, circular={0: 6.28}),
    "dequantize": lambda: make_small("nsf", 2, dequantize=[0]),
    "support": lambda: make_small("maf", 2, support={1: (0.0, None)}),
    "flow of a sigmoid": lambda: tff.Flow([tfb.Sigmoid(), tff.bijectors.Standardize(2)], event_size=2),
}
EVERYWHERE = {
    "normal": lambda: tfd.MultivariateNormalDiag(ZERO, [1e-30, 1e6]),
    "offset": lambda: pushed(tfb.Chain([tfb.Shift([1e8, -1e8]), tfb.Scale([1e-3, 100.0])])),
    "covariance": lambda: tfd.MultivariateNormalTriL(ZERO, np.array([[1.0, 0.0], [0.9, 0.1]], "float32")),
    "student": lambda: tfd.MultivariateStudentTLinearOperator(3.0, ZERO, tf.linalg.LinearOperatorDiag(ONE)),
    "heavy": lambda: independent(tfd.Cauchy(ZERO, 1.0)),
    "skewed": lambda: independent(tfd.Gumbel(ZERO, 1.0)),
    "sinh-arcsinh": lambda: independent(tfd.SinhArcsinh(ZERO, 1.0, 0.5, 1.2)),
    "johnson": lambda: independent(tfd.JohnsonSU(ZERO, 1.0, 0.0, 1.0)),
    "sum": lambda: independent(tfd.ExponentiallyModifiedGaussian(ZERO, 1.0, 1.0)),
    "columns": lambda: tfd.Blockwise([tfd.Normal(0.0, 1.0), tfd.StudentT(3.0, 0.0, 1.0)]),
    "mixture": lambda: tfd.MixtureSameFamily(PAIR, independent(tfd.Laplace(np.zeros([2, 2], "float32"), 1.0))),
    "columns of mixtures": lambda: independent(
        tfd.MixtureSameFamily(
            tfd.Categorical(logits=np.zeros([2, 2], "float32")), tfd.Normal(np.zeros([2, 2], "float32"), 1.0)
        )
    ),
    "pushed mixture": lambda: tfd.TransformedDistribution(
        tfd.MixtureSameFamily(PAIR, independent(tfd.Normal(np.zeros([2, 2], "float32"), 1.0))), tfb.Scale(3.0)
    ),
    "process": lambda: tfd.GaussianProcess(tfp.math.psd_kernels.ExponentiatedQuadratic(), [[0.0], [1.0]]),
    "planar": lambda: pushed(tff.bijectors.Planar(2)),
    "custom": lambda: Custom(tfd.MultivariateNormalDiag(ZERO, 1e-9 * ONE)),
    **{name: lambda name=name: make_small(name, 2) for name in ("maf", "nsf", "planar")},
    "flow with a context": lambda: make_small("maf", 2, context_size=1),
    "flow of a scale": lambda: tff.Flow([tfb.Scale(2.0), tff.bijectors.Standardize(2)], event_size=2),
}


def on(base):
    size = getattr(base, "context_size", 0)
    return tff.Flow([tff.bijectors.Standardize(2)], event_size=2, context_size=size, base=base)


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_laws_of_other_places_are_no_base(kind):
    """What the flow would give as NLL is then below the entropy: it has no normalised density."""
    with pytest.raises(tff.InputError, match=r"^base must have a density on all of R\^2; got \w+: .*\.$"):
        on(ELSEWHERE[kind]())


@pytest.mark.parametrize("kind", EVERYWHERE)
def test_laws_on_all_of_the_space_are_a_base(kind):
    assert on(EVERYWHERE[kind]()).event_shape == [2]
