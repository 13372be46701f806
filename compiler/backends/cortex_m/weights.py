"""Constants of several models in one piece of flash, each once.

A device with a plan never reads the structure of the model beside it, only constants at offsets in
it (runtime/src/plan.h). So plans of several entries can point into the same bytes: what entries
have in common, a weight of the same integers or a table, is there once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tosaic.backends.cortex_m.memory_plan import GRAPH, HEADER, TYPE, VARIABLE, PlanWord
from tosaic.backends.cortex_m.views import aligned
from tosaic.runtime import sample_of

Words = npt.NDArray[np.uint32]


def share_weights(models: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, list[bytes]]:
    """Return the constants of models, each a flatbuffer and its plan, and plans for them."""
    weights = bytearray()
    places: dict[bytes, int] = {}
    plans = []
    for flatbuffer, plan in models:
        words = np.frombuffer(plan, np.uint32).copy()
        for place, size in _constants(words):
            constant = flatbuffer[int(words[place]) : int(words[place]) + size]
            if constant not in places:
                places[constant] = len(weights)
                weights += constant.ljust(aligned(size), b"\0")
            words[place] = places[constant]
        plans.append(words)
    data = bytes(weights)
    for words in plans:
        words[PlanWord.MODEL_BYTES] = len(data)
        words[PlanWord.MODEL_SAMPLE] = sample_of(data)
    return data, [words.tobytes() for words in plans]


def _constants(words: Words) -> Iterator[tuple[int, int]]:
    """Yield, of all that a plan reads in its model, the word with the offset, and the size."""
    variables = HEADER + int(words[PlanWord.OPERATORS])
    types = variables + VARIABLE * int(words[PlanWord.VARIABLES])
    graphs = types + TYPE * int(words[PlanWord.TYPES])
    for at in range(variables, types, VARIABLE):
        yield at, int(words[at + 1])
    at = graphs + GRAPH * int(words[PlanWord.GRAPHS])
    for record in words[graphs:at].reshape(-1, GRAPH).tolist():
        tensors, constants, nodes, attributes, operands = (record[k] for k in (0, 1, 4, 5, 6))
        for tensor in range(at, at + 2 * constants, 2):
            yield tensor, int(words[types + TYPE * int(words[tensor + 1]) + 6])
        at += 2 * tensors + 4 * nodes + attributes + (operands + 1) // 2
