"""Which lines of a stack trace are the user's."""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch.fx import Node, proxy

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
        if _is_users(file):
            return file, int(line)
    return None


def place_of(node: Node) -> str:
    """Return " at file:line" of the user's source for an FX node; "" where that is not known."""
    frame = user_frame(str(node.meta.get("stack_trace") or ""))
    return "" if frame is None else f" at {frame[0]}:{frame[1]}"


@lru_cache(maxsize=1024)
def _is_users(file: str) -> bool:
    generated = file.startswith("<")  # by PyTorch, such as a branch of torch.cond
    return not generated and not any(library in file for library in _LIBRARIES)


class _UserFrames(set[tuple[str, str]]):
    """What PyTorch asks whether to record a frame, of (file, function): those of the user's files.

    By itself it records the lines of `forward` only, not of functions that `forward` calls.
    """

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, tuple) and _is_users(frame[0])


@contextmanager
def user_frames_recorded() -> Iterator[None]:
    """Have torch.export record every line of the user's code that leads to an op."""
    name = "_STACK_TRACE_ANCHORS"  # private: without it, lines of `forward` are what there is
    anchors = getattr(proxy, name, None)
    if anchors is None:
        yield
        return
    setattr(proxy, name, _UserFrames(anchors))
    try:
        yield
    finally:
        setattr(proxy, name, anchors)


def raising_frame(error: BaseException) -> tuple[str, int] | None:
    """Return the user's line that `error` is about: named in its message, else in its traceback."""
    return user_frame(str(error)) or user_frame("".join(traceback.format_tb(error.__traceback__)))
