"""In-place torch ops become functional ones by renaming SSA values, without re-tracing."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass
from tosaic.lowering.torch_to_tosa.operators import op_name

_IN_PLACE = re.compile(r"(torch\.aten\.[a-z0-9_]*[a-z0-9])_((?:\.\w+)?)")
# Whose overloads are called otherwise in place.
_OTHERWISE = {
    "torch.aten.float_power_.Scalar": "torch.aten.float_power.Tensor_Scalar",
    "torch.aten.float_power_.Tensor": "torch.aten.float_power.Tensor_Tensor",
    "torch.aten.ldexp_": "torch.aten.ldexp.Tensor",
    "torch.aten.pow_.Scalar": "torch.aten.pow.Tensor_Scalar",
    "torch.aten.pow_.Tensor": "torch.aten.pow.Tensor_Tensor",
}
_VIEWS = {
    f"torch.aten.{name}"
    for name in [
        "view",
        "reshape",
        "flatten.using_ints",
        "permute",
        "transpose.int",
        "t",
        "squeeze",
        "squeeze.dim",
        "squeeze.dims",
        "unsqueeze",
        "expand",
        "slice.Tensor",
        "select.int",
        "narrow",
        "alias",
        "detach",
        "split.Tensor",
        "split_with_sizes",
        "chunk",
        "unbind.int",
        "unfold",
        "as_strided",
        "diagonal",
        "movedim.int",
        "view_as",
        "expand_as",
        "dropout",
        "contiguous",
        "to.dtype",
        "numpy_T",
        "unflatten.int",
    ]
} | {"torch.prim.ListUnpack"}


@register_pass
@dataclasses.dataclass(frozen=True)
class Functionalize(Pass):
    """Replace in-place ops (`aten.relu_`) by their functional forms (`aten.relu`).

    Later uses of the tensor that was written to read the op's result instead. That is right where
    nobody else sees the write: where a view of the same memory is read afterwards, or the tensor is
    a function argument, the op is reported, and the frontend then asks PyTorch to functionalise
    the whole graph.
    """

    name: ClassVar[str] = "tosaic-functionalize"

    def run(self, module: ir.Operation) -> None:
        """Rewrite every in-place op of every function."""
        found: list[tuple[Any, str]] = []

        def visit(op: Any) -> Any:
            match = _IN_PLACE.fullmatch(op_name(op))
            if match and not match.group(1).endswith("_"):
                name = match.group(1) + match.group(2)
                found.append((op, _OTHERWISE.get(match.group(), name)))
            return ir.WalkResult.ADVANCE

        module.walk(visit)
        errors = [
            error_at(op, f"{op_name(op)} writes to a tensor that shares memory with another")
            for op, _ in found
            if _is_aliased(op)
        ]
        fail_if(errors, "In-place ops on aliased tensors cannot be renamed away.")
        for op, functional in found:
            target = op.operands[0]
            with ir.InsertionPoint(op):
                new = _renamed(op, functional)
            op.results[0].replace_all_uses_with(new.results[0])
            for use in list(target.uses):
                user = use.owner.operation
                if user != new and not user.is_before_in_block(new):
                    user.operands[use.operand_number] = new.results[0]
            op.erase()


def _renamed(op: Any, name: str) -> Any:
    """Build `op` under another name: as the torch dialect's op where it has one."""
    registered = ir.Context.current.is_registered_operation(name)
    attributes = {} if registered else {"name": ir.StringAttr.get(name)}
    return ir.Operation.create(
        name if registered else "torch.operator",
        results=[r.type for r in op.results],
        operands=list(op.operands),
        attributes=attributes,
        loc=op.location,
    )


def _is_aliased(op: Any) -> bool:
    """Return whether anything but the written tensor itself sees the write.

    That is an argument or literal, or a view of the same memory that is read after the op.
    """
    target = op.operands[0]
    root, itself = target, [target]
    while not isinstance(root.owner, ir.Block) and _shares_memory(root.owner):
        if root in itself and root.owner.name not in _VIEWS:
            itself.append(root.owner.operands[0])  # what an in-place op returns is what it wrote
        root = root.owner.operands[0]
    if isinstance(root.owner, ir.Block) or root.owner.name.startswith("torch.vtensor"):
        return True
    members = [root]
    for member in members:
        for use in member.uses:
            reader = use.owner.operation
            if member not in itself and reader != op and op.is_before_in_block(reader):
                return True
            if use.operand_number == 0 and _shares_memory(reader) and reader != op:
                members.extend(reader.results)
    return False


def _shares_memory(op: Any) -> bool:
    return op.name in _VIEWS or _IN_PLACE.fullmatch(op_name(op)) is not None
