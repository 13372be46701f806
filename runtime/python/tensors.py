"""numpy arrays as the runtime's tensors hold them, and back.

int48 has 6 bytes an element there and is int64 in numpy; int4 has half a byte and is int8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_INT48_BYTES = 6
_WIDER = {"int48": "int64", "int4": "int8"}


def to_bytes(array: Array, dtype: str) -> bytes:
    """Return the elements of `array` as a tensor of `dtype` holds them."""
    if dtype == "int48":
        array = array.astype("<i8").reshape(-1, 1).view(np.uint8)[:, :_INT48_BYTES]
    if dtype == "int4":
        nibbles = np.resize(array.astype(np.uint8) & 15, -(-array.size // 2) * 2)
        array = nibbles[::2] | nibbles[1::2] << 4
    return array.tobytes()


def from_bytes(data: bytes, dtype: str, shape: Sequence[int]) -> Array:
    """Return the elements of a tensor of `dtype` as an array."""
    if dtype == "int48":
        narrow = np.frombuffer(data, np.uint8).reshape(-1, _INT48_BYTES)
        wide = np.zeros((len(narrow), 8), np.uint8)
        wide[:, 8 - _INT48_BYTES :] = narrow
        out = wide.view("<i8") >> 16
    elif dtype == "int4":
        pairs = np.frombuffer(data, np.uint8)
        nibbles = np.stack([pairs & 15, pairs >> 4], -1).reshape(-1)[: int(np.prod(shape))]
        out = (nibbles.astype(np.int8) ^ 8) - 8
    else:
        out = np.frombuffer(data, dtype)
    return out.astype(_WIDER.get(dtype, dtype)).reshape(shape)
