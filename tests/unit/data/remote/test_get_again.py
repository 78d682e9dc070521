"""`vtk download NAME` where something is here already: verified, mended, adopted, left alone."""

import json
import random
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.reliability.publishers import (
    files_below,
    make_zip,
    publish_clevrer,
    publish_holmes,
)
from tests.reliability.web import HONEST, Site, Trick
from vtk.data.remote.sources import SOURCES

if TYPE_CHECKING:
    from tests.unit.data.remote.conftest import Cli

AGREE = "--accept-licence"


def test_verify_finds_what_changed_and_download_mends_it(site: Site, cli: "Cli") -> None:
    wanted = publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    assert cli("video-holmes", "--verify", "--json") == 0
    root = cli.data_dir / "video-holmes"
    clip = root / "videos/1.mp4"
    clip.write_bytes(clip.read_bytes()[:-1] + b"!")
    questions = root / "test_Video-Holmes.json"
    questions.write_bytes(b"[" + bytes(questions.stat().st_size - 2) + b"]")
    assert cli("video-holmes", "--offline") == 0, "sizes are right"
    assert cli("video-holmes", "--verify") == 4
    assert "videos/1.mp4: its content changed" in cli.out
    assert "test_Video-Holmes.json: its sha256 is" in cli.out
    assert cli("video-holmes", "--offline") == 4
    assert cli("video-holmes") == 0
    assert files_below(root) == wanted


def test_a_lost_clip_is_noticed_and_brought_back(site: Site, cli: "Cli") -> None:
    wanted = publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    (cli.data_dir / "video-holmes/videos/2.mp4").unlink()
    assert cli("video-holmes") == 0
    assert files_below(cli.data_dir / "video-holmes") == wanted


def test_offline_asks_nobody(site: Site, cli: "Cli", monkeypatch: pytest.MonkeyPatch) -> None:
    publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    site.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert cli("video-holmes") == 0
    assert "all sizes are right" in cli.out
    (cli.data_dir / "video-holmes/videos/0.mp4").unlink()
    assert cli("video-holmes") == 4
    assert "1 files missing or damaged" in cli.err
    assert cli("mmvu") == 4
    assert site.requests == []


