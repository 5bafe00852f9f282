"""What a network sees of a dimension: the number itself, and waves of it; on a circle, the waves alone."""

from dataclasses import KW_ONLY, dataclass, replace

import numpy as np
import tensorflow as tf

from tfp_flows.checks import check_number, check_positive, check_sizes, given
from tfp_flows.errors import InputError
from tfp_flows.recipe import written_plainly
from tfp_flows.words import in_short

__all__ = ["PLAIN", "CircularFourier", "Fourier", "as_seen", "check_features"]

MOST_OCTAVES = 16
INTERVALS = 1e-30, 1e30  # whose waves float32 has
DAMPED = 0.02  # slope of what is seen far off: benchmarks/off_data.py


@written_plainly
@dataclass(frozen=True)
class Fourier:
    """A number `x`, and `sin` and `cos` of `2^k pi x / (2 B)` for k = 0 to K - 1.

    A network of the raw number learns its slow changes first and its fast ones hardly at all; waves of octaves beside
    it make them equally easy. The slowest has half a period on `[-B, B]`, so that both ends are told apart.

    Args:
      octaves: K; 0 for the number alone.
      interval: B, positive.
      damped_beyond: b, positive: in [-b, b] the number is seen as it is, farther off what is beyond counts a fiftieth,
        which the slope of 1 becomes smoothly; the waves are those of what is seen. None is for as it is everywhere.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> tff.networks.Fourier(2)(tf.constant([1.0])).numpy().round(3)
    array([[1.   , 0.5  , 0.866, 0.866, 0.5  ]], dtype=float32)

    Source: Tancik et al., Fourier Features Let Networks Learn High Frequency Functions, arXiv:2006.10739.
    """

    octaves: int = 0
    interval: float = 3.0
    _: KW_ONLY
    damped_beyond: float | None = None

    def __post_init__(self) -> None:
        check_sizes(octaves=self.octaves)
        if self.octaves > MOST_OCTAVES:
            raise InputError(
                f"octaves must be at most {MOST_OCTAVES}, as float32 has no faster waves; got {self.octaves!r}."
            )
        check_number("interval", self.interval, *INTERVALS)
        check_positive(**given(damped_beyond=self.damped_beyond))

    @property
    def width(self) -> int:
        """How many numbers there are for each dimension."""
        return 1 + 2 * self.octaves

    @property
    def marks(self) -> np.ndarray | None:
        """What tells the dimensions apart, `[D]`; None where all are seen alike."""
        return None

    @property
    def is_plain(self) -> bool:
        """Whether all that is seen is the number, as it is."""
        return self.width == 1 and self.damped_beyond is None

    def taken(self, index: np.ndarray) -> "Fourier":
        """The features of dimensions in another order."""
        return self

    @property
    def _lowest(self) -> float:
        return np.pi / (2 * self.interval)

    def __call__(self, x: tf.Tensor, marks: tf.Tensor | None = None) -> tf.Tensor:
        """`x [..., D] -> [..., D, width]`, the number itself first; `marks` are not needed here."""
        x, _ = self._damped(x)
        sines, cosines = _waves(self._lowest * x, self.octaves)
        return tf.stack([x, *sines, *cosines], axis=-1)

    def slopes(self, x: tf.Tensor, marks: tf.Tensor | None = None) -> tf.Tensor:
        """The slope of each of them, `[..., D, width]`."""
        x, slope = self._damped(x)
        sines, cosines = _waves(self._lowest * x, self.octaves)
        of_sines = [2.0**k * self._lowest * cosine for k, cosine in enumerate(cosines)]
        of_cosines = [-(2.0**k) * self._lowest * sine for k, sine in enumerate(sines)]
        return tf.stack([tf.ones_like(x), *of_sines, *of_cosines], axis=-1) * slope[..., None]

    def _damped(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The number that is seen, and its slope."""
        if self.damped_beyond is None:
            return x, tf.ones_like(x)
        within = tf.clip_by_value(x, -self.damped_beyond, self.damped_beyond)
        beyond = x - within
        fading = tf.math.rsqrt(1.0 + tf.square(beyond))
        seen = within + beyond * (DAMPED + (1.0 - DAMPED) * fading)
        return seen, DAMPED + (1.0 - DAMPED) * fading**3


@written_plainly
@dataclass(frozen=True)
class CircularFourier(Fourier):
    """Features of rows with dimensions on a circle, where -B and B are one point, among dimensions on the line.

    ```
    on the circle   sin and cos of 2^k pi x / B          for k = 0 to K: never the number, which jumps at B
    on the line     x, and 1 beside it; sin and cos of 2^k pi x / (2 B)    for k = 0 to K - 1, as in `Fourier`
    ```

    Args:
      octaves: K.
      interval: B, positive.
      damped_beyond: b, of the dimensions on the line.
      circular: of each dimension, whether it is on a circle.

    >>> import tensorflow as tf, tfp_flows as tff
    >>> features = tff.networks.CircularFourier(interval=2.0, circular=(True, False))
    >>> features(tf.constant([1.0, 1.0])).numpy().round(3) + 0.0
    array([[1., 0.],
           [1., 1.]], dtype=float32)

    Source: Rezende et al., Normalizing Flows on Tori and Spheres, arXiv:2002.02428.
    """

    circular: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "circular", tuple(bool(is_circular) for is_circular in self.circular))

    @property
    def width(self) -> int:
        """How many numbers there are for each dimension."""
        return 2 + 2 * self.octaves

    @property
    def marks(self) -> np.ndarray:
        """1 for dimensions on a circle, 0 for others, `[D]`."""
        return np.array(self.circular, float)

    def taken(self, index: np.ndarray) -> "CircularFourier":
        """The features of dimensions in another order."""
        return replace(self, circular=tuple(self.circular[i] for i in index))

    def __call__(self, x: tf.Tensor, marks: tf.Tensor | None = None) -> tf.Tensor:
        """`x [..., D] -> [..., D, width]`; `marks` that broadcast with x, if its dimensions are not the last axis."""
        x, _, marks = self._on_line_damped(x, marks)
        angles, _, itself = self._waves(x, marks)
        return tf.concat([tf.sin(angles) + itself * x[..., None], tf.cos(angles)], axis=-1)

    def slopes(self, x: tf.Tensor, marks: tf.Tensor | None = None) -> tf.Tensor:
        """The slope of each of them, `[..., D, width]`."""
        x, slope, marks = self._on_line_damped(x, marks)
        angles, frequencies, itself = self._waves(x, marks)
        slopes = tf.concat([frequencies * tf.cos(angles) + itself, -frequencies * tf.sin(angles)], axis=-1)
        return slopes * slope[..., None]

    def _on_line_damped(self, x: tf.Tensor, marks: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The number that is seen, or whose waves are, and its slope; and the marks, of whatever place they were."""
        marks = tf.cast(self.marks if marks is None else marks, x.dtype)
        damped, slope = self._damped(x)
        return tf.where(marks > 0, x, damped), tf.where(marks > 0, tf.ones_like(x), slope), marks

    def _waves(self, x: tf.Tensor, marks: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Angles `[..., D, K + 1]`, their frequencies, and 1 where the number itself is seen, 0 elsewhere."""
        marks = marks[..., None]
        on_circle = 2.0 ** np.arange(self.octaves + 1) * np.pi / self.interval
        on_line = np.append(0.0, on_circle[:-1] / 2)  # the first is no wave
        frequencies = marks * tf.constant(on_circle, x.dtype) + (1 - marks) * tf.constant(on_line, x.dtype)
        itself = (1 - marks) * tf.constant(on_line == 0, x.dtype)
        return x[..., None] * frequencies, frequencies, itself


def _waves(angle: tf.Tensor, octaves: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """`sin` and `cos` of `2^k angle` for k = 0 to K - 1, by doubling: one sine and one cosine are evaluated.

    Doubling is no less exact than the angle itself is: each multiplies an error by two, as it does the angle's. With
    `1 - 2 sin^2` in place of the product, it would multiply it by three.
    """
    sines, cosines = [tf.sin(angle)][:octaves], [tf.cos(angle)][:octaves]
    for _ in range(octaves - 1):
        sine, cosine = sines[-1], cosines[-1]
        sines.append(2 * sine * cosine)
        cosines.append((cosine - sine) * (cosine + sine))
    return sines, cosines


PLAIN = Fourier()


def check_features(features: Fourier, size: int) -> None:
    """Raises `InputError` for what a network of so many inputs cannot see by."""
    if not isinstance(features, Fourier):
        raise InputError(f"features must be a tff.networks.Fourier; got {in_short(features)}.")
    if features.marks is not None and len(features.marks) != size:
        raise InputError(f"features must say of {size} inputs whether they are circular; got {in_short(features)}.")


def as_seen(features: Fourier, x: tf.Tensor) -> tf.Tensor:
    """What a network sees of rows, `[..., D] -> [..., D width]`."""
    if features.is_plain:
        return x
    return tf.reshape(features(x), tf.concat([tf.shape(x)[:-1], [x.shape[-1] * features.width]], 0))
