"""The model set that tests and benches share: published networks, without torchvision.

Weights are random but repeatable. That is enough for lowering, cycles and bit-exactness; for
accuracy figures it is enough only with the precautions taken here.

* With PyTorch's default BatchNorm statistics the activations of a deep random network die out and
  all inputs give nearly the same output: a signal-to-noise ratio then says nothing. `build` sets
  the statistics from data.
* With unit BatchNorm the opposite happens. Each layer of BatchNorm and ReLU amplifies the
  difference between two inputs by about 1.2 (Yang et al., "A Mean Field Theory of Batch
  Normalization", arXiv:1902.08129), and so it does with rounding errors: int8 MobileNetV1 ends
  near 2 dB whatever the compiler does. Trained networks are not like that. `build` gives BatchNorm
  positive biases, so that most units are in their linear part.
* `structured_inputs` gives inputs that differ from one another the way real ones do, their contrast
  and offset spread evenly, so that a few calibration inputs cover the range of the rest.
* `sqnr_db` does not count as signal what is the same for every input.

The package depends on torch alone and uses relative imports, so that it can be loaded from its path
under any name (a plain ``import test.models`` finds the standard library's ``test``); see
tools/bench/models.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .deit_tiny import DeitTiny
from .llama_block import LlamaBlock
from .lstm import Lstm
from .mlperf_tiny import DeepAutoencoder, DsCnn, MobileNetV1, ResNet8
from .mobilenet_v2 import MobileNetV2
from .mobilenet_v3_small import MobileNetV3Small
from .resnet18 import ResNet18

__all__ = ["MODELS", "ModelSpec", "build", "sqnr_db", "structured_inputs"]

_STATISTICS_INPUTS = 16
_STATISTICS_BATCH = 4  # small, so that building a model is not what peak memory shows
_STATISTICS_SEED_OFFSET = 7_919  # away from callers' calibration and evaluation seeds


@dataclass(frozen=True)
class ModelSpec:
    """One network of the model set.

    Attributes:
        name: Key in `MODELS`.
        factory: Makes the module with PyTorch's (or the paper's) random initialisation.
        input_shape: Shape of the one input: NCHW or NC, batch 1; a sequence is [N,T,C] or [T,N,C].
        description: One line for tables and help texts.
        convolutional: Whether it is a CNN, or another net that channels-last layouts suit.
    """

    name: str
    factory: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    description: str
    convolutional: bool = True


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
        ModelSpec("deit_tiny", DeitTiny, (1, 3, 224, 224), "DeiT-Tiny, 12 blocks", False),
        ModelSpec(
            "deit_tiny_d2",
            partial(DeitTiny, depth=2),
            (1, 3, 224, 224),
            "DeiT-Tiny, its first 2 blocks",
            False,
        ),
        ModelSpec("llama_block", LlamaBlock, (1, 32, 64), "Llama-style decoder block", False),
        ModelSpec("lstm", Lstm, (5, 3, 10), "LSTM of two layers over 5 steps", False),
    )
}


def build(name: str, *, seed: int = 0, bn_statistics: bool = True) -> nn.Module:
    """Make a model with repeatable random weights, ready for export.

    Args:
        name: A key of `MODELS`.
        seed: Fixes the weights, bit for bit on one machine. The global random state is left as it
            was.
        bn_statistics: Give BatchNorm biases from [1, 2) and running statistics from structured
            inputs. Without it both stay as PyTorch has them, and figures about accuracy mean
            nothing.

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
        data_seed = seed + _STATISTICS_SEED_OFFSET
        _set_batch_norm(
            model, structured_inputs(spec.input_shape, _STATISTICS_INPUTS, data_seed), data_seed
        )
    return model


def structured_inputs(shape: Sequence[int], count: int, seed: int) -> list[Tensor]:
    """Make repeatable inputs that are neither noise nor all alike.

    Each channel of each sample is a sum of four waves over all axes behind the channel (for a shape
    of rank 2, over the features), slow ones stronger than fast ones, with a little noise. Each
    sample has its contrast and offset, and each of its channels a smaller offset. Values lie mostly
    within [-2, 2].

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

    first_contrast, first_offset = float(uniform(0.0, 1.0)), float(uniform(0.0, 1.0))
    inputs = []
    for index in range(count):
        sample = torch.zeros(shape)
        for octave in range(4):
            phase = uniform(0.0, 2 * math.pi, *lead)
            angle = phase.reshape(*lead, *(1 for _ in axes))
            for coordinate in grid:
                waves = uniform(-1.0, 1.0, *lead) * 2.0**octave
                angle = angle + 2 * math.pi * waves.reshape(*lead, *(1 for _ in axes)) * coordinate
            sample += torch.sin(angle) * 0.7**octave
        # A low-discrepancy sequence (R2) over the square of contrast and offset.
        sample *= 0.2 + 0.6 * math.fmod(first_contrast + index * 0.7548776662466927, 1.0)
        sample += -0.6 + 1.2 * math.fmod(first_offset + index * 0.5698402909980532, 1.0)
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


def _set_batch_norm(model: nn.Module, inputs: Sequence[Tensor], seed: int) -> None:
    """Draw every BatchNorm's bias and take its running statistics from the inputs."""
    generator = torch.Generator().manual_seed(seed)
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    threads = torch.get_num_threads()
    for layer in layers:
        nn.init.uniform_(layer.bias, 1.0, 2.0, generator=generator)
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over the batches
        layer.train()  # only these: dropout stays off
    torch.set_num_threads(1)  # the last bits of a sum depend on the number of threads
    try:
        with torch.no_grad():
            for start in range(0, len(inputs), _STATISTICS_BATCH):
                model(torch.cat(list(inputs[start : start + _STATISTICS_BATCH])))
    finally:
        torch.set_num_threads(threads)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()
