"""Which TOSA ops only hand on elements of their input."""

from __future__ import annotations

# Each result element is an element of operand 0: what holds for all inputs (bounds, quantisation
# parameters) holds for the results. Pads and concats bring in elements of others.
SELECTING = (
    "tosa.max_pool2d",
    "tosa.reduce_max",
    "tosa.reduce_min",
    "tosa.reshape",
    "tosa.reverse",
    "tosa.slice",
    "tosa.tile",
    "tosa.transpose",
)
