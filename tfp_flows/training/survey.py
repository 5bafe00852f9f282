"""Where a density that nobody can sample has its mass: a law wide enough to begin with, and particles that look for it.

 the wide law         tempered laws, b from 0 to 1           the density
N(0, 3^2) of rows  ->  wide(x)^(1 - b) density(x)^b   ->   modes, all of them     warm-up: the flow goes this way
that are standardised                                                             survey: so do particles
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors import Power, Standardize, Support
from tfp_flows.evidence import Importance
from tfp_flows.flow import Flow
from tfp_flows.targets import Target, traced

__all__ = ["CONTEXTS", "missed_part", "normal_around", "particles_of", "wide_law"]

CONTEXTS = 8  # that are looked at, at most
PARTICLES = 1_000  # in all of them
WIDE = 3.0  # standard deviations of what is standardised: benchmarks/densities.py
MOVES, LEAPS = 8, 4  # of Hamiltonian Monte Carlo between two temperatures, at least; steps of each
SHORTEST, LONGEST = 0.01, 1.0  # of its steps, in the spread of the start: each particle has its own
DENSER = 20.0  # times, the density is where a flow missed it
LEAST = 0.01  # quantile of the density at a flow's samples, below which a particle has not arrived


def wide_law(flow: Flow) -> Callable[[tf.Tensor], tf.Tensor]:
    """The log-density of rows that are N(0, 3^2) where the flow has standardised them."""
    first = _to_the_line(flow)
    law = tfp.distributions.MultivariateNormalDiag(scale_diag=tf.fill([flow.event_size], tf.cast(WIDE, flow.dtype)))
    return lambda x: law.log_prob(first.inverse(x)) + first.inverse_log_det_jacobian(x, event_ndims=1)


def particles_of(
    flow: Flow, log_prob: Callable[..., tf.Tensor], rows: np.ndarray, contexts: np.ndarray, seed: int
) -> np.ndarray | None:
    """Rows `[N, D]` that lie as those of a density do, or `[N, B, D]` for contexts `[B, C]`; None if they got stuck.

    Sequential Monte Carlo carries them from a normal law three times as wide as `rows [M, D]` to the density, by
    Hamiltonian steps of many lengths: those come to stand in all its modes that are not much farther away than that.

    Source: Del Moral, Doucet and Jasra, Statistics and Computing 22 (2012), 1009, as TFP has it.
    """
    first = _to_the_line(flow)
    z = first.inverse(tf.constant(rows, flow.dtype)).numpy()
    spread = WIDE * np.maximum(z.std(axis=0), np.finfo(z.dtype).tiny)
    law = tfp.distributions.MultivariateNormalDiag(z.mean(axis=0), spread)
    shape = [PARTICLES // max(1, len(contexts)), *([len(contexts)] if contexts.size else [])]
    shortest, longest = np.log([SHORTEST, LONGEST]) - np.log(flow.event_size) / 4
    lengths = tf.exp(tf.random.stateless_uniform([*shape, 1], (seed, 0), shortest, longest, flow.dtype)) * spread

    def against_start(z: tf.Tensor) -> tf.Tensor:
        found = _of_all(log_prob, first.forward(z), contexts) + first.forward_log_det_jacobian(z, event_ndims=1)
        found -= law.log_prob(z)
        return tf.where(tf.math.is_finite(found), found, -1e30)

    def carried() -> tuple[tf.Tensor, Any]:
        _, z, results = tfp.experimental.mcmc.sample_sequential_monte_carlo(
            law.log_prob,
            against_start,
            law.sample(shape, seed=(seed, 1)),
            min_num_steps=MOVES,
            make_kernel_fn=lambda target, *_: tfp.mcmc.HamiltonianMonteCarlo(target, lengths, LEAPS),
            seed=(seed, 2),
        )
        return first.forward(z), results.inverse_temperature

    x, power = tf.function(carried, autograph=False).get_concrete_function()()
    return x.numpy() if np.min(power) >= 1 and np.isfinite(x).all() else None


def normal_around(flow: Flow, x: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows `[n, D]` of a normal law with the mean and the covariance of `x [..., D]`, within the flow's support.

    The shape of particles is not to be trusted as far as a `Power` layer would.
    """
    ends = tfp.bijectors.Chain([layer for layer in flow.layers[:1] if isinstance(layer, Support)])
    z = ends.inverse(tf.reshape(x, [-1, flow.event_size])).numpy().astype(np.float64)
    covariance = np.reshape(np.cov(z.T), [flow.event_size] * 2)
    drawn = np.random.default_rng(seed).multivariate_normal(z.mean(axis=0), covariance, size=n)
    return ends.forward(tf.constant(drawn, flow.dtype)).numpy()


def missed_part(
    flow: Flow,
    target: Target,
    found: Importance,
    contexts: np.ndarray,
    before: np.ndarray,
    seed: int,
) -> float | None:
    """The part of a density's mass that lies where a flow has less than a twentieth of it; None if nobody can tell.

    The flow's own samples cannot: they are where it has mass. Particles that stand lower than nearly all of those do
    have not arrived anywhere, and do not count.

    Args:
      flow: the flow.
      target: the density, up to a constant, which is the log evidence in `found`.
      found: what the flow's samples say, in these contexts.
      contexts: `[B, C]`, at most `CONTEXTS` of them.
      before: samples `[M, D]` of the flow before it was trained.
      seed: of the particles.
    """
    rows = np.concatenate([before, found.x.reshape([-1, flow.event_size])[: len(before)]])
    x = particles_of(flow, target.log_prob, rows, contexts, seed)
    if x is None:
        return None
    given = {"context": np.broadcast_to(contexts, [*x.shape[:-1], contexts.shape[-1]])} if contexts.size else {}
    height = _of_all(traced(target, flow), tf.constant(x), contexts).numpy()
    arrived = height >= np.quantile(found.log_prob, LEAST, axis=0)
    ahead = height - flow.log_prob(x, **given).numpy() - found.log_evidence
    return float(np.mean(ahead[arrived] > np.log(DENSER))) if arrived.any() else None


def _of_all(log_prob: Callable[..., tf.Tensor], x: tf.Tensor, contexts: np.ndarray) -> tf.Tensor:
    """Log-densities of `x [N, D]`, or of `[N, B, D]` with contexts `[B, C]`, by what takes rows `[N, D]` alone."""
    if not contexts.size:
        return log_prob(x)
    each = tf.broadcast_to(tf.constant(contexts), [*x.shape[:-1], contexts.shape[-1]])
    flat = [tf.reshape(part, [-1, part.shape[-1]]) for part in (x, each)]
    return tf.reshape(log_prob(flat[0], context=flat[1]), x.shape[:-1])


def _to_the_line(flow: Flow) -> tfp.bijectors.Bijector:
    """The first layers, up to which rows may be bounded, skewed or far from 0."""
    kinds = (Power, Standardize, Support)
    return tfp.bijectors.Chain([*itertools.takewhile(lambda layer: isinstance(layer, kinds), flow.layers)])
