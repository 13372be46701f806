"""How each op computes in another dimension order: the ops that layouts pass through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, const_shape_of, i32_attr

Perm = tuple[int, ...]
# (op, permutation, operands already permuted, builder) -> the operands and attributes to use.
Permuted = tuple[list[ir.Value], dict[str, ir.Attribute]]
Rule = Callable[[Any, Perm, list[ir.Value], Builder], Permuted]

_RULES: dict[str, tuple[Rule, int | None]] = {}


def layout_rule(*names: str, tensors: int | None = None) -> Callable[[Rule], Rule]:
    """Register how ops compute permuted; `tensors` is how many leading operands are permuted."""

    def enter(fn: Rule) -> Rule:
        for name in names:
            _RULES[name] = (fn, tensors)
        return fn

    return enter


def compose(outer: Sequence[int], inner: Sequence[int]) -> Perm:
    """Return the perms of ``transpose(transpose(x, outer), inner)``."""
    return tuple(outer[k] for k in inner)


def inverse(perm: Sequence[int]) -> Perm:
    """Return the perms that undo `perm`."""
    out = [0] * len(perm)
    for k, p in enumerate(perm):
        out[p] = k
    return tuple(out)


def identity(rank: int) -> Perm:
    """Return the perms that change nothing."""
    return tuple(range(rank))


def is_flexible(op: Any) -> bool:
    """Return whether `op` can compute in any dimension order."""
    if op.name not in _RULES or len(op.results) != 1:
        return False
    if not isinstance(op.results[0].type, ir.RankedTensorType):
        return False
    if op.name == "tosa.rescale" and op.attributes["per_channel"].value:
        return False  # TOSA counts channels along the last dim
    if op.name in ("tosa.pad", "tosa.slice", "tosa.tile"):
        shapes = list(op.operands)[1:2] if op.name == "tosa.pad" else list(op.operands)[1:]
        if any(const_shape_of(v) is None for v in shapes):
            return False
    rank = ir.RankedTensorType(op.results[0].type).rank
    return all(ir.RankedTensorType(v.type).rank == rank for v in moved_operands(op))


def moved_operands(op: Any) -> list[ir.Value]:
    """Return the operands that are permuted along with the result."""
    return list(op.operands)[: _RULES[op.name][1]]


def permuted_op(op: Any, perm: Perm, operands: list[ir.Value], b: Builder) -> Permuted:
    """Return operands and attributes for `op` computing its result permuted by `perm`."""
    return _RULES[op.name][0](op, perm, operands, b)


def _attributes(op: Any) -> dict[str, ir.Attribute]:
    return {name: op.attributes[name] for name in op.attributes}


@layout_rule(
    *(
        f"tosa.{name}"
        for name in [
            "abs",
            "add",
            "bitwise_and",
            "bitwise_not",
            "bitwise_or",
            "bitwise_xor",
            "cast",
            "ceil",
            "clamp",
            "clz",
            "cos",
            "equal",
            "erf",
            "exp",
            "floor",
            "greater",
            "greater_equal",
            "identity",
            "intdiv",
            "log",
            "logical_and",
            "logical_left_shift",
            "logical_not",
            "logical_or",
            "logical_right_shift",
            "logical_xor",
            "maximum",
            "minimum",
            "arithmetic_right_shift",
            "pow",
            "reciprocal",
            "rsqrt",
            "select",
            "sigmoid",
            "sin",
            "sub",
            "tanh",
        ]
    )
)
@layout_rule("tosa.rescale", "tosa.table", "tosa.negate", tensors=1)
@layout_rule("tosa.mul", tensors=2)
def _elementwise(op: Any, perm: Perm, operands: list[ir.Value], b: Builder) -> Permuted:
    return [*operands, *list(op.operands)[len(operands) :]], _attributes(op)


@layout_rule("tosa.concat")
@layout_rule(
    *(f"tosa.reduce_{name}" for name in ("all", "any", "max", "min", "product", "sum")),
    "tosa.reverse",
    tensors=1,
)
def _along_axis(op: Any, perm: Perm, operands: list[ir.Value], b: Builder) -> Permuted:
    attributes = _attributes(op)
    attributes["axis"] = i32_attr(perm.index(op.attributes["axis"].value))
    return operands, attributes


@layout_rule("tosa.slice", "tosa.tile", tensors=1)
def _by_shape(op: Any, perm: Perm, operands: list[ir.Value], b: Builder) -> Permuted:
    shapes = [const_shape_of(v) or [] for v in list(op.operands)[1:]]
    return [*operands, *(b.const_shape([s[p] for p in perm]) for s in shapes)], _attributes(op)


@layout_rule("tosa.pad", tensors=1)
def _pad(op: Any, perm: Perm, operands: list[ir.Value], b: Builder) -> Permuted:
    padding = const_shape_of(op.operands[1]) or []
    moved = [n for p in perm for n in padding[2 * p : 2 * p + 2]]
    return [*operands, b.const_shape(moved), op.operands[2]], _attributes(op)
