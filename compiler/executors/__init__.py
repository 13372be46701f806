"""Ways to run a TOSA program on the host, all behind `Executor`; bit-exact for integers."""

from tosaic.executors import jit as _jit
from tosaic.executors import qemu as _qemu
from tosaic.executors import reference as _reference
from tosaic.executors import runtime as _runtime
from tosaic.executors.executor import (
    Executor,
    all_executors,
    make_executor,
    register_executor,
)

__all__ = ["Executor", "all_executors", "make_executor", "register_executor"]

register_executor("reference", _reference.ReferenceExecutor)

register_executor("jit", _jit.JitExecutor)

register_executor("runtime", _runtime.RuntimeExecutor)

for _name, _make in _qemu.executors().items():
    register_executor(_name, _make)
