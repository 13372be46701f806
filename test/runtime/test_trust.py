"""The runtime's library against malformed models, and what it may not contain."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import serialize
from tosaic.errors import ToolError
from tosaic.runtime import Model
from tosaic.runtime.library import build, library_path

sys.path.insert(0, str(Path(__file__).parent))
from programs import COUNTER
from seeds import write_seeds

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
