"""The pass that applies the op table, and the legality check that ends the stage."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, shape_of
from tosaic.errors import Diagnostic, UnsupportedError
from tosaic.lowering.ops import Lowering, OpEntry, Refusal, builtin_type, op_table
from tosaic.lowering.passes import Pass, Pattern, apply_patterns, error_at, register_pass

_STRUCTURAL = ("torch.constant.", "torch.prim.ListConstruct", "torch.operator_terminator")


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
        refused: dict[str, Diagnostic] = {}

        def rewrite_with(entry: OpEntry) -> Pattern:
            def rewrite(op: Any, b: Builder) -> list[ir.Value] | None:
                try:
                    with b.ip:
                        lowered = entry.lower(Lowering(op, b))
                except Refusal as refusal:
                    key = f"{op.location} {op.name}"
                    refused[key] = error_at(op, f"{_describe(op)} is not supported: {refusal}")
                    return None
                values = [lowered] if isinstance(lowered, ir.Value) else list(lowered)
                return [_to_torch(b, new, old) for new, old in zip(values, op.results, strict=True)]

            return Pattern(entry.name, rewrite)

        names = _torch_op_names(module)
        entries = [rewrite_with(table[name]) for name in names if name in table]
        apply_patterns(module, entries, greedy=False)
        missing = _unknown_ops(module, table)
        problems = [*missing, *refused.values()]
        if problems:
            raise UnsupportedError(
                f"{len(problems)} op{'s' * (len(problems) != 1)} of the model cannot be lowered "
                "to TOSA.",
                problems,
            )


def _to_torch(b: Builder, new: ir.Value, old: ir.Value) -> ir.Value:
    wanted = builtin_type(old)
    if wanted is None:
        return new
    if shape_of(new) != list(ir.RankedTensorType(wanted).shape):
        cast = ir.RankedTensorType.get(ir.RankedTensorType(wanted).shape, element_of(new))
        new = b.value("tensor.cast", [new], cast)
    return b.value("torch_c.from_builtin_tensor", [new], old.type)


def _torch_op_names(module: ir.Operation) -> list[str]:
    names: dict[str, None] = {}

    def visit(op: Any) -> Any:
        if str(op.name).startswith("torch."):
            names[str(op.name)] = None
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return list(names)


def _unknown_ops(module: ir.Operation, table: dict[str, OpEntry]) -> list[Diagnostic]:
    out: list[Diagnostic] = []

    def visit(op: Any) -> Any:
        name = str(op.name)
        if (
            name.startswith("torch.")
            and name not in table
            and not name.startswith(_STRUCTURAL)
            and not (len(op.results) and not any(True for r in op.results for _ in r.uses))
        ):
            near = difflib.get_close_matches(name, table, n=1, cutoff=0.8)
            hint = f"; {near[0]} is" if near else ""
            out.append(
                error_at(
                    op,
                    f"{_describe(op)} has no lowering{hint}. Rewrite the model without it, or add "
                    "a lowering (CONTRIBUTING.md, 'How to add an op')",
                )
            )
        return ir.WalkResult.ADVANCE

    module.walk(visit)
    return out


def _describe(op: Any) -> str:
    name = str(op.name)
    if name == "torch.operator":
        name = str(op.attributes["name"].value)
    operands = ", ".join(
        str(v.type).removeprefix("!torch.").replace("vtensor", "tensor")
        for v in op.operands
        if builtin_type(v) is not None
    )
    return f"{name.removeprefix('torch.')}({operands})"
