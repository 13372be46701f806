"""The normal form as a property: the same function, reached in one go, and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.utils._pytree import tree_leaves

from support.nets import Calls
from tosaic.frontend.normal import check_normal, normal_passes, normalize
from tosaic.graph.passes import run_passes
from tosaic.quantizer.parts import part_passes

PER_DTYPE = {torch.float16: 1e-2, torch.bfloat16: 5e-2}  # that regrouping may round otherwise


def exported(
    model: nn.Module | Callable[..., Any], *inputs: Any, dynamic_shapes: Any = None
) -> ExportedProgram:
    """Return a model, or the one that computes a function, as PyTorch exports it."""
    module = model if isinstance(model, nn.Module) else Calls(model)
    with torch.no_grad():
        return torch.export.export(module.eval(), inputs, dynamic_shapes=dynamic_shapes)


def graph_of(program: ExportedProgram) -> GraphModule:
    """Return a program as a graph that passes take."""
    module = program.module(check_guards=False)
    assert isinstance(module, GraphModule)
    return module


def assert_equal(got: Any, wanted: Any) -> None:
    """Compare what two programs give, to within rounding."""
    got, wanted = tree_leaves(got), tree_leaves(wanted)
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype
        near = PER_DTYPE.get(a.dtype, 1e-5)
        torch.testing.assert_close(a, b, rtol=near, atol=near, equal_nan=True)


def assert_normalizes(program: ExportedProgram, *samples: Sequence[Any]) -> ExportedProgram:
    """Return `program` in normal form, which is the same function and stays as it is.

    It is compared on `samples`, each a tuple of inputs. The graph that is quantised is compared and
    repeated as well.
    """
    before = graph_of(program)
    wanted = [_run(before, inputs) for inputs in samples]
    normal = normalize(program)
    after = graph_of(normal)
    check_normal(after)
    after.graph.lint()
    for inputs, results in zip(samples, wanted, strict=True):
        assert_equal(_run(after, inputs), results)
    changed: list[str] = []
    run_passes(after, normal_passes(), lambda name, _: changed.append(name))
    assert not changed, f"a second run changes the graph: {changed}"
    run_passes(after, part_passes())
    for inputs, results in zip(samples, wanted, strict=True):
        assert_equal(_run(after, inputs), results)
    run_passes(after, part_passes(), lambda name, _: changed.append(name))
    assert not changed, f"a second run changes the graph in parts: {changed}"
    return normal


def normalized(
    function: Callable[..., Any], *inputs: Any, dynamic_shapes: Any = None
) -> GraphModule:
    """Return the graph in normal form of a function, or module, after checking that it is one."""
    program = exported(function, *inputs, dynamic_shapes=dynamic_shapes)
    return graph_of(assert_normalizes(program, inputs))


def ops_of(graph: GraphModule) -> Counter[str]:
    """Return how often each op is called, ATen's without their namespace."""
    nodes = (n for n in graph.graph.nodes if n.op == "call_function")
    return Counter(str(n.target).removeprefix("aten.") for n in nodes)


def _run(graph: GraphModule, inputs: Sequence[Any]) -> list[Tensor]:
    copies = [x.clone() if isinstance(x, Tensor) else x for x in inputs]
    with torch.no_grad():
        return [x.clone() if isinstance(x, Tensor) else x for x in tree_leaves(graph(*copies))]
