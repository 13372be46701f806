"""The runtime's library against malformed models, and what it may not contain."""

import subprocess

import numpy as np
import pytest
from programs import CHAIN, CONSTANT_SLICE, COUNTER, WIDEN
from seeds import write_seeds

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import serialize
from tosaic.errors import ToolError
from tosaic.runtime import Model
from tosaic.runtime.library import build, library_path

# What a freestanding C library has, and what the dynamic linker adds.
MAY_CALL = {"memcmp", "memcpy", "memmove", "memset", "strncmp"}
MATHEMATICS = {"ceilf", "cosf", "erff", "expf", "floorf", "logf", "powf", "rintf", "sinf", "tanhf"}
MATHEMATICS |= {"sincosf"}  # what the compiler makes of the two
OF_THE_LINKER = {
    "_ITM_deregisterTMCloneTable",
    "_ITM_registerTMCloneTable",
    "__cxa_finalize",
    "__gmon_start__",
}
OF_THE_COMPILER = {"completed.0", "__dso_handle", "__TMC_END__"}  # in every shared library
MUTATIONS = 200


@pytest.fixture(scope="module")
def counter():
    return serialize(ir.Module.parse(COUNTER, make_context()), locations=False)


def symbols():
    """Name and section of each of the library's symbols."""
    nm = ["nm", "--format=sysv", str(library_path())]
    lines = subprocess.run(nm, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split("|") for line in lines if line.count("|") == 6]
    return [(row[0].strip().split("@")[0], row[6].strip()) for row in rows[1:]]


def test_nothing_is_called_that_could_allocate():
    called = {name for name, section in symbols() if section == "*UND*"}
    assert called - OF_THE_LINKER <= MAY_CALL | MATHEMATICS
    assert "memcpy" in called


def test_there_is_no_variable_outside_of_the_arena():
    written = {name for name, section in symbols() if section in (".bss", ".data")}
    assert written == OF_THE_COMPILER


def test_mutated_models_are_clean_under_the_sanitizers(tmp_path):
    seeds = write_seeds(tmp_path)
    mutate = build("sanitize") / "runtime_mutate"
    done = subprocess.run(
        [mutate, str(MUTATIONS), *map(str, seeds)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    executions, _, ran = done.stdout.split()[:3]
    assert int(executions) == len(seeds) * (MUTATIONS + 1)
    assert int(ran) > len(seeds)  # the mutations are not so wild that all are refused


@pytest.mark.parametrize("size", [0, 4, 8, 100])
def test_a_truncated_model_is_refused(counter, size):
    with pytest.raises(ToolError, match=r"cannot load the program: not a TOSA 1\.x flatbuffer"):
        Model(counter[:size])


def test_a_plan_of_another_model_is_refused(counter):
    plan = np.array([0x4E4C5054, 1, 0, 1, 64, 0], np.uint32).tobytes()
    for wrong in (b"", b"no plan", plan):
        with pytest.raises(ToolError, match="the memory plan does not belong to the model"):
            Model(counter, wrong)


def test_a_plan_cannot_take_a_shift_from_where_there_is_no_memory():
    model = serialize(ir.Module.parse(CHAIN, make_context()), locations=False)
    plan = np.frombuffer(Model(model).plan(), np.uint16).copy()
    assert Model(model, plan.tobytes()).run([np.array([7], np.int32)])[0] == 49
    # Its operands end: x, a (of the first cast); a, b; b, b, shift, result.
    a, shift = -7, -2
    assert plan[a] == plan[-6] != plan[shift]
    plan[shift] = plan[a]  # which never exists outside of the chain
    with pytest.raises(ToolError, match="the memory plan does not belong to the model"):
        Model(model, plan.tobytes())


def test_a_plan_cannot_have_an_operator_of_other_types():
    data = serialize(ir.Module.parse(WIDEN, make_context()), locations=False)
    plan = bytearray(Model(data).plan())
    at = plan.index(bytes([3, 255, 5]))  # in the operator's key: int8, any second input, int32
    plan[at] = 4  # the cast of int16, which would read twice the bytes that there are
    with pytest.raises(ToolError, match="the memory plan does not belong to the model"):
        Model(data, bytes(plan))


def test_a_plan_cannot_merge_or_chain_what_does_not_fit():
    model = serialize(ir.Module.parse(CHAIN, make_context()), locations=False)
    plan = Model(model).plan()
    # The chain's first node: operator 0, nothing merged, two nodes behind it, one input and output.
    at = plan.index(bytes([0, 0, 0, 2, 1, 0, 1, 0]))
    for field, value in ((2, 1), (2, 3), (3, 1), (3, 3), (3, 255)):
        damaged = bytearray(plan)
        damaged[at + field] = value
        with pytest.raises(ToolError, match="the memory plan does not belong to the model"):
            Model(model, bytes(damaged))


def test_a_plan_cannot_make_a_slice_write_a_constant():
    data = serialize(ir.Module.parse(CONSTANT_SLICE, make_context()), locations=False)
    plan = np.frombuffer(Model(data).plan(), np.uint16).copy()
    # Its operands end: c, start, size, slice; x, slice, result; and one for an even number.
    start, size = -7, -6
    assert plan[start] != plan[size]
    plan[start] = plan[size]  # the slice is said to begin at 2
    model = Model(data, plan.tobytes())
    model.run([np.zeros(2, np.int8)])
    assert model._flatbuffer.tobytes() == data
