"""The Ethos-U legalisations against the reference model: the same integers before and after."""

import numpy as np
import pytest

from support import mlir
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.builder import NCHW, NHWC
from tosaic.dialects.types import i, tensor
from tosaic.executors import make_executor
from tosaic.lowering.pipeline import Pipeline

ACCELERATORS = ("u55", "u65", "u85")


@pytest.fixture(scope="module")
def context():
    return make_context()


def module_of(context, shape, build):
    with context, ir.Location.unknown():
        return mlir.module_of([tensor(shape, i(8))], build, ir.Location.name("op"))


def outputs(module, x):
    return make_executor("reference", module).run([x])


def check(context, shape, build, pipeline, *, gone=(), tolerance=0, distinct=9):
    """Compare before and after on random inputs; ops named in `gone` must not be left."""
    module = module_of(context, shape, build)
    x = np.random.randint(-128, 128, shape).astype(np.int8)
    before = outputs(module, x)
    assert all(len(np.unique(b)) >= distinct for b in before if b.size > 16), "a test of constants"
    Pipeline.parse(pipeline).run(module)
    text = str(module)
    assert not [name for name in gone if f"tosa.{name}" in text]
    for a, b in zip(before, outputs(module, x), strict=True):
        assert a.shape == b.shape
        assert np.abs(a.astype(int) - b.astype(int)).max() <= tolerance
    return text


def weights(*shape):
    return np.random.randint(-127, 128, shape)


def conv(
    b, x, channels, kernel, *, stride=(1, 1), pad=(0, 0, 0, 0), zero_point=3, activation=False
):
    depth = ir.RankedTensorType(x.type).shape[3]
    w = b.const(weights(channels, *kernel, depth), i(8))
    bias = b.const(np.random.randint(-(10**6), 10**6, channels), i(32))
    y = b.conv2d(x, w, bias, pad=pad, stride=stride, zero_points=(zero_point, 0))
    return finish(b, y, channels, activation)


def finish(b, accumulator, channels, activation=False):
    multipliers = (2**30 - np.random.randint(0, 2**28, channels)).tolist()
    y = b.rescale(accumulator, i(8), multipliers, [44] * channels, zero_points=(0, 5))
    return b.clamp(y, -100, 90) if activation else y


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("nchw", [False, True], ids=["nhwc", "nchw"])
@pytest.mark.parametrize(
    ("size", "channels", "kernel", "stride", "pad"),
    [
        ((32, 32), 3, (3, 3), (2, 2), (1, 0, 1, 0)),
        ((32, 32), 3, (7, 7), (2, 2), (3, 2, 3, 2)),
        ((49, 10), 1, (10, 4), (2, 2), (5, 4, 1, 1)),
        ((16, 18), 2, (3, 5), (1, 3), (1, 1, 1, 1)),
        ((16, 16), 3, (3, 3), (1, 1), (1, 1, 1, 1)),
        ((16, 16), 4, (4, 4), (2, 2), (1, 1, 1, 1)),
        ((15, 15), 3, (3, 3), (2, 2), (1, 1, 1, 1)),
    ],
)
def test_fold_columns(context, *, accelerator, nchw, size, channels, kernel, stride, pad):
    def build(b, x):
        x = b.transpose(x, NHWC) if nchw else x
        return conv(b, x, 16, kernel, stride=stride, pad=pad, activation=True)

    shape = [1, channels, *size] if nchw else [1, *size, channels]
    options = f"{{accelerator={accelerator}}}"
    check(context, shape, build, f"tosaic-matrix-transpose{options},tosaic-fold-columns{options}")


def test_matrix_transpose_both_ways(context):
    def build(b, x):
        return b.transpose(conv(b, b.transpose(x, NHWC), 8, (3, 3)), NCHW)

    text = check(context, [1, 4, 9, 7], build, "tosaic-matrix-transpose")
    assert text.count("perms = array<i32: 0, 1, 3, 2>") == 2


@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("shared", [False, True], ids=["", "shared"])
@pytest.mark.parametrize("size", [(7, 7), (8, 8), (24, 5), (14, 14), (20, 20)])
@pytest.mark.parametrize("form", ["pool", "pool-rescale", "pool-widened", "sum"])
def test_global_mean(context, accelerator, shared, size, form):
    count = size[0] * size[1]

    def build(b, x):
        x = conv(b, x, 96, (1, 1))
        if form == "sum":
            wide = b.rescale(x, i(32), [1 << 30], [30], zero_points=(5, 0))
            total = b.reduce("tosa.reduce_sum", b.reduce("tosa.reduce_sum", wide, 1), 2)
            y = b.rescale(total, i(8), [round(2**36 / count)], [34], zero_points=(0, -7))
        else:
            y = b.avg_pool2d(x, size, (1, 1), (0, 0, 0, 0), zero_points=(5, 5))
        if form == "pool-rescale":
            y = b.rescale(y, i(8), [1500000000], [30], zero_points=(5, -7))
        if form == "pool-widened":
            y = b.rescale(y, i(32), [1 << 30], [30], zero_points=(5, 0))
            y = b.rescale(y, i(8), [1500000000], [30], zero_points=(0, -7))
        return (x, y) if shared else y

    exact = form in ("pool", "sum") and count <= 64 and not shared
    check(
        context,
        [1, *size, 32],
        build,
        f"tosaic-lower-global-mean{{accelerator={accelerator}}}",
        gone=["avg_pool2d", "reduce_sum"],
        tolerance=0 if exact else 1,
    )


