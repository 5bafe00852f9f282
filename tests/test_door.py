"""What users hand to a flow, to its figures and to its tables: right, or refused in one sentence."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, make_small

import tfp_flows as tff

RNG = np.random.default_rng(0)
X, C = RNG.normal(size=(20, 2)), RNG.normal(size=(20, 1))
MASK = np.zeros([20, 2], bool)
MASK[3, 1] = True
MASKED, MASKED_CONTEXT = np.ma.masked_array(X, MASK), np.ma.masked_array(C, MASK[:, 1:])


@pytest.fixture(scope="module")
def flow():
    return tff.maf(2, seed=0, **SMALL["maf"])


@pytest.fixture(scope="module")
def conditional():
    return tff.maf(2, context_size=1, seed=0, num_layers=2, hidden_units=(8,))


@pytest.fixture(scope="module")
def line():
    return tff.maf(1, seed=0, num_layers=1, hidden_units=(8,))


def refused(message: str, function, *args, **kwargs):
    with pytest.raises(tff.InputError, match=message) as caught:
        function(*args, **kwargs)
    assert str(caught.value).count("\n") == 0


# Masks.


@pytest.mark.parametrize(
    "call",
    [
        *["log_prob", "prob", "encode", "decode", "standardize", "set_batch_norm", "log_prob_of", "samples"],
        *["limits_of", "rows of a list", "judge_columns", "write_rows", "fit", "FlowModel", "predict", "FlowLayer"],
    ],
)
def test_what_a_mask_hides_is_not_uncovered(call, flow, tmp_path):
    def of_list(x):
        return flow.log_prob(list(x))

    calls = {
        **{name: getattr(flow, name) for name in ("log_prob", "prob", "encode", "decode")},
        **{"standardize": flow.standardize, "set_batch_norm": flow.set_batch_norm, "rows of a list": of_list},
        "log_prob_of": lambda x: tff.plots.log_prob_of(flow, x),
        "samples": lambda x: tff.plots.samples(flow, x),
        "limits_of": tff.plots.limits_of,
        "judge_columns": tff.datasets.judge_columns,
        "write_rows": lambda x: tff.datasets.write_rows(tmp_path / "x.csv", x),
        "fit": lambda x: tff.fit(flow, x, epochs=1, verbose=False),
        **{"FlowModel": tff.FlowModel(flow), "predict": tff.FlowModel(flow).predict, "FlowLayer": tff.FlowLayer(flow)},
    }
    refused("mask|row 4, column 2", calls[call], MASKED)


def test_a_mask_that_hides_nothing_is_none(flow):
    np.testing.assert_array_equal(flow.log_prob(np.ma.masked_array(X)), flow.log_prob(X))


def test_masks_of_contexts_probabilities_and_lists(flow, conditional, line):
    for call in (conditional.log_prob, conditional.encode, conditional.decode):
        refused("context has 1 masked value", call, X, context=MASKED_CONTEXT)
    refused("context has 1 masked value", conditional.sample, context=MASKED_CONTEXT)
    refused("context", conditional.standardize, X, context=MASKED_CONTEXT)
    refused("context has 1 masked value", tff.plots.log_prob_of, conditional, X, context=MASKED_CONTEXT)
    refused("x has 1 masked value", line.cdf, MASKED[:, 1:])
    refused("value has 1 masked value", line.quantile, np.ma.masked_array([0.1, 0.2], [True, False]))
    refused("row 4, column 2", tff.datasets.as_rows, list(MASKED))
    weight = np.ma.masked_array(np.ones(20), MASK[:, 1])
    for call in (tff.FlowModel(flow).evaluate, tff.FlowModel(flow).train_on_batch):
        refused("sample_weight has 1 masked value", call, X, sample_weight=weight)


# Statistics.


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.where(MASK, np.nan, X), "row 4, column 2 is nan"),
        (np.where(MASK, np.inf, X), "row 4, column 2 is inf"),
        (np.zeros([0, 2]), "no data"),
        (X[0], "1 column; expected 2"),
        (X[None], r"shape \[1, 20, 2\]"),
        (X[:, :1], "1 column; expected 2"),
        ("x", "x is a str"),
    ],
)
def test_rows_of_statistics_are_checked(flow, x, message):
    for call in (flow.standardize, flow.set_batch_norm):
        before = [v.numpy() for v in flow.variables]
        refused(message, call, x)
        for v, value in zip(flow.variables, before, strict=True):
            np.testing.assert_array_equal(v, value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(20), "at least 0, and not all 0; got a minimum of -1"),
        (np.zeros(20), "at least 0, and not all 0"),
        (np.ones(19), "for each of the 20 rows of x; got 19"),
        (np.full(20, np.nan), "nan"),
        (np.ones([20, 2]), "2 columns; expected 1"),
    ],
)
def test_weights_of_statistics_are_checked(flow, weights, message):
    refused(f"weights.*{message}", flow.standardize, X, weights)


@pytest.mark.parametrize("call", ["standardize", "set_batch_norm"])
def test_contexts_of_statistics_are_checked(flow, conditional, call):
    refused("this flow was built without", getattr(flow, call), X, context=C)
    refused("context must have a row for each of the 20 rows", getattr(conditional, call), X, context=C[:7])
    refused("context has 2 columns; expected 1", getattr(conditional, call), X, context=X)
    refused("context: 20 values are missing or nan", getattr(conditional, call), X, context=C * np.nan)


def test_weights_of_statistics_may_be_of_any_size(line):
    for size in (1e-300, 1e300):
        line.standardize([[0.0], [1.0], [5.0]], weights=size * np.array([1.0, 1.0, 0.0]))
        assert line.layers[0].loc.numpy() == 0.5


# Chance in pieces.


def test_training_in_pieces_draws_no_noise_twice():
    options = {"num_layers": 1, "hidden_units": (4,), "seed": 0}
    whole = tff.maf(2, dequantize=[0], **options)
    x = np.array([[1.0, 0.5], [2.0, 0.1]])
    refused("noise of columns in dequantize", whole.log_prob, x, training=True, batch_size=1)
    assert whole.log_prob(x, batch_size=1).shape == whole.log_prob(x, training=True).shape
    dropout = tf.keras.Sequential([tf.keras.Input([1]), tf.keras.layers.Dense(2), tf.keras.layers.Dropout(0.5)])
    base = tff.maf(2, context_size=1, context_network=dropout, **options)
    above = tff.maf(2, context_size=1, base=base, **options)
    refused("the context_network", above.log_prob, X, context=C, training=True, batch_size=5)


# Sentences.


@pytest.mark.parametrize("value", [None, [2.0], [-0.1], [np.nan], "a", [[0.1], [0.2, 0.3]]])
def test_quantiles_are_of_probabilities(line, value):
    refused("value must be probabilities, numbers from 0 to 1; got", line.quantile, value)


def test_latents_go_by_their_own_name(flow, conditional):
    refused("the last dimension of u must be 2", flow.decode, np.ones([5, 3]))
    refused("as many rows as u has, or one", conditional.decode, X, context=C[:7])
    assert conditional.decode(X, context=C[:1]).shape == (20, 2)


def test_numbers_of_more_digits_are_taken(flow):
    np.testing.assert_array_equal(flow.log_prob(X.astype(np.longdouble)), flow.log_prob(X))


@pytest.mark.parametrize("path", [3, None, ["a"]])
def test_paths_are_paths(flow, path):
    refused("folder must be a path, a text", flow.save, path)
    refused("folder must be a path, a text", flow.export, path)
    refused("folder must be a path, a text", tff.load, path)
    refused("file must be a path, a text", tff.datasets.mesh, path)
    refused("path must be a path, a text", tff.plots.animate_flow, flow, path)


NO_LIMITS = [((0, np.nan), (0, 1)), ((1, 0), (0, 1)), ((0, 0), (0, 1)), 5, "ab", ((0, 1),)]


@pytest.mark.parametrize("limits", NO_LIMITS)
def test_limits_are_a_frame(flow, limits, tmp_path):
    plots = tff.plots
    refused("limits must be", plots.density, flow, limits=limits)
    refused("limits must be", plots.integral, flow, limits=limits)
    refused("limits must be", plots.gap_map, flow, tff.datasets.banana(), limits=limits)
    refused("limits must be", plots.samples, flow, X, limits=limits)
    refused("limits must be", plots.layers, flow, limits=limits)
    refused("limits must be", plots.grid_warp, flow, limits=limits)
    refused("limits must be", plots.animate_flow, flow, tmp_path / "a.gif", limits=limits)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones([5, 3]), "x has 3 columns; expected 2"),
        (np.where(MASK, np.nan, X), "row 4, column 2 is nan"),
        (None, "x is None"),
        ([], "no data"),
    ],
)
def test_rows_of_figures_are_the_flows(flow, x, message):
    refused(message, tff.plots.samples, flow, x)
    if np.ndim(x) < 2 or np.shape(x)[1] == 2:
        refused(message, tff.plots.limits_of, x)


def test_one_row_has_a_figure(flow, line):
    assert len(tff.plots.samples(flow, X[:1]).axes) == 2
    assert len(tff.plots.samples(line, X[:1, :1]).axes) == 2
    (left, right), (low, high) = tff.plots.limits_of(X[:1])
    assert left < X[0, 0] < right
    assert low < X[0, 1] < high


def test_densities_of_figures_take_one_context_for_all(conditional, flow):
    once = tff.plots.log_prob_of(conditional, X, context=[0.5])
    np.testing.assert_allclose(once, conditional.log_prob(X, context=np.full([20, 1], 0.5)), rtol=1e-4)
    refused("the last dimension of context must be 1", tff.plots.log_prob_of, conditional, X, context=[1.0, 2.0])
    refused("context must have as many rows", tff.plots.log_prob_of, conditional, X, context=C[:7])
    refused("built without", tff.plots.log_prob_of, flow, X, context=C)
    refused(r"x must be rows \[N, 2\]", tff.plots.log_prob_of, flow, X[0])
    refused("x must be real numbers; got string", tff.plots.log_prob_of, flow, "a")


@pytest.mark.parametrize("history", [{}, None, {"nll": []}, {"foo": [1.0]}, {"nll": [np.nan]}, {"nll": "ab"}])
def test_a_history_has_losses(history):
    refused("history must have a list of numbers", tff.plots.loss_curve, history)


def test_a_history_may_have_gaps():
    assert len(tff.plots.loss_curve({"nll": [np.nan, 1.0, 0.5], "val_nll": [np.inf, 1.0, 0.6]}).axes) == 1


def test_figures_have_sizes_a_flow_and_a_law(flow, tmp_path):
    for size in ("frames", "n", "fps"):
        refused(
            f"{size} must be an integer of at least 1", tff.plots.animate_flow, flow, tmp_path / "a.gif", **{size: 0}
        )
    refused("resolution must be an integer", tff.plots.density, flow, limits=((0, 1), (0, 1)), resolution=0)
    refused("law must be a dataset", tff.plots.gap_map, flow, None)
    for draw in (tff.plots.layers, tff.plots.grid_warp):
        refused("flow must be a tff.Flow; got a int", draw, 5)
    refused("flow must be a tff.Flow; got a NoneType", tff.plots.samples, None, X)


def test_columns_are_judged_of_any_table():
    assert tff.datasets.judge_columns([[1, 2], [3, 4]], columns=["a", "b"]) is not None
    refused("weight must have a number for each of the 20 rows", tff.datasets.column_warnings, X, weight=[1, 2])
    refused("weight must be at least 0", tff.datasets.check_trainable, X, weight=-np.ones(20))
    refused("columns must be a list of 2 names", tff.datasets.judge_columns, X, columns=["a"])
    refused("x is None", tff.datasets.judge_columns, None)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_headers_are_written_as_they_are_read(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    refused("header is 3; expected 2 names", tff.datasets.write_rows, path, X, header=3)
    refused("does not keep spaces", tff.datasets.write_rows, path, X, header=[" lead", "b"])
    assert not path.exists()
    tff.datasets.write_rows(tmp_path / "x.npz", X, header=[" lead", "b"])
    assert tff.datasets.read_table(tmp_path / "x.npz").columns == (" lead", "b")


def test_numbers_in_objects_are_numbers_and_text_is_none(rng):
    flow, x = make_small("nice", 2), rng.normal(size=(5, 2))
    np.testing.assert_array_equal(flow.log_prob(x.astype(object)), flow.log_prob(x))
    for cell in ("1", None, [1.0]):
        spoilt = x.astype(object)
        spoilt[0, 0] = cell
        with pytest.raises(tff.InputError, match="x must be an array of numbers"):
            flow.log_prob(spoilt)
