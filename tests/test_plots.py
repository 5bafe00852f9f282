"""The figures, against stored pictures; `python tests/test_plots.py` draws the stored ones again: look at them then."""

import pathlib

import matplotlib
import numpy as np
import pytest
from conftest import make_small, scramble, scramble_variables
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from PIL import Image

import tfp_flows as tff

BASELINES = pathlib.Path(__file__).parent / "baselines"
TOLERANCE = 3.0  # root mean square over the pixels, of 255
DRAWN_BY = "3.11."  # Matplotlib, as setup.cfg asks for it; 3.10 has other font metrics, and panels a few pixels apart
DPI = 50


def _flow(seed: int = 0) -> "tff.Flow":
    flow = scramble(make_small("real_nvp", 2, num_layers=3, whiten=False, log_scale_bound=5.0), seed=seed)
    flow.standardize(tff.datasets.two_moons().sample(1000, seed=0))
    return flow


def _samples_of_a_line():
    flow = scramble(make_small("planar", 1, num_layers=3))
    return tff.plots.samples(flow, np.random.default_rng(0).normal(size=(500, 1)))


def _conditional(event_size: int = 2) -> "tff.Flow":
    flow = make_small("maf", event_size, context_size=2, num_layers=3, batch_norm=False)
    flow.columns = ("height", "weight", "girth")[:event_size]
    flow.context_columns = ("carat", "depth")
    x, context = _rows_with_context(event_size)
    flow.standardize(x, context=context)
    scramble_variables(flow.trainable_variables, scale=0.15)
    return flow


