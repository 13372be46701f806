"""What the quantiser plans is what is lowered: every kind of op with everything that may follow it.

The plan, what `explain` says, the casts of the converted graph and the integers must agree.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from contract_pairs import Pairs, Tensors
from op_cases import Case
from torch import nn
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

import tosaic
from tosaic.graph.facts import table_name
from tosaic.lowering.ops import Quantized, op_table
from tosaic.quantizer import QuantRecipe, TosaQuantizer, quantize
from tosaic.quantizer.parts import to_parts
from tosaic.quantizer.plan import Plan
from tosaic.reports.explain import HOW, explain

pytestmark = pytest.mark.filterwarnings("ignore")
CASES: dict[str, Case] = {
    case.name: case
    for path in [*sorted(Path(__file__).parent.glob("op_cases*.py")), Path("contract_cases.py")]
    for case in importlib.import_module(path.stem).CASES
    if case.quantizable
}
# One op of each way to be quantised; the full product is for `make nightly`.
QUICK = {
    "int8": (
        *("conv_bn", "linear_vector", "add", "mean_last", "elu", "clamp", "flatten", "max_pool_1d"),
        *("layer_norm", "softmax", "instance_norm", "var", "logsumexp"),
    ),
    "a16w8": ("linear_vector", "add", "mul_scalar", "elu", "layer_norm", "cumsum", "adaptive_pool"),
}
# Minima and maxima, for which ranges are observed is of no interest here, and quick.
RECIPES = {
    "int8": QuantRecipe(observer="minmax"),
    "a16w8": QuantRecipe(activations="int16", observer="minmax"),
}


def seeded(case: Case) -> nn.Module:
    torch.manual_seed(0)
    model = case.make().eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(-1, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    return model


def drawn(case: Case, op: nn.Module) -> Tensors:
    """Return inputs of a case, and a tensor of its result's shape, of numbers up to 1.

    A product with these passes on no larger an error than it is given.
    """
    make = getattr(case, "inputs", None) or (lambda: tuple(torch.randn(s) for s in case.shapes))
    given = make()
    with torch.no_grad():
        y = op(*(x.clone() for x in given))
    return (*given, torch.rand(y.shape) * 2 - 1)


def check(case: Case, recipe: str) -> list[str]:
    """Return what is wrong with an op and each of its followers; nothing where all agree."""
    model = Pairs(lambda: seeded(case)).eval()
    torch.manual_seed(1)
    samples = [[drawn(case, op) for op in model.ops] for _ in range(2)]
    model.bind(samples[0])
    inputs, others = (tuple(x for given in sample for x in given) for sample in samples)
    plans: list[Plan] = []
    quantizer = _Remembering(RECIPES[recipe], plans=plans)
    fake = quantize(model, inputs, [inputs, others], quantizer=quantizer)
    problems = [*untrue(plans[-1], fake)]
    program = tosaic.compile(fake, target="tosa-1.0-int")  # which has no float at all
    with torch.no_grad():
        wanted = fake.module(check_guards=False)(*inputs)
    got = program.run(*inputs, executor="runtime")
    for label, real, stored, step in zip(
        model.labels(samples[0]), wanted, got, coarsest_steps(fake), strict=True
    ):
        off = float(np.abs(real.numpy() - stored).max(initial=0.0)) / step
        if off > case.tolerance + 1.01:
            problems.append(f"with {label} the integers are off by {off:.2f} steps")
    return problems


@dataclass(frozen=True)
class _Remembering(TosaQuantizer):
    """A quantiser that keeps the plans it annotates by."""

    plans: list[Plan] = field(default_factory=list)

    def plan(self, model: GraphModule) -> Plan:
        self.plans.append(super().plan(model))
        return self.plans[-1]


def untrue(plan: Plan, fake: ExportedProgram) -> Iterator[str]:
    """Tell where the casts of the converted graph are not as the plan, or `explain`, says."""
    told = {report.name: report for report in explain(fake)}
    for node, role in plan.roles().items():
        report = told.get(node.name)
        if report is None:
            continue  # a batch norm, whose convolution has taken it
        wanted = (HOW[role.kind], role.reads, role.writes, role.weights)
        found = (report.how, report.reads, report.writes, report.weights)
        if wanted != found:
            yield f"{node.name} is planned as {wanted}, and quantised as {found}"
    nodes = {node.name: node for node in fake.graph.nodes}
    for unit in plan.integer_units():
        for member in (nodes[m.name] for m in unit.members[:-1] if m.name in nodes):
            if any(_is_cast(user) for user in member.users):
                yield f"'{member.name}' is rounded inside of the unit '{unit.name}'"


def coarsest_steps(fake: ExportedProgram) -> list[float]:
    """Return, for each output, the largest scale of what is computed on the way to it."""
    scales: dict[Node, float] = {}
    for node in fake.graph.nodes:
        scales[node] = max((scales[n] for n in node.all_input_nodes), default=0.0)
        if _is_cast(node) and "channel" not in node.name and node.args[0].op != "placeholder":
            scales[node] = max(scales[node], node.args[1])
    return [scales[result] for result in fake.graph.output_node().args[0]]


def _is_cast(node: Node) -> bool:
    return getattr(node.target, "namespace", "") == "quantized_decomposed"


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        pytest.param(kind, recipe, marks=[] if kind in QUICK[recipe] else pytest.mark.slow)
        for kind in CASES
        for recipe in RECIPES
    ],
)
def test_every_kind_with_every_follower(kind: str, recipe: str) -> None:
    assert check(CASES[kind], recipe) == []


# Quantised only by name: their result has a size that depends on data, is no float, or they are
# written otherwise before anything is quantised.
UNREACHED = {
    *("masked_select", "argmax", "argmin", "mode", "convolution", "constant_pad_nd", "addmm"),
    *("softsign", "tanhshrink"),
}


@pytest.mark.slow
def test_there_is_a_case_of_every_kind() -> None:
    """Each lowering that the table enters as quantised is reached by a case."""
    reached = set()
    for case in CASES.values():
        op = seeded(case)
        program = torch.export.export(op, drawn(case, op)[:-1])
        reached |= {table_name(node) for node in program.graph.nodes}
        parts = to_parts(program.module(check_guards=False))
        reached |= {table_name(node) for node in parts.graph.nodes}
    table = op_table()
    lowered = {table[name].lower for name in reached & table.keys()}
    missing = {
        name.split(".")[2]
        for name, entry in table.items()
        if entry.quantized is not Quantized.NO and entry.lower not in lowered
    }
    assert sorted(missing - UNREACHED) == []
