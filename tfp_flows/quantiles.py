"""Quantiles of what a conditional flow says of each of many contexts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_sizes
from tfp_flows.datasets.refusals import some_of
from tfp_flows.door import as_probabilities, exact, with_last
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.plots.contexts import as_row
from tfp_flows.plots.names import name_of, picked
from tfp_flows.seeds import stateless
from tfp_flows.words import in_short, plural

__all__ = ["conditional_quantiles"]

BLOCK = 50_000  # numbers at a time, for all columns together
FEWEST_BEYOND = 5  # draws on the far side of a quantile, below which it is one draw's chance


def conditional_quantiles(
    flow: Flow,
    context: Any,
    q: Any,
    *,
    columns: Sequence[str | int] | None = None,
    n: int = 2_000,
    seed: Any = 0,
) -> np.ndarray:
    """Quantiles of p(x | context), for each row of a context: bands of a prediction, medians, limits.

    ```
    D = 1   x with cdf(x | context) = q              exact: `flow.quantile`, and n and seed say nothing
    D > 1   the same of each column by itself        estimates: the quantiles of n draws at each context
    ```

    An estimate is off by about `sqrt(q (1 - q) / n) / p(x)`, p the column's density there: of the median of a normal
    column, with 2,000 draws, 3 % of its standard deviation. Those of one context never cross, as q grows.

    Of whole numbers (`dequantize`) a quantile is the least number with `cdf(x) >= q`. Those of a column with ends are
    between them. A circular column has none, as no number is its first: leave it out by `columns`.

    Args:
      flow: a flow with a context.
      context: rows `[B, C]`, or one row `[C]`; columns with names are matched by them.
      q: a probability, or several, `[Q]`: from 0 to 1 with D = 1, and else so far inside that 5 draws are beyond.
      columns: which of the columns, by names or numbers from 0; all by default.
      n: draws at each context, with D > 1.
      seed: of the draws, as `flow.sample` takes it.

    Returns:
      An array of the flow's dtype: `[B, Q, D]`, or `[B, D]` for a single q; without the B for one row `[C]`. The last
      axis is that of the columns, with D = 1 too, as `flow.quantile` and `flow.sample` have it.

    Raises:
      InputError: for a flow without context, contexts that are not the flow's, probabilities that are none or that
        need more draws, circular columns; with D = 1 also for what `flow.quantile` refuses.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.maf(event_size=1, context_size=2, num_layers=2, hidden_units=(8,), seed=0)
    >>> tff.conditional_quantiles(flow, [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0.05, 0.5, 0.95]).shape
    (3, 3, 1)
    """
    if not isinstance(flow, Flow):
        raise InputError(f"flow must be a flow with a context; got {in_short(flow)}.")
    contexts = _contexts(flow, context)
    shown = picked(flow, columns)
    q = as_probabilities(q, tf.float64, "q").numpy()
    if q.ndim > 1 or not q.size:
        raise InputError(f"q must be a probability, or a list of some; got shape {list(q.shape)}.")
    rows = contexts.reshape(-1, flow.context_size)
    levels = q.reshape(-1)
    _check_line(flow, shown)
    check_sizes(n=n)
    if flow.event_size == 1:
        found = _exact(flow, rows, levels)
    else:
        _check_draws(levels, n)
        found = _of_draws(flow, rows, levels, shown, n, seed)
    return found.reshape(*contexts.shape[:-1], *q.shape, len(shown))


def _contexts(flow: Flow, context: Any) -> np.ndarray:
    """Rows `[B, C]` or one row `[C]`, of the columns in the flow's order."""
    size = flow.context_size
    if not size:
        raise InputError(f"flow must be one with a context; {flow.name} was built without context_size=….")
    if context is None:
        raise InputError(f"context must be rows of {plural(size, 'column')}, as {flow.name} is conditional; got none.")
    rows = with_last(exact(as_row(context), flow.context_columns, "context", size), size, "context").numpy()
    if rows.ndim > 2 or not rows.size:
        raise InputError(f"context must be rows [B, {size}] or one row [{size}]; got shape {list(rows.shape)}.")
    if not np.isfinite(rows).all():
        raise InputError(f"context must be finite numbers; got {in_short(rows[~np.isfinite(rows)][0].item())}.")
    return rows


def _check_line(flow: Flow, shown: Sequence[int]) -> None:
    round_again = [i for i in shown if i in flow.circular]
    if round_again:
        names = some_of([name_of(i, flow.columns) for i in round_again], 3)
        raise InputError(
            f"columns must be others than {names}: a circular column has no quantiles, as no number is first."
        )


def _check_draws(levels: np.ndarray, n: Any) -> None:
    outermost = levels[np.argmin(np.minimum(levels, 1 - levels))]
    beyond = min(outermost, 1 - outermost)
    if beyond == 0:
        raise InputError(f"q must be above 0 and below 1, as quantiles of draws tell no ends; got {outermost:g}.")
    if n * beyond < FEWEST_BEYOND - 1e-9:
        least = int(np.ceil(FEWEST_BEYOND / beyond - 1e-9))
        raise InputError(f"n must be at least {least} for q = {outermost:g}, so that some draws are beyond; got {n}.")


def _exact(flow: Flow, contexts: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """`[B, Q, 1]`, by the inverse of the cumulative distribution function."""

    def of_block(_: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        return flow.quantile(levels, context=block[:, tf.newaxis])

    return _in_blocks(of_block, contexts, max(1, BLOCK // len(levels)), lambda found: found)


def _of_draws(
    flow: Flow, contexts: np.ndarray, levels: np.ndarray, shown: Sequence[int], n: int, seed: Any
) -> np.ndarray:
    """`[B, Q, M]` of the M columns that are shown, from draws; each block of contexts has a seed of its own."""
    seed = tfp.random.sanitize_seed(stateless(seed))
    is_whole = np.isin(shown, flow.dequantize)

    def of_block(i: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(seed, i)
        return tf.gather(flow.sample(n, seed=own, context=block), shown, axis=-1)

    def quantiles(drawn: np.ndarray) -> np.ndarray:
        found = np.quantile(drawn, levels, axis=0)
        if is_whole.any():  # between two whole numbers there is none
            found[..., is_whole] = np.quantile(drawn[..., is_whole], levels, axis=0, method="inverted_cdf")
        return found.swapaxes(0, 1).astype(drawn.dtype)

    return _in_blocks(of_block, contexts, max(1, BLOCK // (n * flow.event_size)), quantiles)


def _in_blocks(
    of_block: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    contexts: np.ndarray,
    size: int,
    reduced: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """What a function of the block's number and its contexts `[size, C]` gives, reduced and put together again.

    Several blocks are worth a graph, which takes about as long as an eager call does.
    """
    count = len(contexts)
    size = min(size, count)
    padded = np.concatenate([contexts, np.repeat(contexts[-1:], -count % size, axis=0)])
    blocks = padded.reshape(-1, size, contexts.shape[1])
    if len(blocks) > 1:
        of_block = tf.function(of_block, autograph=False)
    found = [reduced(of_block(tf.constant(i), tf.constant(block)).numpy()) for i, block in enumerate(blocks)]
    return np.concatenate(found)[:count]
