"""Corners and images: what they count, which columns and contexts they show, and what they refuse."""

import re

import numpy as np
import pytest
from conftest import make_small
from matplotlib.figure import Figure

import tfp_flows as tff
from tfp_flows.plots.mass import levels_of, mass_of, side_of, spread
from tfp_flows.run_source import RunRows
from tfp_flows.runs import _figures


def conditional(event_size: int = 3) -> "tff.Flow":
    flow = make_small("maf", event_size, context_size=2)
    flow.columns, flow.context_columns = ("a", "b", "c")[:event_size], ("age", "size")
    return flow


X, C = np.random.default_rng(0).normal(size=[60, 3]), np.random.default_rng(1).normal(size=[60, 2])
BAD_PAIR = r"limits must be \(low, high\), finite and in order"


# Mass.


def test_areas_hold_the_shares_that_they_say(rng):
    """Of a Gaussian, whose areas are known: discs of radius sqrt(-2 log(1 - share))."""
    flow, x = make_small("maf", 2), rng.normal(size=[100_000, 2])
    sides = tuple(side_of(flow, k, x[:, k], (-5.0, 5.0), len(x)) for k in range(2))
    mass = mass_of(x, sides, tuple(spread(side, x[:, k], len(x)) for k, side in enumerate(sides)))
    assert mass.sum() == pytest.approx(1.0, abs=1e-4)
    for share, level in zip((0.9, 0.5), levels_of(mass, (0.9, 0.5)), strict=True):
        area = (mass > level).sum() * 0.1**2
        assert area == pytest.approx(-2 * np.pi * np.log(1 - share), rel=0.05)
        assert mass[mass > level].sum() == pytest.approx(share, abs=0.01)
    assert levels_of(mass / 2, (0.9,)) == [0.0]


def test_smoothing_loses_no_mass_at_ends_and_goes_round_circles():
    flow = make_small("nsf", 3, support={0: (0, 1)}, circular={1: 24.0}, dequantize=[2])
    values = np.random.default_rng(0).random([500, 3]) * [1, 24, 6]
    bounded, circular, whole = (side_of(flow, k, values[:, k], None, 500) for k in range(3))
    assert (bounded.frame, circular.frame, whole.frame) == ((0.0, 1.0), (0.0, 24.0), (-0.5, 6.5))
    np.testing.assert_array_equal(whole.bins, np.arange(8) - 0.5)
    for side, k in ((bounded, 0), (circular, 1), (whole, 2)):
        matrix = spread(side, values[:, k], 500)
        np.testing.assert_allclose(matrix.sum(axis=0), 1.0)
    ends = spread(circular, values[:, 1], 500)[-1, 0], spread(bounded, values[:, 0], 500)[-1, 0]
    assert ends[0] > 0.01 > ends[1]
    np.testing.assert_array_equal(spread(whole, values[:, 2], 500), np.eye(7))


def test_frames_begin_at_a_support_that_is_near_and_leave_far_rows_out():
    flow = make_small("maf", 1, support={0: (0, None)})
    near, far = np.random.default_rng(0).exponential(size=[2, 2000])
    far = far + 1000
    assert side_of(flow, 0, near, None, 2000).frame[0] == 0.0
    assert side_of(flow, 0, far, None, 2000).frame[0] > 990
    _, high = side_of(flow, 0, np.append(near, 1e6), None, 2000).frame
    assert high < 15
    whole = make_small("maf", 1, dequantize=[0])
    counts = np.random.default_rng(0).integers(0, 1000, 500).astype(float)
    side = side_of(whole, 0, counts, None, 500)
    assert len(side.bins) <= 62
    assert not side.steps
    assert (np.diff(side.bins) == 17).all()
    hours = make_small("nsf", 1, dequantize=[0], circular={0: 24.0})
    np.testing.assert_array_equal(side_of(hours, 0, np.arange(24.0), None, 24).bins, np.arange(25) - 0.5)
    assert side_of(whole, 0, np.zeros(5), (0.2, 0.8), 5).steps  # no whole number inside: the next one


# The figure.


