"""Intervals of what integer TOSA ops compute, one rule per op; Moore, "Interval Analysis", 1966."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import DYNAMIC, constant_value, element_of, is_signless_integer, shape_of

Interval = tuple[int, int]
INT32: Interval = (-(2**31), 2**31 - 1)
_MANTISSA = {"f64": 53, "f32": 24, "f16": 11, "bf16": 8}
Rule = Callable[[Any, list["Interval | None"]], "Interval | None"]
_RULES: dict[str, Rule] = {}


def result_interval(op: Any, intervals: list[Interval | None]) -> Interval | None:
    """Return what the elements of `op`'s result lie in, given its operands'; None: not known."""
    rule = _RULES.get(str(op.name))
    return None if rule is None else rule(op, intervals)


def is_exact(found: Interval | None, element: ir.Type) -> bool:
    """Return whether numbers in `found` neither wrap around in `element` nor get rounded."""
    if found is None:
        return False
    whole = type_range(element)
    if whole is None:
        bits = _MANTISSA.get(str(element), 0)
        whole = -(2**bits), 2**bits
    return whole[0] <= found[0] and found[1] <= whole[1]


def type_range(element: ir.Type) -> Interval | None:
    """Return what an integer type can hold."""
    if not is_signless_integer(element):
        return None
    if element.width == 1:
        return 0, 1
    return -(2 ** (element.width - 1)), 2 ** (element.width - 1) - 1


# --- interval arithmetic -------------------------------------------------------------------------


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(fn: Rule) -> Rule:
        for name in names:
            _RULES[f"tosa.{name}"] = fn
        return fn

    return enter


def _simple(name: str, fn: Callable[..., Interval | None], operands: slice = slice(None)) -> None:
    """Enter a rule that needs the operands' intervals, all known."""

    def rule(op: Any, intervals: list[Interval | None]) -> Interval | None:
        used = intervals[operands]
        return None if any(x is None for x in used) else fn(*used)

    _RULES[f"tosa.{name}"] = rule


def _union(*intervals: Interval) -> Interval:
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def _corners(fn: Callable[[int, int], int], x: Interval, y: Interval) -> Interval:
    """The interval of a function that is monotone in each operand."""
    values = [fn(a, c) for a, c in itertools.product(x, y)]
    return min(values), max(values)


def _intdiv(x: Interval, y: Interval) -> Interval:
    # A divisor of 0 is undefined in TOSA; quotients are largest for divisors next to it.
    divisors = [d for d in (*y, -1, 1) if d != 0 and y[0] <= d <= y[1]]
    quotients = [abs(n) // abs(d) * (1 if (n < 0) == (d < 0) else -1) for n in x for d in divisors]
    return min([0, *quotients]), max([0, *quotients])


def _bitwise(*operands: Interval) -> Interval:
    bits = max(
        value.bit_length() for interval in operands for value in (*interval, -1 - interval[0])
    )
    low = 0 if all(x[0] >= 0 for x in operands) else -(2**bits)
    return low, 2**bits - 1


def _shifted_left(x: Interval, y: Interval) -> Interval | None:
    if y[0] < 0 or y[1] > 63:
        return None
    return _corners(lambda a, c: a << c, x, y)


def _shifted_right(x: Interval, y: Interval) -> Interval | None:
    if y[0] < 0 or y[1] > 31:
        return None
    return _corners(lambda a, c: a >> c, x, y)


def _bitwise_and(x: Interval, y: Interval) -> Interval:
    positive = [high for low, high in (x, y) if low >= 0]
    return (0, min(positive)) if positive else _bitwise(x, y)


for _name in ("identity", "reverse", "transpose", "reduce_max", "reduce_min", "gather"):
    _simple(_name, lambda x: x, slice(1))
for _name in ("reshape", "slice", "tile"):
    _simple(_name, lambda x: x, slice(1))
_simple("add", lambda x, y: (x[0] + y[0], x[1] + y[1]))
_simple("sub", lambda x, y: (x[0] - y[1], x[1] - y[0]))
_simple("mul", lambda x, y, shift: None if any(shift) else _corners(operator.mul, x, y))
_simple("negate", lambda x: (-x[1], -x[0]), slice(1))
_simple("abs", lambda x: (0 if x[0] <= 0 <= x[1] else min(map(abs, x)), max(map(abs, x))))
_simple("maximum", lambda x, y: (max(x[0], y[0]), max(x[1], y[1])))
_simple("minimum", lambda x, y: (min(x[0], y[0]), min(x[1], y[1])))
_simple("intdiv", _intdiv)
_simple("concat", _union)
_simple("select", _union, slice(1, None))
_simple("scatter", lambda values, _indices, new: _union(values, new))
_simple("bitwise_and", _bitwise_and)
_simple("bitwise_or", _bitwise)
_simple("bitwise_xor", _bitwise)
_simple("bitwise_not", lambda x: (-1 - x[1], -1 - x[0]))
_simple("logical_left_shift", _shifted_left)
_simple("arithmetic_right_shift", _shifted_right)
_simple("logical_right_shift", lambda x, y: None if x[0] < 0 else _shifted_right(x, y))


def _of_nothing(op: Any, _: list[Interval | None]) -> Interval:
    """No element is outside of any interval."""
    return 0, 0


_RULES["tensor.empty"] = _of_nothing


@_rule("const")
def _const(op: Any, _: list[Interval | None]) -> Interval | None:
    values = constant_value(op.results[0])
    if values is None or values.size == 0 or values.dtype.kind not in "iu":
        return None
    return int(values.min()), int(values.max())


@_rule("clamp")
def _clamp(op: Any, intervals: list[Interval | None]) -> Interval | None:
    low, high = op.attributes["min_val"].value, op.attributes["max_val"].value
    if intervals[0] is not None:
        low, high = (min(max(v, low), high) for v in intervals[0])
    return (math.floor(low), math.ceil(high)) if math.isfinite(low + high) else None


@_rule("cast", "ceil", "floor")
def _kept(op: Any, intervals: list[Interval | None]) -> Interval | None:
    """Bounds are whole numbers, so rounding keeps to them; narrow integers may wrap around."""
    return intervals[0] if is_exact(intervals[0], element_of(op.results[0])) else None


@_rule("sigmoid", "tanh", "sin", "cos", "erf")
def _unit(op: Any, _: list[Interval | None]) -> Interval:
    return -1, 1


@_rule("pad")
def _pad(op: Any, intervals: list[Interval | None]) -> Interval | None:
    if intervals[0] is None or intervals[2] is None:
        return None
    return _union(intervals[0], intervals[2])


@_rule("argmax")
def _argmax(op: Any, _: list[Interval | None]) -> Interval | None:
    size = shape_of(op.operands[0])[op.attributes["axis"].value]
    return INT32 if size == DYNAMIC else (0, max(0, size - 1))


@_rule("reduce_sum")
def _reduce_sum(op: Any, intervals: list[Interval | None]) -> Interval | None:
    size = shape_of(op.operands[0])[op.attributes["axis"].value]
    if intervals[0] is None or size == DYNAMIC:
        return None
    return intervals[0][0] * size, intervals[0][1] * size


@_rule("reduce_product")
def _reduce_product(op: Any, intervals: list[Interval | None]) -> Interval | None:
    size = shape_of(op.operands[0])[op.attributes["axis"].value]
    if intervals[0] is None or size == DYNAMIC or size > 64:
        return None
    largest = max(map(abs, intervals[0])) ** size
    return (0 if intervals[0][0] >= 0 else -largest), largest
