"""The model set that tests and benches share: published networks, without torchvision.

Weights are random but repeatable. That is enough for lowering, cycles and bit-exactness; for
accuracy figures it is enough only with the precautions taken here. With PyTorch's default BatchNorm
statistics the activations of a deep random network die out, all inputs give nearly the same output,
and a signal-to-noise ratio says nothing. So `build` sets the statistics from data,
`structured_inputs` gives inputs that differ from one another the way real ones do, and `sqnr_db`
does not count as signal what is the same for every input.

The package depends on torch alone and uses relative imports, so that it can be loaded from its path
under any name (a plain ``import test.models`` finds the standard library's ``test``); see
tools/bench/models.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .mlperf_tiny import DeepAutoencoder, DsCnn, MobileNetV1, ResNet8
from .mobilenet_v2 import MobileNetV2
from .mobilenet_v3_small import MobileNetV3Small
from .resnet18 import ResNet18

__all__ = ["MODELS", "ModelSpec", "build", "sqnr_db", "structured_inputs"]

_STATISTICS_INPUTS = 16
_STATISTICS_SEED_OFFSET = 7_919  # away from callers' calibration and evaluation seeds


@dataclass(frozen=True)
class ModelSpec:
    """One network of the model set.

    Attributes:
        name: Key in `MODELS`.
        factory: Makes the module with PyTorch's (or the paper's) random initialisation.
        input_shape: Shape of the one input, NCHW or NC, batch 1.
        description: One line for tables and help texts.
    """

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    description: str


MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("ds_cnn", DsCnn, (1, 1, 49, 10), "MLPerf Tiny keyword spotting, DS-CNN"),
        ModelSpec("resnet8", ResNet8, (1, 3, 32, 32), "MLPerf Tiny image classification, ResNet-8"),
        ModelSpec(
            "deep_autoencoder",
            DeepAutoencoder,
            (1, 640),
            "MLPerf Tiny anomaly detection, fully connected autoencoder",
        ),
        ModelSpec(
            "mobilenet_v1_025",
            MobileNetV1,
            (1, 3, 96, 96),
            "MLPerf Tiny visual wake words, MobileNetV1 width 0.25",
        ),
        ModelSpec("mobilenet_v2", MobileNetV2, (1, 3, 224, 224), "MobileNetV2 width 1.0"),
        ModelSpec("mobilenet_v3_small", MobileNetV3Small, (1, 3, 224, 224), "MobileNetV3-Small"),
        ModelSpec("resnet18", ResNet18, (1, 3, 224, 224), "ResNet-18"),
    )
}


def build(name: str, *, seed: int = 0, bn_statistics: bool = True) -> nn.Module:
    """Make a model with repeatable random weights, ready for export.

    Args:
        name: A key of `MODELS`.
        seed: Fixes the weights. The global random state is left as it was.
        bn_statistics: Set the BatchNorm running statistics from structured inputs. Without it they
            stay at mean 0, variance 1, and figures about accuracy mean nothing.

    Returns:
        The module in eval mode.

    Raises:
        KeyError: No such model.
    """
    if name not in MODELS:
        raise KeyError(f"unknown model {name!r}; there are: {', '.join(MODELS)}")
    spec = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = spec.factory()
    model.eval()
    if bn_statistics:
        _set_batch_norm_statistics(
            model,
            structured_inputs(spec.input_shape, _STATISTICS_INPUTS, seed + _STATISTICS_SEED_OFFSET),
        )
    return model


def structured_inputs(shape: Sequence[int], count: int, seed: int) -> list[Tensor]:
    """Make repeatable inputs that are neither noise nor all alike.

    Each channel of each sample is a sum of four waves over all axes behind the channel (for a shape
    of rank 2, over the features), slow ones stronger than fast ones, with a little noise; contrast
    and offset are drawn per sample, and a smaller offset per channel. Values lie mostly within
    [-2, 2].

    Args:
        shape: Shape of one input, the batch first.
        count: Number of inputs.
        seed: Fixes them; input ``i`` does not depend on ``count``.
    """
    shape = tuple(shape)
    axes = shape[2:] if len(shape) > 2 else shape[1:]
    lead = shape[: len(shape) - len(axes)]
    grid = torch.meshgrid(*(torch.linspace(0.0, 1.0, size) for size in axes), indexing="ij")
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *size: int) -> Tensor:
        return torch.rand(size, generator=generator) * (high - low) + low

    inputs = []
    for _ in range(count):
        sample = torch.zeros(shape)
        for octave in range(4):
            phase = uniform(0.0, 2 * math.pi, *lead)
            angle = phase.reshape(*lead, *(1 for _ in axes))
            for coordinate in grid:
                waves = uniform(-1.0, 1.0, *lead) * 2.0**octave
                angle = angle + 2 * math.pi * waves.reshape(*lead, *(1 for _ in axes)) * coordinate
            sample += torch.sin(angle) * 0.7**octave
        sample *= uniform(0.2, 0.8)
        sample += uniform(-0.6, 0.6)
        sample += uniform(-0.2, 0.2, *lead).reshape(*lead, *(1 for _ in axes))
        sample += torch.randn(shape, generator=generator) * 0.05
        inputs.append(sample)
    return inputs


def sqnr_db(reference: Tensor, test: Tensor, mean_removed: bool = True) -> float:
    """Signal to quantisation noise ratio in dB of ``test`` against ``reference``.

    Args:
        reference: Float outputs, samples along dimension 0.
        test: What to judge, of the same shape.
        mean_removed: Count as signal only what differs from sample to sample: each output element's
            mean over the samples is taken off (with one sample, the mean over its elements). The
            noise is always counted whole, a constant error included.

    Returns:
        The ratio; infinite when the two are equal, minus infinite when there is no signal.

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != test.shape:
        raise ValueError(f"shapes differ: {tuple(reference.shape)} and {tuple(test.shape)}")
    signal = reference.detach().double()
    noise = test.detach().double() - signal
    if mean_removed:
        signal = signal - (signal.mean(0, keepdim=True) if signal.shape[0] > 1 else signal.mean())
    signal_power, noise_power = float(signal.square().sum()), float(noise.square().sum())
    if noise_power == 0.0:
        return math.inf
    return 10 * math.log10(signal_power / noise_power) if signal_power else -math.inf


def _set_batch_norm_statistics(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """Replace every BatchNorm's running statistics by those of one batch of inputs."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over the passes, of which there is one
        layer.train()  # only these: dropout stays off
    try:
        with torch.no_grad():
            model(torch.cat(list(inputs)))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
