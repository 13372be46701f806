"""uint8 in TOSA, whose integers have a sign: i8 of the same bits, and i32 where values count."""

from __future__ import annotations

from typing import Any

from tosaic.lowering.ops import builtin_type, is_unsigned

# Ops that do not look at the values they move.
_MOVING = frozenset(
    ["torch.vtensor.literal", "torch.prim.ListUnpack"]
    + [
        f"torch.aten.{name}"
        for name in [
            "_unsafe_view",
            "alias",
            "cat",
            "chunk",
            "clone",
            "contiguous",
            "detach",
            "expand",
            "expand_as",
            "flatten",
            "flip",
            "lift",
            "lift_fresh",
            "lift_fresh_copy",
            "movedim",
            "narrow",
            "numpy_T",
            "permute",
            "pixel_shuffle",
            "pixel_unshuffle",
            "repeat",
            "reshape",
            "roll",
            "select",
            "slice",
            "split",
            "split_with_sizes",
            "squeeze",
            "stack",
            "t",
            "tile",
            "transpose",
            "unbind",
            "unflatten",
            "unsqueeze",
            "view",
            "view_as",
        ]
    ]
)


def widens(name: str, op: Any) -> bool:
    """Return whether the lowering of `op`, called `name`, gets its uint8 operands as i32."""
    tensors = [v for v in (*op.operands, *op.results) if builtin_type(v) is not None]
    unsigned = [is_unsigned(v) for v in tensors]
    moves = ".".join(name.split(".")[:3]) in _MOVING and all(unsigned)
    # Quantised values are shifted to a signed range where they are cast (quantize.py).
    return any(unsigned) and not moves and not name.startswith("torch.quantized_decomposed.")
