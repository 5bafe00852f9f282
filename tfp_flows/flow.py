"""Flow: a chain of bijectors on a base law, as a distribution with context."""

import copy
import functools
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.as_written import as_written
from tfp_flows.bases import Gaussian, as_base
from tfp_flows.bijectors import ActNorm, BatchNorm, Circle, Power, RecomputingChain, Standardize, Support
from tfp_flows.bijectors.rows import MOST, as_rows, check_batches
from tfp_flows.checks import as_dtype, check_columns, check_path, check_shape, check_sizes
from tfp_flows.cumulative import Cumulative
from tfp_flows.datasets.table import check_order
from tfp_flows.door import exact, rows_of_statistics, with_last
from tfp_flows.errors import InputError
from tfp_flows.export import export_flow, exported_functions
from tfp_flows.far import log_prob_of_any_rows
from tfp_flows.identity import Identified
from tfp_flows.networks.context import ContextNetwork
from tfp_flows.pieces import in_pieces
from tfp_flows.recipe import Recorded
from tfp_flows.seeds import stateless
from tfp_flows.state import save_state
from tfp_flows.unseen import warn_if_unseen
from tfp_flows.whole import log_prob_of_whole, mean_noise, rounded_down, with_noise
from tfp_flows.words import in_short, plural, reason_of

__all__ = ["Flow"]

tfb, tfd = tfp.bijectors, tfp.distributions


