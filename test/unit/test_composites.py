"""Composites in integers against float, over random quantisation parameters and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import mlir
from tosaic.backends.ethos_u.vela import compile_module
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import QuantParams, i, tensor
from tosaic.executors.executor import make_executor
from tosaic.lowering.pipeline import Pipeline
from tosaic.lowering.quantization.hard_gates import hardsigmoid, hardswish
from tosaic.lowering.quantization.layer_norm import layer_norm
from tosaic.lowering.quantization.softmax import Mask, log_softmax, log_sum_exp, softmax
from tosaic.targets import target

ROWS = 6
Array = npt.NDArray[Any]
scales = st.floats(-9, 0).map(lambda power: 2.0**power)
zero_points = st.integers(-128, 127)
lengths = st.sampled_from([1, 2, 3, 10, 64, 197])
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25)


def int8(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(8, True, -128, 127, (scale,), (zero_point,))


def covering(real: Array) -> QuantParams:
    """Parameters whose 256 steps span `real`, with zero."""
    low, high = min(0.0, float(real.min())), max(0.0, float(real.max()))
    scale = max(high - low, 1e-4) / 255
    return int8(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


def rows(seed: int, length: int) -> Array:
    """Stored int8 rows: noise, both ends, a lone peak, a narrow band."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (ROWS, length))
    x[0], x[1], x[2] = -128, 127, -128
    x[2, rng.integers(length)] = 127
    x[3] = np.clip(rng.integers(-128, 128) + rng.integers(-3, 4, length), -128, 127)
    return x.astype(np.int8)


def built(
    build: Callable[[Builder, ir.Value], ir.Value], params: QuantParams, shape: tuple[int, ...]
) -> ir.Module:
    """Return the integer program of `build`."""
    with make_context(), ir.Location.unknown():
        types, location = [tensor(shape, params.type())], ir.Location.name("composite")
        module = mlir.module_of(types, build, location)
        Pipeline.parse("tosaic-strip-quant-types,canonicalize,cse").run(module.operation)
    return module


def run(
    build: Callable[[Builder, ir.Value], ir.Value], params: QuantParams, stored: Array
) -> Array:
    """Return what the integer program of `build` computes."""
    (out,) = make_executor("jit", built(build, params, stored.shape)).run([stored])
    return np.asarray(out)


def steps_off(stored: Array, real: Array, out: QuantParams) -> float:
    """Return the largest distance, in steps, from the unrounded result."""
    exact = np.clip(real / out.scale + out.zero_point, out.low, out.high)
    return float(np.abs(stored - exact).max())


def float_softmax(real: Array) -> Array:
    powers = np.exp(real - real.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


@given(scales, zero_points, lengths, seeds, st.booleans())
@few
def test_softmax(scale: float, zero_point: int, length: int, seed: int, fine: bool) -> None:
    params, x = int8(scale, zero_point), rows(seed, length)
    real = float_softmax(params.dequantize(x))
    out = int8(max(float(real.max()) / 255 if fine else 1 / 256, 2.0**-16), -128)
    stored = run(lambda b, v: softmax(b, v, params, out, axis=1), params, x)
    assert steps_off(stored, real, out) <= 1.5


@given(scales, zero_points, lengths, seeds, st.booleans())
@few
def test_softmax_under_a_mask(
    scale: float, zero_point: int, length: int, seed: int, empty: bool
) -> None:
    params, x, out = int8(scale, zero_point), rows(seed, length), int8(1 / 256, -128)
    rng = np.random.default_rng(seed)
    hidden = rng.random(x.shape) < 0.5
    hidden[np.arange(ROWS), rng.integers(0, length, ROWS)] = False
    if empty:
        hidden[4] = True
    shown = np.where(hidden, -np.inf, params.dequantize(x))
    shown[hidden.all(1)] = 0
    real = np.where(hidden, 0, float_softmax(shown))
    least = int((~hidden).sum(1).min())

    def build(b: Builder, v: ir.Value) -> ir.Value:
        return softmax(b, v, params, out, axis=1, mask=Mask(b.const(hidden, i(8)), least))

    stored = run(build, params, x)
    assert steps_off(stored, real, out) <= 1.5
    assert (stored[hidden] == -128).all()


@given(scales, zero_points, lengths, seeds)
@few
def test_log_softmax(scale: float, zero_point: int, length: int, seed: int) -> None:
    params, x = int8(scale, zero_point), rows(seed, length)
    shifted = params.dequantize(x) - params.dequantize(x).max(1, keepdims=True)
    real = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    out = int8(max(float(-real.min()), 0.01) / 255, 127)
    stored = run(lambda b, v: log_softmax(b, v, params, out, axis=1), params, x)
    assert steps_off(stored, real, out) <= 1.5


@given(scales, zero_points, lengths, seeds)
@few
def test_log_sum_exp(scale: float, zero_point: int, length: int, seed: int) -> None:
    params, x = int8(scale, zero_point), rows(seed, length)
    given_ = params.dequantize(x)
    largest = given_.max(1, keepdims=True)
    real = largest + np.log(np.exp(given_ - largest).sum(1, keepdims=True))
    out = covering(real)
    stored = run(lambda b, v: log_sum_exp(b, v, params, out, axis=1), params, x)
    assert steps_off(stored, real, out) <= 1.5


@given(scales, zero_points, lengths, seeds, *[st.booleans()] * 4)
@example(
    scale=1.0,
    zero_point=0,
    length=2,
    seed=2048,
    centre=False,
    weighted=True,
    biased=True,  # the bias is far beyond the weight
    wide=False,
)
@few
def test_layer_and_rms_norm(
    scale: float,
    zero_point: int,
    length: int,
    seed: int,
    centre: bool,
    weighted: bool,
    biased: bool,
    wide: bool,
) -> None:
    params, x, rng = int8(scale, zero_point), rows(seed, length), np.random.default_rng(seed)
    if wide:
        params = QuantParams(16, True, -(2**15), 2**15 - 1, (scale / 256,), (0,))
        x = (x.astype(np.int16) * 256 + rng.integers(0, 256, x.shape)).astype(np.int16)
    weight = rng.normal(0, 1, length) if weighted else None
    bias = rng.normal(0, 1, length) if biased else None
    epsilon = 1e-5
    real = params.dequantize(x)
    real = real - real.mean(1, keepdims=True) if centre else real
    real = real / np.sqrt((real**2).mean(1, keepdims=True) + epsilon)
    real = real * (1 if weight is None else weight) + (0 if bias is None else bias)
    out = covering(real)

    def build(b: Builder, v: ir.Value) -> ir.Value:
        return layer_norm(
            b,
            v,
            params,
            out,
            count=length,
            epsilon=epsilon,
            weight=weight,
            bias=bias,
            centre=centre,
        )

    # Half a step is the rounding. The mean is good to 1/256 of a step of 8 bits, one of 16 bits:
    # a row of all but equal elements shows it.
    deviation = np.maximum(x.std(1, keepdims=True), 1e-9)
    known = deviation >= np.abs(real).max() / out.scale if wide and centre else deviation > 0
    got = np.where(known, run(build, params, x), 0)
    assert steps_off(got, np.where(known, real, out.dequantize(np.zeros(1))), out) <= 2


@given(scales, zero_points, seeds)
@few
def test_group_norm(scale: float, zero_point: int, seed: int) -> None:
    """[1, 4 channels, 9 pixels] in two groups; weight and bias go with the channels."""
    params, rng = int8(scale, zero_point), np.random.default_rng(seed)
    x = rng.integers(-128, 128, (1, 4, 9)).astype(np.int8)
    weight, bias = rng.normal(0, 1, 4), rng.normal(0, 1, 4)
    grouped = params.dequantize(x).reshape(2, 18)
    centred = grouped - grouped.mean(1, keepdims=True)
    normal = (centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)).reshape(1, 4, 9)
    real = normal * weight[:, None] + bias[:, None]
    out = covering(real)

    def build(b: Builder, v: ir.Value) -> ir.Value:
        return layer_norm(
            b,
            v,
            params,
            out,
            count=18,
            epsilon=1e-5,
            weight=weight,
            bias=bias,
            channels=(1, 4, 9),
        )

    assert steps_off(run(build, params, x), real, out) <= 2


