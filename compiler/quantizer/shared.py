"""Weights that entries share: one tensor in PyTorch has the same integers wherever it is read.

Entries are calibrated together: a weight that layers of several entries read has one observer, and
is not fitted to the data of one. What could make entries disagree all the same (scales that were
moved between layers, what an embedding's rows are joined with) is compared in the end. Layers of
different kinds may: an embedding has one scale, a linear layer one per channel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from tosaic.errors import InputError
from tosaic.graph.values import attribute

_NAMESPACE = "quantized_decomposed"


def check_shared(
    sources: Mapping[str, ExportedProgram], quantized: Mapping[str, ExportedProgram]
) -> None:
    """Compare the integers of weights that are one tensor in `sources`, as `quantized` has them.

    Both are by entry.

    Raises:
        InputError: layers of one kind in two entries have other integers for a weight they share.
    """
    first: dict[Hashable, tuple[str, str, Any]] = {}
    for entry, program in sources.items():
        if program is quantized[entry]:
            continue
        readers = _readers(program)
        integers = dict(_integers(quantized[entry]))
        for key, reads in readers.items():
            for name, layer, place, kind in reads:
                if (layer, place) not in integers:
                    continue
                found = integers[layer, place]
                other = first.setdefault((key, kind), (entry, name, found))
                if other[0] != entry and not _equal(other[2], found):
                    raise InputError(
                        f"Entries '{other[0]}' and '{entry}' share the weight '{name}', and the "
                        f"recipe gives it other integers in each (at '{layer}'): they depend on "
                        "what the entry was calibrated on. Use a recipe that rounds weights by "
                        "themselves such as int8, calibrate both on data of the same range, or "
                        "give each entry a copy of the weight."
                    )


def share_observers(prepared: Sequence[GraphModule]) -> None:
    """Have each weight that layers of several prepared graphs read be observed by one observer.

    Tensors are told by their memory; observers are shared where they are of one kind.
    """
    if len(prepared) < 2:
        return
    first: dict[Hashable, tuple[GraphModule, Any]] = {}
    for graph in prepared:
        modules = dict(graph.named_modules(remove_duplicate=False))
        for node in graph.graph.find_nodes(op="get_attr"):
            tensor = attribute(graph, node)
            if not isinstance(tensor, torch.Tensor) or tensor.ndim < 2:
                continue
            for user in node.users:
                observer: Any = modules.get(str(user.target)) if user.op == "call_module" else None
                if not hasattr(observer, "fitted"):
                    continue  # it has the range of more than a layer's weight
                kind = (type(observer), observer.dtype, getattr(observer, "ch_axis", None))
                key = (*_memory(tensor), *kind)
                owner, known = first.setdefault(key, (graph, observer))
                if owner is not graph:
                    known.fitted = known.learned = False  # to no one program's data
                    _replace(graph, observer, known)


def _replace(graph: GraphModule, old: torch.nn.Module, new: torch.nn.Module) -> None:
    for name, module in list(graph.named_modules(remove_duplicate=False)):
        if module is old:
            graph.set_submodule(name, new)


def _memory(tensor: torch.Tensor) -> tuple[Hashable, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _readers(program: ExportedProgram) -> dict[Hashable, list[tuple[str, str, int, str]]]:
    """Return, per tensor by identity, its name and the ops that read it: name, place, kind."""
    kept = _kept(program)
    out: defaultdict[Hashable, list[tuple[str, str, int, str]]] = defaultdict(list)
    for node in program.graph.nodes:
        name, tensor = kept.get(node.name, ("", None))
        if tensor is None or tensor.ndim < 2:
            continue  # biases have the scale of their layer's input
        key = _memory(tensor)
        for user in node.users:
            for place, argument in enumerate(user.args):
                if argument is node:
                    out[key].append((name, user.name, place, str(user.target)))
    return out


def _integers(program: ExportedProgram) -> Iterator[tuple[tuple[str, int], Any]]:
    """Yield (op, place) and what is read there as a constant: integers and scales, or floats."""
    kept = _kept(program)

    def value(argument: Any) -> Any:
        if not isinstance(argument, Node):
            return argument
        return kept[argument.name][1] if argument.name in kept else None

    for node in program.graph.nodes:
        for place, argument in enumerate(node.args):
            if not isinstance(argument, Node):
                continue
            if getattr(argument.target, "namespace", "") == _NAMESPACE:
                parts = [value(part) for part in argument.args]
                if isinstance(parts[0], torch.Tensor):
                    yield (node.name, place), parts
            elif argument.name in kept:
                yield (node.name, place), [value(argument)]


def _kept(program: ExportedProgram) -> dict[str, tuple[str, torch.Tensor]]:
    """Return the program's own tensors, and their names, by the nodes that stand for them."""
    signature = program.graph_signature
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    tensors = {**program.constants, **program.state_dict}
    found = {node: (name, tensors.get(name)) for node, name in names.items()}
    return {node: (n, t) for node, (n, t) in found.items() if isinstance(t, torch.Tensor)}


def _equal(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) else x == y
        for x, y in zip(a, b, strict=True)
    )
