"""The quantised tensors of a PT2E program, and their values when it runs in one of several ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import Graph, GraphModule, Interpreter, Node

from tosaic.graph.facts import table_name
from tosaic.graph.frames import user_frame
from tosaic.quantizer.select import enclosing_modules, op_names

_QUANTIZE = "torch.quantized_decomposed.quantize_per_tensor"
_DEQUANTIZE = "torch.quantized_decomposed.dequantize_"
_SECOND_AXIS = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")

# Which values go on from a quantize node: (its name, what it was given, what it made of that).
Route = Callable[[str, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Cast:
    """Parameters of a quantize or dequantize op: ``real = scale * (stored - zero_point)``."""

    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest real value that is stored without saturating."""
        low, high = self.dequantize(torch.tensor([self.low, self.high])).tolist()
        return low - self.scale / 2, high + self.scale / 2

    def dequantize(self, stored: Tensor) -> Tensor:
        """Return the float64 values that `stored` means."""
        return (stored.double() - self.zero_point) * self.scale


@dataclass(frozen=True)
class Weights:
    """A layer's stored weights: how many bits, and how far each channel's reach into them.

    `reach` is the largest magnitude of each channel over the largest of all; empty where each
    channel has a scale of its own.
    """

    bits: int
    reach: tuple[float, ...]


@dataclass(frozen=True)
class QuantizedTensor:
    """An activation that is quantised, and the layer (the ops since other such ones) it ends.

    `key` is its quantize node; `name` the op that computes it; `ops` those of the layer by their
    common names; `dtype` is int8, int16 or uint8. `module`, `file` and `line` are where the user's
    source has the layer: the op with weights where there is one. Consumers read it with `read`,
    which should be as it is `written`.
    """

    key: str
    name: str
    ops: tuple[str, ...]
    module: str
    file: str
    line: int
    dtype: str
    written: Cast
    read: Cast
    weights: Weights | None


def quantized_tensors(module: GraphModule) -> list[QuantizedTensor]:
    """Return the quantised activations of a converted PT2E graph, in its order."""
    return [_described(module, n) for n in module.graph.nodes if _is_quantize(n)]


def with_taps(program: ExportedProgram) -> ExportedProgram:
    """Return `program` with its quantised activations as further outputs, in its order.

    They are the integers themselves; of uint8, which TOSA has not, what they are dequantised to.
    `program` is not changed.
    """
    graph, copies = Graph(), dict[Node, Node]()
    returned = graph.graph_copy(program.graph, copies)
    for node, copy in copies.items():
        copy.name = node.name  # FX renames what is a Python word, such as input
    outputs = list(returned) if isinstance(returned, tuple | list) else [returned]
    taps = [copies[_tapped(node)] for node in program.graph.nodes if _is_quantize(node)]
    end = graph.output((*outputs, *taps))
    end.meta = dict(program.graph.output_node().meta)
    signature = program.graph_signature
    specs = [
        *signature.output_specs,
        *(OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(tap.name), None) for tap in taps),
    ]
    whole = program.module_call_graph[0]
    assert whole.signature is not None
    called = dataclasses.replace(
        whole.signature,
        outputs=[spec.arg for spec in specs],
        out_spec=pytree.tree_structure(tuple(range(len(specs)))),
    )
    return ExportedProgram(
        program.graph_module,
        graph,
        ExportGraphSignature(signature.input_specs, specs),
        program.state_dict,
        program.range_constraints,
        [dataclasses.replace(whole, signature=called)],
        program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )


def fake_quantized(_: str, __: Tensor, stored: Tensor) -> Tensor:
    """Go on with the integers: the graph as PT2E runs it."""
    return stored


def unquantized(_: str, given: Tensor, __: Tensor) -> Tensor:
    """Go on with what was to be quantised: activations stay float, weights are as stored."""
    return given


def isolated(values: Mapping[str, Tensor]) -> Route:
    """Go on with `values`, by quantize node: what a layer then gives is no fault of those before.

    Values are real (float32), of the shape of the node's.
    """
    return lambda key, _, __: values[key]


