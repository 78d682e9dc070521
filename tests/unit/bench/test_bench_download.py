"""The measurement fetches real bytes with both, and notices when one does not."""

import json
import shutil
from pathlib import Path

import pytest

from vtk.bench import download
from vtk.cli.app import main
from vtk.errors import VtkError

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="compares with curl")


def test_curl_and_vtk_are_timed_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--size-mib", "3", "--rounds", "2", "--data-dir", str(tmp_path), "--json"]
    assert main(["bench", "download", *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["ways"]) == {"curl", "curl, sha256sum, sync", "vtk"}
    assert all(each["wall_s"] > 0 and each["cpu_s"] > 0 for each in document["ways"].values())
    ratio = document["ratio"]["curl"]["wall"]
    assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_timed_that_fetched_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_fetch", lambda _url, target, _known: target.write_bytes(b"x"))
    with pytest.raises(VtkError, match="vtk fetched another file"):
        download.bench_download(1, 1, tmp_path, lambda: None)
