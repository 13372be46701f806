"""What a user waits for: an inference on each executor of the host, and the start of tosaic-opt.

    python tools/bench/seconds.py [--model ds_cnn] [--runs 5]

Of each the quickest run counts: another process may have had the processor.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

import tosaic
from tosaic.tools.bench import models as bench

EXECUTORS = ("jit", "runtime", "reference")
_REPEATS = 8  # of the inputs, beside which what a run costs once is nothing


def inference_seconds(name: str, runs: int) -> dict[str, float]:
    """Return the seconds of one inference of the int8 model `name`, by executor."""
    calibration = bench.calibration_inputs(name)
    program = tosaic.compile(
        bench.load_models().build(name), calibration[:1], quantize="int8", calibration=calibration
    )
    samples = [(x, None) for x in bench.held_out_inputs(name)] * _REPEATS
    seconds = {}
    for executor in EXECUTORS:
        results = [
            tosaic.evaluate(program, samples, executor=executor, jobs=1) for _ in range(runs)
        ]
        least = min(result.forms["integer"].seconds for result in results)
        seconds[executor] = least / len(samples)
    return seconds


def start_seconds(runs: int) -> float:
    """Return the seconds that ``tosaic-opt --list-passes`` takes."""
    tool = Path(sys.executable).parent / "tosaic-opt"
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run([tool, "--list-passes"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


@click.command(help=__doc__.split("\n\n", maxsplit=1)[0] if __doc__ else None)
@click.option("--model", default="ds_cnn", show_default=True, help="Of the set in test/models.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(min=1))
def main(*, model: str, runs: int) -> None:
    """Measure and print."""
    seconds = inference_seconds(model, runs)
    table = Table("executor", "ms", "times the JIT's", title=f"one inference of {model} in int8")
    for executor, each in seconds.items():
        table.add_row(executor, f"{1e3 * each:.3f}", f"{each / seconds['jit']:.1f}")
    console = Console()
    console.print(table)
    console.print(f"tosaic-opt starts in {start_seconds(runs):.2f} s.")


if __name__ == "__main__":
    main()
