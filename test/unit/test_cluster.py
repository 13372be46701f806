"""Clustered and pruned weights: few values, well chosen, in the compiled program."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.dialects.types import constant_value
from tosaic.emit.functions import entry_function
from tosaic.errors import InputError
from tosaic.quantizer import Override, QuantRecipe, TosaQuantizer, quantize
from tosaic.quantizer.cluster import _centres
from tosaic.quantizer.training import prepare_training


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.up = nn.ConvTranspose2d(8, 6, 2)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.depthwise(self.conv(x).relu()).relu())
        return self.head(x.mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


def images(count: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 3, 8, 8, generator=generator) for _ in range(count)]


def stored_weights(net: nn.Module, recipe: QuantRecipe) -> list[np.ndarray]:
    """The weights in the compiled program, in its order."""
    program = tosaic.compile(net, images(1, 0), quantize=recipe, calibration=images(4, 1))
    ops = entry_function(program.module).entry_block.operations
    found = [constant_value(op.operands[1]) for op in ops if "conv2d" in op.operation.name]
    assert len(found) == 4 and all(w is not None for w in found)
    return [np.asarray(w) for w in found]


@pytest.mark.parametrize("rounding", ["nearest", "fitted"])
@pytest.mark.parametrize("count", [2, 5, 16])
def test_a_layer_has_so_many_values(net: nn.Module, count: int, rounding: str) -> None:
    plain = stored_weights(net, QuantRecipe(rounding=rounding))
    assert all(np.unique(w).size > count for w in plain)
    weights = stored_weights(net, QuantRecipe(clusters=count, rounding=rounding))
    assert all(2 <= np.unique(w).size <= count for w in weights)


def test_pruned_weights_are_the_smallest(net: nn.Module) -> None:
    plain = stored_weights(net, QuantRecipe(rounding="nearest", per_channel=False))
    pruned = stored_weights(net, QuantRecipe(sparsity=0.5, rounding="nearest", per_channel=False))
    for before, after in zip(plain, pruned, strict=True):
        assert (after == 0).mean() == pytest.approx(0.5, abs=0.03)
        gone = (after == 0) & (before != 0)
        assert np.abs(before[gone]).max() <= np.abs(before[~gone & (before != 0)]).min()
        np.testing.assert_array_equal(after[after != 0], before[after != 0])


def test_clusters_of_pruned_weights_hold_zero(net: nn.Module) -> None:
    for weight in stored_weights(net, QuantRecipe(clusters=4, sparsity=0.6)):
        assert np.unique(weight).size <= 4
        assert (weight == 0).mean() >= 0.57


def test_an_override_clusters_one_layer(net: nn.Module) -> None:
    recipe = QuantRecipe(clusters=4, overrides=(Override(module="head", clusters=0),))
    conv, depthwise, up, head = (np.unique(w).size for w in stored_weights(net, recipe))
    assert max(conv, depthwise, up) <= 4 < head


def test_values_are_the_best_there_are() -> None:
    """Against all partitions of a small histogram."""
    random = np.random.default_rng(0)
    for _ in range(20):
        weights = random.integers(0, 6, 9).astype(float)
        used = np.flatnonzero(weights)

        def error(centres: np.ndarray, weights: np.ndarray = weights) -> float:
            places = np.arange(len(weights))
            return float((np.square(places[:, None] - centres).min(1) * weights).sum())

        best = min(error(np.array(c)) for c in itertools.combinations(range(9), 3))
        found = _centres(weights, 3)
        assert len(found) <= 3 and error(found) == pytest.approx(best)
        np.testing.assert_array_equal(_centres(weights, 9), used)


def test_fitting_makes_up_for_clusters() -> None:
    """On inputs that go together, a fitted layer errs less than one of nearest values."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 16)).eval()
    mixing = torch.randn(32, 32) * torch.linspace(1, 0.05, 32)
    data = [torch.randn(64, 32) @ mixing for _ in range(4)]
    held_out = torch.randn(256, 32) @ mixing

    def error(rounding: str) -> float:
        recipe = QuantRecipe(clusters=8, rounding=rounding, activations="int16")
        program = quantize(
            model,
            (held_out[:64],),
            data,
            quantizer=TosaQuantizer(recipe),
        ).module(check_guards=False)
        with torch.no_grad():
            return float(sum((program(x) - model(x)).square().sum() for x in held_out.split(64)))

    assert error("fitted") < 0.8 * error("nearest")


class Views(nn.Module):
    """A weight read as it is and transposed, and a product of two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.linear(x, self.weight.t()) + nn.functional.linear(x, self.weight)
        return y @ y.t()


def test_weights_that_are_views_or_shared() -> None:
    torch.manual_seed(0)
    model = Views().eval()
    before = model.weight.detach().clone()
    x = torch.randn(3, 6)
    program = tosaic.compile(model, (x,), quantize=QuantRecipe(clusters=4), calibration=[x])
    ops = entry_function(program.module).entry_block.operations
    weights = [constant_value(op.operands[1]) for op in ops if "conv2d" in op.operation.name]
    assert [np.unique(w).size <= 4 for w in weights if w is not None] == [True, True]
    torch.testing.assert_close(model.weight.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clusters = 1", "clusters=1 must be 0, for any number of values, or from 2 to 255"),
        ("clusters = 2.5", "must be 0"),
        ("sparsity = 1.0", "sparsity=1.0 must be zero or more, and below 1"),
        ("sparsity = true", "must be zero or more"),
    ],
)
def test_bad_settings(text: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        QuantRecipe.from_toml(text)
    assert told in str(error.value)


def test_training_has_no_clusters(net: nn.Module) -> None:
    with pytest.raises(InputError, match="clusters or prunes weights"):
        prepare_training(net, images(1, 0), recipe=QuantRecipe(clusters=4))


@pytest.mark.parametrize("name", ["ethos-u55-128", "ethos-u65-256"])
def test_vela_needs_less_flash(net: nn.Module, name: str) -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(256, 256)).eval()
    x = [torch.randn(1, 256) for _ in range(4)]

    def flash(recipe: QuantRecipe) -> float:
        vela = tosaic.compile(
            wide, (x[0],), target=name, quantize=recipe, calibration=x
        ).report.vela
        assert vela is not None
        return vela.flash_kib + vela.dram_kib

    whole = flash(QuantRecipe())
    assert flash(QuantRecipe(clusters=16)) < 0.6 * whole
    assert flash(QuantRecipe(sparsity=0.7)) < 0.6 * whole
