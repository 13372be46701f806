"""Weights that take few values: what Ethos-U reads from flash is compressed, and these compress.

Vela stores the weights of a layer with a palette of at most 32 values, so few values take few bits
each, and zeros take fewer still. The values are chosen on the integer grid, for the whole layer:
those of least squared error, which is k-means in one dimension and has an exact solution (Wang and
Song, "Ckmeans.1d.dp", The R Journal 2011). Pruning is by magnitude (Han et al., "Learning both
Weights and Connections", 2015).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from tosaic.graph.values import evaluate

_TINY = torch.finfo(torch.float32).tiny
_FRACTIONS = torch.linspace(1.1, 0.7, 9).tolist()
_ROUNDS = 2
_MOST_DEVIATIONS = 12.0  # beyond, one row's outliers would make the steps of the others coarse


@dataclass(frozen=True)
class Grid:
    """The values that the weights of a layer can have.

    `steps` are the scales, [groups, rows, 1]; `palette` the whole multiples of them that are
    taken, ascending, or None for all up to `limit`; `kept` is [groups, rows, columns], False where
    a weight is pruned, or None where none is.
    """

    steps: Tensor
    limit: int
    palette: Tensor | None = None
    kept: Tensor | None = None

    def nearest(self, x: Tensor) -> Tensor:
        """Return `x`, [groups, rows, columns], with each value replaced by the nearest on the grid.

        Pruned places are `pruned`'s to set.
        """
        multiples = x / self.steps
        if self.palette is None:
            return multiples.round().clamp(-self.limit, self.limit) * self.steps
        between = (self.palette[1:] + self.palette[:-1]) / 2
        return self.palette[torch.bucketize(multiples.contiguous(), between)] * self.steps

    def taken(self, x: Tensor, columns: Tensor) -> Tensor:
        """Return the nearest values for `columns` of the weight, zero where they are pruned."""
        value = self.nearest(x)
        return value if self.kept is None else value * self.kept[:, :, columns]


def make_grid(rows: Tensor, steps: Tensor, observer: Any) -> Grid:
    """Return the grid for a weight's `rows`, [groups, rows, columns], as `observer` asks."""
    limit = observer.quant_max
    kept = _kept(rows, observer.sparsity) if observer.sparsity else None
    if not observer.clusters:
        return Grid(steps, limit, None, kept)
    errors = steps.square().expand_as(rows)
    if kept is None:
        palette = _shared_values(rows / steps, errors, limit, observer.clusters)
        return Grid(steps, limit, palette)
    palette = _shared_values(rows / steps, errors * kept, limit, observer.clusters - 1)
    return Grid(steps, limit, torch.unique(torch.cat([palette, palette.new_zeros(1)])), kept)


def _shared_values(multiples: Tensor, errors: Tensor, limit: int, clusters: int) -> Tensor:
    """Return the whole numbers that stand for `multiples` best, errors counting as `errors`."""
    places = (multiples.round().clamp(-limit, limit) + limit).long().flatten()
    weights = torch.zeros(2 * limit + 1, dtype=torch.float64)
    weights.index_add_(0, places, errors.double().flatten())
    return torch.from_numpy(_centres(weights.numpy(), clusters) - limit).to(multiples.dtype)


def clustered_bound(rows: Tensor, limit: int, clusters: int) -> Tensor:
    """Return the range, per row of `rows`, for which values that all rows share err least.

    Values and ranges are improved in turn, from ranges that hold the extremes of each row, and from
    ranges that give all rows one variance; the better result counts.
    """
    largest = rows.abs().amax(1)
    deviation = rows.square().mean(1).sqrt()
    ratio = (largest / deviation.clamp(min=_TINY)).amax().clamp(max=_MOST_DEVIATIONS)
    best, least = largest, float("inf")
    for start in (largest, torch.maximum(largest, deviation * ratio)):
        bound = start
        for _ in range(_ROUNDS):
            palette = _palette(rows, bound, limit, clusters)
            tried = torch.stack([bound * fraction for fraction in _FRACTIONS])
            errors = torch.stack([_error(rows, b, limit, palette) for b in tried])
            least_errors, places = errors.min(0)
            bound = tried.gather(0, places[None])[0]
            if (total := float(least_errors.sum())) < least:
                best, least = bound, total
    return best


