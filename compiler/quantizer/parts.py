"""From the normal form to the ops that are quantised as one each: the graph that recipes see."""

from __future__ import annotations

from torch.fx import GraphModule

from tosaic.composites import Decompose
from tosaic.frontend.normal import local_passes, normal_passes
from tosaic.frontend.normal.constants import OwnWeights
from tosaic.graph.passes import GraphPass, Together, Watch, run_passes
from tosaic.quantizer.motion.fold_batch_norm import FoldBatchNorm
from tosaic.quantizer.motion.hoist_slices import HoistSlices
from tosaic.quantizer.motion.split_constants import SplitConstants

_IN_PARTS = "tosaic_in_parts"  # metadata of a graph


def to_parts(
    model: GraphModule, *, training: bool = False, watch: Watch | None = None
) -> GraphModule:
    """Write `model`, a graph of any form, in place, in the ops that are quantised as one each.

    Norms and softmax whole, attention and recurrent nets in parts, batch norms inside of layers
    (but in training). A graph that is so already is returned as it is.
    """
    if not model.meta.get(_IN_PARTS):
        run_passes(model, part_passes(training=training), watch)
        model.meta[_IN_PARTS] = True
    return model


def part_passes(*, training: bool = False) -> tuple[GraphPass, ...]:
    """Return the passes, in order; those to the normal form come first."""
    local = Together((*local_passes(training=training, integers=True), Decompose()))
    folded = () if training else (FoldBatchNorm(),)
    return (
        *normal_passes(training=training),
        *(local, *folded, SplitConstants(), HoistSlices(), local, OwnWeights()),
    )
