"""Static shapes flow through a function to its results, across every kind of cast."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from tosaic.dialects.bindings import PassManager, func, ir
from tosaic.dialects.builder import Builder, const_shape_of
from tosaic.dialects.types import DYNAMIC, element_of, is_static, shape_of, tensor
from tosaic.lowering.passes import Pass, register_pass
from tosaic.lowering.signature import set_signature, signature_attrs

_QUANT_CASTS = ("quant.qcast", "quant.dcast", "quant.scast")
# Ops whose last operand says the result's shape and may hold a -1.
_SHAPED_BY_OPERAND = ("tosa.reshape", "tosa.slice")


@register_pass
@dataclasses.dataclass(frozen=True)
class InferShapes(Pass):
    """Replace `?` by the sizes that follow from the operands, as far as the function's results.

    Upstream's tosa-infer-shapes knows every TOSA op; it stops at ops of other dialects, and ends in
    a `tensor.cast` back to `?` wherever one reads the value. This pass takes quant casts along,
    removes `tensor.cast` in both directions (what one asserts goes to the value it casts), writes
    the sizes into the function's type, and replaces the -1 of a reshape or slice by the size it
    stands for. What has to be `?` stays `?`.
    """

    name: ClassVar[str] = "tosaic-infer-shapes"

    def run(self, module: ir.Operation) -> None:
        """Infer in every function; results of functions that are called keep their types."""
        _drop_casts(module)
        _as_tosa(module)
        manager = PassManager.parse("builtin.module(func.func(tosa-infer-shapes))")
        manager.enable_verifier(False)  # quant casts pass for TOSA's here
        manager.run(module)
        _as_quant(module)
        _drop_casts(module)
        called = {str(op.attributes["callee"].value) for op in _ops(module, "func.call")}
        for function in list(module.regions[0].blocks[0].operations):
            if not isinstance(function, func.FuncOp) or function.is_external:
                continue
            if function.name.value in called:
                _restore_results(function)
            set_signature(function, *signature_attrs(function))
        for name in _SHAPED_BY_OPERAND:
            for op in _ops(module, name):
                _resolve_minus_one(op)


def dynamic_results(module: ir.Operation) -> Iterator[Any]:
    """Yield every op with a result of dynamic shape."""
    for op in _ops(module):
        tensors = [v for v in op.results if isinstance(v.type, ir.RankedTensorType)]
        if not all(is_static(shape_of(v)) for v in tensors):
            yield op


def _ops(module: ir.Operation, *names: str) -> list[Any]:
    """Return the ops called one of `names` (any op, where none is given) in program order."""
    found: list[Any] = []

    def visit(op: Any) -> Any:
        if not names or op.name in names:
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found


def _drop_casts(module: ir.Operation) -> None:
    for op in _ops(module, "tensor.cast"):
        source, result = op.operands[0], op.results[0]
        if not all(isinstance(v.type, ir.RankedTensorType) for v in (source, result)):
            continue
        have, said = shape_of(source), shape_of(result)
        known = [s if h == DYNAMIC else h for h, s in zip(have, said, strict=True)]
        if known != have:
            owner = source.owner
            if isinstance(owner, ir.Block) or not str(owner.name).startswith(("tosa.", "quant.")):
                continue
            source.set_type(tensor(known, element_of(source)))
        result.replace_all_uses_with(source)
        op.erase()


def _rebuild(op: Any, name: str, attributes: dict[str, ir.Attribute]) -> None:
    b = Builder(op.location, ir.InsertionPoint(op))
    new = b.value(name, list(op.operands), op.results[0].type, **attributes)
    op.results[0].replace_all_uses_with(new)
    op.erase()


def _as_tosa(module: ir.Operation) -> None:
    """Let quant casts pass for `tosa.cast`, which upstream infers and takes for a TOSA reader."""
    for op in _ops(module, *_QUANT_CASTS):
        _rebuild(op, "tosa.cast", {"tosaic.was": ir.StringAttr.get(str(op.name))})


def _as_quant(module: ir.Operation) -> None:
    for op in _ops(module, "tosa.cast"):
        if "tosaic.was" in op.attributes:
            _rebuild(op, str(op.attributes["tosaic.was"].value), {})


def _restore_results(function: Any) -> None:
    block = function.regions[0].blocks[0]
    terminator = block.operations[len(block.operations) - 1].operation
    b = Builder(terminator.location, ir.InsertionPoint(terminator))
    for n, kind in enumerate(function.type.results):
        if terminator.operands[n].type != kind:
            terminator.operands[n] = b.value("tensor.cast", [terminator.operands[n]], kind)


def _resolve_minus_one(op: Any) -> None:
    last = len(op.operands) - 1
    dims = const_shape_of(op.operands[last])
    sizes = shape_of(op.results[0])
    if dims is not None and -1 in dims and is_static(sizes):
        b = Builder(op.location, ir.InsertionPoint(op))
        before = op.operands[last].owner
        op.operands[last] = b.const_shape(sizes)
        if not any(True for _ in before.results[0].uses):
            before.erase()
