"""Channel shuffles are written for channels-last tensors."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import NCHW, NHWC, Builder, attr_ints
from tosaic.dialects.types import is_static, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


def _producer(value: ir.Value, name: str) -> Any:
    owner = value.owner
    return None if isinstance(owner, ir.Block) or owner.name != name else owner


@pattern("tosa.reshape")
def shuffle(op: Any, b: Builder) -> ir.Value | None:
    """Rewrite reshape(transpose(reshape(x : NCHW -> N,g,C/g,H,W), swap g and C/g)) : NCHW."""
    swap = _producer(op.operands[0], "tosa.transpose")
    split = None if swap is None else _producer(swap.operands[0], "tosa.reshape")
    if split is None or attr_ints(swap, "perms") != [0, 2, 1, 3, 4]:
        return None
    x, shape = split.operands[0], shape_of(split.operands[0])
    groups = shape_of(split.results[0])
    if len(shape) != 4 or not is_static(shape) or shape_of(op.results[0]) != shape:
        return None
    n, c, h, w = shape
    if groups != [n, groups[1], c // groups[1], h, w]:
        return None
    rows = b.reshape(b.transpose(x, NHWC), [n * h * w, groups[1], groups[2]])
    return b.transpose(b.reshape(b.transpose(rows, (0, 2, 1)), [n, h, w, c]), NCHW)


@register_pass
@dataclasses.dataclass(frozen=True)
class ShuffleChannels(PatternPass):
    """Move the transposes of a channel shuffle to its outside, around a shuffle of the last dim.

    ShuffleNet's view-transpose-view of [N, C, H, W] (Zhang et al., 2018) mixes one dim only, but
    its reshapes stop tosaic-place-transposes. Written on [N, H, W, C], what moves the other dims is
    a transpose before and one after, and both cancel against the convolutions around.
    """

    name: ClassVar[str] = "tosaic-shuffle-channels"
    patterns: ClassVar[tuple[Pattern, ...]] = (shuffle,)
