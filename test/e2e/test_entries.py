"""Programs with several entries: an encoder and a decoder that share an embedding."""

import subprocess
from functools import cache
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.dialects.bindings import make_context
from tosaic.emit import deserialize
from tosaic.errors import InputError
from tosaic.executors.qemu import BOARDS, QemuExecutor
from tosaic.program import Program
from tosaic.quantizer import QuantRecipe
from tosaic.runtime import Model
from tosaic.runtime.library import build

ROOT = Path(__file__).parents[2]
needs_board = pytest.mark.skipif(
    any(which(tool) is None for tool in ("qemu-system-arm", "arm-none-eabi-gcc", "cmake")),
    reason="needs apt packages qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi "
    "libstdc++-arm-none-eabi-newlib and cmake",
)
TABLE = 64 * 16  # elements of the embedding
TARGETS = ("tosa-1.0-int", "cortex-m55", "ethos-u55-128", "ethos-u85-256")


class Encoder(nn.Module):
    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding
        self.body = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, ids):
        return self.body(self.embedding(ids)).mean(1)


class Decoder(nn.Module):
    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding
        self.body = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, ids, context):
        return self.body(self.embedding(ids) + context.unsqueeze(1))


class Joined(nn.Module):
    """Reads the shared table together with a tensor of a far larger range."""

    def __init__(self, embedding):
        super().__init__()
        self.embedding = embedding

    def forward(self, ids, context):
        return torch.cat([self.embedding(ids), context], 1)


@cache
def models():
    torch.manual_seed(0)
    embedding = nn.Embedding(64, 16)
    return {"encode": Encoder(embedding).eval(), "decode": Decoder(embedding).eval()}


@cache
def data():
    """Inputs by entry: the decoder's contexts are what the encoder gives."""
    generator = torch.Generator().manual_seed(1)
    encoder = models()["encode"]
    encode = [(torch.randint(0, 64, (1, 8), generator=generator),) for _ in range(96)]
    with torch.no_grad():
        decode = [(torch.randint(0, 64, (1, 4), generator=generator), encoder(*x)) for x in encode]
    return {"encode": encode, "decode": decode}


@cache
def program(target):
    given = {name: (model, data()[name][0]) for name, model in models().items()}
    calibration = {name: items[:64] for name, items in data().items()}
    return tosaic.compile(given, target=target, quantize="int8", calibration=calibration)


def sqnr(expected, found):
    expected, found = np.concatenate(expected), np.concatenate(found)
    return 10 * np.log10(expected.var() / ((expected - found) ** 2).mean())


@pytest.mark.parametrize("target", TARGETS)
def test_each_entry_is_right(target):
    compiled = program(target)
    assert compiled.entries == ("encode", "decode")
    for name, model in models().items():
        held_out = data()[name][64:]
        with torch.no_grad():
            expected = [model(*inputs).numpy() for inputs in held_out]
        found = [compiled.run(*inputs, entry=name)[0] for inputs in held_out]
        assert sqnr(expected, found) > 25
        for executor in ("reference", "runtime"):
            for inputs, jit in zip(held_out[:3], found, strict=False):
                (other,) = compiled.run(*inputs, entry=name, executor=executor)
                np.testing.assert_array_equal(other, jit)


@pytest.mark.parametrize("target", TARGETS)
def test_an_entry_is_what_the_model_alone_compiles_to(target):
    for name, model in models().items():
        alone = tosaic.compile(
            model,
            data()[name][0],
            target=target,
            quantize="int8",
            calibration=data()[name][:64],
        )
        part = program(target).entry(name)
        assert alone.entries == ("main",)
        assert part.manifest == alone.manifest
        assert part.report.operators == alone.report.operators
        assert part.flatbuffer == alone.flatbuffer
        if target.startswith("ethos"):
            assert part.report.vela.cycles_total == alone.report.vela.cycles_total > 0
            assert program(target).report.vela is None
        if target.startswith("cortex"):
            assert part.firmware == alone.firmware


def constants(module):
    found = {}
    for entry in Program(module).entries:
        values = [op.operation for op in entry.function.entry_block.operations]
        values = [op.attributes["values"] for op in values if op.name == "tosa.const"]
        found[entry.name] = [v for v in values if len(v) == TABLE]
    return found


def test_the_shared_table_has_the_same_integers():
    tables = constants(program("tosa-1.0-int").module)
    assert [len(found) for found in tables.values()] == [1, 1]
    # MLIR has one attribute for both: in memory the table is there once.
    assert tables["encode"] == tables["decode"]


