"""Each integer op, in isolation, equals PT2E's fake quantisation of it but for rare single steps.

The fake-quantised graph is cut behind every `quantize_per_tensor`: what the quantised op computes
becomes an output, and its readers take an input instead. Fed with the integers that the uncut graph
has at those places, no op sees another's rounding.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch.fx import Graph, GraphModule, Interpreter, Node

import tosaic
from tosaic.quantizer import quantize
from tosaic.tools.bench import models as bench

MODELS = {name: m for name, m in bench.load_models().MODELS.items() if m.convolutional}
QUICK = ("ds_cnn", "resnet8", "deep_autoencoder", "mobilenet_v1_025")
MOST_UNEQUAL = 1e-4  # of all elements: ties, and float32 sums that end on another side of one
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default


class Recorder(Interpreter):
    """Runs a graph and keeps the integers behind every `quantize_per_tensor`."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.integers: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        if n.target == QUANTIZE:
            self.integers[n.name] = result
        return result


def cut(module: GraphModule) -> tuple[GraphModule, list[str], list[str]]:
    """Return the cut graph, and the quantize nodes that its inputs and its outputs stand for."""
    graph = Graph()
    copied: dict[Node, Node] = {}
    cuts = [node for node in module.graph.nodes if node.target == QUANTIZE]
    readers = {node: graph.placeholder(node.name) for node in cuts if node.users}
    # The model's input is quantised by the caller.
    computed = [node for node in cuts if node.args[0].op != "placeholder"]
    for node in module.graph.nodes:
        if node in computed or (node.op in ("get_attr", "call_function") and node not in cuts):
            copied[node] = graph.node_copy(node, lambda n: readers.get(n) or copied[n])
    graph.output(tuple(copied[node] for node in computed))
    names = [node.name for node in readers], [node.name for node in computed]
    return GraphModule(module, graph), *names


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]
)
def test_within_one_step_of_fake_quantisation(name: str) -> None:
    calibration = bench.calibration_inputs(name)
    program = quantize(bench.load_models().build(name), calibration[:1], calibration)
    fake = program.module(check_guards=False)
    recorder = Recorder(fake)
    with torch.no_grad():
        recorder.run(bench.held_out_inputs(name)[0])
    units, takes, gives = cut(fake)
    inputs = tuple(recorder.integers[key] for key in takes)
    compiled = tosaic.compile(torch.export.export(units, inputs))
    computed = compiled.run(*inputs, executor="reference")
    assert len(computed) == len(gives) >= 10
    steps = {
        key: np.abs(out.astype(int) - recorder.integers[key].numpy())
        for key, out in zip(gives, computed, strict=True)
    }
    assert {key: worst for key, step in steps.items() if (worst := int(step.max())) > 1} == {}
    total = sum(step.size for step in steps.values())
    assert sum(np.count_nonzero(step) for step in steps.values()) <= MOST_UNEQUAL * total
