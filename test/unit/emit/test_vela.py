"""Vela: cycles by source line, refusals by op, and the target tables against Vela itself."""

import numpy as np
import pytest

from support import mlir
from tosaic.backends.ethos_u.vela import VelaError, compile_module, run_vela
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.builder import Builder, i32_attr
from tosaic.dialects.types import i, tensor
from tosaic.emit import serialize
from tosaic.errors import InputError, ToolError
from tosaic.reports import cycles_by_operator, cycles_by_site, format_cycles
from tosaic.targets import target

U55, U85 = target("ethos-u55-128"), target("ethos-u85-256")


@pytest.fixture(scope="module")
def context():
    return make_context()


def module_of(context, inputs, build):
    """`build(at, *args)` makes the body; `at(name, line)` returns a Builder at model.py:line."""

    def body(b, *args):
        def at(name="op", line=1):
            return Builder(ir.Location.name(name, ir.Location.file("model.py", line, 1)), b.ip)

        return build(at, *args)

    with context, ir.Location.unknown():
        return mlir.module_of([tensor(shape, i(bits)) for shape, bits in inputs], body)


def conv(b, x, channels):
    w = np.random.default_rng(0).integers(-127, 128, (channels, 3, 3, 8))
    y = b.conv2d(x, b.const(w, i(8)), b.const(np.zeros(channels), i(32)), pad=(1, 1, 1, 1))
    return b.rescale(y, i(8), [1 << 30], [40])


def two_convs(at, x):
    y = at("first", 10).clamp(conv(at("first", 10), x, 8), 0, 127)
    return conv(at("second", 20), y, 16)


def test_cycles_name_the_users_lines(context, tmp_path):
    module = module_of(context, [([1, 16, 16, 8], 8)], two_convs)
    result = compile_module(module, U55, output_dir=tmp_path)
    assert result.cycles_total >= sum(layer.cycles for layer in result.layers) > 0
    assert result.macs == 16 * 16 * 9 * 8 * (8 + 16)
    assert result.sram_kib > 0 and result.flash_kib > 0 and result.data[:2] == b"PK"
    sites = {site.line: site.name for site in cycles_by_site(result)}
    assert sites == {10: "first", 20: "second"}
    assert cycles_by_operator(result)["Conv2D"][1] == 2
    assert {p.name for p in result.paths} == {p.name for p in tmp_path.iterdir()} != set()
    report = format_cycles(result)
    assert "'second' at model.py:20" in report and "Conv2D" in report


def test_in_this_process_it_says_the_same(context):
    data = serialize(module_of(context, [([1, 16, 16, 8], 8)], two_convs), target=U55)
    apart, here = (run_vela(data, U55, in_process=here) for here in (False, True))
    assert here.layers == apart.layers and here.cycles_total == apart.cycles_total
    assert (here.flash_kib, here.sram_kib) == (apart.flash_kib, apart.sram_kib)
    reasons = []
    for in_process in (False, True):
        with pytest.raises(VelaError) as error:
            run_vela(data[:200], U55, in_process=in_process)
        reasons.append(error.value.reason)
    assert reasons[0] == reasons[1] and "Failed to load TOSA model" in reasons[0]


def test_targets_differ(context):
    module = module_of(context, [([1, 16, 16, 8], 8)], two_convs)
    assert run_vela(serialize(module), target("ethos-u65-512")).cycles_npu > 0
    small = compile_module(module, target("ethos-u55-32")).cycles_npu
    assert compile_module(module, target("ethos-u55-256")).cycles_npu < small


def test_a_refusal_names_the_op(context):
    def build(at, x, y):
        s = at("sum", 3).add(x, y)
        c = at("larger", 5).compare("tosa.greater", s, y)
        d = at("same", 6).compare("tosa.equal", x, y)
        return at("both", 7).binary("tosa.logical_and", c, d)

    module = module_of(context, [([1, 4], 32), ([1, 4], 32)], build)
    with pytest.raises(ToolError) as info:
        compile_module(module, U55)
    text = str(info.value)
    assert "ethos-u55-128 cannot run 3 ops" in text and "Traceback" not in text
    assert "'larger' at model.py:5: tosa.greater (tensor<1x4xi32>" in text
    assert "'same' at model.py:6" in text and "'sum'" not in text
    assert compile_module(module, U85).cycles_total > 0


def test_wrong_use():
    with pytest.raises(InputError, match="not one"):
        run_vela(b"", target("tosa"))
    with pytest.raises(VelaError, match="cannot compile the program"):
        run_vela(b"not a flatbuffer", U55)
    with pytest.raises(VelaError, match="--no-such-flag"):
        run_vela(b"x", target("ethos-u55-128", vela_flags=["--no-such-flag"]))


def argmax(depth):
    def build(at, x):
        return at().value("tosa.argmax", [x], tensor([1, 5], i(32)), axis=i32_attr(2))

    return [([1, 5, depth], 8)], build


def compare(at, x, y):
    return at().compare("tosa.greater", x, y)


def select(at, c, x, y):
    return at().select(c, x, y)


def gather(at, x, k):
    return at().value("tosa.gather", [x, k], tensor([1, 4, 3], i(8)))


def right_shift(at, x, y):
    return at().binary("tosa.logical_right_shift", x, y)


def left_shift(at, x, y):
    return at().binary("tosa.logical_left_shift", x, y)


def product(at, x):
    return at().reduce("tosa.reduce_product", x, 1)


@pytest.mark.parametrize("device", [U55, U85], ids=lambda t: t.name)
@pytest.mark.parametrize(
    ("name", "inputs", "build"),
    [
        ("greater", [([4, 5], 32)] * 2, compare),
        ("select", [([4, 5], 1), ([4, 5], 8), ([4, 5], 8)], select),
        ("gather", [([1, 5, 3], 8), ([1, 4], 32)], gather),
        ("logical_right_shift", [([4, 5], 32)] * 2, right_shift),
        ("logical_left_shift", [([4, 5], 32)] * 2, left_shift),
        ("reduce_product", [([4, 5], 32)], product),
    ],
)
def test_operator_table_agrees_with_vela(context, device, name, inputs, build):
    data = serialize(module_of(context, inputs, build), target=device)
    if device.limits.takes(f"tosa.{name}"):
        run_vela(data, device, in_process=True)
    else:
        with pytest.raises(VelaError):
            run_vela(data, device, in_process=True)


def test_argmax_limit_agrees_with_vela(context):
    limit = U55.limits.max_argmax_depth
    run_vela(serialize(module_of(context, *argmax(limit))), U55, in_process=True)
    too_deep = serialize(module_of(context, *argmax(limit + 1)))
    with pytest.raises(VelaError, match="ArgMax"):
        run_vela(too_deep, U55, in_process=True)
    run_vela(too_deep, U85, in_process=True)