def test_files_that_are_here_are_adopted_and_stay_where_they_were(
    site: Site, cli: "Cli", tmp_path: Path
) -> None:
    wanted = publish_clevrer(site)
    shelf = tmp_path / "shelf" / "CLEVRER"
    for name, content in wanted.items():
        place = shelf / name.replace("video_00000-01000/", "flat/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    before = files_below(shelf)
    assert cli("clevrer", "--mirror", site.url, "--from", str(tmp_path / "shelf")) == 0
    assert files_below(cli.data_dir / "clevrer") == wanted
    assert files_below(shelf) == before
    assert site.gets() == [], "only sizes were asked for"


def test_clips_that_a_killed_process_had_unpacked_are_compared_with_their_archive(
    site: Site, cli: "Cli"
) -> None:
    wanted = publish_clevrer(site)
    assert cli("clevrer", "--mirror", site.url, "--keep-archives") == 0
    root = cli.data_dir / "clevrer"
    record = json.loads((root / "download.json").read_text())
    for entry in record["files"]:
        entry |= {"selection": "", "members": {}}
    (root / "download.json").write_text(json.dumps(record))
    clip = root / "videos/train/video_00000-01000/video_00000.mp4"
    clip.write_bytes(clip.read_bytes()[:-1] + b"!")
    site.requests.clear()
    assert cli("clevrer", "--mirror", site.url) == 0
    assert files_below(root) == wanted
    assert site.requests == []


@pytest.mark.parametrize("options", [(), ("--keep-archives",)], ids=["passing", "kept"])
def test_an_archive_that_a_killed_process_had_unpacked_goes_unless_it_was_to_stay(
    site: Site, cli: "Cli", options: tuple[str, ...]
) -> None:
    wanted = publish_holmes(site)
    archive = cli.data_dir / "video-holmes" / "videos.zip"
    content = site.files[next(path for path in site.files if path.endswith("videos.zip"))]
    assert cli("video-holmes", AGREE, *options) == 0
    assert archive.is_file() == bool(options)
    archive.write_bytes(content)  # as if it had been killed before it removed that
    assert cli("video-holmes") == 0
    kept = {"videos.zip": content} if options else {}
    assert files_below(cli.data_dir / "video-holmes") == wanted | kept


def test_a_part_of_an_archive_goes_when_its_clips_are_adopted(
    site: Site, cli: "Cli", tmp_path: Path
) -> None:
    wanted = publish_clevrer(site, clip_size=1 << 20)
    site.trick = lambda each: (
        Trick(status=500)
        if each.start
        else Trick(cut_at=2_000_000)
        if each.path.endswith("video_train.zip")
        else HONEST
    )
    assert cli("clevrer", "--mirror", site.url) == 7
    root = cli.data_dir / "clevrer"
    assert (root / "videos/train/video_train.zip.part").is_file()
    for name, content in wanted.items():
        (tmp_path / "shelf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shelf" / name).write_bytes(content)
    assert cli("clevrer", "--mirror", site.url, "--from", str(tmp_path / "shelf")) == 0
    assert files_below(root) == wanted


def test_a_wrong_copy_is_not_adopted(site: Site, cli: "Cli", tmp_path: Path) -> None:
    wanted = publish_holmes(site)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    archive = site.files[site_path(site, "videos.zip")]
    (shelf / "videos.zip").write_bytes(archive[:-1] + b"!")
    (shelf / "test_Video-Holmes.json").write_bytes(wanted["test_Video-Holmes.json"])
    assert cli("video-holmes", AGREE, "--from", str(shelf)) == 0
    assert files_below(cli.data_dir / "video-holmes") == wanted
    assert len(site.gets(".zip")) == 1
    assert len(site.gets("Holmes.json")) == 0
    site.requests.clear()
    assert cli("mmvu", AGREE, "--from", str(shelf / "absent")) == 2
    assert site.requests == []


def site_path(site: Site, ending: str) -> str:
    return next(path for path in site.files if path.endswith(ending))


def test_too_small_a_disk_is_told_before_the_first_byte(
    site: Site, cli: "Cli", monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_holmes(site)
    monkeypatch.setattr("vtk.net.disk.free_bytes", lambda _folder: 200_000)
    assert cli("video-holmes", AGREE) == 3
    assert "video-holmes needs" in cli.err
    assert "195.3 KiB free" in cli.err
    assert [each for each in site.gets() if "/resolve/" in each.path] == []


def test_a_hand_made_copy_in_the_right_place_is_taken_as_it_is(site: Site, cli: "Cli") -> None:
    wanted = publish_clevrer(site)
    root = cli.data_dir / "clevrer"
    for name, content in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    assert cli("clevrer", "--mirror", site.url) == 0
    assert files_below(root) == wanted
    assert site.gets() == []


def test_a_damaged_record_names_the_mend(site: Site, cli: "Cli") -> None:
    wanted = publish_holmes(site)
    assert cli("video-holmes", AGREE) == 0
    record = cli.data_dir / "video-holmes/download.json"
    record.write_text('{"schema": 1, "files": [{}]}')
    assert cli("video-holmes") == 4
    assert "Remove it and repeat the command" in cli.err
    record.unlink()
    site.requests.clear()
    assert cli("video-holmes", AGREE) == 0
    assert files_below(cli.data_dir / "video-holmes") == wanted


def test_names_of_strangers_do_not_drive_the_terminal(site: Site, cli: "Cli") -> None:
    files = {"validation.json": b"[]", "videos/\x1b[2J.mp4": b"clip"}
    site.add_repository("dataset", SOURCES["mmvu"].repo, files)
    site.trick = lambda each: Trick(status=404) if each.path.endswith(".mp4") else HONEST
    assert cli("mmvu", AGREE) == 4
    assert "\x1b" not in cli.err + cli.out


def test_stored_and_deflated_archives_of_many_clips(site: Site, cli: "Cli") -> None:
    clips = {f"deep/er/{n}.mp4": random.Random(n).randbytes(500) for n in range(300)}
    questions = b"[]"
    site.add_repository(
        "dataset",
        SOURCES["video-holmes"].repo,
        {"test_Video-Holmes.json": questions, "videos.zip": make_zip(clips, zipfile.ZIP_STORED)},
    )
    assert cli("video-holmes", AGREE, "--json") == 0
    assert cli.document[0]["num_files"] == 301
    found = files_below(cli.data_dir / "video-holmes")
    assert found == {"test_Video-Holmes.json": questions} | {
        f"videos/{name.rsplit('/')[-1]}": content for name, content in clips.items()
    }
