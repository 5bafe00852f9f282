"""Every dataset's samples, density and entropy must be of one law, and that law the documented one."""

import itertools
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from tfp_flows import datasets
from tfp_flows.datasets.blender import blender_folder
from tfp_flows.errors import InputError


def moons(noise):
    reach = 8 * noise
    return datasets.two_moons(noise), ((-1 - reach, 2 + reach), (-0.5 - reach, 1 + reach)), noise / 2


# A dataset, a frame with all of its mass but 1e-12, and a step so fine that the trapezoid rule has no error.
SMOOTH = {
    "gaussian": (datasets.gaussian(), ((-18, 19), (-32, 34)), 0.25),
    "banana": (datasets.banana(), ((-8, 264), (-32, 32)), 0.25),
    "banana of the MAF paper": (datasets.banana(scale=2.0), ((-8, 72), (-16, 16)), 0.25),
    "two moons": moons(0.05),
    "two moons, thin": moons(0.02),
    "two moons, touching": moons(0.2),
    "two moons, one blob": moons(2.0),
}
LAWS = {name: dataset for name, (dataset, *_) in SMOOTH.items()} | {
    "siggraph": datasets.siggraph(),
    "siggraph by area": datasets.siggraph(weights="area"),
    "mesh": datasets.mesh(blender_folder() / "siggraph.npz"),
}
every_law = pytest.mark.parametrize("dataset", LAWS.values(), ids=LAWS.keys())
every_smooth_law = pytest.mark.parametrize(("dataset", "frame", "step"), SMOOTH.values(), ids=SMOOTH.keys())


# Laws that every dataset obeys.


@every_law
def test_samples_are_float32_rows_of_any_number(dataset):
    for n in (0, 1, 7):
        x = dataset.sample(n, seed=0)
        assert x.shape == (n, dataset.event_size)
        assert x.dtype == np.float32
        log_prob = dataset.log_prob(x)
        assert log_prob.shape == (n,)
        assert log_prob.dtype == np.float64


@every_law
def test_samples_repeat_with_their_seed(dataset):
    np.testing.assert_array_equal(dataset.sample(50, seed=3), dataset.sample(50, seed=np.int64(3)))
    assert not np.array_equal(dataset.sample(50, seed=3), dataset.sample(50, seed=4))
    assert not np.array_equal(dataset.sample(50), dataset.sample(50))
    rng = np.random.default_rng(3)
    np.testing.assert_array_equal(dataset.sample(50, rng), dataset.sample(50, seed=3))
    assert not np.array_equal(dataset.sample(50, rng), dataset.sample(50, seed=3))


@every_law
def test_entropy_is_the_samples_mean_surprise(dataset):
    surprise = -dataset.log_prob(dataset.sample(40_000, seed=0))
    error = surprise.std() / np.sqrt(surprise.size) + 1e-9  # uniform by area: every surprise is the same
    assert abs(surprise.mean() - dataset.entropy) < 4 * error


@every_law
def test_log_prob_of_a_row_does_not_depend_on_the_others(dataset):
    x = dataset.sample(5000, seed=0)  # more than one chunk
    picked = [0, 2047, 2048, 4999]
    # A matrix product may round differently for another number of rows.
    np.testing.assert_allclose(dataset.log_prob(x)[picked], dataset.log_prob(x[picked]), rtol=1e-10)


@every_law
def test_limits_frame_the_samples(dataset):
    x = dataset.sample(10_000, seed=0)
    inside = [(low <= column) & (column <= high) for column, (low, high) in zip(x.T, dataset.limits, strict=True)]
    assert np.mean(np.all(inside, axis=0)) > 0.99


@every_law
def test_config_and_repr_build_it_again(dataset):
    made = datasets.make(dataset.name, **dataset.config)
    read = eval(repr(dataset), vars(datasets))
    for again in (made, read):
        assert (again.name, again.config, again.entropy) == (dataset.name, dataset.config, dataset.entropy)
        np.testing.assert_array_equal(again.sample(20, seed=1), dataset.sample(20, seed=1))
    assert f"{dataset.entropy:.4f} nats" in repr(dataset)


@every_law
def test_far_away_the_density_vanishes_without_a_warning(dataset):
    far = np.array([[1e200, 1e200], [-1e308, 1e308], [1e308, 0], [0, -1e308]])
    np.testing.assert_array_equal(dataset.log_prob(far), -np.inf)


