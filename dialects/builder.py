"""Building TOSA ops: a builder that cannot be made without a location, and infers result types.

Shapes follow the TOSA 1.0 specification, chapter "Operators". Every method returns the one result
value; operands are MLIR values, attributes plain Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.dialects.bindings import ir
from tosaic.dialects.types import (
    DYNAMIC,
    constant_value,
    dense,
    element_of,
    f32,
    has_no_elements,
    i,
    is_float,
    numpy_dtype,
    quant_params,
    shape_of,
    storage_of,
    tensor,
)

NHWC = (0, 2, 3, 1)
NCHW = (0, 3, 1, 2)


def broadcast_shapes(a: Sequence[int], b: Sequence[int]) -> list[int]:
    """Return the broadcast of two shapes of one rank (a dynamic dim wins over 1, a static over ?).

    Raises:
        ValueError: where two static dims differ and neither is 1.
    """
    out = []
    for x, y in zip(a, b, strict=True):
        if y in (x, 1):
            out.append(x)
        elif x in (1, DYNAMIC):
            out.append(y)
        elif y == DYNAMIC:
            out.append(x)
        else:
            raise ValueError(f"shapes {list(a)} and {list(b)} do not broadcast")
    return out


# What a reduction gives where there is nothing to reduce.
_OF_NOTHING: dict[str, float] = {
    "tosa.reduce_sum": 0,
    "tosa.reduce_product": 1,
    "tosa.reduce_any": False,
    "tosa.reduce_all": True,
    "tosa.reduce_max": -math.inf,
    "tosa.reduce_min": math.inf,
}


@dataclass(frozen=True)
class Builder:
    """Builds ops at `ip` with location `loc`.

    TOSA has no tensors without elements. What would be one is a `tensor.empty` that nothing needs
    in the end; sums, joins and the like of nothing give what they give in mathematics.
    """

    loc: ir.Location
    ip: ir.InsertionPoint

    def op(
        self,
        name: str,
        operands: Sequence[ir.Value],
        results: Sequence[ir.Type],
        **attributes: ir.Attribute,
    ) -> ir.Operation:
        """Build any op by name."""
        return ir.Operation.create(
            name,
            results=list(results),
            operands=list(operands),
            attributes=attributes,
            loc=self.loc,
            ip=self.ip,
        )

    def value(
        self, name: str, operands: Sequence[ir.Value], result: ir.Type, **attributes: ir.Attribute
    ) -> ir.Value:
        """Build an op with one result and return it; one without elements is a placeholder."""
        if isinstance(result, ir.RankedTensorType) and has_no_elements(result.shape):
            return self.op("tensor.empty", [], [result]).results[0]
        return self.op(name, operands, [result], **attributes).results[0]

    # --- constants -----------------------------------------------------------------------------

    def const(self, array: npt.ArrayLike, element: ir.Type | None = None) -> ir.Value:
        """Return a `tosa.const`; `element` (f32 by default) may be a `!quant` type."""
        element = f32() if element is None else element
        storage = storage_of(element)
        try:
            dtype = numpy_dtype(storage)
        except KeyError:
            dtype = np.float32 if is_float(storage) else np.int64
        data = np.asarray(array, dtype=dtype)
        return self.value(
            "tosa.const", [], tensor(data.shape, element), values=dense(data, storage)
        )

    def filled(self, shape: Sequence[int], value: float, element: ir.Type) -> ir.Value:
        """Return a constant of `shape`, every element `value`."""
        return self.const(np.broadcast_to(np.array(value), shape), element)

    def const_shape(self, dims: Sequence[int]) -> ir.Value:
        """Return a `tosa.const_shape` of `dims`."""
        values = ir.DenseElementsAttr.get(
            np.array(dims, dtype=np.int64), type=ir.IndexType.get(), shape=[len(dims)]
        )
        shape = ir.Type.parse(f"!tosa.shape<{len(dims)}>")
        return self.value("tosa.const_shape", [], shape, values=values)

    def zero_point(self, element: ir.Type, value: int = 0) -> ir.Value:
        """Return the 1-element zero-point operand for tensors of `element`."""
        return self.const(np.array([value]), storage_of(element))

    # --- elementwise ---------------------------------------------------------------------------

    def unary(self, name: str, x: ir.Value) -> ir.Value:
        """Build an elementwise op whose result has the operand's type."""
        return self.value(name, [x], x.type)

    def binary(self, name: str, x: ir.Value, y: ir.Value, element: ir.Type = None) -> ir.Value:
        """Build a broadcasting elementwise op; ranks are equalised with reshapes first."""
        x, y = self.equal_ranks(x, y)
        shape = broadcast_shapes(shape_of(x), shape_of(y))
        return self.value(name, [x, y], tensor(shape, element or element_of(x)))

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return ``x + y``."""
        return self.binary("tosa.add", x, y)

    def sub(self, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return ``x - y``."""
        return self.binary("tosa.sub", x, y)

    def mul(self, x: ir.Value, y: ir.Value, *, shift: int = 0, element: ir.Type = None) -> ir.Value:
        """Return ``x * y`` (for i32 operands shifted right by `shift` with rounding)."""
        x, y = self.equal_ranks(x, y)
        shape = broadcast_shapes(shape_of(x), shape_of(y))
        amount = self.const(np.array([shift]), i(8))
        return self.value("tosa.mul", [x, y, amount], tensor(shape, element or element_of(x)))

    def compare(self, name: str, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return the i1 result of `tosa.equal`, `tosa.greater` or `tosa.greater_equal`."""
        return self.binary(name, x, y, i(1))

    def select(self, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
        """Return ``condition ? x : y``."""
        x, y = self.equal_ranks(x, y)
        condition, x = self.equal_ranks(condition, x)
        _, y = self.equal_ranks(condition, y)
        shape = broadcast_shapes(broadcast_shapes(shape_of(x), shape_of(y)), shape_of(condition))
        return self.value("tosa.select", [condition, x, y], tensor(shape, element_of(x)))

    def clamp(self, x: ir.Value, low: float | None, high: float | None) -> ir.Value:
        """Return `x` limited to [low, high]; None is no limit on that side."""
        element = storage_of(element_of(x))
        if not is_float(element) and element.width > 16:  # TOSA's CLAMP takes i8 and i16 only
            x = x if low is None else self.binary("tosa.maximum", x, self.splat(x, low))
            return x if high is None else self.binary("tosa.minimum", x, self.splat(x, high))
        if is_float(element):
            make = ir.FloatAttr.get
            # TOSA's float attribute carries every f32 value; the largest finite one would clip inf.
            lowest, highest = -math.inf, math.inf
        else:
            make = ir.IntegerAttr.get
            lowest, highest = -(2 ** (element.width - 1)), 2 ** (element.width - 1) - 1
        return self.value(
            "tosa.clamp",
            [x],
            x.type,
            min_val=make(element, lowest if low is None else low),
            max_val=make(element, highest if high is None else high),
        )

    def cast(self, x: ir.Value, element: ir.Type) -> ir.Value:
        """Return `x` converted to `element` (float to int rounds half to even)."""
        if element_of(x) == element:
            return x
        if element_of(x) == i(1) and is_float(element):
            x = self.cast(x, i(8))  # TOSA 1.0 has no cast from bool to float
        if {str(element_of(x)), str(element)} == {"f16", "bf16"}:
            x = self.cast(x, f32())  # nor between these two
        return self.value("tosa.cast", [x], tensor(shape_of(x), element))

    def splat(self, like: ir.Value, value: float) -> ir.Value:
        """Return a constant of `like`'s rank and element type with every dim 1."""
        return self.const(np.full([1] * len(shape_of(like)), value), element_of(like))

    def negate(self, x: ir.Value) -> ir.Value:
        """Return ``-x``."""
        zero = self.zero_point(element_of(x))
        return self.value("tosa.negate", [x, zero, zero], x.type)

    # --- data movement -------------------------------------------------------------------------

    def reshape(self, x: ir.Value, dims: Sequence[int]) -> ir.Value:
        """Return `x` with shape `dims`: its own, or one with at most one dim dynamic."""
        if shape_of(x) == list(dims):
            return x
        operand = self.const_shape([-1 if d == DYNAMIC else d for d in dims])
        return self.value("tosa.reshape", [x, operand], tensor(dims, element_of(x)))

    def equal_ranks(self, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return both values with leading 1 dims added to the one of lower rank."""
        a, b = shape_of(x), shape_of(y)
        if len(a) < len(b):
            return self.reshape(x, [1] * (len(b) - len(a)) + a), y
        if len(b) < len(a):
            return x, self.reshape(y, [1] * (len(a) - len(b)) + b)
        return x, y

    def transpose(self, x: ir.Value, perms: Sequence[int]) -> ir.Value:
        """Return `x` with result dim k taken from operand dim ``perms[k]``."""
        if list(perms) == list(range(len(perms))):
            return x
        shape, element = shape_of(x), element_of(x)
        params = quant_params(element)
        if params is not None and params.axis is not None:
            element = params.moved(list(perms).index(params.axis)).type()
        return self.value(
            "tosa.transpose",
            [x],
            tensor([shape[p] for p in perms], element),
            perms=ir.DenseI32ArrayAttr.get(list(perms)),
        )

    def concat(self, values: Sequence[ir.Value], axis: int) -> ir.Value:
        """Return `values` joined along `axis`."""
        shape = shape_of(values[0])
        values = [v for v in values if shape_of(v)[axis] != 0] or values[:1]
        if len(values) == 1:
            return values[0]
        sizes = [shape_of(v)[axis] for v in values]
        shape[axis] = DYNAMIC if DYNAMIC in sizes else sum(sizes)
        return self.value(
            "tosa.concat", values, tensor(shape, element_of(values[0])), axis=i32_attr(axis)
        )

    def slice(self, x: ir.Value, start: Sequence[int], size: Sequence[int]) -> ir.Value:
        """Return the box of `x` at `start` of `size` (a dynamic size, as -1, is up to the end)."""
        if list(size) == shape_of(x):
            return x
        return self.value(
            "tosa.slice",
            [
                x,
                self.const_shape(start),
                self.const_shape([-1 if d == DYNAMIC else d for d in size]),
            ],
            tensor(size, element_of(x)),
        )

    def pad(self, x: ir.Value, padding: Sequence[tuple[int, int]], value: float = 0) -> ir.Value:
        """Return `x` padded per dim by (before, after) with `value` (stored, for quant types)."""
        shape = [
            DYNAMIC if d == DYNAMIC else d + a + b
            for d, (a, b) in zip(shape_of(x), padding, strict=True)
        ]
        element = element_of(x)
        if has_no_elements(shape_of(x)):
            return self.filled(shape, value, element)
        return self.value(
            "tosa.pad",
            [
                x,
                self.const_shape([n for pair in padding for n in pair]),
                self.const(np.array([value]), element),
            ],
            tensor(shape, element),
        )

    def tile(self, x: ir.Value, multiples: Sequence[int]) -> ir.Value:
        """Return `x` repeated `multiples` times per dim."""
        if all(m == 1 for m in multiples):
            return x
        shape = [
            DYNAMIC if d == DYNAMIC else d * m for d, m in zip(shape_of(x), multiples, strict=True)
        ]
        return self.value(
            "tosa.tile", [x, self.const_shape(multiples)], tensor(shape, element_of(x))
        )

    def reverse(self, x: ir.Value, axis: int) -> ir.Value:
        """Return `x` reversed along `axis`."""
        return self.value("tosa.reverse", [x], x.type, axis=i32_attr(axis))

    # --- reductions ----------------------------------------------------------------------------

    def reduce(self, name: str, x: ir.Value, axis: int) -> ir.Value:
        """Return `x` reduced along `axis`, which stays as a dim of 1."""
        shape = shape_of(x)
        empty = shape[axis] == 0
        shape[axis] = 1
        if empty:
            return self.filled(shape, _OF_NOTHING[name], element_of(x))
        return self.value(name, [x], tensor(shape, element_of(x)), axis=i32_attr(axis))

    # --- tensor ops (NHWC) ---------------------------------------------------------------------

    def conv2d(
        self,
        x: ir.Value,
        weight: ir.Value,
        bias: ir.Value,
        *,
        pad: Sequence[int] = (0, 0, 0, 0),
        stride: Sequence[int] = (1, 1),
        dilation: Sequence[int] = (1, 1),
        zero_points: tuple[int, int] = (0, 0),
        depthwise: bool = False,
    ) -> ir.Value:
        """Convolve [N,H,W,IC] with [OC,KH,KW,IC] (depthwise: [KH,KW,C,M]).

        `pad` is (top, bottom, left, right). Integer operands give an i32 (i48 for i16)
        accumulator tensor, floats their own type.
        """
        n, h, w, _ = shape_of(x)
        if depthwise:
            kh, kw, c, m = shape_of(weight)
            channels = c * m
        else:
            channels, kh, kw, _ = shape_of(weight)
        out_h = conv_size(h, kh, pad[0] + pad[1], stride[0], dilation[0])
        out_w = conv_size(w, kw, pad[2] + pad[3], stride[1], dilation[1])
        accumulator = accumulator_of(element_of(x))
        return self.value(
            "tosa.depthwise_conv2d" if depthwise else "tosa.conv2d",
            [
                x,
                weight,
                bias,
                self.zero_point(element_of(x), zero_points[0]),
                self.zero_point(element_of(weight), zero_points[1]),
            ],
            tensor([n, out_h, out_w, channels], _sum_type(element_of(x))),
            pad=i64_array(pad),
            stride=i64_array(stride),
            dilation=i64_array(dilation),
            acc_type=ir.TypeAttr.get(accumulator),
        )

    def transpose_conv2d(
        self,
        x: ir.Value,
        weight: ir.Value,
        bias: ir.Value,
        *,
        out_pad: Sequence[int],
        stride: Sequence[int],
        zero_points: tuple[int, int] = (0, 0),
    ) -> ir.Value:
        """Transposed convolution of [N,H,W,IC] with [OC,KH,KW,IC].

        `out_pad` is (top, bottom, left, right), negative where the output is cropped.
        """
        n, h, w, _ = shape_of(x)
        oc, kh, kw, _ = shape_of(weight)
        out_h = DYNAMIC if h == DYNAMIC else (h - 1) * stride[0] + out_pad[0] + out_pad[1] + kh
        out_w = DYNAMIC if w == DYNAMIC else (w - 1) * stride[1] + out_pad[2] + out_pad[3] + kw
        accumulator = accumulator_of(element_of(x))
        return self.value(
            "tosa.transpose_conv2d",
            [
                x,
                weight,
                bias,
                self.zero_point(element_of(x), zero_points[0]),
                self.zero_point(element_of(weight), zero_points[1]),
            ],
            tensor([n, out_h, out_w, oc], _sum_type(element_of(x))),
            out_pad=i64_array(out_pad),
            stride=i64_array(stride),
            acc_type=ir.TypeAttr.get(accumulator),
        )

    def matmul(
        self, a: ir.Value, b: ir.Value, *, zero_points: tuple[int, int] = (0, 0)
    ) -> ir.Value:
        """Multiply [N,H,C] with [N,C,W]; of halves the result is f32, of integers i32."""
        n, h, c = shape_of(a)
        total = _sum_type(element_of(a))
        total = f32() if is_float(total) and total.width < 32 else total
        if c == 0:
            return self.filled([n, h, shape_of(b)[2]], 0, total)
        return self.value(
            "tosa.matmul",
            [
                a,
                b,
                self.zero_point(element_of(a), zero_points[0]),
                self.zero_point(element_of(b), zero_points[1]),
            ],
            tensor([n, h, shape_of(b)[2]], total),
        )

    def max_pool2d(
        self, x: ir.Value, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
    ) -> ir.Value:
        """Max pool of [N,H,W,C]; `pad` is (top, bottom, left, right)."""
        return self.value(
            "tosa.max_pool2d",
            [x],
            self._pooled(x, kernel, stride, pad),
            kernel=i64_array(kernel),
            stride=i64_array(stride),
            pad=i64_array(pad),
        )

    def avg_pool2d(
        self,
        x: ir.Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int],
        *,
        zero_points: tuple[int, int] = (0, 0),
    ) -> ir.Value:
        """Average pool of [N,H,W,C]; padding does not count."""
        element = element_of(x)
        accumulator = f32() if is_float(element) else i(32)
        return self.value(
            "tosa.avg_pool2d",
            [
                x,
                self.zero_point(element, zero_points[0]),
                self.zero_point(element, zero_points[1]),
            ],
            self._pooled(x, kernel, stride, pad),
            kernel=i64_array(kernel),
            stride=i64_array(stride),
            pad=i64_array(pad),
            acc_type=ir.TypeAttr.get(accumulator),
        )

    def _pooled(
        self, x: ir.Value, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]
    ) -> ir.Type:
        n, h, w, c = shape_of(x)
        out_h = conv_size(h, kernel[0], pad[0] + pad[1], stride[0], 1)
        out_w = conv_size(w, kernel[1], pad[2] + pad[3], stride[1], 1)
        return tensor([n, out_h, out_w, c], element_of(x))

    def table(self, x: ir.Value, entries: npt.ArrayLike, element: ir.Type) -> ir.Value:
        """Look `x` (i8: 256 entries, i16: 513) up in `entries` of storage type `element`."""
        return self.value(
            "tosa.table", [x, self.const(entries, element)], tensor(shape_of(x), _table_out(x))
        )

    def rescale(
        self,
        x: ir.Value,
        element: ir.Type,
        multipliers: Sequence[int],
        shifts: Sequence[int],
        *,
        zero_points: tuple[int, int] = (0, 0),
        rounding: str = "SINGLE_ROUND",
        unsigned: tuple[bool, bool] = (False, False),
    ) -> ir.Value:
        """Rescale integer `x` to `element`; more than one multiplier is per last-dim channel.

        Multipliers have 31 bits, those of an i48 15. `unsigned` says of operand and result whether
        their bits are read without a sign.
        """
        scale32 = element_of(x).width != 48
        return self.value(
            "tosa.rescale",
            [
                x,
                self.const(np.array(multipliers), i(32 if scale32 else 16)),
                self.const(np.array(shifts), i(8)),
                self.zero_point(element_of(x), _signed(zero_points[0], element_of(x), unsigned[0])),
                self.zero_point(element, _signed(zero_points[1], element, unsigned[1])),
            ],
            tensor(shape_of(x), element),
            scale32=ir.BoolAttr.get(scale32),
            rounding_mode=ir.Attribute.parse(f"#tosa.rounding_mode<{rounding}>"),
            per_channel=ir.BoolAttr.get(len(multipliers) > 1),
            input_unsigned=ir.BoolAttr.get(unsigned[0]),
            output_unsigned=ir.BoolAttr.get(unsigned[1]),
        )

    # --- quant casts ---------------------------------------------------------------------------

    def qcast(self, x: ir.Value, element: ir.Type) -> ir.Value:
        """Return float `x` quantised to the `!quant` type `element`."""
        return self.value("quant.qcast", [x], tensor(shape_of(x), element))

    def dcast(self, x: ir.Value) -> ir.Value:
        """Return the float (f32) value of `x` of a `!quant` type."""
        return self.value("quant.dcast", [x], tensor(shape_of(x), f32()))

    def scast(self, x: ir.Value, element: ir.Type) -> ir.Value:
        """Reinterpret `x` between a `!quant` type and its storage type."""
        if element_of(x) == element:
            return x
        return self.value("quant.scast", [x], tensor(shape_of(x), element))

    def storage(self, x: ir.Value) -> ir.Value:
        """Return `x` as its storage integers."""
        return self.scast(x, storage_of(element_of(x)))


def _signed(value: int, element: ir.Type, unsigned: bool) -> int:
    """Return the signed integer of the same bits."""
    width = storage_of(element).width
    return value - (1 << width) if unsigned and value >= 1 << (width - 1) else value


def _table_out(x: ir.Value) -> ir.Type:
    return i(8) if storage_of(element_of(x)).width == 8 else i(32)


def accumulator_of(element: ir.Type) -> ir.Type:
    """Return TOSA's accumulator type for `element`: i8 i32, i16 i48, floats f32."""
    storage = storage_of(element)
    if is_float(storage):
        return f32()
    return i(48) if storage.width == 16 else i(32)


def _sum_type(element: ir.Type) -> ir.Type:
    """Return the result type of a product: floats keep theirs, integers their accumulator."""
    return element if is_float(element) else accumulator_of(element)


def conv_size(size: int, kernel: int, padding: int, stride: int, dilation: int) -> int:
    """Return the output size of a window op along one dim."""
    if size == DYNAMIC:
        return DYNAMIC
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def i32_attr(value: int) -> ir.Attribute:
    """Return an ``i32`` attribute."""
    return ir.IntegerAttr.get(i(32), value)


def i64_array(values: Sequence[int]) -> ir.Attribute:
    """Return an ``array<i64: …>`` attribute."""
    return ir.DenseI64ArrayAttr.get(list(values))


def const_shape_of(value: ir.Value) -> list[int] | None:
    """Return the dims held by a `tosa.const_shape` value, else None."""
    dims = constant_value(value)
    return None if dims is None else [int(d) for d in dims]


def attr_ints(op: Any, name: str) -> list[int]:
    """Return an integer array attribute of `op` as a list."""
    return [int(v) for v in op.attributes[name]]
