"""What a flow's draws, weighted by a density, say of that density: its evidence, and how far to trust it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.checks import check_sizes
from tfp_flows.flow import Flow
from tfp_flows.pareto import pareto_k
from tfp_flows.seeds import stateless
from tfp_flows.targets import as_target, check_gradient, contexts_of, traced

__all__ = ["Importance", "importance"]

PIECE = 10_000  # draws at a time


class Importance(NamedTuple):
    """Draws `x[n]` of a flow q, and what their weights `w[n] = p(x[n]) / q(x[n])` say of an unnormalised density p.

    With a context `[B, C]`, every figure is an array `[B]`.

    Attributes:
      x: draws of the flow, `[N, D]` or `[N, B, D]`.
      log_prob: `log p(x)`, `[N]` or `[N, B]`, nats.
      log_weight: `log p(x) - log q(x)`, likewise.
      elbo: the mean of `log_weight`, below the log evidence by KL(q, p).
      log_evidence: `log mean{ w }`, an estimate of the logarithm of the integral of p, nats.
      standard_error: of `log_evidence`, nats.
      ess: effective sample size `(sum w)^2 / sum w^2`, as a part of N: 1 if q is p.
      pareto_k: index of the tail of the weights. Above 0.7 neither the evidence nor its error can be trusted, unless
        the weights are nearly equal, which `ess` says.
    """

    x: np.ndarray
    log_prob: np.ndarray
    log_weight: np.ndarray
    elbo: Any
    log_evidence: Any
    standard_error: Any
    ess: Any
    pareto_k: Any

    @property
    def weight(self) -> np.ndarray:
        """Weights that sum to one: `sum_n weight[n] f(x[n])` estimates the mean of f under p."""
        weight = np.exp(self.log_weight - self.log_weight.max(axis=0))
        return weight / weight.sum(axis=0)

    def __str__(self) -> str:
        """The figures in a line, those of several contexts by their means."""
        elbo, evidence, error, ess, k = (float(np.mean(figure)) for figure in self[3:])
        return (
            f"ELBO {elbo:.5g}, log evidence {evidence:.5g} ± {error:.2g} nats, "
            f"effective sample size {ess:.1%}, Pareto k {k:.2f}"
        )


def importance(flow: Flow, target_log_prob: Any, n: int = 10_000, *, context: Any = None, seed: Any = 0) -> Importance:
    """Weights draws of a flow by a density that it was fitted to, and says how good the fit is.

    ```
    w[n] = p(x[n]) / q(x[n]),   x[n] ~ q
    mean{ w } -> Z = integral of p,   sum{ w f(x) } / sum{ w } -> mean of f under p / Z
    ```

    All that it says is of places where the flow has mass: weights cannot tell of a mode that the flow never visits.
    `tff.fit_density` looks for such modes.

    Args:
      flow: q, fitted by `tff.fit_density`, `tff.distill` or `tff.fit`.
      target_log_prob: p, as in `tff.fit_density`.
      n: draws, for each row of the context.
      context: rows `[B, C]`, of a density with a context.
      seed: of the draws, as `flow.sample` takes it.

    Returns:
      An `Importance`: draws, weights and figures.

    Raises:
      InputError: for a density that does not fit the flow.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> flow = tff.maf(event_size=2, num_layers=2, hidden_units=(8,), seed=0)
    >>> found = tff.importance(flow, lambda x: -0.5 * tf.reduce_sum(x**2, axis=-1), n=1000)
    >>> print(f"{found.log_evidence:.3f} {found.ess:.3f}")  # the integral is 2 pi, and the flow, untrained, has the law
    1.838 1.000

    Source: Vehtari et al., arXiv:1507.02646, for k.
    """
    check_sizes(n=n)
    target, contexts = as_target(target_log_prob, flow), contexts_of(flow, context)
    check_gradient(target, flow, contexts)
    log_prob, seed = traced(target, flow), tfp.random.sanitize_seed(stateless(seed))
    own = functools.partial(tf.random.experimental.stateless_fold_in, seed)
    pieces = [
        _weighted(flow.continuous, log_prob, contexts, min(PIECE, n - start), own(i))
        for i, start in enumerate(range(0, n, PIECE))
    ]
    return _figures(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))


def _weighted(
    flow: Flow, log_prob: Callable[..., tf.Tensor], contexts: np.ndarray, n: int, seed: tf.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws of the flow, `[n, D]` or `[n, B, D]`; their log-density, of the target and less that of the flow."""
    given, shape = {}, [n]
    if contexts.size:
        given, shape = {"context": np.tile(contexts, [n, 1])}, [n, len(contexts)]
    x, log_q = flow.sample_and_log_prob(() if given else n, seed=seed, **given)
    log_p = log_prob(x, **given).numpy().astype(np.float64)
    return x.numpy().reshape([*shape, -1]), log_p.reshape(shape), (log_p - log_q.numpy()).reshape(shape)


def _figures(x: np.ndarray, log_prob: np.ndarray, log_weight: np.ndarray) -> Importance:
    """The figures of draws and weights."""
    most = log_weight.max(axis=0)
    weight = np.exp(log_weight - most)
    mean = weight.mean(axis=0)
    figures = (
        log_weight.mean(axis=0),
        most + np.log(mean),
        weight.std(axis=0) / mean / np.sqrt(len(weight)),
        mean**2 / np.mean(weight**2, axis=0),
        np.apply_along_axis(pareto_k, 0, log_weight),
    )
    return Importance(x, log_prob, log_weight, *(figure if np.ndim(figure) else float(figure) for figure in figures))