def _palette(rows: Tensor, bound: Tensor, limit: int, clusters: int) -> Tensor:
    steps = (bound / limit).clamp(min=_TINY)[:, None]
    return _shared_values((rows / steps).round(), steps.square().expand_as(rows), limit, clusters)


def _error(rows: Tensor, bound: Tensor, limit: int, palette: Tensor) -> Tensor:
    """Return the squared error of each row."""
    steps = (bound / limit).clamp(min=_TINY)[:, None]
    grid = Grid(steps, limit, palette)
    return (grid.nearest(rows) - rows).square().sum(1)


def restrict_unfitted(prepared: GraphModule, fitted: Collection[Node]) -> None:
    """Cluster and prune the weights that the recipe wants so, beside those `fitted`."""
    modules: dict[str, Any] = dict(prepared.named_modules(remove_duplicate=False))
    graph = prepared.graph
    left = [
        node
        for node in graph.nodes
        if node.op == "call_module"
        and restricts(modules[str(node.target)])
        and node.args[0] not in fitted
    ]
    if not left:
        return
    for node in left:
        observer = modules[str(node.target)]
        weight = _constant(prepared, node.args[0]).detach()
        axis = getattr(observer, "ch_axis", 0)
        channels_first = weight.transpose(0, axis)
        rows = channels_first.reshape(1, channels_first.shape[0], -1)
        scale, _ = observer.calculate_qparams()
        steps = scale.reshape(1, -1, 1).expand(1, rows.shape[1], 1)
        grid = make_grid(rows, steps, observer)
        value = grid.taken(rows, torch.arange(rows.shape[2]))
        # A tensor of its own: the one it had may be the user's, or have other readers.
        name = f"{node.name}_restricted"
        restored = value.reshape(channels_first.shape).transpose(0, axis).contiguous()
        prepared.register_buffer(name, restored)
        with graph.inserting_before(node):
            node.args = (graph.get_attr(name),)
    graph.eliminate_dead_code()
    prepared.recompile()


def _constant(prepared: GraphModule, node: Node) -> Any:
    """Return the value of a parameter, perhaps viewed, as it is before it is quantised."""
    if node.op == "call_module":
        return _constant(prepared, node.args[0])  # type: ignore[arg-type]
    if node.op != "get_attr":
        return evaluate(node, lambda n: _constant(prepared, n))
    value: Any = prepared
    for name in str(node.target).split("."):
        value = getattr(value, name)
    return value


def restricts(observer: Any) -> bool:
    """Whether `observer` asks for clustered or pruned weights."""
    return bool(getattr(observer, "clusters", 0) or getattr(observer, "sparsity", 0.0))


def _kept(rows: Tensor, sparsity: float) -> Tensor:
    """Return False for the share `sparsity` of `rows` that is smallest; ties go by place."""
    count = round(sparsity * rows.numel())
    kept = torch.ones(rows.numel(), dtype=torch.bool)
    kept[rows.abs().flatten().argsort(stable=True)[:count]] = False
    return kept.reshape(rows.shape)


def _centres(weights: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int64]:
    """Return the places that stand for all places of a histogram with the least squared error.

    At most `count`, ascending; `cost[k, j]` is the least error of the first j places with k of
    them, and a run of places is best stood for by the whole number nearest to its mean.
    """
    used = np.flatnonzero(weights)
    if len(used) <= count:
        return used
    x, w = used.astype(np.float64), weights[used]
    sums = [np.concatenate([[0.0], np.cumsum(w * x**power)]) for power in range(3)]
    total, first, second = (s[None, :] - s[:, None] for s in sums)  # [from, to)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.rint(first / total)
    runs = np.where(total > 0, second - 2 * mean * first + mean**2 * total, np.inf)
    size = len(used)
    cost, start = runs[0], np.zeros((count, size + 1), dtype=np.int64)
    for k in range(1, count):
        options = cost[:, None] + runs
        start[k] = options.argmin(0)
        cost = options[start[k], np.arange(size + 1)]
    bounds = [size]
    for k in range(count - 1, 0, -1):
        bounds.append(int(start[k, bounds[-1]]))
    bounds = [0, *reversed(bounds)]
    return np.unique([int(mean[a, b]) for a, b in pairwise(bounds) if a < b])
