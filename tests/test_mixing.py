"""What comes between the layers of a chain, before them, and what their networks see."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import COUPLING, make_small

import tfp_flows as tff
from tfp_flows.covariance import shrunk_correlation
from tfp_flows.flows.mixing import mixing_of
from tfp_flows.training.standard import far_column


def halves(event_size: int, num_layers: int) -> list[set[int]]:
    """The columns that stay in each layer of a coupling chain."""
    mixing = mixing_of("reverse", event_size, num_layers, True, np.random.default_rng(0))
    columns, found = np.arange(event_size), []
    for order in mixing.orders:
        columns = columns if order is None else columns[order]
        found.append(set(columns[: event_size // 2].tolist()))
    return found


@pytest.mark.parametrize("event_size", [2, 3, 4, 5, 6, 7, 10, 16, 30, 64, 101])
def test_halves_are_dealt_so_that_any_two_columns_come_apart(event_size):
    """And of two layers, each column that moves in one stays in the other; where D is odd, all but one do."""
    stays = halves(event_size, 2 * int(np.ceil(np.log2(event_size))))
    for a, b in zip(stays[::2], stays[1::2], strict=True):
        assert len(a | b) == event_size - event_size % 2
    for i, j in itertools.combinations(range(event_size), 2):
        assert any((i in half) != (j in half) for half in stays), (i, j)


def test_neighbours_are_apart_from_the_first_layer_on():
    stays = halves(8, 2)
    assert all((i in stays[0]) != (i + 1 in stays[0]) for i in range(7))
    assert stays[1] == set(range(8)) - stays[0]


@pytest.mark.parametrize("name", [name for name in COUPLING if name != "glow"])  # whose masks are an image's
def test_two_dimensions_change_places_and_nothing_is_dealt(name):
    flow = make_small(name, 2, num_layers=3, mixing="reverse")
    assert flow.config["mixing"] == [None, [1, 0], [1, 0]]
    assert [layer.name for layer in flow.layers if "permute" in layer.name] == ["permute1", "permute2"]


def test_a_matrix_between_layers_is_learnt():
    flow = tff.maf(3, num_layers=3, hidden_units=(4,), mixing="linear", seed=0)
    assert [layer.name for layer in flow.layers if "linear" in layer.name] == ["linear1", "linear2"]
    x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(flow.log_prob(x))
    for layer in (layer for layer in flow.layers if "linear" in layer.name):
        for gradient in tape.gradient(loss, layer.trainable_variables) if layer.name == "linear2" else ():
            assert np.any(gradient.numpy() != 0)


def collinear(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Rows of a Gaussian whose columns nearly are functions of two others."""
    rng = np.random.default_rng(seed)
    few = rng.normal(size=(rows, 2))
    return few @ np.random.default_rng(1).normal(size=(2, columns)) + 0.02 * rng.normal(size=(rows, columns))


@pytest.mark.parametrize(("rows", "columns"), [(40, 8), (2000, 8)])
def test_a_whitened_flow_starts_as_a_good_gaussian(rows, columns):
    """Beside the covariance as it is, whether rows are many or few; unshrunk, few rows give one that is far off."""
    x, fresh = collinear(rows, columns), collinear(20_000, columns, seed=2)
    flow = tff.maf(columns, whiten=True, num_layers=2, hidden_units=(4,), seed=0, dtype="float64")
    flow.standardize(x)
    covariance = np.cov(x.T)
    z = np.linalg.solve(np.linalg.cholesky(covariance), (fresh - x.mean(axis=0)).T)
    log_det = np.linalg.slogdet(covariance)[1]
    gaussian = -0.5 * (z**2).sum(axis=0).mean() - 0.5 * log_det - 0.5 * columns * np.log(2 * np.pi)
    plain = tff.maf(columns, whiten=False, num_layers=2, hidden_units=(4,), seed=0, dtype="float64")
    plain.standardize(x)
    whitened = np.mean(flow.log_prob(fresh))
    assert whitened > gaussian - 0.05 * (rows > 1000)
    assert whitened > np.mean(plain.log_prob(fresh)) + 5
    u = flow.standardized(x).numpy()
    np.testing.assert_allclose(np.cov(u.T), np.eye(columns), atol=0.2 if rows > 1000 else 0.8)


FACTORS = np.random.default_rng(0).normal(size=(5, 30))
A_SUM = np.append(np.eye(3), np.ones([3, 1]), axis=1)  # the last column is the sum of the others


