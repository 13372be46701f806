"""Instructions per multiply-accumulate of the runtime's int8 kernels, beside CMSIS-NN's.

    python tools/bench/runtime_kernels.py [--core cortex-m7]

Counted exactly, on QEMU, with bias, rescale and clamp; CMSIS-NN's figures for the same layers are
stored in data/cmsis-nn.json. Every result is compared with the reference kernels on this machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from tosaic.tools.bench.kernel_cases import (
    MACHINES,
    Case,
    Conv,
    conv_case,
    rescale_for,
    run_on_board,
    run_on_host,
    same,
)

STORED = Path(__file__).resolve().parent / "data" / "cmsis-nn.json"

LAYERS = {
    "conv3x3 s2 3->16 on 96x96": Conv(
        (96, 96), 3, 16, (3, 3), (2, 2), pad=same((96, 96), (3, 3), 2)
    ),
    "conv3x3 8->16 on 48x48": Conv((48, 48), 8, 16, (3, 3), pad=(1, 1, 1, 1)),
    "conv10x4 s2 1->64 on 49x10": Conv(
        (49, 10), 1, 64, (10, 4), (2, 2), pad=same((49, 10), (10, 4), 2)
    ),
    "1x1 64->64 on 25x5": Conv((25, 5), 64, 64),
    "1x1 8->48 on 48x48": Conv((48, 48), 8, 48),
    "1x1 336->112 on 3x3": Conv((3, 3), 336, 112),
    "depthwise 3x3 64 on 25x5": Conv((25, 5), 64, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=1),
    "depthwise 3x3 48 on 48x48": Conv((48, 48), 48, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=1),
    "fc 256->12": Conv((1, 1), 256, 12),
    "fc 640->128": Conv((1, 1), 640, 128),
}


def layer_cases() -> list[Case]:
    """Return one case for each of LAYERS."""
    rng = np.random.default_rng(1)
    cases = []
    for name, conv in LAYERS.items():
        terms = conv.kernel[0] * conv.kernel[1] * (1 if conv.depthwise else conv.inputs)
        cases.append(conv_case(name, conv, rng, rescale_for(rng, conv.filters, terms)))
    return cases


@click.command()
@click.option(
    "--core",
    "cores",
    multiple=True,
    type=click.Choice(list(MACHINES)),
    default=["cortex-m55", "cortex-m4"],
)
def main(cores: tuple[str, ...]) -> None:
    """Print a table for each core; fail where a kernel differs from the reference."""
    cases = layer_cases()
    stored: dict[str, Any] = json.loads(STORED.read_text())["layers"]
    expected = run_on_host(cases).outputs
    exact = True
    for core in cores:
        results = run_on_board(core, cases)
        table = Table(title=f"{core}: instructions per MAC", box=box.SIMPLE)
        for heading in ("layer", "tosaic", "CMSIS-NN", "ratio", "bit-exact"):
            table.add_column(heading, justify="left" if heading == "layer" else "right")
        for k, case in enumerate(cases):
            ours, peer = results.instructions[k] / case.macs, stored[case.name].get(core)
            same_bits = results.outputs[k] == expected[k]
            exact &= same_bits
            table.add_row(
                case.name,
                f"{ours:.3f}",
                f"{peer:.3f}" if peer else "-",
                f"{ours / peer:.2f}" if peer else "-",
                "yes" if same_bits else "NO",
            )
        Console(width=100).print(table)
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