class Flow(Cumulative, tfd.TransformedDistribution, Recorded, Identified):
    """A normalizing flow: `x = f(u)` with `u ~ p`, by default N(0, I), and f a chain of bijectors, so that

    ```
    log_prob(x) = log p(f^-1(x)) + log|det d f^-1(x) / dx|      nats, in the units of x
    ```

    It is a `tfd.TransformedDistribution`, and all its variables exist as soon as it is constructed. Context and mode
    are arguments of every call, never state: `log_prob(x, context=c)`, `sample(n, context=c)`,
    `log_prob(x, training=True)`; they reach the layers whose `keywords` name them. The context is standardised by a
    `Standardize` of its own, `standardize_context`, and goes through `context_network`, if there is one, before it
    reaches them.

    Rows of float64 keep their digits until the first `Standardize` has taken off their mean, whatever the flow's dtype,
    and through a `Support`, a `Circle` and a `Power` at the data's end. What the flow gives, samples and quantiles, is
    of its own dtype; `sample_in_float64` draws with all digits.

    Columns in `dequantize` are whole numbers: the chain has the density of x + u, u uniform on [0, 1) in each of them,
    `log_prob` is the lower bound `E_u log p(x + u)` of the logarithm of their probability, and samples are rounded
    down, or to the nearest one in their support. `flow.continuous` is the law of x + u itself.

    `copy`, `copy.deepcopy` and `pickle` give a flow with variables of its own, equal to the last bit.

    Args:
      layers: bijectors of `[..., D]`, the data's end first, as `tfb.Chain` has them; their names must differ.
      event_size: D.
      context_size: C, the size of the context that the layers were built for; 0 for none.
      dtype: "float32" or "float64".
      chain: what makes one bijector of the layers: `tfb.Chain`, or `tff.bijectors.ReversibleChain` or
        `RecomputingChain`, which train in less memory.
      config: what `tff.make` needs to build this chain again; None for a chain of your own.
      base: the law p of the latents: "normal"; "student_t", heavy tails (`tff.bases.StudentT`); "mixture", several
        modes (`tff.bases.Mixture`); or any distribution of TFP with event_shape `[D]` and a density on all of R^D,
        another flow included. Its
        variables are trained and saved with the flow's. A flow gets the context too, as it was given, if it takes one.
      context_network: a network `[N, C] -> [N, E]` between the standardised context and the layers, which are built for
        contexts of E then: a `tff.networks.MLP`, a Keras layer or model, a function without variables. What it is not
        to learn is frozen before the flow is built.
      dequantize: columns of whole numbers, counted from 0, as in `x[:, 0]`.
      columns: names of the D columns, where they are known.
      context_columns: names of the C columns of the context.
      name: name of the distribution; by default that of the chain.

    Shapes: `log_prob`: `x [..., D]`, `context [..., C] -> [...]`; leading dimensions broadcast.
      `sample(n)`: `[n, D]`; `sample(n, context=c)` with `c [B, C]`: `[n, B, D]`.

    Raises:
      InputError: for rows of the wrong size, a context that is missing, not asked for or of the wrong size, layers
        that share a name, a base or a context network that does not fit, a `chain` of other layers or in another order.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.Flow([tff.bijectors.Standardize(2), tff.bijectors.Planar(2)], event_size=2)
    >>> flow.sample(3, seed=0).shape
    TensorShape([3, 2])
    >>> x, log_prob = flow.sample_and_log_prob(5, seed=0)
    >>> bool((abs(flow.log_prob(x) - log_prob) < 1e-4).numpy().all())
    True
    >>> flow.log_prob(x, batch_size=2).shape  # in pieces of two rows
    TensorShape([5])
    """

    _TF_MODULE_IGNORED_PROPERTIES = tfd.TransformedDistribution._TF_MODULE_IGNORED_PROPERTIES | {"_after_first"}

    if not TYPE_CHECKING:  # a type checker reads the signature of __init__

        def __new__(cls, *args: Any, **kwargs: Any) -> "Flow":
            """Makes the object, and notes the arguments."""
            made = super().__new__(cls)
            Recorded.remember(made, args, kwargs)
            return made

    def __init__(
        self,
        layers: list[tfb.Bijector],
        *,
        event_size: int,
        context_size: int = 0,
        dtype: str = "float32",
        chain: Callable[[list[tfb.Bijector]], tfb.Bijector] = tfb.Chain,
        config: dict[str, Any] | None = None,
        base: str | tfd.Distribution = "normal",
        context_network: Callable | None = None,
        dequantize: Sequence[int] = (),
        columns: Sequence[str] | None = None,
        context_columns: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        parameters = dict(locals())  # with name=None, a joint distribution may name the flow as it likes
        check_sizes(event_size=event_size, context_size=context_size)
        dtype = as_dtype(dtype)
        _check_layers(layers, event_size, dtype)
        self.event_size, self.context_size, self.config = event_size, context_size, config
        self.dequantize = check_columns("dequantize", dequantize, event_size)
        self.columns = _titles("columns", columns, event_size)
        self.context_columns = _titles("context_columns", context_columns, context_size)
        self.layers = list(layers)
        self.standardize_context = self.context_network = None
        if context_size:
            self.standardize_context = Standardize(context_size, dtype=dtype, name="standardize_context")
        if context_network is not None:
            self.context_network = ContextNetwork(context_network, context_size, dtype)
        circles = any(isinstance(layer, Circle) for layer in layers)
        base = as_base(base, event_size, context_size, dtype, circles)
        self._base_flow = base if isinstance(base, Flow) else None
        self._base_variables = self._no_dependency(list(base.variables))  # TFP's composites hide some of theirs
        bijector = _chained(self.layers, chain)
        super().__init__(
            base,
            bijector,
            kwargs_split_fn=self._split_kwargs,
            parameters=parameters,
            name=name or (config["name"] if config else "flow"),
        )
        # What follows the first layers that take rows of another type than the rest.
        self._exact = _leading(self.layers)
        rest = self.layers[self._exact :]
        self._after_first = self._no_dependency(_chained(rest, chain) if rest else tfb.Identity())
        self._key = next(_keys)
        _flows[self._key] = self

    copy, __copy__ = Recorded.copy, Recorded.__copy__
    __reduce__, __reduce_ex__ = Recorded.__reduce__, Recorded.__reduce_ex__

    @property
    def made_with(self) -> dict[str, Any]:
        """The arguments, by name."""
        columns = {"columns": self.columns, "context_columns": self.context_columns}
        return Recorded.made_with.fget(self) | {k: list(names) for k, names in columns.items() if names is not None}

    @property
    def named_parts(self) -> dict[str, tf.Module]:
        """The layers by their names, what standardises the context and goes on with it, and the base."""
        parts = {layer.name: layer for layer in self.layers}
        parts |= {"context": self.standardize_context} if self.context_size else {}
        parts |= {"context_network": self.context_network} if self.context_network else {}
        return parts | {"base": self.distribution}

    @property
    def every_layer(self) -> list[tfb.Bijector]:
        """The layers, and those of a flow that is the base."""
        return [*self.layers, *(self._base_flow.every_layer if self._base_flow else [])]

    def _parts_apart(self) -> list["Flow"]:
        """A flow that is the base, if no layer here has a variable of it: what a recipe has twice, it has once."""
        base = self._base_flow
        own = {id(variable) for layer in self.layers for variable in layer.variables}
        return [] if base is None or own & {id(variable) for variable in base.variables} else [base]

    @as_written
    def log_prob(
        self, value: Any, name: str = "log_prob", *, batch_size: int | None = None, **kwargs: Any
    ) -> tf.Tensor:
        """Log-density of the rows `value [..., D]` -> `[...]`, in nats and in the units of `value`.

        With a `batch_size`, the rows are taken so many at a time, and the memory that they need does not grow with
        their number; neither does that of the gradient, which evaluates each piece again. Many pieces are much faster
        inside a `tf.function`: each costs what an eager call costs otherwise, some tenths of a second.

        Keyword arguments: `context [..., C]`; `training` (False), whether batch norm uses the batch's own statistics.

        With columns in `dequantize` it is an estimate of a lower bound of the log-probability, `E_u log p(x + u)`: the
        mean over eight values of u, evenly spread and always the same, or with `training` over one that is drawn
        afresh. Of what is no whole number there, it is -inf.
        """
        check_order(x=value, context=kwargs.get("context"))
        value = self._rows(value)
        kwargs = self._check_kwargs(kwargs)
        if "context" in kwargs:
            check_batches(value.shape, kwargs["context"].shape)
            batch = tf.broadcast_dynamic_shape(tf.shape(value)[:-1], tf.shape(kwargs["context"])[:-1])
            value = tf.broadcast_to(value, tf.concat([batch, [self.event_size]], 0))
        log_prob = super().log_prob
        if batch_size is None:
            value, kwargs, whole = self._of_known_rank(value, kwargs)
            return whole(log_prob(value, name=name, **kwargs))
        self._check_batch_size(batch_size, kwargs)
        shape = value.shape[:-1] if value.shape.is_fully_defined() else tf.shape(value)[:-1]

        found = in_pieces(
            lambda i, size, x, *context: log_prob(tf.identity(x), name=name, **_with_context(kwargs, context)),
            [tf.reshape(value, [-1, self.event_size]), *self._context_rows(kwargs, shape)],
            *(_product(shape), batch_size, self.dtype),
        )
        return tf.reshape(found, shape)

    def unnormalized_log_prob(self, value: Any, name: str = "unnormalized_log_prob", **kwargs: Any) -> tf.Tensor:
        """`log_prob`, as the density of a flow is normalised."""
        return self.log_prob(value, name=name, **kwargs)

    def prob(self, value: Any, name: str = "prob", *, batch_size: int | None = None, **kwargs: Any) -> tf.Tensor:
        """Density of the rows `value [..., D]` -> `[...]`; `log_prob` is the safer one, with the same arguments."""
        return tf.exp(self.log_prob(value, name=name, batch_size=batch_size, **kwargs))

    @as_written
    def sample(
        self,
        sample_shape: Any = (),
        seed: Any = None,
        name: str = "sample",
        *,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Draws of shape `sample_shape + [D]`, or `sample_shape + [B, D]` for a `context [B, C]`.

        `seed` is an integer, for the same draws every time; a TFP seed; or None. With a `batch_size`, so many rows are
        drawn at a time, in memory that does not grow with their number: the same draws every time for a seed and a
        batch size, but other ones than without, or with another.
        """
        draw = functools.partial(super().sample, name=name)
        return self._draw(draw, sample_shape, seed, batch_size, kwargs, self.dtype)

    @as_written
    def sample_in_float64(
        self, sample_shape: Any = (), seed: Any = None, *, batch_size: int | None = None, **kwargs: Any
    ) -> tf.Tensor:
        """Draws as `sample` gives them, with digits that float32 has no room for far from 0, as in seconds since 1970.

        They are of the flow's dtype as far as the first layers, `Standardize`, `Power`, `Support` and `Circle`, which
        are applied in float64, as they are to rows.
        """
        return self._draw(self._drawn_in_float64, sample_shape, seed, batch_size, kwargs, tf.float64)

    @as_written
    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, *, batch_size: int | None = None, **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws as `sample` gives them, and their log-density, with no second pass."""
        draw = super().experimental_sample_and_log_prob
        return self._draw(draw, sample_shape, seed, batch_size, kwargs, (self.dtype, self.dtype))

    def experimental_sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, name: str = "sample_and_log_prob", **kwargs: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`sample_and_log_prob`, by the name that TFP has for it."""
        return self.sample_and_log_prob(sample_shape, seed, **kwargs)

    @as_written
    def encode(self, x: Any, *, context: Any = None, training: bool = False) -> tf.Tensor:
        """The latents `u = f^-1(x)` of rows `x [..., D]`, which have the base's law where the flow fits the rows'.

        Of whole numbers in the columns of `dequantize`, they are those of x + 0.5.
        """
        check_order(x=x, context=context)
        kwargs = self._check_kwargs({"context": context, "training": training})
        x = self._rows(x)
        if context is not None:
            check_batches(x.shape, kwargs["context"].shape)
        x, kwargs, whole = self._of_known_rank(x, kwargs)
        if self.dequantize:
            x = tf.cast(x, tf.float64) + mean_noise(self.dequantize, self.event_size)
        z, _ = self._through_first(x)
        return whole(self._after_first.inverse(z, **self._split_kwargs(kwargs)[1]))

    @as_written
    def decode(self, u: Any, *, context: Any = None) -> tf.Tensor:
        """The rows `x = f(u)` of latents `u [..., D]`."""
        kwargs = self._check_kwargs({"context": context})
        u = tf.cast(self._rows(u, "u"), self.dtype)
        if context is not None:
            check_batches(u.shape, kwargs["context"].shape, "u")
        u, kwargs, whole = self._of_known_rank(u, kwargs)
        return whole(self._rounded(self.bijector.forward(u, **self._split_kwargs(kwargs)[1])))

    @property
    def continuous(self) -> "Flow":
        """The flow without `dequantize`, with the very same variables: the law of x + u, with a density of its own."""
        if not self.dequantize:
            return self
        alias = copy.copy(self)
        alias.__dict__["dequantize"] = ()
        return alias

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The lower and the upper ends of the D columns, infinite where open; None if the first layer is no `Support`.

        Of whole numbers they are the least and the largest, those x with which x and x + 1 are inside that layer's. A
        circular column, whose ends are in `circular`, is open: no number is outside.
        """
        first = self.layers[0] if self.layers else None
        if not isinstance(first, Support):
            return None
        whole = np.isin(np.arange(self.event_size), self.dequantize)
        least, most = np.floor(first.low) + 1, np.ceil(first.high) - 2
        return np.where(whole, least, first.low), np.where(whole, most, first.high)

    @property
    def circular(self) -> dict[int, tuple[float, float]]:
        """The ends of one period of each circular column, by its number from 0: x and x + period are one point there.

        They are those of the `Circle` at the data's end; samples lie in [low, high).
        """
        circles = [layer for layer in self.layers[: self._exact] if isinstance(layer, Circle)]
        ends = [(i, pair) for c in circles for i, pair in enumerate(zip(c.low.tolist(), c.high.tolist(), strict=True))]
        return {i: pair for i, pair in ends if np.isfinite(pair[0])}

    def standardize(self, x: Any, weights: np.ndarray | None = None, context: Any = None) -> None:
        """Sets every `Power`, `Standardize` and `ActNorm` from the training rows `x [N, D]`, weighted by `weights [N]`.

        Each gets the statistics of the rows that reach it, through the layers before it; that of the context, of the
        rows of `context [N, C]`. Those of a flow that is the base are set too, but for the first time that this flow's
        are, where that one was fitted before.

        Raises:
          InputError: for rows, weights or a context that cannot be those of a training; nothing is set then.
        """
        self._standardize(*self._of_statistics(x, context, weights))

    def _standardize(self, x: Any, context: Any, weights: np.ndarray | None) -> None:
        base = self._base_flow
        sets_base = base is not None and (base.is_unstandardized or not self.is_unstandardized)
        if context is not None:
            self.standardize_context.set_statistics(context, weights)
        self._set_statistics((Power, Standardize, ActNorm), x, context, weights)
        if sets_base:
            base._standardize(self.encode(x, context=context), context if base.context_size else None, weights)

    def standardized(self, x: Any) -> tf.Tensor | None:
        """Rows `x [N, D]` as the first `Standardize` hands them on; None if there are other layers before it."""
        if not self._is_standardized_first:
            return None
        return self._through_first(self._with_noise(self._rows(x)))[0]

    @property
    def is_unstandardized(self) -> bool:
        """Whether the `Standardize` layers still are the identity that they start as."""
        layers = [layer for layer in self.layers if isinstance(layer, Standardize)]
        return all(layer.is_untouched for layer in [*layers, *([self.standardize_context] * bool(self.context_size))])

    def set_batch_norm(self, x: Any, context: Any = None) -> None:
        """Sets every `BatchNorm` from the training rows `x [N, D]`, with their `context [N, C]`.

        Layer by layer: each gets the statistics of what the layers before it, set already, make of the whole training
        set. This is the rule of the MAF paper's authors, arXiv:1705.07057.

        Raises:
          InputError: as `standardize` does.
        """
        self._set_batch_norm(*self._of_statistics(x, context)[:2])

    def _set_batch_norm(self, x: Any, context: Any) -> None:
        self._set_statistics(BatchNorm, x, context)
        base = self._base_flow
        if base is not None and any(isinstance(layer, BatchNorm) for layer in base.every_layer):
            base._set_batch_norm(self.encode(x, context=context), context if base.context_size else None)

    def _of_statistics(self, x: Any, context: Any, weights: Any = None) -> tuple:
        """Rows, context and weights as arrays, checked."""
        of_context = {"context_columns": self.context_columns, "context_size": self.context_size}
        return rows_of_statistics(x, self.columns, self.event_size, context=context, weights=weights, **of_context)

    def _set_statistics(self, kind: type | tuple[type, ...], x: Any, context: Any, *weights: np.ndarray | None) -> None:
        """Takes the rows through the chain, and gives each layer of a kind the statistics of what reaches it."""
        last = max((i for i, layer in enumerate(self.layers) if isinstance(layer, kind)), default=-1)
        x, by_layer = self._with_noise(self._rows(x)), {}
        if last > 0:
            _, by_layer = self._split_kwargs(self._check_kwargs({"context": context}))
        for i, layer in enumerate(self.layers[: last + 1]):
            if isinstance(layer, kind):
                layer.set_statistics(x, *weights)
            if i < self._exact:
                x, _ = layer.of_any_dtype(x)
            else:
                x = layer.inverse(tf.cast(x, self.dtype), **by_layer.get(layer.name, {}))

    def summary(self) -> str:
        """The chain from data to latent: a line a layer, with its parameters, then the totals."""
        context = f", context [{self.context_size}]" if self.context_size else ""
        lines = [f"Flow {self.name}: [{self.event_size}] {self.dtype.name}{context}, from data to latent"]
        parts = [(layer.name, _kind_of(layer), layer) for layer in self.layers]
        if self.context_network:
            parts.insert(0, ("context_network", self.context_network.kind, self.context_network))
        if not isinstance(self.distribution, Gaussian):
            parts.append(("base", _kind_of(self.distribution), self.distribution))
        for name, kind, part in parts:
            count = _count(part.trainable_variables)
            lines.append(f"  {name:<16} {kind:<32} {plural(count, 'parameter').rjust(19 + (count != 1))}")
        if self.dequantize:
            lines.append(f"  whole numbers in column {', '.join(str(i + 1) for i in self.dequantize)}")
        total = _count(self.trainable_variables)
        statistics = plural(_count(self.variables) - total, "statistic")
        return "\n".join([*lines, f"  {plural(total, 'trainable parameter')}, {statistics}"])

    def __repr__(self) -> str:
        return self.summary()

    def save(self, folder: Any) -> None:
        """Writes the flow into `folder`, as one file; `tff.load` reads it back, equal to the last bit.

        What was there before is replaced in one step: a crash leaves the old flow or the new one. A part that cannot
        be written down, such as a base or a context network of your own, is warned of: `tff.load` then takes a flow
        that was built with the same, `into=flow`.
        """
        check_path(folder=folder)
        save_state(folder, self)

    def export(self, folder: Any) -> None:
        """Writes a SavedModel with the functions, and signatures, log_prob, sample, encode, decode, sample_in_float64.

        ```
        log_prob(x [N, D])     -> [N], nats            or log_prob(x, context [N, C])
        sample(n, seed [2])    -> [n, D]               or sample(context [N, C], seed [2]) -> [N, D]
                                                       sample_in_float64 likewise, where a float32 flow has it
        encode(x [N, D])       -> [N, D], latents      or encode(x, context)
        decode(u [N, D])       -> [N, D]               or decode(u, context)
        ```

        N is any number of rows, all in the flow's dtype or all in float64; n and seed are int32.
        `tf.saved_model.load(folder)` needs neither this package nor TFP; `tf.saved_model.save(flow, folder)` writes the
        same without signatures.

        Raises:
          InputError: if the folder holds something else, or cannot be written.
        """
        check_path(folder=folder)
        export_flow(self, folder)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        return children if save_type == "checkpoint" else children | self.exported

    @functools.cached_property
    def exported(self) -> dict[str, Any]:
        """The functions of a SavedModel, by name; traced once, which takes seconds."""
        return exported_functions(self)

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: int | None = None) -> dict:
        return {}

    def __getitem__(self, slices: Any) -> "Flow":
        """The flow itself for `flow[...]`: it has no batch of distributions to take a part of."""
        if slices is not Ellipsis and slices != ():
            raise InputError(f"a flow is one distribution, without a batch to take part of; got [{in_short(slices)}].")
        return self

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    @property
    def takes_float64(self) -> bool:
        """Whether rows of float64 keep their digits, through layers that take them first, or as whole numbers."""
        return self._exact > 0 or bool(self.dequantize)

    @property
    def _is_standardized_first(self) -> bool:
        """Whether a `Standardize` is at the end of the first layers."""
        return self._exact > 0 and isinstance(self.layers[self._exact - 1], Standardize)

    def _with_noise(self, x: tf.Tensor) -> tf.Tensor:
        """The rows, with noise in the columns of whole numbers: the same at every call."""
        if not self.dequantize:
            return x
        return tf.constant(with_noise(x.numpy(), self.dequantize, np.random.default_rng(0)))

    def _through_first(self, x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        """Rows of any dtype through the first layers, which take them: in the flow's dtype then; and the log-det."""
        log_det = 0.0
        for layer in self.layers[: self._exact]:
            x, of_layer = layer.of_any_dtype(x)
            log_det += tf.cast(of_layer, self.dtype)
        return tf.cast(x, self.dtype), log_det

    def _rows(self, value: Any, name: str = "x") -> tf.Tensor:
        """A new tensor: new, so that TFP's cache cannot answer with what it knew of an old one.

        It is in the flow's dtype, or in float64 if the first layer takes it.
        """
        value = exact(value, self.columns, name, self.event_size)
        if value.dtype != tf.float64 or not self.takes_float64:
            value = tf.cast(value, self.dtype)
        return with_last(tf.identity(value), self.event_size, name)

    def _of_known_rank(self, x: tf.Tensor, kwargs: dict[str, Any]) -> tuple[tf.Tensor, dict[str, Any], Callable]:
        """Rows and context as they are, or `[N, D]` and `[N, C]` where their rank is unknown; what undoes that."""
        if x.shape.rank is not None and ("context" not in kwargs or kwargs["context"].shape.rank is not None):
            return x, kwargs, lambda found: found
        x, kwargs, whole = as_rows(x, kwargs)
        if "context" in kwargs:
            kwargs["context"] = tf.ensure_shape(kwargs["context"], [None, self.context_size])
        return tf.ensure_shape(x, [None, self.event_size]), kwargs, whole

    def _log_prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        if not self.dequantize:
            return self._log_density(x, **kwargs)
        dtype = tf.float64 if self._exact else self.dtype
        return log_prob_of_whole(self._log_density, x, self.dequantize, self.support, dtype, **kwargs)

    def _log_density(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        most = np.finfo(self.dtype.as_numpy_dtype).max
        most = np.sqrt(most) if self._is_standardized_first else most
        z, log_det = self._through_first(x)
        return log_prob_of_any_rows(self._log_prob_after_first, z, most, **kwargs) + log_det

    def _log_prob_after_first(self, z: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        of_base, by_layer = self._split_kwargs(kwargs)
        u = self._after_first.inverse(z, **by_layer)
        log_det = self._after_first.inverse_log_det_jacobian(z, event_ndims=1, **by_layer)
        return self.distribution.log_prob(u, **of_base) + log_det

    def _check_kwargs(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keyword arguments as tensors; `InputError` if one is unknown, missing or of the wrong size."""
        warn_if_unseen(self)
        unknown = set(kwargs) - {"context", "training"}
        if unknown:
            raise InputError(f"a flow takes the keyword arguments context and training; got {', '.join(unknown)}.")
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        if not self.context_size and "context" in kwargs:
            raise InputError("context was given, but this flow was built without; build it with context_size=….")
        if self.context_size:
            if "context" not in kwargs:
                raise InputError(f"this flow needs context=… with {plural(self.context_size, 'column')}; got none.")
            context = tf.identity(exact(kwargs["context"], self.context_columns, "context", self.context_size))
            kwargs["context"] = with_last(context, self.context_size, "context")
        return kwargs

    def _split_kwargs(self, kwargs: dict[str, Any]) -> tuple[dict, dict]:
        """Keyword arguments of the base, which has some if it is a flow, and of the layers, by their names."""
        training, context = kwargs.get("training", False), kwargs.get("context")
        of_base, by_layer = {}, {}
        if self._base_flow is not None:
            of_base = {"training": training} | ({"context": context} if self._base_flow.context_size else {})
        if context is not None:
            context = self.standardize_context.standardized(context)
            context = self.context_network(context, training) if self.context_network else context
        given = {"training": training, "conditional_input": context}
        for layer in self.layers:
            keywords = getattr(getattr(layer, "bijector", layer), "keywords", ())
            if keywords:
                by_layer[layer.name] = {k: given[k] for k in keywords}
        return of_base, by_layer

    def _call_sample_n(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tf.Tensor:
        return self._rounded(super()._call_sample_n(self._of_base(sample_shape, kwargs), seed, **kwargs))

    def _drawn_in_float64(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tf.Tensor:
        of_base, by_layer = self._split_kwargs(kwargs)
        u = self.distribution.sample(self._of_base(sample_shape, kwargs), seed=seed, **of_base)
        return self._rounded(self._in_float64(u, by_layer))

    def _in_float64(self, u: tf.Tensor, by_layer: dict[str, Any]) -> tf.Tensor:
        """What the chain makes of latents, with all the digits that the first layers give it."""
        x = tf.cast(self._after_first.forward(u, **by_layer), tf.float64)
        for layer in reversed(self.layers[: self._exact]):
            x = layer._forward(x)  # a public `forward` takes the layer's own dtype alone
        return x

    def _rounded(self, x: tf.Tensor) -> tf.Tensor:
        return rounded_down(x, self.dequantize, self.support) if self.dequantize else x

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any, **kwargs: Any) -> tuple[tf.Tensor, tf.Tensor]:
        if self.dequantize:
            x = self._call_sample_n(sample_shape, seed, **kwargs)
            return x, self._log_prob(x, **kwargs)
        return super()._sample_and_log_prob(self._of_base(sample_shape, kwargs), seed, **kwargs)

    def _of_base(self, sample_shape: Any, kwargs: dict[str, Any]) -> tf.Tensor:
        """What the base is asked for; one with a context adds the dimensions of that itself."""
        knows_context = self._base_flow is not None and self._base_flow.context_size
        return self._with_batch(sample_shape, {} if knows_context else kwargs)

    def _draw(
        self,
        draw: Callable,
        sample_shape: Any,
        seed: Any,
        batch_size: int | None,
        kwargs: dict[str, Any],
        dtypes: Any,
    ) -> Any:
        """What `draw` gives; with a `batch_size` so many rows at a time, each piece by a seed of its own."""
        _check_sample_shape(sample_shape)
        kwargs, seed = self._check_kwargs(kwargs), stateless(seed)
        if not tf.is_tensor(sample_shape) and any(tf.is_tensor(size) for size in tf.nest.flatten(sample_shape)):
            sample_shape = tf.stack([tf.cast(size, tf.int32) for size in sample_shape])
        known = tf.get_static_value(sample_shape) if tf.is_tensor(sample_shape) else sample_shape
        batch = kwargs["context"].shape[:-1] if "context" in kwargs else tf.TensorShape([])
        of_few_dimensions = False
        if batch.rank is not None and (known is not None or sample_shape.shape.is_fully_defined()):
            sizes = np.size(known) if known is not None else sample_shape.shape.num_elements()
            of_few_dimensions = sizes + batch.rank < MOST  # with the event at most so many
        if batch_size is None and of_few_dimensions:
            return draw(sample_shape, seed=seed, **kwargs)
        shape = self._with_batch(sample_shape, kwargs)
        if known is not None and batch.is_fully_defined():
            shape = tf.TensorShape([*np.ravel(known).astype(int), *batch])

        def piece(size: Any, seed: Any, *context: tf.Tensor) -> Any:
            return draw([] if context else [size], seed=seed, **_with_context(kwargs, context))

        rows = self._context_rows(kwargs, shape)
        if batch_size is None:
            found = piece(_product(shape), seed, *rows)
        else:
            self._check_batch_size(batch_size, kwargs)
            seed = tfp.random.sanitize_seed(seed)
            own = functools.partial(tf.random.experimental.stateless_fold_in, seed)
            draw_piece = lambda i, size, *context: piece(size, own(i), *context)  # noqa: E731
            found = in_pieces(draw_piece, rows, _product(shape), batch_size, dtypes)
        return tf.nest.map_structure(lambda t: tf.reshape(t, tf.concat([shape, t.shape[1:]], 0)), found)

    def _context_rows(self, kwargs: dict[str, Any], shape: Any) -> list[tf.Tensor]:
        """The context of each of `shape` rows, `[N, C]`, in a list; an empty one where there is none."""
        if "context" not in kwargs:
            return []
        context = tf.broadcast_to(kwargs["context"], tf.concat([shape, [self.context_size]], 0))
        return [tf.reshape(context, [-1, self.context_size])]

    def _check_batch_size(self, batch_size: Any, kwargs: dict[str, Any]) -> None:
        check_sizes(batch_size=batch_size)
        what = self._of_all_rows if kwargs.get("training") else None
        if what:
            raise InputError(f"training=True takes {what} from all the rows at once; got batch_size={batch_size}.")

    @property
    def _of_all_rows(self) -> str | None:
        """What training does to all the rows of a batch together, if it does, in this flow or in its base.

        Chance, of dropout and of noise, would draw anew in the gradient of pieces, which goes through each again.
        """
        if self.dequantize:
            return "the noise of columns in dequantize"
        if self.context_network is not None and self.context_network.takes_training:
            return "the context_network"
        if any(isinstance(layer, BatchNorm) for layer in self.layers):
            return "batch norm's statistics"
        return self._base_flow._of_all_rows if self._base_flow else None

    def _with_batch(self, sample_shape: Any, kwargs: dict[str, Any]) -> tf.Tensor:
        """`sample_shape`, with the context's leading dimensions after it: one draw for each row of the context."""
        sample_shape = tf.reshape(tf.cast(tf.convert_to_tensor(sample_shape, dtype_hint=tf.int32), tf.int32), [-1])
        if "context" not in kwargs:
            return sample_shape
        return tf.concat([sample_shape, tf.shape(kwargs["context"])[:-1]], axis=0)


def _kind_of(part: Any) -> str:
    inner = part.bijector if isinstance(part, tfb.Bijector) and hasattr(part, "bijector") else None
    return type(part).__name__ if inner is None else f"Invert({type(inner).__name__})"


def _count(variables: Sequence[tf.Variable]) -> int:
    return sum(v.shape.num_elements() for v in variables)


_CHAINS = (*tfb.Chain.__mro__[:2], RecomputingChain)  # of most layers, TFP makes the private class above tfb.Chain


def _chained(layers: list[tfb.Bijector], chain: Callable[[list[tfb.Bijector]], tfb.Bijector]) -> tfb.Bijector:
    """The layers as one bijector; `InputError` unless it is all of them, in their order, and nothing else."""
    reason = "as tfb.Chain does"
    try:
        bijector = chain(layers)
    except (TypeError, ValueError) as error:
        bijector, reason = None, f"and says: {reason_of(error)}"
    if bijector is None or [*map(id, _links(bijector))] != [id(link) for layer in layers for link in _links(layer)]:
        raise InputError(f"chain must make a chain of the layers in their order, {reason}; got {in_short(chain)}.")
    return bijector


def _links(bijector: tfb.Bijector) -> list[tfb.Bijector]:
    """The bijectors of a chain, and of the chains in it."""
    if isinstance(bijector, _CHAINS):
        return [link for each in bijector.bijectors for link in _links(each)]
    return [bijector]


def _check_layers(layers: Any, event_size: int, dtype: str) -> None:
    if not isinstance(layers, (list, tuple)):
        raise InputError(f"layers must be a list of bijectors; got a {type(layers).__name__}.")
    for layer in layers:
        if not isinstance(layer, tfb.Bijector):
            raise InputError(f"layers must be a list of bijectors; got one that is a {type(layer).__name__}.")
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        raise InputError(f"layers must have different names, as keyword arguments are sent by them; got {names}.")
    for layer in layers:
        size = getattr(getattr(layer, "bijector", layer), "event_size", None)  # of tfb.Invert, what it inverts
        if size not in (None, event_size):
            raise InputError(
                f"layer {layer.name} is of {plural(size, 'dimension')}; the flow has event_size={event_size}."
            )
        for other in [layer.dtype, *(variable.dtype for variable in layer.trainable_variables)]:
            if other is not None and other != dtype:
                other = tf.as_dtype(other).name
                raise InputError(
                    f"layer {layer.name} is of {other}; the flow has dtype={dtype!r}: both must be the same."
                )


def _leading(layers: list[tfb.Bijector]) -> int:
    """How many of the first layers take rows of any dtype: `Support`, `Circle`, `Power`, and a `Standardize`."""
    for i, layer in enumerate(layers):
        if not isinstance(layer, (Circle, Power, Support)):
            return i + isinstance(layer, Standardize)
    return len(layers)


def _titles(name: str, titles: Any, size: int) -> tuple[str, ...] | None:
    """The names of so many columns, as a tuple."""
    if titles is None:
        return None
    listed = titles.tolist() if hasattr(titles, "tolist") else titles  # of NumPy and pandas
    names = [str(title) for title in listed] if isinstance(listed, (list, tuple)) else []
    absent = any(title is None or title != title for title in listed) if names else size
    if absent or len(names) != size or len(set(names)) != size:
        raise InputError(f"{name} must be a list of {plural(size, 'different name')}; got {in_short(titles)}.")
    return tuple(names)


def _check_sample_shape(sample_shape: Any) -> None:
    tensors = [part for part in tf.nest.flatten(sample_shape) if tf.is_tensor(part)]
    if not tensors:
        check_shape("sample_shape", sample_shape)
    elif not all(tensor.dtype.is_integer for tensor in tensors):
        raise InputError(f"sample_shape must be of integers; got a tensor of {tensors[0].dtype.name}.")


def _with_context(kwargs: dict[str, Any], context: Sequence[tf.Tensor]) -> dict[str, Any]:
    """The keyword arguments, with the context of one piece in place of that of all."""
    return kwargs | ({"context": tf.identity(context[0])} if context else {})


def _product(shape: Any) -> int | tf.Tensor:
    """How many rows there are: an integer where it is known."""
    return shape.num_elements() if isinstance(shape, tf.TensorShape) else tf.reduce_prod(shape)


_keys = itertools.count()
_flows: "weakref.WeakValueDictionary[int, Flow]" = weakref.WeakValueDictionary()


class _FlowSpec(tf.TypeSpec):
    """How TensorFlow takes a flow apart: into its variables.

    Every subclass of `tfd.TransformedDistribution` is a composite tensor, and the spec that it inherits leaves out the
    variables of bijectors that are none themselves: a `tf.Module` that holds the flow would find nothing to train.
    """

    value_type = property(lambda self: Flow)

    def __init__(self, key: int) -> None:
        self._key = key

    def _serialize(self) -> tuple[int]:
        return (self._key,)

    @property
    def _component_specs(self) -> list[tf.TypeSpec]:
        return [v._type_spec for v in _flows[self._key].variables]

    def _to_components(self, flow: Flow) -> list[tf.Variable]:
        return flow.__dict__.get("_components") or list(flow.variables)

    def _from_components(self, components: list) -> Flow:
        # Inside a tf.function that got the flow as an argument: its variables are captured as those of any closure.
        flow = copy.copy(_flows[self._key])
        flow.__dict__["_components"] = list(components)
        return flow


# TFP's metaclass sets `_type_spec` itself while the class is made: ours has to follow.
Flow._type_spec = property(lambda self: _FlowSpec(self._key))
