"""What Ethos-U does not take, as a table; reported all at once, before Vela stops at the first.

Sources: Vela 5.2's SUPPORTED_OPS.md and constraint tables, and Vela itself, asked with each row
(test/unit/test_ethos_u_limits.py). Vela refuses some forms by op kind, without a name; others it
accepts although they are beyond the hardware: those rows are `silent`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import attr_ints
from tosaic.dialects.types import (
    DYNAMIC,
    constant_value,
    element_of,
    is_float,
    is_signless_integer,
    shape_of,
)
from tosaic.errors import Diagnostic
from tosaic.lowering.legalize.ethos_u_operators import OPERATORS
from tosaic.lowering.legalize.forms import Rescale, check_accelerator, sole_reader
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass

_ALL = ("u55", "u65", "u85")
_SMALL = ("u55", "u65")
_CONVS = ("conv2d", "depthwise_conv2d")
_MAX_EXTENT = 1 << 16
_MAX_WEIGHT_SUM = 127 << 16

# What is found in an op that breaks a limit, in words, or None.
Finding = Callable[[Any], str | None]


@dataclasses.dataclass(frozen=True)
class Limit:
    """One row: `ops` (empty: any) on `accelerators` must not have what `finding` finds."""

    name: str
    ops: tuple[str, ...]
    accelerators: tuple[str, ...]
    finding: Finding
    takes: str
    hint: str
    silent: bool = False

    def message(self, op: Any, found: str, accelerator: str) -> str:
        """Return the whole diagnostic."""
        device = f"Ethos-{accelerator.upper()}"
        silent = " Vela accepts it and the result would be wrong." if self.silent else ""
        return f"{op.name} has {found}; {device} takes {self.takes}.{silent} {self.hint}"


def _tensors(op: Any) -> list[ir.Value]:
    values = [*op.operands, *op.results]
    return [v for v in values if isinstance(v.type, ir.RankedTensorType)]


def _element_width(value: ir.Value) -> int:
    element = element_of(value)
    return element.width if isinstance(element, ir.IntegerType) else 0


def _float(op: Any) -> str | None:
    return next(
        (f"a {element_of(v)} tensor" for v in _tensors(op) if is_float(element_of(v))), None
    )


def _dynamic(op: Any) -> str | None:
    return "a dynamic shape" if any(DYNAMIC in shape_of(v) for v in _tensors(op)) else None


def _boolean(op: Any) -> str | None:
    found = any(is_signless_integer(element_of(v), 1) for v in _tensors(op))
    return "a boolean tensor" if found else None


def _long_stride(op: Any) -> str | None:
    stride = attr_ints(op, "stride")
    if max(stride) <= 3:
        return None
    plain = not any(attr_ints(op, "pad")) and attr_ints(op, "dilation") == [1, 1]
    if op.name == "tosa.conv2d" and plain:
        return None
    return f"stride {stride[0]}x{stride[1]}" + ("" if plain else " with padding or dilation")


def _transposed_stride(op: Any) -> str | None:
    stride = attr_ints(op, "stride")
    _, h, w, _ = shape_of(op.operands[0])
    _, kh, kw, _ = shape_of(op.operands[1])
    flat = (stride == [1, 2] and h == kh == 1) or (stride == [2, 1] and w == kw == 1)
    return None if stride in ([1, 1], [2, 2]) or flat else f"stride {stride[0]}x{stride[1]}"


def _large_kernel(op: Any) -> str | None:
    shape = shape_of(op.operands[1])
    kh, kw = shape[:2] if op.name == "tosa.depthwise_conv2d" else shape[1:3]
    return f"a {kh}x{kw} kernel" if kh > 64 or kh * kw > 4096 else None


def _large_pool(op: Any) -> str | None:
    kh, kw = attr_ints(op, "kernel")
    return f"a {kh}x{kw} window" if kh > 256 or kh * kw > 65536 else None


def _large_padded_pool(op: Any) -> str | None:
    kh, kw = attr_ints(op, "kernel")
    padded = any(attr_ints(op, "pad"))
    return f"a padded {kh}x{kw} window" if padded and max(kh, kw) > 8 else None


def _computed_weights(op: Any) -> str | None:
    if all(constant_value(v) is not None or _is_constant(v) for v in list(op.operands)[1:3]):
        return None
    return "weights or a bias that are computed"


def _is_constant(value: ir.Value) -> bool:
    return not isinstance(value.owner, ir.Block) and value.owner.name == "tosa.const"


def _heavy_weights(op: Any) -> str | None:
    weight, zero_point = constant_value(op.operands[1]), constant_value(op.operands[4])
    if weight is None or zero_point is None:
        return None
    axes = (0, 1) if op.name == "tosa.depthwise_conv2d" else (1, 2, 3)
    most = int(np.abs(weight.astype(np.int64) - int(zero_point.flat[0])).sum(axes).max())
    return f"weights of absolute sum {most}" if most > _MAX_WEIGHT_SUM else None


def _wide_channels(op: Any) -> str | None:
    channels = max(shape_of(op.operands[0])[-1], shape_of(op.results[0])[-1])
    return f"{channels} channels" if channels > _MAX_EXTENT else None


def _unfused_accumulator(op: Any) -> str | None:
    if _element_width(op.results[0]) != 48:
        return None
    reader = sole_reader(op.results[0])
    alone = reader is None or reader.name != "tosa.rescale"
    return "a 48-bit result that no single RESCALE reads" if alone else None


def _wide_operands(op: Any) -> str | None:
    width = _element_width(op.operands[0])
    return f"{width}-bit operands" if width > 8 else None


def _argmax(op: Any) -> str | None:
    shape, axis = shape_of(op.operands[0]), op.attributes["axis"].value
    if axis != len(shape) - 1:
        return f"axis {axis} of {len(shape)} dims"
    if _element_width(op.operands[0]) != 8:
        return f"{_element_width(op.operands[0])}-bit operands"
    return f"{shape[-1]} channels" if shape[-1] > 127 else None


def _not_32_bits(op: Any) -> str | None:
    width = _element_width(op.operands[0])
    return f"{width}-bit operands" if width != 32 else None


def _32_bits(op: Any) -> str | None:
    return "32-bit operands" if _element_width(op.operands[0]) == 32 else None


def _unrounded(op: Any) -> str | None:
    return None if op.attributes["round"].value else "no rounding"


def _narrowing(op: Any) -> str | None:
    before, after = _element_width(op.operands[0]), _element_width(op.results[0])
    return f"a cast of 32 to {after} bits" if before == 32 and after < 32 else None


def _reverse_channels(op: Any) -> str | None:
    rank, axis = len(shape_of(op.operands[0])), op.attributes["axis"].value
    return f"axis {axis} of {rank} dims" if axis not in (rank - 2, rank - 3) else None


def _wide_high_rank(op: Any) -> str | None:
    rank = len(shape_of(op.operands[0]))
    return f"{rank} dims of 32 bits" if rank > 4 and _32_bits(op) else None


def _long_reduction(op: Any) -> str | None:
    shape, axis = shape_of(op.operands[0]), op.attributes["axis"].value
    parts = [shape[axis]]
    if axis != len(shape) - 1:
        parts += [math.prod(shape[:axis]), math.prod(shape[axis + 1 :])]
    longest = max(parts)
    return f"{longest} elements along or beside its axis" if longest > _MAX_EXTENT else None


def _resize_scale(op: Any) -> str | None:
    scale = constant_value(op.operands[1])
    if scale is None:
        return "a scale that is computed"
    up = [int(scale[0]) / int(scale[1]), int(scale[2]) / int(scale[3])]
    return None if set(up) <= {2.0, 4.0, 8.0} else f"a scale of {up[0]:g}x{up[1]:g}"


def _wide_bilinear(op: Any) -> str | None:
    width = _element_width(op.operands[0])
    bilinear = "BILINEAR" in str(op.attributes["mode"])
    return f"a bilinear resize of {width} bits" if bilinear and width > 8 else None


def unequal_integer_factors(op: Any) -> str | None:
    """Both operands scaled by different integers: Vela 5.2 emits the wrong scaling mode."""
    reader = sole_reader(op.results[0])
    out = None if reader is None else Rescale.of(reader)
    if reader is None or out is None or _element_width(reader.results[0]) > 16:
        return None
    factors = []
    for value in list(op.operands)[:2]:
        rescale = None if isinstance(value.owner, ir.Block) else Rescale.of(value.owner)
        if rescale is None or _element_width(rescale.x) > 16 or len(rescale.multipliers) > 1:
            return None
        factors.append(rescale.factor)
    fused = all(f.is_integer() and 0 < f < 2**15 for f in factors)
    return (
        f"operands rescaled by {factors[0]:g} and {factors[1]:g}"
        if fused and factors[0] != factors[1]
        else None
    )


def _depth_kernel(op: Any) -> str | None:
    depth = shape_of(op.operands[1])[1]
    return f"a kernel {depth} deep" if depth != 1 else None


_SPLIT = "Run tosaic-split-strided-conv, or make height and width multiples of the stride."
_CUT = "Compute it in two steps of smaller windows."
_NARROW = 'Quantise it to int8: an override of the recipe, for this op, activations = "int8".'

LIMITS: tuple[Limit, ...] = (
    Limit("float", (), _ALL, _float, "integers only", "Quantise this op."),
    Limit("dynamic", (), _ALL, _dynamic, "static shapes only", "Give the input a fixed shape."),
    Limit(
        "boolean",
        (),
        _SMALL,
        _boolean,
        "no booleans",
        "Compute it with 8-bit integers, or target U85.",
    ),
    Limit(
        "stride",
        _CONVS,
        _SMALL,
        _long_stride,
        "strides up to 3, longer ones in a CONV2D without padding",
        _SPLIT,
    ),
    Limit(
        "transposed stride",
        ("transpose_conv2d",),
        _SMALL,
        _transposed_stride,
        "strides 1x1 and 2x2",
        "Run tosaic-lower-transpose-conv.",
    ),
    Limit(
        "kernel",
        _CONVS,
        _SMALL,
        _large_kernel,
        "kernels up to 64 high and 4096 in all",
        _CUT,
        silent=True,
    ),
    Limit(
        "transposed kernel",
        ("transpose_conv2d",),
        _SMALL,
        _large_kernel,
        "kernels up to 64 high and 4096 in all",
        _CUT,
        silent=True,
    ),
    Limit(
        "window",
        ("avg_pool2d", "max_pool2d"),
        _SMALL,
        _large_pool,
        "windows up to 256 high and 65536 in all",
        _CUT,
        silent=True,
    ),
    Limit(
        "padded window",
        ("avg_pool2d",),
        _SMALL,
        _large_padded_pool,
        "padded windows up to 8x8",
        "Use count_include_pad=True, which lowers to a convolution.",
    ),
    Limit(
        "weights",
        (*_CONVS, "conv3d"),
        _SMALL,
        _computed_weights,
        "constant weights and biases",
        "Use a matrix product (MATMUL) for computed operands.",
    ),
    Limit(
        "transposed weights",
        ("transpose_conv2d",),
        _ALL,
        _computed_weights,
        "constant weights and biases",
        "Make them parameters of the model.",
    ),
    Limit(
        "weight sum",
        _CONVS,
        _ALL,
        _heavy_weights,
        f"sums per output channel up to {_MAX_WEIGHT_SUM}",
        "Split the input channels over two convolutions and add.",
        silent=True,
    ),
    Limit(
        "channels",
        _CONVS,
        _ALL,
        _wide_channels,
        f"up to {_MAX_EXTENT}",
        "Split the channels over several convolutions.",
    ),
    Limit(
        "accumulator",
        (*_CONVS, "transpose_conv2d", "conv3d"),
        _SMALL,
        _unfused_accumulator,
        "48-bit accumulators only inside a convolution with RESCALE",
        "Rescale the result once.",
    ),
    Limit("matmul", ("matmul",), _SMALL, _wide_operands, "8-bit operands", _NARROW),
    Limit(
        "transposed type",
        ("transpose_conv2d",),
        _SMALL,
        _wide_operands,
        "8-bit operands",
        "Run tosaic-lower-transpose-conv.",
    ),
    Limit(
        "argmax",
        ("argmax",),
        _SMALL,
        _argmax,
        "up to 127 8-bit channels on the last axis",
        "Take the argmax on the host, or target U85.",
    ),
    Limit(
        "shift type",
        ("arithmetic_right_shift", "logical_left_shift", "clz"),
        _SMALL,
        _not_32_bits,
        "32 bits only",
        "Cast the operands to i32.",
    ),
    Limit(
        "shift rounding",
        ("arithmetic_right_shift",),
        _SMALL,
        _unrounded,
        "round = true only",
        "Use RESCALE, or a rounding shift.",
        silent=True,
    ),
    Limit(
        "maximum", ("reduce_max", "reduce_min"), _SMALL, _32_bits, "8 and 16 bits", "Rescale first."
    ),
    Limit(
        "sum",
        ("reduce_sum",),
        _SMALL,
        _long_reduction,
        f"up to {_MAX_EXTENT} along the axis, before it and after it",
        "Reduce in two steps.",
    ),
    Limit(
        "narrowing",
        ("cast",),
        _SMALL,
        _narrowing,
        "no narrowing casts",
        "Use RESCALE.",
        silent=True,
    ),
    Limit(
        "reverse axis",
        ("reverse",),
        _SMALL,
        _reverse_channels,
        "H and W only",
        "Transpose around it, or permute weights.",
    ),
    Limit(
        "reverse type",
        ("reverse",),
        _SMALL,
        _32_bits,
        "8 and 16 bits",
        "Rescale first.",
        silent=True,
    ),
    Limit(
        "transpose",
        ("transpose",),
        _SMALL,
        _wide_high_rank,
        "up to 4 dims of 32 bits",
        "Transpose before widening, or merge dims.",
        silent=True,
    ),
    Limit(
        "resize", ("resize",), _SMALL, _resize_scale, "upscaling by 2, 4 or 8", "Resize in steps."
    ),
    Limit(
        "resize type",
        ("resize",),
        _SMALL,
        _wide_bilinear,
        "none of 16 bits",
        "Give it a whole factor without align_corners, which becomes a convolution; or target U85.",
    ),
    Limit(
        "conv3d", ("conv3d",), _SMALL, _depth_kernel, "kernels 1 deep", "Add up 2-D convolutions."
    ),
    Limit(
        "sum of scaled",
        ("add", "sub"),
        _SMALL,
        unequal_integer_factors,
        "equal factors, or 2**19 for the larger",
        "Scale the operand of the larger scale by 2**19 and the other by less.",
        silent=True,
    ),
)

_NOT_COMPUTED = ("tosa.const", "tosa.const_shape")


def broken_limits(op: Any, accelerator: str) -> list[tuple[Limit, str]]:
    """Return the rows that `op` breaks on `accelerator`, with what was found."""
    kind = op.name.removeprefix("tosa.")
    rows = [r for r in LIMITS if accelerator in r.accelerators and (not r.ops or kind in r.ops)]
    found = [(row, row.finding(op)) for row in rows if not row.ops]
    if not any(words for _, words in found):  # the others read integer types and static shapes
        found = [(row, row.finding(op)) for row in rows if row.ops]
    return [(row, words) for row, words in found if words]


@register_pass
@dataclasses.dataclass(frozen=True)
class CheckEthosU(Pass):
    """Report every op that `accelerator` (u55, u65, u85) cannot run, with what to do about it.

    Vela stops at the first such op and names its kind only; some forms beyond the hardware's limits
    it even compiles, to wrong results. Nothing is changed; run it last, before serialising.
    """

    name: ClassVar[str] = "tosaic-check-ethos-u"
    accelerator: str = "u55"

    def run(self, module: ir.Operation) -> None:
        """Check every TOSA op."""
        check_accelerator(self.accelerator)
        device = f"Ethos-{self.accelerator.upper()}"
        taken = OPERATORS[self.accelerator]
        problems: list[Diagnostic] = []

        def visit(op: Any) -> ir.WalkResult:
            if not op.name.startswith("tosa.") or op.name in _NOT_COMPUTED:
                return ir.WalkResult.ADVANCE
            if op.name not in taken:
                hint = "Replace it in the model, or choose a target that has it."
                problems.append(error_at(op, f"{op.name} does not run on {device}. {hint}"))
                return ir.WalkResult.ADVANCE
            for row, found in broken_limits(op, self.accelerator):
                problems.append(error_at(op, row.message(op, found, self.accelerator)))
            return ir.WalkResult.ADVANCE

        module.walk(visit)
        fail_if(problems, f"Some ops do not run on {device}.")
