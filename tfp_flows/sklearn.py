"""FlowDensity: a flow as a density estimator of scikit-learn, for its pipelines and its searches.

scikit-learn is an extra: nothing else here needs it. TensorFlow is imported at the first fit.
"""

import contextlib
import copy
import logging
import numbers
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

import tfp_flows as tff
from tfp_flows.checks import check_choice, check_sizes
from tfp_flows.datasets.table import Table, as_rows, as_weights, check_order
from tfp_flows.errors import InputError, RoundingWarning
from tfp_flows.words import in_short

try:
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils import validation as of_sklearn
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    raise ModuleNotFoundError(
        "tfp_flows.sklearn needs scikit-learn, which is not installed: pip install 'scikit-learn>=1.6'.", name="sklearn"
    ) from None

if TYPE_CHECKING:
    from tfp_flows.flow import Flow

__all__ = ["FlowDensity"]

EAGER_ROWS = 5_000  # of more, a graph is traced, which takes about a second, and goes through so many at a time
# Options of a chain that are not the user's here, and what is in their place.
NOT_OPTIONS = {
    "event_size": "it is the number of columns of X",
    "seed": "random_state is in its place",
    "context_size": "FlowDensity has no context, tff.fit has",
    "context_network": "FlowDensity has no context, tff.fit has",
}


