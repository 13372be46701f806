"""The pass that applies the op table, and the legality check that ends the stage."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, has_no_elements, is_static, shape_of
from tosaic.errors import Diagnostic, UnsupportedError
from tosaic.lowering.ops import (
    Complex,
    Lowering,
    OpEntry,
    Refusal,
    builtin_type,
    op_table,
    part_type,
)
from tosaic.lowering.passes import Pass, Pattern, apply_patterns, error_at, register_pass
from tosaic.lowering.quantization.arithmetic import dequantized_source
from tosaic.lowering.torch_to_tosa.complex import lower_complex, touches
from tosaic.lowering.torch_to_tosa.formula import Term
from tosaic.lowering.torch_to_tosa.operators import op_name
from tosaic.lowering.torch_to_tosa.readers import quantized_as, separate_readers
from tosaic.lowering.torch_to_tosa.unsigned import widens

_COMPLEX_CAST = "builtin.unrealized_conversion_cast"
_STRUCTURAL = (
    *("torch.constant.", "torch.prim.ListConstruct", "torch.operator_terminator"),
    _COMPLEX_CAST,
)
_NUMBERS = ("!torch.int", "!torch.float", "!torch.bool", "!torch.number")


@register_pass
@dataclasses.dataclass(frozen=True)
class TorchToTosa(Pass):
    """Lower every torch op that has an entry in the op table to TOSA on builtin tensors.

    Convolutions and pools become NHWC with transposes around them; `quantized_decomposed` ops
    become `quant` casts, so that the parameters are in the types. Values cross between the dialects
    through `torch_c` casts, which `torch-func-backend-type-conversion` and
    `torch-finalizing-backend-type-conversion` remove. Every op without a lowering, and every
    form of an op that its lowering refuses, is reported with its place in the user's source.
    """

    name: ClassVar[str] = "tosaic-torch-to-tosa"

    def run(self, module: ir.Operation) -> None:
        """Lower, then report what is left."""
        table = op_table()
        separate_readers(module)
        refused: dict[str, Diagnostic] = {}

        def rewrite_root(root: str) -> Pattern:
            def rewrite(op: Any, b: Builder) -> list[ir.Value] | None:
                entry = table.get(op_name(op))
                if entry is None or entry.lower is None:
                    return None
                try:
                    with b.ip:
                        ctx = Lowering(op, b, widens(op_name(op), op), precise=entry.precise)
                        lowered = without_elements(ctx) or lower(entry, ctx)
                except Refusal as refusal:
                    key = f"{op.location} {op.name}"
                    refused[key] = error_at(op, f"{_describe(op)} is not supported: {refusal}")
                    return None
                values = list(lowered) if isinstance(lowered, Sequence) else [lowered]
                return [_to_torch(b, new, old) for new, old in zip(values, op.results, strict=True)]

            return Pattern(root, rewrite)

        roots = [rewrite_root(name) for name in _torch_op_names(module)]
        apply_patterns(module, roots, greedy=False)
        unread, unknown = _leftovers(module, table)
        problems = [*(error_at(op, _why_unknown(op, table)) for op in unknown), *refused.values()]
        problems += [] if problems else _complex_results(module)
        if problems:
            raise UnsupportedError(
                f"{len(problems)} op{'s' * (len(problems) != 1)} of the model cannot be lowered "
                "to TOSA.",
                problems,
            )
        for op in unread:
            op.erase()


def without_elements(ctx: Lowering) -> list[ir.Value]:
    """Return placeholders for the results where none has elements; nothing is computed then."""
    wanted = [builtin_type(result) for result in ctx.op.results]
    shapes = [None if w is None else list(ir.RankedTensorType(w).shape) for w in wanted]
    if not all(s is not None and is_static(s) and has_no_elements(s) for s in shapes):
        return []
    return [ctx.b.value("tensor.empty", [], w) for w in wanted]


def lower(entry: OpEntry, ctx: Lowering) -> ir.Value | Complex | Sequence[ir.Value | Complex]:
    """Lower one op; a composite between quant casts is lowered as a whole, in integers."""
    if touches(ctx.op):
        return lower_complex(entry, ctx)
    if entry.integer is not None:
        source = dequantized_source(ctx.tensor(0))
        out = quantized_as(ctx.op)
        if source and out and source[1].bits in entry.read_widths and out.bits in entry.widths:
            result = entry.integer(ctx, *source, out)
            # As in quantize.py: keeps the quantised value through MLIR's dcast(qcast) folding.
            return ctx.b.dcast(ctx.b.unary("tosa.identity", result))
    assert entry.lower is not None
    return entry.lower(ctx)


def _to_torch(b: Builder, new: ir.Value | Complex, old: ir.Value) -> ir.Value:
    if isinstance(new, Complex):
        return b.value(_COMPLEX_CAST, [new.re, new.im], old.type)
    wanted = builtin_type(old)
    if wanted is None:
        return new
    # An in-place op keeps its operand's type, whatever the function itself gives.
    new = Term(b, new).converted(ir.RankedTensorType(wanted).element_type).value
    if shape_of(new) != list(ir.RankedTensorType(wanted).shape):
        cast = ir.RankedTensorType.get(ir.RankedTensorType(wanted).shape, element_of(new))
        new = b.value("tensor.cast", [new], cast)
    return b.value("torch_c.from_builtin_tensor", [new], old.type)


def _complex_results(module: ir.Operation) -> list[Diagnostic]:
    problems: list[Diagnostic] = []

    def visit(op: Any) -> Any:
        if op.name == "func.return":
            for value in op.operands:
                if part_type(value) is not None:
                    message = "the model returns a complex tensor; return torch.view_as_real of it"
                    problems.append(error_at(value.owner, message))
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return problems


def _torch_op_names(module: ir.Operation) -> list[str]:
    names: dict[str, None] = {}

    def visit(op: Any) -> Any:
        if str(op.name).startswith("torch."):
            names[str(op.name)] = None
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return list(names)


def _leftovers(module: ir.Operation, table: dict[str, OpEntry]) -> tuple[list[Any], list[Any]]:
    """Return the torch ops that nothing reads, readers first, and those that have no lowering."""
    torch_ops: list[Any] = []

    def visit(op: Any) -> Any:
        if str(op.name).startswith(("torch.", _COMPLEX_CAST)):
            torch_ops.append(op)
        return ir.WalkResult.ADVANCE

    module.walk(visit, ir.WalkOrder.PRE_ORDER)
    unread: dict[Any, None] = {}
    unknown: list[Any] = []
    for op in reversed(torch_ops):  # readers come after what they read
        readers = [use.owner.operation for result in op.results for use in result.uses]
        if len(op.results) and all(reader in unread for reader in readers):
            unread[op.operation] = None
        elif op_name(op) in table or str(op.name).startswith(_STRUCTURAL):
            continue
        elif not (_is_number(op) and all(str(r.name).startswith("torch.") for r in readers)):
            unknown.append(op)  # a size that is in the way is told of where it is read
    return list(unread), unknown[::-1]


def _is_number(op: Any) -> bool:
    return any(str(result.type) in _NUMBERS for result in op.results)


def _why_unknown(op: Any, table: dict[str, OpEntry]) -> str:
    if _is_number(op):
        return (
            f"{_describe(op)} is a number that is known only when the model runs, as the size of a "
            "dynamic dim is; compile for static shapes (tosaic-specialize-shapes)"
        )
    short = {name.removeprefix("torch.aten."): name for name in table}
    near = difflib.get_close_matches(op_name(op).removeprefix("torch.aten."), short, 1, 0.8)
    hint = f"; {short[near[0]]} has" if near else ""
    return (
        f"{_describe(op)} has no lowering{hint}. Rewrite the model without it, or add a lowering "
        "(CONTRIBUTING.md, 'How to add an op')"
    )


def _describe(op: Any) -> str:
    operands = ", ".join(
        str(v.type).removeprefix("!torch.").replace("vtensor", "tensor")
        for v in op.operands
        if builtin_type(v) is not None
    )
    return f"{op_name(op).removeprefix('torch.')}({operands})"
