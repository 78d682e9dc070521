"""The checks of `vtk setup`: each can pass, each can fail, and a failure names its fix."""

import json
import subprocess
from email.message import Message
from importlib.metadata import Distribution
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from vtk.cli.app import main
from vtk.errors import ConfigError, MissingEnvironmentError
from vtk.system import doctor
from vtk.system.backbone import backbone_source
from vtk.system.checks import Check, missing_package, pip_command, try_import
from vtk.system.compute import check_attention, check_gpu, check_torch
from vtk.system.decoding import check_decoder, check_decoders, write_probe_clip
from vtk.system.doctor import check_disk, install_fixes
from vtk.system.gpu import GIB, GpuDevice, GpuReading
from vtk.system.packages import check_import_names, check_python, check_requirements

NO_GPU = GpuReading((), "no NVIDIA driver", 0.1, 0.0)
ONE_GPU = GpuReading((GpuDevice(0, "H100", 1, 80, 0, 70, 30, None),), None, 0.1, 0.0)


class Installed(Distribution):
    """A distribution that is described and not installed."""

    def __init__(self, name: str, top_level: str) -> None:
        self._metadata = Message()
        self._metadata["Name"], self._metadata["Version"] = name, "9.4"
        self._top_level = top_level

    @property
    def metadata(self) -> Any:
        return self._metadata

    def read_text(self, filename: str) -> str | None:
        return self._top_level if filename == "top_level.txt" else None

    def locate_file(self, path: Any) -> Any:
        raise NotImplementedError


def test_an_old_python_fails() -> None:
    assert check_python((3, 10, 4)).status == "fail"
    assert check_python((3, 11, 0)).status == "ok"


def test_requirements_are_looked_up_one_by_one() -> None:
    wanted = ["typer>=0.1", "typer>=99", "no-such-thing>=1", "absent; extra == 'dev'"]
    too_old, absent = check_requirements(wanted)
    assert too_old.packages == ("typer>=99",)
    assert "no-such-thing is not installed" in absent.detail
    assert absent.fix is not None
    assert "no-such-thing>=1" in absent.fix


def test_this_environment_meets_our_requirements() -> None:
    (check,) = check_requirements()
    assert check.status == "ok", check.detail


@pytest.mark.parametrize("name", ["vtk", "some-fork"])
def test_another_package_under_our_import_name_is_found(name: str) -> None:
    installed = [
        Installed("videothinker-toolkit", "vtk\ntui"),
        Installed(name, "vtk\nvtkmodules"),
        Installed("numpy", "numpy"),
    ]
    (check,) = check_import_names(installed)
    assert check.status == "fail"
    assert f"pip uninstall {name}" in (check.fix or "")


def test_our_own_distribution_is_no_clash() -> None:
    (check,) = check_import_names([Installed("videothinker-toolkit", "vtk\ntui")])
    assert check.status == "ok"


def test_a_torchvision_that_does_not_import_is_told_with_a_fix() -> None:
    def load(name: str) -> ModuleType | str:
        fault = "operator torchvision::nms does not exist"
        return fault if name == "torchvision" else _module(name)

    check = check_torch(load)
    assert check.status == "fail"
    assert "torchvision::nms" in check.detail
    assert check.packages[-2:] == ("torch", "torchvision")


def test_torch_of_this_environment_imports_beside_torchvision() -> None:
    check = check_torch()
    assert check.status == "ok", check.detail
    assert "torchvision" in check.detail


def test_no_gpu_is_a_note_with_its_reason() -> None:
    check = check_gpu(lambda _: _torch(is_available=False), lambda: NO_GPU)
    assert check.status == "note"
    assert "no NVIDIA driver" in check.detail


def test_a_gpu_that_torch_cannot_use_fails() -> None:
    check = check_gpu(lambda _: _torch(is_available=False), lambda: ONE_GPU)
    assert check.status == "fail"
    assert "H100" in check.detail
    assert check.fix is not None


