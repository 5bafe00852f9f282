"""The laws that every flow obeys, tried on one: is it a density, and is it that of these rows?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_seed
from tfp_flows.datasets import Dataset, matched
from tfp_flows.datasets.table import check_order
from tfp_flows.energy import energy_test
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.integral import integral_of
from tfp_flows.plots import log_prob_of
from tfp_flows.plots.frames import in_one_period
from tfp_flows.seeds import stateless
from tfp_flows.uniformity import FEWEST, Uniforms, p_values_of
from tfp_flows.whole import with_noise
from tfp_flows.words import in_short, plural

__all__ = ["LawReport", "LawResult", "check"]

ROWS = 1_000  # of data that fits are judged by: more would find fault with every flow that is of some use
LAW_ROWS = 64  # of data, and as many samples, that the exact laws are tried on
JACOBIAN_ROWS = 16
MOST_COLUMNS = 256  # whose Jacobian is taken
MOST_INTEGRAL = 3  # columns that a density is integrated over
CONTEXTS = 3  # at which it is
CENTRES = 500  # of the kernels that the integral's draws come from
SPREAD = 1.6  # by which every second centre is further out than the base's draws
DRAWS = 200_000  # numbers of the base, at most, that latents are ranked among
# What rounding may do, by dtype: of small chains it came to at most 2e-6 and 4e-15, and steep maps lose more.
ROUND_TRIP = {"float32": 1e-3, "float64": 1e-7}
LOG_DET = {"float32": 1e-3, "float64": 1e-7}  # nats a column
DENSITY = {"float32": 1e-3, "float64": 1e-7}  # nats a column
MOST_OUTSIDE = 0.01  # part of rows of a known law that rounding may have taken out of it
ERRORS = 5.0  # standard errors that an estimate may be off
LEAST_P = 5e-4  # of each of the two tests of fit: together, a good flow fails one time in a thousand


@dataclass(frozen=True)
class LawResult:
    """What came of one law.

    Attributes:
      name: of the law.
      kind: "law", which only a wrong density breaks; or "fit", which says that the rows have another law.
      measured: the figure that decided; None if the law was not tried.
      bound: what it is held against.
      holds: whether it holds; None if the law was not tried.
      text: what was measured and what it may be, or why the law was not tried.
    """

    name: str
    kind: str
    measured: float | None
    bound: float | None
    holds: bool | None
    text: str

    def __str__(self) -> str:
        verdict = {True: "holds", False: "fails", None: "not tried"}[self.holds]
        return f"{verdict:<10} {self.name:<14} {self.kind:<4} {self.text}"


@dataclass(frozen=True)
class LawReport:
    """What came of all laws; printed, a line for each.

    Attributes:
      laws: a `LawResult` for each law, in order.
    """

    laws: tuple[LawResult, ...]

    @property
    def holds(self) -> bool:
        """Whether no law that was tried fails."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the laws that fail."""
        return tuple(law.name for law in self.laws if law.holds is False)

    @property
    def is_density(self) -> bool:
        """Whether all that fails, if anything does, is the fit: the flow is right, and the rows have another law."""
        return not any(law.holds is False and law.kind == "law" for law in self.laws)

    def __getitem__(self, name: str) -> LawResult:
        for law in self.laws:
            if law.name == name:
                return law
        raise KeyError(name)

    def __str__(self) -> str:
        return "\n".join(map(str, self.laws))


