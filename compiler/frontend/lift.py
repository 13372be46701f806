"""A rewritten graph back to an ExportedProgram, without tracing it a second time."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import Graph, GraphModule, Node

from tosaic.graph.values import as_fake, attribute, fake_mode, infer_value


def lift(module: GraphModule, origin: ExportedProgram) -> ExportedProgram:
    """Return `module`, rewritten from ``origin.module()``, as an ExportedProgram.

    Its inputs, outputs and dynamic dims are those of `origin`; ops and constants may be others.
    `module` is used up. Exporting it again would find the same graph, and take as long as the
    first time.
    """
    graph = module.graph
    forget_origins(graph)
    constants = _lift_constants(graph, module)
    _infer_values(graph, constants, origin)
    # PARAMETER where it is one still; what the rewriting made (int8 weights, scales) is a buffer.
    inputs = [
        InputSpec(InputKind.PARAMETER, TensorArgument(name), target)
        if isinstance(value, torch.nn.Parameter)
        else InputSpec(InputKind.BUFFER, TensorArgument(name), target, persistent=True)
        for name, (target, value) in constants.items()
    ]
    signature = origin.graph_signature
    user_inputs = [s for s in signature.input_specs if s.kind == InputKind.USER_INPUT]
    nodes = graph.find_nodes(op="placeholder")[len(constants) :]
    for node, spec in zip(nodes, user_inputs, strict=True):
        node.name = node.target = spec.arg.name  # FX renames what is a Python word, such as input
    outputs = [
        OutputSpec(spec.kind, TensorArgument(result.name), spec.target)
        if isinstance(result, Node)
        else spec
        for spec, result in zip(
            [s for s in signature.output_specs if s.kind == OutputKind.USER_OUTPUT],
            graph.output_node().args[0],  # type: ignore[arg-type]
            strict=True,
        )
    ]
    return ExportedProgram(
        module,
        graph,
        ExportGraphSignature([*inputs, *user_inputs], outputs),
        dict(constants.values()),
        origin.range_constraints,
        origin.module_call_graph[:1],  # of the whole; what is inside was rewritten
        origin.example_inputs,
        verifiers=origin.verifiers,
    )


def forget_origins(graph: Graph) -> None:
    """Drop PyTorch's record of what each node was copied from, which every further copy copies."""
    for node in graph.nodes:
        node.meta.pop("from_node", None)


def _lift_constants(graph: Graph, module: GraphModule) -> dict[str, tuple[str, torch.Tensor]]:
    """Turn each tensor attribute into a placeholder in front; return name -> (target, value)."""
    placeholders: dict[Any, Node] = {}
    constants = {}
    with graph.inserting_before(None):  # always in front of all, hence the order
        for node in reversed(graph.find_nodes(op="get_attr")):
            value = attribute(module, node)
            if not isinstance(value, torch.Tensor):
                continue  # a branch of control flow
            if node.target not in placeholders:
                placeholder = graph.placeholder(node.name)
                placeholder.meta = dict(node.meta)
                placeholders[node.target] = placeholder
                constants[placeholder.name] = (str(node.target), value)
            node.replace_all_uses_with(placeholders[node.target])
            graph.erase_node(node)
    return dict(reversed(constants.items()))


def _infer_values(
    graph: Graph, constants: dict[str, tuple[str, torch.Tensor]], origin: ExportedProgram
) -> None:
    """Give each node the rewriting made the fake tensor that tells its shape and dtype."""
    mode = fake_mode(origin.graph)
    with mode:
        for node in graph.nodes:
            if "val" in node.meta:
                continue
            if node.op == "placeholder":
                node.meta["val"] = as_fake(constants[node.name][1], mode)
            elif node.op == "call_function":
                infer_value(node)
