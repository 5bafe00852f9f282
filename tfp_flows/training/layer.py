"""FlowLayer: a flow as a Keras layer, of whichever Keras TensorFlow has, for models of the user's own."""

import copy
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfp_flows.arrays import assign_arrays, entries_of, whole_arrays
from tfp_flows.errors import InputError
from tfp_flows.flow import Flow
from tfp_flows.identity import Identity, identity_of, put_arrays
from tfp_flows.training.batch_norm import warn_of_batch_norm
from tfp_flows.training.given import named_in_order
from tfp_flows.training.keras_config import config_of, flow_of, named_to_keras
from tfp_flows.words import in_short

__all__ = ["FlowLayer"]

IDENTITY = "identity.json"  # the name of what is beside the arrays in weight files


@named_to_keras
class FlowLayer(tf.keras.layers.Layer):
    """A flow inside a Keras model: its variables are trained, counted, frozen and saved with those of the model.

    Keras 3 does not see the variables of a `tf.Module`: a flow that is merely an attribute of a model is not trained,
    and warns of it. Called on rows, the layer gives their log-probabilities, which make a loss; `sample` and
    `decode` are differentiable too. Weight files hold whole arrays by their names, as `flow.save` does.

    In Keras' fit batch norm keeps no statistics: `flow.set_batch_norm(rows)` sets them, and a warning says so. Keras
    rounds tables to float32 on their way in, whatever the layer's dtype: columns far from 0 want a `tf.data.Dataset`.

    Args:
      flow: the flow.
      **options: those of a Keras layer, such as name and trainable.

    Shapes: `x [..., D]`, `context [..., C] -> log_prob [...]`, nats.

    Example:

    >>> import tensorflow as tf, tfp_flows as tff
    >>> flow = tff.maf(event_size=2, context_size=4, num_layers=2, hidden_units=(16,), seed=0)
    >>> x, seen = tf.keras.Input([2]), tf.keras.Input([10])
    >>> context = tf.keras.layers.Dense(4)(seen)
    >>> model = tf.keras.Model([x, seen], tff.FlowLayer(flow)(x, context=context))
    >>> model.compile("adam", loss=lambda _, log_prob: -log_prob)
    >>> model([tf.ones([5, 2]), tf.ones([5, 10])]).shape
    TensorShape([5])
    """

    _has_own_faces = False  # whether no other layer shares what Keras knows of the variables, such as being frozen

    def __init__(self, flow: Flow, **options: Any) -> None:
        if not isinstance(flow, Flow):
            raise InputError(f"flow must be a tff.Flow; got {in_short(flow)}.")
        if options.get("name") is None:
            options["name"] = _new_name(flow.name)
        super().__init__(**{"dtype": flow.dtype.name, "autocast": False, **options})
        self.flow, self._refusal, self._has_warned = flow, None, False
        self.adopted = _adopted(flow.variables, self._has_own_faces or not self.trainable)
        if not self.trainable:  # Keras 3 tells the variables so when it changes, and there were none then
            for variable in self.adopted or ():
                variable.trainable = False
        self.built = True  # all the variables of a flow exist from the start

    if TYPE_CHECKING:  # Keras' own signature says nothing of what a layer takes

        def __call__(self, x: Any, context: Any = None, training: bool = False) -> tf.Tensor:  # noqa: D102
            ...

    else:

        def __call__(self, x: Any, context: Any = None, **options: Any) -> tf.Tensor:
            """As any Keras layer's; names are matched before Keras makes tensors of tables."""
            x, context = named_in_order(self.flow, x, context)
            return super().__call__(x, **({} if context is None else {"context": context}), **options)

    def call(self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Log-probability of rows `x [..., D]`, `[...]`, nats."""
        if training is True and not self._has_warned:
            self._has_warned = True
            warn_of_batch_norm(self.flow)
        return self.flow.log_prob(x, context=context, training=training)

    def add_nll(self, x: tf.Tensor, context: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Adds `-mean{ log_prob(x[n] | c[n]) }` to the losses of the model, and returns the log-probabilities."""
        log_prob = self(x, context=context, training=training)
        self.add_loss(-tf.reduce_mean(log_prob))
        return log_prob

    def sample(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        """`flow.sample`: draws, differentiable in the weights and the context."""
        return self.flow.sample(*args, **kwargs)

    def encode(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        """`flow.encode`: the latents of rows."""
        return self.flow.encode(*args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> tf.Tensor:
        """`flow.decode`: the rows of latents."""
        return self.flow.decode(*args, **kwargs)

    def compute_output_shape(self, x_shape: Any, context_shape: Any = None) -> tuple:
        """Without the last dimension."""
        return tuple(x_shape[:-1])

    def save_own_variables(self, store: Any) -> None:
        """What Keras calls to write weights: the flow's whole arrays, by their names, and what they belong to."""
        for name, array in whole_arrays(self.flow).items():
            store[_key(name)] = array
        store[IDENTITY] = np.frombuffer(identity_of(self.flow).as_text().encode(), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """What Keras calls to read weights; `InputError` if they are another flow's."""
        keys, origin = {_key(name): name for name in entries_of(self.flow)}, f"the weights of {self.name}"
        arrays = {keys.get(key, key): np.asarray(store[key]) for key in store.keys()}  # noqa: SIM118, a store of Keras cannot be iterated over
        text = arrays.pop(IDENTITY, None)  # None in files of old
        identity = Identity(None, {}) if text is None else Identity.from_text(text.tobytes(), origin)
        try:
            put_arrays(self.flow, identity, origin, lambda: assign_arrays(self.flow, arrays, origin))
        except InputError as error:
            # Keras tries again by another path of the layer, where there is nothing, and shows the last error alone.
            self._refusal = error if arrays or self._refusal is None else self._refusal
            raise self._refusal from error

    def get_config(self) -> dict[str, Any]:
        """What Keras writes beside the weights, with the recipe of the flow."""
        return {"flow": config_of(self.flow), "name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FlowLayer":
        """The layer again."""
        return cls(flow_of(config["flow"]), **{key: value for key, value in config.items() if key != "flow"})

    def __deepcopy__(self, memo: dict[int, Any]) -> "FlowLayer":
        """A layer over a copy of the flow, which is one for all layers over it that are copied together."""
        return type(self)(copy.deepcopy(self.flow, memo), name=self.name, trainable=self.trainable)


def _key(name: str) -> str:
    return name.replace("/", ".")  # an HDF5 group takes a slash for a group inside


_faces: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # by the identity of the variable


def _adopted(variables: Any, anew: bool) -> list | None:
    """The variables as Keras 3 knows them: faces of the same values. tf_keras finds those of a module by itself.

    A model that has a variable in two layers must see one: a step would go down its gradient once for each face. What
    is frozen in another layer is not shared with one that trains.
    """
    if not hasattr(tf.keras, "Variable"):
        return None

    class Adopted(tf.keras.Variable):
        def __init__(self, variable: tf.Variable) -> None:
            self._own = variable
            name = _key(variable.name.removesuffix(":0"))
            super().__init__(variable.numpy(), name=name, trainable=variable.trainable, autocast=False)

        def _initialize(self, value: Any) -> None:
            self._value = self._own

    if anew:
        return [Adopted(variable) for variable in variables]
    known = [_faces.get(id(variable)) for variable in variables]
    shared = [face is not None and face.trainable == v.trainable for v, face in zip(variables, known, strict=True)]
    made = [face if share else Adopted(v) for v, face, share in zip(variables, known, shared, strict=True)]
    _faces.update({id(variable): face for variable, face in zip(variables, made, strict=True)})
    return made


def _new_name(name: str) -> str:
    """The name, or with a number behind it: as Keras names layers, of which a model has no two of a name."""
    times = tf.keras.backend.get_uid(name)
    return name if times == 1 else f"{name}_{times - 1}"
