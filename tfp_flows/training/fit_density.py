"""fit_density: fit a flow to a density that one can evaluate, and not sample."""

import os
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_choice, check_flags, check_seed
from tfp_flows.datasets import as_table, matched
from tfp_flows.datasets.refusals import some_of
from tfp_flows.errors import InputError
from tfp_flows.evidence import importance
from tfp_flows.flow import Flow
from tfp_flows.targets import Target, as_target, check_gradient, compiles, contexts_of, traced
from tfp_flows.training.callbacks import STATUS
from tfp_flows.training.history import DensityHistory
from tfp_flows.training.names import Names
from tfp_flows.training.own_samples import STATISTICS_ROWS, Density, check_draws, fit_on_own_samples
from tfp_flows.training.rows import Rows, identity_of
from tfp_flows.training.survey import CONTEXTS, missed_part, normal_around, particles_of, wide_law

__all__ = ["fit_density"]

BEFORE = 1_000  # samples of the untrained flow: modes are looked for around them
MISSED = 0.05  # part of the mass above which there is a warning
TAIL, FEW = 0.7, 0.9  # Pareto k above which there is one, where the effective sample size is below
PROBES = 3  # rows that tell one density from another, in a checkpoint


def fit_density(
    flow: Flow,
    target_log_prob: Any,
    *,
    context: Any = None,
    start: Any = None,
    epochs: int = 50,
    batch_size: int = 500,
    steps_per_epoch: int = 100,
    learning_rate: float | None = None,
    schedule: str | None = None,
    clip_norm: float | None = 5.0,
    optimizer: Any = None,
    warm_up: float = 0.5,
    gradient: str = "path",
    look_for_modes: bool = True,
    patience: int | None = None,
    jit_compile: bool | None = None,
    callbacks: Any = (),
    verbose: bool | int = True,
    seed: int = 0,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: float = 60.0,
) -> DensityHistory:
    """Fits a flow q to an unnormalised density p, such as a posterior, by the reverse KL divergence:

    ```
    ELBO = E{ log p(x) - log q(x) } = log Z - KL(q, p / Z),   x = f(u) ~ q,   Z = integral of p        nats
    ```

    The flow draws x itself, and the gradient of -ELBO goes through its samples: variational inference with a flow. The
    warm-up begins with a wide normal law in place of p, and goes over to p by its powers, `wide^(1 - b) p^b`.

    The reverse KL punishes mass of q where p has none, and hardly a mode of p that q leaves out. Samples of q cannot
    tell: so after training particles look for mass of p where q has next to none, and if there is some, a warning says
    how much. They begin three times as wide as q, before training and after it, and miss what is far from there too.

    Args:
      flow: the flow to train, in place.
      target_log_prob: log p: a function of rows, `[N, D] -> [N]`, in TensorFlow, or `f(x, context=c)`; a distribution
        over `[D]`; or a joint distribution of TFP, pinned to the data by `experimental_pin`, over whose unknown parts
        `tff.Unconstrained` makes rows of real numbers.
      context: rows `[N, C]` that p and the flow are conditional on; each batch takes some of them at random.
      start: rows `[N, D]` that lie about where p does, by which the flow's `Standardize` is set, if untouched. Without,
        it is set by particles, which start around the samples of the distribution, the prior, or the untrained flow.
      epochs: rounds of `steps_per_epoch` batches.
      batch_size: samples of a step.
      steps_per_epoch: steps between two validations.
      learning_rate: of Adam, at its highest; by default 5e-3.
      schedule: of the rate, as in `tff.distill`.
      clip_norm: global norm that gradients are clipped to; None for no clipping.
      optimizer: a Keras optimizer, or its name, in place of Adam, its schedule and its clipping.
      warm_up: part of the training over which the wide law becomes p.
      gradient: "path" leaves out a part of the gradient whose mean is zero, and vanishes where q is p: each step takes
        longer, by a pass back from the samples, and the end is nearer. "total" has it.
      look_for_modes: whether particles look for mass, before training and after it. They evaluate p and its gradient
        some 10^5 to 10^6 times.
      patience: epochs without a better validation ELBO before training stops; None never stops.
      jit_compile: whether to compile with XLA; None does so where the work is long enough to pay for it, and XLA
        knows the operations of p.
      callbacks: Keras callbacks of your own, as in `tff.distill`.
      verbose: True or 1 for a progress bar, 2 for a line an epoch, as in Keras, False or 0 for neither.
      seed: fixes the noise, the contexts and the particles.
      checkpoint: a folder for `checkpoint.npz`, from which this very training goes on: see `tff.fit`.
      checkpoint_every: seconds between two checkpoints.

    Returns:
      Keras' `History`: `history.history` has `negative_elbo`, as steps minimise it, with the warm-up's density, and
      `val_negative_elbo`, of p itself, on 10,000 samples from noise that is the same in every epoch. And
      `history.importance`, a `tff.importance` of 10,000 draws: ELBO, log evidence with its standard error, effective
      sample size, Pareto k; with a context, of eight of its rows. And `history.missed`, the part of p's mass where q
      has less than a twentieth of it, as far as particles tell; None if they got stuck or were not asked.

    Raises:
      InputError: for a density that does not fit the flow, or options that cannot work.
      DivergenceError: if the ELBO, or that of every validation, is not finite; the flow has the weights of its best
        epoch then, or is as it was.
      TrainingInterrupted: on Ctrl-C, with the history so far; the flow likewise.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> flow = tff.maf(event_size=2, num_layers=2, hidden_units=(16,), seed=0)
    >>> def target_log_prob(x):  # its integral is 2 pi sqrt(6)
    ...     return -0.5 * tf.reduce_sum((x - 4.0) ** 2 / [2.0, 3.0], axis=-1)
    >>> history = tff.fit_density(flow, target_log_prob, epochs=4, steps_per_epoch=50, jit_compile=False, verbose=False)
    >>> print(f"{history.importance.log_evidence:.1f}")
    2.7

    Source: Rezende and Mohamed, arXiv:1505.05770; the path gradient: Roeder, Wu and Duvenaud, arXiv:1703.09194.
    """
    check_draws("flow", flow)
    check_choice("gradient", gradient, ("path", "total"))
    check_flags(look_for_modes=look_for_modes)
    check_seed(seed)
    if flow.dequantize:
        raise InputError(f"flow must be over real numbers; got one with dequantize={list(flow.dequantize)}.")
    target, contexts = as_target(target_log_prob, flow), contexts_of(flow, context)
    names = _names(target, flow)
    of_context = flow.context_columns or (as_table(context, name="context").columns if contexts.size else None)
    check_gradient(target, flow, contexts)
    few = np.random.default_rng(seed).permutation(contexts)[:CONTEXTS]
    before = _samples(flow, few, seed)
    rows = None if start is None else matched(start, names, name="start", event_size=flow.event_size)
    once = compiles(target, flow, contexts)
    if jit_compile and not once:
        raise InputError(
            "jit_compile is True, and XLA cannot compile target_log_prob once for all batches: leave jit_compile out."
        )
    survey = look_for_modes and not flow.circular  # an angle has no way out of its circle, which particles take
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "steps_per_epoch": steps_per_epoch,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "clip_norm": clip_norm,
        "optimizer": optimizer,
        "patience": patience,
        "jit_compile": jit_compile if once else False,
        "callbacks": callbacks,
        "verbose": verbose,
        "seed": seed,
        "checkpoint": checkpoint,
        "checkpoint_every": checkpoint_every,
    }
    density = Density(
        target.log_prob,
        contexts,
        lambda: (_around(flow, target, few, before, survey, seed) if rows is None else rows, None),
        (names, of_context),
        {
            "target": _probes(target, flow, contexts),
            "gradient": gradient,
            "start": survey if rows is None else identity_of(Rows(rows)),
        },
        wide_law(flow),
    )
    how: dict[str, Any] = {"training": "fit_density", "called": "flow", "loss": "negative_elbo"}
    history = fit_on_own_samples(flow, density, **how, warm_up=warm_up, gradient=gradient, **options)
    found = importance(flow, target.log_prob, context=few if few.size else None, seed=seed)
    history.importance = found
    history.missed = missed_part(flow, target, found, few, before, _narrow(seed)) if survey else None
    if verbose:
        STATUS.print(str(found))
    _warn(history)
    return history


