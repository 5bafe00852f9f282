"""A flow in what Keras writes of models and layers: one that several of them have is one again when they are read."""

from typing import Any, TypeVar

import tensorflow as tf

from tfp_flows.flow import Flow
from tfp_flows.recipe import following, make_again, recipe_of

__all__ = ["config_of", "flow_of", "named_to_keras"]

AnyClass = TypeVar("AnyClass", bound=type)


def named_to_keras(cls: AnyClass) -> AnyClass:
    """Decorates a class that Keras makes from what is in a file, which may have been told of it before."""
    tf.keras.utils.get_custom_objects().pop(f"tfp_flows>{cls.__name__}", None)
    return tf.keras.utils.register_keras_serializable("tfp_flows")(cls)


@named_to_keras
class WrittenFlow:
    """A flow as an object of Keras', which reads those of one number once for a whole model."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def get_config(self) -> dict[str, Any]:
        """Its recipe, and the flows that are parts of it and that another layer may have too."""
        apart = self.flow._parts_apart()
        return {"recipe": recipe_of(self.flow, apart=apart), "apart": [config_of(part) for part in apart]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WrittenFlow":
        """The object again."""
        apart = [flow_of(part) for part in config.get("apart", ())]
        with following("the configuration of a FlowLayer"):
            return cls(make_again(config["recipe"], apart))


def config_of(flow: Flow) -> dict[str, Any]:
    """What a layer's `get_config` has of its flow.

    Keras gives a number to what it meets a second time alone, and then to a dictionary that it may have copied before.
    """
    return {**tf.keras.utils.serialize_keras_object(WrittenFlow(flow)), "shared_object_id": id(flow)}


def flow_of(config: dict[str, Any]) -> Flow:
    """The flow of what `config_of` gave, or of a recipe, which layers had of theirs before."""
    if "make" not in config:
        return tf.keras.utils.deserialize_keras_object(config).flow
    with following("the configuration of a FlowLayer"):
        return make_again(config)
