"""PyTorch's int64 becomes int32 where every value provably fits.

Motivation. PyTorch makes indices, sizes, argmax results and comparisons of them int64. TOSA 1.0 has
no 64-bit integers, and no target has them in hardware.

Overview. One walk gives each integer tensor the interval [low, high] of its elements: constants
exactly, results by interval arithmetic on the operands' (Moore, "Interval Analysis", 1966). If all
intervals of int64 tensors lie within int32, computing in int32 gives the same numbers, and all of
them are retyped at once. Ops that see the width itself (clz, a logical shift of negative numbers)
and ops without a rule have no interval.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import operator
from collections.abc import Callable
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import (
    DYNAMIC,
    constant_value,
    element_of,
    i,
    is_float,
    is_signless_integer,
    shape_of,
)
from tosaic.errors import Diagnostic
from tosaic.lowering.passes import Pass, diagnostic_at, error_at, fail_if, register_pass
from tosaic.lowering.shape.narrowing import has_element, narrow, walk_ops

Interval = tuple[int, int]
_MANTISSA = {"f64": 53, "f32": 24, "f16": 11, "bf16": 8}
INT32: Interval = (-(2**31), 2**31 - 1)
Rule = Callable[[Any, list["Interval | None"]], "Interval | None"]
_RULES: dict[str, Rule] = {}


@register_pass
@dataclasses.dataclass(frozen=True)
class NarrowInt64(Pass):
    """Replace int64 by int32 where interval analysis proves that every value fits.

    Arguments have any int64 value in principle; with `assume-inputs-fit` (the default) they are
    taken to fit `input-bits`, as token ids, indices and masks do, and the caller passes int32. The
    default of 31 bits leaves room for an offset that the model adds. Arguments and results that
    were int64 are marked `tosaic.narrowed = "i64"` for the I/O manifest. A result that can leave
    int32 is an error with the op's place and the interval.
    """

    name: ClassVar[str] = "tosaic-narrow-int64"
    assume_inputs_fit: bool = True
    input_bits: int = 31

    def run(self, module: ir.Operation) -> None:
        """Find the intervals, report what does not fit, then retype."""
        wide = ir.IntegerType.get_signless(64)
        ops = walk_ops(module)
        if not any(has_element(v, wide) for op in ops for v in _defined(op)):
            return
        analysis = _Analysis(wide, self.input_bits if self.assume_inputs_fit else None)
        for op in ops:
            analysis.visit(op)
        fail_if(analysis.problems, "Some int64 values cannot be shown to fit int32.")
        narrow(module, wide, i(32), lambda type_, n: ir.IntegerAttr.get(type_, _saturated(n)))


def _saturated(number: int) -> int:
    return min(max(number, INT32[0]), INT32[1])


def _defined(op: Any) -> list[ir.Value]:
    """Return the results of `op` and the arguments of its blocks."""
    blocks = [block for region in op.regions for block in region.blocks]
    return [*op.results, *(argument for block in blocks for argument in block.arguments)]


class _Analysis:
    """Intervals by value; an int64 value that does not fit is reported once and taken to fit."""

    def __init__(self, wide: ir.Type, input_bits: int | None) -> None:
        self.problems: list[Diagnostic] = []
        self._wide = wide
        self._input_bits = input_bits
        self._known: dict[ir.Value, Interval | None] = {}

    def visit(self, op: Any) -> None:
        for region in op.regions:
            for block in region.blocks:
                for number, argument in enumerate(block.arguments):
                    self._argument(op, number, argument)
        if len(op.results) == 0 or not isinstance(op.results[0].type, ir.RankedTensorType):
            return
        intervals = [self.of(v) for v in op.operands]
        rule = _RULES.get(str(op.name))
        for result in op.results:
            found = rule(op, intervals) if rule is not None else None
            if not has_element(result, self._wide):
                self._known[result] = found if _exact(found, element_of(result)) else None
                continue
            fits = found is not None and INT32[0] <= found[0] and found[1] <= INT32[1]
            if not fits and any(True for _ in result.uses):
                self.problems.append(error_at(op, _explain(op, found, intervals)))
            self._known[result] = found if fits else INT32

    def of(self, value: ir.Value) -> Interval | None:
        """Return the interval of `value`: what is known, within what its type can hold."""
        if not isinstance(value.type, ir.RankedTensorType):
            return None
        found = self._known.get(value)
        if found is not None or is_float(element_of(value)):
            return found
        return _range_of(element_of(value))

    def _argument(self, op: Any, number: int, argument: ir.Value) -> None:
        if not has_element(argument, self._wide):
            return
        bits = min(32, self._input_bits or 32)
        self._known[argument] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        owner = str(op.operation.name)
        if owner == "func.func" and self._input_bits is None:
            message = (
                f"argument {number} is int64 and may hold values beyond int32; let the model take "
                "int32, or compile with assume-inputs-fit"
            )
            self.problems.append(diagnostic_at(op.location, message))
        elif owner != "func.func":
            message = f"an int64 tensor enters a region of {owner}; cast it to int32 before"
            self.problems.append(diagnostic_at(op.location, message))


def _explain(op: Any, found: Interval | None, intervals: list[Interval | None]) -> str:
    if found is None:
        return (
            f"the range of the int64 result of {op.name} is not known; limit it with "
            "torch.clamp, or cast to int32 in the model"
        )
    operands = ", ".join(f"[{low}, {high}]" for low, high in filter(None, intervals))
    return (
        f"the int64 result of {op.name} on {operands} lies in [{found[0]}, {found[1]}], which "
        "exceeds int32; limit an operand with torch.clamp, or compute in float"
    )


def _exact(found: Interval | None, element: ir.Type) -> bool:
    """Return whether numbers in `found` neither wrap around in `element` nor get rounded."""
    if found is None:
        return False
    whole = _range_of(element)
    if whole is None:
        bits = _MANTISSA.get(str(element), 0)
        whole = -(2**bits), 2**bits
    return whole[0] <= found[0] and found[1] <= whole[1]


def _range_of(element: ir.Type) -> Interval | None:
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
    return intervals[0] if _exact(intervals[0], element_of(op.results[0])) else None


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