@every_law
def test_split_gives_streams_of_their_own(dataset):
    split = dataset.split(seed=0, n=(300, 200, 100))
    assert [part.shape for part in split] == [(300, 2), (200, 2), (100, 2)]
    assert all(part.dtype == np.float32 for part in split)
    rows = np.concatenate([*split, dataset.sample(300, seed=0)])
    assert len(np.unique(rows, axis=0)) == len(rows)
    other = dataset.split(seed=0, n=(5, 200, 100))
    np.testing.assert_array_equal(other.test, split.test)
    np.testing.assert_array_equal(other.validation, split.validation)
    assert not np.array_equal(dataset.split(seed=1, n=(300, 200, 100)).test, split.test)


@pytest.mark.parametrize(("name", "train"), [("siggraph", 9800), ("two_moons", 1000), ("gaussian", 10_000)])
def test_split_has_the_documented_sizes(name, train):
    assert [len(part) for part in datasets.make(name).split()] == [train, 2000, 10_000]


# Laws of the smooth densities, by the trapezoid rule.


def grid(frame, step):
    axes = [np.arange(low, high, step) for low, high in frame]
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


@every_smooth_law
def test_density_integrates_to_one_and_to_its_entropy(dataset, frame, step):
    log_prob = dataset.log_prob(grid(frame, step))
    mass = np.exp(log_prob) * step**2
    assert mass.sum() == pytest.approx(1, abs=1e-6)
    assert -np.sum(mass * log_prob) == pytest.approx(dataset.entropy, abs=1e-5)


@every_smooth_law
def test_samples_have_the_moments_of_the_density(dataset, frame, step):
    points = grid(frame, step)
    mass = np.exp(dataset.log_prob(points)) * step**2
    x = dataset.sample(50_000, seed=1).astype(np.float64)
    for powers in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 1), (1, 2)):
        moment = np.prod(x**powers, axis=1)
        expected = mass @ np.prod(points**powers, axis=1)
        assert abs(moment.mean() - expected) < 4.5 * moment.std() / np.sqrt(len(x)), powers


# Two Moons.


def arc_reference(x, y, noise):
    """Integrate the noise along the upper arc, on panels that narrow towards each point that may be near."""

    def squared(t):
        return (x - np.cos(t)) ** 2 + (y - np.sin(t)) ** 2

    def integrand(t):
        return np.exp((least - squared(t)) / (2 * noise**2))

    nearest = np.clip(np.arctan2(y, x), 0, np.pi)
    widths = np.pi * 2.0 ** -np.arange(40)
    edges = [0, np.pi, nearest, *widths, *(np.pi - widths), *(nearest - widths), *(nearest + widths)]
    edges = np.unique(np.clip(edges, 0, np.pi))
    least = squared(edges).min()
    panels = [integrate.fixed_quad(integrand, *panel, n=20)[0] for panel in itertools.pairwise(edges)]
    return np.log(np.sum(panels)) - least / (2 * noise**2) - np.log(2 * np.pi**2 * noise**2)


@settings(max_examples=150, deadline=None)
@given(
    noise=st.floats(-3, 1).map(lambda exponent: min(max(10**exponent, 0.001), 10)),
    seed=st.integers(0, 2**32),
    widths=st.one_of(st.floats(0, 10), st.floats(0, 1000)),
    direction=st.floats(-4, 4),
)
def test_two_moons_log_prob_is_exact_everywhere(noise, seed, widths, direction):
    dataset = datasets.two_moons(noise)
    away = widths * noise * np.array([np.cos(direction), np.sin(direction)])
    x, y = dataset.sample(1, seed=seed)[0] + away
    expected = np.logaddexp(arc_reference(x, y, noise), arc_reference(1 - x, 0.5 - y, noise)) - np.log(2)
    assert dataset.log_prob([[x, y]])[0] == pytest.approx(expected, abs=1e-7, rel=1e-11)


@pytest.mark.parametrize("noise", [0.001, 0.05, 1.0, 10.0])
@pytest.mark.parametrize("point", [(0, 0), (1, 0), (-1, 0), (-1, -1e-12), (0, -1), (1, 0.5), (0.5, 0.25), (2, 0.5)])
def test_two_moons_log_prob_at_centres_ends_and_midway(noise, point):
    x, y = point
    expected = np.logaddexp(arc_reference(x, y, noise), arc_reference(1 - x, 0.5 - y, noise)) - np.log(2)
    assert datasets.two_moons(noise).log_prob([point])[0] == pytest.approx(expected, abs=1e-7, rel=1e-11)


