"""FlowDensity: what scikit-learn asks of an estimator, and that the density is the flow's."""

import copy
import inspect
import logging
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tfp_flows as tff
from tfp_flows.sklearn import EAGER_ROWS, FlowDensity

ROOT = Path(__file__).parents[1]
OPTIONS = {"num_layers": 1, "hidden_units": (4,)}
TINY = {"chain": "maf", "options": OPTIONS, "epochs": 1, "jit_compile": False}
SECONDS = 1.7e9  # as times have them since 1970: float32 would round them to 128
X = np.random.default_rng(0).normal(size=(60, 2)) * [1.0, 3.0] + [SECONDS, 5.0]
FRAME = pandas.DataFrame(X, columns=["time", "height"])


@pytest.fixture(scope="module")
def fitted() -> FlowDensity:
    return FlowDensity(**TINY, random_state=3).fit(FRAME)


# As scikit-learn asks; a float64 flow gives a row by itself and among others the 7 equal digits that it asks for.


@pytest.mark.slow
@parametrize_with_checks([FlowDensity(**TINY | {"options": OPTIONS | {"dtype": "float64"}})])
def test_checks_of_scikit_learn(estimator, check):
    """All of them pass: none is expected to fail."""
    check(estimator)


def test_the_constructor_only_stores():
    wrong = {"chain": object(), "options": 3, "epochs": "many", "random_state": "dice"}
    estimator = FlowDensity(**wrong)
    assert {name: estimator.get_params()[name] for name in wrong} == wrong
    assert (
        clone(FlowDensity(**TINY).set_params(chain="nice")).get_params()
        == FlowDensity(**TINY | {"chain": "nice"}).get_params()
    ), "a clone has the parameters"


def test_defaults_are_those_of_fit():
    theirs = inspect.signature(tff.fit).parameters
    others = ("chain", "options", "random_state", "verbose")
    mine = {name: value for name, value in FlowDensity().get_params().items() if name not in others}
    assert mine == {name: theirs[name].default for name in mine}


# The density.


def test_it_is_what_make_and_fit_give(fitted):
    flow = tff.make("maf", event_size=2, seed=3, **OPTIONS)
    with pytest.warns(tff.RoundingWarning):
        history = tff.fit(flow, FRAME, epochs=1, jit_compile=False, verbose=False, seed=3)
    np.testing.assert_array_equal(fitted.score_samples(FRAME), flow.log_prob(FRAME))
    assert fitted.history_ == history.history
    assert sorted(fitted.history_) == ["nll", "val_nll"]


def test_scores(fitted):
    log_prob = fitted.score_samples(FRAME)
    assert (log_prob.dtype, log_prob.shape) == (np.float64, (60,))
    assert fitted.score(FRAME) == pytest.approx(log_prob.mean())
    assert isinstance(fitted.score(FRAME, y=np.zeros(60)), float)
    moved = FRAME.assign(time=FRAME["time"] + 1.0)  # less than float32 sees there
    assert np.abs(fitted.score_samples(moved) - log_prob).max() > 0.1


