"""Cross-layer equalisation: scales per channel moved between layers that follow each other.

Nagel et al., "Data-Free Quantization through Weight Equalization and Bias Correction" (2019),
section 4.1. The chains may have ReLU, leaky ReLU, pools and reshapes between the layers; ReLU6 and
tanh do not scale with what they are given, and end one.
"""

from __future__ import annotations

from torch.fx import GraphModule

from tosaic.quantizer.fit_weights import weighted_layers
from tosaic.quantizer.seams import Seam, layer_seams


def equalisable(prepared: GraphModule) -> list[Seam]:
    """Return the seams from layer to layer whose recipe asks for equalisation."""
    layers = weighted_layers(prepared, lambda observer: observer.equalised)
    return [seam for seam in layer_seams(prepared, layers) if not seam.has_product]