class FlowDensity(DensityMixin, BaseEstimator):
    """A density estimator of scikit-learn: a chain of `tff.flows.names()`, trained by `tff.fit` on the rows of X,

    ```
    score_samples(X)[n] = log p(X[n])       nats, in the units of X
    score(X)            = mean{ score_samples(X) }
    ```

    It clones, pickles, and goes where scikit-learn's own estimators go: `Pipeline`, `GridSearchCV`,
    `cross_val_score`. In a pipeline the density is that of the transformed rows, in their units. With an integer as
    `random_state`, it is the flow that `tff.make(chain, seed=…)` and `tff.fit(…, seed=…)` give.

    Args:
      chain: the name of a chain: "nsf", "maf", "nsf_coupling", ...
      options: those of the chain, in a dict, as `tff.make` takes them: `{"num_layers": 3, "support": {0: (0, None)}}`.
      epochs: passes over the rows at most.
      batch_size: rows of a step; None as in `tff.fit`.
      learning_rate: of Adam, at its highest; None as in `tff.fit`.
      weight_decay: of the networks' kernels; None as in `tff.fit`, the more the fewer rows there are.
      validation_split: part of the rows that is held out, and says which epoch was best; 0 for none.
      patience: epochs without a better NLL of those before training stops; None never stops.
      jit_compile: whether to compile with XLA; None does so where the work is long enough to pay for it.
      random_state: an integer from 0 to 2^32 - 1, a `numpy.random.RandomState`, or None for NumPy's own.
      verbose: True or 1 for a progress bar, 2 for a line an epoch.

    Attributes:
      flow_: the trained `tff.Flow`, which knows the names of the columns.
      history_: a list of values an epoch for "nll" and "val_nll", nats.
      n_features_in_: how many columns X had.
      feature_names_in_: their names, if X was a DataFrame with names that are texts.

    Raises:
      InputError: by `fit`, a ValueError: for a parameter that cannot work, and for rows that have no density, as those
        of a constant column. It warns of columns that hardly have one, as whole numbers, as `tff.fit` does.
      DivergenceError: by `fit`, if the loss is not finite.

    Example:

    >>> import tfp_flows as tff
    >>> from tfp_flows.sklearn import FlowDensity
    >>> X = tff.datasets.banana().sample(500, seed=0)
    >>> density = FlowDensity("maf", options={"num_layers": 2, "hidden_units": (8,)}, epochs=3, random_state=0)
    >>> density.fit(X).score_samples(X).shape
    (500,)
    >>> density.sample(3, random_state=0).shape
    (3, 2)
    """

    n_features_in_: int
    feature_names_in_: np.ndarray

    def __init__(
        self,
        chain: str = "nsf",
        *,
        options: Mapping[str, Any] | None = None,
        epochs: int = 100,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        validation_split: float = 0.1,
        patience: int | None = 20,
        jit_compile: bool | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.chain = chain
        self.options = options
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_split = validation_split
        self.patience = patience
        self.jit_compile = jit_compile
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "FlowDensity":
        """Builds the chain anew and trains it on the rows.

        Args:
          X: rows `[N, D]`, N at least 2: an array, a list, a DataFrame. Those of float64 keep their digits.
          y: is ignored, as in scikit-learn's own density estimators.
          sample_weight: `[N]`, at least 0: how much each row counts. A pass draws each row as often as its weight says,
            on average: the flow is not the very one that repeated rows would give.

        Returns:
          The estimator.

        Raises:
          InputError: for a parameter, rows or weights that cannot work; scikit-learn's own ValueError or TypeError for
            what is no table of finite numbers.
          DivergenceError: if the loss, or that of every validation, is not finite.
          TrainingInterrupted: on Ctrl-C.
        """
        check_order(X=X, sample_weight=sample_weight)
        rows = as_rows(_validated(self, X, ensure_min_samples=2), name="X")
        names = getattr(self, "feature_names_in_", None)
        weight = None if sample_weight is None else _weights(sample_weight, len(rows))
        seed = _seed_of(self.random_state)
        flow = tff.make(self.chain, event_size=rows.shape[1], seed=seed, **_options(self.chain, self.options))
        with _among_others():
            history = tff.fit(
                flow,
                Table(rows, None if names is None else tuple(names), "X"),
                sample_weight=weight,
                validation_split=self.validation_split,
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                patience=self.patience,
                jit_compile=self.jit_compile,
                verbose=self.verbose,
                seed=seed,
            )
        self.flow_: Flow = flow
        self.history_: dict[str, list[float]] = {name: list(values) for name, values in history.history.items()}
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """The log-density of each row of `X [N, D]` -> float64 `[N]`, in nats and in the units of X.

        A flow of float32, as chains are by default, has seven digits of it, and the last may depend on how many rows
        come together; `options={"dtype": "float64"}` has fifteen. Of columns in `dequantize` it is a lower bound of the
        log-probability.

        Raises:
          NotFittedError: of scikit-learn, before `fit`.
          ValueError: for other columns than those of the fit, or in another order.
        """
        of_sklearn.check_is_fitted(self)
        rows = as_rows(_validated(self, X, reset=False), name="X")
        if len(rows) <= EAGER_ROWS:
            return self.flow_.log_prob(rows).numpy().astype(np.float64)
        return tff.plots.log_prob_of(self.flow_, rows).astype(np.float64)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples(X)`, nats a row: what a search makes as large as it can.

        As in scikit-learn's `GaussianMixture`, `PCA` and `FactorAnalysis`, "the average log-likelihood of all samples":
        it can be compared between parts of another size. `KernelDensity` alone has the sum.

        Args:
          X: rows `[N, D]`.
          y: is ignored.
        """
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> np.ndarray:
        """Draws of the fitted density, float64 `[n_samples, D]`, with all the digits that X had.

        Args:
          n_samples: how many, at least 1.
          random_state: an integer for the same draws every time, a `RandomState`, or None for NumPy's own.

        Raises:
          NotFittedError: of scikit-learn, before `fit`.
          InputError: for a number or a random state that is none.
        """
        of_sklearn.check_is_fitted(self)
        check_sizes(n_samples=n_samples)
        pieces = {} if n_samples <= EAGER_ROWS else {"batch_size": EAGER_ROWS}
        return self.flow_.sample_in_float64(n_samples, seed=_seed_of(random_state), **pieces).numpy()


def _validated(estimator: Any, X: Any, **how: Any) -> np.ndarray:
    """X as an array, whose number and names of columns scikit-learn has noted, or compared.

    Its numbers are of the type that they came in: `as_rows` refuses those that float64 cannot hold.
    """
    if any(isinstance(part, np.ma.MaskedArray) for part in (X if isinstance(X, (list, tuple)) else [X])):
        as_rows(X, name="X")  # refuses what a mask hides, and scikit-learn would uncover
    return of_sklearn.validate_data(estimator, X, dtype="numeric", **how)


def _weights(sample_weight: Any, count: int) -> np.ndarray:
    """Weights `[N]`, float64; `InputError` for what are none."""
    weight = as_rows(sample_weight, name="sample_weight")
    if not weight.any():
        raise InputError("sample_weight must be above 0 for some rows; got zero for all.")
    return as_weights(weight, rows=count)


def _options(chain: Any, options: Any) -> dict[str, Any]:
    """A copy of the chain's options: what is trained, as a base of the user's, is not to be what was given.

    `InputError` for an unknown chain, and for options that are none of the user's.
    """
    check_choice("chain", chain, tff.flows.names())
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InputError(f"options must be a dict of options of the chain, or None; got {in_short(options)}.")
    for name, instead in NOT_OPTIONS.items():
        if name in options:
            raise InputError(f"options must be without {name!r}: {instead}; got {in_short(options[name])}.")
    return copy.deepcopy(dict(options))


def _seed_of(random_state: Any) -> int:
    """An integer as it is, or one that is drawn from scikit-learn's `RandomState`."""
    try:
        drawn = check_random_state(random_state)
    except ValueError as error:
        raise InputError(
            f"random_state must be an integer from 0 to {2**32 - 1}, a numpy.random.RandomState or None; got "
            f"{in_short(random_state)}."
        ) from error
    return int(random_state) if isinstance(random_state, numbers.Integral) else int(drawn.randint(2**31 - 1))


@contextlib.contextmanager
def _among_others() -> Iterator[None]:
    """Within the block, a fit leaves to others what is theirs, and keeps quiet of what is no matter here.

    `tff.fit` seeds the random numbers of NumPy and Python, which estimators with `random_state=None` draw from. Of
    several fits TensorFlow says that their graphs should have been one. Samples here have all their digits.
    """
    numpys, pythons = check_random_state(None), random.getstate()
    kept, logger = numpys.get_state(), logging.getLogger("tensorflow")
    logger.addFilter(_is_not_of_many_graphs)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RoundingWarning)
            yield
    finally:
        logger.removeFilter(_is_not_of_many_graphs)
        numpys.set_state(kept)
        random.setstate(pythons)


def _is_not_of_many_graphs(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()