def test_many_rows_are_scored_as_few_are(fitted):
    many = pandas.concat([FRAME] * (EAGER_ROWS // 60 + 1), ignore_index=True)
    assert len(many) > EAGER_ROWS
    np.testing.assert_allclose(fitted.score_samples(many)[-60:], fitted.score_samples(FRAME), rtol=0, atol=1e-5)


def test_samples(fitted):
    draws = fitted.sample(500, random_state=0)
    assert (draws.dtype, draws.shape, fitted.sample().shape) == (np.float64, (500, 2), (1, 2))
    assert len(np.unique(draws[:, 0])) == 500  # of float32, there would be one or two
    np.testing.assert_array_equal(draws, fitted.sample(500, random_state=0))
    np.testing.assert_array_equal(
        fitted.sample(3, np.random.RandomState(1)), fitted.sample(3, np.random.RandomState(1))
    )
    assert (fitted.sample(3) != fitted.sample(3)).all()
    assert fitted.sample(EAGER_ROWS + 1, random_state=0).shape == (EAGER_ROWS + 1, 2)


def test_names_of_columns(fitted):
    assert fitted.flow_.columns == ("time", "height")
    assert (fitted.n_features_in_, *fitted.feature_names_in_) == (2, "time", "height")
    with pytest.raises(ValueError, match="in the same order"):
        fitted.score_samples(FRAME[["height", "time"]])
    with pytest.warns(UserWarning, match="names"), pytest.raises(ValueError, match="expecting 2 features"):
        fitted.score_samples(np.ones([3, 1]))


def test_copies_score_alike(fitted):
    log_prob = fitted.score_samples(FRAME)
    for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert again.flow_ is not fitted.flow_
        np.testing.assert_array_equal(again.score_samples(FRAME), log_prob)
    unfitted = pickle.loads(pickle.dumps(FlowDensity(**TINY, random_state=3)))
    np.testing.assert_array_equal(unfitted.fit(FRAME).score_samples(FRAME), log_prob)
    assert not hasattr(clone(fitted), "flow_")


def test_weights():
    """Rows of weight 0 are none."""
    near = X - [SECONDS, 0.0]
    rows = np.concatenate([near, near + np.array([100.0, 0.0])])
    density = FlowDensity(**TINY, random_state=0).fit(rows, sample_weight=[1.0] * 60 + [0] * 60)
    assert density.score(rows[:60]) > density.score(rows[60:]) + 100
    assert np.abs(density.sample(100, random_state=0)[:, 0]).max() < 50


def test_others_random_numbers_are_left_alone():
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    density = FlowDensity(**TINY)
    first = density.fit(FRAME).score(FRAME)
    after = np.random.uniform(), random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    seed = np.random.randint(2**31 - 1)  # noqa: NPY002
    assert after == (np.random.uniform(), random.random())  # noqa: NPY002
    assert density.set_params(random_state=seed).fit(FRAME).score(FRAME) == first


@pytest.mark.slow
def test_parameters_are_not_trained():
    """A base of the user's may have variables."""
    base = tff.bases.Mixture(2, num_components=2, seed=0)
    before = [v.numpy() for v in base.variables]
    density = FlowDensity(**TINY | {"options": OPTIONS | {"base": base}}, random_state=0).fit(FRAME)
    assert density.get_params()["options"]["base"] is base
    for variable, value in zip(base.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    again = pickle.loads(pickle.dumps(density))
    np.testing.assert_array_equal(again.score_samples(FRAME), density.score_samples(FRAME))


# What is refused.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"chain": "ffjord"}, r"chain must be one of maf, .*; got 'ffjord'\."),
        ({"chain": tff.nsf}, r"chain must be one of maf, .*; got <function"),
        ({"options": [1]}, r"options must be a dict of options of the chain, or None; got \[1\]\."),
        ({"options": {"seed": 1}}, r"options must be without 'seed': random_state is in its place; got 1\."),
        ({"options": {"context_size": 1}}, r"options must be without 'context_size': FlowDensity has no context"),
        ({"options": {"layers": 1}}, r"maf takes the options event_size, .*; got 'layers'\."),
        ({"epochs": 0}, r"epochs must be an integer of at least 1; got 0\."),
        ({"learning_rate": -1.0}, r"learning_rate must be a number above 0; got -1\.0\."),
        ({"validation_split": 1.0}, r"validation_split must be at least 0 and below 1; got 1\.0\."),
        ({"random_state": -1}, r"random_state must be an integer from 0 to 4294967295, .* or None; got -1\."),
        ({"random_state": "dice"}, r"random_state must be an integer .*; got 'dice'\."),
    ],
)
def test_refuses_parameters(parameters, message):
    with pytest.raises(tff.InputError, match=message) as caught:
        FlowDensity(**TINY | parameters).fit(X)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


MASKED = np.ma.masked_array(X, np.arange(120).reshape(60, 2) == 7)


@pytest.mark.parametrize(
    ("rows", "weight", "message"),
    [
        (np.stack([X[:, 0], np.ones(60)], axis=1), None, r"column 2 is 1\.0 in all .* has no density"),
        (MASKED, None, r"X: row 4, column 2 is nan"),
        (list(MASKED), None, r"X: row 4, column 2 is nan"),
        (np.full([3, 1], 2**53 + 1), None, r"X: row 1, column 1 is 9007199254740993, a whole number that float64"),
        (X, -np.ones(60), r"sample_weight must be at least 0, and not all 0; got a minimum of -1"),
        (X, np.zeros(60), r"sample_weight must be above 0 for some rows; got zero for all"),
        (X, np.ones(59), r"sample_weight must have a row for each of the 60 rows of x; got 59"),
        (X, np.ones([60, 2]), r"sample_weight has 2 columns; expected 1"),
        (FRAME, pandas.Series(np.ones(60))[::-1], r"sample_weight has the index of X in another order"),
    ],
)
def test_refuses_rows_and_weights(rows, weight, message):
    with pytest.raises(tff.InputError, match=message):
        FlowDensity(**TINY).fit(rows, sample_weight=weight)


def test_refuses_what_cannot_be_drawn(fitted):
    with pytest.raises(tff.InputError, match=r"n_samples must be an integer of at least 1; got 0\."):
        fitted.sample(0)
    with pytest.raises(tff.InputError, match=r"random_state must be an integer"):
        fitted.sample(1, random_state="dice")
    with pytest.raises(NotFittedError):
        FlowDensity().sample()


def test_says_what_has_no_density():
    """Whole numbers are fitted, with the warning of tff.fit."""
    with pytest.warns(UserWarning, match=r"column 1 has whole numbers only"):
        density = FlowDensity(**TINY).fit(np.random.default_rng(0).poisson(3.0, [60, 1]))
    assert np.isfinite(density.score([[3]]))


@pytest.mark.parametrize("hidden", [True, False])
def test_scikit_learn_is_an_extra(hidden):
    """Nothing imports what is not needed yet; without scikit-learn there is one sentence."""
    hide = "sys.path = [path for path in sys.path if 'packages' not in path]" if hidden else ""
    code = (
        f"import sys, tfp_flows, tfp_flows.datasets; assert 'sklearn' not in sys.modules; {hide}\n"
        "try: import tfp_flows.sklearn\n"
        "except ImportError as error: print(error)\n"
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sentence = "tfp_flows.sklearn needs scikit-learn, which is not installed: pip install 'scikit-learn>=1.6'.\n"
    assert done.stdout == (sentence if hidden else "")


# Where estimators go.


@pytest.mark.slow
def test_search():
    logger, said = logging.getLogger("tensorflow"), []
    handler = logging.Handler()
    handler.emit = said.append
    logger.addHandler(handler)
    grid = {"chain": ["maf", "real_nvp"]}
    try:
        search = GridSearchCV(FlowDensity(**TINY, random_state=0), grid, cv=2, n_jobs=1, error_score="raise").fit(FRAME)
    finally:
        logger.removeHandler(handler)
    assert said == []  # of five graphs
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    best = FlowDensity(**TINY | {"chain": search.best_params_["chain"]}, random_state=0).fit(FRAME)
    np.testing.assert_array_equal(search.best_estimator_.score_samples(FRAME), best.score_samples(FRAME))
    assert search.score(FRAME) == best.score(FRAME)


@pytest.mark.slow
def test_pipeline():
    pipeline = make_pipeline(StandardScaler(), FlowDensity(**TINY, random_state=0))
    scores = cross_val_score(pipeline, X, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    plain = FlowDensity(**TINY, random_state=0).fit(X)
    jacobian = np.log(X.std(axis=0)).sum()  # log-densities of the scaler's units
    assert pipeline.fit(X).score(X) == pytest.approx(plain.score(X) + jacobian, abs=1e-3)
    assert pipeline[-1].sample(3).shape == (3, 2)


@pytest.mark.slow
def test_reaches_the_entropy_of_a_gaussian():
    mean, covariance = [100.0, -3.0], np.array([[4.0, 2.7], [2.7, 2.25]])
    entropy = np.log(np.linalg.det(2 * np.pi * np.e * covariance)) / 2
    rng = np.random.default_rng(0)
    rows, fresh = (rng.multivariate_normal(mean, covariance, n) for n in (2_000, 20_000))
    options = TINY | {"options": {"num_layers": 2}, "epochs": 20}
    flow = FlowDensity(**options, random_state=0).fit(rows).score(fresh)
    gaussian = GaussianMixture(1).fit(rows).score(fresh)
    kernels = KernelDensity(bandwidth="scott").fit(rows).score_samples(fresh).mean()
    assert flow == pytest.approx(-entropy, abs=0.05)
    assert gaussian == pytest.approx(-entropy, abs=0.02)  # it has the law itself
    assert kernels < flow < gaussian + 0.01
