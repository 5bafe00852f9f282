"""Any integer as a seed."""

import hashlib
import operator
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.errors import InputError
from tfp_flows.words import in_short

__all__ = ["stateless"]


def stateless(seed: Any) -> Any:
    """An integer of any size and sign as a stateless seed; seeds of TFP's and None as they are.

    With TFP's stateful seeds, the second call would give other draws. Different integers of 64 bits give different
    seeds: the halves of their two's complement. Larger ones are hashed.

    In a loop of `tf.vectorized_map`, as the joint distributions `…AutoBatched` have, a stateless seed would give every
    iteration the same draws: there an integer stays an integer, of 31 bits, and TFP draws the seeds of iterations.

    Raises:
      InputError: for a number that is not an integer, or a word.

    Example:

    >>> stateless(-1).numpy().tolist(), stateless(7 + 2**32).numpy().tolist()
    ([-1, -1], [1, 7])
    """
    try:
        seed = operator.index(seed)
    except TypeError as error:  # a pair of integers, a stream of seeds, None
        if _is_integer(seed):  # of a graph
            wide = tf.cast(seed, tf.int64)
            return tf.cast(tf.stack([tf.bitwise.right_shift(wide, tf.constant(32, tf.int64)), wide]), tf.int32)
        if seed is None or callable(seed) or _is_pair(seed):
            return seed
        raise InputError(f"seed must be an integer, a seed of TFP's or None; got {in_short(seed)}.") from error
    if not -(2**63) <= seed < 2**63:
        seed = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little", signed=True)
    if "loop_body" in tf.get_current_name_scope().split("/"):
        return seed % (2**31 - 1)
    halves = (seed >> 32) % 2**32, seed % 2**32
    return tf.constant([half - 2**32 if half >= 2**31 else half for half in halves], tf.int32)


def _is_pair(seed: Any) -> bool:
    if tf.is_tensor(seed) and hasattr(seed, "numpy") and seed.dtype.size > 4:  # TensorFlow's kernels take int32
        return _is_pair(seed.numpy())
    if tf.is_tensor(seed):
        return seed.dtype.is_integer and seed.shape.is_compatible_with([2])
    if isinstance(seed, (list, tuple)) and any(map(tf.is_tensor, seed)):
        return len(seed) == 2 and all(_is_integer(part) or isinstance(part, int) for part in seed)
    if not isinstance(seed, (list, tuple, np.ndarray)) or np.shape(seed) != (2,):
        return False
    # others would be taken modulo 2^32
    return np.asarray(seed).dtype.kind in "iu" and all(-(2**31) <= int(part) < 2**32 for part in seed)


def _is_integer(part: Any) -> bool:
    return tf.is_tensor(part) and part.dtype.is_integer and part.shape.rank == 0
