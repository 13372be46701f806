"""lit configuration: the IR tests of test/lowering and test/tools (pytest runs the rest)."""

import pathlib
import sys

import lit.formats

_HERE = pathlib.Path(__file__).parent
_LIT_FOLDERS = {"lowering", "tools"}

sys.path.insert(0, str(_HERE))
from support import warm_tools  # noqa: E402

config.name = "tosaic"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir", ".py", ".test"]  # noqa: F821
config.test_source_root = str(_HERE)  # noqa: F821
config.test_exec_root = str(_HERE.parent / "build" / "lit")  # noqa: F821
config.excludes = [  # noqa: F821
    *(entry.name for entry in _HERE.iterdir() if entry.name not in _LIT_FOLDERS),
    *(path.name for path in _HERE.rglob("test_*.py")),
    "__init__.py",
    "conftest.py",
    "Inputs",
]

# The tools of the environment that lit runs in, whether or not it is activated, started once.
_WARM = warm_tools.start(pathlib.Path(config.test_exec_root))  # noqa: F821
_BIN = pathlib.Path(sys.executable).parent
config.environment["PATH"] = f"{_WARM}:{_BIN}:{config.environment['PATH']}"  # noqa: F821
config.substitutions.append(("%python", sys.executable))  # noqa: F821
