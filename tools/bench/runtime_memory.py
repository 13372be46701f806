"""What tensors inside of others, and stripes, save on a simulated Cortex-M55.

    python tools/bench/runtime_memory.py

Each net runs with its plan and with the plan that has every tensor apart; MobileNetV1 runs whole
and cut to fit limits. Each answer is compared with the JIT's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import tosaic
from tosaic.backends.cortex_m.memory_plan import plan_memory
from tosaic.backends.cortex_m.targets import kernels_of
from tosaic.executors import make_executor
from tosaic.executors.qemu import BOARDS, Measurement, QemuExecutor
from tosaic.quantizer import quantize
from tosaic.runtime import Model
from tosaic.targets import target
from tosaic.tools.bench import models as bench

BOARD = "qemu-cortex-m55"
CUT = "mobilenet_v1_025"
LIMITS = (55_000, 50_000)


class Halves(nn.Module):
    """The upper and the lower half of an image, each with a convolution of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 1)
        self.halves = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [1, 4, H, W] of [1, 3, H, W]."""
        halves = zip(self.halves, torch.relu(self.stem(x)).chunk(2, 2), strict=True)
        joined = torch.cat([torch.relu(conv(half)) for conv, half in halves], 2)
        out: torch.Tensor = self.head(joined)
        return out


class UNet(nn.Module):
    """Two levels; the skip connections end in CONCATs along channels."""

    def __init__(self, *, transposed: bool) -> None:
        super().__init__()
        widths = (3, 16, 32, 64)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 2, stride=2)
            if transposed
            else nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(b, a, 3, padding=1))
            for a, b in pairs[:0:-1]
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * a, a, 3, padding=1) for a, _ in pairs[:0:-1])
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [1, 2, H, W] of [1, 3, H, W]."""
        skips = []
        for level, conv in enumerate(self.down):
            x = torch.relu(conv(nn.functional.max_pool2d(x, 2) if level else x))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[-2::-1], strict=True):
            x = torch.relu(join(torch.cat([up(x), skip], 1)))
        out: torch.Tensor = self.head(x)
        return out


class DenseNet(nn.Module):
    """A block of four layers, each of which reads the outputs of all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(16 + 8 * k, 8, 3, padding=1) for k in range(4))
        self.head = nn.Linear(48, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [1, 10] of [1, 3, H, W]."""
        x = torch.relu(self.stem(x))
        for layer in self.layers:
            x = torch.cat([x, torch.relu(layer(x))], 1)
        out: torch.Tensor = self.head(x.mean((2, 3)))
        return out


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "halves of an image": (Halves, (1, 3, 16, 16)),
    "U-Net, transposed convolutions": (lambda: UNet(transposed=True), (1, 3, 32, 32)),
    "U-Net, nearest upsampling": (lambda: UNet(transposed=False), (1, 3, 32, 32)),
    "DenseNet block": (DenseNet, (1, 3, 32, 32)),
}


def measured(program: tosaic.CompiledProgram, plan: bytes, q: npt.NDArray[Any]) -> Measurement:
    """Return what `program` costs with `plan`.

    Raises:
        AssertionError: the board's answer is not the JIT's.
    """
    executor = make_executor(BOARD, program.module)
    assert isinstance(executor, QemuExecutor)
    executor.plan = plan
    np.testing.assert_array_equal(executor.run([q])[0], program.run(q, executor="jit")[0])
    assert executor.measurement is not None
    return executor.measurement


def example_of(program: tosaic.CompiledProgram) -> npt.NDArray[Any]:
    """Return a random input, as stored."""
    rng = np.random.default_rng(0)
    return rng.integers(-128, 128, program.manifest.inputs[0].shape, np.int8)


def main() -> None:
    """Print both tables."""
    preset = BOARDS[BOARD].preset
    print("| net | arena B, apart | inside | invoke, apart | inside |\n|---|---|---|---|---|")
    for name, (make, shape) in NETS.items():
        torch.manual_seed(0)
        x = torch.randn(shape)
        quantized = quantize(make().eval(), (x,), [(x,)])
        program = tosaic.compile(quantized, target=preset, io_layout="nhwc")
        model = Model(program.flatbuffer, kernels=kernels_of(target(preset)))
        plans = [plan_memory(model, views=views).data for views in (False, True)]
        apart, inside = (measured(program, plan, example_of(program)) for plan in plans)
        print(
            f"| {name} | {apart.arena_bytes:,} | {inside.arena_bytes:,} "
            f"| {apart.invoke_instructions:,} | {inside.invoke_instructions:,} |",
            flush=True,
        )
    inputs = bench.calibration_inputs(CUT)
    quantized = quantize(bench.load_models().build(CUT), inputs[:1], inputs)
    print("\n| limit | arena B | invoke | model B | cut |\n|---|---|---|---|---|")
    for limit in (None, *LIMITS):
        program = tosaic.compile(quantized, target=preset, io_layout="nhwc", max_arena=limit)
        assert program.firmware is not None
        cost = measured(program, program.firmware.plan, example_of(program))
        cuts = "; ".join(map(str, program.firmware.cuts)) or "-"
        print(
            f"| {limit or '-'} | {cost.arena_bytes:,} | {cost.invoke_instructions:,} "
            f"| {program.firmware.model_bytes:,} | {cuts} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
