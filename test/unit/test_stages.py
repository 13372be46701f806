"""Passes are linear: the calls each makes, counted, grow no faster than the program."""

import sys
from types import FrameType

import pytest

from tosaic.tools.bench.scaling import BLOCKS, pass_costs, quantized_block, repeated

FEW, MANY = 5, 40  # blocks
NEGLIGIBLE = 400  # calls, for all of MANY blocks


class Calls:
    """Counts calls of functions, those of C among them, while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Calls":
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _event(self, _frame: FrameType, event: str, _argument: object) -> None:
        self.count += event in ("call", "c_call")


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_pass_is_linear(kind: str) -> None:
    block = quantized_block(kind)
    costs = {}
    for count in (FEW, MANY):
        with Calls() as calls:
            costs[count] = pass_costs(repeated(block, count), lambda calls=calls: calls.count)
    per_block = {
        name: (costs[FEW][name] / FEW, many / MANY)
        for name, many in costs[MANY].items()
        if many > NEGLIGIBLE
    }
    assert len(per_block) > 10
    assert {name: pair for name, pair in per_block.items() if pair[1] > 1.5 * pair[0]} == {}
