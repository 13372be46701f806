"""Rounding weights so that a layer's output errs least, and biases so that its mean does not.

Nearest rounding makes each weight as exact as it can be, not what the layer computes. Here the
columns of a weight are rounded one after another, and what each loses is made up for by those
that are still to come, as far as inputs go together (Frantar et al., "GPTQ", 2022, section 3). The
bias then takes up the mean of what is left (Nagel et al., "Data-Free Quantization", 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from tosaic.graph.values import attribute, replace_attribute
from tosaic.quantizer.cluster import Grid, make_grid, restrict_unfitted, restricts
from tosaic.quantizer.weight_observers import WeightObserver

aten = torch.ops.aten

MOST_COLUMNS = 2304  # of a layer whose columns are correlated; beyond, only the bias is fitted
_MOST_POSITIONS = 512  # of an image that are looked at per calibration item
_DAMPING = (0.01, 0.1, 1.0)
_BLOCK = 128


@dataclass
class _Inputs:
    """Mean and covariance of what the columns of a weight are multiplied with, by group."""

    count: int
    total: Tensor
    products: Tensor | None

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    def covariance(self) -> Tensor | None:
        """Return the [groups, columns, columns] covariance, its mean variance brought to 1.

        None where inputs do not vary, or too many columns do.
        """
        if self.products is None:
            return None
        mean = self.mean
        matrix = self.products / self.count - mean[:, :, None] * mean[:, None, :]
        variance = matrix.diagonal(dim1=1, dim2=2).mean()
        tiny, huge = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
        return matrix / variance if tiny < variance < huge else None


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer to fit or correct; nodes of the prepared graph."""

    node: Node
    observer: Any
    weight: Node


class WeightFitter(Interpreter):
    """Runs a prepared model in its place while it is calibrated, then fits its weights."""

    def __init__(self, prepared: GraphModule) -> None:
        super().__init__(prepared)
        self._model = prepared
        wanted = weighted_layers(prepared, self._wants)
        self._layers = {layer.node: layer for layer in wanted}
        self._inputs: dict[Node, _Inputs] = {}

    def _wants(self, observer: Any) -> bool:
        return bool(observer.fitted or observer.centred) and not observer.learned

    @property
    def is_needed(self) -> bool:
        """Whether the recipe wants any weight fitted or bias corrected."""
        return bool(self._layers)

    def __call__(self, *inputs: Tensor) -> Any:
        """Run the model on a calibration item."""
        return self.run(*inputs)

    def run_node(self, n: Node) -> Any:
        """Look at a layer's input, then run it."""
        if n in self._layers:
            x, _ = self.fetch_args_kwargs_from_env(n)
            self._see(n, x[0], x[1])
        return super().run_node(n)

    def _see(self, node: Node, x: Tensor, weight: Tensor) -> None:
        columns = COLUMNS[node.target](x, weight, *node.args[3:]).float()
        _, width, _ = columns.shape
        total = columns.sum(2)
        wanted = self._layers[node].observer.fitted and width <= MOST_COLUMNS
        products = columns @ columns.mT if wanted else None
        seen = self._inputs.get(node)
        if seen is None:
            self._inputs[node] = _Inputs(columns.shape[2], total, products)
            return
        seen.count += columns.shape[2]
        seen.total += total
        if seen.products is not None and products is not None:
            seen.products += products

    def fit(self) -> None:
        """Replace weights by what they are to be rounded to, and biases by corrected ones."""
        self.fit_layers()
        restrict_unfitted(self._model, {layer.weight for layer in self._layers.values()})

    def fit_layers(self) -> None:
        """Do so for the layers whose inputs were seen, and leave other weights as they are."""
        for node, layer in self._layers.items():
            if node in self._inputs:
                self._fit(layer, self._inputs[node])

    def _fit(self, layer: Layer, inputs: _Inputs) -> None:
        weight = attribute(self.module, layer.weight)
        groups = inputs.total.shape[0]
        rows = weight.detach().reshape(groups, weight.shape[0] // groups, -1)
        scale, _ = layer.observer.calculate_qparams()
        steps = scale.reshape(-1, 1).expand(weight.shape[0], 1).reshape(groups, -1, 1)
        grid = make_grid(rows, steps, layer.observer)
        rounded = rounded_rows(rows, grid, inputs.covariance())
        if layer.observer.fitted or restricts(layer.observer):
            replace_attribute(self.module, layer.weight, rounded.reshape(weight.shape))
        if layer.observer.centred:
            shift = ((rows - rounded) * inputs.mean[:, None, :]).sum(2).reshape(-1)
            add_to_bias(self._model, layer.node, shift)


def rounded_rows(rows: Tensor, grid: Grid, covariance: Tensor | None) -> Tensor:
    """Return [groups, rows, columns] of weights as values on `grid`."""
    order = torch.arange(rows.shape[2])
    if covariance is None:
        return grid.taken(rows, order)
    # Columns whose input varies most come first: what they lose can still be made up for.
    order = covariance.diagonal(dim1=1, dim2=2).sum(0).argsort(descending=True)
    ordered = covariance[:, order][:, :, order]
    upper = _inverse_root(ordered)
    if upper is None:
        return grid.taken(rows, torch.arange(rows.shape[2]))
    left, out = rows[:, :, order].clone(), torch.empty_like(rows)
    for start in range(0, left.shape[2], _BLOCK):
        end = min(start + _BLOCK, left.shape[2])
        lost = torch.zeros_like(left[:, :, start:end])
        for column in range(start, end):
            exact = left[:, :, column : column + 1]
            taken = grid.taken(exact, order[column : column + 1])
            out[:, :, column : column + 1] = taken
            error = (exact - taken) / upper[:, column, column][:, None, None]
            lost[:, :, column - start : column - start + 1] = error
            left[:, :, column:end] -= error * upper[:, None, column, column:end]
        left[:, :, end:] -= lost @ upper[:, start:end, end:]
    result = torch.empty_like(out)
    result[:, :, order] = out
    return result


def _inverse_root(matrix: Tensor) -> Tensor | None:
    """Return upper u with ``u.mT @ u`` the inverse of `matrix`, damped as much as that takes."""
    identity = torch.eye(matrix.shape[-1])
    for damping in _DAMPING:
        root, failed = torch.linalg.cholesky_ex(matrix + damping * identity)
        if not failed.any():
            upper: Tensor
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(root), upper=True)
            if not failed.any():
                return upper
    return None


