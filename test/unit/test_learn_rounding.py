"""Learned rounding: the data it makes, what it keeps, and when it gives way to fitted rounding."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from tosaic.quantizer import QuantRecipe, TosaQuantizer, quantize, round_weights
from tosaic.quantizer.enlarge import enlarged
from tosaic.quantizer.fit_weights import attribute
from tosaic.quantizer.judge import Judge
from tosaic.quantizer.prepare import calibrate
from tosaic.quantizer.rounding import Simulation
from tosaic.tools.bench import models as bench
from tosaic.tools.bench.repairs import compiled_sqnr_db

LEARNED = QuantRecipe(weights="int4", rounding="learned")
FITTED = dataclasses.replace(LEARNED, rounding="fitted")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.second(torch.relu(self.first(x))))
        return self.last(y.mean((2, 3)))


def small() -> tuple[nn.Module, list[Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Small().eval()
    return model, bench.load_models().structured_inputs((1, 1, 10, 10), 32, 0)


def prepared(recipe: QuantRecipe) -> tuple[torch.fx.GraphModule, list[tuple[Tensor, ...]]]:
    model, data = small()
    graph = torch.export.export(model, (data[0],)).module(check_guards=False)
    found = prepare_pt2e(graph, TosaQuantizer(recipe))
    calibrate(found, data[:8])
    return found, [(x,) for x in data[:8]]


def weights(program: torch.export.ExportedProgram) -> list[Tensor]:
    return [*program.state_dict.values(), *program.constants.values()]


def test_items_are_enlarged_by_mixtures():
    items = [(torch.full((1, 1, 2, 3), float(n)), torch.tensor([n])) for n in range(3)]
    state = torch.random.get_rng_state()
    found = enlarged(items, 20)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(found) == 20 and found[:3] == items
    shares = {float(x.mean()) for x, _ in found[3:]}
    assert len(shares) == 17 and all(0 < s < 2 for s in shares)
    assert {int(n) for _, n in found} == {0, 1, 2}  # no mixtures of whole numbers
    for a, b in zip(found, enlarged(items, 20), strict=True):
        assert torch.equal(a[0], b[0])


def test_only_images_are_mirrored():
    ramp = torch.arange(6.0)
    images = [(ramp.reshape(1, 1, 2, 3),)] * 2
    seen = {tuple(x.flatten().tolist()) for (x,) in enlarged(images, 64)}
    assert len(seen) > 4
    rows = [(ramp.reshape(1, 6),)] * 2
    assert all(torch.allclose(x, ramp) for (x,) in enlarged(rows, 64))


@pytest.mark.parametrize(
    "items",
    [
        [(torch.zeros(1, 2),)],
        [(torch.tensor([1, 2]),), (torch.tensor([3, 4]),)],
    ],
)
def test_items_that_cannot_be_mixed_stay_alone(items):
    assert enlarged(items, 10) == items


def test_items_of_other_shapes_are_not_mixed():
    items = [(torch.zeros(1, 2),), (torch.ones(1, 3),)]
    for (x,) in enlarged(items, 10):
        assert torch.equal(x, items[x.shape[1] - 2][0])


@torch.no_grad()
def test_simulation_rounds_or_does_not():
    graph, items = prepared(LEARNED)
    model, _ = small()
    exact, rounded = (Simulation(graph, rounds=r).run(*items[0]) for r in (False, True))
    torch.testing.assert_close(exact, model(*items[0]))
    assert 1e-4 < float((rounded - exact).abs().max()) < 1


@torch.no_grad()
def test_judge_sees_a_change_of_a_layer():
    graph, items = prepared(LEARNED)
    judge = Judge(graph, items)
    layer = next(n for n in graph.graph.nodes if n.target is torch.ops.aten.conv2d.default)
    given = []
    for item in items:
        holders = [n for n in graph.graph.nodes if n.op == "get_attr"]
        values = {n: attribute(graph, n) for n in holders}
        (source,) = (n for n in graph.graph.nodes if n.op == "placeholder")
        values |= {
            n: values[n.args[0]] for n in graph.graph.nodes if n.args[:1] in {(h,) for h in holders}
        }
        given.append(values | {source: item[0], layer.args[0]: item[0]})
    weight = attribute(graph, layer.args[1].args[0])
    none = torch.zeros(weight.shape[0])
    assert judge.error(layer, weight, none, given) < 1e-9
    off = judge.error(layer, weight * 1.01, none, given)
    assert 0 < off < judge.error(layer, weight * 1.1, none, given)
    assert judge.error(layer, weight, none + 0.1, given) > 0


@torch.no_grad()
def test_learned_rounding_errs_less_and_repeats():
    model, data = small()
    real = torch.stack([model(x) for x in data[8:]])

    def judged(recipe):
        program = quantize(model, data[:1], data[:8], quantizer=TosaQuantizer(recipe))
        run = program.module(check_guards=False)
        given = torch.stack([run(x) for x in data[8:]])
        return bench.load_models().sqnr_db(real, given), weights(program)

    nearest, _ = judged(dataclasses.replace(LEARNED, rounding="nearest"))
    learned, values = judged(LEARNED)
    assert learned >= nearest + 0.5
    _, again = judged(LEARNED)
    assert all(torch.equal(a, b) for a, b in zip(values, again, strict=True))


def test_fitted_where_learning_does_not_help(monkeypatch):
    model, data = small()
    spoilt = round_weights.RoundingLearner.learn

    def spoil(self, items):
        spoilt(self, items)
        self._model.last.weight.data.mul_(0.5)

    monkeypatch.setattr(round_weights.RoundingLearner, "learn", spoil)
    given, fitted = (
        quantize(model, data[:1], data[:8], quantizer=TosaQuantizer(r)) for r in (LEARNED, FITTED)
    )
    assert all(torch.equal(a, b) for a, b in zip(weights(given), weights(fitted), strict=True))


# What four bits may lose against eight, in dB, on the compiled integers.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed", "most"),
    [("ds_cnn", 0, 3.0), ("resnet8", 0, 3.0), ("ds_cnn", 1, 5.5), ("resnet8", 1, 3.5)],
)
def test_four_bits_against_eight(name, seed, most):
    repaired = dataclasses.replace(LEARNED, equalisation=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that the last bits of sums are the same on every machine
    try:
        narrow, _ = compiled_sqnr_db(name, repaired, seed)
        wide, _ = compiled_sqnr_db(name, QuantRecipe(), seed)
    finally:
        torch.set_num_threads(threads)
    assert narrow >= wide - most
