"""numpy arrays as the runtime's tensors hold them, and back.

Only int48 differs: 6 bytes an element there, int64 in numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_INT48_BYTES = 6


def to_bytes(array: Array, *, int48: bool = False) -> bytes:
    """Return the elements of `array` as a tensor holds them."""
    if int48:
        array = array.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :_INT48_BYTES]
    return array.tobytes()


def from_bytes(data: bytes, dtype: npt.DTypeLike, shape: Sequence[int], *, int48: bool) -> Array:
    """Return a tensor's `data` as an array of `dtype`, which is int64 where they are int48."""
    if not int48:
        return np.frombuffer(data, dtype).reshape(shape).copy()
    narrow = np.frombuffer(data, np.uint8).reshape(-1, _INT48_BYTES)
    wide = np.zeros((len(narrow), 8), np.uint8)
    wide[:, 8 - _INT48_BYTES :] = narrow
    return np.asarray(wide.view("<i8") >> 16, dtype).reshape(shape)
