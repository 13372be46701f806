"""The transpose of a flatten in front of a classifier goes into the classifier's weight."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, attr_ints
from tosaic.dialects.types import DYNAMIC, constant_value, element_of, shape_of
from tosaic.lowering.passes import Pattern, PatternPass, pattern, register_pass


@pattern("tosa.conv2d")
def fold_into_weight(op: Any, b: Builder) -> ir.Value | None:
    """conv1x1(reshape(transpose x), w) is conv1x1(reshape x, w with its columns permuted)."""
    weight = constant_value(op.operands[1])
    if weight is None or list(weight.shape[1:3]) != [1, 1] or any(attr_ints(op, "pad")):
        return None
    transpose = _flattened_transpose(op.operands[0])
    if transpose is None:
        return None
    perms, x = attr_ints(transpose, "perms"), transpose.operands[0]
    shape, out_channels = shape_of(x), weight.shape[0]
    if perms[0] != 0 or DYNAMIC in shape or math.prod(shape[1:]) != weight.shape[3]:
        return None
    # The weight's columns follow the transposed dims; put them in the order of `x`.
    columns = weight.reshape(out_channels, *(shape[p] for p in perms[1:]))
    permuted = columns.transpose(0, *(perms.index(d) for d in range(1, len(perms))))
    return b.value(
        op.name,
        [
            b.reshape(x, shape_of(op.operands[0])),
            b.const(permuted.reshape(weight.shape), element_of(op.operands[1])),
            *list(op.operands)[2:],
        ],
        op.results[0].type,
        **{name: op.attributes[name] for name in op.attributes},
    )


def _flattened_transpose(value: ir.Value) -> Any | None:
    """Return the transpose that reshapes lead back to from `value`, if there is one."""
    reshaped = False
    while not isinstance(value.owner, ir.Block) and value.owner.name == "tosa.reshape":
        value, reshaped = value.owner.operands[0], True
    owner = value.owner
    if not reshaped or isinstance(owner, ir.Block) or owner.name != "tosa.transpose":
        return None
    return owner


@register_pass
@dataclasses.dataclass(frozen=True)
class FoldFlatten(PatternPass):
    """Permute the weight of a fully connected layer in place of the feature map it flattens.

    PyTorch flattens [N,C,H,W], so a model computed NHWC has a transpose left in front of its
    classifier, a 1x1 CONV2D of [1,1,N,C*H*W] by a constant. The columns of the weight take the
    order of the untransposed map instead: the same products in another order, exact in integers
    and up to the order of summation in floats. Only for permutations that keep the first dim.
    """

    name: ClassVar[str] = "tosaic-fold-flatten"
    patterns: ClassVar[tuple[Pattern, ...]] = (fold_into_weight,)
