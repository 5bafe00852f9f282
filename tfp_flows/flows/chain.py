"""What every prebuilt chain has in common: standardised data, mixing, batch norm, its own recipe, its words."""

import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import tensorflow_probability as tfp

from tfp_flows.bijectors import ActNorm, BatchNorm, Power, RecomputingChain, ReversibleChain, Standardize, Support
from tfp_flows.checks import check_columns, check_flags, check_positive, check_sizes, given, plain_options
from tfp_flows.covariance import MOST_COLUMNS
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.flows.choices import WORDS, chosen
from tfp_flows.flows.circles import Circles, Periods, circles_of
from tfp_flows.flows.ends import Ends, ends_of, written
from tfp_flows.flows.mixing import Mixing, mixing_of
from tfp_flows.networks.context import ContextNetwork
from tfp_flows.networks.dense import random_generator
from tfp_flows.recipe import spend
from tfp_flows.words import in_short, plural

__all__ = ["Ends", "LayerMaker", "Periods", "check_no_context", "prebuilt"]

tfb = tfp.bijectors
P = ParamSpec("P")

# Of layer i: from its number, and the arguments of its network (seed and name too), its bijectors, the data's end first
LayerMaker = Callable[[int, dict[str, Any]], tfb.Bijector | list[tfb.Bijector]]

# The arguments that chains share, as every one of them explains them.
ARGUMENTS = {
    "event_size": "D, at least 1.",
    "hidden_units": "sizes of the hidden layers of each network.",
    "activation": 'of the networks: "silu", "tanh", "softplus", "gelu", "elu" or "relu".',
    "residual": "whether each hidden layer but the first adds to the one before; hidden_units of one size.",
    "octaves": "waves of each number that the networks see beside it, `sin` and `cos` of so many octaves: fast changes "
    "are then learnt as easily as slow ones. An integer is that of the data's end, with fewer deeper; or a list, one "
    "for each layer.",
    "damped_beyond": "the networks see numbers as they are up to so many standard deviations, at least within the "
    "splines' interval; what is beyond counts a fiftieth, so that log p far off the data is a number that one can use. "
    "None is for as they are.",
    "context_size": "size of the conditional input, 0 for none.",
    "context_network": "network whose outputs the layers get in place of the context: a `tff.networks.MLP`, a layer or "
    "model of Keras, a function.",
    "base": 'law of the latents: "normal", "student_t" (heavy tails), "mixture" (several modes), or a distribution of '
    "TFP over `[D]`, a flow too; its variables are trained.",
    "batch_norm": "whether batch normalisation follows every second layer, as in the tutorial.",
    "act_norm": "whether activation normalisation, as in Glow, follows every layer.",
    "mixing": 'of the dimensions between layers: "reverse", their order; "random", permutations; "linear", a learnt '
    'matrix as well; "none"; or a list of permutations of 0..D-1, one before each layer from the data\'s end, None for '
    "none. Coupling layers get their halves dealt anew before every second layer.",
    "whiten": "whether data is standardised by the whole covariance of its columns, not by their variances alone: no "
    "flow then starts worse than the best Gaussian. None does so where columns nearly are linear functions of others.",
    "power": "whether columns are first taken to the powers that make them most like a Gaussian's, after Yeo and "
    "Johnson. None does so, of 3 to 128 columns, where they nearly are linear functions of others.",
    "num_bins": "bins of each spline, 2 to 500.",
    "interval": "B: each spline bends [-B, B] of standardised data; lines go on from its ends, which it keeps.",
    "affine": "whether an affine map by the same network comes before each spline, from the data's end: the interval "
    "then moves and widens with what the network sees, and mass moves across its ends.",
    "logit_bound": "smooth bound on the absolute logits of the bins' sizes, which keeps rounding small; None for none, "
    "as in version 0.1.",
    "tails": 'slopes of the splines at both ends of the interval and beyond: "identity", one; "equal", one that is '
    'learnt; or "free", two.',
    "log_scale_bound": "smooth bound on the absolute log-scale of each layer.",
    "recompute": "whether the gradient computes about sqrt(num_layers) segments of layers again instead of keeping "
    "them: training then takes less memory, and more time a step.",
    "reversible": "whether the gradient recomputes each layer's input by its inverse instead of keeping it: training "
    "then takes memory that does not grow with the depth, and more time a step; not with batch_norm.",
    "support": "ends of columns that are not the whole line, by their numbers from 0: {0: (0.0, None)} where the first "
    "is positive; the ends are outside, None is open, and log p is -inf beyond. Of whole numbers they are the least "
    "and the largest.",
    "circular": "columns that come round again, by their numbers from 0, with their period or the ends of one: "
    "{0: 24.0} for hours of the day, {1: (-180.0, 180.0)} for angles. Rows may lie in any period, log p is the same in "
    "all of them and comes to one over one; samples lie in [low, high). Their latents are uniform, whatever the base. "
    'Not with mixing="linear", affine, act_norm or batch_norm. After Rezende et al., arXiv:2002.02428.',
    "dequantize": "columns of whole numbers, by their numbers from 0: trained with fresh uniform noise of [0, 1) in "
    "every batch; log_prob is then a lower bound of the log-probability, and samples are whole.",
    "seed": "integer that fixes the initial weights and random permutations.",
    "dtype": '"float32" or "float64".',
}
# Octaves that a layer has less than that at the data's end; the last for all that follow: benchmarks/flows_and_data.py
FEWER = (0, 1, 2)
FLAGS = ("act_norm", "batch_norm", "recompute", "reversible")
NETWORK = ("hidden_units", "activation", "residual", "context_size", "dtype")  # what a chain hands on to its networks


