"""What is planned as one unit, and that all who read the plan read the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

import tosaic
from tosaic.frontend.units import units_of
from tosaic.lowering.ops import Quantized, op_table
from tosaic.quantizer import QuantRecipe, TosaQuantizer, finish_training, prepare_training, quantize
from tosaic.quantizer.plan import Plan
from tosaic.quantizer.recipe import Override
from tosaic.reports.explain import explain

pytestmark = pytest.mark.filterwarnings("ignore")
X = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))


class Of(nn.Module):
    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fn, self.linear, self.norm = fn, nn.Linear(6, 6), nn.LayerNorm(6)

    def forward(self, x: Tensor) -> Any:
        return self.fn(self, x)


def plan_of(fn: Callable[..., Any], recipe: QuantRecipe | None = None) -> tuple[Plan, GraphModule]:
    quantizer = TosaQuantizer(recipe or QuantRecipe())
    exported = torch.export.export(Of(fn).eval(), (X,)).module(check_guards=False)
    graph = quantizer.transform_for_annotation(exported)
    return quantizer.plan(graph), graph


def units(fn: Callable[..., Any], recipe: QuantRecipe | None = None) -> list[list[str]]:
    """Return the names of each unit's ops, of units that compute in integers."""
    plan, _ = plan_of(fn, recipe)
    return [[member.name for member in unit.members] for unit in plan.integer_units()]


def test_deciding_changes_nothing() -> None:
    plan, graph = plan_of(lambda m, x: F.relu(m.norm(m.linear(x))))
    assert [set(node.meta) & {"quantization_annotation", "custom"} for node in plan.units] == [
        set()
    ] * 3
    assert list(plan.units) == [n for n in graph.graph.nodes if n.op == "call_function"]


@pytest.mark.parametrize("op", ["linear", "norm"])
def test_clamps_belong_to_what_they_limit(op: str) -> None:
    def fn(m: Of, x: Tensor) -> Tensor:
        return F.relu6(F.relu(getattr(m, op)(x))).clamp(max=2.0)

    name = {"linear": "linear", "norm": "layer_norm"}[op]
    assert units(fn) == [[name, "relu", "relu6", "clamp"]]


def test_a_clamp_of_moved_data_is_its_own_unit() -> None:
    assert units(lambda m, x: F.relu(x.reshape(8, 6))) == [["reshape"], ["relu"]]


def test_a_clamp_beside_another_reader_is_its_own_unit() -> None:
    def fn(m: Of, x: Tensor) -> tuple[Tensor, Tensor]:
        y = m.norm(x)
        return F.relu(y), y

    assert units(fn) == [["layer_norm"], ["relu"]]


def test_a_clamp_of_another_recipe_is_its_own_unit() -> None:
    recipe = QuantRecipe(overrides=(Override(op="relu", activations="int16"),))
    assert units(lambda m, x: F.relu(m.linear(x)), recipe) == [["linear"], ["relu"]]


def test_a_function_of_one_tensor_is_one_unit() -> None:
    def fn(m: Of, x: Tensor) -> Tensor:
        return torch.tanh(torch.exp(x) * 0.5)

    plan, _ = plan_of(fn)
    (unit,) = plan.integer_units()
    assert unit.kind is Quantized.TABLE and unit.name == "tanh"
    assert [role.note for role in plan.roles().values()] == [
        *["looked up together with 'tanh'"] * 2,
        "",
    ]


def test_what_stays_in_float_has_a_reason() -> None:
    plan, _ = plan_of(lambda m, x: torch.linalg.matrix_norm(x).to(torch.int32))
    assert all(not unit.is_integer and unit.note for unit in plan.units.values())


def test_all_who_read_the_plan_read_the_same() -> None:
    """Annotation after training and after calibration, explain before and after."""

    def fn(m: Of, x: Tensor) -> Tensor:
        return torch.softmax(F.gelu(m.linear(F.relu(m.norm(x)))) * x, -1).clamp(max=0.5)

    model = Of(fn).eval()
    trainable = prepare_training(model, (X,))
    trainable(X)
    programs = [quantize(model, (X,), [X]), finish_training(trainable, (X,))]
    marked = [{n.name: units_of(n) for n in p.graph.nodes if units_of(n)} for p in programs]
    told = [[(r.name, r.how, r.reads, r.writes, r.weights) for r in explain(p)] for p in programs]
    before = explain(model, (X,))
    assert (
        marked[0]
        == marked[1]
        == {
            **{"layer_norm": ["layer_norm"], "relu": ["layer_norm"], "linear": ["linear"]},
            **{"gelu": ["gelu"], "mul": ["mul"], "softmax": ["softmax"], "clamp": ["softmax"]},
        }
    )
    assert told[0] == told[1] == [(r.name, r.how, r.reads, r.writes, r.weights) for r in before]


def test_the_plan_is_saved_with_a_program(tmp_path) -> None:
    quantised = quantize(Of(lambda m, x: F.relu(m.norm(x))).eval(), (X,), [X])
    torch.export.save(quantised, tmp_path / "net.pt2")
    loaded = torch.export.load(tmp_path / "net.pt2")
    assert [units_of(n) for n in loaded.graph.nodes if n.name == "relu"] == [["layer_norm"]]
    assert "tosaic.units" not in tosaic.compile(loaded).text  # it is checked, and dropped


def test_a_plan_that_was_not_kept_is_told(monkeypatch) -> None:
    """As where a unit's kind has no integer form of a combination of ops."""
    from tosaic.lowering.torch_to_tosa import convert

    quantised = quantize(Of(lambda m, x: F.relu(m.norm(x))).eval(), (X,), [X])
    monkeypatch.setattr(convert, "quantized_as", lambda op: None)
    for target in ("tosa-1.0-int", "tosa-1.0-int+fp"):
        with pytest.raises(tosaic.TosaicError) as error:
            tosaic.compile(quantised, target=target)
        assert "'layer_norm' at " in str(error.value)
        assert "the quantiser planned it in integers, but " in str(error.value)
        assert "leave 'layer_norm' in float" in str(error.value)


def test_the_facts_of_the_table_are_consistent() -> None:
    for name, entry in op_table().items():
        assert not (entry.moves and entry.elementwise), name
        assert not entry.moves or entry.quantized is Quantized.SHARED, name
        assert not entry.fuses_clamp or entry.quantized not in (Quantized.NO, Quantized.READS)
