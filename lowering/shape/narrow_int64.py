"""PyTorch's int64 becomes int32 where every value provably fits.

Motivation. PyTorch makes indices, sizes, argmax results and comparisons of them int64. TOSA 1.0 has
no 64-bit integers, and no target has them in hardware.

Overview. One walk gives each integer tensor the interval [low, high] of its elements: constants
exactly, results by interval arithmetic on the operands' (see intervals.py). If all intervals of
int64 tensors lie within int32, computing in int32 gives the same numbers, and all of them are
retyped at once. Ops that see the width itself (clz, a logical shift of negative numbers) and ops
without a rule have no interval.

Inputs. What a model adds up fits or not by what its integer inputs hold, which nobody has said. The
largest range of inputs is looked for with which everything fits; it is written on the arguments
that are taken to be within it, goes into the manifest, and is checked when the program runs.

Floats. TOSA's cast of a float saturates, so an int64 made of one is right within int32, and at its
limits beyond. Limits, selections and moves keep that so; anything else must see a smaller interval.
"""

from __future__ import annotations

import bisect
import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import func, ir
from tosaic.dialects.types import element_of, i, is_float
from tosaic.errors import Diagnostic
from tosaic.lowering.passes import Pass, diagnostic_at, error_at, fail_if, register_pass
from tosaic.lowering.shape.intervals import (
    INT32,
    Interval,
    is_exact,
    result_interval,
    type_range,
)
from tosaic.lowering.shape.narrowing import has_element, narrow, walk_ops
from tosaic.lowering.signature import set_signature, signature_attrs

RANGE = "tosaic.range"
_ANY_INT64: Interval = (-(2**63), 2**63 - 1)
# Ops to which a saturated number is as good as the number itself, but for what they pass on.
_SATURATED_AS_WELL = frozenset(
    f"tosa.{name}"
    for name in (
        *("clamp", "concat", "identity", "maximum", "minimum", "reduce_max", "reduce_min"),
        *("reshape", "reverse", "select", "slice", "tile", "transpose"),
    )
)
_COMPARISONS = frozenset(("tosa.equal", "tosa.greater", "tosa.greater_equal"))


@register_pass
@dataclasses.dataclass(frozen=True)
class NarrowInt64(Pass):
    """Replace int64 by int32 where interval analysis proves that every value fits.

    Integer arguments have any value in principle; with `assume-inputs-fit` (the default) they are
    taken to lie in the largest range with which everything fits: of `input-bits` at most, and of
    `least-bits` at least. Arguments that it limits say so in `tosaic.range`. Arguments and results
    that were int64 are marked `tosaic.narrowed = "i64"`. A result that can leave int32 even so is
    an error with the op's place and the interval.
    """

    name: ClassVar[str] = "tosaic-narrow-int64"
    assume_inputs_fit: bool = True
    input_bits: int = 32
    least_bits: int = 8

    def run(self, module: ir.Operation) -> None:
        """Find the intervals, report what does not fit, then retype."""
        wide = ir.IntegerType.get_signless(64)
        ops = walk_ops(module)
        if not any(has_element(v, wide) for op in ops for v in _defined(op)):
            return
        analysis = self._analysis(ops, wide)
        fail_if(analysis.problems, "Some int64 values cannot be shown to fit int32.")
        for function in (op.opview for op in ops if isinstance(op.opview, func.FuncOp)):
            _write_ranges(function, analysis)
        narrow(module, wide, i(32), lambda type_, n: ir.IntegerAttr.get(type_, _saturated(n)))

    def _analysis(self, ops: list[Any], wide: ir.Type) -> _Analysis:
        """Return the analysis with the most input bits that has no problems, else the first."""
        if not self.assume_inputs_fit:
            return _Analysis.of(ops, wide, None)
        first = _Analysis.of(ops, wide, self.input_bits)
        if not first.problems:
            return first
        smaller = range(self.least_bits, self.input_bits)
        fitting = bisect.bisect_left(
            smaller, True, key=lambda bits: bool(_Analysis.of(ops, wide, bits).problems)
        )
        return _Analysis.of(ops, wide, smaller[fitting - 1]) if fitting else first


def _saturated(number: int) -> int:
    return min(max(number, INT32[0]), INT32[1])


def _defined(op: Any) -> list[ir.Value]:
    """Return the results of `op` and the arguments of its blocks."""
    blocks = [block for region in op.regions for block in region.blocks]
    return [*op.results, *(argument for block in blocks for argument in block.arguments)]