Prebuilt = Callable[P, LayerMaker | tuple[LayerMaker, list[tfb.Bijector]]]  # what a chain is written as


def prebuilt(*, halves: bool = False) -> Callable[[Prebuilt[P]], Callable[P, Flow]]:
    """The chain `x <- Standardize <- layer0 <- mixing <- layer1 ...`, with batch norm after every second layer.

    Columns that are not the whole line have a `Support` or a `Circle` before that.

    It decorates a function that has the name and the arguments of the chain, and returns what makes a layer, alone or
    with a list of bijectors for the latent end. Its docstring explains the arguments that are its own, under `Args:`;
    the others get their words from here. With `halves`, its layers work on one half of a row each.
    """

    def decorated(make_layers: Prebuilt[P]) -> Callable[P, Flow]:
        name, signature = make_layers.__name__, inspect.signature(make_layers)
        left = [p.name for p in signature.parameters.values() if p.name in WORDS and p.default is None]

        @functools.wraps(make_layers)
        def chain(*args: P.args, **kwargs: P.kwargs) -> Flow:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name}() {error}") from None
            bound.apply_defaults()
            check_sizes(event_size=bound.arguments["event_size"])  # chains cut it into halves
            bound.arguments.update(plain_options(bound.arguments))
            bound.arguments.update(chosen(bound.arguments, left))
            layers = make_layers(**bound.arguments)
            return _build(name, bound.arguments, halves, *(layers if isinstance(layers, tuple) else (layers,)))

        chain.__signature__ = signature.replace(return_annotation=Flow)
        chain.__doc__ = _explained(make_layers.__doc__, list(signature.parameters), left)
        return chain

    return decorated


def _explained(doc: str | None, names: Sequence[str], left: Sequence[str]) -> str | None:
    """A docstring whose `Args:` explains all the arguments, in their order; some of them are left to the chain."""
    if doc is None:  # python -OO
        return None
    head, _, rest = inspect.cleandoc(doc).partition("Args:\n")
    own, _, tail = rest.partition("\n\n")
    blocks = re.split(r"\n(?=  \w)", own)
    explained = {block.strip().partition(":")[0]: block for block in blocks}
    for name in names:
        words = f"{name}: {ARGUMENTS.get(name)}"
        if name in left:
            words += f" {WORDS[name]}"
        words = textwrap.fill(words, 116, initial_indent="  ", subsequent_indent="    ")
        explained.setdefault(name, words)
    args = "\n".join(explained[name] for name in names)
    return f"{head}Args:\n{args}\n\n{tail}\n"


def _build(
    name: str, options: dict[str, Any], halves: bool, make_layer: LayerMaker, last: Sequence[tfb.Bijector] = ()
) -> Flow:
    """The flow of a chain with those options; with random permutations written out they become its config."""
    event_size, num_layers, dtype = options["event_size"], options["num_layers"], options["dtype"]
    _check(options)
    spend(event_size * num_layers)
    rng = random_generator(options["seed"])
    mixing = mixing_of(options.get("mixing", "none"), event_size, num_layers, halves, rng)
    whole = check_columns("dequantize", options["dequantize"], event_size)
    circles = circles_of(options, whole, mixing.orders)
    network, octaves = _network(options), _octaves(options.get("octaves", 0), num_layers)
    seen = event_size // 2 if halves else event_size  # by the network of a layer
    layers = _data_end(options, whole, circles)
    for i in range(num_layers):
        layers += [*mixing.before(i, event_size, dtype), *circles.before(i, rng)]
        own = {
            "seed": int(rng.integers(2**31)),
            "name": f"{name}{i}",
            "features": circles.features(i, octaves[i], seen),
        }
        made = make_layer(i, network | own)
        layers += [*(made if isinstance(made, list) else [made]), *_norms(i, options)]
    return Flow(
        [*layers, *last],
        event_size=event_size,
        context_size=options["context_size"],
        dtype=dtype,
        chain=_chain_of(options),
        config=_config(name, options, mixing, whole, circles),
        **_beyond_the_layers(options, whole, circles),
    )


