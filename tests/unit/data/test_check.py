"""`vtk data check`: a manifest of verdicts, gone on with, and believed by who reads clips."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.data.benchmarks.layouts import WRITERS, write_clip
from vtk.cli.app import main
from vtk.data.check import check_clips, list_clips
from vtk.data.verdicts import MANIFEST, Verdict, known_problems, read_verdicts, write_verdicts
from vtk.errors import ConfigError, DataError
from vtk.video.cache import ClipCache
from vtk.video.frames import FrameSettings
from vtk.video.probe import Probe
from vtk.video.prober import ProbeLimits

ART, COMPUTERS = "videos/Art/0.mp4", "videos/Computer_Science/0.mp4"
FRAMES = FrameSettings(num_frames=2, fps=None, min_pixels_px=784, max_pixels_px=4096)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """MMVU with a damaged clip."""
    root = WRITERS["mmvu"](tmp_path / "data" / "mmvu")
    (root / ART).write_bytes((root / ART).read_bytes()[:500])
    return tmp_path / "data"


def check(data_dir: Path, workers: int = 2) -> tuple[int, dict[str, str]]:
    root, clips = list_clips(data_dir, "mmvu")
    result = check_clips(root, clips, ProbeLimits(), workers)
    return result.num_probed, result.bad


def test_every_clip_gets_a_verdict_and_bad_ones_a_reason(data_dir: Path) -> None:
    num_probed, bad = check(data_dir)
    assert (num_probed, list(bad)) == (2, [ART])
    verdicts = read_verdicts(data_dir / "mmvu")
    assert {name: found.verdict for name, found in verdicts.items()} == {
        ART: "bad",
        COMPUTERS: "ok",
    }
    assert verdicts[COMPUTERS].probe.num_frames == 24


def test_a_repeated_check_probes_only_what_changed(data_dir: Path) -> None:
    check(data_dir)
    assert check(data_dir) == (0, check(data_dir)[1])
    write_clip(data_dir / "mmvu" / ART)
    assert check(data_dir) == (1, {})
    (data_dir / "mmvu" / COMPUTERS).unlink()
    num_probed, bad = check(data_dir)
    assert num_probed == 1
    assert "does not exist" in bad[COMPUTERS]


def test_a_check_that_is_stopped_keeps_what_it_found(data_dir: Path) -> None:
    root, clips = list_clips(data_dir, "mmvu")

    def stop(_name: str, _verdict: Verdict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_clips(root, clips, ProbeLimits(), 1, on_clip=stop)
    assert len(read_verdicts(root)) == 1
    assert check(data_dir)[0] == 1


def test_verdicts_of_the_limits_alone_are_not_kept(data_dir: Path) -> None:
    root, clips = list_clips(data_dir, "mmvu")
    tight = check_clips(root, clips, ProbeLimits(wall_s=0.01), 1)
    assert set(tight.bad) == {ART, COMPUTERS}
    assert all(found.probe.is_of_probe for found in read_verdicts(root).values())
    again = check_clips(root, clips, ProbeLimits(), 1)
    assert (set(again.bad), again.num_probed) == ({ART}, 2)
    assert check_clips(root, clips, ProbeLimits(), 1).num_probed == 0


def test_a_manifest_of_before_limits_were_marked_is_read(tmp_path: Path) -> None:
    write_verdicts(tmp_path, {"a.mp4": Verdict("bad", 3, 4, Probe(problem="torn"))})
    document = json.loads((tmp_path / MANIFEST).read_text())
    assert document["clips"]["a.mp4"].pop("is_of_probe") is False
    (tmp_path / MANIFEST).write_text(json.dumps(document))
    assert read_verdicts(tmp_path)["a.mp4"].probe == Probe(problem="torn")


def test_clips_that_no_question_names_are_checked_in_clevrers_layout(tmp_path: Path) -> None:
    folder = tmp_path / "clevrer-mini" / "videos" / "train" / "video_00000-01000"
    write_clip(folder / "video_00000.mp4")
    split = tmp_path / "clevrer-mini" / "split"
    split.mkdir()
    missing = "videos/train/video_00000-01000/video_00001.mp4"
    row = {"problem": "What?\nA. x\nB. y", "solution": "B", "video": missing}
    (split / "train.jsonl").write_text(json.dumps(row) + "\n")
    _, clips = list_clips(tmp_path, "clevrer-mini")
    assert clips == ["videos/train/video_00000-01000/video_00000.mp4", missing]


def test_verdicts_hold_for_the_version_that_was_probed(data_dir: Path) -> None:
    check(data_dir)
    root = data_dir / "mmvu"
    (problem,) = known_problems(root).values()
    assert problem.endswith("(vtk data check)")
    os.utime(root / ART, ns=(0, 0))
    assert known_problems(root) == {}
    assert known_problems(data_dir / "nothing") == {}


def test_a_clip_known_to_be_bad_is_not_decoded(data_dir: Path) -> None:
    good = (data_dir / "mmvu" / COMPUTERS).resolve()
    clips = ClipCache(2**20)
    clips.read(good, FRAMES)
    clips.refuse({good: "it was found bad"})
    with pytest.raises(DataError, match="it was found bad") as told:
        clips.read(good, FRAMES)
    assert str(good) in told.value.message


@pytest.mark.parametrize(
    "text",
    ["[]", '{"version": 1}', '{"version": 9, "clips": {}}', '{"version": 1, "clips": {"a": {}}}'],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(DataError, match=MANIFEST):
        read_verdicts(tmp_path)


def test_verdicts_come_back_as_they_were(tmp_path: Path) -> None:
    verdicts = {
        "a\u202e\n.mp4": Verdict("bad", 3, 4, Probe(problem="torn\x1b[2J")),
        "folder": Verdict("ok", None, 5, Probe(None, 12, 3.0, 4.0, 64, 64, "images")),
    }
    write_verdicts(tmp_path, verdicts)
    assert read_verdicts(tmp_path) == verdicts


def test_the_command_names_bad_clips_and_exits_with_4(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "check", "mmvu", "--workers", "1", "--data-dir", str(data_dir)]
    assert main([*arguments, "--json"]) == 4
    found = capsys.readouterr()
    document = json.loads(found.out)
    assert (document["num_clips"], document["num_bad"], list(document["bad"])) == (2, 1, [ART])
    assert ART in found.err
    write_clip(data_dir / "mmvu" / ART)
    assert main(arguments) == 0
    assert "0 bad; 1 probed now" in capsys.readouterr().out


def test_unknown_and_missing_data_sets_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nope"):
        list_clips(tmp_path, "nope")
    with pytest.raises(DataError) as told:
        list_clips(tmp_path, "mvbench")
    assert told.value.hint == f"Get it with: vtk download mvbench --data-dir {tmp_path}"
