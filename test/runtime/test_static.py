"""What compilers and clang-tidy say about the runtime without running it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tosaic.runtime.library import build

TOP = Path(__file__).parents[2]
BOARDS = ("cortex-m55", "cortex-m33", "cortex-m7", "cortex-m4")
MOST_STACK = 400  # bytes of one function
MOST_STACK_OF = {"run_chain": 2000}  # six pieces of 64 elements between the operators of a chain

pytestmark = pytest.mark.slow


@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs gcc-arm-none-eabi")
@pytest.mark.parametrize("board", BOARDS)
def test_no_function_takes_more_stack_than_it_may(board):
    functions = [
        line.split("\t")
        for path in (build(f"{board}-float") / "CMakeFiles/tosaic_runtime.dir").rglob("*.su")
        for line in path.read_text().splitlines()
    ]
    assert len(functions) > 300
    for name, size, kind in functions:
        most = next((m for part, m in MOST_STACK_OF.items() if part in name), MOST_STACK)
        assert int(size) <= most, f"{name} takes {size} bytes"
        assert kind == "static", f"{name} takes {kind} stack"


@pytest.mark.skipif(shutil.which("run-clang-tidy") is None, reason="needs clang-tidy")
def test_clang_tidy_finds_nothing():
    done = subprocess.run(["make", "tidy"], cwd=TOP, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if "error:" in line or "warning:" in line]
    assert found == [] and done.returncode == 0, done.stdout[-2000:]
