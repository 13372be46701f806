"""`tosaic numerics`: seeded faults are found, and what is sound is not blamed."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import random
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from tosaic.api import CompiledProgram, compile_program
from tosaic.emit import quantize as quantize_array
from tosaic.errors import InputError
from tosaic.quantizer import QuantRecipe, TosaQuantizer, quantize
from tosaic.reports import numerics as module
from tosaic.reports.numerics import Numerics, compare, format_numerics, numerics
from tosaic.reports.numerics_layers import first_useless
from tosaic.reports.numerics_page import html_page
from tosaic.reports.numerics_programs import compare_programs
from tosaic.stages import Options
from tosaic.targets import target
from tosaic.tools.bench import models as bench

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


def quantized(seed: int) -> tuple[ExportedProgram, GraphModule, list[Tensor]]:
    """Return a random model as PT2E converts it, as it prepares it, and data to judge by.

    Ranges are found from the same data: other data may go beyond them, which is a fault too.
    """
    model, data = random_model(seed)
    program = torch.export.export(model, (data[0],))
    original = module._float_graph(program, QuantRecipe(), ())
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


QUICK = 3  # a small one
SEEDS = [s if s == QUICK else pytest.param(s, marks=pytest.mark.slow) for s in range(20)]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        *(("ds_cnn", recipe) for recipe in ("int8", "a16w8", "a8w4")),
        *((name, "int8") for name in ("resnet8", "deep_autoencoder", "mobilenet_v1_025", "lstm")),
        *((name, "transformer") for name in ("deit_tiny_d2", "llama_block")),
    ],
)
def test_models_are_read_as_they_are(name: str, recipe: str) -> None:
    calibration, held_out = bench.calibration_inputs(name), bench.held_out_inputs(name)
    model = bench.load_models().build(name)
    report = numerics(
        model, calibration[:1], quantize=recipe, calibration=calibration, data=held_out[:4]
    )
    assert report.exact and report.reference == "float"
    assert max(layer.integer_lsb for layer in report.layers) <= 1
    # Untrained as they are, none loses more by its integers than by fake quantisation.
    assert all(layer.integer_db > layer.fake_db - 2 for layer in report.layers)


def weighted(program: ExportedProgram) -> torch.fx.Node:
    """Return the cast that reads the first weights."""
    target = torch.ops.quantized_decomposed.dequantize_per_channel.default
    return program.graph.find_nodes(op="call_function", target=target)[0]


@pytest.mark.parametrize("change", ["weights", "mismatched scales"])
def test_other_faults_are_told_apart(change: str) -> None:
    program, original, data = quantized(3)
    if change == "weights":
        scales = program.state_dict[_buffer(program, weighted(program).args[1])]
        scales.mul_(8)
        name = "linear"
    else:
        writer, (reader,) = casts(program)[1]
        reader.args = (reader.args[0], reader.args[1] * 8, *reader.args[2:])
        name = writer.args[0].name
    report = compare(program, original, data, INT)
    assert report.first is not None and report.first.cause == change, report.verdict
    assert report.first.name == name
    assert ("8 times what it should" in report.verdict) == (change == "weights")


def _buffer(program: ExportedProgram, node: object) -> str:
    return program.graph_signature.inputs_to_buffers[str(node)]


def test_a_fault_of_the_compiler_is_not_blamed_on_the_recipe(monkeypatch) -> None:
    program, original, data = quantized(3)
    sound, broken = module._Runner.run, 2

    def run(runner: module._Runner, inputs: tuple[Tensor, ...]) -> list[np.ndarray]:
        outputs = sound(runner, inputs)
        if len(outputs) > 1:  # the program whose layers are read
            outputs[1 + broken] = outputs[1 + broken] // 8
        return outputs

    monkeypatch.setattr(module._Runner, "run", run)
    report = compare(program, original, data, INT)
    assert report.first is report.layers[broken]
    assert report.first.cause == "integer arithmetic" and "please report" in report.reason


def test_outlier_channels_of_weights_with_one_scale() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    with torch.no_grad():
        model[0].weight[0] *= 400
        model[0].weight[1:] *= 0.5
        model[0].bias[0] = -1e4  # the channel is never seen: only its share of the scale is
    data = list(torch.randn(24, 1, 8))
    recipe = QuantRecipe(per_channel=False)
    report = numerics(model, (data[0],), quantize=recipe, calibration=data, samples=4)
    assert report.first is not None and report.first.cause == "outlier channels", report.verdict
    assert "15 of 16 channels" in report.reason


def test_errors_that_add_up(faulty: Numerics) -> None:
    ratios = [40.0, 11.0, 9.5, 8.0]
    layers = [
        dataclasses.replace(faulty.layers[0], name=f"op_{n}", integer_db=ratio, local_db=20.0 - n)
        for n, ratio in enumerate(ratios)
    ]
    assert first_useless(layers[:2]) is None
    found, reason = first_useless(layers) or (None, "")
    assert found is layers[2]
    assert "errors of 3 requantisations add up" in reason
    assert "'op_2' (18.0 dB), 'op_1' (19.0 dB), 'op_0' (20.0 dB)" in reason


def test_a_quantised_program_is_judged_without_its_float_model() -> None:
    program, _, data = quantized(3)
    report = numerics(program, data=data)
    assert (report.reference, report.exact, report.samples) == ("stored weights", True, len(data))
    assert all(layer.weights_db == math.inf for layer in report.layers)
    assert "not seen" in format_numerics(report)


def test_inputs_are_needed() -> None:
    model = nn.Sequential(nn.Linear(4, 4)).eval()
    x = torch.randn(1, 4)
    with pytest.raises(InputError, match="no input to judge by"):
        numerics(model, (x,), quantize="int8", calibration=[])
    with pytest.raises(InputError, match=r"no quantised activation|computes in integers"):
        numerics(model, (x,), data=[x])
    with pytest.raises(InputError, match=r"Data item 1 holds NaN or infinity in 'input'"):
        numerics(model, (x,), quantize="int8", calibration=[x], data=[x, x / 0])
    with pytest.raises(InputError, match=r"Data item 0 has 2 tensor\(s\); .* 1 \(input\)"):
        numerics(model, (x,), quantize="int8", calibration=[x], data=[(x, x)])


@pytest.fixture(scope="module")
def faulty() -> Numerics:
    """A report on a model of which one layer saturates."""
    program, original, data = quantized(3)
    rescale(program, random.Random(3), 1 / 8)
    return compare(program, original, data, INT)


def test_page(faulty: Numerics) -> None:
    page = html_page(faulty, "Numerics of <model>")
    assert page.count("<svg") == 3 and "<script" not in page and "<link" not in page
    assert "&lt;model&gt;" in page and faulty.verdict in html.unescape(page)
    assert page.count("<tr") == len(faulty.layers) + 1 and 'class="first"' in page


def test_json(faulty: Numerics) -> None:
    fields = json.loads(json.dumps(faulty.to_dict(), allow_nan=False))
    assert fields["first"] == faulty.first.name and len(fields["layers"]) == len(faulty.layers)
    assert fields["layers"][0]["weights_db"] is None  # an input has no weights: infinite


def test_page_without_matplotlib(faulty: Numerics, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install 'tosaic\[report\]'"):
        html_page(faulty, "x")


def test_two_programs() -> None:
    program, _, data = quantized(3)
    old = compile_program(program, INT, Options())
    items = [([a], [a]) for a in _stored_inputs(old, data)]
    same = compare_programs(old.module, old.module, items)
    assert same.first is None and "agree in every bit" in same.verdict and not same.only_new
    scales = program.state_dict[_buffer(program, weighted(program).args[1])]
    scales.mul_(1.5)
    new = compile_program(program, INT, Options())
    other = compare_programs(old.module, new.module, items)
    assert other.first is not None and other.first.constants_differ
    # The bias is in units of the weights' scale.
    assert (other.first.name, other.first.operator) == ("linear", "CONV2D"), other.verdict
    without = json.loads(json.dumps(other.to_dict(), allow_nan=False))
    assert without["first"] == "CONV2D of 'linear'"


def _stored_inputs(program: CompiledProgram, data: list[Tensor]) -> list[np.ndarray]:
    return [quantize_array(program.manifest.inputs[0], x.numpy()) for x in data]


def test_scales_that_a_recipe_moves_are_no_fault():
    """Float is the model after equalisation: its inner values are others than the user's."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 8)).eval()
    with torch.no_grad():
        model[0].weight[:4] *= 300
        model[2].weight[:, :4] /= 300
    data = [torch.randn(4, 16) for _ in range(8)]
    recipe = QuantRecipe(equalisation=True, per_channel=False)
    report = numerics(model, data[:1], quantize=recipe, calibration=data)
    assert report.reference == "float"
    assert report.exact
    assert all(layer.local_db > 20 for layer in report.layers)
