"""Which line of a stack trace is the user's."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback

import torch

_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+)')
_LIBRARIES = (
    os.path.dirname(torch.__file__) + os.sep,
    sysconfig.get_paths()["stdlib"] + os.sep,
    f"{os.sep}site-packages{os.sep}torch{os.sep}",
    f"{os.sep}site-packages{os.sep}torchao{os.sep}",
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    "torch/fx/passes/",  # what PyTorch writes, from the root of its sources, for nodes it inserts
    "_export/",  # the same, in its messages
)


def user_frame(trace: str) -> tuple[str, int] | None:
    """Return (file, line) of the innermost frame in `trace` that is in no library."""
    for file, line in reversed(_FRAME.findall(trace)):
        if not any(library in file for library in _LIBRARIES):
            return file, int(line)
    return None


def raising_frame(error: BaseException) -> tuple[str, int] | None:
    """Return the user's line that `error` is about: named in its message, else in its traceback."""
    return user_frame(str(error)) or user_frame("".join(traceback.format_tb(error.__traceback__)))
