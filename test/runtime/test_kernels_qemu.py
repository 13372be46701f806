"""Kernels of the boards, under QEMU, against the reference kernels on this machine, bit for bit."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from tosaic.tools.bench.kernel_cases import (
    INT8,
    INT16,
    INT32,
    MACHINES,
    Case,
    Conv,
    Matmul,
    Rescale,
    conv_case,
    int48,
    matmul_case,
    rescale_for,
    run_on_board,
    run_on_host,
)
from tosaic.tools.bench.runtime_kernels import layer_cases

pytestmark = pytest.mark.skipif(
    not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")),
    reason="apt-get install qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi "
    "libstdc++-arm-none-eabi-newlib",
)

WORST = 2**31 - 1


def rescales(rng, channels, terms):
    """One of each form that a fused rescale can have."""
    usual = rescale_for(rng, channels, terms)
    per_tensor = replace(usual, multiplier=usual.multiplier[:1], shift=usual.shift[:1])
    large = replace(usual, shift=rng.integers(2, 63, channels).astype(np.int8))
    extreme = replace(
        large,
        multiplier=rng.choice(np.array([0, 1, 2**30, WORST], np.int32), channels),
        shift=rng.choice(np.array([31, 32, 33, 34, 62], np.int8), channels),
    )
    wide = {
        INT16: Rescale(usual.multiplier, usual.shift, type=INT16, low=-3000, high=32767),
        INT32: Rescale(usual.multiplier, usual.shift, type=INT32, low=-(2**31), high=WORST),
    }
    exact = replace(
        per_tensor, multiplier=np.array([2**30], np.int32), shift=np.array([11], np.int8)
    )
    forms = [usual, per_tensor, large, extreme, wide[INT16], wide[INT32], exact]
    forms += [
        replace(exact, shift=np.array([shift], np.int8), type=kind, low=low, high=high)
        for shift, kind, low, high in ((30, INT16, -(2**15), 3000), (2, INT32, -(2**31), WORST))
    ]
    forms += [replace(form, double_round=True) for form in forms]
    relu = replace(usual, low=usual.output_zp, high=min(127, usual.output_zp + 40))
    return [None, *forms, relu, replace(relu, double_round=True)]


def wide_rescales(rng, channels, terms, types):
    """One of each form that a fused rescale of int48 accumulators can have."""
    usual = rescale_for(rng, channels, terms, types)
    per_tensor = replace(usual, multiplier=usual.multiplier[:1], shift=usual.shift[:1])
    extreme = replace(
        usual,
        multiplier=rng.choice(np.array([0, 1, 2**14, 2**15 - 1], np.int16), channels),
        shift=rng.choice(np.array([2, 15, 16, 17, 18, 46, 47, 62], np.int8), channels),
    )
    narrow = replace(usual, shift=usual.shift + np.int8(8), low=-100, high=127, type=INT8)
    large = replace(usual, shift=np.full_like(usual.shift, 2), type=INT32, low=-(2**31), high=WORST)
    relu = replace(per_tensor, low=0, high=9000)
    return [None, usual, per_tensor, extreme, replace(narrow, output_zp=-28), large, relu]


def forms_of(rng, types, channels, terms):
    if types in ("i16", "i16_i16"):
        return wide_rescales(rng, channels, terms, types)
    return rescales(rng, channels, terms)


def bound(rescale):
    """The rescale as TOSA allows it: to int32 without a zero point."""
    return replace(rescale, output_zp=0) if rescale and rescale.type == INT32 else rescale


SHAPES = {
    "pointwise": Conv((3, 5), 16, 8),
    "pointwise, few channels": Conv((4, 7), 3, 5),
    "pointwise, one channel": Conv((3, 3), 1, 1),
    "pointwise, odd": Conv((5, 3), 35, 13, input_zp=3),
    "pointwise, many channels": Conv((3, 3), 5, 131),
    "pointwise, strided": Conv((7, 9), 17, 6, stride=(2, 3)),
    "pointwise, padded": Conv((3, 4), 9, 7, pad=(1, 0, 2, 1)),
    "fully connected": Conv((1, 1), 100, 10),
    "fully connected, batches": Conv((1, 1), 33, 7, batches=5, shared_bias=True),
    "square": Conv((9, 9), 3, 16, (3, 3), (2, 2), pad=(0, 1, 0, 1)),
    "square, padded": Conv((6, 7), 8, 9, (3, 3), pad=(1, 1, 1, 1), input_zp=7),
    "square, dilated": Conv((9, 8), 5, 6, (3, 3), dilation=(2, 3), pad=(2, 1, 3, 3)),
    "dilated in y": Conv((9, 8), 5, 6, (3, 2), dilation=(3, 1), pad=(3, 3, 1, 0)),
    "one channel in": Conv((12, 10), 1, 11, (10, 4), (2, 2), pad=(4, 5, 1, 1)),
    "input smaller than the window": Conv((2, 2), 4, 5, (5, 5), pad=(2, 3, 3, 2)),
    "window beside the input": Conv((3, 3), 2, 3, (2, 2), dilation=(5, 5), pad=(5, 5, 5, 5)),
    "large window": Conv((5, 6), 48, 5, (3, 3), pad=(1, 1, 1, 1)),
    "batches": Conv((4, 5), 6, 7, (2, 3), batches=3, pad=(1, 0, 1, 1), shared_bias=True),
    "weight zero point": Conv((4, 5), 6, 7, (2, 3), weight_zp=-5, pad=(1, 0, 1, 1)),
    "depthwise": Conv((7, 6), 16, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=1),
    "depthwise, 35 channels": Conv((6, 6), 35, 0, (3, 3), (2, 1), multiplier=1, input_zp=5),
    "depthwise, three channels": Conv((5, 4), 3, 0, (2, 3), pad=(1, 1, 2, 2), multiplier=1),
    "depthwise, dilated": Conv(
        (9, 9), 24, 0, (3, 3), dilation=(2, 3), pad=(2, 2, 3, 3), multiplier=1, batches=2
    ),
    "depthwise, multiplier 2": Conv((5, 5), 9, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=2),
    "depthwise, multiplier 20": Conv((5, 5), 1, 0, (4, 3), pad=(1, 2, 1, 1), multiplier=20),
    "depthwise, window beside": Conv(
        (3, 3), 17, 0, (2, 2), dilation=(4, 5), pad=(4, 4, 5, 5), multiplier=1
    ),
    "depthwise, weight zero point": Conv((5, 5), 18, 0, (3, 3), multiplier=1, weight_zp=9),
}


# In every type of input and weights, beside those above in int8.
MORE_SHAPES = {
    "pointwise": Conv((4, 7), 16, 37),
    "pointwise, odd": Conv((3, 5), 5, 3),
    "fully connected": Conv((1, 1), 1037, 70, batches=2),
    "square": Conv((9, 9), 3, 16, (3, 3), (2, 2), pad=(0, 1, 0, 1)),
    "dilated, many channels": Conv((9, 8), 67, 6, (3, 3), dilation=(2, 3), pad=(2, 1, 3, 3)),
    "one filter": Conv((5, 4), 9, 1, (3, 2), pad=(1, 1, 1, 1), shared_bias=True),
    "window beside the input": Conv((3, 3), 2, 3, (2, 2), dilation=(5, 5), pad=(5, 5, 5, 5)),
    "weight zero point": Conv((4, 5), 6, 7, (2, 3), weight_zp=3, pad=(1, 0, 1, 1)),
    "depthwise": Conv((7, 6), 24, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=1, batches=2),
    "depthwise, 35 channels": Conv((6, 6), 35, 0, (3, 3), (2, 1), multiplier=1),
    "depthwise, odd": Conv((5, 4), 3, 0, (2, 3), pad=(1, 1, 2, 2), multiplier=1, shared_bias=True),
    "depthwise, dilated": Conv(
        (9, 9), 9, 0, (3, 3), dilation=(2, 3), pad=(2, 2, 3, 3), multiplier=1
    ),
    "depthwise, multiplier 3": Conv((5, 5), 5, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=3),
    "depthwise, large window": Conv((26, 24), 5, 0, (25, 23), pad=(3, 2, 1, 3), multiplier=1),
    "depthwise, weight zero point": Conv((5, 5), 18, 0, (3, 3), multiplier=1, weight_zp=-2),
}
TRANSPOSED = {
    "stride 2": Conv((4, 5), 8, 9, (3, 3), (2, 2), pad=(-1, 0, 0, -1)),
    "stride 1": Conv((4, 5), 19, 5, (3, 2), batches=2),
    "odd strides": Conv((3, 4), 5, 3, (4, 5), (3, 2), pad=(2, 1, 0, -3), input_zp=9),
    "stride above the window": Conv((3, 3), 6, 4, (1, 2), (3, 4), pad=(1, 2, -1, 3)),
    "large window": Conv((3, 2), 70, 21, (4, 4), (2, 2), pad=(-1, -1, -1, -1), batches=2),
    "one filter": Conv((3, 3), 7, 1, (2, 2), (2, 2), shared_bias=True),
    "pointwise": Conv((3, 5), 17, 6),
    "weight zero point": Conv((3, 3), 4, 5, (3, 3), (2, 2), weight_zp=-4),
}
MATMULS = {
    "square": Matmul(16, 32, 16),
    "zero points": Matmul(9, 33, 13, batches=3, a_zp=-128, b_zp=7),
    "zero point of a": Matmul(5, 64, 66, batches=2, a_zp=127),
    "zero point of b": Matmul(6, 17, 5, b_zp=-128),
    "one row": Matmul(1, 100, 35, a_zp=3, b_zp=-3),
    "one column": Matmul(7, 5, 1, batches=2, a_zp=3, b_zp=4),
    "one channel": Matmul(4, 1, 6, batches=2, a_zp=-3, b_zp=4),
    "many channels": Matmul(3, 1030, 70, a_zp=-1, b_zp=1),
    "two columns": Matmul(5, 8, 2, batches=4),
}


def conv_cases(conv, rng):
    terms = conv.kernel[0] * conv.kernel[1] * (1 if conv.depthwise else conv.inputs)
    cases = []
    for k, form in enumerate(forms_of(rng, conv.types, conv.filters, terms)):
        rescale = bound(form)
        zero = replace(conv, input_zp=int(rng.integers(-128, 128))) if k % 3 == 2 else conv
        bias = WORST if k % 4 == 3 else 9000
        cases.append(conv_case(f"form {k}", zero, rng, rescale, bias))
    return cases


def matmul_cases(matmul, rng):
    forms = forms_of(rng, matmul.products, matmul.width, matmul.channels)
    return [matmul_case(f"form {k}", matmul, rng, bound(form)) for k, form in enumerate(forms)]


def compare(core, cases):
    got, expected = run_on_board(core, cases).outputs, run_on_host(cases).outputs
    wrong = [case.name for case, a, b in zip(cases, got, expected, strict=True) if a != b]
    assert not wrong


@pytest.mark.parametrize("core", MACHINES)
def test_convolutions_equal_the_reference(core):
    rng = np.random.default_rng(0)
    cases = [
        replace(case, name=f"{name}: {case.name}")
        for name, conv in SHAPES.items()
        for case in conv_cases(conv, rng)
    ]
    compare(core, cases)


@pytest.mark.parametrize("types", ["i8_i4", "i16"])
@pytest.mark.parametrize("core", MACHINES)
def test_convolutions_of_other_types_equal_the_reference(core, types):
    rng = np.random.default_rng(0)
    cases = [
        replace(case, name=f"{name}: {case.name}")
        for name, conv in MORE_SHAPES.items()
        for case in conv_cases(replace(conv, types=types), rng)
    ]
    compare(core, cases)


@pytest.mark.parametrize("core", MACHINES)
def test_transposed_convolutions_equal_the_reference(core):
    rng = np.random.default_rng(0)
    cases = [
        replace(case, name=f"{name}: {case.name}")
        for name, conv in TRANSPOSED.items()
        for case in conv_cases(replace(conv, transposed=True), rng)
    ]
    compare(core, cases)


@pytest.mark.parametrize("types", ["i8", "i16"])
@pytest.mark.parametrize("core", MACHINES)
def test_products_of_matrices_equal_the_reference(core, types):
    rng = np.random.default_rng(0)
    cases = [
        replace(case, name=f"{name}: {case.name}")
        for name, matmul in MATMULS.items()
        for case in matmul_cases(replace(matmul, types=types), rng)
    ]
    compare(core, cases)


def pool(name, rng, shape, channels, window, stride, pad, zero=0):
    (height, width), (kh, kw), (sy, sx) = shape, window, stride
    oh = (height + pad[0] + pad[1] - kh) // sy + 1
    ow = (width + pad[2] + pad[3] - kw) // sx + 1
    parameters = (2, height, width, channels, oh, ow, kh, kw, sy, sx, pad[0], pad[2])
    cases = []
    for types, kind, points in (("i8", np.int8, (0, zero)), ("i16", np.int16, (0, 0))):
        info = np.iinfo(kind)
        x = rng.integers(info.min, info.max, (2, height, width, channels), kind, endpoint=True)
        size = 2 * oh * ow * channels * x.itemsize
        for operator, zp in zip(("max", "avg"), points, strict=True):
            kernel = f"{operator}_pool2d_{types}"
            case = Case(f"{kernel} {name}", kernel, (*parameters, zp, -zp // 2), (x,), size)
            cases.append(case)
    return cases


def test_layers_of_the_bench_equal_the_reference():
    compare("cortex-m55", layer_cases())


@pytest.mark.parametrize("core", MACHINES)
def test_reductions_and_movements_equal_the_reference(core):
    rng = np.random.default_rng(0)
    cases = []
    for shape in (
        (1, 1, 1),
        (3, 37, 1),
        (2, 16, 1),
        (2, 5, 19),
        (3, 4, 32),
        (1, 1, 7),
        (2, 3, 2),
        (2, 6, 9),
    ):
        for kernel, kind, results in (
            ("reduce_sum_i32", np.int32, True),
            ("reduce_max_i32", np.int32, True),
            ("reduce_min_i32", np.int32, True),
            ("reduce_max_i8", np.int8, True),
            ("reduce_min_i8", np.int8, True),
            ("reduce_max_i16", np.int16, True),
            ("reduce_min_i16", np.int16, True),
            ("transpose", np.int8, False),
            ("transpose", np.int16, False),
            ("transpose", np.int32, False),
        ):
            info = np.iinfo(kind)
            x = rng.integers(info.min, info.max, shape).astype(kind)
            size = x.itemsize * (shape[0] * shape[2] if results else x.size)
            cases.append(Case(f"{kernel} {shape}", kernel, (*shape, x.itemsize), (x,), size))
    for channels, scales in (
        (1, (2, 1, 2, 1)),
        (19, (4, 2, 3, 2)),
        (16, (2048, 1024, 2, 3)),
        (7, (16, 9, 16, 7)),
        (9, (16, 9, 17, 5)),
    ):
        parameters = (2, 5, 4, channels, 6, 5, *scales, -1, 1)
        size = 4 * 2 * 6 * 5 * channels
        for name, values in (("any", range(-128, 128)), ("lowest", (-128,)), ("highest", (127,))):
            x = rng.choice(np.array(values, np.int8), (2, 5, 4, channels))
            case = Case(f"resize {scales} {name}", "resize_bilinear_i8", parameters, (x,), size)
            cases.append(case)
    compare(core, cases)


@pytest.mark.parametrize("core", MACHINES)
def test_pools_and_elementwise_equal_the_reference(core):
    rng = np.random.default_rng(0)
    cases = [
        *pool("odd", rng, (7, 5), 19, (3, 2), (2, 1), (1, 1, 0, 1), 7),
        *pool("global", rng, (6, 5), 64, (6, 5), (1, 1), (0, 0, 0, 0), -128),
        *pool("large", rng, (40, 30), 6, (33, 30), (3, 1), (2, 3, 4, 5), 127),
        *pool("one channel", rng, (4, 4), 1, (2, 2), (2, 2), (0, 0, 0, 0), 127),
    ]
    for n in (1, 15, 16, 37):
        a, b = (rng.integers(-(2**31), WORST, n).astype(np.int32) for _ in range(2))
        x = rng.integers(-128, 128, n, np.int8)
        table = rng.integers(-128, 128, 256, np.int8)
        wide = rng.integers(-(2**15), 2**15, (2, n), np.int16)
        for steps in ((1, 1), (0, 1), (1, 0)):
            for kernel in ("add_i32", "sub_i32", "maximum_i32"):
                cases.append(
                    Case(f"{kernel} {n} {steps}", kernel, steps, (a, b), 4 * n, channels=n)
                )
            for shift in (0, 1, 31, 63):
                name, parameters = f"mul {n} {steps} {shift}", (*steps, 0, shift)
                cases.append(Case(name, "mul_i32", parameters, (a, b), 4 * n, channels=n))
            for kernel, (p, q) in (("mul_i8", (x, x[::-1])), ("mul_i16", wide)):
                name, size = f"{kernel} {n} {steps}", 4 * n
                cases.append(Case(name, kernel, steps, (p, q), size, channels=n))
        for step in (0, 1):
            cases.append(Case(f"table {n} {step}", "table_i8", (step,), (x, table), n, channels=n))
            data = (wide[0], rng.integers(-(2**15), 2**15, 513, np.int16))
            size = 4 * n
            cases.append(
                Case(f"table_i16 {n} {step}", "table_i16", (step,), data, size, channels=n)
            )
        cases.append(Case(f"clamp {n}", "clamp_i8", (1, 0, 0, -7, 90), (x,), n, channels=n))
        for k, form in enumerate(rescales(rng, n, 3)[1:]):
            size = {INT8: 1, INT16: 2, INT32: 4}[form.type] * 3 * n
            for kernel, kind, low, high in (
                ("rescale_i8", np.int8, -128, 127),
                ("rescale_u8", np.uint8, 0, 255),
                ("rescale_i16", np.int16, -(2**15), 2**15 - 1),
                ("rescale_u16", np.uint16, 0, 2**16 - 1),
                ("rescale_i32", np.int32, -(2**31), WORST),
            ):
                data = rng.integers(low, high, (3, n)).astype(kind)
                rescale = bound(replace(form, input_zp=0 if kernel == "rescale_i32" else 5))
                name = f"{kernel} {n} {k}"
                cases.append(Case(name, kernel, (), (data,), size, rescale, 3, n))
        for k, form in enumerate(wide_rescales(rng, n, 3, "i16")[1:]):
            size = {INT8: 1, INT16: 2, INT32: 4}[form.type] * 3 * n
            data = int48(rng.integers(-(2**47), 2**47, (3, n)))
            cases.append(Case(f"rescale_i48 {n} {k}", "rescale_i48", (), (data,), size, form, 3, n))
    compare(core, cases)
