"""`tosaic numerics`: seeded faults are found, and what is sound is not blamed."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from tosaic.quantizer import QuantRecipe, TosaQuantizer, quantize
from tosaic.reports import numerics as module
from tosaic.reports.numerics import compare
from tosaic.targets import target

INT = target("tosa-1.0-int")


class Residual(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def random_model(seed: int) -> tuple[nn.Module, list[Tensor]]:
    """A CNN, an MLP or a residual net of random sizes, and samples of its input."""
    torch.manual_seed(seed)
    pick = random.Random(seed)
    channels, layers = pick.choice([1, 3, 4]), list[nn.Module]()
    if seed % 3 == 0:
        width = features = pick.choice([16, 24, 40])
        for _ in range(pick.randint(2, 5)):
            after = pick.choice([12, 20, 32])
            layers += [nn.Linear(width, after), pick.choice([nn.ReLU, nn.Tanh, nn.Hardswish])()]
            width = after
        shape: tuple[int, ...] = (1, features)
    else:
        width, shape = channels, (1, channels, 12, 12)
        for _ in range(pick.randint(2, 4)):
            after = pick.choice([4, 6, 8])
            layers += [nn.Conv2d(width, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            width = after
            if seed % 3 == 1:
                layers.append(Residual(nn.Conv2d(width, width, 3, padding=1)))
            elif pick.random() < 0.5:
                layers.append(nn.Conv2d(width, width, 3, padding=1, groups=width))
        layers += [pick.choice([nn.MaxPool2d, nn.AvgPool2d])(2), nn.Flatten()]
        width *= 36
    model = nn.Sequential(*layers, nn.Linear(width, 5))
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):  # else differences between inputs die out
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
    data = [torch.randn(shape) * (0.5 + torch.rand(1)) + 0.3 * torch.randn(1) for _ in range(24)]
    model(torch.cat(data))  # sets the statistics of batch norms
    return model.eval(), data


def quantized(seed: int) -> tuple[ExportedProgram, object, list[Tensor]]:
    """Return a random model as PT2E converts it, as it prepares it, and data to judge by.

    Ranges are found from the same data: other data may go beyond them, which is a fault too.
    """
    model, data = random_model(seed)
    program = torch.export.export(model, (data[0],))
    original = module._float_graph(program, QuantRecipe())
    converted = quantize(program, (data[0],), data, quantizer=TosaQuantizer())
    return converted, original, data[:6]


def casts(program: ExportedProgram) -> list[tuple[torch.fx.Node, list[torch.fx.Node]]]:
    """Return the casts of what ops compute, not just move: each quantize node and its readers."""
    target = torch.ops.quantized_decomposed.quantize_per_tensor.default
    writers = program.graph.find_nodes(op="call_function", target=target)
    return [(n, list(n.users)) for n in writers if n.args[0].name not in ("flatten", "max_pool2d")]


def rescale(program: ExportedProgram, pick: random.Random, factor: float) -> str:
    """Multiply the scale of one activation; return the name of the op that computes it."""
    writer, readers = pick.choice(casts(program))
    for node in (writer, *readers):
        node.args = (node.args[0], node.args[1] * factor, *node.args[2:])
    return writer.args[0].name


QUICK = 5
SEEDS = [s if s < QUICK else pytest.param(s, marks=pytest.mark.slow) for s in range(20)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [8.0, 1 / 8], ids=["coarse", "saturating"])
def test_a_wrong_scale_is_named_first(seed: int, factor: float) -> None:
    program, original, data = quantized(seed)
    name = rescale(program, random.Random(seed), factor)
    report = compare(program, original, data, INT)
    assert report.first is not None and report.first.name == name, report.verdict
    assert report.first.cause == ("dead range" if factor > 1 else "saturation")
    assert report.exact and report.reference == "float"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_model_has_no_layer_that_breaks(seed: int) -> None:
    report = compare(*quantized(seed), INT)
    assert report.first is None, report.verdict
    assert all(layer.integer_lsb <= 1 for layer in report.layers)