class QuantizedGraph(Interpreter):
    """A converted PT2E graph that runs with the values after each quantize node chosen."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self._route: Route = fake_quantized
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}

    def values(self, inputs: Sequence[Tensor], route: Route) -> dict[str, tuple[Tensor, Tensor]]:
        """Run on `inputs`; return what each quantize node was given, and the integers it made."""
        self._route, self._seen = route, {}
        with torch.no_grad():
            self.run(*inputs)
        return self._seen

    def run_node(self, n: Node) -> Any:
        """Run `n`; casts as the route says."""
        if _is_quantize(n):
            given = self.fetch_args_kwargs_from_env(n)[0][0]
            stored = super().run_node(n)
            # In-place ops may follow.
            self._seen[n.name] = (given.clone(), stored)
            return self._route(n.name, given, stored)
        if _is_dequantize(n):
            given = self.fetch_args_kwargs_from_env(n)[0][0]
            if given.is_floating_point():
                return given.clone()
        return super().run_node(n)


class FloatGraph(Interpreter):
    """A graph that PT2E prepared, run without its observers: the model in float."""

    def values(self, inputs: Sequence[Tensor], names: set[str]) -> dict[str, Tensor]:
        """Run on `inputs`; return what the nodes called `names` compute."""
        self._names, self._seen = names, dict[str, Tensor]()
        with torch.no_grad():
            self.run(*inputs)
        return self._seen

    def run_node(self, n: Node) -> Any:
        """Run `n` and look at its value."""
        value = super().run_node(n)
        if tensor_name(n) in self._names and isinstance(value, Tensor):
            self._seen[tensor_name(n)] = value.clone()
        return value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Pass an observer by."""
        return args[0]


def tensor_name(node: Node) -> str:
    """Return the name users know a node by: FX renames inputs that are called like a builtin."""
    return str(node.target) if node.op == "placeholder" else node.name


def _described(module: GraphModule, node: Node) -> QuantizedTensor:
    layer = list(_layer(node))
    stored = {op: w for op in layer if (w := _stored_weights(op)) is not None}
    main = next(reversed(stored), layer[-1] if layer else node.args[0])
    assert isinstance(main, Node)
    source = _source(node)
    modules = enclosing_modules(main)
    file, line = user_frame(str(main.meta.get("stack_trace") or "")) or ("", 0)
    readers = [user for user in node.users if _is_dequantize(user)]
    written = _cast(module, node)
    return QuantizedTensor(
        node.name,
        tensor_name(source),
        tuple(_common_name(op) for op in layer),
        modules[-1][0] if modules else "",
        file,
        line,
        str(node.args[-1]).removeprefix("torch."),
        written,
        _cast(module, readers[0]) if readers else written,
        _weights(module, main, stored[main]) if main in stored else None,
    )


def _layer(node: Node) -> Iterator[Node]:
    """Yield the ops between the casts before a quantize node and itself, in the graph's order."""
    found: set[Node] = set()
    open_ = [node.args[0]]
    while open_:
        op = open_.pop()
        if not isinstance(op, Node) or op.op != "call_function" or op in found or _is_cast(op):
            continue
        found.add(op)
        open_ += op.all_input_nodes
    return (n for n in node.graph.nodes if n in found and table_name(n))


def _source(node: Node) -> Node:
    """Return the op (or input) whose value a quantize node takes, perhaps requantised before."""
    while _is_cast(node):
        assert isinstance(node.args[0], Node)
        node = node.args[0]
    return node


def _tapped(node: Node) -> Node:
    if node.args[-1] is not torch.uint8:
        return node
    return next((user for user in node.users if _is_dequantize(user)), node)


def _stored_weights(op: Node) -> Node | None:
    """Return the cast that reads an op's stored weights: of its second argument."""
    weight = op.args[1] if len(op.args) > 1 else None
    if not isinstance(weight, Node) or not _is_dequantize(weight):
        return None
    stored = weight.args[0]
    return weight if isinstance(stored, Node) and stored.op == "get_attr" else None


def _weights(module: GraphModule, op: Node, cast: Node) -> Weights:
    low, high = (a for a in cast.args[-3:] if isinstance(a, int))
    bits = (high - low).bit_length()
    if "per_channel" in table_name(cast):
        return Weights(bits, ())
    stored = _value(module, cast.args[0]).double() - float(_value(module, cast.args[2]))
    axis = 1 if _common_name(op) in _SECOND_AXIS else 0
    largest = stored.abs().movedim(axis, 0).flatten(1).amax(1) if stored.ndim > 1 else stored.abs()
    whole = float(largest.max()) or 1.0
    return Weights(bits, tuple((largest / whole).tolist()))


def _cast(module: GraphModule, node: Node) -> Cast:
    scale, zero_point, low, high = (_value(module, a) for a in node.args[1:5])
    return Cast(float(scale), int(zero_point), int(low), int(high))


def _value(module: GraphModule, argument: Any) -> Any:
    if not isinstance(argument, Node):
        return argument
    value: Any = module
    for part in str(argument.target).split("."):
        value = getattr(value, part)
    return value


def _common_name(op: Node) -> str:
    name = next((n for n in op_names(op) if "." not in n), op.name)
    return name.removesuffix("_")


def _is_cast(node: Node) -> bool:
    return _is_quantize(node) or _is_dequantize(node)


def _is_quantize(node: Node) -> bool:
    return table_name(node).startswith(_QUANTIZE)


def _is_dequantize(node: Node) -> bool:
    return table_name(node).startswith(_DEQUANTIZE)
