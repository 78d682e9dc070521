"""A loopback server with what the owners publish, and the command that fetches it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from tests.reliability.web import Site, serving
from vtk.cli.app import main

HASTE = ["--retries", "1", "--retry-wait", "0.01", "--stall-timeout", "5"]


@dataclass
class Cli:
    """Runs one command as a user types it; keeps what it printed."""

    data_dir: Path
    capsys: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""
    document: Any = field(default=None)

    def __call__(self, *arguments: str) -> int:
        haste = [] if {"--list", "--verify", "--offline"} & set(arguments) else HASTE
        code = main(["download", *arguments, *haste, "--data-dir", str(self.data_dir)])
        self.out, self.err = self.capsys.readouterr()
        self.document = json.loads(self.out) if "--json" in arguments else None
        return code


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    """The server that HF_ENDPOINT names; nothing of this machine's own Hub settings counts."""
    site = Site()
    with serving(site) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield site


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command, with a data folder of its own."""
    return Cli(tmp_path / "data", capsys)
