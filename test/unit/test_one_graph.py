"""Quantising, explaining, tuning and training decide on one and the same graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F
from torchao.quantization.pt2e.utils import _fuse_conv_bn_

from tosaic.frontend.export import export_model
from tosaic.quantizer import TosaQuantizer, find_recipe, prepare_training, quantize
from tosaic.quantizer import tosa_quantizer as module
from tosaic.quantizer.plan import Plan, decide
from tosaic.reports.explain import explain
from tosaic.tuning.choices import find_units


class Block(nn.Module):
    """What passes rewrite: a batch norm, attention, a norm by hand, a product with a weight."""

    def __init__(self, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8) if batch_norm else nn.Identity()
        self.qkv, self.weight = nn.Linear(8, 24), nn.Parameter(torch.randn(8, 8) / 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(image)).relu_().flatten(2).transpose(1, 2)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        q, k, v = self.qkv(x).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return F.gelu((x + y) @ self.weight)[:, 0]


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the graphs that decisions are made on, as the ops and shapes of their nodes."""
    graphs: list[list[str]] = []

    def recorded(model: GraphModule, *args: Any) -> Plan:
        graphs.append([_line(node) for node in model.graph.nodes if node.op == "call_function"])
        return decide(model, *args)

    monkeypatch.setattr(module, "decide", recorded)
    return graphs


def _line(node: torch.fx.Node) -> str:
    value = node.meta["val"]
    return f"{node.target} {list(value.shape)}"


IMAGE = torch.randn(2, 3, 4, 4)
RECIPE = find_recipe("int8")


def graph_seen(decided: list[list[str]], by: Callable[[], Any]) -> list[str]:
    decided.clear()
    by()
    assert decided and all(graph == decided[0] for graph in decided)
    return decided[0]


def test_all_decide_on_one_graph(decided: list[list[str]]) -> None:
    model = Block(batch_norm=True).eval()
    program = export_model(model, (IMAGE,))
    seen = [
        graph_seen(decided, by)
        for by in (
            lambda: quantize(model, (IMAGE,), [IMAGE]),
            lambda: quantize(program, (), [IMAGE]),
            lambda: explain(program, RECIPE),
            lambda: find_units(program, RECIPE),
        )
    ]
    assert all(graph == seen[0] for graph in seen)
    assert not any("batch_norm" in line or "attention" in line for line in seen[0])
    assert sum("rms_norm" in line for line in seen[0]) == 1
    assert sum("linear" in line for line in seen[0]) == 2


def test_training_decides_on_it_too(decided: list[list[str]]) -> None:
    model = Block(batch_norm=False).eval()
    trained = graph_seen(decided, lambda: prepare_training(model, (IMAGE,)))
    trained.remove("aten.permute.default [8, 8]")  # of a weight, which training goes on changing
    assert trained == graph_seen(decided, lambda: quantize(model, (IMAGE,), [IMAGE]))


def test_torchao_has_no_batch_norm_left_to_fold() -> None:
    program = export_model(Block(batch_norm=True).eval(), (IMAGE,))
    graph = program.module(check_guards=False)
    graph = TosaQuantizer(RECIPE).transform_for_annotation(graph)
    before = [(node.op, node.target) for node in graph.graph.nodes]
    _fuse_conv_bn_(graph)
    assert [(node.op, node.target) for node in graph.graph.nodes] == before
