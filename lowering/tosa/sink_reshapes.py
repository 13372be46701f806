"""Ops compute in the shape of what they read, not of a reshape of it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, broadcast_shapes, const_shape_of, i32_attr
from tosaic.dialects.types import constant_value, element_of, is_static, shape_of, tensor
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass

_ELEMENTWISE = {  # name -> how many operands are broadcast to the result's shape
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
_REDUCTIONS = ("all", "any", "max", "min", "product", "sum")


@dataclasses.dataclass(frozen=True)
class _Squeezed:
    """A reshape of `source` that drops dims of 1; dim n of the result is dim ``kept[n]``."""

    source: ir.Value
    kept: tuple[int, ...]

    @classmethod
    def of(cls, value: ir.Value) -> _Squeezed | None:
        """Read the op that makes `value`; None where it does anything else."""
        owner = value.owner
        if isinstance(owner, ir.Block) or owner.name != "tosa.reshape":
            return None
        source, before, after = owner.operands[0], shape_of(owner.operands[0]), shape_of(value)
        if len(before) <= len(after) or not after or not is_static(before):
            return None
        kept: list[int] = []
        for n in reversed(range(len(before))):
            if len(kept) < len(after) and before[n] == after[-1 - len(kept)]:
                kept.insert(0, n)
            elif before[n] != 1:
                return None
        complete = len(kept) == len(after) and kept[-1] == len(before) - 1
        return cls(source, tuple(kept)) if complete else None

    def expanded(self, dims: list[int], filler: int = 1) -> list[int]:
        """Return `dims`, one for each of the result's, in the places of the source's."""
        out = [filler] * len(shape_of(self.source))
        for place, dim in zip(self.kept, dims, strict=True):
            out[place] = dim
        return out


def sink(op: Any, b: Builder) -> ir.Value | None:
    """f(reshape x, y) is reshape(f(x, reshape y)), where only dims of 1 go."""
    count, out = _ELEMENTWISE[op.name], shape_of(op.results[0])
    values = list(op.operands)[:count]
    found = next((s for s in map(_Squeezed.of, values) if s is not None), None)
    if found is None or not is_static(out):
        return None
    operands = [_like(b, v, found) for v in values]
    shape = shape_of(operands[0])
    for operand in operands[1:]:
        shape = broadcast_shapes(shape, shape_of(operand))
    result = _rebuilt(b, op, [*operands, *list(op.operands)[count:]], shape)
    return b.reshape(result, out)


def _like(b: Builder, value: ir.Value, found: _Squeezed) -> ir.Value:
    """Return an operand with the dims of `found`'s source."""
    own = _Squeezed.of(value)
    if own is not None and own.kept == found.kept:
        return own.source
    owner, shape = value.owner, found.expanded(shape_of(value))
    if not isinstance(owner, ir.Block) and owner.name == "tosa.rescale":
        x, *rest = owner.operands
        if constant_value(x) is not None:  # Vela computes it with the op that reads it, if alone
            return _rebuilt(b, owner, [b.reshape(x, shape), *rest], shape)
    return b.reshape(value, shape)


def _rebuilt(
    b: Builder, op: Any, operands: list[ir.Value], shape: list[int], **changed: ir.Attribute
) -> ir.Value:
    attributes = {name: op.attributes[name] for name in op.attributes} | changed
    return b.value(op.name, operands, tensor(shape, element_of(op.results[0])), **attributes)


@pattern("tosa.slice")
def sink_below_slice(op: Any, b: Builder) -> ir.Value | None:
    """slice(reshape x) is reshape(slice x)."""
    found = _Squeezed.of(op.operands[0])
    start, size = (const_shape_of(v) for v in list(op.operands)[1:])
    if found is None or start is None or size is None or -1 in size:
        return None
    part = b.slice(found.source, found.expanded(start, 0), found.expanded(size))
    return b.reshape(part, size)


@pattern("tosa.pad")
def sink_below_pad(op: Any, b: Builder) -> ir.Value | None:
    """pad(reshape x) is reshape(pad x)."""
    x, padding, value = op.operands
    found, widths = _Squeezed.of(x), const_shape_of(padding)
    out = shape_of(op.results[0])
    if found is None or widths is None or not is_static(out):
        return None
    before, after = (found.expanded(widths[side::2], 0) for side in (0, 1))
    around = b.const_shape([w for pair in zip(before, after, strict=True) for w in pair])
    return b.reshape(_rebuilt(b, op, [found.source, around, value], found.expanded(out)), out)


def sink_below_reduction(op: Any, b: Builder) -> ir.Value | None:
    """reduce(reshape x) is reshape(reduce x)."""
    found, out = _Squeezed.of(op.operands[0]), shape_of(op.results[0])
    if found is None:
        return None
    axis = i32_attr(found.kept[op.attributes["axis"].value])
    return b.reshape(_rebuilt(b, op, [found.source], found.expanded(out), axis=axis), out)


@pattern("tosa.concat")
def sink_below_concat(op: Any, b: Builder) -> ir.Value | None:
    """concat(reshape x, reshape y) is reshape(concat(x, y))."""
    parts = [_Squeezed.of(v) for v in op.operands]
    known = [p for p in parts if p is not None]
    if len(known) < len(parts) or len({p.kept for p in known}) > 1:
        return None
    axis = known[0].kept[op.attributes["axis"].value]
    return b.reshape(b.concat([p.source for p in known], axis), shape_of(op.results[0]))


@register_pass
@dataclasses.dataclass(frozen=True)
class SinkReshapes(PatternPass):
    """Move reshapes that drop dims of 1 below ops that go on with the other dims.

    A transformer's residual stream is [N,T,C] while its linear layers are computed as [N,1,T,C]; so
    are a recurrent net's states. Read in both shapes, a tensor is copied by Vela; with what is
    computed from it in the shape of the layers there is but one. Reshapes move down only, from more
    dims to fewer.
    """

    name: ClassVar[str] = "tosaic-sink-reshapes"
    patterns: ClassVar[tuple[Pattern, ...]] = (
        *(Pattern(name, sink) for name in _ELEMENTWISE),
        sink_below_slice,
        sink_below_pad,
        sink_below_concat,
        *(Pattern(f"tosa.reduce_{name}", sink_below_reduction) for name in _REDUCTIONS),
    )
