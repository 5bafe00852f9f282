"""Normalizing flows on TensorFlow Probability: prebuilt chains, trained with Keras, checked against exact densities.

Nothing heavy is imported until it is used: `tff.maf` imports TensorFlow, `tff.fit` imports Keras as well.
"""

import importlib
import sys
from typing import Any

__version__ = "0.1.0"

# Where each public name lives; __getattr__ imports it at first use. Editors and type checkers read __init__.pyi.
_HOMES = {
    **dict.fromkeys(("bases", "bijectors", "datasets", "elementwise", "flows", "networks", "plots"), ""),
    "Flow": "flow",
    **dict.fromkeys(("DivergenceError", "InputError", "RoundingWarning", "TrainingInterrupted"), "errors"),
    **dict.fromkeys(("glow", "iaf", "maf", "mlp", "naf", "nice", "nsf", "nsf_coupling", "planar", "real_nvp"), "flows"),
    **dict.fromkeys(("load", "make"), "flows"),
    **dict.fromkeys(("FlowLayer", "FlowModel", "distill", "fit", "fit_density"), "training"),
    **dict.fromkeys(("Importance", "importance"), "evidence"),
    **dict.fromkeys(("LawReport", "LawResult", "check"), "laws"),
    "conditional_quantiles": "quantiles",
    "Unconstrained": "unconstrained",
    "Run": "runs",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tfp_flows' has no attribute {name!r}")
    from tfp_flows.quiet import check_keras, importing_tensorflow

    if _HOMES[name] == "training":
        check_keras()
    with importing_tensorflow():
        home = importlib.import_module(f"tfp_flows.{_HOMES[name] or name}")
    value = getattr(home, name) if _HOMES[name] else home
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _name_to_keras(*names: str) -> None:
    """Tells the Kerases that are there how to make what a file may name and nobody has imported yet."""
    for keras in (sys.modules.get("keras"), sys.modules.get("tf_keras")):
        for name in names if hasattr(keras, "saving") else ():
            make = staticmethod(lambda config, name=name: __getattr__(name).from_config(config))
            keras.saving.get_custom_objects().setdefault(f"tfp_flows>{name}", type(name, (), {"from_config": make}))


_name_to_keras("FlowLayer", "FlowModel")
