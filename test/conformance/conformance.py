"""TOSA's own generated tests with the embedded runtime as the system under test.

    python test/conformance/conformance.py [OPERATOR ...] [--profile int|fp] [--folder DIR]

tosa-tools' generator makes the tests: of profile INT with int16, int4, DOUBLE_ROUND and control
flow, and of profile FP with FFT in float32. Its reference model gives the answers. Integers must
equal them; of floats its verifier tells whether TOSA's tolerance allows them, beside answers in
float64. The table counts passes by operator; a failure is listed with the test's folder. Tests that
are in the folder already are used again.
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
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from checker.verifier import VerifierLibrary

from tosaic.errors import ToolError
from tosaic.runtime import Model

SHAPES = ("1,5,4,3", "3,4,5", "1,4,5,6,3")
LARGE_SHAPES = ("1,9,38,8", "9,10,20")
_TOOLS = metadata.distribution("tosa-tools")
_BOTH = """
abs add argmax avg_pool2d cast clamp concat const conv2d conv3d depthwise_conv2d equal gather
greater greater_equal identity matmul max_pool2d maximum minimum mul negate pad reduce_max
reduce_min reduce_sum reshape resize reverse scatter select slice sub tile transpose
transpose_conv2d
"""
_INTEGER = """
arithmetic_right_shift bitwise_and bitwise_not bitwise_or bitwise_xor clz cond_if intdiv
logical_and logical_left_shift logical_not logical_or logical_right_shift logical_xor reduce_all
reduce_any rescale table while_loop
"""
_FLOAT = """
ceil cos erf exp fft2d floor log pow reciprocal reduce_product rfft2d rsqrt sigmoid sin tanh
"""
_INT_EXTENSIONS = ("int16", "int4", "doubleround", "controlflow")


@dataclass(frozen=True)
class Profile:
    """A profile's operators, and what the generator is told beside its name.

    A test is left out where a type of `without` occurs. Operators of `large` are judged by the
    statistics of 1,000 sums, for which `SHAPES` are too small.
    """

    operators: list[str]
    options: tuple[str, ...]
    without: frozenset[str] = frozenset()
    large: frozenset[str] = frozenset()


PROFILES = {
    "int": Profile(
        sorted((_BOTH + _INTEGER).split()),
        ("--extension", *(f"tosa-ext-{name}" for name in _INT_EXTENSIONS)),
    ),
    "fp": Profile(
        sorted((_BOTH + _FLOAT).split()),
        ("--extension", "tosa-ext-fft", "--target-dtype", "fp32"),
        frozenset({"FP16"}),
        frozenset({"avg_pool2d", "matmul", "reduce_sum"}),
    ),
}


@dataclass(frozen=True)
class Result:
    """One test's outcome; `problem` is empty where the runtime agrees with the reference model.

    `judged` is False where the reference model gives no answer to compare with.
    """

    operator: str
    test: Path
    problem: str = ""
    judged: bool = True


def generate(folder: Path, operator: str, shapes: Sequence[str] = (), profile: str = "int") -> None:
    """Write the positive tests of `operator`, with inputs of `shapes` if given, into `folder`."""
    library = _TOOLS.locate_file("tosa_reference_model/libtosa_reference_generate_lib.so")
    command = [
        Path(sys.executable).parent / "tosa_verif_build_tests",
        "--filter",
        _pattern(operator),
    ]
    command += ["--profile", f"tosa-pro-{profile}", *PROFILES[profile].options]
    if (profile, operator) == ("fp", "cast"):
        command += ["--target-dtype", "int8", "int16", "int32"]
    command += ["--tosa-version", "1.0", "--test-type", "positive"]
    command += ["--num-rand-permutations", "1", "--max-batch-size", "1"]
    command += ["-o", folder, "--generate-lib-path", str(library)]
    # Without a selection, if of all, the generator leaves out its tests of special values.
    folder.mkdir(parents=True, exist_ok=True)
    selection = folder / "selection.json"
    selection.write_text("{}")
    command += ["--test-selection-config", selection]
    usual = LARGE_SHAPES if operator in PROFILES[profile].large else SHAPES
    if operator == "pad":  # 4 to the power of the rank, in each type
        usual = SHAPES[:2]
    for shape in shapes or usual:
        command += ["--target-shape", shape]
    subprocess.run(command, check=True, capture_output=True)


def run(folder: Path, operator: str, profile: str = "int") -> Iterator[Result]:
    """Run the tests of `operator` in `folder`, in the order of their names."""
    without = PROFILES[profile].without
    for path in sorted(folder.glob("*/*/desc.json")):
        if re.match(_pattern(operator), path.parts[-3]):
            description = json.loads(path.read_text())
            if without.isdisjoint(_types(description)):
                yield _run_test(operator, path.parent, description, precise=profile == "fp")


def _pattern(operator: str) -> str:
    """The generator's names have the kernel's size behind the operator, or a kind of COND_IF."""
    return f"^{operator}(_[0-9]+x.*|_binary|_const)?$"


def _types(description: dict[str, Any]) -> set[str]:
    """Return the types of inputs and outputs."""
    return {
        tensor["data_type"]
        for part in ("data_gen", "compliance")
        for tensor in description["meta"].get(part, {}).get("tensors", {}).values()
    }


def _run_test(operator: str, test: Path, description: dict[str, Any], *, precise: bool) -> Result:
    wanted = [test / name for name in description["ofm_file"]]
    if not all(path.is_file() for path in wanted):
        # In float64, and with bounds for the verifier, where the mode is precise. On a fatal error
        # the model starts gdb if it finds one.
        done = subprocess.run(
            [
                _TOOLS.locate_file("bin/tosa_reference_model"),
                "--test_desc=desc.json",
                f"--precise_mode={int(precise)}",
            ],
            cwd=test,
            env={},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return Result(operator, test, "the reference model fails", judged=False)
    inputs = [np.load(test / name) for name in description["ifm_file"]]
    try:
        got = Model((test / description["tosa_file"]).read_bytes()).run(inputs)
    except ToolError as error:
        return Result(operator, test, str(error))
    for g, path, name in zip(got, wanted, description["ofm_name"], strict=True):
        answer = np.load(path)
        is_float = answer.dtype.kind == "f"
        if not (_is_near(g, path, name, description) if is_float else np.array_equal(g, answer)):
            return Result(operator, test, f"{path.name} differs")
    return Result(operator, test)


def _is_near(got: npt.NDArray[Any], wanted: Path, name: str, description: dict[str, Any]) -> bool:
    """Return whether TOSA's tolerance allows `got` for output `name`."""
    bounds = None
    if description["test_requirements"]["bounds_file_required"]:
        bounds = np.load(wanted.with_name(f"bounds_{wanted.name}"))
    compliance = description["meta"]["compliance"]
    return bool(_verifier().verify_data(name, compliance, got, np.load(wanted), bounds))