def test_the_attention_kernel_is_named() -> None:
    check = check_attention()
    assert check.status == "ok"
    assert "SDPA is used" in check.detail
    without_torch = check_attention(lambda name: f"No module named {name!r}")
    assert without_torch.status == "fail"


def test_decoders_give_back_what_was_written() -> None:
    by_name = {check.name: check for check in check_decoders()}
    assert by_name["decoder pyav"].status == "ok", by_name["decoder pyav"].detail
    assert set(by_name) == {"decoder pyav", "decoder decord", "decoder torchcodec"}


def test_a_decoder_that_meets_garbage_fails_and_does_not_raise(tmp_path: Path) -> None:
    clip = tmp_path / "broken.mp4"
    write_probe_clip(clip)
    assert check_decoder("pyav", clip).status == "ok"
    clip.write_bytes(clip.read_bytes()[:200])
    check = check_decoder("pyav", clip)
    assert check.status == "fail"
    assert check.packages[-1] == "av"


def test_the_disk_of_a_folder_that_is_not_there_yet_is_measured(tmp_path: Path) -> None:
    assert check_disk(tmp_path / "a" / "b").status in ("ok", "note")
    assert check_disk(tmp_path, free_bytes=GIB).status == "fail"
    assert check_disk(tmp_path, free_bytes=5 * GIB).status == "note"
    assert check_disk(tmp_path, free_bytes=500 * GIB).status == "ok"


def test_only_what_failed_and_pip_can_mend_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        ran.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    checks = [
        Check("a", "ok", "", packages=("never",)),
        Check("b", "fail", "", fix="free some space"),
        missing_package("c", "", ["av>=15"]),
    ]
    assert install_fixes(checks) == ["av>=15"]
    assert ran == [pip_command(["av>=15"])]


def test_a_failed_installation_is_an_environment_error(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(MissingEnvironmentError, match=r"av>=15 failed"):
        install_fixes([missing_package("c", "", ["av>=15"])])


def test_an_import_that_fails_says_why() -> None:
    assert try_import("no_such_module") == "No module named 'no_such_module'"
    assert isinstance(try_import("json"), ModuleType)


def test_backbones_have_short_names() -> None:
    qwen = backbone_source("qwen2.5-vl-3b")
    assert (qwen.repo, qwen.must_agree) == ("Qwen/Qwen2.5-VL-3B-Instruct", True)
    assert backbone_source("Qwen/Qwen2.5-VL-3B-Instruct") is qwen
    assert backbone_source("me/mine").repo == "me/mine"
    for wrong in ("qwen", "./folder/x", "a/b/c"):
        with pytest.raises(ConfigError):
            backbone_source(wrong)


def test_setup_says_ready_or_exits_with_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = ["--data-dir", str(tmp_path / "d"), "--runs-dir", str(tmp_path / "r")]
    code = main(["setup", "--json", *folders])
    told = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in told["checks"]]
    assert {"python", "torch", "gpu", "attention", "decoder pyav", "tiny model"} <= set(names)
    assert code == (0 if told["ready"] else 3)
    broken = [missing_package("decoder pyav", "PyAV does not import", ["av"])]
    monkeypatch.setattr(doctor, "run_checks", lambda _: broken)
    assert main(["setup", *folders]) == 3
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "fail  decoder pyav: PyAV does not import"
    assert shown.splitlines()[1].strip().startswith("fix: ")


def _module(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__dict__["__version__"] = "1.0"
    return module


def _torch(is_available: bool) -> ModuleType:
    torch = _module("torch")
    torch.__dict__["cuda"] = SimpleNamespace(is_available=lambda: is_available)
    return torch


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = check_disk(tmp_path / "file" / "data", free_bytes=500 * GIB)
    assert check.status == "fail"
    assert "cannot write" in check.detail
    assert check.fix is not None
