"""What lit cannot show of the tools: what they import, exact file content."""

import subprocess
import sys
from pathlib import Path

import pytest

from tosaic.errors import Diagnostic
from tosaic.tools import gen_docs
from tosaic.tools.verify_diagnostics import unmet_expectations

TOOLS = Path(sys.executable).parent
SOURCE = "func.func @f() {\n  return\n}\n"


def run_tool(name: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([TOOLS / name, *arguments], input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize("tool", ["tosaic_opt", "tosaic_translate"])
def test_torch_is_not_imported(tool: str) -> None:
    check = (
        f"import sys, tosaic.tools.{tool}\n"
        "from tosaic.lowering.passes import all_passes\n"
        "all_passes()\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_output_file_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "out.mlir"
    out.write_text("old")
    assert run_tool("tosaic-opt", "-o", str(out), stdin=b"not a module").returncode == 1
    assert out.read_text() == "old"
    assert run_tool("tosaic-opt", "-o", str(out), stdin=SOURCE.encode()).returncode == 0
    assert "func.func @f" in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mlir"]


def test_unwritable_output_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_tool("tosaic-opt", "-o", str(tmp_path / "file" / "x.mlir"), stdin=SOURCE.encode())
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: Cannot write ")
    assert done.stderr.count(b"\n") == 1


def test_bytecode_is_mlir_bytecode() -> None:
    done = run_tool("tosaic-opt", "--emit-bytecode", stdin=SOURCE.encode())
    assert done.stdout[:4] == b"ML\xefR"
    again = run_tool("tosaic-opt", stdin=done.stdout)
    assert b"func.func @f" in again.stdout


def test_closed_pipe_is_quiet() -> None:
    script = f"{TOOLS / 'tosaic-opt'} --list-passes | true"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert done.stderr == b""


def test_generated_docs_are_deterministic() -> None:
    assert gen_docs.passes_markdown() == gen_docs.passes_markdown()


# --- verify-diagnostics: the cases that lit cannot provoke ---------------------------------------


def reported(message: str, line: int = 0, severity: str = "error") -> Diagnostic:
    return Diagnostic(message, "", "f" if line else "", line, severity=severity)


def test_unknown_location_needs_unknown_designator() -> None:
    lines = ["// expected-error@unknown {{lost}}"]
    assert unmet_expectations(lines, "f", [reported("it is lost")]) == []
    assert len(unmet_expectations(lines, "f", [reported("it is lost", 1)])) == 2


def test_two_problems_on_a_line_need_two_comments() -> None:
    lines = ["// expected-error@below {{a}}", "// expected-error@below {{a}}", "op"]
    assert unmet_expectations(lines, "f", [reported("a", 3), reported("a", 3)]) == []
    assert len(unmet_expectations(lines, "f", [reported("a", 3)])) == 1


def test_warning_note_and_offsets() -> None:
    lines = ["// expected-warning@+2 {{w}}", "// expected-note @+1 {{n}}", "op"]
    problems = [reported("w", 3, "warning"), reported("n", 3, "note")]
    assert unmet_expectations(lines, "f", problems) == []


def test_plain_text_is_not_a_pattern() -> None:
    lines = ["op // expected-error {{a.*b}}"]
    assert len(unmet_expectations(lines, "f", [reported("axxb", 1)])) == 2
    assert unmet_expectations(lines, "f", [reported("a.*b", 1)]) == []
    lines = ["op // expected-error-re {{(a){{.*}}b}}"]
    assert unmet_expectations(lines, "f", [reported("(a)xxb", 1)]) == []
