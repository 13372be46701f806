"""``--verify-diagnostics`` as mlir-opt has it: the input's comments say which problems it expects.

    // expected-error@+1 {{operands don't have broadcast-compatible shapes}}
    // expected-warning@below {{…}}     // expected-error-re {{text with a {{reg.*ex}} in it}}

A comment names its own line, one so many lines away (``@+N``, ``@-N``), or the nearest line
``@below`` or ``@above`` that holds no such comment; ``@unknown`` is a problem without a place in
the file. The text must occur in the message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tosaic.errors import Diagnostic

_EXPECTED = re.compile(
    r"expected-(error|note|remark|warning)(-re)? *"
    r"(?:@([+-]\d+|above|below|unknown))? *\{\{(.*)\}\}$"
)


@dataclass
class _Expectation:
    severity: str
    pattern: re.Pattern[str]
    text: str
    at: int  # the line of the comment itself
    line: int  # the line of the problem; 0 is "unknown"
    met: bool = field(default=False)

    def matches(self, diagnostic: Diagnostic, line: int) -> bool:
        return line == self.line and self.pattern.search(diagnostic.message) is not None


def unmet_expectations(
    lines: Sequence[str], file: str, diagnostics: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """Return one error per expectation not met and per diagnostic not expected (none: all is well).

    Args:
        lines: the input; its first line is line 1 of the file.
        file: its name as the diagnostics' locations give it.
        diagnostics: what was reported, in order.
    """
    expectations = _read(lines)
    problems = []
    for diagnostic in diagnostics:
        line = diagnostic.line if diagnostic.file == file else 0
        found = [e for e in expectations if e.matches(diagnostic, line)]
        right = [e for e in found if e.severity == diagnostic.severity]
        if right:
            # Two alike problems need two comments, but one comment takes a repeated problem.
            next((e for e in right if not e.met), right[0]).met = True
        elif found:
            found[0].met = True
            problems.append(
                _error(
                    file,
                    found[0].at,
                    f"'{diagnostic.severity}' diagnostic emitted when expecting a "
                    f"'{found[0].severity}'",
                )
            )
        else:
            message = f"unexpected {diagnostic.severity}: {diagnostic.message}"
            problems.append(replace(diagnostic, message=message, severity="error"))
    problems.extend(
        _error(file, e.at, f'expected {e.severity} "{e.text}" was not produced')
        for e in expectations
        if not e.met
    )
    return problems


def _error(file: str, line: int, message: str) -> Diagnostic:
    return Diagnostic(message, f"{file}:{line}", file, line)


def _read(lines: Sequence[str]) -> list[_Expectation]:
    out: list[_Expectation] = []
    waiting: list[_Expectation] = []  # for the line below that holds no comment of this kind
    plain = 0
    for number, line in enumerate(lines, 1):
        match = _EXPECTED.search(line.rstrip())
        if match is None:
            plain = number
            for expectation in waiting:
                expectation.line = number
            waiting = []
            continue
        severity, is_regex, place, text = match.groups()
        expectation = _Expectation(severity, _pattern(text, bool(is_regex)), text, number, number)
        out.append(expectation)
        if place == "unknown":
            expectation.line = 0
        elif place == "above":
            expectation.line = plain
        elif place == "below":
            waiting.append(expectation)
        elif place:
            expectation.line += int(place)
    return out


def _pattern(text: str, is_regex: bool) -> re.Pattern[str]:
    if not is_regex:
        return re.compile(re.escape(text))
    parts = re.split(r"\{\{(.*?)\}\}", text)
    # re.split puts the group's text at every odd place.
    return re.compile("".join(f"(?:{p})" if k % 2 else re.escape(p) for k, p in enumerate(parts)))