def test_global_mean_rounds_once(context):
    """Against the real mean: half an LSB, where a pool with a rescale is nearly one off."""
    x = np.random.randint(-128, 128, [1, 14, 14, 64]).astype(np.int8)

    def build(b, x):
        y = b.avg_pool2d(x, (14, 14), (1, 1), (0, 0, 0, 0), zero_points=(3, 3))
        return b.rescale(y, i(8), [1 << 30], [27], zero_points=(3, -4))

    module = module_of(context, x.shape, build)
    Pipeline.parse("tosaic-lower-global-mean").run(module)
    real = (x.astype(float).mean((1, 2)) - 3) * 8 - 4
    assert np.abs(outputs(module, x)[0].reshape(1, -1) - real.clip(-128, 127)).max() < 0.51


def test_cut_pool_reads_the_whole_map(context):
    def build(b, x):
        cut = b.slice(conv(b, x, 64, (1, 1)), [0, 1, 0, 0], [1, 24, 5, 64])
        return b.avg_pool2d(cut, (24, 5), (1, 1), (0, 0, 0, 0), zero_points=(5, 5))

    check(
        context,
        [1, 25, 5, 16],
        build,
        "tosaic-lower-global-mean",
        gone=["slice", "avg_pool2d"],
        tolerance=1,
    )


@pytest.mark.parametrize(
    ("kernel", "stride"), [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((4, 3), (2, 1))]
)
def test_local_average_with_counted_padding(context, kernel, stride):
    def build(b, x):
        x = b.pad(conv(b, x, 8, (1, 1)), [(0, 0), (1, 1), (1, 1), (0, 0)], 5)
        return b.avg_pool2d(x, kernel, stride, (0, 0, 0, 0), zero_points=(5, 5))

    pipeline = "tosaic-lower-global-mean,tosaic-fold-pad"
    check(context, [1, 12, 12, 8], build, pipeline, gone=["avg_pool2d", "pad "])


@pytest.mark.parametrize("nchw", [False, True], ids=["nhwc", "nchw"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad"),
    [
        ((16, 24), (4, 4), (4, 4), (0, 0, 0, 0)),
        ((32, 32), (16, 16), (16, 16), (0, 0, 0, 0)),
        ((32, 32), (11, 11), (4, 4), (2, 1, 2, 1)),
        ((20, 20), (5, 3), (5, 1), (0, 0, 1, 1)),
        ((1, 400), (1, 10), (1, 5), (0, 0, 3, 2)),
        ((16, 15), (4, 3), (4, 2), (0, 0, 0, 0)),
        ((30, 30), (3, 3), (4, 4), (1, 0, 1, 0)),
        ((33, 15), (7, 3), (4, 2), (2, 0, 0, 0)),
        ((34, 34), (2, 2), (4, 4), (0, 0, 0, 0)),
    ],
)
def test_split_strided_conv(context, *, nchw, size, kernel, stride, pad):
    def build(b, x):
        x = b.transpose(x, NHWC) if nchw else x
        return conv(b, x, 16, kernel, stride=stride, pad=pad)

    shape = [1, 3, *size] if nchw else [1, *size, 3]
    whole = not any(s > 3 and n % s for n, s in zip(size, stride, strict=True))
    gone = ["transpose "] if whole else []
    text = check(context, shape, build, "tosaic-split-strided-conv", gone=gone)
    assert "stride = array<i64: 4" not in text and "stride = array<i64: 5" not in text


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad"),
    [
        ((16, 16), (4, 4), (4, 4), (0, 0, 0, 0)),
        ((24, 15), (8, 3), (8, 3), (0, 0, 0, 0)),
        ((20, 21), (5, 7), (5, 7), (0, 0, 0, 0)),
        ((18, 18), (3, 3), (6, 1), (1, 2, 1, 1)),
        ((30, 10), (6, 2), (12, 4), (0, 0, 0, 0)),
    ],
)
def test_split_strided_depthwise(context, size, kernel, stride, pad):
    def build(b, x):
        w = b.const(weights(*kernel, 4, 2), i(8))
        bias = b.const(np.random.randint(-(10**6), 10**6, 8), i(32))
        y = b.conv2d(x, w, bias, pad=pad, stride=stride, zero_points=(3, 0), depthwise=True)
        return finish(b, y, 8, True)

    text = check(context, [1, *size, 4], build, "tosaic-split-strided-depthwise")
    assert "tosa.max_pool2d" in text


