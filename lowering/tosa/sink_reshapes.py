"""Elementwise ops compute in the shape of what they read, not of a reshape of it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, broadcast_shapes
from tosaic.dialects.types import element_of, is_static, shape_of, tensor
from tosaic.lowering.passes import Pattern, PatternPass, register_pass

_ELEMENTWISE = {  # name -> how many operands are tensors of the result's shape
    "tosa.add": 2,
    "tosa.arithmetic_right_shift": 2,
    "tosa.clamp": 1,
    "tosa.maximum": 2,
    "tosa.minimum": 2,
    "tosa.mul": 2,
    "tosa.rescale": 1,
    "tosa.sub": 2,
    "tosa.table": 1,
}


def sink(op: Any, b: Builder) -> ir.Value | None:
    """f(reshape x, y) is reshape(f(x, reshape y)), where only dims of 1 come and go."""
    count, out = _ELEMENTWISE[op.name], shape_of(op.results[0])
    values = list(op.operands)[:count]
    source = next((s for s in map(_before_unit_dims, values) if s is not None), None)
    if source is None or any(shape_of(v) != out for v in values) or not is_static(out):
        return None
    shape = shape_of(source)
    operands = [_as(b, v, shape) for v in values]
    result = b.value(
        op.name,
        [*operands, *list(op.operands)[count:]],
        tensor(broadcast_shapes(shape, shape), element_of(op.results[0])),
        **{name: op.attributes[name] for name in op.attributes},
    )
    return b.reshape(result, out)


def _before_unit_dims(value: ir.Value) -> ir.Value | None:
    """Return x where `value` is a reshape of it to fewer dims, the others of which are 1."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "tosa.reshape":
        return None
    before, after = shape_of(owner.operands[0]), shape_of(value)
    if len(before) <= len(after) or not after or before[-1] != after[-1]:
        return None
    same = [d for d in before if d != 1] == [d for d in after if d != 1]
    return owner.operands[0] if same else None


def _as(b: Builder, value: ir.Value, shape: list[int]) -> ir.Value:
    source = _before_unit_dims(value)
    return source if source is not None and shape_of(source) == shape else b.reshape(value, shape)


@register_pass
@dataclasses.dataclass(frozen=True)
class SinkReshapes(PatternPass):
    """Move reshapes that drop dims of 1 below elementwise ops.

    A transformer's residual stream is [N,T,C] while its linear layers are computed as [N,1,T,C].
    Read in both shapes, a tensor is copied by Vela; with the sums in the shape of the layers there
    is but one. Reshapes move down only, from more dims to fewer.
    """

    name: ClassVar[str] = "tosaic-sink-reshapes"
    patterns: ClassVar[tuple[Pattern, ...]] = tuple(Pattern(name, sink) for name in _ELEMENTWISE)