def test_the_module_is_the_program():
    whole = Program(program("cortex-m55").module)
    assert [entry.name for entry in whole.entries] == ["encode", "decode"]
    assert whole.entries[1].manifest.held.inputs[0].name == "ids"
    assert whole.segments == () and whole.state == ()
    for entry in whole.entries:
        alone = whole.alone(entry.name)
        assert [e.name for e in Program(alone).entries] == ["main"]
        ours = deserialize(program("cortex-m55").entry(entry.name).flatbuffer, make_context())
        assert str(ours).count("tosa.conv2d") == str(alone).count("tosa.conv2d") == 2


def firmware(tmp_path):
    program("cortex-m55").save(tmp_path, name="net")
    weights = (tmp_path / "net.weights").read_bytes()
    return weights, {name: (tmp_path / f"net_{name}.plan").read_bytes() for name in models()}


def test_cortex_m_has_weights_once_and_one_arena(tmp_path):
    compiled = program("cortex-m55")
    weights, plans = firmware(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {
        *("net_encode.tosa", "net_decode.tosa", "net.json", "net.mlir", "net.h", "net.weights"),
        *("net_encode.plan", "net_decode.plan"),
    }
    table = next(iter(constants(compiled.module)["encode"]))
    assert weights.count(np.array(table).tobytes()) == 1
    tables = sum(np.array(table).nbytes for table in [table] * 2)
    assert len(weights) < sum(len(compiled.entry(n).flatbuffer) for n in plans) - tables / 2
    for name, plan in plans.items():
        shared = Model(weights, plan, kernels="mve")
        inputs = compiled.entry(name).manifest
        stored = [
            array if info.dtype == "int32" else tosaic.emit.quantize(info, array)
            for info, array in zip(inputs.inputs, held_out(name), strict=True)
        ]
        (expected,) = compiled.entry(name).executor("runtime").run(stored)
        np.testing.assert_array_equal(shared.run(stored)[0], expected)
    header = (tmp_path / "net.h").read_text()
    arenas = [compiled.entry(name).firmware.arena_bytes for name in plans]
    assert f"#define NET_ARENA_BYTES {max(arenas)}\n" in header
    assert f"#define NET_MODEL_BYTES {len(weights)}\n" in header
    assert f"#define NET_ENCODE_ARENA_BYTES {arenas[0]}\n" in header
    assert "NET_DECODE_INPUT_1_SCALE" in header and "net_encode_operators" in header


def held_out(name):
    inputs = data()[name][70]
    return [x.to(torch.int32).numpy() if not x.is_floating_point() else x.numpy() for x in inputs]


def test_a_damaged_or_foreign_plan_does_not_load(tmp_path):
    weights, plans = firmware(tmp_path)
    with pytest.raises(tosaic.TosaicError):
        Model(weights[:-16], plans["encode"])
    with pytest.raises(tosaic.TosaicError):
        Model(program("cortex-m55").entry("encode").flatbuffer, plans["encode"])


FIRMWARE = """
#include <string.h>
#include "net.h"
#include "semihosting.h"

extern const uint8_t net_weights[], encode_plan[], decode_plan[];
static _Alignas(TOSAIC_ALIGNMENT) uint8_t arena[NET_ARENA_BYTES];
_Static_assert(NET_ARENA_BYTES >= NET_ENCODE_ARENA_BYTES, "");
_Static_assert(NET_ARENA_BYTES >= NET_DECODE_ARENA_BYTES, "");

static tosaic_model *ready(const uint8_t *plan, size_t size, const tosaic_operator_table *table) {
  const tosaic_config config = {.model = net_weights, .model_size = NET_MODEL_BYTES, .plan = plan,
                                .plan_size = size, .arena = arena, .arena_size = sizeof(arena),
                                .operators = table};
  tosaic_model *model;
  const tosaic_status status = tosaic_model_init_planned(&config, &model);
  if (status != TOSAIC_OK) semihosting_exit((int)status);
  return model;
}

static void give(tosaic_model *model, size_t index, const char *path) {
  const tosaic_tensor *input = tosaic_model_input(model, index);
  semihosting_read(path, input->data, input->bytes);
}

static void take(tosaic_model *model, const char *path) {
  const tosaic_status status = tosaic_model_invoke(model);
  if (status != TOSAIC_OK) semihosting_exit((int)status);
  const tosaic_tensor *output = tosaic_model_output(model, 0);
  const int32_t handle = semihosting_create(path);
  semihosting_write(handle, output->data, output->bytes);
  semihosting_close(handle);
}

int main(void) {
  for (int turn = 0; turn < 2; turn++) { /* one arena: each entry is made ready again */
    tosaic_model *model = ready(encode_plan, NET_ENCODE_PLAN_BYTES, &net_encode_operators);
    give(model, 0, "encode_0");
    take(model, "encode_out");
    model = ready(decode_plan, NET_DECODE_PLAN_BYTES, &net_decode_operators);
    give(model, 0, "decode_0");
    give(model, 1, "encode_out");
    take(model, "decode_out");
  }
  return 0;
}
"""
DATA = """
.section .rodata
.global net_weights, encode_plan, decode_plan
.balign 16
net_weights: .incbin "net.weights"
.balign 16
encode_plan: .incbin "net_encode.plan"
.balign 16
decode_plan: .incbin "net_decode.plan"
"""


@needs_board
def test_firmware_has_both_entries_in_one_arena(tmp_path):
    """On the board the encoder's output is the decoder's input, as integers of one scale."""
    firmware(tmp_path)
    (tmp_path / "main.c").write_text(FIRMWARE)
    (tmp_path / "data.S").write_text(DATA)
    compiled = program("cortex-m55")
    (ids,), (more, _) = held_out("encode"), held_out("decode")
    ids.tofile(tmp_path / "encode_0")
    more.tofile(tmp_path / "decode_0")

    built, boards = build("cortex-m55"), ROOT / "runtime" / "boards"
    include = [f"-I{boards}", f"-I{ROOT / 'runtime' / 'include'}"]
    machine = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-Wall", "-Wextra", "-Werror"]
    link = ["-nostartfiles", "-specs=nano.specs", f"-L{boards}", f"-T{boards}/mps3_an547/link.ld"]
    sources = ["main.c", "data.S", boards / "startup.c", boards / "semihosting.c"]
    command = ["arm-none-eabi-gcc", *machine, *include, *link, *sources]
    command += [built / "libtosaic_runtime.a", "-o", "net.elf"]
    subprocess.run(command, cwd=tmp_path, check=True)
    qemu = ["qemu-system-arm", "-M", "mps3-an547", "-kernel", "net.elf", "-display", "none"]
    qemu += ["-serial", "none", "-monitor", "none"]
    qemu += ["-semihosting-config", "enable=on,target=native"]
    subprocess.run(qemu, cwd=tmp_path, check=True, timeout=300)

    (context,) = compiled.entry("encode").executor("reference").run([ids])
    (expected,) = compiled.entry("decode").executor("reference").run([more, context])
    found = np.fromfile(tmp_path / "decode_out", np.int8).reshape(expected.shape)
    np.testing.assert_array_equal(found, expected)


@needs_board
@pytest.mark.parametrize("shared", [False, True], ids=["flatbuffer", "weights"])
def test_a_board_computes_the_same(tmp_path, shared):
    compiled = program("cortex-m55")
    weights, plans = firmware(tmp_path)
    for name, plan in plans.items():
        part = compiled.entry(name)
        stored = [
            array if info.dtype == "int32" else tosaic.emit.quantize(info, array)
            for info, array in zip(part.manifest.inputs, held_out(name), strict=True)
        ]
        board = QemuExecutor(part.module, board=BOARDS["qemu-cortex-m55"])
        if shared:  # what firmware has: the runner reads model and plan of any kind
            board._program, board.plan = weights, plan
        (expected,) = part.executor("jit").run(stored)
        np.testing.assert_array_equal(board.run(stored)[0], expected)
        assert board.measurement.arena_bytes == part.firmware.arena_bytes


def test_shapes_of_one_model_are_entries():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).eval()
    sizes = {"small": 8, "large": 12}
    compiled = tosaic.compile(
        {name: (model, (torch.zeros(1, 3, n, n),)) for name, n in sizes.items()},
        target="cortex-m55",
        quantize="int8",
        calibration={name: [torch.randn(1, 3, n, n)] * 2 for name, n in sizes.items()},
        io_layout="nhwc",
    )
    shapes = [compiled.entry(name).manifest.inputs[0].shape for name in sizes]
    assert shapes == [(1, 8, 8, 3), (1, 12, 12, 3)]
    files = compiled.artifacts.files("net")
    apart = [compiled.entry(name).firmware.model_bytes for name in sizes]
    assert len(files["net.weights"]) < max(apart)