def test_histograms_and_labels_are_those_of_the_rows(rng):
    flow = make_small("maf", 3, dequantize=[1])
    flow.columns = ("length", "count", "speed")
    x = np.stack([rng.normal(size=400), rng.integers(0, 4, 400), rng.normal(size=400)], axis=1)
    figure = tff.plots.corner(flow, x, columns=["count", 2], n=100)
    first, joint, second = figure.axes
    stairs = first.patches[0].get_data()
    np.testing.assert_array_equal(stairs.edges, np.arange(len(stairs.edges)) - 0.5)
    np.testing.assert_allclose(stairs.values[:4], np.bincount(x[:, 1].astype(int)) / 400)
    assert (joint.get_xlabel(), joint.get_ylabel(), second.get_xlabel()) == ("count", "speed", "speed")
    assert joint.get_xlim() == first.get_xlim()
    assert joint.get_ylim() == second.get_xlim()
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "columns count and speed of 3"
    assert [text.get_text() for text in legend.get_texts()][:2] == ["400 rows of data", "100 samples of maf"]


def test_columns_of_rows_in_another_order_are_matched():
    flow = make_small("maf", 2)
    flow.columns = ("a", "b")
    table = {"b": np.zeros(50) + np.arange(50) / 1e3, "a": 7 + np.arange(50) / 1e3}
    first, _, last = tff.plots.corner(flow, table, n=50).axes
    assert 6 < first.get_xlim()[0] < 7 < first.get_xlim()[1]
    assert last.get_xlim()[1] < 1


def test_limits_of_some_and_of_all_columns():
    flow = conditional()
    for limits in ({"b": (-1, 2)}, {1: (-1, 2)}):
        axes = tff.plots.corner(flow, X, context=C, limits=limits).axes
        assert axes[2].get_xlim() == (-1.0, 2.0)
        assert axes[0].get_xlim() != (-1.0, 2.0)
    axes = tff.plots.corner(flow, context=C[0], n=50, columns=[2, 0], limits=[(-1, 1), (-2, 2)]).axes
    assert [axes[0].get_xlim(), axes[2].get_xlim()] == [(-1.0, 1.0), (-2.0, 2.0)]


def test_samples_are_drawn_at_one_context_or_at_that_of_each_row(monkeypatch):
    flow, asked = conditional(), []
    draw = type(flow).sample_in_float64
    monkeypatch.setattr(
        type(flow), "sample_in_float64", lambda *args, **more: asked.append((args[1], more)) or draw(*args, **more)
    )
    for context in (C[0], C[:1], {"size": C[0, 1], "age": C[0, 0]}):
        figure = tff.plots.corner(flow, X, context=context, n=70)
        assert asked[-1][0] == 70
        np.testing.assert_array_equal(asked[-1][1]["context"], C[0])
        at = f"samples at age = {C[0, 0]:.4g}, size = {C[0, 1]:.4g}"
        assert figure.legends[0].get_title().get_text() == at
    for x in (X, None):
        figure = tff.plots.corner(flow, x, context=C)
        np.testing.assert_array_equal(asked[-1][1]["context"], C)
        assert "60 samples of maf" in [text.get_text() for text in figure.legends[0].get_texts()]
    tff.plots.samples(flow, X, context=C[0], columns=("a", 2))
    assert asked[-1][0] == 60
    figure = tff.plots.samples(flow, X, context=C, columns=("c", 0))
    assert asked[-1][0] == ()
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), X[:, [2, 0]])
    assert figure.axes[1].get_xlabel() == "c"


