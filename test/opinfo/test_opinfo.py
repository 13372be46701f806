"""Every operator of opinfo_table on PyTorch's own samples: a few in `make test`, or all."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from pathlib import Path

import pytest
import torch
from opinfo_driver import Sample, Tolerance, run
from opinfo_report import Task, judge, tasks
from opinfo_table import rows

pytestmark = pytest.mark.filterwarnings("ignore")  # PyTorch's, about what the samples use
FEW, MANY, MANY_OF_OTHER_DTYPES = 3, 24, 6


@pytest.fixture(autouse=True)
def _reproducers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # of what is refused


def _check(name: str, dtype: torch.dtype, limit: int) -> None:
    outcomes = judge(rows()[name], dtype, limit)
    assert outcomes or dtype != rows()[name].dtypes[0], "no sample was run"
    failed = [f"{o.sample}: {o.reason}" for o in outcomes if o.status == "failed"]
    assert not failed, "\n".join(failed)


@pytest.mark.parametrize("name", rows())
def test_some(name: str) -> None:
    dtypes = rows()[name].dtypes
    _check(name, dtypes[0], FEW)
    if torch.int32 in dtypes[1:]:
        _check(name, torch.int32, FEW)


@pytest.mark.samples
@pytest.mark.parametrize("task", tasks([], "", [], MANY, MANY_OF_OTHER_DTYPES), ids=str)
def test_all(task: Task) -> None:
    _check(task.row, task.dtype, task.limit)


# --- the driver itself ---------------------------------------------------------------------------

TOLERANCES = {torch.float32: Tolerance(1e-6, 1e-6)}
X = torch.arange(6.0).reshape(2, 3)


def test_wrong_values_fail_alone() -> None:
    count = itertools.count()
    changing = Sample(lambda x: x + next(count), (X,))  # compiled with another number
    outcomes = run([Sample(torch.exp, (X,)), changing], TOLERANCES)
    assert [o.status for o in outcomes] == ["passed", "failed"]
    assert "Mismatched elements: 6 / 6" in outcomes[1].reason


def test_refusals_are_told_apart() -> None:
    outcomes = run([Sample(torch.nonzero, (X,)), Sample(torch.exp, (X,))], TOLERANCES)
    assert [o.status for o in outcomes] == ["refused", "passed"]
    assert "known only when the model runs" in outcomes[0].reason


def test_a_refusal_that_no_row_lists_is_a_failure() -> None:
    row = rows()["masked_select"]
    assert {o.status for o in judge(row, torch.float32, 2)} == {"refused"}
    unlisted = dataclasses.replace(row, name="where_not_listed")
    assert {o.status for o in judge(unlisted, torch.float32, 2)} == {"failed"}
