"""Running graph passes: order, fixed points, faults that leave a reproducer, what is printed."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch.fx import GraphModule

from support.normal_form import exported, graph_of
from tosaic.errors import CompileError, InputError
from tosaic.frontend.load import load_program
from tosaic.frontend.normal import noops, normal_passes, normalize
from tosaic.graph.passes import (
    DumpGraphs,
    GraphPass,
    Together,
    describe,
    documentation,
    graph_passes,
    register_graph_pass,
    run_passes,
)
from tosaic.graph.rules import Rule, rule
from tosaic.quantizer.parts import part_passes

aten = torch.ops.aten


@dataclass(frozen=True)
class Replaces(GraphPass):
    """Replace one op by another, where there is one."""

    name: ClassVar[str] = "replaces"
    old: str
    new: str

    def run(self, model: GraphModule) -> bool:
        found = model.graph.find_nodes(op="call_function", target=getattr(aten, self.old).default)
        for node in found:
            node.target = getattr(aten, self.new).default
        return bool(found)


def sine() -> GraphModule:
    return graph_of(exported(torch.sin, torch.ones(2)))


def test_passes_run_in_order_and_say_whether_they_changed_anything() -> None:
    graph = sine()
    assert run_passes(graph, [Replaces("sin", "cos"), Replaces("cos", "tan")])
    torch.testing.assert_close(graph(torch.ones(2)), torch.ones(2).tan())
    assert not run_passes(graph, [Replaces("sin", "cos")])


def test_passes_together_come_to_a_fixed_point() -> None:
    graph, seen = sine(), []
    both = Together((Replaces("cos", "tan"), Replaces("sin", "cos")))
    assert run_passes(graph, [both], lambda name, _: seen.append(name))
    assert len(seen) == 2
    torch.testing.assert_close(graph(torch.ones(2)), torch.ones(2).tan())
    assert not run_passes(graph, [both])


def test_passes_that_undo_each_other_are_told() -> None:
    both = Together((Replaces("cos", "sin"), Replaces("sin", "cos")))
    with pytest.raises(CompileError, match="replaces, replaces change the graph again and again"):
        run_passes(sine(), [both])


def test_each_change_is_written_to_a_file(tmp_path: Path) -> None:
    passes = [Replaces("sin", "cos"), Replaces("sin", "tan"), Replaces("cos", "tan")]
    run_passes(sine(), passes, DumpGraphs(tmp_path))
    assert sorted(f.name for f in tmp_path.iterdir()) == ["000-replaces.fx", "001-replaces.fx"]
    assert "torch.ops.aten.cos.default" in (tmp_path / "000-replaces.fx").read_text()
    assert "# float32[2]" in (tmp_path / "000-replaces.fx").read_text()


def test_the_passes_of_a_compile_are_registered_and_documented() -> None:
    text = describe((*normal_passes(), *part_passes()))
    names = set(re.findall(r"[a-z-]+", text)) - {"fixed-point"}
    assert text.startswith("regions,functional,fixed-point(arguments,noops,")
    assert names <= set(graph_passes())
    assert all(doc.endswith(".") for _, doc in documentation())


def test_two_passes_cannot_have_one_name() -> None:
    with pytest.raises(AssertionError, match="two passes are named noops"):
        register_graph_pass(noops.NoOps.__mro__[0])


@rule(aten.relu.default)
def stumbles(e: object, node: torch.fx.Node) -> None:
    raise KeyError("missing")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have a pass stumble over relu; return where its reproducers are."""
    rules: tuple[Rule, ...] = (*noops.NoOps.rules, stumbles)
    monkeypatch.setattr(noops.NoOps, "rules", rules)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def rectified(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x + 1)


def test_a_fault_in_a_pass_names_it_and_the_op_and_leaves_the_program(broken: Path) -> None:
    program = exported(rectified, torch.ones(2))
    with pytest.raises(CompileError) as caught:
        normalize(program)
    message = str(caught.value)
    assert "The graph pass noops failed on 'relu' (aten.relu.default) at " in message
    assert "nets.py:" in message and "KeyError: 'missing'" in message
    (folder,) = broken.iterdir()
    assert caught.value.reproducer == f"sh {folder / 'run.sh'}"
    *_, command = (folder / "run.sh").read_text().splitlines()
    tool, explain, source = shlex.split(command)
    assert (tool, explain) == ("tosaic", "explain")
    with pytest.raises(CompileError, match="noops failed on 'relu'"):
        normalize(load_program(source))


def test_what_cannot_be_saved_has_no_reproducer(
    broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(torch.export, "save", refuses)
    with pytest.raises(CompileError) as caught:
        normalize(exported(rectified, torch.ones(2)))
    assert not caught.value.reproducer and not list(broken.iterdir())


def test_an_error_for_users_passes_as_it_is(broken: Path) -> None:
    program = exported(lambda x: x.add_(1), torch.ones(2))
    with pytest.raises(InputError, match="writes to its input"):
        normalize(program)
    assert not list(broken.iterdir())