def test_two_moons_are_the_documented_curves():
    x = datasets.two_moons(noise=0.001).sample(4000, seed=0).astype(np.float64)
    upper = (np.abs(np.hypot(*x.T) - 1) < 0.01) & (x[:, 1] > -0.01)
    lower = (np.abs(np.hypot(*(x - [1, 0.5]).T) - 1) < 0.01) & (x[:, 1] < 0.51)
    assert np.all(upper ^ lower)
    assert abs(upper.sum() - 2000) < 4 * np.sqrt(1000)


@pytest.mark.parametrize(("noise", "known"), [(0.05, 0.289), (0.10, 1.009)])
def test_two_moons_entropy_agrees_with_the_known_estimates(noise, known):
    assert datasets.two_moons(noise).entropy == pytest.approx(known, abs=4 * 0.005)


def test_a_thin_two_moons_has_the_entropy_of_its_curves():
    # Two half circles of length pi, widened by a Gaussian; each of the four ends adds noise / (2 pi) times
    # the integral of -F log F, F the normal distribution function.
    noise = 0.001
    end = integrate.quad(lambda w: -special.ndtr(w) * special.log_ndtr(w), -12, 12)[0]
    expected = np.log(2 * np.pi) + 0.5 * np.log(2 * np.pi * np.e * noise**2) + 2 * noise * end / np.pi
    assert datasets.two_moons(noise).entropy == pytest.approx(expected, abs=1e-6)


# The Gaussian and the banana.


def test_gaussian_has_the_documented_mean_and_covariance():
    a = np.array([[2, 0.3], [-1, 4]])
    law = stats.multivariate_normal([0.4, 1], a.T @ a)
    x = np.random.default_rng(0).normal(size=(20, 2)) * 5
    np.testing.assert_allclose(datasets.gaussian().log_prob(x), law.logpdf(x), rtol=1e-12)
    assert datasets.gaussian().entropy == pytest.approx(law.entropy(), abs=1e-12)


@pytest.mark.parametrize(("scale", "known"), [(4.0, 4.224171), (2.0, 3.531024)])
def test_banana_has_the_known_entropy(scale, known):
    assert datasets.banana(scale).entropy == pytest.approx(known, abs=1e-6)


def test_banana_is_the_documented_product():
    x = datasets.banana(scale=3.0).sample(20, seed=0).astype(np.float64)
    expected = stats.norm.logpdf(x[:, 1], 0, 3) + stats.norm.logpdf(x[:, 0], x[:, 1] ** 2 / 4, 1)
    np.testing.assert_allclose(datasets.banana(scale=3.0).log_prob(x), expected, rtol=1e-12)


# SIGGRAPH.

siggraph_laws = pytest.mark.parametrize("weights", ["tutorial", "area"])


def areas(triangles):
    x, y = triangles[..., 0], triangles[..., 1]
    return np.abs(np.sum(x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1), axis=1)) / 2


@siggraph_laws
def test_siggraph_integrates_to_one_over_its_triangles(weights):
    dataset = datasets.siggraph(weights)
    density = np.exp(dataset.log_prob(dataset.triangles.mean(axis=1)))
    mass = areas(dataset.triangles) * density
    assert mass.shape == (98,)
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    constant = mass if weights == "tutorial" else density
    np.testing.assert_allclose(constant, constant[0], rtol=1e-12)


def test_siggraph_has_the_known_entropies():
    area = areas(datasets.siggraph().triangles)
    assert datasets.siggraph().entropy == pytest.approx(np.mean(np.log(98 * area)), abs=1e-12)
    assert datasets.siggraph().entropy == pytest.approx(-0.094699, abs=1e-6)
    assert datasets.siggraph("area").entropy == pytest.approx(np.log(area.sum()), abs=1e-12)
    assert datasets.siggraph("area").entropy == pytest.approx(0.115169, abs=1e-6)


def test_siggraph_ships_a_hundred_points_of_each_triangle():
    dataset = datasets.siggraph()
    assert dataset.points.shape == (9800, 2)
    assert dataset.points.dtype == np.float32
    centres = dataset.log_prob(dataset.triangles.mean(axis=1))
    np.testing.assert_array_equal(dataset.log_prob(dataset.points), np.repeat(centres, 100))


@siggraph_laws
def test_every_siggraph_sample_is_inside_although_rounded(weights):
    dataset = datasets.siggraph(weights)
    assert np.isfinite(dataset.log_prob(dataset.sample(200_000, seed=0))).all()
    corners = dataset.triangles.astype(np.float32).reshape(-1, 2)
    assert np.isfinite(dataset.log_prob(corners)).all()


