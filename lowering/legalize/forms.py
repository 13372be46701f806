"""What the legalisations match and build: integer convolutions, their tails, exact copies.

A *tail* is the RESCALE that turns an i32 accumulator into a feature map, with the CLAMPs and TABLEs
that follow. NPUs run a convolution and its tail as one operation, so whoever splits a convolution
must give every part the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder, accumulator_of, attr_ints
from tosaic.dialects.types import (
    DYNAMIC,
    constant_value,
    element_of,
    i,
    is_signless_integer,
    shape_of,
    tensor,
)
from tosaic.errors import PipelineError
from tosaic.lowering.quantization.arithmetic import rescaled

Ints = npt.NDArray[np.int64]

ACCELERATORS = ("u55", "u65", "u85")
UNIT = (1 << 30, 30)  # multiplier and shift of a RESCALE by one


def check_accelerator(name: str) -> None:
    """Refuse a pass option that names no Ethos-U family.

    Raises:
        PipelineError: it is none of `ACCELERATORS`.
    """
    if name not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise PipelineError(f"Accelerator '{name}' is unknown; choose one of {known}.")


def defining(value: ir.Value, *names: str) -> Any | None:
    """Return the op that computes `value` if it is one of `names` (``"tosa."`` left out)."""
    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name.removeprefix("tosa.") not in names:
        return None
    return owner


def sole_reader(value: ir.Value) -> Any | None:
    """Return the op that reads `value` if it is read exactly once."""
    uses = list(value.uses)
    return uses[0].owner if len(uses) == 1 else None


def scalar(value: ir.Value) -> int | None:
    """Return a constant one-element integer operand (a zero point, say) as a number."""
    array = constant_value(value)
    return int(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def is_i8(value: ir.Value) -> bool:
    """Return whether `value` is a static i8 tensor."""
    return is_signless_integer(element_of(value), 8) and DYNAMIC not in shape_of(value)


def is_i16(value: ir.Value) -> bool:
    """Return whether `value` is a static i16 tensor."""
    return is_signless_integer(element_of(value), 16) and DYNAMIC not in shape_of(value)


@dataclass(frozen=True)
class Rescale:
    """A RESCALE of signed integers with constant parameters."""

    x: ir.Value
    multipliers: tuple[int, ...]
    shifts: tuple[int, ...]
    zero_points: tuple[int, int]
    rounding: str

    @classmethod
    def of(cls, op: Any) -> Rescale | None:
        """Read `op`; None if it is another op, unsigned, 16-bit but of i48, or not constant."""
        if op is None or op.name != "tosa.rescale":
            return None
        if not op.attributes["scale32"].value and element_of(op.operands[0]).width != 48:
            return None
        if op.attributes["input_unsigned"].value or op.attributes["output_unsigned"].value:
            return None
        multipliers, shifts = (constant_value(v) for v in list(op.operands)[1:3])
        zero_points = [scalar(v) for v in list(op.operands)[3:5]]
        if multipliers is None or shifts is None or None in zero_points:
            return None
        return cls(
            op.operands[0],
            tuple(int(m) for m in multipliers),
            tuple(int(s) for s in shifts),
            (zero_points[0] or 0, zero_points[1] or 0),
            str(op.attributes["rounding_mode"]).rpartition("<")[2].rstrip(">"),
        )

    @property
    def factor(self) -> float:
        """The (first) factor."""
        return float(self.multipliers[0]) / float(2 ** self.shifts[0])

    @property
    def is_unit(self) -> bool:
        """Whether the factor is one for every channel."""
        return all(m == 1 << s for m, s in zip(self.multipliers, self.shifts, strict=True))

    def build(self, b: Builder, x: ir.Value, element: ir.Type, repeat: int = 1) -> ir.Value:
        """Rescale `x` likewise; its channels are `repeat` times those of `self.x`."""
        times = repeat if len(self.multipliers) > 1 else 1
        return b.rescale(
            x,
            element,
            self.multipliers * times,
            self.shifts * times,
            zero_points=self.zero_points,
            rounding=self.rounding,
        )


@dataclass(frozen=True)
class Tail:
    """The RESCALE on an accumulator and the CLAMPs and TABLEs after it."""

    accumulator: ir.Value
    rescale: Rescale
    activations: tuple[Any, ...]
    element: ir.Type
    location: ir.Location

    @classmethod
    def ending_at(cls, op: Any) -> Tail | None:
        """Return the tail whose last op is `op`; only the last may have several readers."""
        reader = sole_reader(op.results[0])
        if reader is not None and reader.name in ("tosa.clamp", "tosa.table"):
            return None
        activations = []
        while op.name in ("tosa.clamp", "tosa.table"):
            activations.append(op)
            source = op.operands[0]
            if isinstance(source.owner, ir.Block) or sole_reader(source) is None:
                return None
            op = source.owner
        rescale = Rescale.of(op)
        if rescale is None or sole_reader(rescale.x) is None:
            return None
        return cls(
            rescale.x, rescale, tuple(reversed(activations)), element_of(op.results[0]), op.location
        )

    def build(self, b: Builder, accumulator: ir.Value, repeat: int = 1) -> ir.Value:
        """Apply the tail to an accumulator with `repeat` times the channels."""
        value = self.rescale.build(Builder(self.location, b.ip), accumulator, self.element, repeat)
        for op in self.activations:
            value = Builder(op.location, b.ip).value(
                op.name,
                [value, *list(op.operands)[1:]],
                tensor(shape_of(value), element_of(op.results[0])),
                **{name: op.attributes[name] for name in op.attributes},
            )
        return value


@dataclass(frozen=True)
class Convolution:
    """A convolution of a static i8 or i16 feature map with constant i8 weights."""

    x: ir.Value
    weight: Ints
    bias: Ints
    zero_points: tuple[int, int]
    pad: tuple[int, ...]
    stride: tuple[int, ...]
    location: ir.Location
    out_shape: tuple[int, ...]

    @classmethod
    def of(cls, op: Any, name: str = "tosa.conv2d") -> Convolution | None:
        """Read `op` (`pad` is a TRANSPOSE_CONV2D's out_pad); None if dilated or not constant."""
        if op is None or isinstance(op, ir.Block) or op.name != name:
            return None
        if not (is_i8(op.operands[0]) or is_i16(op.operands[0])):
            return None
        if "dilation" in op.attributes and attr_ints(op, "dilation") != [1, 1]:
            return None
        weight, bias = (constant_value(v) for v in list(op.operands)[1:3])
        zero_points = [scalar(v) for v in list(op.operands)[3:5]]
        if weight is None or bias is None or None in zero_points or weight.dtype != np.int8:
            return None
        shape = shape_of(op.results[0])
        return cls(
            op.operands[0],
            weight.astype(np.int64),
            np.broadcast_to(bias.astype(np.int64), shape[-1:]),
            (zero_points[0] or 0, zero_points[1] or 0),
            tuple(attr_ints(op, "out_pad" if "out_pad" in op.attributes else "pad")),
            tuple(attr_ints(op, "stride")),
            op.location,
            tuple(shape),
        )


def window_sum(
    b: Builder,
    x: ir.Value,
    window: npt.ArrayLike,
    zero_point: int,
    *,
    stride: Sequence[int] = (1, 1),
) -> ir.Value:
    """Return the sums of ``(x - zero_point) * window``, the same [KH,KW] `window` everywhere."""
    weight = np.repeat(np.asarray(window, np.int64)[..., None], shape_of(x)[3], axis=2)
    return b.conv2d(
        x,
        b.const(weight[..., None], i(8)),
        b.const(np.zeros(weight.shape[-1]), accumulator_of(element_of(x))),
        zero_points=(zero_point, 0),
        stride=stride,
        depthwise=True,
    )


def copied(b: Builder, x: ir.Value) -> ir.Value:
    """Return i8 or i16 `x` unchanged, by a depthwise 1x1 convolution: the cheapest copy."""
    return rescaled(b, window_sum(b, x, [[1]], 0), 1.0, element_of(x))