def test_sizes_of_one_dynamic_model_are_entries():
    batch = torch.export.Dim("batch", min=1, max=8)
    model = nn.Linear(4, 3).eval()
    exported = torch.export.export(model, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    given = {"one": exported, "many": exported}
    with pytest.raises(InputError, match=r"dynamic dims: one/input\.0 \(1 to 8\), many/input\.0"):
        tosaic.compile(given, target="tosa")
    with pytest.raises(tosaic.CompileError, match="no function 'two'; there are many, one"):
        tosaic.compile(given, target="tosa", dims={"two/input.0": 1})
    compiled = tosaic.compile(given, target="tosa", dims={"one/input.0": 1, "many/input.0": 6})
    for name, size in (("one", 1), ("many", 6)):
        x = torch.randn(size, 4)
        with torch.no_grad():
            expected = model(x).numpy()
        np.testing.assert_allclose(compiled.run(x, entry=name)[0], expected, rtol=1e-5, atol=1e-6)


def test_an_entry_may_stay_float():
    x = torch.randn(1, 4)
    given = {"a": (nn.Linear(4, 4).eval(), (x,)), "b": (nn.Linear(4, 2).eval(), (x,))}
    compiled = tosaic.compile(
        given, target="tosa", quantize={"a": "int8"}, calibration={"a": [x, -x]}
    )
    assert compiled.entry("a").manifest.inputs[0].dtype == "int8"
    assert compiled.entry("b").manifest.inputs[0].dtype == "float32"
    with torch.no_grad():
        expected = given["b"][0](x).numpy()
    np.testing.assert_allclose(compiled.run(x, entry="b")[0], expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match=r"computes in integers only and entry 'b' is float"):
        tosaic.compile(given, quantize={"a": "int8"}, calibration={"a": [x]})


def test_entries_must_agree_about_a_shared_weight():
    torch.manual_seed(3)
    embedding = nn.Embedding(64, 16)
    ids, context = torch.arange(4).unsqueeze(0), 40 * torch.randn(1, 4, 16)
    given = {
        "encode": (Encoder(embedding).eval(), (ids,)),
        "join": (Joined(embedding).eval(), (ids, context)),
    }
    calibration = {"encode": [(ids,)], "join": [(ids, context)]}
    with pytest.raises(InputError, match=r"(?s)'encode' and 'join' share the weight 'embedding"):
        tosaic.compile(given, quantize="int8", calibration=calibration)
    calibration["join"] = [(ids, context / 1000)]
    tosaic.compile(given, quantize="int8", calibration=calibration)


def test_a_recipe_that_moves_scales_is_told():
    torch.manual_seed(4)
    shared = nn.Linear(16, 16)
    x = torch.randn(1, 4, 16)
    given = {
        "a": (nn.Sequential(nn.LayerNorm(16), shared).eval(), (x,)),
        "b": (nn.Sequential(nn.LayerNorm(16), shared).eval(), (x,)),
    }
    spread = torch.logspace(-2, 2, 16)
    given["a"][0][0].weight.data *= spread
    calibration = {"a": [x] * 4, "b": [x] * 4}
    tosaic.compile(given, quantize="int8", calibration=calibration)
    before = shared.weight.detach().clone()
    recipe = QuantRecipe(migration=True)
    with pytest.raises(InputError, match="share the weight"):
        tosaic.compile(given, quantize=recipe, calibration=calibration)
    assert torch.equal(shared.weight, before)


X = torch.zeros(1, 4)
LINEAR = nn.Linear(4, 4).eval()


@pytest.mark.parametrize(
    ("models", "arguments", "said"),
    [
        ({}, {}, "There is no entry to compile: the dict is empty"),
        ({"a b": (LINEAR, (X,))}, {}, "'a b' cannot be the name of an entry"),
        ({"1": (LINEAR, (X,))}, {}, "a letter first"),
        ({1: (LINEAR, (X,))}, {}, "'1' cannot be the name of an entry"),
        ({"a": (LINEAR, (X,)), "A": (LINEAR, (X,))}, {}, "differ in case only"),
        ({"a": (X, LINEAR)}, {}, "Entry 'a' must be a model or"),
        ({"a": 3}, {}, "Entry 'a' must be a model or .* got int"),
        ({"a": (LINEAR, (X,))}, {"example_inputs": (X,)}, "without example_inputs"),
        (
            {"a": (LINEAR, (X,)), "b": (LINEAR, (X,))},
            {"quantize": "int8", "calibration": {"a": [X]}},
            "Entry 'b' is to be quantised and has no calibration data",
        ),
        (
            {"a": (LINEAR, (X,))},
            {"quantize": "int8", "calibration": [X]},
            "each is calibrated on data of its own",
        ),
        (
            {"a": (LINEAR, (X,))},
            {"quantize": "int8", "calibration": {"a": [X], "c": [X]}},
            "calibration has 'c', which is no entry",
        ),
        ({"a": (LINEAR, (X,))}, {"quantize": {"c": "int8"}}, "quantize has 'c'"),
    ],
)
def test_bad_dicts_are_explained(models, arguments, said):
    with pytest.raises(InputError, match=f"(?s){said}"):
        tosaic.compile(models, **arguments)


def test_an_entry_has_to_be_chosen():
    compiled = program("tosa-1.0-int")
    for use in (lambda: compiled.flatbuffer, lambda: compiled.manifest, lambda: compiled.run(X)):
        with pytest.raises(InputError, match=r"has the entries encode, decode\. Choose one"):
            use()
    with pytest.raises(InputError, match=r"no entry 'encod'\. Did you mean encode"):
        compiled.run(X, entry="encod")
