"""Flatbuffers, manifests, outlining and files."""

import errno
import os

import numpy as np
import pytest
from tosa.TosaGraph import TosaGraph

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import (
    Manifest,
    TensorInfo,
    dequantize,
    deserialize,
    outline_op,
    quantize,
    serialize,
    validate,
    write_bytes,
    write_text,
)
from tosaic.emit.flatbuffer import sites_by_tensor
from tosaic.emit.functions import entry_function
from tosaic.errors import CompileError, InputError, ToolError
from tosaic.targets import target

QTYPE = "!quant.uniform<i8:f32, 0.5:3>"
CONV = """
module {
  func.func @main(%x: tensor<1x4x4x3xi8> {tosaic.name = "image", tosaic.qtype = QTYPE})
      -> (tensor<1x4x4x2xi8> {tosaic.name = "scores"}) attributes {tosaic.kept = 1 : i32} {
    %w = "tosa.const"() <{values = dense<1> : tensor<2x1x1x3xi8>}> : () -> tensor<2x1x1x3xi8>
    %b = "tosa.const"() <{values = dense<0> : tensor<2xi32>}> : () -> tensor<2xi32>
    %z = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
    %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, pad = array<i64: 0, 0, 0, 0>,
      stride = array<i64: 1, 1>, dilation = array<i64: 1, 1>, tosaic.note = "x"} :
      (tensor<1x4x4x3xi8>, tensor<2x1x1x3xi8>, tensor<2xi32>, tensor<1xi8>, tensor<1xi8>)
      -> tensor<1x4x4x2xi32> loc("conv"("model.py":10:3))
    %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
    %s = "tosa.const"() <{values = dense<32> : tensor<1xi8>}> : () -> tensor<1xi8>
    %z32 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
    %1 = tosa.rescale %0, %m, %s, %z32, %z {scale32 = true, rounding_mode = SINGLE_ROUND,
      per_channel = false, input_unsigned = false, output_unsigned = false} :
      (tensor<1x4x4x2xi32>, tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>)
      -> tensor<1x4x4x2xi8> loc("narrow"("model.py":11:3))
    return %1 : tensor<1x4x4x2xi8>
  }
}
""".replace("QTYPE", QTYPE)


@pytest.fixture(scope="module")
def context():
    return make_context()


@pytest.fixture
def conv(context):
    return ir.Module.parse(CONV, context)


def op_named(module, name):
    ops = entry_function(module).entry_block.operations
    return next(op.operation for op in ops if op.operation.name == name)


def test_serialize_keeps_names_and_the_module(conv):
    before = str(conv)
    data = serialize(conv)
    assert str(conv) == before
    block = TosaGraph.GetRootAs(data, 0).Regions(0).Blocks(0)
    assert (block.Inputs(0), block.Outputs(0)) == (b"image", b"scores")
    assert b"tosaic" not in data and b"quant" not in data
    assert serialize(conv) == data


def test_serialize_without_names_and_locations(conv):
    data = serialize(conv, names=False, locations=False)
    assert b"image" not in data and b"model.py" not in data
    assert sites_by_tensor(data)["TosaOutput_0"][0] == "RESCALE"


def test_version_is_the_targets(context, conv):
    def version(**options):
        found = TosaGraph.GetRootAs(serialize(conv, **options), 0).Version()
        return found._Major(), found._Minor()

    assert version() == (1, 0)
    assert version(target=target("ethos-u55-128")) == (1, 0)
    assert version(target=target("tosa", tosa_version="1.1.draft")) == (1, 1)


def test_sites_come_back_from_the_flatbuffer(conv):
    operator, site = sites_by_tensor(serialize(conv))["scores"]
    assert operator == "RESCALE"
    assert (site.name, site.file, site.line) == ("narrow", "model.py", 11)


def test_round_trip(context, conv):
    data = serialize(conv)
    again = deserialize(data, context)
    assert again.operation.verify()
    assert [op.operation.name for op in entry_function(again).entry_block.operations] == [
        op.operation.name for op in entry_function(conv).entry_block.operations
    ]
    names = Manifest.from_module(again)
    assert (names.inputs[0].name, names.outputs[0].name) == ("image", "scores")
    assert entry_function(again).attributes["sym_name"].value == "main"


def test_equal_names_are_told_apart(context):
    text = """func.func @main(%a: tensor<2xi8> {tosaic.name = "x"}, %b: tensor<2xi8>
        {tosaic.name = "x"}) -> (tensor<2xi8> {tosaic.name = "x"}) { return %b : tensor<2xi8> }"""
    manifest = Manifest.from_module(ir.Module.parse(text, context))
    assert [t.name for t in (*manifest.inputs, *manifest.outputs)] == ["x", "x_1", "x_2"]