def gated(
    gate: Any, scale: float, reach: float, x: Array
) -> tuple[Array, QuantParams, QuantParams]:
    """Return `gate` of int16 `x` in float, and parameters: `reach` octaves beyond what there is."""
    bound = 2**15
    params = QuantParams(16, True, -bound, bound - 1, (scale,), (0,))
    given_ = params.dequantize(x)
    real = np.clip(given_ + 3, 0, 6) / 6 * (given_ if gate is hardswish else 1)
    largest = max(float(np.abs(real).max()), 1e-3) * 2.0**reach
    return real, params, QuantParams(16, True, -bound, bound - 1, (largest / bound,), (0,))


@pytest.mark.parametrize("gate", [hardsigmoid, hardswish])
@given(st.floats(-14, 0), st.floats(-2, 1), seeds)
@few
def test_hard_gates(gate: Any, power: float, reach: float, seed: int) -> None:
    """Of int16, over all of its range and around the bends."""
    scale = float(np.float32(2.0**power))
    rng = np.random.default_rng(seed)
    bends = np.rint(np.array([-3, 0, 3]) / scale)[:, None] + np.arange(-300, 300)
    x = np.concatenate([rng.integers(-(2**15), 2**15, 1000), bends.reshape(-1)])
    x = np.clip(x, -(2**15), 2**15 - 1).astype(np.int16)
    real, params, out = gated(gate, scale, reach, x)
    assert steps_off(run(lambda b, v: gate(b, v, params, out), params, x), real, out) <= 1.5


@pytest.mark.parametrize("power", [-14, -13.9, -13.5, -13, -12.5, -12])
@pytest.mark.parametrize("reach", [-2, -1, 0])
def test_hard_swish_of_every_value(power: float, reach: float) -> None:
    """Where it saturates at a quarter of its range, negative inputs show the gate's rounding."""
    x = np.arange(-(2**15), 2**15).astype(np.int16)
    real, params, out = gated(hardswish, float(np.float32(2.0**power)), reach, x)
    assert steps_off(run(lambda b, v: hardswish(b, v, params, out), params, x), real, out) <= 1.5


@pytest.mark.parametrize("device", ["ethos-u55-128", "ethos-u85-256"])
@pytest.mark.parametrize("reach", [-2, 0])
def test_hard_swish_is_one_for_npus(device: str, reach: float) -> None:
    x = np.arange(-128, 128).astype(np.int16)[None, None, None] * 256
    _, params, out = gated(hardswish, 2.0**-13, reach, x)
    module = built(lambda b, v: hardswish(b, v, params, out), params, x.shape)
    compile_module(module, target(device), in_process=True)