@pytest.mark.parametrize(
    ("kernel", "stride", "out_pad"),
    [
        ((4, 4), (2, 2), (-1, -1, -1, -1)),
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 3), (2, 2), (-1, 0, -1, 0)),
        ((3, 3), (2, 2), (-1, -1, -1, -1)),
        ((5, 3), (2, 3), (-2, 1, 0, 2)),
        ((2, 2), (3, 3), (0, 1, 0, 1)),
        ((3, 4), (1, 2), (-1, -1, -1, -1)),
        ((4, 4), (2, 2), (-3, -3, -3, -3)),
        ((3, 3), (1, 1), (-2, -2, -2, -2)),
    ],
)
def test_transpose_conv(context, kernel, stride, out_pad):
    def build(b, x):
        w = b.const(weights(8, *kernel, 16), i(8))
        bias = b.const(np.random.randint(-1000, 1000, 8), i(32))
        y = b.transpose_conv2d(x, w, bias, out_pad=out_pad, stride=stride, zero_points=(-3, 0))
        return finish(b, y, 8, True)

    check(
        context,
        [2, 6, 7, 16],
        build,
        "tosaic-lower-transpose-conv",
        gone=["transpose_conv2d"],
    )


def test_weight_zero_point_fills_the_added_taps(context):
    def build(b, x):
        bias = b.const(np.zeros(16), i(32))
        w = b.const(weights(16, 3, 3, 3), i(8))
        y = b.conv2d(x, w, bias, pad=(1, 0, 1, 0), stride=(2, 2), zero_points=(3, 9))
        return finish(b, y, 16)

    text = check(context, [1, 16, 16, 3], build, "tosaic-fold-columns")
    assert "tensor<1x16x8x6xi8>" in text


@pytest.mark.parametrize("shape", [[1, 9, 7, 16], [5, 24], [2, 3, 8]])
@pytest.mark.parametrize("channels", [1, None], ids=["per tensor", "per channel"])
def test_requantize(context, shape, channels):
    def build(b, x):
        multipliers = np.random.randint(2**29, 2**31, channels or shape[-1]).tolist()
        shifts = [31] * len(multipliers)
        return b.rescale(x, i(8), multipliers, shifts, zero_points=(3, -5))

    text = check(context, shape, build, "tosaic-requantize")
    assert "depthwise" in text


def test_channel_products(context):
    factors = np.linspace(-32767, 32767, 17).round().reshape(1, 1, 1, 17)

    def build(b, x):
        wide = b.rescale(x, i(32), [1 << 30], [30], zero_points=(-9, 0))
        product = b.mul(wide, b.const(factors, i(32)))
        return b.rescale(product, i(8), [1234567890], [46], zero_points=(0, 4))

    pipeline = "tosaic-requantize"
    check(context, [1, 6, 5, 17], build, pipeline, gone=["mul"], tolerance=1)


def test_fold_pad(context):
    def build(b, x):
        padded = b.pad(x, [(0, 0), (1, 2), (0, 1), (0, 0)], 3)
        a = conv(b, padded, 8, (3, 3), pad=(1, 0, 0, 0))
        low = b.pad(a, [(0, 0), (1, 0), (1, 0), (0, 0)], -128)
        return b.max_pool2d(low, (2, 2), (1, 1), (0, 0, 0, 0))

    check(context, [1, 8, 8, 4], build, "tosaic-fold-pad", gone=["pad "])


def test_fold_flatten(context):
    def build(b, x):
        flat = b.reshape(b.transpose(x, NCHW), [1, 1, 3, 5 * 7 * 8])
        return conv(b, flat, 40, (1, 1))

    check(context, [3, 5, 7, 8], build, "tosaic-fold-flatten", gone=["transpose "])


