"""Repairs of accuracy: what they may move, that float stays the same, and what they gain."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

import tosaic
from tosaic.errors import InputError
from tosaic.quantizer import Override, QuantRecipe, TosaQuantizer, quantize
from tosaic.quantizer.balance import Balancer
from tosaic.quantizer.equalise import equalisable
from tosaic.quantizer.migrate import migratable
from tosaic.reports.repairs import repair_report
from tosaic.tools.bench import models as bench

BOTH = QuantRecipe(equalisation=True, migration=True)


@pytest.fixture(autouse=True)
def one_thread():
    """So that the last bits of sums, and figures, are the same on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Chain(nn.Module):
    """Convolutions whose channels can be scaled, of ranges far apart."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.LeakyReLU(),
            nn.Conv2d(8, 12, 3, groups=4),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(12 * 9, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.body(x), 1))


class Ends(nn.Module):
    """Chains that end: a clamp, a sum, a result that is also an output, and a shared weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(7))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b, c, d, e, f, g = self.layers
        x = b(nn.functional.relu6(a(x)))
        x = c(torch.relu(x) + 1.0)
        y = d(x)
        return f(f(e(y))) * torch.sigmoid(g(y)), y


class Gated(nn.Module):
    """A norm with two large channels, and a gated feed-forward behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.gate, self.up = nn.Linear(16, 24), nn.Linear(16, 24)
        self.down = nn.Linear(24, 16)
        large = torch.ones(16)
        large[:2] = 40.0
        with torch.no_grad():
            self.norm.weight.mul_(large)
            for layer in (self.gate, self.up):
                layer.weight.div_(large)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return self.down(nn.functional.silu(self.gate(y)) * self.up(y))


def chain(decades: float = 2.0) -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    model = Chain().eval()
    ranges = torch.logspace(-decades, decades, 8)[torch.randperm(8)]
    with torch.no_grad():
        model.body[1].weight.mul_(ranges)
        model.body[1].bias.uniform_(0, 1).mul_(ranges)
        model.body[3].weight.div_(ranges[:, None, None, None])
    return model, [torch.randn(1, 3, 8, 8) for _ in range(24)]


def gated() -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    return Gated().eval(), [torch.randn(1, 5, 16) for _ in range(24)]


def prepared(model: nn.Module, x: Tensor, recipe: QuantRecipe = BOTH) -> torch.fx.GraphModule:
    program = torch.export.export(model, (x,))
    return prepare_pt2e(program.module(check_guards=False), TosaQuantizer(recipe))


def sqnr(model: nn.Module, data: list[Tensor], recipe: QuantRecipe) -> float:
    program = quantize(model, data[:1], data[:12], quantizer=TosaQuantizer(recipe))
    fake = program.module(check_guards=False)
    with torch.no_grad():
        real, given = (torch.stack([run(x) for x in data[12:]]) for run in (model, fake))
    return bench.load_models().sqnr_db(real, given)


@pytest.mark.parametrize("make", [chain, gated])
def test_float_stays_the_same(make):
    model, data = make()
    before = copy.deepcopy(model.state_dict())
    graph = prepared(model, data[0])
    balancer = Balancer(graph, [*equalisable(graph), *migratable(graph)])
    with torch.no_grad():
        real = [balancer(x) for x in data]
        assert balancer.balance() >= 1
        after = [balancer(x) for x in data]
        for a, b, x in zip(real, after, data, strict=True):
            torch.testing.assert_close(a, model(x))
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4 * float(a.abs().max()))
    for name, value in model.state_dict().items():  # the user's tensors are not written to
        assert torch.equal(value, before[name]), name


def test_seams_of_a_chain():
    model, data = chain()
    found = {s.producer.name: s for s in equalisable(prepared(model, data[0]))}
    assert {name: [r.name for r in s.readers] for name, s in found.items()} == {
        "conv2d": ["conv2d_1"],
        "conv2d_1": ["conv2d_2"],
        "conv2d_2": ["linear"],
    }
    (columns,) = found["conv2d_2"].readers.values()  # flattened: each channel has nine columns
    assert columns.tolist() == [c for c in range(12) for _ in range(9)]


def test_where_chains_end():
    graph = prepared(Ends().eval(), torch.randn(1, 4, 5, 5))
    # Only a layer that another reads alone is left.
    assert [s.producer.name for s in equalisable(graph)] == ["conv2d_2"]
    assert migratable(graph) == []


def test_seams_of_a_transformer():
    models = bench.load_models()
    graph = prepared(models.build("llama_block"), bench.calibration_inputs("llama_block")[0])
    seams = migratable(graph)
    norms = [s.producer for s in seams if s.producer.target is torch.ops.aten.rms_norm.default]
    names = {norm: f"norm {number}" for number, norm in enumerate(norms)}
    found = {names.get(s.producer, s.producer.name): {r.name for r in s.readers} for s in seams}
    assert found == {
        "norm 0": {"linear", "linear_1", "linear_2"},
        "norm 1": {"linear_4", "linear_5"},
        "linear_2": {"linear_3"},  # values, shared by heads, to the projection
        "linear_5": {"linear_6"},  # up to down
    }
    assert equalisable(graph) == []


def test_overrides_choose_layers():
    recipe = QuantRecipe(equalisation=True, overrides=(Override(op="linear", equalisation=False),))
    model, data = chain()
    found = equalisable(prepared(model, data[0], recipe))
    assert {s.producer.name for s in found} == {"conv2d", "conv2d_1"}


@pytest.mark.parametrize("per_channel", [True, False])
def test_equalisation_evens_channels_out(per_channel):
    model, data = chain()
    plain = QuantRecipe(per_channel=per_channel)
    repaired = dataclasses.replace(plain, equalisation=True)
    assert sqnr(model, data, repaired) >= sqnr(model, data, plain) + 6


def test_migration_evens_outliers_out():
    model, data = gated()
    assert sqnr(model, data, QuantRecipe(migration=True)) >= sqnr(model, data, QuantRecipe()) + 6


def test_repairs_compile_to_the_same_bits():
    model, data = chain()
    recipe = dataclasses.replace(BOTH, weights="int4", rounding="learned")
    program = tosaic.compile(model, data[:1], quantize=recipe, calibration=iter(data))
    assert "xi4>" in program.text
    jit, reference = (program.run(data[0], executor=e)[0] for e in ("jit", "reference"))
    assert (jit == reference).all()
    again = tosaic.compile(model, data[:1], quantize=recipe, calibration=data)
    assert again.flatbuffer == program.flatbuffer


@pytest.mark.parametrize("options", [{"per_channel": False}, {"bias_correction": False}])
def test_learned_rounding_in_other_schemes(options):
    model, data = chain(decades=0)
    plain = QuantRecipe(rounding="nearest", weights="int4", **options)
    learned = dataclasses.replace(plain, rounding="learned")
    assert sqnr(model, data, learned) >= sqnr(model, data, plain) + 0.3


def test_report():
    model, data = chain()
    told = []
    report = repair_report(model, data[:1], data, quantize="int8", progress=told.append)
    steps = {s.name: s for s in report.steps}
    assert told == ["without repairs", *steps]
    assert list(steps) == [
        "bias_correction",
        "equalisation",
        "migration",
        "rounding=fitted",
        "rounding=learned",
    ]
    assert steps["equalisation"].kept and report.recipe.equalisation
    assert steps["migration"].after_db == steps["migration"].before_db
    assert not steps["migration"].kept and not report.recipe.migration
    gains = [s.after_db - s.before_db for s in report.steps if s.kept]
    assert report.after_db == pytest.approx(report.before_db + sum(gains))


def test_report_needs_data():
    model, data = chain()
    with pytest.raises(InputError, match=r"there are 3 input\(s\) in all\. Pass at least 4"):
        repair_report(model, data[:1], data[:3])
    with pytest.raises(InputError, match="Pass inputs that are not alike"):
        repair_report(model, data[:1], data, held_out=data[:1] * 4)
