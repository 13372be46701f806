"""The quantiser on data and weights that go wrong, and training with simulated rounding."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tosaic
from tosaic.errors import InputError
from tosaic.quantizer import (
    QuantRecipe,
    TosaQuantizer,
    finish_training,
    prepare_training,
    quantize,
)
from tosaic.quantizer.histograms import (
    Histogram,
    by_divergence,
    by_percentile,
    by_squared_error,
)

IMAGE = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
RECIPES = ("a8w8", "a16w8", "a8w4")


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()


def relative_error(model: nn.Module, recipe: str, x: Tensor) -> float:
    program = tosaic.compile(model, (x,), quantize=recipe, calibration=[x])
    with torch.no_grad():
        expected = model(x).numpy()
    (out,) = program.run(x)
    assert np.array_equal(out, program.run(x, executor="reference")[0])
    return float(np.abs(out - expected).max() / np.abs(expected).max())


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x) + x


@pytest.mark.parametrize(
    ("model", "data", "told"),
    [
        (net(), [], r"needs calibration data and got none"),
        (net(), [IMAGE, IMAGE / 0], r"item 1 holds NaN or infinity"),
        (net(), [IMAGE[:0]], r"item 0 has no elements: its shape is \[0, 3, 8, 8\]"),
        (net(), [IMAGE[:, :2]], r"item 0 \(shapes \(1, 2, 8, 8\)\) does not run through the model"),
        (net(), ["image"], r"item 0 holds a str"),
        (Log(), [IMAGE], r"gives NaN in 'log' at .*test_quantizer.py:\d+"),
    ],
)
@pytest.mark.parametrize("recipe", RECIPES)
def test_bad_data(model, data, told, recipe):
    with pytest.raises(InputError) as error:
        tosaic.compile(model, (IMAGE,), quantize=recipe, calibration=data)
    assert re.search(told, str(error.value))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("data", [torch.zeros_like(IMAGE), torch.full_like(IMAGE, 3.0)])
def test_constant_data(recipe, data):
    assert relative_error(net(), recipe, data) < 0.02


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e30])
def test_extreme_weights(recipe, factor):
    model = net()
    with torch.no_grad():
        for parameter in model[0].parameters():
            parameter.mul_(factor)
    assert relative_error(model, recipe, IMAGE) < (0.1 if recipe == "a8w4" else 0.02)


@pytest.mark.parametrize("bias", [True, False])
def test_bias_correction_keeps_the_mean(bias):
    torch.manual_seed(0)
    model, x = nn.Linear(16, 4, bias=bias), torch.randn(64, 16) + 3.0
    error = {}
    for correct in (True, False):
        recipe = QuantRecipe(weights="int4", rounding="nearest", bias_correction=correct)
        program = quantize(model, (x,), [x], quantizer=TosaQuantizer(recipe)).module()
        error[correct] = (program(x) - model(x)).mean(0).abs().max().item()
    assert error[True] < 0.1 * error[False]


def test_rows_of_norms_count_alike():
    """A few rows of large numbers do not set the range of what a norm reads."""
    torch.manual_seed(0)
    x = torch.randn(64, 32) * torch.where(torch.arange(64) % 16 == 0, 20.0, 1.0)[:, None]
    model = nn.LayerNorm(32)
    error = {}
    for observer in ("auto", "mse"):
        quantizer = TosaQuantizer(QuantRecipe(observer=observer))
        program = quantize(model, (x,), [x], quantizer=quantizer).module()
        error[observer] = (program(x) - model(x)).square().mean().item()
    assert error["auto"] < 0.5 * error["mse"]


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_extreme_data(factor):
    assert relative_error(net(), "a8w8", IMAGE * factor) < 0.02


def test_masks_may_be_infinite():
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.tensor([0.0, float("-inf"), 0.0]))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(x + self.mask)

    program = tosaic.compile(
        Masked().eval(), (torch.rand(4, 3),), quantize="int8", calibration=[torch.rand(4, 3)] * 3
    )
    assert (program.run(torch.rand(4, 3))[0][:, 1] == 0).all()


class Writes(nn.Module):
    """Writes in place to what other tensors share memory with."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.how = nn.Linear(8, 8), how

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "input":
            x.mul_(2)
        hidden = self.linear(x)
        first = hidden[..., :4]
        if self.how == "view":
            first.mul_(3)
        elif self.how == "viewed":
            hidden.mul_(3)
        elif self.how == "index":
            hidden[..., :4] = 0.5
        return self.linear(hidden).relu_() + first.sum(-1, keepdim=True)


@pytest.mark.parametrize("how", ["view", "viewed", "index"])
def test_writes_that_other_tensors_show(how):
    model = Writes(how).eval()
    with torch.no_grad():
        expected = model(IMAGE).numpy()
    program = tosaic.compile(model, (IMAGE,), quantize="int8", calibration=[IMAGE])
    error = np.abs(program.run(IMAGE)[0] - expected).max() / np.abs(expected).max()
    assert error < 0.03


