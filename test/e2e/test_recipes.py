"""Recipes on models and ops: how near to fake quantisation and to float, and for which targets."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import tosaic
from tosaic.quantizer import Override, QuantRecipe, TosaQuantizer, find_recipe, quantize
from tosaic.tools.bench import models as bench

sys.path.insert(0, str(Path(__file__).parent))
from test_ops import CASES, _seeded
from test_per_op_fake_quant import Recorder, cut

RECIPES = ("a8w8", "a16w8", "a8w4", "a16w4")
QUANTIZABLE = [c for c in CASES if c.quantizable]
QUICK = ("conv_bn_relu", "linear", "add", "mul", "silu", "squeeze_excite")
# Steps of int16 by which an op may be off in isolation: rounding a sum of 48 bits with a factor of
# 15 costs one more than rounding costs, and so does dividing a padded window by its count.
STEPS = 2


@pytest.mark.parametrize(
    "case",
    [c if c.name in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in QUANTIZABLE],
    ids=lambda c: c.name,
)
def test_each_op_at_16_bits(case) -> None:
    model, samples = _seeded(case)
    quantizer = TosaQuantizer(find_recipe("a16w8"))
    fake = quantize(model, samples[0], samples, quantizer=quantizer).module(check_guards=False)
    recorder = Recorder(fake)
    with torch.no_grad():
        recorder.run(*samples[0])
    units, takes, gives = cut(fake)
    inputs = tuple(recorder.integers[key] for key in takes)
    if not gives:
        return  # nothing but movement
    compiled = tosaic.compile(torch.export.export(units, inputs))
    for key, out in zip(gives, compiled.run(*inputs, executor="reference"), strict=True):
        worst = np.abs(out.astype(int) - recorder.integers[key].numpy()).max()
        assert worst <= STEPS, (key, out.dtype)


CNNS = ("ds_cnn", "resnet8", "deep_autoencoder", "mobilenet_v1_025")
LARGE = ("mobilenet_v2", "mobilenet_v3_small", "resnet18")


@pytest.mark.parametrize(
    "name", ["ds_cnn", *(pytest.param(n, marks=pytest.mark.slow) for n in (*CNNS[1:], *LARGE))]
)
def test_16_bits_are_8_db_better(name: str) -> None:
    models = bench.load_models()
    model = models.build(name)
    calibration, held_out = bench.calibration_inputs(name), bench.held_out_inputs(name)
    with torch.no_grad():
        reference = torch.stack([model(x) for x in held_out])
    noise = {}
    for recipe in ("a8w8", "a16w8"):
        program = tosaic.compile(model, calibration[:1], quantize=recipe, calibration=calibration)
        outputs = torch.stack([torch.from_numpy(program.run(x)[0]) for x in held_out])
        noise[recipe] = models.sqnr_db(reference, outputs)
    assert noise["a16w8"] >= noise["a8w8"] + 8


class Small(nn.Module):
    """Every kind of op that a CNN has, and a weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.tied = nn.Conv2d(8, 8, 1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        y = y + self.tied(F.hardswish(self.tied(y)))
        z = F.max_pool2d(torch.cat([self.depthwise(y), y], 1), 2)
        up = F.avg_pool2d(self.up(z[:, :8]) * 0.5, 2)
        return self.head(torch.cat([z[:, :8].mean((2, 3)), up.mean((2, 3))], 1))


def small() -> tuple[nn.Module, list[Tensor], Tensor]:
    torch.manual_seed(3)
    model = Small().eval()
    data = [torch.randn(1, 3, 16, 16) for _ in range(8)]
    with torch.no_grad():
        return model, data, model(data[0])


def off_by(program: tosaic.CompiledProgram, x: Tensor, expected: Tensor) -> float:
    """Return the largest error, relative to the largest value."""
    (out,) = program.run(x)
    assert np.array_equal(out, program.run(x, executor="reference")[0])
    return float(np.abs(out - expected.numpy()).max() / expected.abs().max())


WITHIN = {"a8w8": 0.05, "a16w8": 0.01, "a8w4": 0.35, "a16w4": 0.35}


@pytest.mark.parametrize("device", ["tosa-1.0-int", "ethos-u55-128", "ethos-u85-256"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_compiles(recipe: str, device: str) -> None:
    model, data, expected = small()
    program = tosaic.compile(model, (data[0],), target=device, quantize=recipe, calibration=data)
    wide = "int16" if recipe.startswith("a16") else "int8"
    assert {i.dtype for i in (*program.manifest.inputs, *program.manifest.outputs)} == {wide}
    assert off_by(program, data[0], expected) < WITHIN[recipe]
    packed = recipe == "a8w4" and device.startswith("tosa")
    assert ("xi4>" in program.text) == packed


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("recipe", ["a8w8", "a16w8"])
def test_io_dtypes(recipe: str, dtype: str) -> None:
    model, data, expected = small()
    program = tosaic.compile(model, (data[0],), quantize=recipe, calibration=data, io_dtype=dtype)
    assert {i.dtype for i in (*program.manifest.inputs, *program.manifest.outputs)} == {dtype}
    assert off_by(program, data[0], expected) < 0.05
    given = program.manifest.inputs[0]
    stored = np.asarray(
        np.clip(
            np.rint(data[0].numpy() / given.scale) + given.zero_point,
            np.iinfo(dtype).min,
            np.iinfo(dtype).max,
        ),
        dtype,
    )
    (raw,) = program.run(stored)
    assert str(raw.dtype) == dtype


def test_widths_meet(  # a module in int16 between int8 ones, and an input that both read
) -> None:
    model, data, expected = small()
    recipe = QuantRecipe(
        overrides=(
            Override(module="tied", activations="int16"),
            Override(op="cat", activations="int16"),
            Override(module="head", weights="int4"),
        )
    )
    program = tosaic.compile(
        model, (data[0],), target="ethos-u55-128", quantize=recipe, calibration=data
    )
    assert program.manifest.inputs[0].dtype == program.manifest.outputs[0].dtype == "int8"
    assert "xi16>" in program.text
    assert off_by(program, data[0], expected) < 0.1

    class Both(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x) + torch.sigmoid(x)

    wide = QuantRecipe(overrides=(Override(op="tanh", activations="int16"),))
    x = torch.randn(2, 9)
    program = tosaic.compile(Both().eval(), (x,), quantize=wide, calibration=[x])
    assert program.manifest.inputs[0].dtype == "int16"
    assert off_by(program, x, Both()(x)) < 0.05


def test_ops_in_float() -> None:
    model, data, expected = small()
    recipe = QuantRecipe(overrides=(Override(op="linear", leave_float=True),))
    options = {"quantize": recipe, "calibration": data}
    program = tosaic.compile(model, (data[0],), target="tosa-1.0-int+fp", **options)
    assert off_by_float(program, data[0], expected) < 0.05
    with pytest.raises(tosaic.CompileError, match=r"test_recipes.py:\d+.* would run in float"):
        tosaic.compile(model, (data[0],), target="tosa-1.0-int", **options)


def off_by_float(program: tosaic.CompiledProgram, x: Tensor, expected: Tensor) -> float:
    return float(np.abs(program.run(x)[0] - expected.numpy()).max() / expected.abs().max())


@pytest.mark.parametrize(
    "observer", ["minmax", "moving_average", "histogram", "percentile", "mse", "kl"]
)
def test_observers(observer: str) -> None:
    model, data, expected = small()
    program = tosaic.compile(
        model, (data[0],), quantize=QuantRecipe(observer=observer), calibration=data
    )
    assert off_by(program, data[0], expected) < 0.1


@pytest.mark.parametrize("options", [{"symmetric": True}, {"per_channel": False}])
def test_schemes(options: dict[str, bool]) -> None:
    model, data, expected = small()
    program = tosaic.compile(model, (data[0],), quantize=QuantRecipe(**options), calibration=data)
    if "symmetric" in options:
        assert {i.zero_point for i in program.manifest.inputs} == {0}
    assert off_by(program, data[0], expected) < 0.1