def test_a_column_that_is_constant_and_one_row_are_drawn():
    flow = make_small("maf", 2)
    assert len(tff.plots.corner(flow, np.zeros([30, 2]), n=20).axes) == 3
    assert len(tff.plots.corner(flow, np.zeros([1, 2]), n=1).axes) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": range(11)}, r"columns must be at most 10 of the 12, as in columns=\[0, 1, 2\].* which is 11"),
        ({}, "columns must be at most 10 of the 12, .* got None, which is 12"),
        ({"columns": [0, 12]}, "columns must be a list of different columns, by number from 0 to 11; got"),
        ({"columns": [0, 0]}, "different columns"),
        ({"columns": []}, "different columns"),
        ({"columns": ["height"]}, "different columns"),
        ({"columns": [0, 1], "limits": [(0, 1)]}, BAD_PAIR),
        ({"columns": [0, 1], "limits": {0: (1, 0)}}, BAD_PAIR),
        ({"columns": [0, 1], "limits": {5: (0, 1)}}, BAD_PAIR),
        ({"columns": [0, 1], "limits": 7}, BAD_PAIR),
        ({"columns": [0, 1], "n": 0}, "n must be an integer of at least 1; got 0"),
        ({"columns": [0, 1], "seed": -1}, "seed must be an integer"),
        ({"columns": [0, 1], "x": X}, "x has 3 columns; expected 12"),
        ({"columns": [0, 1], "context": C}, "context was given, but maf was built without"),
    ],
)
def test_what_a_corner_cannot_show_is_refused(options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.plots.corner(make_small("maf", 12), **options)


@pytest.mark.parametrize(
    ("context", "options", "message"),
    [
        (None, {}, "context must be a row of 2 columns, age, size, as maf is conditional"),
        (C[:7], {"x": X}, r"context must be one row \[C\], or a row for each of the 60 rows of x; got shape \[7, 2\]"),
        (C[None], {}, r"context must be one row \[C\], or rows \[N, C\]; got shape \[1, 60, 2\]"),
        (C[:0], {}, "context must have at least one row; got none"),
        (C[0, :1], {}, "the last dimension of context must be 2"),
        ([0.0, np.inf], {}, "context must be finite numbers; got inf"),
        ({"age": 1.0, "width": 2.0}, {}, "context has no column 'size'"),
        (C, {"n": 5}, "n must be left out beside rows of context, each of which has a sample; got 5"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(context, options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.plots.corner(conditional(), context=context, **options)


# The other figures at a context.


def planes(folder) -> dict:
    box = ((-3, 3), (-3, 3))
    return {
        "density": lambda flow, context: tff.plots.density(flow, limits=box, resolution=20, context=context),
        "integral": lambda flow, context: tff.plots.integral(flow, box, 20, context=context),
        "grid_warp": lambda flow, context: tff.plots.grid_warp(flow, resolution=20, context=context),
        "layers": lambda flow, context: tff.plots.layers(flow, n=30, context=context),
        "film": lambda flow, context: tff.plots.animate_flow(flow, folder / "a.gif", n=30, frames=3, context=context),
    }


@pytest.mark.parametrize("name", ["density", "integral", "grid_warp", "layers", "film"])
def test_a_plane_is_drawn_at_one_context(name, tmp_path):
    draw, flow = planes(tmp_path)[name], conditional(2)
    for context, message in [
        (None, "context must be a row of 2 columns, age, size, as maf is conditional"),
        (C, r"context must be one row of 2 columns, at which the figure is drawn; got shape \[60, 2\]"),
        ([1.0], "the last dimension of context must be 2"),
        ([1.0, np.nan], "context must be finite numbers; got nan"),
    ]:
        with pytest.raises(tff.InputError, match=message):
            draw(flow, context)
    with pytest.raises(tff.InputError, match="context was given, but maf was built without"):
        draw(make_small("maf", 2), C[0])
    if name == "integral":
        assert draw(flow, C[0]) == draw(flow, {"size": C[0, 1], "age": C[0, 0]})
    else:
        titles = " ".join(axis.get_title() for axis in draw(flow, C[0]).axes)
        assert f"age = {C[0, 0]:.4g}, size = {C[0, 1]:.4g}" in titles


def test_a_density_at_a_context_is_that_of_the_flow():
    flow = conditional(2)
    image = tff.plots.density(flow, limits=((-1, 1), (-1, 1)), resolution=2, context=C[3]).axes[0].images[0]
    x = [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]
    expected = flow.log_prob(x, context=C[3:4])
    np.testing.assert_allclose(image.get_array().T.ravel(), expected, rtol=1e-4)
    assert tff.plots.integral(flow, ((-20, 20), (-20, 20)), 400, context=C[3]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("context", [C[0], C[1]])
def test_a_path_at_a_context_ends_at_the_data(context):
    from tfp_flows.plots.layers import latent_draws, path_of

    inner = conditional(3)
    outer = tff.Flow(make_small("maf", 3, context_size=2).layers, event_size=3, context_size=2, base=inner)
    for flow in (inner, outer):
        latent = latent_draws(flow, 40, 0, context)
        stages = path_of(flow, latent, [2, 0], context)
        np.testing.assert_allclose(stages[-1], flow.decode(latent, context=context).numpy()[:, [2, 0]], rtol=1e-5)


def test_log_prob_of_rows_takes_a_context_by_names():
    flow = conditional()
    named = tff.plots.log_prob_of(flow, X, context={"size": 1.0, "age": 0.5})
    np.testing.assert_allclose(named, flow.log_prob(X, context=[[0.5, 1.0]]), rtol=1e-4)


def test_a_gap_to_a_law_is_of_flows_without_context():
    with pytest.raises(tff.InputError, match="without context, as the law of two_moons has none; got maf with context"):
        tff.plots.gap_map(conditional(2), tff.datasets.two_moons())


def test_titles_of_many_columns_are_short():
    flow = make_small("maf", 5, context_size=6)
    title = tff.plots.corner(flow, context=np.arange(6.0), n=20).legends[0].get_title().get_text()
    assert title == "samples at c = (0, 1, 2, … 3 more)"
    flow.context_columns = ["an uncommonly long name", *"bcdef"]
    title = tff.plots.corner(flow, context=np.arange(6.0), n=20).legends[0].get_title().get_text()
    assert title == "samples at an uncommonly l… = 0, b = 1, c = 2, … 3 more"


# No figure shows two columns of many in silence.


def test_two_of_many_columns_are_asked_for(tmp_path):
    flow = make_small("maf", 3)
    draws = {
        "samples": lambda **more: tff.plots.samples(flow, X, **more),
        "layers": lambda **more: tff.plots.layers(flow, n=30, **more),
        "film": lambda **more: tff.plots.animate_flow(flow, tmp_path / "a.gif", n=30, frames=3, **more),
    }
    for draw in draws.values():
        with pytest.raises(tff.InputError, match=r"columns must say which two of the 3 .*tff\.plots\.corner"):
            draw()
        for columns in ([0], [0, 1, 2]):
            with pytest.raises(
                tff.InputError, match=f"columns must be two, for the two axes; got {re.escape(str(columns))}"
            ):
                draw(columns=columns)
        axis = draw(columns=[2, 0]).axes[-1]
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("x[2]", "x[0]")
    with pytest.raises(tff.InputError, match=r"needs event_size=2; got 3; tff\.plots\.corner shows more"):
        tff.plots.density(flow, limits=((0, 1), (0, 1)))


@pytest.mark.parametrize("event_size", [3, 9])
def test_a_run_of_many_columns_has_a_corner(event_size, tmp_path):
    flow, history = make_small("maf", event_size), {"nll": [1.0], "val_nll": [1.0]}
    rows = RunRows(np.random.default_rng(0).normal(size=[100, event_size]))
    figures = _figures(flow, None, rows, history, True)
    assert {*figures} == {"corner.png", "loss.png", "layers.png", "flow.gif"}
    with pytest.MonkeyPatch.context() as patch:
        drawn = []
        patch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
        figures["corner.png"](tmp_path)
        figures["layers.png"](tmp_path)
    assert len(drawn[0].axes) == {3: 6, 9: 36}[event_size]
    assert drawn[0].legends[0].get_title().get_text() == {3: "", 9: "8 of 9 columns"}[event_size]
    assert drawn[1].axes[-1].get_title() == f"data, columns x[0] and x[1] of {event_size}"


def test_a_conditional_run_of_many_columns_has_a_corner(tmp_path):
    figures = _figures(conditional(), None, RunRows(X, C), {}, True)
    assert {*figures} == {"corner.png"}
    figures["corner.png"](tmp_path / "corner.png")
    assert (tmp_path / "corner.png").exists()


# Histories.


def test_a_history_of_several_losses_needs_a_word():
    history = {"elbo": [1.0], "val_elbo": [2.0], "error": [3.0], "val_error": [4.0]}
    with pytest.raises(tff.InputError, match="loss must say which to draw, as the history has elbo, error; got None"):
        tff.plots.loss_curve(history)
    with pytest.raises(tff.InputError, match=r"loss must be a name in the history, which has elbo, .*; got 'nll'"):
        tff.plots.loss_curve(history, loss="nll")
    axis = tff.plots.loss_curve(history, loss="error", entropy=2.5).axes[0]
    assert axis.get_ylabel() == "error"
    assert [line.get_ydata()[0] for line in axis.lines] == [3.0, 4.0, 2.5]
    lone = tff.plots.loss_curve({"mean_error": [3.0]}, loss="mean_error").axes[0]
    assert lone.get_ylabel() == "mean error"


# Images.


def shown(figure) -> np.ndarray:
    return figure.axes[0].images[0].get_array()


def test_images_are_where_they_belong():
    x = np.arange(24.0).reshape(6, 2, 2)
    for rows in (x, x.reshape(6, 4), x.astype("int64"), tuple(x)):
        page = shown(tff.plots.images(rows, (2, 2), columns=4))
        assert page.shape == (2 * 3 + 1, 4 * 3 + 1, 3)  # pixels between them too
        np.testing.assert_allclose(page[1:3, 1:3, 0], x[0] / 23)
        np.testing.assert_allclose(page[4:6, 4:6, 1], x[5] / 23)
        assert (page[4:, 7:] == 1.0).all()
    groups = {"data": x[:3], "samples": x[3:4]}
    figure = tff.plots.images(groups, (2, 2), columns=2, limits=(0, 10))
    np.testing.assert_allclose(shown(figure)[4:6, 1:3, 0], (x[2] / 10).clip(0, 1))
    np.testing.assert_allclose(shown(figure)[7:9, 1:3, 0], (x[3] / 10).clip(0, 1))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["data", "samples"]


def test_images_have_colours_and_titles():
    x = np.random.default_rng(0).random([4, 2, 2, 3])
    for rows, shape in ((x, (2, 2)), (x, (2, 2, 3)), (x.reshape(4, 12), (2, 2, 3))):
        np.testing.assert_allclose(shown(tff.plots.images(rows, shape, limits=(0, 1)))[1:3, 1:3], x[0])
    figure = tff.plots.images(x, (2, 2), titles=["a", "b", 3, "$"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b", "3", r"\$"]
    assert np.isfinite(shown(tff.plots.images(np.zeros([2, 2, 2]), (2, 2)))).all()


@pytest.mark.parametrize(
    ("rows", "shape", "options", "message"),
    [
        (
            np.zeros([3, 5]),
            (2, 2),
            {},
            r"rows must be images, \[N, 4\] or \[N, 2, 2\] or \[N, 2, 2, 3\]; got shape \[3, 5\]",
        ),
        ({"a": np.zeros([3, 5])}, (2, 2), {}, r"rows\['a'\] must be images"),
        (np.zeros([1001, 4]), (2, 2), {}, r"rows must be from 1 to 1,000 images, as in rows\[:100\]; got 1,001"),
        (np.zeros([0, 4]), (2, 2), {}, "got 0"),
        ({}, (2, 2), {}, "got 0"),
        ("ab", (2, 2), {}, "rows must be an array of numbers; got 'ab'"),
        (np.full([3, 4], np.nan), (2, 2), {}, "rows must be finite numbers; image 1 has others"),
        (np.ma.masked_array(np.zeros([3, 4]), np.eye(3, 4)), (2, 2), {}, "rows has 3 masked values"),
        (np.zeros([3, 4]), 4, {}, r"shape must be \(H, W\), or \(H, W, 3\) for colours; got 4"),
        (np.zeros([3, 4]), (2, 2, 4), {}, r"shape must be \(H, W\)"),
        (np.zeros([3, 4]), (2.5, 2), {}, "shape must be an integer of at least 1; got 2.5"),
        (np.zeros([3, 4]), (2, 2), {"columns": 0}, "columns must be an integer of at least 1; got 0"),
        (np.zeros([3, 4]), (2, 2), {"limits": (1, 1)}, r"limits must be \(black, white\), .* got \(1, 1\)"),
        (np.zeros([3, 4]), (2, 2), {"titles": ["a"]}, r"titles must be a list of 3 texts, .* got \['a'\]"),
        ({"a": np.zeros([3, 4])}, (2, 2), {"titles": ["a"]}, "titles must be left out beside groups"),
    ],
)
def test_what_is_no_image_is_refused(rows, shape, options, message):
    with pytest.raises(tff.InputError, match=message):
        tff.plots.images(rows, shape, **options)