def check(
    flow: Flow,
    x: Any = None,
    *,
    context: Any = None,
    dataset: Dataset | None = None,
    seed: int = 0,
) -> LawReport:
    """Tries the laws that a flow obeys if its density is right, and two that hold if it fits the rows.

    ```
    round trip    f(f^-1(x)) = x, f^-1(f(u)) = u             without TFP's cache
    log-det       log|det| of f and of f^-1 are those of autodiff's Jacobians
    density       log p(x) = log p(u) + log|det df^-1 / dx|  what `log_prob` gives is that formula
    integral      integral{ p(x) dx } = 1                    by importance sampling; up to 3 columns
    whole numbers sum{ P(x) } <= 1                           where columns are: `log_prob` is a lower bound
    entropy       NLL - entropy >= 0                         where the rows' own law is known
    calibration   latents of rows have the base's law        fit: a chi-squared test of each dimension
    two-sample    samples and rows have one law              fit: a permutation test of the energy distance
    ```

    The first are laws: one that fails is a bug, in a layer, a base or a `log_prob`. The last two are tests of fit, on
    1,000 rows that the flow was not trained on: more rows would find fault with any flow. They fail where their p-value
    is below 0.0005, which of two laws that are one happens once in a thousand flows.

    Of columns in `dequantize` the law of x + u is tried, `flow.continuous`, but for the sum; calibration is not. Of a
    conditional flow, a sample is drawn at each row's own context and exchanged for that row alone; the integral is
    taken at three contexts. The laws are tried on samples, and on rows that have a density.

    Args:
      flow: the flow.
      x: rows `[N, D]`, held out; columns with names are matched by them. Without rows, the laws are tried on samples.
      context: their contexts `[N, C]`; needed, with or without rows, for a flow that has some.
      dataset: the law of the rows, if it is known; without x, they are drawn from it.
      seed: of whatever is drawn.

    Returns:
      A `LawReport`; `print` it.

    Raises:
      InputError: for rows, contexts or a dataset that are not the flow's.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.nice(event_size=2, num_layers=2, hidden_units=(8,), seed=0)
    >>> report = tff.check(flow)
    >>> report.holds, report["integral"].holds, report["calibration"].holds
    (True, True, None)

    Source: Talts et al., arXiv:1804.06788, for calibration; Székely, Rizzo, InterStat 5 (2004), for energy distances.
    """
    trial = _Trial.of(flow, x, context, dataset, seed)
    tried = [_round_trip, _log_det, _density, _integral]
    tried += [_whole_numbers] if flow.dequantize else []
    return LawReport(tuple(law(trial) for law in (*tried, _entropy, _calibration, _two_sample)))


