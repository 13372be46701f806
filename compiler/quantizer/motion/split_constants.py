"""A constant added to a concat is added to its parts, where a part is constant itself.

A vision transformer joins a class token to its patches and adds position embeddings. Written so,
the token is rounded as a parameter, as a part of the concat and as a sum, on the coarse grid of the
patches; added beforehand, it is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation

from tosaic.graph.emitter import Emitter
from tosaic.graph.facts import arguments, is_constant, operands
from tosaic.graph.passes import GraphPass, register_graph_pass

aten = torch.ops.aten


@register_graph_pass
@dataclass(frozen=True)
class SplitConstants(GraphPass):
    """Rewrite every ``add(cat([constant, x, ...]), constant)`` to a concatenation of sums.

    What becomes a sum of constants is computed, and rounded once, as a part of the concatenation.
    """

    name: ClassVar[str] = "split-constants"

    def run(self, model: GraphModule) -> bool:
        """Go through all sums."""
        changed = False
        for node in list(model.graph.nodes):
            for joined, constant in operands(node, aten.add.Tensor):
                if _is_split(joined, constant):
                    _split(model, node, joined, constant)
                    changed = True
                    break
        return changed


def _is_split(joined: Any, constant: Any) -> bool:
    if not isinstance(joined, Node) or joined.target is not aten.cat.default:
        return False
    if len(joined.users) > 1 or not is_constant(constant):
        return False
    shapes = [n.meta["val"].shape for n in (joined, constant)]
    known = [is_constant(part) for part in arguments(joined)[0]]
    return shapes[0] == shapes[1] and any(known) and not all(known)


def _split(model: GraphModule, node: Node, joined: Node, constant: Node) -> None:
    e, dim = Emitter(model, node), arguments(joined)[1] if len(arguments(joined)) > 1 else 0
    sums, start = [], 0
    with model.graph.inserting_before(node):
        for part in arguments(joined)[0]:
            stop = start + e.shape(part)[dim]
            piece = _unquantized(e(aten.slice.Tensor, constant, dim, start, stop))
            total = e(aten.add.Tensor, part, piece)
            sums.append(_unquantized(total) if is_constant(part) else total)
            start = stop
        whole = e(aten.cat.default, sums, dim)
    node.replace_all_uses_with(whole)
    model.graph.erase_node(node)


def _unquantized(node: Node) -> Node:
    """Mark what is computed from parameters alone: only what reads it is quantised."""
    node.meta["quantization_annotation"] = QuantizationAnnotation(_annotated=True)
    return node
