"""Programs exported with dynamic dims become programs of stated sizes.

Arguments say in ``tosaic.dims`` what torch.export knows of each dim: a size, a symbol with its
range, or an expression in symbols. Sizes are given per symbol, or at a place, which is an
argument's name and the dim's number. The torch dialect's own shape functions then refine every op
(they cover all of ATen); a program that is TOSA already goes through tosaic-infer-shapes.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from tosaic.dialects.bindings import PassManager, func, ir
from tosaic.dialects.types import DYNAMIC, element_of, tensor
from tosaic.errors import Diagnostic, PipelineError
from tosaic.lowering.ops import builtin_type
from tosaic.lowering.passes import Pass, error_at, fail_if, register_pass
from tosaic.lowering.shape.infer_shapes import InferShapes
from tosaic.lowering.signature import set_signature, signature_attrs

DIMS = "tosaic.dims"
_ENTRY = re.compile(r"([^:]+):(\d+(?:x\d+)*)")
# Recomposing turns split and chunk into slices: shape functions do not see into lists.
_REFINE = (
    "builtin.module(func.func(torch-recompose-complex-ops),torch-shape-refinement-pipeline,"
    "torch-refine-public-return,canonicalize)"
)
_SHAPE = re.compile(r"(!torch\.vtensor<\[)[^\]]*")
_OPERATORS: dict[type, Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


@dataclasses.dataclass(frozen=True)
class _Dim:
    """One dim of one argument: a size, or an expression in symbols; the limits are included."""

    place: str
    size: int | None
    expression: str
    low: int = 0
    high: int | None = None

    @property
    def symbols(self) -> set[str]:
        tree = ast.parse(self.expression, mode="eval") if self.size is None else ast.Constant(0)
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}

    @property
    def range(self) -> str:
        return f"{self.low} or more" if self.high is None else f"{self.low} to {self.high}"

    def holds(self, size: int) -> bool:
        return self.low <= size and (self.high is None or size <= self.high)


@register_pass
@dataclasses.dataclass(frozen=True)
class SpecializeShapes(Pass):
    """Give every dynamic dim of the arguments a size, and every op the shape that follows.

    `dims` is a list of SYMBOL:SIZE (`s77:4`), ARGUMENT.DIM:SIZE (`x.0:4`) or ARGUMENT:SHAPE
    (`x:4x3x32x32`), each for all functions, or behind `FUNCTION/` for one. Every symbol needs a
    size within the range that the model was exported for. Works on the torch dialect, where sizes
    that the model computes with are folded too, and on TOSA. A program without dynamic dims stays
    as it is.
    """

    name: ClassVar[str] = "tosaic-specialize-shapes"
    dims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse entries that do not parse."""
        for entry in self.dims:
            if _ENTRY.fullmatch(entry) is None:
                raise PipelineError(
                    f"Pass '{self.name}': '{entry}' is not SYMBOL:SIZE, ARGUMENT.DIM:SIZE or "
                    "ARGUMENT:SHAPE, as in dims=s77:4,x.2:128,y:1x3x32x32."
                )

    def run(self, module: ir.Operation) -> None:
        """Solve for the sizes, retype the arguments, refine, and report what is still dynamic."""
        functions = [
            op
            for op in module.regions[0].blocks[0].operations
            if isinstance(op, func.FuncOp) and not op.is_external
        ]
        names = {function.sym_name.value for function in functions}
        unknown = sorted({e.partition("/")[0] for e in self.dims if "/" in e} - names)
        if unknown:
            problem = f"There is no function '{unknown[0]}'; there are {', '.join(sorted(names))}"
            fail_if([error_at(module, problem)], "The shapes cannot be specialised.")
        for function in functions:
            self._retype_arguments(function)
        dynamic = list(_dynamic_ops(module))
        if not dynamic:
            return
        if any(str(v.type).startswith("!torch.") for op in dynamic for v in op.results):
            PassManager.parse(_REFINE).run(module)
        else:
            InferShapes().run(module)
        fail_if(_leftovers(module), "Some shapes do not follow from the sizes of the arguments.")

    def _retype_arguments(self, function: Any) -> None:
        block = function.regions[0].blocks[0]
        arguments, results = signature_attrs(function)
        dims = [
            list(_read_dims(n, argument, attributes))
            for n, (argument, attributes) in enumerate(zip(block.arguments, arguments, strict=True))
        ]
        known = {d.place: d for of_argument in dims for d in of_argument}
        own = f"{function.sym_name.value}/"
        entries = [e.removeprefix(own) for e in self.dims if "/" not in e or e.startswith(own)]
        if not entries and all(d.size is not None for d in known.values()):
            return
        sizes, problems = _solve(known, entries)
        fail_if(
            [error_at(function, f"{problem}. {_help(known)}") for problem in problems],
            "The shapes cannot be specialised.",
        )
        for argument, of_argument, attributes in zip(block.arguments, dims, arguments, strict=True):
            if any(d.size is None for d in of_argument):
                _set_shape(argument, [sizes[d.place] for d in of_argument])
            attributes.pop(DIMS, None)
        set_signature(function, arguments, results)


