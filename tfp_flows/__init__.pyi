"""The public names, for editors and type checkers: at run time each is imported at its first use."""

from tfp_flows import bases as bases
from tfp_flows import bijectors as bijectors
from tfp_flows import datasets as datasets
from tfp_flows import elementwise as elementwise
from tfp_flows import flows as flows
from tfp_flows import networks as networks
from tfp_flows import plots as plots
from tfp_flows.errors import DivergenceError as DivergenceError
from tfp_flows.errors import InputError as InputError
from tfp_flows.errors import RoundingWarning as RoundingWarning
from tfp_flows.errors import TrainingInterrupted as TrainingInterrupted
from tfp_flows.evidence import Importance as Importance
from tfp_flows.evidence import importance as importance
from tfp_flows.flow import Flow as Flow
from tfp_flows.flows import glow as glow
from tfp_flows.flows import iaf as iaf
from tfp_flows.flows import load as load
from tfp_flows.flows import maf as maf
from tfp_flows.flows import make as make
from tfp_flows.flows import mlp as mlp
from tfp_flows.flows import naf as naf
from tfp_flows.flows import nice as nice
from tfp_flows.flows import nsf as nsf
from tfp_flows.flows import nsf_coupling as nsf_coupling
from tfp_flows.flows import planar as planar
from tfp_flows.flows import real_nvp as real_nvp
from tfp_flows.laws import LawReport as LawReport
from tfp_flows.laws import LawResult as LawResult
from tfp_flows.laws import check as check
from tfp_flows.quantiles import conditional_quantiles as conditional_quantiles
from tfp_flows.runs import Run as Run
from tfp_flows.training import FlowLayer as FlowLayer
from tfp_flows.training import FlowModel as FlowModel
from tfp_flows.training import distill as distill
from tfp_flows.training import fit as fit
from tfp_flows.training import fit_density as fit_density
from tfp_flows.unconstrained import Unconstrained as Unconstrained

__version__: str
