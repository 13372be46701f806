"""One loaded model: a flatbuffer, its arena, and calls into the library."""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tosaic.errors import ToolError
from tosaic.runtime.library import (
    ALIGNMENT,
    ARENA_TOO_SMALL,
    OK,
    Config,
    Node,
    Place,
    Tensor,
    all_operators,
    library,
)
from tosaic.runtime.tensors import from_bytes, to_bytes

Array = npt.NDArray[Any]

# By number in tosa.fbs' DType.
_DTYPES = {1: "bool", 2: "int4", 3: "int8", 4: "int16", 5: "int32", 6: "int48", 7: "float32"}


@dataclass(frozen=True)
class Concat:
    """Step `step` makes tensor `output` of `inputs`, one behind the other along `axis`."""

    step: int
    output: int
    inputs: tuple[int, ...]
    axis: int


@dataclass(frozen=True)
class Slice:
    """Step `step` makes tensor `output` of what begins at `start` (elements) in `input`."""

    step: int
    output: int
    input: int
    start: tuple[int, ...]


class Model:
    """A TOSA flatbuffer made ready by the embedded runtime.

    `arena_size` is what it needs on this machine, in bytes: tensors and the model's own tables.
    """

    def __init__(
        self,
        flatbuffer: bytes,
        plan: bytes | None = None,
        *,
        max_iterations: int = 0,
        kernels: str = "",
    ) -> None:
        """Load `flatbuffer`, with the compiler's memory plan or the loader's own.

        `kernels` is the set whose scratch memory counts, where it is not this machine's.

        Raises:
            ToolError: the runtime refuses the model; the operator is named.
        """
        self._lock = threading.Lock()
        self._library = library(kernels)
        self._place = Place()
        self._flatbuffer = _aligned(np.frombuffer(flatbuffer, np.uint8))
        self._plan = None if plan is None else _aligned(np.frombuffer(plan, np.uint8))
        self._arena = _aligned(np.zeros(4096, np.uint8))
        self._config = Config(
            model=self._flatbuffer.ctypes.data,
            model_size=self._flatbuffer.size,
            plan=None if self._plan is None else self._plan.ctypes.data,
            plan_size=0 if self._plan is None else self._plan.size,
            operators=all_operators(self._library),
            max_iterations=max_iterations,
            failed=ctypes.pointer(self._place),
        )
        size = ctypes.c_size_t()
        while (status := self._with_arena(size)) == ARENA_TOO_SMALL:
            self._arena = _aligned(np.zeros(size.value, np.uint8))
        self._check(status, "cannot load the program")
        self.arena_size = size.value
        self._model = ctypes.c_void_p()
        status = self._library.tosaic_model_init(
            ctypes.byref(self._config), ctypes.byref(self._model)
        )
        self._check(status, "cannot load the program")

    @property
    def inputs(self) -> list[Tensor]:
        """The inputs' tensors; their data are in the arena."""
        count = self._library.tosaic_model_input_count(self._model)
        return [self._library.tosaic_model_input(self._model, k).contents for k in range(count)]

    @property
    def outputs(self) -> list[Tensor]:
        """The outputs' tensors."""
        count = self._library.tosaic_model_output_count(self._model)
        return [self._library.tosaic_model_output(self._model, k).contents for k in range(count)]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Return the outputs; int48 is int64 in numpy, and int4 int8.

        Inputs have the sizes that the program's inputs have (see `tosaic.executors`).

        Raises:
            ToolError: the program fails, with the operator it fails at.
        """
        with self._lock:
            for tensor, array in zip(self.inputs, inputs, strict=True):
                data = to_bytes(array, _DTYPES[tensor.type])
                if len(data) != tensor.bytes:
                    raise ToolError(f"An input has {len(data)} bytes, not {tensor.bytes}.")
                ctypes.memmove(tensor.data, data, tensor.bytes)
            status = self._library.tosaic_model_invoke(self._model)
            self._check(status, "failed")
            return [_array(tensor) for tensor in self.outputs]

    @property
    def device_arena(self) -> int:
        """Bytes of arena that a device with 32-bit pointers needs, with a plan."""
        size: int = self._library.tosaic_describe_device_arena(self._model)
        return size

    def plan(self) -> bytes:
        """Return the plan in use, for a device or another `Model` of this flatbuffer."""
        words = (ctypes.c_uint32 * self._library.tosaic_describe_plan_words(self._model))()
        count: int = self._library.tosaic_describe_plan(self._model, words)
        return bytes(words)[: count * ctypes.sizeof(ctypes.c_uint32)]

    def operators_used(self) -> list[str]:
        """Return the names of the library's operators that the program uses."""
        out, index = [], 0
        while (name := self._library.tosaic_describe_operator_name(index)) is not None:
            if self._library.tosaic_describe_operator_uses(self._model, index):
                out.append(name.decode())
            index += 1
        return out

    def steps(self) -> list[tuple[list[int], list[int]]]:
        """Return what each step of main reads and writes; what runs fused is one step."""
        out: list[tuple[list[int], list[int]]] = []
        behind = 0
        for node in self._nodes():
            operands = [node.operands[k] for k in range(node.inputs + node.outputs)]
            if behind:
                out[-1][0].extend(operands[: node.inputs])
                out[-1][1][:] = operands[node.inputs :]
            else:
                out.append((operands[: node.inputs], operands[node.inputs :]))
            behind = behind - 1 if behind else node.chained
        return out

    def step_sizes(self) -> list[int]:
        """Return how many operators, but constants, each step of main has."""
        out: list[int] = []
        behind = 0
        for node in self._nodes():
            if not behind:
                out.append(0)
            out[-1] += node.merged + 1
            behind = behind - 1 if behind else node.chained
        return out

    def moves(self) -> list[Concat | Slice]:
        """Return the steps of main that are a CONCAT or a SLICE."""
        out: list[Concat | Slice] = []
        step = -1
        behind = 0
        for node in self._nodes():
            if not behind:
                step += 1
            behind = behind - 1 if behind else node.chained
            name = _op_name(node.op)
            operands = [node.operands[k] for k in range(node.inputs + node.outputs)]
            if name == "CONCAT":
                out.append(Concat(step, operands[-1], tuple(operands[:-1]), node.attributes[0]))
            elif name == "SLICE":
                start = self._tensor(operands[1])
                values = np.frombuffer(ctypes.string_at(start.data, start.bytes), np.int64)
                out.append(Slice(step, operands[-1], operands[0], tuple(values.tolist())))
        return out

    def tensor_shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor of main, by its index among the block's tensors."""
        found = self._tensor(tensor)
        return tuple(found.shape[: found.rank])

    def output_tensors(self) -> list[int]:
        """Return main's outputs as indices among the block's tensors."""
        count = self._library.tosaic_model_output_count(self._model)
        return [self._library.tosaic_describe_output(self._model, 0, k) for k in range(count)]

    def tensor_bytes(self, tensor: int) -> int:
        """Return the bytes of a tensor of main, by its index among the block's tensors."""
        size: int = self._tensor(tensor).bytes
        return size

    def tensor_kinds(self) -> list[int]:
        """Return of main's tensors where they are, as PlanKind in runtime/src/plan.h has it.

        A plan has tensors of a kind together, and in the order of these numbers.
        """
        out: list[int] = []
        while self._library.tosaic_describe_tensor(self._model, 0, len(out)):
            out.append(self._library.tosaic_describe_kind(self._model, 0, len(out)))
        return out

    def reset(self) -> None:
        """Give all variables their initial values again."""
        with self._lock:
            self._library.tosaic_model_reset(self._model)

    def _nodes(self) -> Iterator[Node]:
        node, index = Node(), 0
        while self._library.tosaic_describe_node(self._model, 0, index, ctypes.byref(node)):
            yield node
            index += 1

    def _tensor(self, tensor: int) -> Tensor:
        found: Tensor = self._library.tosaic_describe_tensor(self._model, 0, tensor).contents
        return found

    def _with_arena(self, size: ctypes.c_size_t) -> int:
        self._config.arena = self._arena.ctypes.data
        self._config.arena_size = self._arena.size
        status: int = self._library.tosaic_arena_size(
            ctypes.byref(self._config), ctypes.byref(size)
        )
        return status

    def _check(self, status: int, what: str) -> None:
        if status == OK:
            return
        reason = self._library.tosaic_status_text(status).decode()
        place = self._place
        where = f" at {_op_name(place.op)}, operator {place.node}" if place.op else ""
        region = f" of region {place.graph}" if place.graph else ""
        raise ToolError(
            f"The embedded runtime {what}{where}{region}: {reason}. docs/op_support.md tells which "
            "operators there are; the reference executor runs all of TOSA."
        )


def sample_of(model: bytes) -> int:
    """Return the number by which a plan knows `model`."""
    data = _aligned(np.frombuffer(model, np.uint8))
    number: int = library("").tosaic_describe_sample(data.ctypes.data, data.size)
    return number


@cache
def _op_name(number: int) -> str:
    # The accessors that flatc generated, from the tosa-tools wheel; they carry no types.
    op: Any = importlib.import_module("tosa.Op").Op
    return str(next(name for name, value in vars(op).items() if value == number))


def _aligned(data: Array) -> Array:
    """Return a copy of `data` (bytes) at an aligned address."""
    memory = np.zeros(data.size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    memory[start : start + data.size] = data
    return memory[start : start + data.size]


def _array(tensor: Tensor) -> Array:
    shape = [tensor.shape[k] for k in range(tensor.rank)]
    data = ctypes.string_at(tensor.data, tensor.bytes)
    return from_bytes(data, _DTYPES[tensor.type], shape)
