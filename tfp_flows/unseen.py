"""A flow that a Keras 3 model merely holds, and so neither trains nor saves, in silence."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["warn_if_unseen"]


def warn_if_unseen(flow: Any) -> None:
    """Warns, once, if a Keras 3 layer that is at work has the flow as an attribute, but not its variables.

    Keras 3 finds the variables of its own layers only, and offers no way to tell it of others. Whichever model is
    being trained is among the callers.
    """
    layer_type = getattr(getattr(sys.modules.get("keras"), "layers", None), "Layer", None)
    if layer_type is None or getattr(flow, "_said_unseen", False):
        return
    for layer in _callers():
        if isinstance(layer, layer_type) and _holds(layer, flow) and not _has_variables(layer, flow):
            flow._said_unseen = True
            warnings.warn(
                f"{flow.name} is an attribute of {type(layer).__name__}, and Keras 3 does not see its variables, to "
                "train or to save them: hold tff.FlowLayer(flow) in its place.",
                stacklevel=4,
            )
            return


def _callers() -> Iterator[Any]:
    """The objects whose methods are being executed."""
    frame = sys._getframe(2)
    while frame is not None:
        if "self" in frame.f_code.co_varnames[:1]:
            yield frame.f_locals.get("self")
        frame = frame.f_back


def _holds(layer: Any, flow: Any) -> bool:
    """Whether the layer has the flow: as an attribute, in lists and dicts, or in objects from where its class is."""
    home, seen, left = type(layer).__module__, set(), [*vars(layer).values()]
    while left:
        part = left.pop()
        if part is flow:
            return True
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            left += part.values()
        elif isinstance(part, (list, tuple, set)):
            left += part
        elif type(part).__module__ == home:
            left += vars(part).values() if hasattr(part, "__dict__") else []
    return False


def _has_variables(layer: Any, flow: Any) -> bool:
    seen = {id(variable.value) for variable in layer.variables}
    return all(id(variable) in seen for variable in flow.variables)