def test_what_is_not_tosa_is_refused(context):
    text = """func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> {
        %0 = math.absf %a : tensor<2xf32> return %0 : tensor<2xf32> }"""
    with pytest.raises(ToolError, match="math"):
        serialize(ir.Module.parse(text, context))
    with pytest.raises(ToolError, match="tosa-opt refused"):
        deserialize(b"no flatbuffer at all, but long enough", context)
    with pytest.raises(InputError, match="one entry function"):
        serialize(ir.Module.parse("module {}", context))


def test_validate(conv):
    before = str(conv)
    validate(conv, target("ethos-u55-128"))
    with pytest.raises(CompileError, match=r"tosa-1\.0-fp") as info:
        validate(conv, target("tosa-1.0-fp"))
    where = [(d.file, d.line) for d in info.value.diagnostics]
    assert ("model.py", 10) in where and ("model.py", 11) in where
    assert str(conv) == before


def test_manifest(conv):
    manifest = Manifest.from_module(conv)
    assert manifest.inputs == (TensorInfo("image", (1, 4, 4, 3), "int8", 0.5, 3),)
    assert manifest.outputs == (TensorInfo("scores", (1, 4, 4, 2), "int8"),)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert hash(manifest)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [("i1", "bool"), ("i8", "int8"), ("ui8", "uint8"), ("i16", "int16"), ("i48", "int48"),
     ("f32", "float32"), ("bf16", "bfloat16")],
)  # fmt: skip
def test_manifest_dtypes(context, element, dtype):
    type_ = f"tensor<2x?x{element}>"
    text = f"func.func @main(%a: {type_}) -> {type_} {{ return %a : {type_} }}"
    info = Manifest.from_module(ir.Module.parse(text, context)).inputs[0]
    assert info == TensorInfo("input_0", (2, -1), dtype)


def test_bad_manifests():
    for text in ("{}", "[]", "nonsense", '{"format": 1, "inputs": [{}], "outputs": []}'):
        with pytest.raises(InputError, match="manifest"):
            Manifest.from_json(text)
    with pytest.raises(InputError, match="format 99"):
        Manifest.from_json('{"format": 99}')


def test_quantize():
    info = TensorInfo("x", (6,), "int8", 0.5, 3)
    stored = quantize(info, [0.25, 0.75, -0.25, 1e9, -1e9, 0.0])
    assert stored.dtype == np.int8
    assert stored.tolist() == [3, 5, 3, 127, -128, 3]
    assert dequantize(info, stored).tolist() == [0.0, 1.0, 0.0, 62.0, -65.5, 0.0]
    plain = TensorInfo("y", (2,), "float32")
    assert quantize(plain, [1, 2]).dtype == np.float32
    with pytest.raises(InputError, match=r"'x' has shape \[6\], got \[2\]"):
        quantize(info, [1, 2])
    with pytest.raises(InputError, match="int48"):
        quantize(TensorInfo("z", (1,), "int48"), [1])


def test_outline(conv):
    alone = outline_op(op_named(conv, "tosa.conv2d"))
    assert alone.operation.verify()
    main = entry_function(alone)
    assert [str(t) for t in main.function_type.value.inputs] == ["tensor<1x4x4x3xi8>"]
    names = [op.operation.name for op in main.entry_block.operations]
    assert names == ["tosa.const"] * 3 + ["tosa.conv2d", "func.return"]
    assert conv.operation.verify()


def test_outline_takes_what_regions_use(context):
    text = """func.func @main(%c: tensor<i1>, %x: tensor<2xi32>) -> tensor<2xi32> {
      %k = "tosa.const"() <{values = dense<7> : tensor<2xi32>}> : () -> tensor<2xi32>
      %0 = tosa.cond_if %c : tensor<i1> -> tensor<2xi32> {
        %1 = tosa.add %x, %k : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
        tosa.yield %1 : tensor<2xi32>
      } else { tosa.yield %x : tensor<2xi32> }
      return %0 : tensor<2xi32> }"""
    module = ir.Module.parse(text, context)
    alone = outline_op(op_named(module, "tosa.cond_if"))
    assert alone.operation.verify()
    assert len(entry_function(alone).function_type.value.inputs) == 2


def test_write_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "new" / "a.json"
    assert write_text(path, "ä") == path
    assert path.read_bytes() == "ä".encode()
    write_bytes(path, b"2")
    assert path.read_bytes() == b"2"
    assert os.listdir(path.parent) == ["a.json"]


def test_write_failures_keep_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_bytes(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ToolError, match=r"no space left.*Nothing was left half written"):
        write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]
    with pytest.raises(InputError, match="Cannot write"):
        write_bytes(path / "below_a_file", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        write_bytes(tmp_path / "folder", b"")
