"""Weights that entries share: one tensor in PyTorch has the same integers wherever it is read.

Each entry is quantised by itself. What a layer's integers are depends on its weight alone, by most
recipes; where one makes them depend on an entry's calibration, entries could disagree. Layers of
different kinds may: an embedding has one scale, a linear layer one per channel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import Node

from tosaic.errors import InputError

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


def _readers(program: ExportedProgram) -> dict[Hashable, list[tuple[str, str, int, str]]]:
    """Return, per tensor by identity, its name and the ops that read it: name, place, kind."""
    kept = _kept(program)
    out: defaultdict[Hashable, list[tuple[str, str, int, str]]] = defaultdict(list)
    for node in program.graph.nodes:
        name, tensor = kept.get(node.name, ("", None))
        if tensor is None or tensor.ndim < 2:
            continue  # biases have the scale of their layer's input
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
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