@pytest.mark.parametrize(
    ("mix", "rows"),
    [(A_SUM, 30), (A_SUM, 300), (A_SUM, 3000), (FACTORS, 300), (FACTORS, 3000)],
    ids=["sum of 30", "sum of 300", "sum of 3000", "factors of 300", "factors of 3000"],
)
def test_a_flow_starts_as_the_gaussian_where_that_is_narrow(mix, rows):
    """By itself: a shrinkage that is chosen by rows in another scale than theirs would be much too large."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows + 5000, len(mix))) @ mix
    x[:, len(mix) :] += 5e-3 * rng.normal(size=x[:, len(mix) :].shape)
    x, fresh = x[:rows], x[rows:]
    flow = tff.maf(x.shape[1], num_layers=1, hidden_units=(4,), seed=0)
    flow.standardize(x)
    law = tfp.distributions.MultivariateNormalTriL(x.mean(axis=0), np.linalg.cholesky(np.cov(x.T)))
    assert np.mean(flow.log_prob(fresh)) > np.mean(law.log_prob(fresh)) - 0.2
    u = flow.standardized(x).numpy()
    assert far_column(u) is None  # a second fit on the same rows has nothing to say


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (3, 3), (4, 5), (5, 5)])
def test_rows_that_are_fewer_than_columns_are_whitened_no_farther_than_they_say(rows, columns):
    """Without a few of them the others have no variance in some direction: it must not be taken to be zero."""
    x, fresh = (np.random.default_rng(seed).normal(size=(n, columns)) for seed, n in ((0, rows), (1, 500)))
    found = []
    for whiten in (True, False):
        flow = tff.maf(columns, whiten=whiten, num_layers=1, hidden_units=(4,), seed=0, dtype="float64")
        flow.standardize(x)
        found.append(np.mean(flow.log_prob(fresh)))
    assert found[0] > 2 * found[1]  # both negative


def test_whitening_knows_weights_and_columns_that_are_constant():
    x = np.concatenate([collinear(500, 3), np.full([500, 3], 9.0)]) * [1, 2, 3]
    weights = np.repeat([1.0, 0.0], 500)
    layer, other = tff.bijectors.Standardize(3, whiten=True), tff.bijectors.Standardize(3, whiten=True)
    layer.set_statistics(x, weights)
    other.set_statistics(x[:500])
    np.testing.assert_allclose(layer.whitening, other.whitening, rtol=0.1)
    correlation = shrunk_correlation(np.stack([np.zeros(50), np.linspace(-1.7, 1.7, 50)], axis=1))
    np.testing.assert_array_equal(correlation, np.eye(2))


def test_whitening_takes_doubles_of_far_offsets():
    x = 1.7e9 + collinear(2000, 3)
    flow = tff.maf(3, whiten=True, num_layers=1, hidden_units=(4,), seed=0)
    flow.standardize(x)
    near = tff.maf(3, whiten=True, num_layers=1, hidden_units=(4,), seed=0)
    near.standardize(x - 1.7e9)
    np.testing.assert_allclose(flow.log_prob(x), near.log_prob(x - 1.7e9), atol=1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_whitened_flow_has_no_density_at_infinity_and_knows_what_is_no_number(dtype):
    flow = tff.maf(3, whiten=True, num_layers=1, hidden_units=(4,), seed=0, dtype=dtype)
    flow.standardize(collinear(500, 3))
    far = np.finfo(dtype).max
    rows = [[np.inf, 0, 0], [0, -np.inf, 1], [np.inf, -np.inf, np.inf], [far, -far, far], [0, 0, far]]
    assert (flow.log_prob(np.array(rows, dtype)) == -np.inf).numpy().all()
    assert (flow.log_prob(np.array([[-1e308, 1e308, 0]])) == -np.inf).numpy().all()
    assert np.isnan(flow.log_prob(np.array([[np.nan, 0, 0]], dtype))).all()


def test_activation_normalisation_starts_from_the_rows_that_reach_it():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=(500, 2)))
    flow = tff.maf(2, act_norm=True, num_layers=2, hidden_units=(8,), seed=0)
    for variable in flow.layers[1].trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    flow.standardize(x)
    reached = flow.layers[1].inverse(flow.layers[0].inverse(x.astype("float32")))
    u = flow.layers[2].inverse(reached).numpy()
    np.testing.assert_allclose(u.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(u.std(axis=0), 1.0, atol=1e-3)


def test_octaves_are_fewer_deeper():
    flow = tff.nsf_coupling(2, num_layers=4, hidden_units=(4,), octaves=6, seed=0)
    kernels = [layer.network._layers[0].kernel_shape[0] for layer in flow.layers if "nsf" in layer.name]
    assert kernels == [1 + 2 * octaves for octaves in (6, 5, 4, 4)]
    flow = tff.nsf_coupling(2, num_layers=2, hidden_units=(4,), octaves=[1, 0], seed=0)
    assert [layer.network._layers[0].kernel_shape[0] for layer in flow.layers if "nsf" in layer.name] == [3, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_waves_are_sines_and_cosines_of_octaves_as_exactly_as_the_number_is(dtype, rng):
    x = rng.uniform(-4, 4, size=[1000, 1]).astype(dtype)
    angles = 2.0 ** np.arange(16) * np.pi / 6 * x.astype("float64")
    wanted = np.concatenate([x, np.sin(angles), np.cos(angles)], axis=-1)
    error = np.abs(tff.networks.Fourier(16)(tf.constant(x))[:, 0].numpy() - wanted)
    of_angles = np.abs(angles).max(axis=0)
    assert (error.max(axis=0) <= 2 * np.finfo(dtype).eps * np.concatenate([[1.0], of_angles, of_angles])).all()
    far = tf.constant([[1e30], [-3e38]], dtype)
    assert np.abs(tff.networks.Fourier(16)(far)[..., 1:]).max() <= 1 + 1e-2


@pytest.mark.parametrize("damped", [{}, {"damped_beyond": 1.0}])
def test_slopes_of_waves_are_their_derivatives(damped):
    waves = tff.networks.Fourier(3, interval=2.0, **damped)
    x = tf.constant([[-1.3, 0.2], [0.7, 5.0]], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        seen = waves(x)
    assert seen.shape == (2, 2, waves.width)
    for i in range(waves.width):
        with tf.GradientTape() as tape:
            tape.watch(x)
            one = waves(x)[..., i]
        np.testing.assert_allclose(tape.gradient(one, x), waves.slopes(x)[..., i], atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_far_off_are_seen_damped(dtype, rng):
    """As they are up to the bound, to the last bit; beyond it with a slope that falls smoothly to a fiftieth."""
    features = tff.networks.Fourier(damped_beyond=2.0)

    def seen(x):
        return features(tf.constant(x, dtype))[..., 0].numpy()

    near = rng.uniform(-2, 2, size=1000).astype(dtype)
    np.testing.assert_array_equal(seen(near), near)
    far = 2 + np.array([1.0, 10.0, 100.0, 1e6, 1e30])
    np.testing.assert_allclose(seen(far), -seen(-far), rtol=0)
    np.testing.assert_allclose(seen(far), 2 + (far - 2) * (0.02 + 0.98 / np.sqrt(1 + (far - 2) ** 2)), rtol=1e-5)
    x = tf.constant([2 - 1e-3, 2 + 1e-3], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = features(x)
        slope = tape.gradient(y, x)
    np.testing.assert_allclose(slope, [1.0, 1.0], atol=2e-6)
    np.testing.assert_allclose(outer.gradient(slope, x), [0.0, 0.0], atol=4e-3)  # continuous, too


def test_chains_damp_beyond_their_interval_at_least():
    def of(**options):
        flow = tff.nsf(2, num_layers=1, hidden_units=(4,), num_bins=4, seed=0, **options)
        return flow.layers[-1].network.features.damped_beyond

    assert [of(), of(interval=20.0), of(damped_beyond=None)] == [9.0, 20.0, None]
    assert of(circular={0: 1.0}, interval=20.0) == 20.0
    flow = tff.naf(2, num_layers=1, hidden_units=(4,), damped_beyond=0.5, seed=0)  # without an interval
    assert flow.layers[-1].network.features.damped_beyond == 0.5


@pytest.mark.parametrize("name", ["nsf", "nsf_coupling"])
def test_what_splines_choose_is_in_their_recipe(name):
    options = {"event_size": 3, "num_layers": 2, "hidden_units": (4,), "num_bins": 2, "seed": 0}
    for circular, mixing, tails in [(None, "linear", "free"), ({}, "linear", "free"), ({0: 24.0}, "reverse", "equal")]:
        flow = tff.make(name, circular=circular, **options)
        said = tff.make(name, circular=circular, mixing=mixing, tails=tails, **options)
        assert flow.config == said.config
        assert flow.config["tails"] == tails
        assert (flow.config["mixing"] == "linear") == (mixing == "linear")
        assert sum("linear" in layer.name for layer in flow.every_layer) >= (mixing == "linear")
    assert 'None is "linear", or "reverse" with circular columns.' in " ".join(getattr(tff, name).__doc__.split())
    assert "None is" not in tff.maf.__doc__.partition("mixing:")[2].partition("whiten:")[0]


@pytest.mark.parametrize("size", [1, 2, 5, 129])
def test_rows_say_whether_they_are_whitened(size):
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(2000, size))
    near = apart[:, :1] + 0.05 * rng.normal(size=(2000, size))
    for rows, is_near in [(apart, False), (near, size in (2, 5)), (apart, False)]:
        layer = tff.bijectors.Standardize(size, whiten=None, dtype="float64")
        layer.set_statistics(rows)
        z = layer.inverse(rows).numpy()
        np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-2)
        if is_near:
            np.testing.assert_allclose(np.corrcoef(z.T), np.eye(size), atol=1e-2)
        elif layer.whitening is not None:
            np.testing.assert_array_equal(layer.whitening, np.eye(size))
        assert (layer.whitening is None) == (size in (1, 129))


def test_chains_whiten_by_the_rows_unless_told():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 1)) + 0.05 * rng.normal(size=(500, 3))
    small = {"num_layers": 1, "hidden_units": (4,), "seed": 0}
    for whiten, is_whitened in [(None, True), (True, True), (False, False)]:
        flow = tff.maf(3, whiten=whiten, **small)
        flow.standardize(rows)
        matrix = flow.layers[1].whitening  # after its Power
        assert (matrix is not None and abs(matrix.numpy() - np.eye(3)).max() > 1) == is_whitened
        assert flow.config["whiten"] == whiten
    with pytest.raises(tff.InputError, match="whiten must be True or False; got 'auto'"):
        tff.maf(3, whiten="auto", **small)
