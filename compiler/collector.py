"""Python's cyclic garbage collector, paused while a compile allocates.

Importing torch and tracing a model make several hundred thousand objects that stay alive; walking
them again and again in search of cycles is an eighth of a whole compile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector inside the ``with`` (or the decorated function), if it is running."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
