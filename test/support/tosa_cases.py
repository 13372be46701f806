"""Programs of one TOSA op each, with inputs, for all executors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from support import mlir
from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import i32_attr
from tosaic.dialects.types import element_of, f32, i, shape_of, tensor


@dataclass(frozen=True)
class Case:
    name: str
    inputs: Sequence[tuple[Sequence[int], str]]
    build: Callable[..., Any]
    low: float = -128
    high: float = 127
    tolerance: float = 0.0


CASES: list[Case] = []


def case(name: str, *inputs: tuple[Sequence[int], str], **options: Any) -> Callable[[Any], Any]:
    def wrap(build: Any) -> Any:
        CASES.append(Case(name, inputs, build, **options))
        return build

    return wrap


def element(name: str) -> Any:
    return f32() if name == "f32" else i(int(name[1:]))


def module_of(case: Case) -> ir.Module:
    return mlir.module_of([tensor(shape, element(e)) for shape, e in case.inputs], case.build)


def random_inputs(case: Case) -> list[Any]:
    rng = np.random.default_rng(3)
    out = []
    for shape, e in case.inputs:
        if e == "f32":
            low, high = max(case.low, -4.0), min(case.high, 4.0)
            out.append(rng.uniform(low, high, shape).astype(np.float32))
        elif e == "i1":
            out.append(rng.integers(0, 2, shape).astype(np.bool_))
        else:
            dtype = {"i8": np.int8, "i16": np.int16, "i32": np.int32}[e]
            out.append(rng.integers(int(case.low), int(case.high) + 1, shape).astype(dtype))
    return out


RNG = np.random.default_rng(5)
FLOAT = {"low": -4, "high": 4, "tolerance": 1e-5}


def weights(shape: Sequence[int], e: str) -> Any:
    if e == "f32":
        return RNG.uniform(-1, 1, shape)
    return RNG.integers(-127, 128, shape)


def _conv_cases() -> None:
    for e, zeros in (("i8", (-5, 0)), ("i16", (0, 0)), ("f32", (0, 0))):
        w_e = "i8" if e != "f32" else "f32"
        acc = {"i8": "i32", "i16": "i48", "f32": "f32"}[e]
        options = FLOAT if e == "f32" else {}
        rescale_out = e == "i16"

        def finish(b: Any, y: Any, rescale_out: bool = rescale_out) -> Any:
            if not rescale_out:
                return y
            return rescale16(b, y)

        for k, s, d, oc in ((1, 1, 1, 8), (3, 1, 1, 5), (3, 2, 2, 4)):
            w, bias = weights((oc, k, k, 3), w_e), weights((oc,), w_e)

            @case(f"conv2d_{e}_{k}_{s}_{d}", ([2, 9, 8, 3], e), **options)
            def conv(b, x, *, w=w, bias=bias, k=k, s=s, d=d, z=zeros, w_e=w_e, acc=acc, fin=finish):
                pad = (1, 1 if s == 1 else 0, 1, 0) if k > 1 else (0, 0, 0, 0)
                if s == 2:
                    pad = (2, 2, 2, 1)
                return fin(
                    b,
                    b.conv2d(
                        x,
                        b.const(w, element(w_e)),
                        const_acc(b, bias, acc),
                        pad=pad,
                        stride=(s, s),
                        dilation=(d, d),
                        zero_points=z,
                    ),
                )

        for m in (1, 3):
            w, bias = weights((3, 3, 4, m), w_e), weights((4 * m,), w_e)

            @case(f"depthwise_{e}_m{m}", ([1, 6, 7, 4], e), **options)
            def depthwise(b, x, *, w=w, bias=bias, z=zeros, w_e=w_e, acc=acc, fin=finish):
                return fin(
                    b,
                    b.conv2d(
                        x,
                        b.const(w, element(w_e)),
                        const_acc(b, bias, acc),
                        pad=(1, 1, 1, 1),
                        zero_points=z,
                        depthwise=True,
                    ),
                )

        for s, out_pad in (
            (1, (0, 0, 0, 0)),
            (2, (0, 0, 0, 0)),
            (2, (-1, 1, -1, 0)),
            (3, (1, 2, 0, 1)),
        ):
            w, bias = weights((5, 3, 3, 3), w_e), weights((5,), w_e)

            @case(f"transpose_conv2d_{e}_{s}_{out_pad}", ([1, 4, 5, 3], e), **options)
            def tconv(
                b, x, *, w=w, bias=bias, s=s, p=out_pad, z=zeros, w_e=w_e, acc=acc, fin=finish
            ):
                return fin(
                    b,
                    b.transpose_conv2d(
                        x,
                        b.const(w, element(w_e)),
                        const_acc(b, bias, acc),
                        out_pad=p,
                        stride=(s, s),
                        zero_points=z,
                    ),
                )

        @case(f"matmul_{e}", ([2, 3, 7], e), ([2, 7, 5], e), **options)
        def matmul(b, x, y, *, e=e, fin=finish):
            return fin(b, b.matmul(x, y, zero_points=(3, -4) if e == "i8" else (0, 0)))


def rescale16(b: Any, y: Any) -> Any:
    # i48 is no numpy type, and i48 input takes 16-bit scales.
    return b.value(
        "tosa.rescale",
        [
            y,
            b.const([17000], i(16)),
            b.const([20], i(8)),
            const_acc(b, [0], "i48"),
            b.const([0], i(32)),
        ],
        tensor(shape_of(y), i(32)),
        scale32=ir.BoolAttr.get(False),
        rounding_mode=ir.Attribute.parse("#tosa.rounding_mode<SINGLE_ROUND>"),
        per_channel=ir.BoolAttr.get(False),
        input_unsigned=ir.BoolAttr.get(False),
        output_unsigned=ir.BoolAttr.get(False),
    )


def const_acc(b: Any, data: Any, acc: str) -> Any:
    if acc != "i48":
        return b.const(data, element(acc))
    values = ",".join(str(int(v)) for v in np.asarray(data))
    type_ = f"tensor<{len(data)}xi48>"
    return b.value(
        "tosa.const",
        [],
        ir.Type.parse(type_),
        values=ir.Attribute.parse(f"dense<[{values}]> : {type_}"),
    )


_conv_cases()

for _e, _opt in (("i8", {}), ("f32", FLOAT), ("i16", {"low": -32768, "high": 32767})):
    for _k, _s, _p in (
        ((3, 3), (1, 1), (1, 1, 1, 1)),
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 2), (2, 1), (0, 1, 0, 1)),
    ):

        @case(f"avg_pool2d_{_e}_{_k}_{_s}", ([1, 8, 6, 3], _e), **_opt)
        def avg(b, x, *, e=_e, k=_k, s=_s, p=_p):
            return b.avg_pool2d(x, k, s, p, zero_points=(-7, 9) if e == "i8" else (0, 0))

        @case(f"max_pool2d_{_e}_{_k}_{_s}", ([1, 8, 6, 3], _e), **_opt)
        def maxp(b, x, *, k=_k, s=_s, p=_p):
            return b.max_pool2d(x, k, s, p)

    for _name in ("reduce_max", "reduce_min", "reduce_sum", "reduce_product"):
        if _name == "reduce_product" and _e != "f32":
            continue
        for _axis in (0, 1, 2):
            _red = "i32" if _name == "reduce_sum" and _e != "f32" else _e

            @case(f"{_name}_{_e}_{_axis}", ([3, 4, 5], _red), **_opt)
            def red(b, x, *, n=_name, a=_axis):
                return b.reduce(f"tosa.{n}", x, a)

    for _axis in (0, 1, 2):

        @case(f"argmax_{_e}_{_axis}", ([3, 4, 5], _e), **_opt)
        def argmax(b, x, *, a=_axis):
            shape = [3, 4, 5]
            del shape[a]
            return b.value("tosa.argmax", [x], tensor(shape, i(32)), axis=i32_attr(a))

    @case(f"pad_{_e}", ([2, 3, 4], _e), **_opt)
    def pad(b, x):
        return b.pad(x, [(0, 1), (2, 0), (1, 1)], 3)

    @case(f"concat_{_e}", ([2, 3], _e), ([2, 5], _e), ([2, 1], _e), **_opt)
    def concat(b, x, y, z):
        return b.concat([x, y, z], 1)

    @case(f"concat0_{_e}", ([2, 3], _e), ([1, 3], _e), **_opt)
    def concat0(b, x, y):
        return b.concat([x, y], 0)

    @case(f"tile_{_e}", ([2, 3], _e), **_opt)
    def tile(b, x):
        return b.tile(x, [3, 2])

    @case(f"transpose_{_e}", ([2, 3, 4, 5], _e), **_opt)
    def transpose(b, x):
        return b.transpose(x, (0, 3, 1, 2))

    @case(f"reverse_{_e}", ([2, 3], _e), **_opt)
    def reverse(b, x):
        return b.reverse(x, 1)

    @case(f"slice_{_e}", ([4, 5], _e), **_opt)
    def slice_(b, x):
        return b.slice(x, [1, 2], [2, 3])

    @case(f"reshape_{_e}", ([4, 6], _e), **_opt)
    def reshape(b, x):
        return b.reshape(x, [2, 3, 4])

    @case(f"clamp_{_e}", ([4, 5], _e), **_opt)
    def clamp(b, x):
        return b.clamp(x, -1, 2)

    @case(f"gather_{_e}", ([2, 5, 3], _e), **_opt)
    def gather(b, x):
        return b.value(
            "tosa.gather",
            [x, b.const([[4, 0, 1, 1], [2, 3, 0, 4]], i(32))],
            tensor([2, 4, 3], element_of(x)),
        )

    @case(f"scatter_{_e}", ([2, 5, 3], _e), ([2, 2, 3], _e), **_opt)
    def scatter(b, x, y):
        return b.value("tosa.scatter", [x, b.const([[4, 0], [2, 3]], i(32)), y], x.type)

    for _mode in ("NEAREST_NEIGHBOR", "BILINEAR"):
        for _scale, _offset, _border in (
            ((4, 2, 4, 2), (0, 0), (2, 2)),
            ((4, 2, 4, 2), (-1, -1), (1, 1)),
            ((2, 3, 3, 2), (0, 0), (0, 0)),
        ):

            @case(f"resize_{_mode}_{_e}_{_scale}_{_offset}", ([1, 4, 5, 3], _e), **_opt)
            def resize(b, x, *, mode=_mode, scale=_scale, offset=_offset, border=_border, e=_e):
                up = (
                    (4 - 1) * scale[0] - offset[0] + border[0],
                    (5 - 1) * scale[2] - offset[1] + border[1],
                )
                out = (up[0] // scale[1] + 1, up[1] // scale[3] + 1)
                kind = {"i8": "i32", "i16": "i48"}.get(e, e) if mode == "BILINEAR" else e
                y = b.value(
                    "tosa.resize",
                    [x, b.const_shape(scale), b.const_shape(offset), b.const_shape(border)],
                    tensor([1, *out, 3], element(kind)),
                    mode=ir.Attribute.parse(f"#tosa.resize_mode<{mode}>"),
                )
                return rescale16(b, y) if kind == "i48" else y

    @case(f"select_{_e}", ([4, 5], "i1"), ([4, 5], _e), ([1, 5], _e), **_opt)
    def select(b, c, x, y):
        return b.select(c, x, y)

    @case(f"negate_{_e}", ([4, 5], _e), **_opt)
    def negate(b, x):
        return b.negate(x)


for _name in ("add", "sub", "maximum", "minimum"):
    for _e, _opt in (("i32", {"low": -(2**30), "high": 2**30 - 1}), ("f32", FLOAT)):

        @case(f"{_name}_{_e}", ([2, 3, 4], _e), ([2, 1, 4], _e), **_opt)
        def binary(b, x, y, *, n=_name):
            return b.binary(f"tosa.{n}", x, y)


@case("mul_i8", ([2, 3], "i8"), ([1, 3], "i8"))
def mul_i8(b, x, y):
    return b.mul(x, y, element=i(32))


@case("mul_i16", ([2, 3], "i16"), ([1, 3], "i16"), low=-32768, high=32767)
def mul_i16(b, x, y):
    return b.mul(x, y, element=i(32))


@case("mul_i32_shift", ([20, 3], "i32"), ([1, 3], "i32"), low=-(2**30), high=2**30)
def mul_i32(b, x, y):
    return b.mul(x, y, shift=31)


@case("mul_f32", ([2, 3], "f32"), ([1, 3], "f32"), **FLOAT)
def mul_f32(b, x, y):
    return b.mul(x, y)


for _name in (
    "abs",
    "ceil",
    "floor",
    "exp",
    "tanh",
    "sigmoid",
    "erf",
    "sin",
    "cos",
    "reciprocal",
    "identity",
):

    @case(f"{_name}_f32", ([50, 7], "f32"), **FLOAT)
    def unary(b, x, *, n=_name):
        return b.unary(f"tosa.{n}", x)


for _name in ("log", "rsqrt"):

    @case(f"{_name}_f32", ([50, 7], "f32"), low=0.01, high=4, tolerance=1e-5)
    def positive(b, x, *, n=_name):
        return b.unary(f"tosa.{n}", x)


@case("pow_f32", ([50], "f32"), ([50], "f32"), low=0.1, high=3, tolerance=1e-5)
def pow_(b, x, y):
    return b.binary("tosa.pow", x, y)


for _name in ("abs", "clz", "bitwise_not"):

    @case(f"{_name}_i32", ([20, 3], "i32"), low=-(2**31) + 1, high=2**31 - 1)
    def unary_int(b, x, *, n=_name):
        return b.unary(f"tosa.{n}", x)


for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):

    @case(f"{_name}_i8", ([20, 3], "i8"), ([1, 3], "i8"))
    def bitwise(b, x, y, *, n=_name):
        return b.binary(f"tosa.{n}", x, y)


for _name in ("logical_left_shift", "logical_right_shift"):

    @case(f"{_name}_i32", ([20, 3], "i32"), ([20, 3], "i32"), low=0, high=31)
    def shift(b, x, y, *, n=_name):
        return b.binary(f"tosa.{n}", x, y)


for _round in (False, True):

    @case(f"arithmetic_right_shift_{_round}", ([20, 3], "i32"), low=-(2**30), high=2**30)
    def ars(b, x, *, r=_round):
        y = b.const([[0, 3, 17]], i(32))
        return b.value("tosa.arithmetic_right_shift", [x, y], x.type, round=ir.BoolAttr.get(r))


@case("intdiv", ([20, 3], "i32"), low=-(2**30), high=2**30)
def intdiv(b, x):
    return b.value("tosa.intdiv", [x, b.const([[3, -7, 100]], i(32))], x.type)


for _name in ("equal", "greater", "greater_equal"):
    for _e in ("i32", "f32"):

        @case(f"{_name}_{_e}", ([20, 3], _e), ([1, 3], _e), low=-2, high=2)
        def compare(b, x, y, *, n=_name):
            return b.compare(f"tosa.{n}", x, y)


for _name in ("logical_and", "logical_or", "logical_xor"):

    @case(_name, ([20, 3], "i1"), ([1, 3], "i1"))
    def logical(b, x, y, *, n=_name):
        return b.binary(f"tosa.{n}", x, y)


@case("logical_not", ([20, 3], "i1"))
def logical_not(b, x):
    return b.unary("tosa.logical_not", x)


for _name in ("reduce_all", "reduce_any"):

    @case(_name, ([4, 3, 2], "i1"))
    def reduce_bool(b, x, *, n=_name):
        return b.reduce(f"tosa.{n}", x, 1)


CASTS = """i8:i16 i8:i32 i16:i8 i16:i32 i32:i8 i32:i16 i1:i8 i1:i32 i8:i1 i32:i1
i8:f32 i16:f32 i32:f32 f32:i8 f32:i16 f32:i32"""

for _from, _to in (pair.split(":") for pair in CASTS.split()):
    _end = 127 if _from == "i8" else 300

    @case(f"cast_{_from}_{_to}", ([40, 3], _from), low=-_end, high=_end)
    def cast(b, x, *, to=_to, source=_from):
        if source == "f32":  # halves, and values past the ends
            x = b.unary("tosa.floor", b.mul(x, b.const([[100]], f32())))
            x = b.mul(x, b.const([[0.5, 50, 1e9]], f32()))
        return b.cast(x, element(to))


@case("cast_half_even", ([4], "f32"))
def cast_half_even(b, x):
    ties = b.const([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 127.5, 1e20, -1e20, 128.0, -129.0], f32())
    return b.cast(ties, i(8)), b.cast(ties, i(16)), b.cast(ties, i(32)), b.cast(x, i(8))


for _e_in, _e_out, _z in (
    ("i32", "i8", (0, -3)),
    ("i8", "i32", (-3, 0)),
    ("i8", "i8", (5, -9)),
    ("i16", "i8", (0, 4)),
    ("i8", "i16", (4, 0)),
    ("i32", "i16", (0, 0)),
    ("i32", "i32", (0, 0)),
):
    for _r in ("SINGLE_ROUND", "DOUBLE_ROUND"):
        for _n in (1, 3):
            _bits = int(_e_in[1:])

            @case(
                f"rescale_{_e_in}_{_e_out}_{_r}_{_n}",
                ([40, 3], _e_in),
                low=-(2 ** min(_bits - 1, 20)),
                high=2 ** min(_bits - 1, 20) - 1,
            )
            def rescale(b, x, *, o=_e_out, z=_z, r=_r, n=_n, bits=_bits):
                shift = 31 if bits < 32 else 42
                return b.rescale(
                    x,
                    element(o),
                    [1073741824, 1234567890, 2147483647][:n],
                    [shift, shift - 1, shift + 2][:n],
                    zero_points=z,
                    rounding=r,
                )


@case("table_i8", ([256], "i8"))
def table8(b, x):
    return b.table(x, np.random.default_rng(1).integers(-128, 128, 256), i(8))


@case("table_i16", ([2000], "i16"), low=-32768, high=32767)
def table16(b, x):
    return b.table(x, (30000 * np.sin(np.arange(513) / 40)).astype(np.int64), i(16))


@case("constants_only", ([2], "i8"))
def constants(b, x):
    c = b.const([[1, 2], [3, 4]], i(8))
    return c, c, x


@case("same_input_twice", ([2], "i8"))
def twice(b, x):
    return x, x


@case("equal_results", ([5], "i8"))
def equal_results(b, x):
    return b.unary("tosa.bitwise_not", x), b.unary("tosa.bitwise_not", x)


@case("rank0", ([], "f32"), ([], "f32"), **FLOAT)
def rank0(b, x, y):
    return b.value("tosa.add", [x, y], x.type), x


@case("many", ([1, 4, 4, 3], "i8"), ([1, 4, 4, 3], "i8"), ([1], "i1"))
def many(b, x, y, z):
    s = b.add(b.rescale(x, i(32), [1 << 30], [20]), b.rescale(y, i(32), [1 << 30], [20]))
    return b.rescale(s, i(8), [1 << 30], [41]), x, s, z
