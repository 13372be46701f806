"""How ops inside of a composite are quantised, where the composite knows better than a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Inner:
    """Metadata (`tosaic.graph.facts.INNER`) of an op that computes in int16 whatever recipes say.

    Attributes:
        scale: Of its result, where that is int16; None is one found by calibration.
        reads: The scale that its operands are brought to before; None is their own.
        leaves: Whether its result leaves the composite, and is stored as the recipe says.
        alike: Results of one name have the same parameters.
    """

    scale: float | None = None
    reads: float | None = None
    leaves: bool = False
    alike: str = ""
