"""Runs models and plans with flipped bits on a simulated board: none may fault or hang.

    python test/runtime/bit_flips.py [--runs 1000] [--board qemu-cortex-m55]

One to three bits are flipped, in turn in the plan, in the model that has a plan, and in the model
without one. Each run ends with outputs or with an error code; the counts are printed. A failure
names its number, with which `--first` runs it again.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import tosaic
from tosaic.errors import ToolError
from tosaic.executors import make_executor
from tosaic.executors.qemu import BOARDS, QemuExecutor

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.models import quantized

MODEL = "ds_cnn"
KINDS = ("plan", "model with a plan", "model without one")


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Return `data` with one to three bits changed."""
    out = np.frombuffer(data, np.uint8).copy()
    for at in rng.integers(0, out.size, rng.integers(1, 4)):
        out[at] ^= 1 << int(rng.integers(0, 8))
    return out.tobytes()


def run(executor: QemuExecutor, program: bytes, plan: bytes, number: int) -> str:
    """Run with flipped bits and return what it ends in.

    Raises:
        AssertionError: it faults or hangs.
    """
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    executor._program = program if kind == "plan" else flipped(program, rng)
    executor.plan = flipped(plan, rng) if kind == "plan" else plan
    if kind == "model without one":
        executor.plan = None
    try:
        executor.run([np.zeros((1, 49, 10, 1), np.int8)])
    except ToolError as error:
        text = str(error)
        if "fault" in text or "did not end" in text or "failed" not in text:
            raise AssertionError(f"run {number}, bits of the {kind}: {text}") from error
        return "refused"
    return "ran"


def main() -> None:
    """Run all and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--board", choices=list(BOARDS), default="qemu-cortex-m55")
    arguments = parser.parse_args()
    target = BOARDS[arguments.board].preset
    module = tosaic.compile(quantized(MODEL), target=target, io_layout="nhwc").module
    executor = make_executor(arguments.board, module)
    assert isinstance(executor, QemuExecutor)
    program, plan = executor._program, executor.plan
    assert plan is not None
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(arguments.first, arguments.first + arguments.runs):
        counts[KINDS[number % len(KINDS)], run(executor, program, plan, number)] += 1
    print(f"{arguments.runs} runs on {arguments.board}, no fault and none that did not end")
    for (kind, end), count in sorted(counts.items()):
        print(f"  bits of the {kind}: {count} {end}")


if __name__ == "__main__":
    main()
