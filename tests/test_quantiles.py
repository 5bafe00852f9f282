"""Quantiles at many contexts, against laws that are known."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from conftest import make_small, scramble
from scipy import stats

import tfp_flows as tff
from tfp_flows import quantiles

tfb = tfp.bijectors
LEVELS = np.array([0.01, 0.25, 0.5, 0.9])
CONTEXT = np.array([[0.0, 0.0], [1.0, -1.0], [-2.0, 0.5]])
SLOPES = np.array([[1.0, -0.5], [0.3, 0.2]])  # of mean and log-scale, in the two columns of a context


class Moved(tfb.Bijector):
    """x = (1 + a) c[0] + exp(0.5 c[1]) u in the column of number a: mean and scale are those of the context."""

    keywords = ("conditional_input",)

    def __init__(self):
        super().__init__(forward_min_event_ndims=1, dtype=tf.float64, name="moved")

    def _parts(self, x, context):
        return context[..., :1] * tf.range(1.0, x.shape[-1] + 1.0, dtype=tf.float64), tf.exp(0.5 * context[..., 1:])

    def _forward(self, u, conditional_input):
        loc, scale = self._parts(u, conditional_input)
        return loc + scale * u

    def _inverse(self, x, conditional_input):
        loc, scale = self._parts(x, conditional_input)
        return (x - loc) / scale

    def _inverse_log_det_jacobian(self, x, conditional_input):
        return tf.cast(-0.5 * x.shape[-1] * conditional_input[..., 1], tf.float64)

    def _is_increasing(self, **_):
        return True


def moved(size, **options):
    return tff.Flow([Moved()], event_size=size, context_size=2, dtype="float64", **options)


def law_of(context, column=0):
    return stats.norm((1 + column) * context[..., 0], np.exp(0.5 * context[..., 1]))


def test_quantiles_of_one_dimension_are_exact():
    found = tff.conditional_quantiles(moved(1), CONTEXT, LEVELS)
    assert found.shape == (3, 4, 1)
    np.testing.assert_allclose(found[..., 0], law_of(CONTEXT[:, None]).ppf(LEVELS), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 2])
def test_shapes(size):
    flow = moved(size)
    one, many = CONTEXT[1], CONTEXT
    assert tff.conditional_quantiles(flow, many, 0.5).shape == (3, size)
    assert tff.conditional_quantiles(flow, many, [0.5]).shape == (3, 1, size)
    assert tff.conditional_quantiles(flow, one, 0.5).shape == (size,)
    assert tff.conditional_quantiles(flow, one, LEVELS).shape == (4, size)
    assert tff.conditional_quantiles(flow, one[None], LEVELS).shape == (1, 4, size)


def test_they_are_those_of_the_flow_and_grow_with_q():
    flow = scramble(make_small("nsf", 1, context_size=2))
    q = np.linspace(0.0, 1.0, 21)[1:-1]
    found = tff.conditional_quantiles(flow, CONTEXT, q)
    assert found.dtype == np.float32
    assert (np.diff(found[..., 0], axis=1) > 0).all()
    cdf = flow.cdf(found, context=CONTEXT[:, None])
    np.testing.assert_allclose(cdf, np.broadcast_to(q, cdf.shape), atol=1e-4)


def test_marginals_of_two_columns_are_near_their_laws():
    found = tff.conditional_quantiles(moved(2), CONTEXT, LEVELS, n=20_000)
    assert (np.diff(found, axis=1) > 0).all()
    for column in range(2):
        law = law_of(CONTEXT[:, None], column)
        error = np.sqrt(LEVELS * (1 - LEVELS) / 20_000) / law.pdf(law.ppf(LEVELS))
        assert (abs(found[..., column] - law.ppf(LEVELS)) < 4.5 * error).all()


def test_marginals_are_the_quantiles_of_samples():
    flow = scramble(make_small("maf", 2, context_size=2))
    found = tff.conditional_quantiles(flow, CONTEXT, [0.1, 0.5], n=20_000, seed=3)
    drawn = flow.sample(20_000, context=CONTEXT, seed=8).numpy()
    below = (drawn[:, :, None] < found).mean(axis=0)
    np.testing.assert_allclose(below, np.broadcast_to([[0.1], [0.5]], below.shape), atol=0.02)
    again = tff.conditional_quantiles(flow, CONTEXT, [0.1, 0.5], n=20_000, seed=3)
    np.testing.assert_array_equal(found, again)
    assert (found != tff.conditional_quantiles(flow, CONTEXT, [0.1, 0.5], n=20_000, seed=4)).all()


@pytest.mark.parametrize(("size", "seed"), [(1, 0), (2, 1)])
def test_blocks_give_what_one_call_gives(size, seed, monkeypatch, rng):
    flow, context = moved(size), rng.normal(size=(23, 2))
    whole = tff.conditional_quantiles(flow, context, LEVELS, n=600, seed=seed)
    monkeypatch.setattr(quantiles, "BLOCK", 5 * 600 * size if size > 1 else 5 * len(LEVELS))
    parts = tff.conditional_quantiles(flow, context, LEVELS, n=600, seed=seed)
    if size == 1:
        np.testing.assert_allclose(parts, whole, rtol=1e-12)
    else:  # other draws, of the same law
        error = np.sqrt(2 * 0.25 / 600) / stats.norm.pdf(0) * np.exp(0.5 * context[:, 1:])
        assert (abs(parts - whole)[:, 2] < 4.5 * error).all()
        assert (parts[0] != parts[5]).all()


def test_contexts_are_matched_by_name():
    flow = moved(1, context_columns=["place", "width"])
    table = pd.DataFrame(CONTEXT, columns=["place", "width"])
    expected = tff.conditional_quantiles(flow, CONTEXT, LEVELS)
    np.testing.assert_array_equal(tff.conditional_quantiles(flow, table[["width", "place"]], LEVELS), expected)
    np.testing.assert_array_equal(tff.conditional_quantiles(flow, table.iloc[1], LEVELS), expected[1])
    one = tff.conditional_quantiles(flow, {"width": -1.0, "place": 1.0}, LEVELS)
    np.testing.assert_array_equal(one, expected[1:2])
    with pytest.raises(tff.InputError, match=r"^context has no column 'width'"):
        tff.conditional_quantiles(flow, table.rename(columns={"width": "size"}), LEVELS)


def test_columns_are_chosen():
    flow = moved(2, columns=["a", "b"])
    both = tff.conditional_quantiles(flow, CONTEXT, LEVELS, n=600)
    np.testing.assert_array_equal(tff.conditional_quantiles(flow, CONTEXT, LEVELS, n=600, columns=["b"]), both[..., 1:])


@pytest.mark.parametrize("size", [1, 2])
def test_whole_numbers_are_the_least_that_reach_q(size):
    flow = moved(size, dequantize=[0])
    q = np.array([0.12, 0.5, 0.9])
    found = tff.conditional_quantiles(flow, [[3.5, 2.0]], q, n=20_000)[0, :, 0]
    law = law_of(np.array([3.5, 2.0]))  # of x + u
    assert (found == np.floor(found)).all()
    assert (law.cdf(found + 1) >= q - 0.01).all()
    assert (law.cdf(found) <= q + 0.01).all()
    assert found.tolist() == np.floor(law.ppf(q)).tolist()


@pytest.mark.parametrize("size", [1, 2])
def test_quantiles_are_within_the_ends(size):
    flow = scramble(make_small("maf", size, context_size=2, support={0: (0.0, 1.0)}))
    found = tff.conditional_quantiles(flow, CONTEXT, LEVELS, n=600)[..., 0]
    assert ((found > 0) & (found < 1)).all()


def test_circular_columns_are_refused_and_others_are_not():
    flow = make_small("nsf", 2, context_size=2, circular={1: 24.0})
    with pytest.raises(
        tff.InputError, match=r"^columns must be others than x\[1\]: a circular column has no quantiles"
    ):
        tff.conditional_quantiles(flow, CONTEXT, 0.5)
    assert tff.conditional_quantiles(flow, CONTEXT, 0.5, columns=[0]).shape == (3, 1)
    with pytest.raises(
        tff.InputError, match=r"^columns must be others than x\[0\]: a circular column has no quantiles"
    ):
        tff.conditional_quantiles(make_small("nsf", 1, context_size=2, circular={0: 24.0}), CONTEXT, 0.5)


@pytest.mark.parametrize(
    ("size", "given", "message"),
    [
        (1, {"q": 1.5}, r"^q must be probabilities, numbers from 0 to 1; got 1\.5\.$"),
        (1, {"q": [[0.5]]}, r"^q must be a probability, or a list of some; got shape \[1, 1\]\.$"),
        (1, {"q": []}, r"^q must be a probability, or a list of some; got shape \[0\]\.$"),
        (1, {"context": None}, r"^context must be rows of 2 columns, as flow is conditional; got none\.$"),
        (1, {"context": [[1.0]]}, r"^the last dimension of context must be 2; got shape \(1, 1\)\.$"),
        (1, {"context": np.zeros([0, 2])}, r"^context must be rows \[B, 2\] or one row \[2\]; got shape \[0, 2\]\.$"),
        (1, {"context": [[1.0, np.nan]]}, r"^context must be finite numbers; got nan\.$"),
        (2, {"q": [0.0, 0.5]}, r"^q must be above 0 and below 1, as quantiles of draws tell no ends; got 0\.$"),
        (2, {"q": 0.999}, r"^n must be at least 5000 for q = 0\.999, so that some draws are beyond; got 2000\.$"),
        (2, {"n": 0}, r"^n must be an integer of at least 1; got 0\.$"),
        (2, {"columns": ["x"]}, r"^columns must be a list of different columns"),
        (2, {"seed": "a"}, r"^seed must be an integer"),
    ],
)
def test_bad_arguments_are_one_sentence(size, given, message):
    with pytest.raises(tff.InputError, match=message):
        tff.conditional_quantiles(moved(size), **({"context": CONTEXT, "q": 0.5} | given))


def test_flows_without_context_and_others_are_refused():
    with pytest.raises(tff.InputError, match=r"^flow must be one with a context; maf was built without context_size"):
        tff.conditional_quantiles(make_small("maf", 1), CONTEXT, 0.5)
    with pytest.raises(tff.InputError, match=r"^flow must be a flow with a context; got 3\.$"):
        tff.conditional_quantiles(3, CONTEXT, 0.5)
