"""TOSA's own generated tests with the embedded runtime as the system under test.

    python test/conformance/conformance.py [OPERATOR ...] [--folder DIR] [--shape 1,5,4,3 ...]

tosa-tools' generator makes the tests (profile INT with int16, int4, DOUBLE_ROUND and control flow),
and its reference model the answers. The table counts passes by operator; a failure is listed with
the test's folder. Tests that are in the folder already are used again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tosaic.errors import ToolError
from tosaic.runtime import Model

_NAMES = """
abs add argmax arithmetic_right_shift avg_pool2d bitwise_and bitwise_not bitwise_or bitwise_xor cast
clamp clz concat cond_if const conv2d conv3d depthwise_conv2d equal gather greater greater_equal
identity intdiv logical_and logical_left_shift logical_not logical_or logical_right_shift
logical_xor matmul max_pool2d maximum minimum mul negate pad reduce_all reduce_any reduce_max
reduce_min reduce_sum rescale reshape resize reverse scatter select slice sub table tile transpose
transpose_conv2d while_loop
"""
OPERATORS = _NAMES.split()
SHAPES = ("1,5,4,3", "3,4,5", "1,4,5,6,3")
_EXTENSIONS = ("int16", "int4", "doubleround", "controlflow")


@dataclass(frozen=True)
class Result:
    """One test's outcome; `problem` is empty where the runtime agrees with the reference model.

    `judged` is False where the reference model gives no answer to compare with.
    """

    operator: str
    test: Path
    problem: str = ""
    judged: bool = True


def generate(folder: Path, operator: str, shapes: Sequence[str] = SHAPES) -> None:
    """Write the positive tests of `operator` with inputs of `shapes` into `folder`."""
    tools = metadata.distribution("tosa-tools")
    library = tools.locate_file("tosa_reference_model/libtosa_reference_generate_lib.so")
    command = [
        Path(sys.executable).parent / "tosa_verif_build_tests",
        "--filter",
        _pattern(operator),
    ]
    command += ["--profile", "tosa-pro-int", "--tosa-version", "1.0", "--test-type", "positive"]
    command += ["--num-rand-permutations", "1", "--max-batch-size", "1"]
    command += ["--extension", *(f"tosa-ext-{name}" for name in _EXTENSIONS)]
    command += ["-o", folder, "--generate-lib-path", str(library)]
    for shape in shapes:
        command += ["--target-shape", shape]
    subprocess.run(command, check=True, capture_output=True)


def run(folder: Path, operator: str) -> Iterator[Result]:
    """Run the tests of `operator` in `folder`, in the order of their names."""
    for path in sorted(folder.glob("*/*/desc.json")):
        if re.match(_pattern(operator), path.parts[-3]):
            yield _run_test(operator, path.parent, json.loads(path.read_text()))


def _pattern(operator: str) -> str:
    """The generator's names have the kernel's size behind the operator, or a kind of COND_IF."""
    return f"^{operator}(_[0-9]+x.*|_binary|_const)?$"


def _run_test(operator: str, test: Path, description: dict[str, Any]) -> Result:
    wanted = [test / name for name in description["ofm_file"]]
    if not all(path.is_file() for path in wanted):
        model = metadata.distribution("tosa-tools").locate_file("bin/tosa_reference_model")
        # On a fatal error the model starts gdb if it finds one.
        done = subprocess.run(
            [model, "--test_desc=desc.json"], cwd=test, env={}, capture_output=True, check=False
        )
        if done.returncode:
            return Result(operator, test, "the reference model fails", judged=False)
    inputs = [np.load(test / name) for name in description["ifm_file"]]
    try:
        got = Model((test / description["tosa_file"]).read_bytes()).run(inputs)
    except ToolError as error:
        return Result(operator, test, str(error))
    for g, path in zip(got, wanted, strict=True):
        if not np.array_equal(g, np.load(path)):
            return Result(operator, test, f"{path.name} differs")
    return Result(operator, test)


def main() -> int:
    """Print the table; the exit code is the number of failures, at most 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("operators", nargs="*", default=OPERATORS, metavar="OPERATOR")
    parser.add_argument("--folder", type=Path, help="where the tests are kept")
    parser.add_argument("--shape", action="append", default=[], metavar="1,5,4,3")
    given = parser.parse_args()
    failures: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tosaic-") as temporary:
        folder = given.folder or Path(temporary)
        print("| operator | passed | failed | no answer to compare |\n|---|---|---|---|")
        for operator in given.operators:
            if not any(re.match(_pattern(operator), path.name) for path in folder.glob("*")):
                generate(folder, operator, given.shape or SHAPES)
            results = list(run(folder, operator))
            failed = [r for r in results if r.judged and r.problem]
            failures += failed
            unjudged = sum(not r.judged for r in results)
            passed = len(results) - len(failed) - unjudged
            print(f"| {operator} | {passed} | {len(failed)} | {unjudged} |", flush=True)
    for failure in failures:
        print(f"{failure.test}: {failure.problem}")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
