"""Learned rounding where it helps: judged by calibration items that are left out, against fitted.

Few or odd calibration data can lead learning astray, as it has more freedom than fitting.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from tosaic.quantizer.fit_weights import WeightFitter
from tosaic.quantizer.judge import Judge
from tosaic.quantizer.learn_rounding import RoundingLearner

_LEFT_OUT = 4  # every how many-th item
_GAIN = 0.8  # what learning must leave of the squared error: a few items are not sure of less


@torch.no_grad()
def round_weights(prepared: GraphModule, items: Sequence[tuple[Tensor, ...]]) -> None:
    """Round the weights of a calibrated model whose recipe says "learned", or fit them.

    With four items or more, both are tried on all but every fourth, which then judge them.
    """
    unseen = items[_LEFT_OUT - 1 :: _LEFT_OUT]
    if unseen:
        seen = [item for n, item in enumerate(items, 1) if n % _LEFT_OUT]
        judge = Judge(prepared, unseen)
        learned, fitted = _copied(prepared), _copied(prepared)
        RoundingLearner(learned).learn(seen)
        _fit(fitted, seen)
        if judge.error_of(learned) > judge.error_of(fitted) * _GAIN:
            _fit(prepared, items)
            return
    RoundingLearner(prepared).learn(items)


def _copied(prepared: GraphModule) -> GraphModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own use of what it deprecates
        return copy.deepcopy(prepared)


def _fit(prepared: GraphModule, items: Sequence[tuple[Tensor, ...]]) -> None:
    fitter = _Refitter(prepared)
    for item in items:
        fitter(*item)
    fitter.fit_layers()


class _Refitter(WeightFitter):
    """Fits what was to be learned; the observers have seen the data and do not see it again."""

    def _wants(self, observer: Any) -> bool:
        return bool(observer.learned)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Leave an observer out."""
        del target, kwargs
        return args[0]
