"""Instructions per multiply-accumulate of the runtime's kernels, on QEMU.

    python tools/bench/runtime_kernels.py [--core cortex-m7]

First int8 layers beside CMSIS-NN, whose figures for them are stored in data/cmsis-nn.json; then the
other kernels beside the portable ones on the same core, per multiply-accumulate, or per element
read or written where nothing is multiplied.
Counted exactly, with bias, rescale and clamp. Every result is compared with the reference kernels
on this machine.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
    Matmul,
    conv_case,
    matmul_case,
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

_SQUARE = Conv((24, 24), 16, 32, (3, 3), pad=(1, 1, 1, 1))
_POINTWISE = Conv((25, 5), 64, 64)
_DEPTHWISE = Conv((25, 5), 64, 0, (3, 3), pad=(1, 1, 1, 1), multiplier=1)
_FULLY_CONNECTED = Conv((1, 1), 640, 128)
OTHER_LAYERS: dict[str, Conv | Matmul] = {
    "matmul 64x64 by 64x64": Matmul(64, 64, 64, batches=2, a_zp=-3, b_zp=5),
    "matmul 50x32 by 32x50": Matmul(50, 32, 50, batches=4),
    "matmul 1x64 by 64x96": Matmul(1, 64, 96, a_zp=3, b_zp=1),
    "conv3x3 16->32 on 24x24, int4": replace(_SQUARE, types="i8_i4"),
    "1x1 64->64 on 25x5, int4": replace(_POINTWISE, types="i8_i4"),
    "fc 640->128, int4": replace(_FULLY_CONNECTED, types="i8_i4"),
    "depthwise 3x3 64 on 25x5, int4": replace(_DEPTHWISE, types="i8_i4"),
    "conv3x3 16->32 on 24x24, int16": replace(_SQUARE, types="i16"),
    "1x1 64->64 on 25x5, int16": replace(_POINTWISE, types="i16"),
    "fc 640->128, int16": replace(_FULLY_CONNECTED, types="i16"),
    "depthwise 3x3 64 on 25x5, int16": replace(_DEPTHWISE, types="i16"),
    "matmul 64x64 by 64x64, int16": Matmul(64, 64, 64, batches=2, types="i16"),
    "transposed 4x4 s2 32->16 on 12x12": Conv(
        (12, 12), 32, 16, (4, 4), (2, 2), pad=(-1, -1, -1, -1), transposed=True
    ),
    "transposed 2x2 s2 64->32 on 8x8": Conv((8, 8), 64, 32, (2, 2), (2, 2), transposed=True),
}


def layer_cases(layers: Mapping[str, Conv | Matmul] = LAYERS) -> list[Case]:
    """Return one case for each of `layers`."""
    rng = np.random.default_rng(1)
    cases = []
    for name, layer in layers.items():
        if isinstance(layer, Matmul):
            rescale = rescale_for(rng, 1, layer.channels, layer.products)
            cases.append(matmul_case(name, layer, rng, rescale))
        else:
            terms = layer.kernel[0] * layer.kernel[1] * (1 if layer.depthwise else layer.inputs)
            rescale = rescale_for(rng, layer.filters, terms, layer.types)
            cases.append(conv_case(name, layer, rng, rescale))
    return cases


def movement_cases() -> list[Case]:
    """Return cases of reductions, TRANSPOSE, pools of int16 and RESIZE.

    They are counted per element read; RESIZE, which writes more, per element written.
    """
    rng = np.random.default_rng(2)
    cases = []
    for kernel, kind in (
        ("reduce_sum_i32", np.int32),
        ("reduce_max_i32", np.int32),
        ("reduce_max_i8", np.int8),
        ("reduce_max_i16", np.int16),
        ("transpose", np.int8),
        ("transpose", np.int16),
    ):
        for shape in ((32, 64, 1), (4, 64, 24)) if kernel != "transpose" else ((2, 64, 48),):
            info = np.iinfo(kind)
            x = rng.integers(info.min, info.max, shape).astype(kind)
            size = x.nbytes if kernel == "transpose" else x.nbytes // shape[1]
            name = f"{kernel} of {x.dtype}, {'x'.join(map(str, shape))}"
            parameters = (*shape, x.itemsize)
            cases.append(Case(name, kernel, parameters, (x,), size, macs=x.size))
    x = rng.integers(-(2**15), 2**15, (1, 24, 24, 16), np.int16)
    pool = (1, 24, 24, 16, 12, 12, 2, 2, 2, 2, 0, 0, 0, 0)
    for kernel in ("max_pool2d_i16", "avg_pool2d_i16"):
        cases.append(Case(f"{kernel} 2x2 s2", kernel, pool, (x,), x.nbytes // 4, macs=x.size))
    resize = (1, 12, 12, 24, 24, 24, 4, 2, 4, 2, -1, -1)
    image = rng.integers(-128, 128, (1, 12, 12, 24), np.int8)
    results = 24 * 24 * 24
    cases.append(
        Case("resize 2x", "resize_bilinear_i8", resize, (image,), 4 * results, macs=results)
    )
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
    """Print two tables for each core; fail where a kernel differs from the reference."""
    exact = True
    for core in cores:
        cases = layer_cases()
        stored: dict[str, Any] = json.loads(STORED.read_text())["layers"]
        peers = [stored[case.name].get(core) for case in cases]
        exact &= _compare(f"{core}: instructions per MAC", "CMSIS-NN", core, cases, peers)
        others = layer_cases(OTHER_LAYERS) + movement_cases()
        counts = run_on_board(core, others, portable=True).instructions
        portable = [count / case.macs for count, case in zip(counts, others, strict=True)]
        title = f"{core}: instructions per MAC, beside portable kernels"
        exact &= _compare(title, "portable", core, others, portable)
    sys.exit(0 if exact else 1)


def _compare(
    title: str, peer: str, core: str, cases: list[Case], stored: Sequence[float | None]
) -> bool:
    """Print `cases` on `core` beside figures of `peer`; return whether all are exact."""
    results, expected = run_on_board(core, cases), run_on_host(cases).outputs
    table = Table(title=title, box=box.SIMPLE)
    for heading in ("layer", "tosaic", peer, "ratio", "bit-exact"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    exact = [a == b for a, b in zip(results.outputs, expected, strict=True)]
    for case, count, other, same_bits in zip(
        cases, results.instructions, stored, exact, strict=True
    ):
        ours = count / case.macs
        table.add_row(
            case.name,
            f"{ours:.3f}",
            f"{other:.3f}" if other else "-",
            f"{ours / other:.2f}" if other else "-",
            "yes" if same_bits else "NO",
        )
    Console(width=100).print(table)
    return all(exact)


if __name__ == "__main__":
    main()
