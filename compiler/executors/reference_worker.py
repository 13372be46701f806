"""The process that holds the TOSA reference model (run as a script by `reference.py`).

The model aborts its process on some bad programs, prints to stdout and starts a debugger where it
finds one; here none of that reaches the user's process. Requests and answers are pickles: (program,
inputs) in, (outputs, status name, error text) out, until stdin ends.
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

import tosa_reference_model


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the model's chatter on stdout must not mix with the answers
    while True:
        try:
            program, inputs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_run(program, inputs), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _run(program: bytes, inputs: list[Any]) -> tuple[list[Any], str, str]:
    try:
        outputs, status = tosa_reference_model.run(program, inputs)
    except (ValueError, RuntimeError) as error:
        return [], "", str(error)
    return outputs, status.name, ""


if __name__ == "__main__":
    main()