def weighted_layers(prepared: GraphModule, wanted: Callable[[Any], bool]) -> list[Layer]:
    """Return the layers whose weights an observer of ours sees that is `wanted`."""
    modules = dict(prepared.named_modules())
    found = []
    for node in prepared.graph.nodes:
        if node.op != "call_function" or node.target not in COLUMNS:
            continue
        source = node.args[1]
        observer = modules.get(str(source.target)) if source.op == "call_module" else None
        if not (isinstance(observer, WeightObserver) and wanted(observer)):
            continue
        weight = source.args[0]
        # A weight that several layers share fits none of them alone.
        if weight.op == "get_attr" and len(weight.users) == len(source.users) == 1:
            found.append(Layer(node, observer, weight))
    return found


def _linear_columns(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    del weight, rest
    return _thinned(x.reshape(-1, x.shape[-1]).mT)[None]


def _conv_columns(
    x: Tensor,
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Return [groups, columns, positions] of a 1-D or 2-D convolution's input."""
    if x.ndim == weight.ndim - 1:
        x = x[None]
    stride, dilation = (_two(v, weight.ndim - 2, 1) for v in (stride, dilation))
    kernel = _two(list(weight.shape[2:]), weight.ndim - 2, 1)
    if weight.ndim == 3:
        x = x[:, :, None]
    if isinstance(padding, str):
        edges = [
            d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)
        ]
        x = F.pad(x, [n for e in reversed(edges) for n in (e // 2, e - e // 2)])
        padding = [0, 0]
    padding = _two(padding, weight.ndim - 2, 0)
    columns = F.unfold(x, tuple(kernel), tuple(dilation), tuple(padding), tuple(stride))
    n, width, positions = columns.shape
    grouped = columns.reshape(n, groups, width // groups, positions).permute(1, 2, 0, 3)
    return _thinned(grouped.reshape(groups, width // groups, n * positions))


def _two(value: Any, dims: int, neutral: int) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    values = values * dims if len(values) < dims else values
    return [neutral] * (2 - dims) + values


def _thinned(columns: Tensor) -> Tensor:
    step = -(-columns.shape[-1] // _MOST_POSITIONS)
    return columns[..., ::step]


COLUMNS: dict[Any, Callable[..., Tensor]] = {
    aten.linear.default: _linear_columns,
    aten.conv1d.default: _conv_columns,
    aten.conv1d.padding: _conv_columns,
    aten.conv2d.default: _conv_columns,
    aten.conv2d.padding: _conv_columns,
}


def add_to_bias(model: GraphModule, node: Node, shift: Tensor) -> Node | None:
    """Add `shift`, one per channel, to the bias of a layer, which may have none yet.

    Returns its bias then; None where that is shared or computed, and stays as it is.
    """
    bias = node.args[2] if len(node.args) > 2 else None
    if isinstance(bias, Node):
        if bias.op == "get_attr" and len(bias.users) == 1:
            replace_attribute(model, bias, attribute(model, bias).detach() + shift)
            return bias
        return None
    name = f"{node.name}_corrected_bias"
    model.register_buffer(name, shift)
    with model.graph.inserting_before(node):
        added = model.graph.get_attr(name)
    node.args = (*node.args[:2], added, *node.args[3:])
    model.recompile()
    return added