@dataclass(frozen=True)
class _Trial:
    """What laws are tried on: `[N, D]` and `[N, C]` in float64, either of them None where there is none."""

    flow: Flow
    x: np.ndarray | None
    context: np.ndarray | None
    dataset: Dataset | None
    seed: int

    @classmethod
    def of(cls, flow: Any, x: Any, context: Any, dataset: Any, seed: Any) -> "_Trial":
        """The arguments of `check`, checked."""
        if not isinstance(flow, Flow):
            raise InputError(f"flow must be a tff.Flow; got {in_short(flow)}.")
        check_seed(seed)
        if dataset is not None and not isinstance(dataset, Dataset):
            raise InputError(f"dataset must be one of tff.datasets; got {in_short(dataset)}.")
        if dataset is not None and flow.context_size:
            raise InputError(
                "dataset must be left out for a flow with a context: the law of the rows given it is none."
            )
        if dataset is not None and dataset.event_size != flow.event_size:
            raise InputError(
                f"dataset must be of {plural(flow.event_size, 'column')}; {dataset.name} has {dataset.event_size}."
            )
        if context is None and flow.context_size:
            raise InputError(
                f"context must be rows of {plural(flow.context_size, 'column')}, as {flow.name} needs them; got none."
            )
        if context is not None and not flow.context_size:
            raise InputError("context was given, but this flow was built without; build it with context_size=….")
        check_order(x=x, context=context)
        if x is None and dataset is not None:
            x = dataset.split(seed, (0, 0, ROWS)).test
        if x is not None:
            x = matched(x, flow.columns, event_size=flow.event_size).astype(np.float64)
        if context is not None:
            context = matched(context, flow.context_columns, name="context", event_size=flow.context_size)
        if x is not None and context is not None and len(x) != len(context):
            raise InputError(
                f"context must have a row for each of the {plural(len(x), 'row')} of x; got {len(context)}."
            )
        known = context if x is None else x
        if known is not None:
            order = np.random.default_rng(seed).permutation(len(known))[:ROWS]
            x, context = (part if part is None else part[order] for part in (x, context))
        return cls(flow, x, context, dataset, seed)

    @property
    def law(self) -> Flow:
        """The flow whose density is exact: with whole numbers, that of x + u."""
        return self.flow.continuous

    def key(self, number: int) -> tf.Tensor:
        """A seed of its own for each use."""
        return tf.random.experimental.stateless_fold_in(tfp.random.sanitize_seed(stateless(self.seed)), number)

    def noisy(self) -> np.ndarray | None:
        """The rows, with noise in columns of whole numbers."""
        return None if self.x is None else with_noise(self.x, self.flow.dequantize, np.random.default_rng(self.seed))

    def contexts(self, count: int) -> np.ndarray | None:
        """So many contexts: those there are, again and again."""
        return None if self.context is None else self.context[np.arange(count) % len(self.context)]

    def given(self, context: np.ndarray | None) -> tuple[dict, dict]:
        """Keyword arguments of the base and of the layers, by name."""
        return self.law._split_kwargs(self.law._check_kwargs({"context": context}))

    def latents(self, count: int, number: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws of the base, `[count, D]`, and the contexts that they are at."""
        context = self.contexts(count)
        of_base, _ = self.given(context)
        shape = [] if of_base.get("context") is not None else [count]
        return self.law.distribution.sample(shape, seed=self.key(number), **of_base).numpy(), context

    def samples(self, count: int, number: int, context: np.ndarray | None) -> np.ndarray:
        """Samples of the flow, whole numbers and all: so many, or one at each context."""
        return self.flow.sample_in_float64(
            count if context is None else (), seed=self.key(number), context=context
        ).numpy()

    def law_rows(self, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Rows that have a density: so many of the data, and as many samples."""
        context = self.contexts(count)
        parts = [
            self.law.sample_in_float64(count if context is None else (), seed=self.key(1), context=context).numpy()
        ]
        contexts = [context]
        if self.x is not None:
            rows, seen = self.noisy()[:count], None if context is None else self.context[:count]
            good = ~np.isneginf(self.law.log_prob(rows, context=seen).numpy())
            parts.append(rows[good])
            contexts.append(None if seen is None else seen[good])
        return np.concatenate(parts), None if context is None else np.concatenate(contexts)


def _skipped(name: str, kind: str, why: str) -> LawResult:
    return LawResult(name, kind, None, None, None, why)


def _at_most(name: str, off: np.ndarray, bound: float, text: str) -> LawResult:
    """A law whose largest error must be within a bound; NaN is not."""
    most = float(np.max(np.where(np.isnan(off), np.inf, off), initial=0.0))
    return LawResult(name, "law", most, bound, most <= bound, text.format(most=f"{most:.2g}", bound=f"{bound:.2g}"))


def _round_trip(trial: _Trial) -> LawResult:
    """Both ways round, the error is the smaller one of that in x and that in u.

    Where a map is flat, rounding in one of them is large in the other: between two modes, say, no digits of x are lost
    though many of u are.
    """
    flow = trial.law
    x, context = trial.law_rows(LAW_ROWS)
    _, by_layer = trial.given(context)
    decode = lambda u, by_layer: flow._in_float64(tf.constant(u, flow.dtype), by_layer).numpy()  # noqa: E731
    encode = lambda x, context: flow.encode(x.copy(), context=context).numpy()  # noqa: E731
    u = encode(x, context)
    back = decode(u, by_layer)
    off = np.minimum(_off_rows(flow, back, x, x), _off_latents(flow, encode(back, context), u))
    u, context = trial.latents(LAW_ROWS, 2)
    _, by_layer = trial.given(context)
    x_of_u = decode(u, by_layer)
    back = encode(x_of_u, context)
    again = decode(back, by_layer)
    off = np.concatenate([off, np.minimum(_off_rows(flow, again, x_of_u, x), _off_latents(flow, back, u))])
    text = "largest error {most} of a column's spread, at most {bound}"
    return _at_most("round trip", off, ROUND_TRIP[flow.dtype.name], text)


def _off_rows(flow: Flow, found: np.ndarray, x: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How far rows are from others, `[N]`, in units of the columns' spread."""
    spread = np.diff(np.quantile(known, [0.1, 0.9], axis=0), axis=0)[0]
    spread = np.where(spread > 0, spread, 1.0)
    off = np.abs(found - x)
    for i, (low, high) in flow.circular.items():
        off[:, i] = np.minimum(off[:, i] % (high - low), -off[:, i] % (high - low))
        spread[i] = high - low
    return _nan_is_inf((off / spread).max(axis=1))


def _off_latents(flow: Flow, found: np.ndarray, u: np.ndarray) -> np.ndarray:
    """How far latents are from others, `[N]`, of their size or of 1."""
    off = np.abs(found.astype(np.float64) - u)
    for i in getattr(flow.distribution, "circular", ()):
        period = 2 * getattr(flow.distribution, "interval", np.inf)
        off[:, i] = np.minimum(off[:, i], np.abs(period - off[:, i]))
    return _nan_is_inf((off / np.maximum(1.0, np.abs(u))).max(axis=1))


def _nan_is_inf(off: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(off), np.inf, off)


def _log_det(trial: _Trial) -> LawResult:
    flow = trial.law
    if flow.event_size > MOST_COLUMNS:
        why = f"its Jacobian is taken of up to {MOST_COLUMNS} columns, and there are {flow.event_size}"
        return _skipped("log-det", "law", why)
    x, context = trial.law_rows(JACOBIAN_ROWS)
    of_inverse = _slogdet(lambda x: flow.encode(x, context=context), flow._rows(x))
    off = np.abs(_inverse_log_det(trial, x, context) - of_inverse)
    u, context = trial.latents(JACOBIAN_ROWS, 3)
    _, by_layer = trial.given(context)
    of_forward = _slogdet(lambda u: flow.bijector.forward(tf.identity(u), **by_layer), tf.constant(u))
    log_det = flow.bijector.forward_log_det_jacobian(tf.constant(u), event_ndims=1, **by_layer)
    off = np.concatenate([off, np.abs(np.broadcast_to(log_det, of_forward.shape) - of_forward)]) / flow.event_size
    text = "off autodiff's by {most} nats a column, at most {bound}"
    return _at_most("log-det", off, LOG_DET[flow.dtype.name], text)


def _inverse_log_det(trial: _Trial, x: np.ndarray, context: np.ndarray | None) -> np.ndarray:
    """What the layers say, `[N]`."""
    flow = trial.law
    _, by_layer = trial.given(context)
    z, of_first = flow._through_first(flow._rows(x))
    of_rest = flow._after_first.inverse_log_det_jacobian(tf.identity(z), event_ndims=1, **by_layer)
    return np.broadcast_to((of_first + of_rest).numpy(), [len(x)]).astype(np.float64)


def _slogdet(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> np.ndarray:
    """`log|det d function / dx|` of rows `[N, D]`, by autodiff."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        parts = tf.unstack(function(x), axis=-1)
    rows = [tape.gradient(part, x, unconnected_gradients="zero").numpy() for part in parts]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.linalg.slogdet(np.stack(rows, axis=1).astype(np.float64))[1]


def _density(trial: _Trial) -> LawResult:
    flow = trial.law
    x, context = trial.law_rows(LAW_ROWS)
    of_base, _ = trial.given(context)
    u = flow.encode(x, context=context)
    expected = flow.distribution.log_prob(tf.identity(u), **of_base).numpy() + _inverse_log_det(trial, x, context)
    off = np.abs(flow.log_prob(x, context=context).numpy() - expected) / flow.event_size
    text = "log_prob is off base and log-det by {most} nats a column, at most {bound}"
    return _at_most("density", off, DENSITY[flow.dtype.name], text)


def _integral(trial: _Trial) -> LawResult:
    of_what = " of x + u" if trial.flow.dequantize else ""
    return _of_integral(trial, "integral", lambda x, context: log_prob_of(trial.law, x, context), of_what, False)


def _whole_numbers(trial: _Trial) -> LawResult:
    flow, whole = trial.flow, list(trial.flow.dequantize)

    def log_prob(x: np.ndarray, context: np.ndarray | None) -> np.ndarray:
        floored = x.copy()
        floored[:, whole] = np.floor(x[:, whole])  # a cell of size 1 for each whole number
        return log_prob_of(flow, floored, context)

    return _of_integral(trial, "whole numbers", log_prob, " of whole numbers", True)


def _of_integral(
    trial: _Trial,
    name: str,
    log_prob: Callable[[np.ndarray, np.ndarray | None], np.ndarray],
    of_what: str,
    is_bound: bool,
) -> LawResult:
    """The total at each of a few contexts, of which the one that is furthest off is told."""
    flow = trial.law
    if flow.event_size > MOST_INTEGRAL:
        why = f"taken over up to {MOST_INTEGRAL} columns, and there are {flow.event_size}"
        return _skipped(name, "law", why)
    found = []
    for i, context in enumerate([None] if trial.context is None else trial.contexts(CONTEXTS)):
        total = lambda x, context=context: log_prob(x, context).astype(np.float64)  # noqa: E731
        centres, secants = _kernels(trial, context, 10 + i)
        given = {"support": flow.support, "circular": flow.circular, "seed": trial.seed}
        found.append(integral_of(total, centres, secants, **given))
    if any(each.pareto_k > 0.7 for each in found):
        k = max(each.pareto_k for each in found)
        return _skipped(name, "law", f"draws{of_what} have weights too uneven to tell, with a tail of k = {k:.2f}")
    far = [(each.value - 1) / (ERRORS * each.error + 1e-3) for each in found]
    i = int(np.argmax(far if is_bound else np.abs(far)))
    value, bound = found[i].value, ERRORS * found[i].error + 1e-3
    holds = bool(value <= 1 + bound) if is_bound else bool(abs(value - 1) <= bound)
    what = f"at most 1 + {bound:.2g}" if is_bound else f"1 ± {bound:.2g}"
    at = "" if trial.context is None else f", the furthest of {len(found)} contexts'"
    total = "sum" if is_bound else "total"
    return LawResult(name, "law", value, bound, holds, f"{total}{of_what} {value:.4f}{at}, must be {what}")


def _kernels(
    trial: _Trial, context: np.ndarray | None, number: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Rows `[M, D]`, and what is a step of the base apart around each, `[M, D, D]` twice: see `integral_of`."""
    flow = trial.law
    size, step = flow.event_size, CENTRES ** (-1 / (flow.event_size + 4))
    seen = None if context is None else np.tile(context, [CENTRES, 1])
    of_base, by_layer = trial.given(seen)
    shape = [] if of_base.get("context") is not None else [CENTRES]
    u = flow.distribution.sample(shape, seed=trial.key(number), **of_base).numpy().astype(np.float64)
    u[::2] *= SPREAD
    steps = 0.5 * step * np.eye(size)
    around = [u, *(u + sign * each for sign in (-1, 1) for each in steps)]
    rows = [flow._in_float64(tf.constant(each, flow.dtype), by_layer).numpy() for each in around]
    return rows[0], (np.stack(rows[1 : size + 1], axis=1), np.stack(rows[size + 1 :], axis=1))


def _entropy(trial: _Trial) -> LawResult:
    if trial.dataset is None:
        return _skipped("entropy", "law", "the rows' own law is not known")
    of_law, of_flow = trial.dataset.log_prob(trial.x), log_prob_of(trial.flow, trial.x).astype(np.float64)
    inside = np.isfinite(of_law)  # rounding takes a row over an edge, now and then
    if inside.mean() < 1 - MOST_OUTSIDE:
        outside = plural(int((~inside).sum()), "row")
        return _skipped("entropy", "law", f"{outside} cannot be of {trial.dataset.name}, whose law they should have")
    gaps = (of_law - of_flow)[inside]  # row by row: their scatter is that of the fit alone
    if np.isposinf(gaps).any() and not np.isnan(gaps).any():
        text = "NLL is infinitely far above that of the rows' law: a row is impossible to the flow"
        return LawResult("entropy", "law", np.inf, 0.0, True, text)
    error = gaps.std() / np.sqrt(len(gaps))
    gap, bound = float(gaps.mean()), float(-ERRORS * error - 1e-3)
    text = f"NLL is {gap:.4f} ± {error:.4f} nats above that of the rows' law, at least {bound:.2g}"
    return LawResult("entropy", "law", gap, bound, gap >= bound, text)


def _calibration(trial: _Trial) -> LawResult:
    if trial.x is None:
        return _skipped("calibration", "fit", "there are no rows")
    if len(trial.x) < FEWEST:
        return _skipped("calibration", "fit", f"it takes {FEWEST} rows, and there are {len(trial.x)}")
    if trial.flow.dequantize:
        why = "latents are those of x + u, and where in [x, x + 1] a flow has its density is no matter of fit"
        return _skipped("calibration", "fit", why)
    ranks = _ranks(trial)
    p = p_values_of(Uniforms(ranks, None, None))
    worst = int(np.argmin(p))
    adjusted = float(min(1.0, len(p) * p[worst]))
    of = f", the least of {len(p)}, in dimension {worst + 1}" if len(p) > 1 else ""
    text = (
        f"latents of {plural(len(ranks), 'row')} have the base's law with p = {adjusted:.2g}{of}; at least {LEAST_P:g}"
    )
    return LawResult("calibration", "fit", adjusted, LEAST_P, adjusted >= LEAST_P, text)


def _ranks(trial: _Trial) -> np.ndarray:
    """The part of the base's draws that are below each row's latents, `[N, D]`: uniform if the flow fits.

    So any base is ranked, whether or not it has a cdf: normal, mixture, circles, a flow.
    """
    flow = trial.law
    u = np.concatenate(
        [
            flow.encode(rows, context=None if trial.context is None else trial.context[i : i + 500]).numpy()
            for i, rows in ((i, trial.noisy()[i : i + 500]) for i in range(0, len(trial.x), 500))
        ]
    )
    while isinstance(flow.distribution, Flow):  # whose law may have a context: down to one that has none
        base = flow.distribution
        u = base.encode(u, context=trial.context if base.context_size else None).numpy()
        flow = base
    count = max(20 * FEWEST, DRAWS // flow.event_size)
    drawn = np.sort(flow.distribution.sample(count, seed=trial.key(4)).numpy(), axis=0)
    below = [np.searchsorted(column, latents) for column, latents in zip(drawn.T, u.T, strict=True)]
    return np.stack(below, axis=1) / count


def _two_sample(trial: _Trial) -> LawResult:
    if trial.x is None:
        return _skipped("two-sample", "fit", "there are no rows")
    if len(trial.x) < FEWEST:
        return _skipped("two-sample", "fit", f"it takes {FEWEST} rows, and there are {len(trial.x)}")
    rows, context = trial.x, trial.context
    drawn = trial.samples(len(rows), 5, context)
    both = _even(trial.flow, np.concatenate([rows, drawn]))
    if context is not None:
        seen = np.concatenate([context, context]).astype(np.float64)
        both = np.concatenate([both, _scaled(seen)], axis=1)
    distance, p = energy_test(*np.split(both, 2), paired=context is not None, seed=trial.seed)
    text = f"{plural(len(rows), 'row')} and samples have one law with p = {p:.2g}, energy distance {distance:.2g}; "
    return LawResult("two-sample", "fit", p, LEAST_P, p >= LEAST_P, f"{text}at least {LEAST_P:g}")


def _even(flow: Flow, x: np.ndarray) -> np.ndarray:
    """Columns of one size: circular ones as points of a circle."""
    x, parts = in_one_period(flow, x), []
    for i, column in enumerate(x.T):
        if i in flow.circular:
            low, high = flow.circular[i]
            angle = 2 * np.pi * (column - low) / (high - low)
            parts.append(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        else:
            parts.append(_scaled(column[:, None]))
    return np.concatenate(parts, axis=1)


def _scaled(columns: np.ndarray) -> np.ndarray:
    """Columns less their medians, by their spread; what is far out is drawn in, as one row would decide alone."""
    middle = np.median(columns, axis=0)
    spread = np.diff(np.quantile(columns, [0.1, 0.9], axis=0), axis=0)[0] / 2.56
    scaled = (columns - middle) / np.where(spread > 0, spread, 1.0)
    return np.arcsinh(scaled)