def test_booleans(context):
    """Every op that makes, joins, moves or reads booleans, also of integers that fill int32."""
    extremes = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**30, 2**31 - 2, 2**31 - 1])

    def build(b, x):
        wide = b.rescale(x, i(32), [1 << 30], [10])
        chosen = b.const(np.random.randint(0, 2, [8, 8]), i(1))
        wide = b.select(chosen, wide, b.const(extremes, i(32)))
        other = b.transpose(wide, (1, 0))
        greater, equal, least = (
            b.compare(f"tosa.{name}", *pair)
            for name, pair in (
                ("greater", (wide, other)),
                ("equal", (wide, b.const(extremes, i(32)))),
                ("greater_equal", (wide, b.const(extremes[:, None], i(32)))),
            )
        )
        logic = {name: b.binary(f"tosa.logical_{name}", greater, equal) for name in ("or", "xor")}
        both = b.binary("tosa.logical_and", logic["or"], b.unary("tosa.logical_not", least))
        nonzero = b.cast(b.clamp(x, 0, 127), i(1))
        moved = b.concat([b.reverse(nonzero, 1), b.transpose(logic["xor"], (1, 0))], 0)
        moved = b.pad(b.slice(moved, [4, 0], [8, 7]), [(0, 0), (1, 0)], 1)
        chosen = b.select(b.reduce("tosa.reduce_any", both, 1), greater, moved)
        rows = b.cast(b.reduce("tosa.reduce_all", b.tile(least, [1, 2]), 0), i(16))
        picked = b.select(chosen, x, b.transpose(x, (1, 0)))
        return [b.cast(v, i(8)) for v in (greater, equal, least, both, moved, chosen)] + [
            *(picked, rows, b.select(least, wide, other), b.cast(nonzero, i(32))),
        ]

    gone = ("greater", "equal", "select", "logical", "reduce_any", "reduce_all")
    pipeline = "tosaic-booleans-by-arithmetic,canonicalize,cse"
    text = check(context, [8, 8], build, pipeline, gone=gone, distinct=2)
    assert "xi1>" not in text


def resized(b, x, out, mode, corners):
    """RESIZE of [N,H,W,C] to [N,*out,C] as PyTorch's interpolate has it."""
    shape = ir.RankedTensorType(x.type).shape
    numbers, offset, border = [], [], []
    for size, wanted in zip(shape[1:3], out, strict=True):
        unit, step = (2 * (wanted - 1), 2 * (size - 1)) if corners else (2 * wanted, 2 * size)
        numbers += [unit, step]
        offset.append(0 if corners else (step - unit) // 2)
        border.append((wanted - 1) * step + offset[-1] - (size - 1) * unit)
    kind = ir.Attribute.parse(f"#tosa.resize_mode<{mode}>")
    element = i(32) if mode == "BILINEAR" else i(8)
    operands = [b.const_shape(v) for v in (numbers, offset, border)]
    result = tensor([shape[0], *out, shape[3]], element)
    return b.value("tosa.resize", [x, *operands], result, mode=kind)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["BILINEAR", "NEAREST_NEIGHBOR"])
@pytest.mark.parametrize("out", [(9, 15), (7, 11), (3, 4), (12, 13)])
def test_resize(context, out, mode, corners):
    check(
        context,
        [2, 6, 5, 3],
        lambda b, x: resized(b, x, out, mode, corners),
        "tosaic-resize-by-weights",
        gone=["resize "],
    )


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("corners", [False, True])
def test_bilinear_by_whole_factors(context, factor, corners):
    """Of centres, or of corners: neither is a RESIZE that Ethos-U55 runs."""
    out = (5 * factor + 1, 4 * factor + 1) if corners else (6 * factor, 5 * factor)
    check(
        context,
        [1, 6, 5, 3],
        lambda b, x: resized(b, x, out, "BILINEAR", corners),
        "tosaic-resize-by-weights",
        gone=["resize "],
    )


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_reverse(context, axis):
    text = check(context, [2, 6, 5, 3], lambda b, x: b.reverse(x, axis), "tosaic-reverse-rows")
    assert ("tosa.reshape" in text) == (axis in (0, 3))


@pytest.mark.parametrize("constant", [False, True])
def test_gather(context, constant):
    def build(b, x):
        table = b.const(weights(1, 9, 12), i(8)) if constant else b.reshape(x, [2, 9, 12])
        indices = b.const(np.random.randint(0, 9, [1 if constant else 2, 7]), i(32))
        shape = [*ir.RankedTensorType(indices.type).shape, 12]
        return b.value("tosa.gather", [table, indices], tensor(shape, i(8)))

    text = check(context, [2, 3, 3, 12], build, "tosaic-gather-by-product", gone=["gather"])
    assert ("tosa.conv2d" in text) == constant


def test_sums_of_factors(context):
    def build(b, x):
        wide = [b.rescale(x, i(32), [f << 16], [16], zero_points=(3, 0)) for f in (256, 3, 1, 7)]
        sums = b.add(wide[0], wide[1]), b.sub(wide[2], wide[3])
        return [b.rescale(y, i(8), [1 << 30], [n]) for y, n in zip(sums, (38, 33), strict=True)]

    text = check(context, [1, 6, 5, 8], build, "tosaic-unshare-rescales,tosaic-scale-by-product")
    assert text.count("tosa.mul") == 3
