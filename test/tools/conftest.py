"""Fixtures for tests of the command line."""

import pytest

from support.command_line import Tool


@pytest.fixture
def tosaic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(monkeypatch, capsys)
