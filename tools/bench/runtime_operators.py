"""Where a transformer's and an activation-heavy net's instructions go, by operator, on QEMU.

    python tools/bench/runtime_operators.py [MODEL ...] [--core cortex-m4] [--recipe int8]

Beside them those of the portable kernels on the same core. Operators that run as one with others
count as the first of them. Each answer is compared with the JIT's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

import tosaic
from tosaic.emit import quantize as stored_of
from tosaic.executors import make_executor
from tosaic.executors.qemu import BOARDS, QemuExecutor
from tosaic.quantizer import TosaQuantizer, find_recipe, quantize
from tosaic.runtime.library import build, cmake

CORES = {board.preset: name for name, board in BOARDS.items()}


class Encoder(nn.Module):
    """A transformer encoder layer of 64 channels, 4 heads and 32 positions, and a classifier."""

    def __init__(self, width: int = 64) -> None:
        """Make the layers, with PyTorch's own initial weights."""
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True
        )
        self.classifier = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, positions, channels] to ten scores a sample."""
        scores: Tensor = self.classifier(self.layer(x).mean(1))
        return scores


class Activations(nn.Module):
    """Convolutions with hard-swish, a sigmoid gate, tanh, pools, an upsampling and a softmax."""

    def __init__(self) -> None:
        """Make the layers, with PyTorch's own initial weights."""
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        self.gate = nn.Conv2d(16, 16, 3, 1, 1)
        self.mix = nn.Conv2d(16, 24, 1)
        self.classifier = nn.Linear(24, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Map images [batch, 3, height, width] to ten probabilities each."""
        x = F.hardswish(self.stem(image))
        x = F.max_pool2d(torch.sigmoid(self.gate(x)) * x + x, 2)
        x = F.interpolate(torch.tanh(self.mix(x)), scale_factor=2.0, mode="bilinear")
        x = F.avg_pool2d(x, 2).mean((2, 3))
        return torch.softmax(self.classifier(x), -1)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "encoder": (Encoder, (1, 32, 64)),
    "activations": (Activations, (1, 3, 32, 32)),
}


@cache
def compiled(name: str, core: str, recipe_name: str) -> tosaic.CompiledProgram:
    """Return a model of MODELS, quantised with random samples, for `core`."""
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, samples = make().eval(), [(torch.randn(shape),) for _ in range(8)]
    quantizer = TosaQuantizer(find_recipe(recipe_name))
    quantized = quantize(model, samples[0], samples, quantizer=quantizer)
    return tosaic.compile(quantized, target=core)


def instructions(name: str, core: str, recipe_name: str, portable: bool) -> dict[str, int]:
    """Return instructions by operator of one run.

    Raises:
        AssertionError: the board's answer is not the JIT's.
    """
    program = compiled(name, core, recipe_name)
    x = np.random.default_rng(0).normal(size=MODELS[name][1]).astype(np.float32)
    q = stored_of(program.manifest.inputs[0], x)
    executor = make_executor(CORES[core], program.module)
    assert isinstance(executor, QemuExecutor)
    if portable:
        folder: Path = build(core).with_name(f"{core}-portable")
        executor.runner = cmake(core, folder, "-DTOSAIC_KERNELS=reference") / "runner.elf"
    np.testing.assert_array_equal(executor.run([q])[0], program.run(q, executor="jit")[0])
    assert executor.measurement is not None
    return executor.measurement.operators


@click.command()
@click.argument("models", nargs=-1, type=click.Choice(list(MODELS)))
@click.option(
    "--core",
    "cores",
    multiple=True,
    type=click.Choice(list(CORES)),
    default=["cortex-m55", "cortex-m4"],
)
@click.option("--recipe", "recipe_name", default="int8", show_default=True)
def main(models: tuple[str, ...], cores: tuple[str, ...], recipe_name: str) -> None:
    """Print a table for each model and core."""
    for name in models or tuple(MODELS):
        for core in cores:
            ours = instructions(name, core, recipe_name, portable=False)
            portable = instructions(name, core, recipe_name, portable=True)
            table = Table(title=f"{name} on {core}: instructions", box=box.SIMPLE)
            for heading in ("operator", "tosaic", "portable", "ratio"):
                table.add_column(heading, justify="left" if heading == "operator" else "right")
            ours["all"], portable["all"] = sum(ours.values()), sum(portable.values())
            for operator, count in sorted(ours.items(), key=lambda item: -item[1]):
                other = portable[operator]
                table.add_row(operator, f"{count:,}", f"{other:,}", f"{count / other:.2f}")
            Console(width=100).print(table)


if __name__ == "__main__":
    main()