def _names(target: Target, flow: Flow) -> Names:
    """The names of columns that either knows; `InputError` if they know others."""
    if flow.columns and target.columns and list(flow.columns) != list(target.columns):
        theirs, own = some_of(target.columns), some_of(flow.columns)
        raise InputError(f"target_log_prob is over the columns {theirs}, and {flow.name} over {own}.")
    return flow.columns or target.columns


def _samples(flow: Flow, contexts: np.ndarray, seed: int) -> np.ndarray:
    """Samples `[M, D]` of the flow as it is, in some contexts."""
    given = {"context": contexts} if contexts.size else {}
    drawn = flow.sample(BEFORE // max(1, len(contexts)), seed=seed, **given)
    return drawn.numpy().reshape([-1, flow.event_size])


def _around(
    flow: Flow, target: Target, contexts: np.ndarray, before: np.ndarray, survey: bool, seed: int
) -> np.ndarray:
    """Rows by which a flow is standardised: normal ones around particles, or else those that these start around."""
    around = before if target.draw is None else target.draw(STATISTICS_ROWS, seed=(_narrow(seed), 1)).numpy()
    found = particles_of(flow, target.log_prob, around, contexts, _narrow(seed)) if survey else None
    return around if found is None else normal_around(flow, found, STATISTICS_ROWS, _narrow(seed))


def _narrow(seed: int) -> int:
    """A seed of 31 bits, as both NumPy and TensorFlow take it, in pairs too."""
    return int(seed) % (2**31 - 1)


def _probes(target: Target, flow: Flow, contexts: np.ndarray) -> list[str]:
    """What tells this density from any other, in a checkpoint: digits of it, and of its slopes, at a few rows."""
    x = tf.constant(np.random.default_rng(0).normal(size=[PROBES, flow.event_size]), flow.dtype)
    given = {"context": tf.constant(contexts[np.arange(PROBES) % len(contexts)])} if contexts.size else {}
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = traced(target, flow)(x, **given)
    slopes = np.ravel(tape.gradient(found, x))
    return [f"{value:.6g}" for value in found.numpy()] + [f"{slope:.3g}" for slope in slopes]


def _warn(history: DensityHistory) -> None:
    """Warns of mass that the flow has missed, and of figures that cannot be trusted."""
    found, sentence = history.importance, None
    if history.missed is not None and history.missed > MISSED:
        sentence = (
            f"about {history.missed:.0%} of the density's mass lies where the flow has less than a twentieth of it: "
            "modes were likely dropped, or tails, and the log evidence leaves them out; warm_up=0.5 or more, start= "
            "with rows from all modes, more epochs or a larger flow may keep them."
        )
    elif np.any((np.asarray(found.pareto_k) > TAIL) & (np.asarray(found.ess) < FEW)):
        sentence = (
            f"the log evidence cannot be trusted, nor its standard error: Pareto k is {np.max(found.pareto_k):.2f}, "
            f"above {TAIL}; more epochs, a larger flow, or start= with rows near the density may help."
        )
    if sentence:
        warnings.warn(sentence, stacklevel=3)
