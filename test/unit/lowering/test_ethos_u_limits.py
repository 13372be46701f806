"""The table of Ethos-U limits against Vela: what it reports is refused, the next best compiles."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from support import mlir
from tosaic.backends.ethos_u.vela import VelaError, run_vela
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.builder import i32_attr
from tosaic.dialects.types import i, tensor
from tosaic.emit import serialize
from tosaic.errors import CompileError
from tosaic.lowering.legalize.ethos_u_limits import LIMITS
from tosaic.lowering.pipeline import Pipeline
from tosaic.targets import target

TARGETS = {name: target(f"ethos-{name}-256") for name in ("u55", "u65", "u85")}
IMAGE = ([1, 16, 16, 8], 8)
WIDE = ([1, 16, 16, 8], 16)


@dataclass(frozen=True)
class Sample:
    """A program that breaks `row`, and one that only just does not."""

    row: str
    inputs: list[tuple[list[int], int]]
    breaks: Callable[..., Any]
    within: Callable[..., Any]
    within_inputs: list[tuple[list[int], int]] | None = None


def conv(kernel, stride=(1, 1), pad=(0, 0, 0, 0), *, depthwise=False):
    def build(b, x):
        depth = ir.RankedTensorType(x.type).shape[3]
        shape = [*kernel, depth, 1] if depthwise else [8, *kernel, depth]
        w = b.const(np.random.randint(-127, 128, shape), i(8))
        bias = b.const(np.zeros(8), i(32))
        y = b.conv2d(x, w, bias, stride=stride, pad=pad, depthwise=depthwise)
        return b.rescale(y, i(8), [1 << 30], [42])

    return build


def transposed(stride):
    def build(b, x):
        w = b.const(np.random.randint(-127, 128, [8, 3, 3, 8]), i(8))
        bias = b.const(np.zeros(8), i(32))
        y = b.transpose_conv2d(x, w, bias, stride=stride, out_pad=(0, 0, 0, 0))
        return b.rescale(y, i(8), [1 << 30], [42])

    return build


def transposed_wide(b, x):
    narrow = ir.RankedTensorType(x.type).element_type.width == 8
    w = b.const(np.random.randint(-127, 128, [8, 3, 3, 8]), i(8))
    bias = b.const(np.zeros(8), i(32 if narrow else 48))
    y = b.transpose_conv2d(x, w, bias, stride=(2, 2), out_pad=(0, 0, 0, 0))
    return b.rescale(y, i(8), [1 << (30 if narrow else 14)], [42])


def doubled(b, x):
    twice = [b.const_shape(v) for v in ([2, 1, 2, 1], [0, 0], [1, 1])]
    mode = ir.Attribute.parse("#tosa.resize_mode<BILINEAR>")
    y = b.value("tosa.resize", [x, *twice], tensor([1, 32, 32, 8], i(48)), mode=mode)
    return b.rescale(y, i(8), [1 << 14], [42])


def computed(b, x, w):
    return b.rescale(b.conv2d(x, w, b.const(np.zeros(8), i(32))), i(8), [1 << 30], [42])


def padded_pool(size):
    half = size // 2
    return lambda b, x: b.avg_pool2d(x, (size, size), (1, 1), (half, half, half, half))


def argmax(b, x):
    shape = ir.RankedTensorType(x.type).shape
    nan = ir.Attribute.parse("#tosa.nan_mode<PROPAGATE>")
    out = tensor(shape[:-1], i(32))
    return b.value("tosa.argmax", [x], out, axis=i32_attr(len(shape) - 1), nan_mode=nan)


def reduced(name):
    return lambda b, x: b.reduce(f"tosa.reduce_{name}", x, 1)


def binary(name):
    return lambda b, x, y: b.binary(f"tosa.{name}", x, y)


SAMPLES = [
    Sample(
        "stride", [IMAGE], conv((5, 5), (4, 4), (1, 0, 1, 0)), conv((4, 4), (3, 3), (1, 2, 1, 2))
    ),
    Sample(
        "stride",
        [IMAGE],
        conv((4, 4), (4, 4), depthwise=True),
        conv((4, 4), (3, 3), depthwise=True),
    ),
    Sample("transposed stride", [IMAGE], transposed((3, 3)), transposed((2, 2))),
    Sample("transposed type", [WIDE], transposed_wide, transposed_wide, [IMAGE]),
    Sample("resize type", [WIDE], doubled, conv((1, 1)), [IMAGE]),
    Sample("padded window", [IMAGE], padded_pool(9), padded_pool(7)),
    Sample("weights", [IMAGE, ([8, 1, 1, 8], 8)], computed, conv((1, 1)), [IMAGE]),
    Sample("argmax", [([1, 4, 4, 128], 8)], argmax, argmax, [([1, 4, 4, 127], 8)]),
    Sample(
        "shift type",
        [IMAGE] * 2,
        binary("logical_left_shift"),
        binary("logical_left_shift"),
        [([1, 4, 4, 8], 32)] * 2,
    ),
    Sample("maximum", [([1, 4, 4, 8], 32)], reduced("max"), reduced("max"), [([1, 4, 4, 8], 16)]),
    Sample(
        "sum", [([1, 70000, 1, 2], 32)], reduced("sum"), reduced("sum"), [([1, 7000, 1, 2], 32)]
    ),
    Sample(
        "reverse axis",
        [IMAGE],
        lambda b, x: b.reverse(x, 3),
        lambda b, x: b.reverse(x, 2),
    ),
    Sample(
        "boolean",
        [([1, 4, 4, 8], 1)] * 2,
        lambda b, *xs: b.concat(xs, 3),
        lambda b, *xs: b.concat(xs, 3),
        [IMAGE] * 2,
    ),
]


@pytest.fixture(scope="module")
def context():
    return make_context()


def module_of(context, inputs, build):
    with context, ir.Location.unknown():
        types = [tensor(shape, i(bits)) for shape, bits in inputs]
        return mlir.module_of(types, build, ir.Location.file("model.py", 12, 1))


def reported(module, accelerator):
    try:
        Pipeline.parse(f"tosaic-check-ethos-u{{accelerator={accelerator}}}").run(module)
    except CompileError as error:
        return str(error)
    return ""


def refused(module, accelerator):
    try:
        run_vela(serialize(module), TARGETS[accelerator])
    except VelaError:
        return True
    return False


@pytest.mark.parametrize(
    "sample",
    [*SAMPLES[:3], *(pytest.param(s, marks=pytest.mark.slow) for s in SAMPLES[3:])],
    ids=lambda s: s.row,
)
def test_rows_agree_with_vela(context, sample):
    row = next(r for r in LIMITS if r.name == sample.row)
    broken = module_of(context, sample.inputs, sample.breaks)
    assert row.hint in reported(broken, "u55")
    assert "model.py:12" in reported(broken, "u55")
    assert refused(broken, "u55")
    assert bool(reported(broken, "u85")) == refused(broken, "u85") == ("u85" in row.accelerators)
    within = module_of(context, sample.within_inputs or sample.inputs, sample.within)
    assert not reported(within, "u55")
    assert not refused(within, "u55")


def test_every_problem_is_reported(context):
    def build(b, x):
        y = conv((5, 5), (4, 4), (1, 0, 1, 0))(b, x)
        return conv((1, 1), (5, 5), (0, 2, 0, 2))(b, y)

    text = reported(module_of(context, [IMAGE], build), "u55")
    assert "stride 4x4 with padding" in text and "stride 5x5 with padding" in text


def test_unequal_integer_factors(context):
    def build(b, x, y, factor=3):
        x = b.rescale(x, i(32), [7 << 16], [16])
        y = b.rescale(y, i(32), [factor << 16], [16])
        return b.rescale(b.add(x, y), i(8), [1 << 30], [32])

    wrong = module_of(context, [IMAGE] * 2, build)
    equal = module_of(context, [IMAGE] * 2, lambda b, x, y: build(b, x, y, 7))
    assert "would be wrong" in reported(wrong, "u55")
    assert not reported(equal, "u55") and not reported(wrong, "u85")


def test_rows_are_distinct_and_whole():
    assert len({row.name for row in LIMITS}) == len(LIMITS)
    assert all(row.takes and row.hint.endswith(".") for row in LIMITS)
