"""Handwritten digits, from training to the NPU's command stream: what `make demo` runs.

Trains a small CNN on scikit-learn's digits, quantises it to int8, compiles it for two Ethos-U
NPUs and runs the whole test split on each compiled program, twice: compiled to machine code, and on
the TOSA reference model. The two must agree in every bit.

python examples/digits.py [FOLDER]
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import tosaic

TARGETS = ("ethos-u55-128", "ethos-u85-256")


class Digits(nn.Module):
    """A stem, a depthwise-separable residual block, a strided convolution, a classifier."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stem = conv(1, width)
        self.depthwise = conv(width, width, groups=width)
        self.pointwise = conv(width, width, kernel=1)
        self.reduce = conv(width, 2 * width, stride=2)
        self.pool = nn.AvgPool2d(4)
        self.classifier = nn.Linear(2 * width, 10)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = x + self.pointwise(self.depthwise(x))
        x = self.pool(self.reduce(x))
        return self.classifier(x.flatten(1))


def conv(inputs: int, outputs: int, kernel: int = 3, **options: int) -> nn.Sequential:
    """Return convolution, batch norm and ReLU; one op on the NPU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def train(images: Tensor, labels: Tensor, epochs: int = 12, batch: int = 32) -> nn.Module:
    """Return the trained model in eval mode."""
    model = Digits()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, epochs=epochs, steps_per_epoch=-(-len(images) // batch)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def main(folder: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the same sums, in the same order, on every machine

    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16  # [1797, 1, 8, 8]
    train_x, test_x, train_y, test_y = train_test_split(
        images, torch.tensor(data.target), test_size=0.25, random_state=0, stratify=data.target
    )

    start = time.perf_counter()
    model = train(train_x, train_y)
    with torch.no_grad():
        correct = (model(test_x).argmax(1) == test_y).float().mean()
    weights = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(train_x)} images to train on, {len(test_x)} to test, {weights:,} parameters")
    print(f"float      accuracy {correct:.2%} (trained in {time.perf_counter() - start:.1f} s)")

    for target in TARGETS:
        program = tosaic.compile(
            model,
            (test_x[:1],),
            target=target,
            quantize="int8",
            calibration=train_x[:128].split(1),
        )
        scores = run(program, test_x, "jit")
        # Not "close": the host's machine code does the same integer arithmetic, bit for bit.
        if not np.array_equal(scores, run(program, test_x, "reference")):
            raise SystemExit(f"{target}: jit and reference model differ")
        correct = np.mean(scores.argmax(1) == test_y.numpy())
        files = program.save(folder / target, name="digits")

        npu = program.report.vela
        assert npu is not None
        print(f"\n{target}")
        print(f"  int8     accuracy {correct:.2%}, {len(scores)} images, jit == reference model")
        print(f"  cycles   {npu.cycles_total:,} per image for {npu.macs:,} MACs")
        print(f"  memory   SRAM {npu.sram_kib:.1f} KiB, flash {npu.flash_kib:.1f} KiB", end="")
        print(f", DRAM {npu.dram_kib:.1f} KiB" if npu.dram_kib else "")
        print(f"  compiled in {sum(program.report.seconds.values()):.1f} s")
        print("  files    " + "\n           ".join(map(str, files)))


def run(program: tosaic.CompiledProgram, images: Tensor, executor: str) -> np.ndarray:
    """Return the scores of every image, [images, 10]."""
    return np.concatenate([program.run(x, executor=executor)[0] for x in images.split(1)])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-out"))
