"""Booleans as integers 0 and 1, for NPUs that have neither comparisons nor selections."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import (
    constant_value,
    element_of,
    i,
    is_signless_integer,
    shape_of,
    tensor,
)
from tosaic.lowering.legalize.forms import UNIT, Rescale, defining
from tosaic.lowering.passes import Pattern, PatternPass, register_pass

_MARK = "tosaic.mask"  # on a cast of what is 0 or 1
_HALF = 2**30  # the difference of two integers up to here fits i32


def _is_bool(value: ir.Value) -> bool:
    ranked = isinstance(value.type, ir.RankedTensorType)  # not so sizes
    return ranked and is_signless_integer(element_of(value), 1)


def _mask(value: ir.Value, b: Builder) -> ir.Value | None:
    """Return the i32 zeros and ones that a boolean stands for, where they are known."""
    cast = defining(value, "cast")
    if cast is not None and _MARK in cast.attributes:
        found: ir.Value = cast.operands[0]
        return found
    array = constant_value(value)
    return None if array is None else b.const(array.astype(np.int64), i(32))


def _masks(op: Any, b: Builder) -> list[ir.Value] | None:
    """Return the operands of `op`, booleans as integers; None where one is not known."""
    found = [_mask(v, b) if _is_bool(v) else v for v in op.operands]
    return None if any(v is None for v in found) else [v for v in found if v is not None]


def _boolean(mask: ir.Value, b: Builder) -> ir.Value:
    """Return a boolean for those readers that are not rewritten yet."""
    mark = {_MARK: ir.UnitAttr.get()}
    return b.value("tosa.cast", [mask], tensor(shape_of(mask), i(1)), **mark)


def _inverted(mask: ir.Value, b: Builder) -> ir.Value:
    return b.sub(b.splat(mask, 1), mask)


def _as_int32(value: ir.Value, b: Builder) -> ir.Value:
    wide = element_of(value).width == 32
    return value if wide else b.rescale(value, i(32), [UNIT[0]], [UNIT[1]])


def _as(mask: ir.Value, element: ir.Type, b: Builder) -> ir.Value:
    narrow = element.width < 32
    return b.rescale(mask, element, [UNIT[0]], [UNIT[1]]) if narrow else mask


def _magnitude(value: ir.Value) -> float:
    """Return a bound of the absolute values of an i32 tensor."""
    array = constant_value(value)
    if array is not None:
        return float(np.abs(array.astype(np.int64)).max())
    rescale = Rescale.of(defining(value, "rescale"))
    bits = 32 if rescale is None else int(element_of(rescale.x).width)
    if rescale is None or bits > 16:
        return math.inf
    factor = max(m / 2.0**s for m, s in zip(rescale.multipliers, rescale.shifts, strict=True))
    before, after = map(abs, rescale.zero_points)
    return float((2.0 ** (bits - 1) + before) * factor + after + 1)


def _difference(x: ir.Value, y: ir.Value, b: Builder) -> ir.Value:
    """Return an i32 of the sign of ``x - y``, which itself may not fit."""
    x, y = _as_int32(x, b), _as_int32(y, b)
    if max(_magnitude(x), _magnitude(y)) <= _HALF:
        return b.sub(x, y)
    (high_x, low_x), (high_y, low_y) = (_quartered(v, b) for v in (x, y))
    high = b.clamp(b.sub(high_x, high_y), -1, 1)
    return b.add(b.mul(high, b.splat(high, 4)), b.sub(low_x, low_y))


def _quartered(x: ir.Value, b: Builder) -> tuple[ir.Value, ir.Value]:
    """Return a quarter of `x`, rounded, and what four of it are short of `x`: -2 to 1."""
    rounding = {"round": ir.BoolAttr.get(True)}  # Ethos-U has no other shift
    quarter = b.value("tosa.arithmetic_right_shift", [x, b.splat(x, 2)], x.type, **rounding)
    rest = x
    for _ in range(4):  # four at once may exceed int32
        rest = b.sub(rest, quarter)
    return quarter, rest


# --- what makes booleans -------------------------------------------------------------------------


def greater(op: Any, b: Builder) -> ir.Value | None:
    """x > y is clamp(x - y, 0, 1)."""
    x, y = op.operands
    return _boolean(b.clamp(_difference(x, y, b), 0, 1), b)


def greater_equal(op: Any, b: Builder) -> ir.Value | None:
    """x >= y is 1 - (y > x)."""
    x, y = op.operands
    return _boolean(_inverted(b.clamp(_difference(y, x, b), 0, 1), b), b)


def equal(op: Any, b: Builder) -> ir.Value | None:
    """x == y is 1 - min(|x - y|, 1)."""
    x, y = op.operands
    distance = b.unary("tosa.abs", _difference(x, y, b))
    return _boolean(_inverted(b.clamp(distance, None, 1), b), b)


# --- what computes with them ---------------------------------------------------------------------


def cast(op: Any, b: Builder) -> ir.Value | None:
    """To a boolean, |clamp(x, -1, 1)|; from one, its integer."""
    (x,), element = op.operands, element_of(op.results[0])
    if _is_bool(x):
        mask = _mask(x, b)
        return None if mask is None else _as(mask, element, b)
    if not is_signless_integer(element, 1) or _MARK in op.attributes:
        return None
    return _boolean(b.unary("tosa.abs", b.clamp(_as_int32(x, b), -1, 1)), b)


def _of_masks(fn: Callable[..., ir.Value]) -> Callable[[Any, Builder], ir.Value | None]:
    """Return the pattern of a logical op that is `fn` of integers."""

    def pattern(op: Any, b: Builder) -> ir.Value | None:
        masks = _masks(op, b)
        return None if masks is None else _boolean(fn(b, *masks), b)

    return pattern


def _all_of(b: Builder, mask: ir.Value, axis: int) -> ir.Value:
    return _inverted(_any_of(b, _inverted(mask, b), axis), b)


def _any_of(b: Builder, mask: ir.Value, axis: int) -> ir.Value:
    return b.clamp(b.reduce("tosa.reduce_sum", mask, axis), None, 1)


def _reduced(fn: Callable[..., ir.Value]) -> Callable[[Any, Builder], ir.Value | None]:
    def pattern(op: Any, b: Builder) -> ir.Value | None:
        mask = _mask(op.operands[0], b)
        return None if mask is None else _boolean(fn(b, mask, op.attributes["axis"].value), b)

    return pattern


def moved(op: Any, b: Builder) -> ir.Value | None:
    """Data movement moves the integers instead."""
    (result,) = op.results
    masks = _masks(op, b) if _is_bool(result) else None
    if masks is None:
        return None
    attributes = {name: op.attributes[name] for name in op.attributes}
    return _boolean(b.value(op.name, masks, tensor(shape_of(result), i(32)), **attributes), b)


def select(op: Any, b: Builder) -> ir.Value | None:
    """select(c, x, y) is c * x + (1 - c) * y, which never leaves the range of x and y."""
    masks = _masks(op, b)
    element = element_of(op.results[0])
    if masks is None or element.width > 32:
        return None
    mask, x, y = masks[0], _as_int32(masks[1], b), _as_int32(masks[2], b)
    chosen = b.add(b.mul(mask, x), b.mul(_inverted(mask, b), y))
    return _boolean(chosen, b) if _is_bool(op.results[0]) else _as(chosen, element, b)


_MOVEMENT = ("reshape", "transpose", "slice", "tile", "reverse", "concat", "pad", "identity")


@register_pass
@dataclasses.dataclass(frozen=True)
class BooleansByArithmetic(PatternPass):
    """Compare, select and compute with booleans in the arithmetic of int32.

    Ethos-U55 and U65 have no booleans, no comparisons, no SELECT and no logical ops; they do add,
    multiply and limit int32. A boolean becomes an integer 0 or 1. What enters or leaves the program
    as a boolean stays one; see tosaic-boolean-io.
    """

    name: ClassVar[str] = "tosaic-booleans-by-arithmetic"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        Pattern("tosa.greater", greater),
        Pattern("tosa.greater_equal", greater_equal),
        Pattern("tosa.equal", equal),
        Pattern("tosa.cast", cast),
        Pattern("tosa.select", select),
        Pattern("tosa.logical_and", _of_masks(lambda b, x, y: b.mul(x, y))),
        Pattern("tosa.logical_or", _of_masks(lambda b, x, y: b.binary("tosa.maximum", x, y))),
        Pattern("tosa.logical_xor", _of_masks(lambda b, x, y: b.unary("tosa.abs", b.sub(x, y)))),
        Pattern("tosa.logical_not", _of_masks(lambda b, x: _inverted(x, b))),
        Pattern("tosa.reduce_any", _reduced(_any_of)),
        Pattern("tosa.reduce_all", _reduced(_all_of)),
        *(Pattern(f"tosa.{name}", moved) for name in _MOVEMENT),
    )
