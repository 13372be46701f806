"""TOSA ops evaluated by numpy, for folding constants and for filling lookup tables.

Float ops are computed in float64, so a table or a folded weight is rounded once. Integers wrap
around as two's complement does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import attr_ints
from tosaic.dialects.types import constant_value, element_of, is_float

Array = npt.NDArray[Any]
_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


def _clamp(op: Any, x: Array) -> Array:
    return np.clip(x, op.attributes["min_val"].value, op.attributes["max_val"].value)


def _pow(x: Array, y: Array) -> Array:
    return np.power(x.astype(np.float64), y)


def _extremum(nan: Any, ignoring: Any) -> Callable[..., Array]:
    def extremum(op: Any, x: Array, y: Array) -> Array:
        ignore = "nan_mode" in op.attributes and "IGNORE" in str(op.attributes["nan_mode"])
        return np.asarray((ignoring if ignore else nan)(x, y))

    return extremum


# Elementwise ops of floats, and the logic between them: name -> function of op and operands.
FLOAT_ELEMENTWISE: dict[str, Callable[..., Array]] = {
    "tosa.abs": lambda op, x: np.abs(x),
    "tosa.add": lambda op, x, y: x + y,
    "tosa.ceil": lambda op, x: np.ceil(x),
    "tosa.clamp": _clamp,
    "tosa.cos": lambda op, x: np.cos(x),
    "tosa.equal": lambda op, x, y: x == y,
    "tosa.erf": lambda op, x: _erf(x),
    "tosa.exp": lambda op, x: np.exp(x),
    "tosa.floor": lambda op, x: np.floor(x),
    "tosa.greater": lambda op, x, y: x > y,
    "tosa.greater_equal": lambda op, x, y: x >= y,
    "tosa.log": lambda op, x: np.log(x),
    "tosa.logical_and": lambda op, x, y: x & y,
    "tosa.logical_not": lambda op, x: ~x,
    "tosa.logical_or": lambda op, x, y: x | y,
    "tosa.logical_xor": lambda op, x, y: x ^ y,
    "tosa.maximum": _extremum(np.maximum, np.fmax),
    "tosa.minimum": _extremum(np.minimum, np.fmin),
    "tosa.mul": lambda op, x, y, shift: x * y,
    "tosa.negate": lambda op, x, *zero_points: -x,
    "tosa.pow": lambda op, x, y: _pow(x, y),
    "tosa.reciprocal": lambda op, x: 1.0 / x,
    "tosa.rsqrt": lambda op, x: 1.0 / np.sqrt(x),
    "tosa.select": lambda op, c, x, y: np.where(c, x, y),
    "tosa.sigmoid": lambda op, x: _sigmoid(x),
    "tosa.sin": lambda op, x: np.sin(x),
    "tosa.sub": lambda op, x, y: x - y,
    "tosa.tanh": lambda op, x: np.tanh(x),
}


def _slice(op: Any, x: Array, start: Array, size: Array) -> Array:
    return x[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))]


def _pad(op: Any, x: Array, padding: Array, value: Array) -> Array:
    return np.pad(x, np.reshape(padding, (-1, 2)), constant_values=np.reshape(value, -1)[0])


def _reshape(op: Any, x: Array, shape: Array) -> Array:
    return x.reshape([int(d) for d in shape])


# Ops that move elements: name -> function of the op and its operands.
MOVEMENT: dict[str, Callable[..., Array]] = {
    "tosa.gather": lambda op, x, places: np.take_along_axis(x, places[:, :, None], 1),
    "tosa.concat": lambda op, *xs: np.concatenate(xs, op.attributes["axis"].value),
    "tosa.identity": lambda op, x: x,
    "tosa.pad": _pad,
    "tosa.reshape": _reshape,
    "tosa.reverse": lambda op, x: np.flip(x, op.attributes["axis"].value),
    "tosa.slice": _slice,
    "tosa.tile": lambda op, x, times: np.tile(x, times),
    "tosa.transpose": lambda op, x: np.transpose(x, attr_ints(op, "perms")),
}


def _reduced(function: Any) -> Callable[..., Array | None]:
    def reduced(op: Any, x: Array) -> Array | None:
        if "nan_mode" in op.attributes and "IGNORE" in str(op.attributes["nan_mode"]):
            return None
        return np.asarray(function(x, axis=op.attributes["axis"].value, keepdims=True))

    return reduced


def _divided(x: Array, y: Array) -> Array | None:
    """Divide towards zero; by zero it is not defined."""
    if not y.all():
        return None
    quotient = abs(x.astype(np.int64)) // abs(y.astype(np.int64))
    return np.asarray(np.where((x < 0) == (y < 0), quotient, -quotient))


def _argmax(op: Any, x: Array) -> Array:
    return np.asarray(np.argmax(x, op.attributes["axis"].value))  # NaN wins here too


# What else is evaluated, of floats and integers: name -> function of op and tensor operands.
OTHER: dict[str, Callable[..., Array | None]] = {
    "tosa.argmax": _argmax,
    "tosa.bitwise_and": lambda op, x, y: x & y,
    "tosa.bitwise_not": lambda op, x: ~x,
    "tosa.bitwise_or": lambda op, x, y: x | y,
    "tosa.bitwise_xor": lambda op, x, y: x ^ y,
    "tosa.intdiv": lambda op, x, y: _divided(x, y),
    "tosa.matmul": lambda op, x, y, *zero_points: np.matmul(x, y),
    "tosa.reduce_all": _reduced(np.all),
    "tosa.reduce_any": _reduced(np.any),
    "tosa.reduce_max": _reduced(np.max),
    "tosa.reduce_min": _reduced(np.min),
    "tosa.reduce_product": _reduced(np.prod),
    "tosa.reduce_sum": _reduced(np.sum),
}
_ZERO_POINTS = ("tosa.matmul", "tosa.negate")


def evaluate(op: Any, operands: list[Array]) -> Array | None:
    """Return `op` applied to constant `operands`, None where it is not evaluated here."""
    name = str(op.name)
    move = MOVEMENT.get(name)
    if move is not None:
        return move(op, *operands)
    function = FLOAT_ELEMENTWISE.get(name) or OTHER.get(name)
    if function is None or (name == "tosa.mul" and operands[2].any()):
        return None
    if name in _ZERO_POINTS and any(z.any() for z in operands[-2:]):
        return None
    wide = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in operands]
    with np.errstate(all="ignore"):
        return function(op, *wide)


def known_value(value: ir.Value) -> Array | None:
    """Return the elements of what follows from constants, else None."""
    array = constant_value(value)
    owner = value.owner
    if array is not None or isinstance(owner, ir.Block) or not str(owner.name).startswith("tosa."):
        return array
    operands = [known_value(v) for v in owner.operands]
    given = [v for v in operands if v is not None]
    if not given or len(given) < len(operands):
        return None
    if owner.name == "tosa.cast":
        whole = not is_float(element_of(value)) and given[0].dtype.kind in "iub"
        return given[0].astype(np.int64) if whole else None
    return evaluate(owner, given)
