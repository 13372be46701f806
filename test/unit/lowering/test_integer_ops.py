"""Integer TOSA against the fake-quantised op, over random quantisation parameters.

An island ``qcast(op(dcast …))`` is built in MLIR and folded; what it computes on the reference
model is compared with the op in float64 on the same integers, rounded to the result's parameters.
Everything is within one step, but int16 convolutions and matrix products within two: TOSA gives
the rescale of an int48 sum a multiplier of 15 bits, an error of up to one step by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import mlir
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, f32, tensor
from tosaic.emit import validate
from tosaic.executors import make_executor
from tosaic.lowering.pipeline import Pipeline
from tosaic.targets import target

CONTEXT = make_context()
TARGET = target("tosa-1.0-int")
FOLD = Pipeline.parse(
    "tosaic-quantize,tosaic-strip-quant-types,canonicalize,tosaic-optimize,tosaic-legalize"
)
Real = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Op:
    """`build` in TOSA and `compute` in numpy, on inputs of `shapes`."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    build: Callable[..., Any]
    compute: Callable[..., Real]
    steps: tuple[int, int] = (1, 1)  # at int8 and at int16


WEIGHT = np.random.default_rng(0).integers(-127, 128, (5, 3, 3, 4)) / 64.0
BIAS = np.random.default_rng(1).normal(size=5)
IMAGE = (1, 6, 5, 4)
ROWS = (2, 3, 7)


def weighted(b: Builder, x: Any) -> Any:
    weight = QuantParams(8, True, -127, 127, (1 / 64.0,) * 5, (0,) * 5, 0)
    stored = b.const(np.rint(WEIGHT * 64), weight.type())
    return b.conv2d(x, b.dcast(stored), b.const(BIAS, f32()), pad=(1, 1, 1, 1))


def convolved(x: Real) -> Real:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    return np.einsum("nhwcij,oijc->nhwo", windows, WEIGHT) + BIAS


def unary(name: str, compute: Callable[[Real], Real]) -> Op:
    return Op(name, ((2, 50),), lambda b, x: b.unary(f"tosa.{name}", x), compute)


def binary(name: str, compute: Callable[[Real, Real], Real], **more: Any) -> Op:
    return Op(name, (ROWS, ROWS), lambda b, x, y: b.binary(f"tosa.{name}", x, y), compute, **more)


def reduced(name: str, compute: Callable[..., Real]) -> Op:
    return Op(
        name,
        (ROWS,),
        lambda b, x: b.reduce(f"tosa.reduce_{name}", x, 2),
        lambda x: compute(x, axis=2, keepdims=True),
    )


def pooled(x: Real) -> Real:
    return np.asarray(x.reshape(1, 3, 2, 2, 2, 4).mean((2, 4)))


OPS = [
    binary("add", np.add),
    binary("sub", np.subtract),
    binary("maximum", np.maximum),
    binary("minimum", np.minimum),
    Op("mul", (ROWS, ROWS), lambda b, x, y: b.mul(x, y), np.multiply),
    Op("add_constant", (ROWS,), lambda b, x: b.add(x, b.splat(x, 0.7)), lambda x: x + 0.7),
    Op("mul_broadcast", (ROWS, (2, 1, 7)), lambda b, x, y: b.mul(x, y), np.multiply),
    unary("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    unary("tanh", np.tanh),
    unary("exp", np.exp),
    unary("abs", np.abs),
    unary("floor", np.floor),
    Op("square", ((2, 50),), lambda b, x: b.mul(x, x), np.square),
    Op("clamp", (ROWS,), lambda b, x: b.clamp(x, -0.5, 0.3), lambda x: np.clip(x, -0.5, 0.3)),
    reduced("sum", np.sum),
    reduced("max", np.max),
    Op("conv", (IMAGE,), weighted, convolved, steps=(1, 2)),
    Op("matmul", (ROWS, (2, 7, 4)), lambda b, x, y: b.matmul(x, y), np.matmul, steps=(1, 2)),
    Op(
        "avg_pool",
        ((1, 6, 4, 4),),
        lambda b, x: b.avg_pool2d(x, (2, 2), (2, 2), (0, 0, 0, 0)),
        pooled,
    ),
    Op(
        "concat",
        (ROWS, ROWS),
        lambda b, *xs: b.concat(xs, 1),
        lambda *xs: np.concatenate(xs, 1),
    ),
    Op(
        "pad",
        (ROWS,),
        lambda b, x: b.pad(x, [(0, 0), (1, 0), (0, 2)], 0.25),
        lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2)], constant_values=0.25),
    ),
]


def stored_in(params: QuantParams, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Random integers, with the extremes among them."""
    values = rng.integers(params.low, params.high + 1, shape)
    values.flat[:2] = params.low, params.high
    return values


def folded(op: Op, inputs: list[QuantParams], out: QuantParams, shapes: Any) -> ir.Module:
    def build(b: Builder, *args: ir.Value) -> ir.Value:
        return b.qcast(op.build(b, *map(b.dcast, args)), out.type())

    with CONTEXT, ir.Location.unknown():
        types = [tensor(shape, p.type()) for shape, p in zip(shapes, inputs, strict=True)]
        module = mlir.module_of(types, build)
        FOLD.run(module)
        validate(module, TARGET)
        return module


def params_of(draw: Any, bits: int, scale: float) -> QuantParams:
    half = 2 ** (bits - 1)
    zero = draw(st.integers(-half, half - 1)) if bits == 8 else 0
    return QuantParams(bits, True, -half, half - 1, (float(np.float32(scale)),), (zero,))


@st.composite
def drawn(draw: Any, op: Op, widths: tuple[int, ...]) -> tuple[Any, ...]:
    """Input parameters over many octaves, the result's near what the op gives."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inputs, stored, real = [], [], []
    for shape in op.shapes:
        bits = draw(st.sampled_from(widths))
        span = 2.0 ** draw(st.floats(-8, 4))
        if op.name == "exp":
            span = min(span, 4.0)
        params = params_of(draw, bits, span / 2**bits)
        inputs.append(params)
        stored.append(stored_in(params, shape, rng))
        real.append(params.dequantize(stored[-1]))
    wanted = op.compute(*real)
    bits = draw(st.sampled_from(widths))
    reach = max(float(np.abs(wanted).max()), 1e-3) * 2.0 ** draw(st.floats(-1, 3))
    return inputs, stored, params_of(draw, bits, 2 * reach / 2**bits), wanted


QUICK = ("add", "mul", "sigmoid", "conv")


@pytest.mark.parametrize("widths", [(8,), (16,), (8, 16)], ids=["int8", "int16", "mixed"])
@pytest.mark.parametrize(
    "op",
    [o if o.name in QUICK else pytest.param(o, marks=pytest.mark.slow) for o in OPS],
    ids=lambda o: o.name,
)
def test_within_a_step(op, widths):
    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(drawn(op, widths))
    def check(case):
        inputs, stored, out, wanted = case
        module = folded(op, inputs, out, op.shapes)
        arrays = [
            s.astype(np.int8 if p.bits == 8 else np.int16)
            for s, p in zip(stored, inputs, strict=True)
        ]
        (given_,) = make_executor("reference", module).run(arrays)
        (also,) = make_executor("jit", module).run(arrays)
        np.testing.assert_array_equal(given_, also)
        worst = np.abs(given_.astype(np.int64) - out.quantize(wanted)).max()
        wide = any(p.bits == 16 for p in inputs)
        assert worst <= op.steps[wide]

    check()
