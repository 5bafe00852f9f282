"""What tells two flows of equal arrays apart: their recipes, and what parts that no recipe can hold make of numbers.

Whatever restores the arrays of a flow, from a file of `flow.save`, a training's checkpoint, Keras' weight files or a
`tf.train.Checkpoint`, has this beside them: arrays in a flow of another permutation or activation are another law.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfp_flows.errors import InputError
from tfp_flows.probes import alike, probes_of, unlike
from tfp_flows.recipe import described, differences, unwritten

__all__ = ["Identified", "Identity", "identity_of", "others", "put_arrays", "recipe_as_read"]

PARTS = {"base", "context_network"}  # of a flow, that errors call by their names


class Identity(NamedTuple):
    """A recipe, and what the parts of which it has no more than the kind make of fixed numbers."""

    recipe: dict | None  # None in files of old for a flow that has a part that cannot be written down
    probes: dict

    def as_text(self) -> str:
        """For a place beside arrays."""
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str | bytes, origin: str) -> "Identity":
        """What `as_text` gave; `InputError`, which calls its place `origin`, for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{origin}: the recipe of the flow cannot be read.") from error


def recipe_as_read(made: Any) -> dict:
    """The recipe as it is once it was written and read; of a part that cannot be written down it has the kind."""
    return json.loads(json.dumps(described(made)))


def identity_of(flow: Any) -> Identity:
    """The identity of a flow with the values that its variables have."""
    recipe = recipe_as_read(flow)
    opaque = unwritten(recipe)
    return Identity(recipe, probes_of(flow, opaque) if opaque else {})


def put_arrays(flow: Any, identity: Identity, origin: str, assign: Callable[[], None]) -> None:
    """Calls `assign`, which gives a flow the arrays that were saved with that identity.

    Raises:
      InputError: if it is another flow's; this one is as it was before.
    """
    _check_recipe(flow, identity, origin)
    before = [variable.numpy() for variable in flow.variables] if identity.probes else []
    assign()
    for name in unlike(flow, identity.probes):
        for variable, value in zip(flow.variables, before, strict=True):
            variable.assign(value)
        raise InputError(
            f"{origin} belongs to a flow with another {name} than this one: with the same variables, and of the "
            "same numbers, it made others."
        )


def others(one: Identity, other: Identity) -> list[str]:
    """The arguments in which two identities differ, and the parts that made other numbers; none if they are alike."""
    if one.recipe is None or other.recipe is None:
        return []
    named = differences(one.recipe, other.recipe, other.probes)
    return named or [name for name, numbers in one.probes.items() if not alike(numbers, other.probes.get(name))]


def _check_recipe(flow: Any, identity: Identity, origin: str) -> None:
    if identity.recipe is None:
        return
    other = differences(recipe_as_read(flow), identity.recipe, identity.probes)
    if other:
        what = f"another {' and '.join(other)}" if set(other) <= PARTS else "other layers or options"
        raise InputError(f"{origin} belongs to a flow with {what} than this one.")


class Identified(tf.train.experimental.PythonState):
    """Mixin: a `tf.train.Checkpoint` has the recipe beside the variables, and gives them to no other flow.

    A state of the flow itself, and no part of its own: a checkpoint that was written without one is still consumed.
    TensorFlow reads it before it assigns a variable, so that nothing of a flow that is refused has changed; and so it
    cannot be told apart what parts of which there is the kind alone make of numbers.
    """

    def serialize(self) -> str:
        """What TensorFlow calls to write a checkpoint."""
        return Identity(recipe_as_read(self), {}).as_text()

    def deserialize(self, string_value: bytes) -> None:
        """What TensorFlow calls to read one; `InputError` if it is another flow's."""
        _check_recipe(self, Identity.from_text(string_value, "the checkpoint"), "the checkpoint")
