"""What a call in an FX graph gives, its operands being known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from torch.fx import Node, map_arg


def evaluate(call: Node, value: Callable[[Node], Any]) -> Any:
    """Return what a ``call_function`` node gives where `value` tells what its operands are."""
    args, kwargs = map_arg((call.args, call.kwargs), value)
    return cast(Callable[..., Any], call.target)(*args, **kwargs)
