"""The worker of FlowJAX: compiled with `equinox.filter_jit`, trained with optax."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import paramax
from flowjax.bijections import RationalQuadraticSpline
from flowjax.distributions import StandardNormal
from flowjax.flows import coupling_flow, masked_autoregressive_flow
from protocol import Case, Timed, serve
from rows import rows
from siggraph import race


def build(case: Case):
    """The flow of a case, in the direction whose log-density takes one pass (`invert=True`).

    FlowJAX permutes at random between layers where others reverse. Its spline has two parameters more for each
    dimension: it learns the slopes at the ends.
    """
    options = {
        "base_dist": StandardNormal((case.event_size,)),  # unlike Normal, without parameters of its own
        "flow_layers": case.layers,
        "nn_width": case.hidden[0],
        "nn_depth": len(case.hidden),
        "invert": True,
    }
    key = jax.random.key(0)
    if case.flow in ("nsf", "spline"):
        options["transformer"] = RationalQuadraticSpline(knots=case.bins - 1, interval=3.0)
    return (masked_autoregressive_flow if case.flow in ("maf", "nsf") else coupling_flow)(key, **options)


def split(flow):
    """What is trained, and the rest: as `flowjax.train` tells them apart."""
    return eqx.partition(flow, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable))


def count(flow) -> int:
    """How many numbers are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(split(flow)[0]))


class Trainer:
    """A flow that takes steps of Adam."""

    def __init__(self, flow, learning_rate: float) -> None:
        self.params, self._static = split(flow)
        optimizer = optax.adam(learning_rate)
        self._state = optimizer.init(self.params)

        @eqx.filter_jit
        def run(params, static, state, x):
            loss, gradient = eqx.filter_value_and_grad(lambda p: -eqx.combine(p, static).log_prob(x).mean())(params)
            updates, state = optimizer.update(gradient, state, params)
            return eqx.apply_updates(params, updates), state, loss

        self._run = run

    def step(self, x) -> None:
        """One step on a batch."""
        self.params, self._state, loss = self._run(self.params, self._static, self._state, x)
        jax.block_until_ready((self.params, loss))

    @property
    def flow(self):
        """The flow as it now is."""
        return eqx.combine(self.params, self._static)


def step(case: Case) -> Timed:
    """A step of Adam on a fixed batch."""
    flow, x = build(case), jnp.asarray(rows(case))
    trainer = Trainer(flow, 1e-4)
    return Timed(count(flow), lambda: trainer.step(x))


def log_prob(case: Case) -> Timed:
    """The log-densities of a batch."""
    flow, x = build(case), jnp.asarray(rows(case))
    run = eqx.filter_jit(lambda flow, x: flow.log_prob(x))
    return Timed(count(flow), lambda: np.asarray(run(flow, x)))


def sample(case: Case) -> Timed:
    """A batch of samples."""
    flow, key = build(case), jax.random.key(0)
    run = eqx.filter_jit(lambda flow, key: flow.sample(key, (case.batch,)))
    return Timed(count(flow), lambda: np.asarray(run(flow, key)))


def first(case: Case) -> Timed:
    """The log-density of one row, as a first look at a flow takes it: not compiled as a whole."""
    flow, x = build(case), rows(case, 1)
    return Timed(count(flow), lambda: np.asarray(flow.log_prob(x)))


def matmul(case: Case) -> Timed:
    """The product of two large matrices."""
    a, run = jnp.asarray(rows(case, case.event_size)), jax.jit(jnp.matmul)
    return Timed(0, lambda: jax.block_until_ready(run(a, a)))


def train(case: Case, learning_rate: float, **options) -> dict:
    """Steps on SIGGRAPH until the target or the limit."""
    started = time.perf_counter()
    trainer = Trainer(build(case), learning_rate)
    nll = eqx.filter_jit(lambda flow, x: -flow.log_prob(x).mean())
    return race(
        lambda x: trainer.step(jnp.asarray(x)),
        lambda x: float(nll(trainer.flow, x)),
        started,
        batch=case.batch,
        **options,
    )


if __name__ == "__main__":
    serve(
        ["flowjax", "jax", "equinox", "optax", "numpy"],
        {"step": step, "log_prob": log_prob, "sample": sample, "first": first, "matmul": matmul},
        train,
    )