@cache
def _verifier() -> VerifierLibrary:
    return VerifierLibrary(
        Path(str(_TOOLS.locate_file("tosa_reference_model/libtosa_reference_verify_lib.so")))
    )


def _print_table(
    profile: str, operators: Sequence[str], folder: Path, shapes: Sequence[str]
) -> int:
    """Print the table and the failures, and return how many there are."""
    failures: list[Result] = []
    total = 0
    print(f"| operator, {profile} | passed | failed | no answer to compare |\n|---|---|---|---|")
    for operator in operators:
        if not any(re.match(_pattern(operator), path.name) for path in folder.glob("*")):
            generate(folder, operator, shapes, profile)
        results = list(run(folder, operator, profile))
        failed = [r for r in results if r.judged and r.problem]
        failures += failed
        unjudged = sum(not r.judged for r in results)
        passed = len(results) - len(failed) - unjudged
        total += passed
        print(f"| {operator} | {passed} | {len(failed)} | {unjudged} |", flush=True)
    print(f"| all {len(operators)} | {total} | {len(failures)} | |", flush=True)
    for failure in failures:
        print(f"{failure.test}: {failure.problem}")
    return len(failures)


def main() -> int:
    """Print the tables; the exit code is the number of failures, at most 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("operators", nargs="*", metavar="OPERATOR")
    parser.add_argument("--profile", choices=PROFILES, help="only of this profile")
    parser.add_argument("--folder", type=Path, help="where the tests are kept")
    parser.add_argument("--shape", action="append", default=[], metavar="1,5,4,3")
    given = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="tosaic-") as temporary:
        for name in [given.profile] if given.profile else PROFILES:
            has = PROFILES[name].operators
            operators = [o for o in given.operators if o in has] if given.operators else has
            folder = (given.folder or Path(temporary)) / name
            failures += _print_table(name, operators, folder, given.shape)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