def _check(options: dict[str, Any]) -> None:
    check_sizes(num_layers=options["num_layers"], context_size=options["context_size"])
    check_flags(**{option: options[option] for option in FLAGS if option in options})
    check_flags(**given(whiten=options["whiten"], power=options["power"]))
    check_positive(**given(damped_beyond=options.get("damped_beyond")))


def _network(options: dict[str, Any]) -> dict[str, Any]:
    """What the networks of all layers have in common: with a context network, contexts are its outputs."""
    network = {option: options[option] for option in NETWORK if option in options}
    context_network = options.get("context_network")
    if context_network is not None:
        made = ContextNetwork(context_network, options["context_size"], options["dtype"])
        network["context_size"] = made.output_size
    return network


def _data_end(options: dict[str, Any], whole: Sequence[int], circles: Circles) -> list[tfb.Bijector]:
    """What rows go through first, in their own dtype."""
    event_size, dtype = options["event_size"], options["dtype"]
    ends = ends_of(options["support"], whole, event_size)
    support = [] if ends is None else [Support(*ends, dtype=dtype)]
    kept = {"keep": sorted(circles.ends)} if circles.ends else {}
    power, standardize = [], Standardize(event_size, whiten=options["whiten"], dtype=dtype, **kept)
    if options["power"] or (options["power"] is None and 2 < event_size <= MOST_COLUMNS):
        power = [Power(event_size, only_narrow=options["power"] is None, dtype=dtype, **kept)]
    return [*support, *circles.at_the_data(), *power, standardize]


def _norms(i: int, options: dict[str, Any]) -> list[tfb.Bijector]:
    """The normalisation that follows layer i."""
    event_size, dtype = options["event_size"], options["dtype"]
    norms = []
    if options.get("batch_norm") and i % 2 == 0:
        norms.append(BatchNorm(event_size, dtype=dtype, name=f"batch_norm{i}"))
    if options.get("act_norm"):
        norms.append(ActNorm(event_size, dtype=dtype, name=f"act_norm{i}"))
    return norms


def _beyond_the_layers(options: dict[str, Any], whole: Sequence[int], circles: Circles) -> dict[str, Any]:
    """What the flow has besides its layers, where that is not its default: base, context network, whole numbers."""
    base = circles.base(options["base"])
    given = {"base": None if isinstance(base, str) and base == "normal" else base, "dequantize": whole or None}
    given["context_network"] = options.get("context_network")
    return {argument: value for argument, value in given.items() if value is not None}


def _config(
    name: str, options: dict[str, Any], mixing: Mixing, whole: Sequence[int], circles: Circles
) -> dict[str, Any]:
    """What `tff.make` builds the same chain from, in types that JSON has, where the parts of the user's are such."""
    config = {"name": name, **options, "support": written(options["support"]), "dequantize": list(whole)}
    if "mixing" in options and not mixing.linear:
        config["mixing"] = mixing.orders
    if "hidden_units" in options:
        config["hidden_units"] = list(options["hidden_units"])
    if "circular" in options:
        config["circular"] = circles.written()
    return config


def _octaves(octaves: int | Sequence[int], num_layers: int) -> list[int]:
    """How many each layer's network sees."""
    if isinstance(octaves, (list, tuple)):
        if len(octaves) != num_layers:
            raise InputError(
                f"octaves must list {plural(num_layers, 'integer')}, one for each layer; got {in_short(octaves)}."
            )
        return list(octaves)
    if isinstance(octaves, bool) or not isinstance(octaves, int) or octaves < 0:
        raise InputError(
            f"octaves must be an integer of at least 0, or a list of one for each layer; got {in_short(octaves)}."
        )
    return [max(0, octaves - FEWER[min(i, len(FEWER) - 1)]) for i in range(num_layers)]


def _chain_of(options: dict[str, Any]) -> Callable[[list[tfb.Bijector]], tfb.Bijector]:
    """What chains the layers: the option decides what their gradient keeps in memory."""
    if options.get("reversible") and options.get("batch_norm"):
        raise InputError(
            "reversible=True needs batch_norm=False, as a batch's own statistics cannot be undone; got batch_norm=True."
        )
    if options.get("reversible"):
        return ReversibleChain
    return RecomputingChain if options.get("recompute") else tfb.Chain


def check_no_context(name: str, context_size: int) -> None:
    """Raises `InputError` for a context that no network is there to take."""
    check_sizes(context_size=context_size)
    if context_size:
        raise InputError(
            f"{name} has no network to take a context: context_size must be 0; got {in_short(context_size)}."
        )
