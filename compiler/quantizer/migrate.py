"""Migration of scales in transformers: from activations with a few large channels into weights.

Xiao et al., "SmoothQuant" (2022). Norms have a factor per channel that can give a scale to the
layers which read them. So have layers that a product with another activation follows: values
of attention, whose channels reach the projection behind it, and the upper half of a gated
feed-forward.
"""

from __future__ import annotations

from torch.fx import GraphModule

from tosaic.quantizer.fit_weights import weighted_layers
from tosaic.quantizer.seams import Seam, layer_seams, norm_seams


def migratable(prepared: GraphModule) -> list[Seam]:
    """Return the seams from norms, and through products, whose recipe asks for migration."""
    layers = weighted_layers(prepared, lambda observer: observer.migrated)
    through = [seam for seam in layer_seams(prepared, layers) if seam.has_product]
    return [*norm_seams(prepared, layers), *through]
