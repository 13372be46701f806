"""Prints a table: operator, samples tried, passed, refused and why, failed.

    python test/opinfo/opinfo_report.py                     # all rows
    python test/opinfo/opinfo_report.py gather topk         # some
    python test/opinfo/opinfo_report.py --family index --dtype float32 --failures

Operators run in worker processes: one that crashes is a failure of its operator, not of the report.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from opinfo_driver import Outcome, run
from opinfo_table import Row, rows


@dataclasses.dataclass(frozen=True)
class Task:
    """The samples of one row in one dtype."""

    row: str
    dtype: torch.dtype
    limit: int

    def __str__(self) -> str:
        return f"{self.row}-{_short(self.dtype)}"


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of them; a refusal that the row does not list counts as a failure."""

    task: Task
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    def count(self, status: str) -> int:
        """Return how many samples ended in `status`."""
        return sum(outcome.status == status for outcome in self.outcomes)


def judge(row: Row, dtype: torch.dtype, limit: int) -> list[Outcome]:
    """Run the samples of `row`; a refusal that the row does not list becomes a failure."""
    accepted = row.accepted_refusal(dtype)
    outcomes = run(row.samples(dtype, limit), row.tolerances(), values=row.defined)
    return [
        outcome
        if outcome.status != "refused" or (accepted and re.search(accepted, outcome.reason))
        else dataclasses.replace(outcome, status="failed", reason=f"refused: {outcome.reason}")
        for outcome in outcomes
    ]


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _worker(pipe: Any) -> None:
    torch.set_num_threads(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # PyTorch warns, logs and prints about what it does not trace
    os.dup2(silent, 2)
    with tempfile.TemporaryDirectory() as folder:  # takes the reproducers of what is refused
        tempfile.tempdir = folder
        while (task := pipe.recv()) is not None:
            begun = time.perf_counter()
            outcomes = judge(rows()[task.row], task.dtype, task.limit)
            pipe.send(Result(task, tuple(outcomes), time.perf_counter() - begun))


class _Workers:
    """Processes that are given a task each, and replaced where one dies of it."""

    def __init__(self, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._count = count

    def run(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """Yield the results as they come."""
        waiting = list(reversed(tasks))
        busy: dict[Any, tuple[Any, Task]] = {}
        idle = [self._start() for _ in range(min(self._count, len(tasks)))]
        while waiting or busy:
            while waiting and idle:
                process, pipe = idle.pop()
                task = waiting.pop()
                pipe.send(task)
                busy[pipe] = process, task
            for pipe in multiprocessing.connection.wait(list(busy)):
                process, task = busy.pop(pipe)
                try:
                    yield pipe.recv()
                    idle.append((process, pipe))
                except EOFError:
                    process.join()
                    reason = f"the process died (exit code {process.exitcode})"
                    yield Result(task, (Outcome("", "failed", reason),))
                    idle.append(self._start())
        for process, pipe in idle:
            pipe.send(None)
            process.join()

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_worker, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return process, ours


def tasks(
    names: Sequence[str], family: str, dtypes: Sequence[str], limit: int, other_limit: int
) -> list[Task]:
    """Return what is to be run; f32 gets more samples than the other dtypes."""
    chosen = [
        row
        for row in rows().values()
        if (not names or row.name in names) and (not family or row.family.startswith(family))
    ]
    return [
        Task(row.name, dtype, _limit(dtype, limit, other_limit))
        for row in chosen
        for dtype in row.dtypes
        if not dtypes or _short(dtype) in dtypes
    ]


def _limit(dtype: torch.dtype, limit: int, other_limit: int) -> int:
    if dtype.is_complex:
        return min(other_limit, 2)  # mostly refused, and then compiled one by one
    return limit if dtype == torch.float32 else other_limit


def _line(row: Row, results: Sequence[Result]) -> str:
    counts = [sum(r.count(status) for r in results) for status in ("passed", "refused", "failed")]
    dtypes = [_short(r.task.dtype) for r in results if r.count("failed")]
    reasons = sorted(
        {_brief(o.reason) for r in results for o in r.outcomes if o.status == "refused"}
    )
    notes = [f"failed in {', '.join(dtypes)}"] if dtypes else []
    notes += [f"refused: {'; '.join(reasons)}"] if reasons else []
    seconds = sum(r.seconds for r in results)
    return (
        f"{row.name:<26}{sum(counts):>6}{counts[0]:>8}{counts[1]:>9}{counts[2]:>8}{seconds:>8.1f}  "
        + "; ".join(notes)
    )


def _brief(reason: str) -> str:
    """Return the end of a refusal: what the compiler says about the op."""
    return reason.rpartition("is not supported: ")[2]


def _dump(path: Path, results: Sequence[Result]) -> None:
    data = [
        {
            "op": result.task.row,
            "family": rows()[result.task.row].family,
            "dtype": _short(result.task.dtype),
            "seconds": round(result.seconds, 3),
            **{status: result.count(status) for status in ("passed", "refused", "failed")},
            "reasons": [dataclasses.asdict(o) for o in result.outcomes if o.status != "passed"],
        }
        for result in results
    ]
    path.write_text(json.dumps(data, indent=1) + "\n")


def main() -> int:
    """Print the table; 1 where a sample failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="rows; all where none is given")
    parser.add_argument("--family", default="", help="rows of the family that starts so")
    parser.add_argument("--dtype", action="append", default=[], help="float32, int8 …; repeatable")
    parser.add_argument("--limit", type=int, default=24, help="f32 samples of an OpInfo")
    parser.add_argument("--other-limit", type=int, default=6, help="… and of other dtypes")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write all results there")
    parser.add_argument("--failures", action="store_true", help="print each failed sample")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(rows()))
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}")
    chosen = tasks(given.names, given.family, given.dtype, given.limit, given.other_limit)
    results: dict[Task, Result] = {}
    printed = ""
    print(f"{'op':<26}{'tried':>6}{'passed':>8}{'refused':>9}{'failed':>8}{'sec':>8}")
    for result in _Workers(given.jobs).run(chosen):
        results[result.task] = result
        own = [task for task in chosen if task.row == result.task.row]
        if all(task in results for task in own):
            row = rows()[result.task.row]
            if row.family != printed:
                print(f"-- {row.family}")
                printed = row.family
            print(_line(row, [results[task] for task in own]), flush=True)
            if given.failures:
                for task in own:
                    for outcome in results[task].outcomes:
                        if outcome.status == "failed":
                            print(f"    {task.dtype} {outcome.sample}\n        {outcome.reason}")
    done = [results[task] for task in chosen]
    counts = {s: sum(r.count(s) for r in done) for s in ("passed", "refused", "failed")}
    median = statistics.median([r.seconds for r in done] or [0.0])
    print(
        f"{len({r.task.row for r in done})} operators: {counts}; median of {len(done)} tests "
        f"{median:.2f} s"
    )
    if given.json:
        _dump(given.json, done)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
