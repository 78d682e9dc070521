"""`vtk setup --model OWNER/NAME`: a model that no list names, its size and its commands."""

import re
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.commands import commands_in, read_command
from tests.reliability.web import Site
from vtk.cli.console import Console
from vtk.cli.download_view import check, show_terms
from vtk.cli.setup import fetch_model
from vtk.data.remote.listed import listed_bytes
from vtk.data.remote.sources import SOURCES
from vtk.errors import DataError
from vtk.system.backbone import backbone_source

FILES = {"config.json": b'{"model_type": "x"}', "model.safetensors": b"w" * 300_000}


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


def fetch(data_dir: Path) -> Path:
    return Path(fetch_model(Console(), backbone_source("me/mine"), data_dir, is_agreed=False))


def test_its_size_is_asked_of_the_hub(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add_repository("model", "me/mine", {**FILES, "README.md": b"r" * 5_000_000})
    folder = fetch(tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    told = capsys.readouterr().err
    assert re.search(r"^me/mine: see its page, about 300(\.0)? kB\.|about 293(\.\d)? KiB\.", told)


def test_a_name_that_the_hub_does_not_know_is_told_before_any_terms(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="is not there"):
        fetch(tmp_path)
    assert "see its page" not in capsys.readouterr().err


def test_without_a_network_its_size_is_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    source = backbone_source("me/mine")
    assert listed_bytes(source) is None
    assert show_terms(Console(), [source], tmp_path, is_agreed=False)
    assert "me/mine: see its page, unknown size." in capsys.readouterr().err


@pytest.mark.parametrize("is_offline", [True, False])
def test_a_hint_names_a_command_that_exists(
    site: Site, tmp_path: Path, is_offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", str(int(is_offline)))
    with pytest.raises(DataError, match="me/mine is not here") as told:
        check(Console(), backbone_source("me/mine"), tmp_path, is_thorough=False)
    assert ("HF_HUB_OFFLINE unset" in str(told.value.hint)) == is_offline
    (read,) = map(read_command, commands_in(str(told.value.hint)))
    assert (read.words, read.options["model"]) == (("setup",), "me/mine")


def test_a_data_set_that_is_not_here_names_its_own_download(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError) as told:
        check(Console(), SOURCES["mmvu"], tmp_path, is_thorough=True)
    (read,) = map(read_command, commands_in(str(told.value.hint)))
    assert (read.words, read.options["names"]) == (("download",), ["mmvu"])
    assert read.options["data_dir"] == tmp_path
