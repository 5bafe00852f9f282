"""Glow: a flow of images, whose layers see neighbours by convolutions and mix channels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow_probability as tfp

from tfp_flows.bijectors import ChannelMixing, Coupling, Permute
from tfp_flows.checks import check_positive, check_sizes
from tfp_flows.elementwise import Affine, Elementwise
from tfp_flows.errors import InputError
from tfp_flows.flows.chain import Ends, LayerMaker, prebuilt
from tfp_flows.flows.grids import Grid, as_image_shape, grids_of, mask_of
from tfp_flows.flows.splines import spline_map
from tfp_flows.networks import ConvNet

__all__ = ["glow"]

tfb = tfp.bijectors


@prebuilt()
def glow(
    event_size: int,
    *,
    image_shape: Sequence[int] | None = None,
    num_layers: int = 8,
    num_levels: int | None = None,
    hidden_channels: int = 32,
    num_blocks: int = 1,
    activation: str = "silu",
    damped_beyond: float | None = 9.0,
    context_size: int = 0,
    context_network: Callable | None = None,
    base: str | tfp.distributions.Distribution = "normal",
    act_norm: bool = True,
    whiten: bool | None = False,
    power: bool | None = False,
    num_bins: int = 8,
    interval: float = 3.0,
    affine: bool = True,
    logit_bound: float | None = 2.0,
    tails: str = "free",
    log_scale_bound: float = 2.0,
    reversible: bool = False,
    support: Ends | None = None,
    dequantize: Sequence[int] = (),
    seed: int | None = None,
    dtype: str = "float32",
) -> LayerMaker:
    """Glow, for small images: couplings by convolutions, squeezes, mixed channels; one pass a layer either way.

    ```
    x -> Standardize -> [ squeeze -> mix channels -> coupling -> back ] -> ActNorm -> ... -> u
    coupling   pixels that stay -> ConvNet -> parameters of the map of those that move
    ```

    Rows are images, flattened line by line, `[N, H W C]`, before and after each layer too. A squeeze takes 2 x 2 places
    for one with 4 C channels. The first level has checkerboards, dark pixels that stay and light ones that move, and
    the other way round; the next ones channels as well, and the learnt matrix between them. Latents are of full size at
    every level, and the map is a spline, or with num_bins=0 affine, as in the paper. Give pixels as whole numbers with
    `dequantize=range(event_size)`: `-log_prob / (event_size log 2)` is then in bits per dimension.
    On a CPU, train with `tff.fit(..., jit_compile=False)`: XLA's convolutions of 32 channels take twice as long there.

    Args:
      image_shape: `(H, W)` or `(H, W, C)`, with H W C = D; None is a square of one channel where D is a square number,
        else a line.
      num_layers: coupling layers, dealt to the levels as evenly as can be.
      num_levels: 1 more than there are squeezes, at most num_layers; None is 3, or as many as there can be.
      hidden_channels: of the hidden images of each network.
      num_blocks: residual blocks of each network, of two convolutions.
      num_bins: bins of each spline, 2 to 500; 0 for affine maps in place of splines, to which `log_scale_bound` belongs
        alone, and the options of splines do not.

    Raises:
      InputError: for an argument that cannot work.

    Example:

    >>> import tfp_flows as tff
    >>> flow = tff.glow(event_size=16, image_shape=(4, 4), num_layers=2, hidden_channels=4, seed=0)
    >>> x = flow.sample(3, seed=0)
    >>> x.shape, flow.log_prob(x).shape
    (TensorShape([3, 16]), TensorShape([3]))

    Source: Kingma and Dhariwal, Glow, arXiv:1807.03039; checkerboards and squeezes are those of Dinh et al.,
    arXiv:1605.08803.
    """
    check_sizes(num_layers=num_layers, hidden_channels=hidden_channels, num_blocks=num_blocks)
    grids = grids_of(as_image_shape(image_shape, event_size), num_levels)
    if num_levels is not None and num_levels > num_layers:
        raise InputError(f"num_levels must be at most num_layers, which is {num_layers}; got {num_levels}.")
    grids = grids[:num_layers]
    elementwise = _map(num_bins, log_scale_bound, interval, logit_bound, tails, affine)
    dealt = np.array_split(np.arange(num_layers), len(grids))
    places = [(grid, i) for grid, part in zip(grids, dealt, strict=True) for i in range(len(part))]

    def layer(i: int, network: dict[str, Any]) -> list[tfb.Bijector]:
        grid, number = places[i]
        mask = mask_of(grid, number)
        sizes = (mask.channels_in, mask.channels_out, elementwise.params, hidden_channels, num_blocks)
        made = ConvNet(grid.size, *sizes, seen=mask.seen, asked=mask.asked, **network)
        coupling = Coupling(made.input_size, made, elementwise, name=network["name"])
        return _of_images(i, grid, mask.order, coupling, dtype)

    return layer


def _map(num_bins: Any, log_scale_bound: float, *of_splines: Any) -> Elementwise:
    check_positive(log_scale_bound=log_scale_bound)
    if isinstance(num_bins, int) and not isinstance(num_bins, bool) and num_bins == 0:
        return Affine(log_scale_bound)
    return spline_map(num_bins, *of_splines)


def _of_images(i: int, grid: Grid, order: np.ndarray, coupling: Coupling, dtype: str) -> list[tfb.Bijector]:
    """A coupling of the numbers of a grid in that order, and a mixing before it, from images to images."""
    arranged = np.ravel(grid.order)
    if grid.channels == 1:
        there, mixed = [Permute(np.argsort(arranged[order]), name=f"mask{i}")], []
    else:
        there = [Permute(np.argsort(arranged), name=f"squeeze{i}")]
        mixed = [ChannelMixing(grid.places, grid.channels, dtype=dtype, name=f"mixing{i}")]
        mixed.append(Permute(np.argsort(order), name=f"mask{i}"))
    return [*there, *mixed, coupling, Permute(arranged[order], name=f"image{i}")]