def _rows_with_context(event_size: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    context = rng.normal(size=(n, 2)) * [0.3, 2.0] + [0.7, 60.0]
    return rng.normal(size=(n, event_size)) + 3 * context[:, :1], context


CONTEXT = {"depth": 61.5, "carat": 0.7}  # by names, in any order


def _mixed() -> tuple["tff.Flow", np.ndarray]:
    """A flow of a bounded column, a circular one and one of whole numbers, and rows that it nearly has the law of."""
    rng = np.random.default_rng(0)
    mode = rng.integers(0, 2, 2000)
    x = np.stack([np.exp(0.6 * rng.normal(size=2000) + 0.5 * mode), 22 + 6 * mode, rng.poisson(2 + 2 * mode)], axis=1)
    x[:, 1] += 2 * rng.normal(size=2000)
    flow = make_small("nsf", 3, num_layers=1, support={0: (0, None), 2: (0, None)}, circular={1: 24.0}, dequantize=[2])
    flow.columns = ("price $ (US$)", "hour", "rooms of a house with a long name")
    flow.standardize(x)
    return flow, x


def _corner() -> Figure:
    return tff.plots.corner(_mixed()[0], _mixed()[1])


def _blobs(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    at = np.linspace(-1, 1, 12)
    middles, widths = rng.uniform(-0.5, 0.5, [n, 2, 1, 1]), rng.uniform(0.1, 0.5, [n, 1, 1])
    return np.exp(-((at - middles[:, 0]) ** 2 + (at[:, None] - middles[:, 1]) ** 2) / widths)


def _uniforms() -> np.ndarray:
    u = np.random.default_rng(0).random([1000, 3])
    return np.stack([u[:, 0], np.sqrt(u[:, 1]), np.random.default_rng(1).beta(2, 2, 1000)], axis=1)


def _film(folder: pathlib.Path) -> Figure:
    return tff.plots.animate_flow(_flow(), folder / "film.gif", n=500, frames=10)


MOONS, LETTERS = tff.datasets.two_moons(), tff.datasets.siggraph()
FIGURES = {
    "samples": lambda _: tff.plots.samples(_flow(), MOONS.sample(500, seed=0), limits=MOONS.limits),
    "samples_of_a_wide_frame": lambda _: tff.plots.samples(_flow(), LETTERS.sample(500, seed=0), limits=LETTERS.limits),
    "samples_of_a_line": lambda _: _samples_of_a_line(),
    "density": lambda _: tff.plots.density(_flow(), limits=MOONS.limits, resolution=100),
    "gap_map": lambda _: tff.plots.gap_map(_flow(), MOONS, resolution=100),
    "gap_map_with_an_outside": lambda _: tff.plots.gap_map(_flow(), LETTERS, resolution=100),
    "grid_warp": lambda _: tff.plots.grid_warp(_flow(), resolution=100),
    "layers": lambda _: tff.plots.layers(_flow(), n=500, limits=MOONS.limits),
    "loss_curve": lambda _: tff.plots.loss_curve(
        {"nll": [2.0, 1.0, 0.7, 0.6], "val_nll": [1.6, 1.0, 0.8, 0.75]}, entropy=0.5
    ),
    "loss_curve_of_a_kl": lambda _: tff.plots.loss_curve({"kl": [2.0, 0.5, 0.1], "val_kl": [1.0, 0.3, 0.12]}),
    "loss_curve_of_an_elbo": lambda _: tff.plots.loss_curve(
        {"learning_rate": [0.1, 0.1], "negative_elbo": [3.0, 2.0], "val_negative_elbo": [2.5, 1.8]}, entropy=1.5
    ),
    "film": _film,
    "samples_at_a_context": lambda _: tff.plots.samples(
        _conditional(1), _rows_with_context(1)[0], context=CONTEXT, limits=None
    ),
    "density_at_a_context": lambda _: tff.plots.density(
        _conditional(), limits=((-3, 7), (-3, 7)), context=CONTEXT, resolution=60
    ),
    "grid_warp_at_a_context": lambda _: tff.plots.grid_warp(_conditional(), context=CONTEXT, resolution=60),
    "layers_of_two_columns": lambda _: tff.plots.layers(
        _conditional(3), context=[0.7, 61.5], columns=["girth", "height"], n=500
    ),
    "corner": lambda _: _corner(),
    "corner_of_samples": lambda _: tff.plots.corner(_conditional(3), context=CONTEXT, columns=[0, 2], n=5000),
    "corner_of_a_column": lambda _: tff.plots.corner(
        _conditional(1), _rows_with_context(1)[0], context=_rows_with_context(1)[1]
    ),
    "images": lambda _: tff.plots.images(_blobs(6), (12, 12), titles=list("abcdef")),
    "images_of_groups": lambda _: tff.plots.images({"data": _blobs(8), "samples": 1 - _blobs(6)}, (12, 12), columns=6),
    "calibration": lambda _: tff.plots.calibration(_uniforms(), columns=["right", "too low", "too wide"]),
    "calibration_of_ranks": lambda _: tff.plots.calibration(np.random.default_rng(0).integers(0, 20, 400), draws=19),
}


def _distance(figure: Figure, name: str, folder: pathlib.Path) -> float:
    """Root mean square difference to the stored picture; infinite for another size."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=DPI)
    with Image.open(BASELINES / f"{name}.png") as stored, Image.open(path) as drawn:
        if stored.size != drawn.size:
            return np.inf
    result = compare_images(str(BASELINES / f"{name}.png"), str(path), tol=0.0, in_decorator=True)
    return result["rms"] if result else 0.0


@pytest.mark.skipif(not matplotlib.__version__.startswith(DRAWN_BY), reason=f"stored by Matplotlib {DRAWN_BY}x")
@pytest.mark.parametrize("name", FIGURES)
def test_figure_looks_as_stored(name, tmp_path):
    assert _distance(FIGURES[name](tmp_path), name, tmp_path) < TOLERANCE


def test_the_tolerance_tells_one_flow_from_another(tmp_path):
    figure = tff.plots.density(_flow(seed=1), limits=MOONS.limits, resolution=100)
    assert _distance(figure, "density", tmp_path) > TOLERANCE


@pytest.mark.parametrize("resolution", [50, 97])
def test_the_integral_of_a_density_is_one_and_its_cells_are_squares(resolution):
    figure = tff.plots.density(_flow(), limits=((-30, 30), (-6, 9)), resolution=resolution)
    assert figure.axes[0].get_title().endswith("twice this frame is 1.00")
    rows, columns = figure.axes[0].images[0].get_array().shape
    assert columns / rows == pytest.approx(4.0, rel=0.05)
    assert rows * columns == pytest.approx(resolution**2, rel=0.05)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("limits", [((-3000, 1), (-3, 3)), ((-8, -1), (-3, -1))])
def test_a_density_that_is_almost_nowhere_is_drawn(limits):
    flow = make_small("maf", 2, support={0: (0, None)})
    image = tff.plots.density(flow, limits=limits, resolution=60).axes[0].images[0]
    found = image.get_array()[np.isfinite(image.get_array())]
    assert not found.size or found.max() >= image.get_clim()[1] >= image.get_clim()[0] + 6.0 - 1e-6
    tff.plots.gap_map(flow, MOONS, limits=limits, resolution=60)


def test_film_goes_from_latent_to_data(tmp_path):
    path = tmp_path / "film.gif"
    flow = _flow()
    tff.plots.animate_flow(flow, path, n=300, frames=20, seed=3)
    with Image.open(path) as film:
        assert film.is_animated
        assert 14 <= film.n_frames <= 20  # Pillow joins pictures that are the same, at the ends
    from tfp_flows.plots.layers import latent_draws, path_of

    latent = latent_draws(flow, 300, seed=3)
    stages = path_of(flow, latent)
    assert len(stages) == 1 + 3 + sum("batch_norm" in layer.name for layer in flow.layers)
    np.testing.assert_allclose(stages[-1], flow.bijector.forward(latent), rtol=1e-5, atol=1e-5)
    loc, scale = flow.layers[0].loc.numpy(), flow.layers[0].scale.numpy()
    names = [layer.name for layer in flow.layers if "permute" in layer.name]
    order = [0, 1] if len(names) % 2 == 0 else [1, 0]  # reversed between layers: an odd number swaps the columns
    np.testing.assert_allclose(stages[0], loc + scale * latent[:, order], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda flow, folder: tff.plots.animate_flow(flow, folder / "film.avi"), "path must end in .gif or .mp4"),
        (lambda flow, folder: tff.plots.animate_flow(flow, folder / "mine.gif"), "exists"),
        (lambda _, folder: tff.plots.animate_flow(make_small("mlp", 1), folder / "new.gif"), "got event_size=1"),
        (lambda *_: tff.plots.layers(make_small("mlp", 1)), "got event_size=1"),
        (lambda *_: tff.plots.density(make_small("maf", 3), limits=((0, 1), (0, 1))), "got 3"),
        (lambda *_: tff.plots.grid_warp(make_small("maf", 3)), "got 3"),
        (lambda *_: tff.plots.gap_map(make_small("maf", 3), MOONS), "got 3"),
    ],
)
def test_bad_input_is_one_sentence(draw, message, tmp_path):
    (tmp_path / "mine.gif").write_text("mine")
    with pytest.raises(tff.InputError, match=message):
        draw(_flow(), tmp_path)
    assert (tmp_path / "mine.gif").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_mp4_without_ffmpeg_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(tff.InputError, match="needs ffmpeg"):
        tff.plots.animate_flow(_flow(), tmp_path / "film.mp4")


if __name__ == "__main__":
    import tempfile

    BASELINES.mkdir(exist_ok=True)
    for figure_name, draw_figure in FIGURES.items():
        with tempfile.TemporaryDirectory() as name:
            draw_figure(pathlib.Path(name)).savefig(BASELINES / f"{figure_name}.png", dpi=DPI)
