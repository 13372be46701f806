"""Search for programs that fail, and shrink them to scripts.

    python test/generated/search.py [--programs 1000] [--seed 0] [--first 0] [--kind int8]

One script is written for each cause; each failure is printed with the seed of its program, which
``--seed`` and ``--first`` make again.
"""

from __future__ import annotations

import argparse
import collections
import logging
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from judge import KINDS, Verdict, judge
from random_programs import FAMILIES, Program, draw, shrink

TAIL = {
    "float": 'program = tosaic.compile(model, inputs, target="tosa-1.0-fp")',
    "int8": 'program = tosaic.compile(\n    model, inputs, target="tosa-1.0-int", quantize="int8",'
    " calibration=[inputs]\n)",
}


def script(program: Program, kind: str, verdict: Verdict) -> str:
    """Return a script that shows `verdict`."""
    said = "".join(f"# {line}\n" for line in verdict.reason.strip().splitlines()[-25:])
    run = "given = [x.int() if x.dtype == torch.int64 else x for x in inputs]"
    tail = f"{TAIL[kind]}\n{run}\nprint(program.run(*given))\nprint(model(*inputs))"
    return f"# {verdict.cause}\n{said}{program.script(tail)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append")
    parser.add_argument("--families", default=",".join(FAMILIES), help="of steps")
    parser.add_argument("-o", "--out", type=Path, default=Path("build/generated"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    given.out.mkdir(parents=True, exist_ok=True)
    counts: collections.Counter[str] = collections.Counter()
    causes: set[tuple[str, str]] = set()
    for number in range(given.first, given.first + given.programs):
        program = draw(f"{given.seed}:{number}", given.families.split(","))
        for kind in given.kind or KINDS:
            verdict = judge(program, kind)
            counts[f"{kind} {verdict.status}"] += 1
            if verdict.status != "failed":
                continue
            print(f"{given.seed}:{number} {kind}: {verdict.cause}", flush=True)
            if (kind, verdict.cause) in causes:
                continue
            causes.add((kind, verdict.cause))

            def fails(p: Program, kind: str = kind, cause: str = verdict.cause) -> bool:
                return judge(p, kind).cause == cause

            small = shrink(program, fails)
            path = given.out / f"{kind}_{number}.py"
            path.write_text(script(small, kind, judge(small, kind)))
            print(f"    {path}", flush=True)
    print(dict(sorted(counts.items())))


if __name__ == "__main__":
    main()
