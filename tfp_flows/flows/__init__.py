"""Prebuilt chains, one file a family, named as in their papers."""

from tfp_flows.flows.registry import (
    glow,
    iaf,
    load,
    maf,
    make,
    mlp,
    naf,
    names,
    nice,
    nsf,
    nsf_coupling,
    planar,
    real_nvp,
)

__all__ = [
    "glow",
    "iaf",
    "load",
    "maf",
    "make",
    "mlp",
    "naf",
    "names",
    "nice",
    "nsf",
    "nsf_coupling",
    "planar",
    "real_nvp",
]
