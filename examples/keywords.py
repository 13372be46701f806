"""Keyword spotting, from made-up speech to a recipe tuned for an NPU.

Makes spectrograms of twelve invented words (moving formants, with a speaker's pitch, tempo and
noise), trains a DS-CNN on them, and searches how to quantise each layer for the same accuracy at
fewer cycles. Everything is made here; nothing is downloaded.

python examples/keywords.py [FOLDER]
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import tosaic

FRAMES, BANDS, WORDS = 49, 10, 12
TARGET = "ethos-u55-128"


class DsCnn(nn.Module):
    """A strided convolution and four depthwise-separable blocks, then the mean over the map."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = unit(1, width, (10, 4), stride=2, padding=(5, 1))
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(unit(width, width, 3, padding=1, groups=width), unit(width, width, 1))
                for _ in range(4)
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(width, WORDS)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.blocks(self.stem(x))).flatten(1))


def unit(inputs: int, outputs: int, kernel: int | tuple[int, int], **options: object) -> nn.Module:
    """Return convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def words(seed: int = 7) -> np.ndarray:
    """Return the words: [words, formants, (start, bend, end)] in bands."""
    random = np.random.default_rng(seed)
    return random.uniform(0.5, BANDS - 1.5, (WORDS, 3, 3))


def speak(count: int, seed: int, noise: float = 0.8) -> tuple[Tensor, Tensor]:
    """Return [count, 1, 49, 10] spectrograms and which word each is."""
    random = np.random.default_rng(seed)
    label = random.integers(0, WORDS, count)
    length = random.uniform(0.5, 0.9, (count, 1)) * FRAMES
    start = random.uniform(0, 1, (count, 1)) * (FRAMES - length)
    t = (np.arange(FRAMES) - start) / length  # [count, frames], 0 to 1 while the word lasts
    weights = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], -1)  # a Bezier curve
    formants = np.einsum("ctk,cfk->ctf", weights, words()[label])
    formants += random.normal(0, 0.35, (count, 1, 1))  # the speaker's pitch
    bands = np.arange(BANDS)
    peaks = np.exp(
        -np.square(bands - formants[..., None]) / 0.8
    )  # [count, frames, formants, bands]
    loud = random.uniform(0.5, 1.2, (count, 1, 3, 1)) * ((t > 0) & (t < 1))[:, :, None, None]
    sound = (peaks * loud).sum(2) + noise * random.normal(0, 1, (count, FRAMES, BANDS))
    return torch.tensor(sound[:, None], dtype=torch.float32), torch.tensor(label)


def train(images: Tensor, labels: Tensor, epochs: int = 6, batch: int = 64) -> nn.Module:
    """Return the trained model in eval mode."""
    model = DsCnn()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
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


def trained() -> nn.Module:
    """Return the model, trained the same on every run."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return train(*speak(3000, seed=1))


def main(folder: Path) -> None:
    start = time.perf_counter()
    model = trained()
    print(f"trained in {time.perf_counter() - start:.0f} s")
    heard, said = speak(256, seed=2)
    calibration = speak(64, seed=3)[0].split(1)
    result = tosaic.tune(
        model,
        (heard[:1],),
        calibration=calibration,
        data=[(heard, said)],
        target=TARGET,
        trials=60,
        workers=2,
        folder=folder / "trials",
        progress=lambda p: print(f"{p.done} trials, at most {p.seconds_left:.0f} s left", end="\r"),
    )
    files = result.save(folder)
    # The judge is data that neither training nor the search has seen.
    test = speak(1000, seed=4)
    print("\n            top1    SQNR dB   cycles    flash B")
    for name, trial in (("a8w8", result.base), ("tuned", result.best)):
        judged = tosaic.evaluate(
            model,
            [test],
            (heard[:1],),
            quantize=tosaic.QuantRecipe.from_toml(trial.recipe),
            calibration=calibration,
        )
        integer = judged.forms["integer"]
        print(
            f"{name:10} {integer.metrics['top1']:7.2%} {integer.sqnr_db:8.2f} "
            f"{trial.figures.cycles:10,} {trial.figures.flash:9,}"
        )
    print(f"float      {judged.forms['float'].metrics['top1']:7.2%}")
    print("files    " + "\n         ".join(map(str, files)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "keywords-out"))
