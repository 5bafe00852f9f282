"""Prebuilt chains, one file a family, named as in their papers."""

from tfp_flows.flows.registry import iaf, load, maf, make, mlp, naf, names, nice, nsf, nsf_coupling, planar, real_nvp

__all__ = ["iaf", "load", "maf", "make", "mlp", "naf", "names", "nice", "nsf", "nsf_coupling", "planar", "real_nvp"]