def test_siggraph_fills_every_triangle_by_its_weight():
    for weights in ("tutorial", "area"):
        dataset = datasets.siggraph(weights)
        area = areas(dataset.triangles)
        expected = 20_000 * (np.full(98, 1 / 98) if weights == "tutorial" else area / area.sum())
        counts = inside(dataset.triangles, dataset.sample(20_000, seed=0)).sum(axis=0)
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        assert chi_squared < 97 + 4 * np.sqrt(2 * 97)


def inside(triangles, x):
    """Say for points `[n, 2]` in which triangles they are, `[n, T]`, by barycentric coordinates."""
    edges = np.stack([triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]], axis=-1)
    uv = np.einsum("tij,ntj->nti", np.linalg.inv(edges), x[:, None] - triangles[:, 0])
    return (uv.min(axis=-1) >= 0) & (uv.sum(axis=-1) <= 1)


def test_siggraph_samples_are_uniform_inside_each_triangle():
    dataset = datasets.siggraph()
    x = dataset.sample(30_000, seed=0)
    face = inside(dataset.triangles, x)
    x, face = x[face.any(axis=1)], face[face.any(axis=1)].argmax(axis=1)
    first, second, third = dataset.triangles[face].transpose(1, 0, 2)
    u, v = np.linalg.solve(np.stack([second - first, third - first], axis=-1), (x - first)[..., None])[..., 0].T
    # u and v of a uniform point: mean 1/3, E[u^2] = 1/6, E[u v] = 1/12.
    for moment, expected in ((u, 1 / 3), (v, 1 / 3), (u**2, 1 / 6), (v**2, 1 / 6), (u * v, 1 / 12)):
        assert abs(moment.mean() - expected) < 4.5 * moment.std() / np.sqrt(len(x))


def test_siggraph_density_is_zero_outside_the_letters():
    dataset = datasets.siggraph()
    (left, right), (low, high) = dataset.limits
    x = np.random.default_rng(0).uniform((left, low), (right, high), size=(20_000, 2))
    in_letters = inside(dataset.triangles, x).any(axis=1)
    assert 0.1 < in_letters.mean() < 0.9
    assert np.mean(np.isfinite(dataset.log_prob(x)) == in_letters) > 0.9999  # all but a hit on an edge


