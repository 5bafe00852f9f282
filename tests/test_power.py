"""Powers of columns: the law of one, which are chosen, and when chains have them."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

SMALL = {"num_layers": 1, "hidden_units": (4,), "seed": 0}


def made(powers, dtype: str = "float64") -> tff.bijectors.Power:
    layer = tff.bijectors.Power(len(powers), dtype=dtype)
    layer.power.assign(powers)
    return layer


def sizes_and_areas(count: int, seed: int = 0) -> np.ndarray:
    """A column, its square with some noise, and one of its own: a curve, and tails that are no normal law's."""
    rng = np.random.default_rng(seed)
    size = np.exp(0.4 * rng.normal(size=count))
    return np.stack([size, size**2 * np.exp(0.05 * rng.normal(size=count)), rng.normal(size=count)], axis=1)


@pytest.mark.parametrize("power", [0.0, 0.35, 1.0, 1.7, 2.0])
def test_a_power_is_what_its_formula_says(power):
    z = np.array([[-30.0], [-1.0], [-1e-9], [0.0], [1e-9], [2.0], [30.0]])
    above = np.log1p(z) if power == 0 else ((1 + abs(z)) ** power - 1) / max(power, 1e-9)
    other = 2 - power
    below = -np.log1p(-z) if other == 0 else -((1 + abs(z)) ** other - 1) / max(other, 1e-9)
    with np.errstate(invalid="ignore"):
        expected = np.where(z >= 0, above, below)
    layer = made([power])
    np.testing.assert_allclose(layer.inverse(z), expected, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(layer.forward(layer.inverse(tf.constant(z))), z, rtol=1e-9)


@pytest.mark.parametrize("power", [0.0, 0.35, 1.7, 2.0])
def test_slopes_are_continuous_where_the_branches_meet(power):
    """And exact: the log-det is the logarithm of the derivative, in both directions, with its own derivative."""
    layer, x = made([power]), tf.constant([[-2.0], [-1e-12], [0.0], [1e-12], [3.0]], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        u, log_det = layer.of_any_dtype(x)
        back = layer.forward(tf.identity(u))
    np.testing.assert_allclose(tf.math.log(tape.gradient(u, x))[:, 0], log_det, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(tape.gradient(log_det, x)[1:4, 0], power - 1, rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(back, x), 1.0, rtol=1e-9)
    np.testing.assert_allclose(layer.forward_log_det_jacobian(tf.identity(u), 1), -log_det, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_numbers_of_any_size_have_a_latent_and_none_is_nan(power, dtype):
    layer, limit = made([power], dtype), np.finfo(dtype)
    x = tf.constant([[np.inf], [limit.max], [-limit.max], [-np.inf], [0.0]], dtype)
    u, log_det = layer.of_any_dtype(x)
    assert (u[0, 0], u[3, 0]) == (np.inf, -np.inf)
    assert not np.isnan(u).any()
    assert np.isfinite(log_det).all()
    assert np.isnan(layer.inverse(tf.constant([[np.nan]], dtype))).all()
    layer.scale.assign([1e9])
    assert np.isfinite(layer.forward(tf.constant([[1e3], [-1e3]], dtype))).all()


def test_rows_of_float32_lose_nothing_by_an_offset():
    layer = made([0.5], "float32")
    layer.loc.assign([300_001.3])  # float32 has 300001.31
    u = layer.inverse(tf.constant([[300_001.5]]))
    np.testing.assert_allclose(u, 2 * (np.sqrt(1.2) - 1), rtol=1e-5)
    np.testing.assert_allclose(layer.forward(tf.identity(u)), 300_001.5)


def test_the_powers_are_those_that_make_columns_normal():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=4000)
    x = [np.exp(normal) - 1, rng.normal(size=4000), 1 - np.exp(rng.normal(size=4000)), np.full(4000, 7.0)]
    x = np.stack(x, axis=1)
    layer = tff.bijectors.Power(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the constant has no spread
        layer.set_statistics(x)
    powers = layer.power.numpy()
    assert powers[0] < 0.2
    assert powers[2] > 1.8
    np.testing.assert_array_equal(powers[[1, 3]], 1.0)
    np.testing.assert_array_equal(layer.loc.numpy()[[1, 3]], 0.0)
    kept = tff.bijectors.Power(4, keep=[0])
    kept.set_statistics(x)
    np.testing.assert_array_equal(kept.power, np.where(np.arange(4) == 0, 1.0, powers))


@pytest.mark.parametrize("lopsided", [np.exp, lambda normal: normal**2])
def test_columns_beside_their_sum_stay_as_they_are(lopsided):
    """Powers would bend what whitening takes off; those of two other columns, which they straighten, are chosen."""
    rng = np.random.default_rng(0)
    parts = lopsided(rng.normal(size=[1000, 3]))
    total = parts.sum(axis=1) + 0.01 * rng.normal(size=1000)
    x = np.column_stack([parts, total, sizes_and_areas(1000)[:, :2]])
    layer = tff.bijectors.Power(6)
    layer.set_statistics(x)
    np.testing.assert_array_equal(layer.power[:4], 1.0)
    before, after = (np.corrcoef(rows[:, 4:].T)[0, 1] for rows in (x, layer.of_any_dtype(tf.constant(x))[0].numpy()))
    assert after > 0.98 > before  # a curve that has become straight
    flow, without = (tff.maf(4, power=power, **SMALL) for power in (None, False))
    for each in (flow, without):
        each.standardize(x[:, :4])
    np.testing.assert_allclose(flow.log_prob(x[:, :4]), without.log_prob(x[:, :4]), rtol=1e-5)


def test_no_other_power_of_one_column_is_likelier_by_what_a_change_has_to_gain():
    """The likelihood, by its formula, of a Gaussian with all correlations, at what was chosen and elsewhere."""
    x = sizes_and_areas(1000)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    layer = made([1.0, 1.0, 1.0])
    layer.set_statistics(x)

    def nll(powers):
        u, log_det = made(powers).of_any_dtype(tf.constant(z))
        return 0.5 * np.linalg.slogdet(np.cov(u, rowvar=False))[1] - np.mean(log_det)

    powers, least = layer.power.numpy(), nll(layer.power.numpy())
    for i, power in [(i, power) for i in range(3) for power in np.linspace(0, 2, 11)]:
        assert nll(np.where(np.arange(3) == i, power, powers)) > least - 0.0501
    assert least < nll(np.ones(3)) - 0.5


def test_many_columns_choose_their_powers_one_by_one():
    x = np.exp(np.random.default_rng(0).normal(size=[200, 130]))
    layer = tff.bijectors.Power(130)
    layer.set_statistics(x)
    assert (layer.power.numpy() < 0.5).all()


def test_rows_without_weight_choose_no_power():
    x = np.exp(np.random.default_rng(1).normal(size=[40_000, 1]))
    weights = (np.arange(len(x)) % 4 == 3) * (np.arange(len(x)) < 4000)  # a stride over all rows would meet none
    layer, other = tff.bijectors.Power(1), tff.bijectors.Power(1)
    layer.set_statistics(x, weights)
    other.set_statistics(x[weights > 0])
    np.testing.assert_array_equal(layer.power, other.power)


def test_the_farthest_rows_alone_choose_no_power():
    rng = np.random.default_rng(0)
    x = rng.normal(size=[1000, 2])
    x[:5, 0] = 1e3
    layer = tff.bijectors.Power(2)
    layer.set_statistics(x)
    np.testing.assert_array_equal(layer.power, 1.0)


def test_no_power_makes_of_slips_their_squares():
    """Scores near 100 ask for a power of 2; three rows in a thousand have a digit too many."""
    rng = np.random.default_rng(0)

    def scores(count):
        x = 100 - 5 * rng.exponential(size=[count, 2])
        x[:, 1] = x[:, 0] + 0.1 * rng.normal(size=count)
        x[rng.uniform(size=count) < 0.003] *= 10
        return x

    x, fresh = scores(2000), scores(2000)
    flow, without = (tff.maf(2, power=power, whiten=True, **SMALL) for power in (True, False))
    for each in (flow, without):
        each.standardize(x)
    assert np.mean(flow.log_prob(fresh)) > np.mean(without.log_prob(fresh)) - 0.2
    layer = tff.bijectors.Power(2)
    layer.set_statistics(x[(x < 101).all(axis=1)])
    assert (layer.power.numpy() > 1.5).all()


def test_a_column_that_varies_in_its_farthest_rows_alone_has_no_power():
    """The rounding of the others, which are equal, chose one."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.full(1000, 3.3), rng.normal(size=1000)])
    x[:5, 0] += 1 + rng.exponential(size=5)
    layer = tff.bijectors.Power(2)
    for rows in (x, 1000 * x, x + 0.1, x[::-1]):
        layer.set_statistics(rows)
        np.testing.assert_array_equal(layer.power, 1.0)


def test_rows_in_turn_choose_the_powers_of_the_same_rows_in_any_order():
    rng = np.random.default_rng(0)
    x = rng.exponential(size=[20_000, 1]) * np.where(np.arange(20_000) % 2, 1, -1)[:, None]
    layer = tff.bijectors.Power(1)
    layer.set_statistics(x)
    np.testing.assert_array_equal(layer.power, 1.0)


@pytest.mark.parametrize("make", [tff.bijectors.Power, tff.bijectors.Standardize, tff.bijectors.ActNorm])
@pytest.mark.parametrize(
    ("x", "weights"),
    [
        *((x, None) for x in (np.ones([5, 2]), np.zeros([0, 3]), np.full([5, 3], np.nan))),
        *((np.ones([5, 3]), weights) for weights in (np.zeros(5), -np.ones(5), np.full(5, np.nan), np.ones(4), "many")),
    ],
)
def test_rows_that_have_no_statistics_are_refused(make, x, weights):
    layer = make(3)
    before = [variable.numpy() for variable in layer.variables]
    with pytest.raises(tff.InputError, match=r"^x|^weights"):
        layer.set_statistics(x, weights)
    np.testing.assert_array_equal(before, [variable.numpy() for variable in layer.variables])


def test_weights_count_as_rows_do():
    x = np.exp(np.random.default_rng(1).normal(size=[300, 1]))
    weights = np.random.default_rng(2).integers(0, 4, 300)
    one, other = tff.bijectors.Power(1), tff.bijectors.Power(1)
    one.set_statistics(x, weights.astype(float))
    other.set_statistics(np.repeat(x, weights, axis=0))
    np.testing.assert_allclose(one.power, other.power, atol=0.051)  # the number of rows that count is another
    np.testing.assert_allclose(one.loc, other.loc)


@pytest.mark.parametrize(
    ("power", "columns", "is_there", "is_on"),
    [
        *((None, 3, True, True), (True, 3, True, True), (False, 3, False, False)),
        *((None, 2, False, False), (True, 2, True, True)),
    ],
)
def test_chains_have_powers_for_columns_that_are_nearly_dependent(power, columns, is_there, is_on):
    flow = tff.maf(columns, power=power, **SMALL)
    flow.standardize(sizes_and_areas(1000)[:, :columns])
    layers = [layer for layer in flow.layers if isinstance(layer, tff.bijectors.Power)]
    assert bool(layers) == is_there
    assert any((layer.power.numpy() != 1).any() for layer in layers) == is_on
    assert flow.config["power"] == power


def test_powers_are_chosen_where_columns_are_nearly_dependent_only_after_them():
    x = sizes_and_areas(1000)[:, :2]
    assert np.linalg.eigvalsh(np.corrcoef(x.T))[0] > 0.03
    layer = tff.bijectors.Power(2, only_narrow=True)
    layer.set_statistics(x)
    assert (layer.power.numpy() < 0.8).all()


def test_other_columns_are_left_as_they_are():
    x = np.exp(np.random.default_rng(0).normal(size=[500, 3]))
    flow, without = tff.maf(3, **SMALL), tff.maf(3, power=False, **SMALL)
    for each in (flow, without):
        each.standardize(x)
    np.testing.assert_array_equal(flow.layers[0].power, 1.0)
    np.testing.assert_allclose(flow.log_prob(x), without.log_prob(x), rtol=1e-6)


def test_a_flow_starts_better_than_the_best_gaussian_of_a_lopsided_table():
    """By nats, on fresh rows; in doubles at an offset the same."""
    x, fresh = sizes_and_areas(2000), sizes_and_areas(500, seed=1)
    found = {}
    for power in (None, False):
        flow = tff.maf(3, power=power, **SMALL)
        flow.standardize(x)
        found[power] = np.mean(flow.log_prob(fresh))
        if power is None:
            near = flow.log_prob(fresh)
            flow.standardize(1e9 + x)
            np.testing.assert_allclose(flow.log_prob(1e9 + fresh), near, atol=1e-3)
            assert np.isneginf(flow.log_prob([[np.inf, 1.0, 0.0], [1.0, -np.inf, 0.0]])).all()
            assert np.isfinite(flow.log_prob([[1e6, 1.0, 0.0]])).all()
    assert found[None] > found[False] + 0.5


def test_a_density_with_powers_integrates_to_one():
    flow = tff.nsf(2, power=True, num_layers=1, hidden_units=(4,), num_bins=4, seed=0, dtype="float64")
    flow.standardize(np.random.default_rng(0).gamma(2.0, size=[500, 2]))
    assert (flow.layers[0].power.numpy() < 0.7).all()
    u = np.linspace(-9.0, 9.0, 1201)  # of a power, as its tails are long: in x they reach far
    layer = flow.layers[0]
    axes = [layer.forward(tf.constant(np.stack([u, u], axis=1)))[:, i].numpy() for i in (0, 1)]
    slopes = [np.gradient(axis, u) for axis in axes]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(flow.log_prob(grid)).reshape(len(u), len(u))
    mass = np.sum(density * slopes[0][:, None] * slopes[1]) * (u[1] - u[0]) ** 2
    assert mass == pytest.approx(1.0, abs=2e-3)
