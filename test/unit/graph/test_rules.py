"""The driver of local rewrites: to the end, by what became new, and not for ever."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.fx import Node

from support.normal_form import exported, graph_of, ops_of
from tosaic.errors import CompileError
from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import INNER, arguments
from tosaic.graph.rules import apply_rules, rule

aten = torch.ops.aten
X = torch.rand(4, 2) + 0.5


@rule(aten.sin.default)
def sine_is_cosine(e: Emitter, node: Node) -> Node:
    return e(aten.cos.default, *node.args)


@rule(aten.cos.default)
def cosine_is_tangent(e: Emitter, node: Node) -> Node:
    return e(aten.tan.default, *node.args)


@rule(aten.relu.default)
def no_rectifier(e: Emitter, node: Node) -> Any:
    return arguments(node)[0]


@rule(aten.unbind.int)
def items(e: Emitter, node: Node) -> list[Node]:
    return [e(aten.select.int, arguments(node)[0], 0, n) for n in range(4)]


@rule(aten.tan.default)
def builds_and_refuses(e: Emitter, node: Node) -> None:
    e(aten.exp.default, *node.args)


@rule(aten.tan.default)
def tangent_is_sine(e: Emitter, node: Node) -> Node:
    return e(aten.sin.default, *node.args)


def test_what_a_rule_makes_is_looked_at_again() -> None:
    graph = graph_of(exported(torch.sin, X))
    assert apply_rules(graph, [cosine_is_tangent, sine_is_cosine])
    assert ops_of(graph) == {"tan.default": 1}
    assert [n.name for n in graph.graph.nodes if n.op == "call_function"] == ["sin"]
    assert not apply_rules(graph, [cosine_is_tangent, sine_is_cosine])


def test_a_node_may_be_replaced_by_one_that_was_there() -> None:
    graph = graph_of(exported(lambda x: x.relu().relu(), X))
    assert apply_rules(graph, [no_rectifier])
    assert not ops_of(graph)


def test_a_list_is_replaced_item_by_item() -> None:
    graph = graph_of(exported(lambda x: (x.unbind()[2], x.unbind()[0]), X))
    assert apply_rules(graph, [items])
    graph.graph.eliminate_dead_code()
    graph.recompile()
    assert ops_of(graph) == {"select.int": 2}
    torch.testing.assert_close(graph(X), (X[2], X[0]))


def test_a_rule_that_does_not_fit_leaves_nothing() -> None:
    graph = graph_of(exported(torch.tan, X))
    assert not apply_rules(graph, [builds_and_refuses])
    assert ops_of(graph) == {"tan.default": 1}


def test_rules_in_a_circle_are_told() -> None:
    graph = graph_of(exported(torch.sin, X))
    with pytest.raises(CompileError, match="does not come to an end"):
        apply_rules(graph, [sine_is_cosine, cosine_is_tangent, tangent_is_sine])


def test_what_is_inside_of_a_composite_stays() -> None:
    graph = graph_of(exported(torch.sin, X))
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.sin.default)
    node.meta[INNER] = True
    assert not apply_rules(graph, [sine_is_cosine])
