"""Columns without a density are named, and columns with one are left in peace."""

import numpy as np
import pytest

from tfp_flows import datasets
from tfp_flows.datasets import check_trainable, column_warnings, judge_columns
from tfp_flows.datasets.columns import context_warnings
from tfp_flows.errors import InputError

N = 4000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def kinds(rows, **options):
    """Column and kind of each finding; each is one sentence that says which column it means."""
    found = judge_columns(np.asarray(rows), **options)
    for finding in found:
        assert len(finding.sentence) <= 300
        assert "\n" not in finding.sentence
        assert finding.column is None or f"column {finding.column + 1} " in finding.sentence or "columns" in options
    return [(finding.column, finding.kind) for finding in found]


# What has a density.


@pytest.mark.parametrize(
    ("offset", "scale"),
    [(0, 1), (1.7e9, 1000), (1e8, 1), (3, 1e-9), (0, 1e-300), (0, 1e300), (-1e12, 1e3), (0, 1e30)],
)
def test_a_normal_column_is_left_in_peace_at_any_offset_and_scale(rng, offset, scale):
    assert kinds(offset + scale * rng.normal(size=(N, 2))) == []


@pytest.mark.parametrize("shape", [(2, 1), (3, 8), (5, 3), (9, 9), (30, 30), (300, 40)])
def test_few_rows_are_left_in_peace(rng, shape):
    assert kinds(rng.normal(size=shape)) == []


@pytest.mark.parametrize("name", datasets.names())
def test_the_datasets_are_left_in_peace(name):
    assert kinds(datasets.make(name).sample(N, seed=0)) == []


def honest(rng):
    normal = rng.normal(size=(N, 3))
    yield "float32", (1e30 * normal).astype(np.float32)
    yield "uniform float32", rng.random((N, 2)).astype(np.float32)
    yield "heavy tails", rng.standard_cauchy((N, 2))
    yield "prices with cents", np.round(np.exp(4 + normal), 2)
    yield "prices with cents, close together", np.round(10 + 0.6 * normal, 2)
    yield "prices in whole units", np.round(np.exp(11 + normal))
    yield "prices in one column", np.round(np.exp(4 + rng.normal(size=(10_000, 1))), 2)
    yield "two columns of cents, and many rows", np.round(rng.normal(size=(20_000, 2)) * 0.6, 2)
    yield "8 bits with noise", (rng.integers(0, 256, (N, 4)) + rng.random((N, 4))) / 256
    yield "correlated", np.stack([normal[:, 0], normal[:, 0] + 1e-3 * normal[:, 1]], axis=1)
    yield "nearly a function", np.stack([normal[:, 0], normal[:, 0] ** 2 + 1e-4 * normal[:, 1]], axis=1)
    yield (
        "nearly a function, float32",
        np.stack([normal[:, 0], normal[:, 0] ** 2 + 1e-4 * normal[:, 1]], 1).astype("f4"),
    )
    yield "a curve that crosses itself", np.stack([np.sin(2 * normal[:, 0]), np.sin(3 * normal[:, 0] + 1)], axis=1)
    yield "one far away", np.concatenate([normal, [[1e6, 0, 0]]])
    yield "whole numbers of a wide range", rng.integers(0, 10**6, (500, 2))


@pytest.mark.parametrize("i", range(15))
def test_honest_columns_are_left_in_peace(rng, i):
    name, rows = list(honest(rng))[i]
    assert kinds(rows) == [], name


@pytest.mark.parametrize("shape", [(1000, 3), (200, 2), (300, 1)])
def test_a_bootstrap_sample_is_warned_of_once(rng, shape):
    rows = rng.normal(size=shape)
    assert kinds(rows[rng.integers(0, len(rows), len(rows))]) == [(None, "rows")]
    assert kinds(np.repeat(rows, 2, axis=0)) == [(None, "rows")]
    assert kinds(np.repeat(rows.astype(np.float32), 2, axis=0)) == [(None, "rows")]


# What has none.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chance_is_not_taken_for_a_function(dtype, rng):
    """Strong correlation in few rows, many columns of few rows, and tails that own the spread."""
    for rows, noise in ((8, 0.05), (12, 0.05), (20, 0.01), (100, 1e-3), (300, 1e-4), (2500, 1e-4)):
        for _ in range(10):
            x = rng.normal(size=rows)
            table = np.stack([x, x + noise * rng.normal(size=rows)], axis=1)
            assert kinds(table.astype(dtype)) == [], (rows, noise)
    for _ in range(10):
        assert kinds(rng.normal(size=(8, 100)).astype(dtype)) == []
        assert kinds(np.exp(5 * rng.normal(size=(2000, 2))).astype(dtype)) == []
        x, noise = rng.normal(size=(2, 2000))
        assert kinds(np.stack([x, np.exp(3 * x) * (1 + 1e-3 * noise)], axis=1).astype(dtype)) == []