def _write_ranges(function: Any, analysis: _Analysis) -> None:
    if function.is_external:
        return
    arguments, results = signature_attrs(function)
    for argument, attributes in zip(function.arguments, arguments, strict=True):
        if argument in analysis.limited:
            attributes[RANGE] = ir.DenseI64ArrayAttr.get(analysis.limited[argument])
    set_signature(function, arguments, results)


class _Analysis:
    """Intervals by value; an int64 value that does not fit is reported once and taken to fit."""

    def __init__(self, wide: ir.Type, input_bits: int | None) -> None:
        self.problems: list[Diagnostic] = []
        self.limited: dict[ir.Value, Interval] = {}
        self._wide = wide
        self._input_bits = input_bits
        self._known: dict[ir.Value, Interval | None] = {}
        self._saturated: dict[ir.Value, Diagnostic] = {}

    @classmethod
    def of(cls, ops: list[Any], wide: ir.Type, input_bits: int | None) -> _Analysis:
        """Analyse `ops` with integer inputs of `input_bits`; None is all that their type holds."""
        made = cls(wide, input_bits)
        for op in ops:
            made.visit(op)
        return made

    def visit(self, op: Any) -> None:
        """Find the interval of what `op` computes, and what in it does not fit."""
        for region in op.regions:
            for block in region.blocks:
                for number, argument in enumerate(block.arguments):
                    self._argument(op, number, argument)
        self._read(op)
        if len(op.results) == 0 or not isinstance(op.results[0].type, ir.RankedTensorType):
            return
        intervals = [self.interval(v) for v in op.operands]
        found = result_interval(op, intervals)
        for result in op.results:
            if has_element(result, self._wide):
                self._wide_result(op, result, found, intervals)
            else:
                self._known[result] = found if is_exact(found, element_of(result)) else None

    def interval(self, value: ir.Value) -> Interval | None:
        """Return the interval of `value`: what is known, within what its type can hold."""
        if not isinstance(value.type, ir.RankedTensorType):
            return None
        found = self._known.get(value)
        if found is not None or is_float(element_of(value)):
            return found
        return type_range(element_of(value))

    def _wide_result(
        self,
        op: Any,
        result: ir.Value,
        found: Interval | None,
        intervals: list[Interval | None],
    ) -> None:
        if found is not None and _fits(found):
            self._known[result] = found
            return
        problem = error_at(op, _explain(op, found, intervals))
        if _is_from_float(op) or self._keeps_saturated(op):
            self._known[result] = found or _ANY_INT64
            self._saturated[result] = problem
            return
        if any(True for _ in result.uses):
            self.problems.append(problem)
        self._known[result] = INT32

    def _keeps_saturated(self, op: Any) -> bool:
        return op.name in _SATURATED_AS_WELL and any(v in self._saturated for v in op.operands)

    def _read(self, op: Any) -> None:
        """Report the saturated numbers that `op` reads and would compute something else with."""
        if op.name in _SATURATED_AS_WELL:
            return
        for number, value in enumerate(op.operands):
            if value not in self._saturated:
                continue
            # An index beyond int32 is beyond everything, and a conversion to int32 not defined.
            if op.name == "tosa.gather" and number == 1:
                continue
            if op.name == "tosa.cast" and has_element(op.results[0], i(32)):
                continue
            if op.name in _COMPARISONS and self._between_limits(op.operands[1 - number]):
                continue
            problem = self._saturated[value]
            if problem not in self.problems:
                self.problems.append(problem)

    def _between_limits(self, value: ir.Value) -> bool:
        found = self.interval(value)
        return found is not None and INT32[0] < found[0] and found[1] < INT32[1]

    def _argument(self, op: Any, number: int, argument: ir.Value) -> None:
        is_wide = has_element(argument, self._wide)
        if not is_wide and not has_element(argument, i(32)):
            return
        owner = str(op.operation.name)
        if owner == "func.func":
            self._limit(argument)
        elif is_wide:
            message = f"an int64 tensor enters a region of {owner}; cast it to int32 before"
            self.problems.append(diagnostic_at(op.location, message))
            self._known[argument] = INT32
        if owner == "func.func" and is_wide and self._input_bits is None:
            message = (
                f"argument {number} is int64 and may hold values beyond int32; let the model take "
                "int32, or compile with assume-inputs-fit"
            )
            self.problems.append(diagnostic_at(op.location, message))

    def _limit(self, argument: ir.Value) -> None:
        bits = min(32, self._input_bits or 32)
        limits = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self._known[argument] = limits
        if bits < 32:
            self.limited[argument] = limits


def _fits(found: Interval) -> bool:
    return INT32[0] <= found[0] and found[1] <= INT32[1]


def _is_from_float(op: Any) -> bool:
    return bool(op.name == "tosa.cast") and is_float(element_of(op.operands[0]))


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