def _read_dims(
    number: int, argument: ir.Value, attributes: dict[str, ir.Attribute]
) -> Iterator[_Dim]:
    """Yield what is known of each dim; one that the export says nothing of is its own symbol."""
    type_ = _tensor_type(argument)
    if type_ is None:
        return
    name = attributes["tosaic.name"].value if "tosaic.name" in attributes else f"arg{number}"
    texts = [t.value for t in attributes[DIMS]] if DIMS in attributes else []
    for k, size in enumerate(type_.shape):
        place = f"{name}.{k}"
        text = texts[k] if k < len(texts) else ""
        expression, _, bounds = text.partition(":")
        low, _, high = bounds.partition("..")
        if size != DYNAMIC:
            yield _Dim(place, size, str(size))
        elif _is_expression(expression):
            yield _Dim(place, None, expression, _int(low) or 0, _int(high))
        else:
            # Python has no name for a place, so the expression is a name that no symbol has.
            yield _Dim(place, None, f"_{number}_{k}", _int(low) or 0, _int(high))


def _tensor_type(value: ir.Value) -> Any:
    return value.type if isinstance(value.type, ir.RankedTensorType) else builtin_type(value)


def _is_dynamic(type_: ir.Type) -> bool:
    text = str(type_)
    return text.startswith(("tensor<", "!torch.vtensor<")) and "?" in text


def _int(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d+", text) else None  # torch writes infinity as int_oo


def _is_expression(text: str) -> bool:
    try:
        tree = ast.parse(text, mode="eval")
        _evaluate(tree.body, dict.fromkeys(_Dim("", None, text).symbols, 1))
    except (SyntaxError, ValueError, ArithmeticError):
        return False
    return True


def _evaluate(node: ast.expr, sizes: dict[str, int]) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return sizes[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        combine = _OPERATORS[type(node.op)]
        return combine(_evaluate(node.left, sizes), _evaluate(node.right, sizes))
    raise ValueError("not an expression of dims")


def _solve(known: dict[str, _Dim], entries: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the size of every place, and what is wrong with `entries`."""
    symbols = {s for dim in known.values() for s in dim.symbols}
    given: dict[str, int] = {}
    stated: list[tuple[str, int]] = []
    problems: list[str] = []
    for entry in entries:
        name, _, text = entry.partition(":")
        sizes = [int(size) for size in text.split("x")]
        places = [p for p in known if p.rpartition(".")[0] == name]
        if len(sizes) == 1 and name in symbols:
            if given.setdefault(name, sizes[0]) != sizes[0]:
                problems.append(f"'{name}' has two sizes, {given[name]} and {sizes[0]}")
        elif len(sizes) == 1 and name in known:
            stated.append((name, sizes[0]))
        elif len(places) == len(sizes):
            stated.extend(zip(places, sizes, strict=True))
        elif places:
            problems.append(f"'{entry}' gives {len(sizes)} sizes, but '{name}' has {len(places)}")
        else:
            problems.append(f"The model has no dynamic dim '{name}'")
    for place, size in stated:
        if known[place].expression in symbols:
            given.setdefault(known[place].expression, size)
    missing = sorted(symbols - set(given))
    if missing and not problems:
        problems = [f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no size"]
    if problems:
        return {}, problems
    out = {place: _size(dim, given) for place, dim in known.items()}
    for place, size in stated:
        if size != out[place]:
            problems.append(f"Dim '{place}' is {out[place]}, not {size}")
    for place, dim in known.items():
        if dim.size is None and not dim.holds(out[place]):
            problems.append(f"Size {out[place]} of dim '{place}' is out of range")
    return out, problems


def _size(dim: _Dim, sizes: dict[str, int]) -> int:
    if dim.size is not None:
        return dim.size
    return _evaluate(ast.parse(dim.expression, mode="eval").body, sizes)


def _help(known: dict[str, _Dim]) -> str:
    """Return a sentence that names every dynamic dim with its range."""
    by_symbol: dict[str, list[_Dim]] = {}
    for dim in known.values():
        if dim.size is None:
            by_symbol.setdefault(dim.expression, []).append(dim)
    parts = []
    for expression, dims in by_symbol.items():
        places = " = ".join(d.place for d in dims)
        named = places if expression.startswith("_") else f"{expression} = {places}"
        parts.append(f"{named} ({dims[0].range})")
    return f"Its dynamic dims are {', '.join(parts)}" if parts else "It has none"


def _set_shape(value: ir.Value, shape: list[int]) -> None:
    if isinstance(value.type, ir.RankedTensorType):
        value.set_type(tensor(shape, element_of(value)))
    else:
        text = _SHAPE.sub(rf"\g<1>{','.join(map(str, shape))}", str(value.type))
        value.set_type(ir.Type.parse(text))


def _dynamic_ops(module: ir.Operation) -> Iterator[Any]:
    """Yield every op with a tensor result of dynamic shape, and every function that has one."""
    found: list[Any] = []

    def visit(op: Any) -> Any:
        types = [v.type for v in op.results]
        if isinstance(op.opview, func.FuncOp):
            types = op.opview.type.inputs + op.opview.type.results
        if any(_is_dynamic(t) for t in types):
            found.append(op)
        return ir.WalkResult.ADVANCE

    module.walk(visit, ir.WalkOrder.PRE_ORDER)
    yield from found


def _leftovers(module: ir.Operation) -> list[Diagnostic]:
    """Report the ops where a dynamic dim begins."""
    return [
        error_at(
            op,
            f"the shape of the result of {str(op.name).removeprefix('torch.')} is not known from "
            "the shapes of its operands. It depends on their values, or the op has no shape "
            "function; rewrite the model without it",
        )
        for op in _dynamic_ops(module)
        if len(op.results) and not any(_is_dynamic(v.type) for v in op.operands)
    ]