def test_writes_to_an_input_are_refused():
    with pytest.raises(
        InputError, match=r"writes to its input 'x' while it runs at .*test_quantizer.py:\d+"
    ):
        tosaic.compile(Writes("input").eval(), (IMAGE,), quantize="int8", calibration=[IMAGE])


def test_a_rescale_beyond_tosa():
    class Far(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 1e30) @ (x * 1e30).mT * 1e-38 + x.sum() * 1e-38

    x = torch.rand(1, 4, 4)
    with pytest.raises(tosaic.TosaicError):
        tosaic.compile(Far().eval(), (x,), quantize="int8", calibration=[x])


def test_a_lone_batch_norm_is_not_searched_for_patterns_of_training(monkeypatch):
    export, calls = torch.export.export, []
    monkeypatch.setattr(torch.export, "export", lambda *a, **k: calls.append(a) or export(*a, **k))
    x = torch.randn(1, 3, 4, 4)
    quantised = quantize(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()).eval(), (x,), [(x,)])
    assert len(calls) == 1
    assert any(n.target == torch.ops.aten.batch_norm.default for n in quantised.graph.nodes)


def test_the_model_keeps_its_weights():
    model = net()
    before = [p.clone() for p in model.parameters()]
    quantize(model, (IMAGE,), [IMAGE], quantizer=tosaic.TosaQuantizer(find("a16w4")))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def find(name: str) -> tosaic.QuantRecipe:
    from tosaic.quantizer import find_recipe

    return find_recipe(name)


def histogram(seed: int = 0) -> Histogram:
    """A normal distribution, and one value in ten million far out."""
    values = np.concatenate([np.random.default_rng(seed).normal(size=100_000), [40.0]])
    counts, edges = np.histogram(values, 2048)
    counts[:-1] *= 100
    return Histogram(counts.astype(np.float64), float(edges[0]), float(edges[-1]))


@pytest.mark.parametrize("search", [by_percentile, by_squared_error, by_divergence])
def test_searches_cut_an_outlier_off(search):
    low, high = search(histogram(), 256, 99.9)
    assert -6 < low < -2 and 2 < high < 10


def test_a_percentile_is_of_the_counts():
    flat = Histogram(np.ones(1000), 0.0, 1000.0)
    assert by_percentile(flat, 256, 90.0) == pytest.approx((50.0, 950.0))


def test_training_refuses():
    with pytest.raises(InputError, match=r"takes a torch.nn.Module, got str"):
        prepare_training("net", (IMAGE,))
    with pytest.raises(InputError, match="no quantisation recipe named 'int9'"):
        prepare_training(net(), (IMAGE,), recipe="int9")


@pytest.fixture(scope="module")
def digits():
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    import digits as example
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    return example, train_test_split(
        images, torch.tensor(data.target), test_size=0.25, random_state=0, stratify=data.target
    )


def fit(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.01, epochs=epochs, steps_per_epoch=len(images) // 64
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: len(images) // 64 * 64].split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()


@pytest.mark.slow
def test_training_beats_calibration_at_4_bits(digits):
    example, (train_x, test_x, train_y, test_y) = digits
    model = example.Digits(width=4)
    fit(model, train_x, train_y, 12)
    model.eval()
    sizes = ({0: torch.export.Dim("n", min=2, max=2048)},)

    def accuracy(program: torch.export.ExportedProgram) -> float:
        compiled = tosaic.compile(program, dims={"image.0": len(test_x)})
        assert "xi4>" in compiled.text and "BATCH" not in str(compiled.report.operators)
        return float((compiled.run(test_x)[0].argmax(1) == test_y.numpy()).mean())

    examples = (train_x[:64],)
    calibrated = quantize(
        model,
        examples,
        train_x[:256].split(64),
        quantizer=tosaic.TosaQuantizer(find("a8w4")),
        dynamic_shapes=sizes,
    )
    trainable = prepare_training(model, examples, recipe="a8w4", dynamic_shapes=sizes)
    trainable.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(trainable, train_x, train_y, 12)
    trained = finish_training(trainable, examples, dynamic_shapes=sizes)
    assert accuracy(trained) > accuracy(calibrated)


def test_constants_may_be_outputs():
    class Constants(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(4, 5))

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return torch.relu(x), torch.ones(3) * 2.5, self.table

    model = Constants().eval()
    program = tosaic.compile(model, (IMAGE,), quantize="int8", calibration=[IMAGE])
    for result, expected in zip(program.run(IMAGE), model(IMAGE), strict=True):
        real = expected.detach().numpy()
        assert np.abs(result - real).max() < 0.01 * np.abs(real).max()
