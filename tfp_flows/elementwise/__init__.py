"""Monotone maps of one number at a time, from the parameters that a network gives: the maths of a layer, alone.

A map is hashable, and equal to another that does the same: equal layers share what is traced. It has

```
params                      how many numbers a network gives for each dimension
forward(raw, u) -> x, s     raw [..., M, params], u [..., M] -> x [..., M] and the log-slope s = log|dx/du| [..., M]
inverse(raw, x) -> u, s     the same the other way, s = log|du/dx|
```

Leading dimensions broadcast. `forward` and `inverse` undo each other, and their log-slopes are each other's negative.
"""

from tfp_flows.elementwise.affine import Affine
from tfp_flows.elementwise.composed import Composed
from tfp_flows.elementwise.mixture_of_logistics import MixtureOfLogistics
from tfp_flows.elementwise.protocol import Elementwise
from tfp_flows.elementwise.shift import Shift
from tfp_flows.elementwise.spline import Spline

__all__ = ["Affine", "Composed", "Elementwise", "MixtureOfLogistics", "Shift", "Spline"]
