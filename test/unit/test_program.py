"""A program as it is read off its module."""

import pytest

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit.functions import entry_function
from tosaic.emit.manifest import (
    Manifest,
    TensorInfo,
    entries_from_json,
    entries_in_json,
    entries_to_json,
)
from tosaic.errors import InputError
from tosaic.program import Program, join

KEEPS = """
tosa.variable @kept = dense<0> : tensor<2x3xi8>
func.func @step(%x: tensor<2x3xi8> {tosaic.name = "x"}) -> tensor<2x3xi8> {
  %0 = tosa.variable_read @kept : tensor<2x3xi8>
  tosa.variable_write @kept, %x : tensor<2x3xi8>
  return %0 : tensor<2x3xi8>
}
func.func @read() -> tensor<2x3xi8> {
  %0 = tosa.variable_read @kept : tensor<2x3xi8>
  return %0 : tensor<2x3xi8>
}
func.func private @part(%x: tensor<4xi8>) -> tensor<4xi8>
  attributes {tosaic.target = "cortex-m55"} {
  return %x : tensor<4xi8>
}
func.func private @helper(%x: tensor<4xi8>) -> tensor<4xi8> {
  return %x : tensor<4xi8>
}
"""
ONE = "func.func @main(%x: tensor<4xi8>) -> tensor<4xi8> { return %x : tensor<4xi8> }"


def parse(text, context=None):
    return ir.Module.parse(text, context or make_context())


def test_entries_segments_and_state():
    program = Program(parse(KEEPS))
    assert [entry.name for entry in program.entries] == ["step", "read"]
    assert program.entries[0].manifest.inputs == (TensorInfo("x", (2, 3), "int8"),)
    (segment,) = program.segments
    assert segment.function.sym_name.value == "part" and segment.target == "cortex-m55"
    (state,) = program.state
    assert state.name == "kept" and state.kept_as == "variable"
    assert state.info == TensorInfo("kept", (2, 3), "int8")


def test_an_entry_alone_keeps_what_it_may_need():
    alone = Program(Program(parse(KEEPS)).alone("read"))
    assert [entry.name for entry in alone.entries] == ["main"]
    assert alone.state[0].info.shape == (2, 3) and len(alone.segments) == 1
    assert alone.module.operation.verify()


def test_one_entry_is_not_copied():
    module = parse(ONE)
    assert Program(module).alone("main") is module
    assert Program(module).segments == Program(module).state == ()


def test_joined_programs_share_their_state():
    context = make_context()
    whole = Program(parse(KEEPS, context))
    parts = {name: whole.alone(name) for name in ("step", "read")}
    joined = Program(join(parts))
    assert [entry.name for entry in joined.entries] == ["step", "read"]
    assert len(joined.state) == 1 and len(joined.segments) == 1
    assert joined.module.operation.verify()


def test_a_module_without_one_entry_is_refused():
    assert entry_function(parse(ONE)).sym_name.value == "main"
    with pytest.raises(InputError, match=r"needs one entry function.*step, read"):
        entry_function(parse(KEEPS))


def test_manifests_of_entries_survive_json():
    manifests = {entry.name: entry.manifest for entry in Program(parse(KEEPS)).entries}
    text = entries_to_json(manifests)
    assert entries_from_json(text) == manifests
    assert entries_in_json(text) == ("step", "read")
    one = Manifest.from_module(parse(ONE)).to_json()
    assert entries_in_json(one) == () and entries_from_json(one) == {}