def test_log_prob_of_many_points_takes_bounded_memory():
    dataset = datasets.siggraph()
    x = np.tile(dataset.sample(1000, seed=0), (300, 1))
    tracemalloc.start()
    dataset.log_prob(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the whole of 300,000 x 98 x 3 in float64 would be 700 MB


# The mesh of a file.


def cloud_file(path, triangles, **recipe):
    """A file of `make_points` with these triangles, and a point in the middle of each."""
    triangles = np.asarray(triangles, np.float64)
    points = triangles.mean(axis=1).astype(np.float32)
    index = np.arange(len(triangles), dtype=np.int32)
    np.savez(path, triangles=triangles, points=points, triangle_index=index, recipe=json.dumps(recipe))
    return path


SQUARE = [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]
SMALL = [[[2, 0], [2, 0.5], [2.5, 0]]]


@pytest.mark.parametrize("weights", ["triangles", "area"])
def test_mesh_has_the_formula_s_density(tmp_path, weights):
    law = datasets.mesh(cloud_file(tmp_path / "mesh.npz", SQUARE + SMALL), weights)
    area = np.array([1 / 2, 1 / 2, 1 / 8])
    mass = np.full(3, 1 / 3) if weights == "triangles" else area / area.sum()
    np.testing.assert_allclose(law.log_prob(law.points), np.log(mass / area))
    assert law.entropy == pytest.approx(-mass @ np.log(mass / area))
    assert law.log_prob([[1.5, 0.1]]) == -np.inf


def test_mesh_of_the_shipped_file_is_siggraph():
    mesh, letters = LAWS["mesh"], LAWS["siggraph"]
    assert mesh.entropy == letters.entropy
    np.testing.assert_array_equal(mesh.sample(500, seed=0), letters.sample(500, seed=0))


def test_mesh_takes_the_weights_of_the_recipe(tmp_path):
    by_area = cloud_file(tmp_path / "area.npz", SQUARE, points_per_triangle=None, points_by_area=10)
    alike = cloud_file(tmp_path / "alike.npz", SQUARE, points_per_triangle=10, points_by_area=None)
    assert datasets.mesh(by_area).config["weights"] == "area"
    assert datasets.mesh(alike).config["weights"] == "triangles"


def test_triangles_that_overlap_are_refused_and_those_that_touch_are_not(tmp_path):
    inner = [[[0.6, 0.2], [0.7, 0.2], [0.7, 0.3]]]
    crossing = [[[-1, 0.5], [2, 0.5], [2, 0.55]]]  # no corner of one lies inside of another
    for extra in (inner, crossing):
        with pytest.raises(InputError, match="triangles 0 and 2 overlap"):
            datasets.mesh(cloud_file(tmp_path / "bad.npz", SQUARE + extra))
    datasets.mesh(cloud_file(tmp_path / "good.npz", SQUARE + SMALL))


# What cannot work.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.sample(-1), "n is -1; expected a whole number, 0 or more."),
        (lambda d: d.sample(1.5), "n is 1.5; expected a whole number, 0 or more."),
        (lambda d: d.sample(True), "n is True; expected a whole number, 0 or more."),
        (lambda d: d.sample("5"), "n is '5'; expected a whole number, 0 or more."),
        (lambda d: d.sample(5, seed=-1), "seed is -1; expected a whole number, 0 or more."),
        (lambda d: d.sample(5, seed="a"), "seed is 'a'; expected a whole number, 0 or more."),
        (lambda d: d.split(n=100), "n is 100; expected three sizes: (train, validation, test)."),
        (lambda d: d.split(n=(1, 2)), "n is (1, 2); expected three sizes: (train, validation, test)."),
        (lambda d: d.split(n=(1, 2, -3)), "n is -3; expected a whole number, 0 or more."),
        (lambda d: d.log_prob([[0, 1, 2]]), "x has 3 columns; expected 2."),
        (lambda d: d.log_prob([0.0, 1.0]), "x has 1 column; expected 2."),
        (lambda d: d.log_prob(1.0), "x has shape []; expected [n, D], rows and columns."),
        (
            lambda d: d.log_prob(np.zeros((2, 2, 2))),
            "x has shape [2, 2, 2]; expected [n, D], rows and columns.",
        ),
        (lambda d: d.log_prob([[0, 1], [2, np.nan]]), "x: row 2, column 2 is nan; expected a finite number."),
        (lambda d: d.log_prob([["a", "b"]]), "x: row 1, column 1 is 'a'; expected a finite number."),
    ],
)
def test_datasets_refuse_what_cannot_work(call, message):
    for dataset in LAWS.values():
        with pytest.raises(InputError) as caught:
            call(dataset)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.two_moons(noise=0), "noise is 0; expected a number from 0.001 to 10."),
        (lambda: datasets.two_moons(noise=-0.1), "noise is -0.1; expected a number from 0.001 to 10."),
        (lambda: datasets.two_moons(noise=float("nan")), "noise is nan; expected a number from 0.001 to 10."),
        (lambda: datasets.two_moons(noise="0.1"), "noise is '0.1'; expected a number from 0.001 to 10."),
        (lambda: datasets.two_moons(noise=True), "noise is True; expected a number from 0.001 to 10."),
        (lambda: datasets.banana(scale=0), "scale is 0; expected a number from 0.01 to 100."),
        (lambda: datasets.banana(scale=None), "scale is None; expected a number from 0.01 to 100."),
        (lambda: datasets.siggraph("uniform"), "weights is 'uniform'; expected 'tutorial' or 'area'."),
        (
            lambda: datasets.mesh(blender_folder() / "siggraph.npz", "tutorial"),
            "weights is 'tutorial'; expected 'triangles' or 'area'.",
        ),
        (
            lambda: datasets.make("moons"),
            "There is no dataset 'moons'; expected one of: siggraph, two_moons, gaussian, banana, mesh.",
        ),
        (lambda: datasets.make("banana", noise=1), "banana has no option 'noise'; it takes: scale."),
        (lambda: datasets.make("gaussian", noise=1), "gaussian has no option 'noise'; it takes: none."),
    ],
)
def test_constructors_refuse_what_cannot_work(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message


def test_names_lists_what_make_builds():
    assert [datasets.make(name).name for name in datasets.names()] == datasets.names()


def test_numpy_is_all_that_datasets_import():
    others = {"tensorflow", "keras", "scipy", "pandas"}
    check = f"import sys, tfp_flows.datasets; print(*{others} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