def dishonest(rng):
    normal = rng.normal(size=(N, 3))

    def with_last(last, rows=normal):
        return np.concatenate([rows[:, :2], np.reshape(last, (len(rows), 1))], axis=1)

    yield with_last(rng.poisson(3.0, N)), "whole"
    yield with_last(rng.integers(0, 2, N)), "whole"
    yield with_last(rng.integers(0, 256, N)), "whole"
    yield with_last(np.round(40 + 15 * normal[:, 2])), "whole"
    yield with_last(rng.integers(0, 256, 600), normal[:600]), "whole"  # 8-bit numbers, two rows each or so
    yield with_last(rng.integers(0, 1000, N)), "whole"
    yield with_last(rng.random(N) < 0.005), "whole"
    yield with_last(rng.integers(0, 256, N) / 255), "steps"
    yield with_last(np.round(normal[:, 2], 1)), "steps"
    yield with_last(np.round(normal[:, 2], 1)).astype(np.float32), "steps"
    yield with_last(1.7e9 + 1000 * normal[:, 2]).astype(np.float32), "steps"
    yield with_last(np.where(rng.random(N) < 0.3, 0, normal[:, 2])), "repeated"
    yield with_last(np.minimum(normal[:, 2], 1.5)), "repeated"
    yield with_last(rng.choice([0.31, 1.74, 9.2], N)), "repeated"
    yield with_last(np.arange(N)), "counter"
    yield with_last(np.arange(N) * 0.1 + 7), "counter"
    yield with_last(rng.permutation(N) + 1e6), "counter"
    yield with_last(np.arange(N))[rng.permutation(N)[: N * 9 // 10]], "counter"
    yield with_last(np.arange(60), normal[:60]), "counter"
    yield with_last(normal[:, 0]), "copy"
    yield with_last(3 - 2 * normal[:, 1]), "copy"
    yield with_last(32 + 1.8 * normal[:, 1]).astype(np.float32), "copy"
    yield with_last(np.exp(normal[:, 0])), "copy"
    yield with_last(-(normal[:, 1] ** 3)), "copy"
    yield with_last(normal[:, 1] ** 2), "copy"
    yield with_last(normal[:, 1] ** 2).astype(np.float32), "copy"
    yield with_last(np.exp(normal[:60, 0]), normal[:60]), "copy"
    yield with_last(1000 + np.abs(normal[:, 0])), "copy"
    yield with_last(np.sin(50 * normal[:, 0]), normal), "copy"
    yield with_last(normal[:, 0] + normal[:, 1]), "combination"
    yield with_last(100 - normal[:, 0] - 2 * normal[:, 1]), "combination"


@pytest.mark.parametrize("i", range(31))
def test_a_column_without_a_density_is_named(rng, i):
    rows, kind = list(dishonest(rng))[i]
    assert kinds(rows) == [(2, kind)]
    (finding,) = judge_columns(rows, columns=["a", "b", "c"], name="a.csv")
    assert finding.sentence.startswith("a.csv: column 'c' ")
    assert column_warnings(rows, columns=["a", "b", "c"], name="a.csv") == [finding.sentence]
    check_trainable(rows)  # a warning is no error


def test_the_sentences():
    rng = np.random.default_rng(0)
    x, count = rng.normal(size=N), rng.poisson(3.0, N)
    rows = np.stack([x, count, np.arange(N), np.exp(x), np.where(x < 0, 0, x)], axis=1)
    assert column_warnings(rows, columns=["x", "count", "id", "copy", "rain"], name="a.csv") == [
        "a.csv: column 'count' has whole numbers only, and so no density; "
        "model it with dequantize, which adds uniform noise, or leave it out.",
        "a.csv: column 'id' has evenly spaced values, each once, as a row counter has, and so no density; "
        "leave it out.",
        "a.csv: column 'copy' is a rising function of column 'x', and so has no density beside it; leave one out.",
        f"a.csv: column 'rain' is 0 in {np.mean(x < 0):.0%} of the rows, and so no density; "
        "leave it out, or those rows.",
    ]


@pytest.mark.parametrize(
    ("context", "sentence"),
    [
        (lambda a, b: 2 * a, "x: column 'a' is a linear function of the context's column 'k'"),
        (lambda a, b: np.exp(b), "x: column 'b' is a rising function of the context's column 'k'"),
        (lambda a, b: b**2, "x: the context's column 'k' is a function of column 'b'"),
        (lambda a, b: a - b, "x: column 'b' is a linear combination of the context's column 'k', column 'a'"),
        (lambda a, b: a + 0.1 * np.sin(1e3 * b), None),
        (lambda a, b: a > 0, None),
        (lambda a, b: 0 * a, None),
    ],
)
def test_a_column_without_a_density_given_its_context_is_named(context, sentence, rng):
    rows = rng.normal(size=(1000, 2))
    context = np.stack([context(*rows.T), rng.normal(size=1000)], axis=1)
    said = context_warnings(rows, context, columns=["a", "b"], context_columns=["k", "l"])
    assert [one.removesuffix(": there is no density given that; leave one out.") for one in said] == (
        [] if sentence is None else [sentence]
    )
    rows[:, 1] = 3 * rows[:, 0]  # which depends on no context
    assert context_warnings(rows, context[:, 1:]) == []


def test_two_whole_columns_are_two_warnings_whatever_their_rows_repeat(rng):
    assert kinds(rng.integers(0, 2, (500, 2))) == [(0, "whole"), (1, "whole")]
    assert kinds(rng.poisson(3.0, (N, 4))) == [(i, "whole") for i in range(4)]


def test_many_columns_of_a_kind_have_one_sentence(rng):
    (sentence,) = column_warnings(rng.integers(0, 256, (N, 30)))
    assert sentence.startswith("x: column 1 has whole numbers only")
    assert sentence.endswith("or leave it out; so it is with columns 2, 3, 4 and 26 more.")


def test_large_tables_are_judged_by_a_sample(rng):
    rows = rng.normal(size=(150_000, 4)).astype(np.float32)
    assert kinds(rows) == []
    rows[:, 1], rows[:, 3] = rng.permutation(len(rows)), rows[:, 0]
    assert kinds(rows) == [(1, "counter"), (3, "copy")]


def test_sparse_columns_are_not_taken_for_copies_of_each_other():
    rows = np.zeros((100_000, 3))
    rows[:, 0] = np.random.default_rng(0).normal(size=len(rows))
    rows[10, 1] = rows[20, 2] = 1
    assert [kind for _, kind in kinds(rows)] == ["whole", "whole"]


# What training is in vain with.


@pytest.mark.parametrize(
    ("rows", "weight", "sentence"),
    [
        ([[1.0, 2.0]], None, "x has 1 row; training needs at least 2."),
        ([[1.0], [2.0]], [1, 0], "x has 1 row of positive weight; training needs at least 2."),
        (
            [[1.0, 2.0], [1.0, 3.0]],
            None,
            "x: column 1 is 1.0 in all 2 rows of training and has no density; leave it out.",
        ),
        (
            [[1.0, 2.0], [1.0, 3.0], [2.0, 4.0]],
            [1, 1, 0],
            "x: column 1 is 1.0 in all 2 rows of training of positive weight and has no density; leave it out.",
        ),
        (1e16 + np.arange(5.0)[:, None], None, "x: column 1 is 1e+16 give or take 2, which is lost in the rounding"),
        (
            np.float32(1e8) + np.float32(8) * np.arange(4, dtype=np.float32)[:, None],
            None,
            "x: column 1 is 1e+08 give or take 9, which is lost in the rounding of float32 numbers of that size;",
        ),
        (
            np.append(np.random.default_rng(0).normal(size=99), 1e30)[:, None],
            None,
            "x: column 1 has a value of 1e+30 so far from the others that they are all the same in float32",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(rows, weight, sentence):
    rows, weight = np.asarray(rows), None if weight is None else np.asarray(weight, np.float64)
    for call in (check_trainable, column_warnings):
        with pytest.raises(InputError) as caught:
            call(rows, weight=weight)
        assert str(caught.value).startswith(sentence)
        assert len(str(caught.value)) <= 300


def test_several_constants_are_counted():
    with pytest.raises(InputError) as caught:
        check_trainable(np.ones((5, 4)), columns=list("abcd"))
    assert str(caught.value) == (
        "x: column 'a' is 1.0 in all 5 rows of training and has no density; leave it out; 3 more columns are no better."
    )


def test_a_column_that_is_mostly_zero_is_no_outlier(rng):
    rows = np.where(rng.random((N, 2)) < 0.95, 0, rng.normal(size=(N, 2)))
    assert kinds(rows) == [(0, "repeated"), (1, "repeated")]


def test_the_flows_dtype_decides_how_far_is_too_far():
    rows = np.append(np.random.default_rng(0).normal(size=99), 1e9)[:, None]
    with pytest.raises(InputError, match="so far from the others"):
        check_trainable(rows)
    check_trainable(rows, dtype="float64")
