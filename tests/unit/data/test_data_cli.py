"""`vtk download` and `vtk split` as a user and a script meet them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import huggingface_hub.constants
import pytest

from vtk.cli.app import main
from vtk.data.remote.sources import SOURCES
from vtk.data.sample import load_samples
from vtk.video.frames import FrameSettings, read_clip

if TYPE_CHECKING:
    from tests.unit.data.conftest import ClevrerFolder

WORLD = ["--scenes", "2", "--validation-scenes", "1", "--seed", "5", "--workers", "1"]


class Cli:
    """Runs one command; keeps what it printed."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir, self._capsys = data_dir, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = main([*arguments, "--data-dir", str(self.data_dir)])
        self.out, self.err = self._capsys.readouterr()
        return code

    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(clevrer_folder: "ClevrerFolder", capsys: pytest.CaptureFixture[str]) -> Cli:
    """The hand-made data set lies in the data folder."""
    return Cli(clevrer_folder.data_dir, capsys)


def test_from_nothing_to_samples_whose_clips_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Cli(tmp_path / "data", capsys)
    assert run("download", "clevrer-mini", *WORLD) == 0
    assert "Wrote" in run.out
    assert "Next: vtk split clevrer-mini" in run.err
    assert run("download", "clevrer-mini", *WORLD, "--json") == 0
    [made] = run.document()
    assert not made["is_new"]
    assert run("split", "clevrer-mini") == 0
    samples = load_samples(run.data_dir / "clevrer-mini/split/train.jsonl")
    settings = FrameSettings(4, None, 28 * 28, 64 * 28 * 28)
    for video in {sample.video for sample in samples}:
        assert read_clip(video, settings).num_source_frames == 128
    assert run("download", "clevrer-mini", *WORLD[:-4], "--seed", "6") == 4
    assert "seed is 5, not 6" in run.err
    assert "--force" in run.err


def test_the_table_shows_every_rule_and_no_published_number_for_other_data(cli: Cli) -> None:
    assert cli("split", "clevrer-mini", "--rule", "D2") == 0
    lines = [line.split() for line in cli.out.splitlines() if line.startswith("D")]
    assert [line[0] for line in lines] == ["D1", "D2", "D3", "D4"]
    assert lines[1][1] == "*"
    assert [line[-8:-4] for line in lines] == [
        ["4", "of", "7", "57.1%"],
        ["5", "of", "7", "71.4%"],
        ["5", "of", "7", "71.4%"],
        ["3", "of", "7", "42.9%"],
    ]
    assert "13,674" not in cli.out
    assert "train: without a correct option and left out, as in the published data: 1" in cli.err
    assert "not on this disk yet: 2" in cli.err


def test_real_clevrer_has_the_published_count_beside_ours(
    cli: Cli, clevrer_folder: "ClevrerFolder"
) -> None:
    clevrer_folder.root.rename(clevrer_folder.data_dir / "clevrer")
    assert cli("split", "clevrer") == 0
    assert cli.out.count("13,674 of 18,473") == 4
    assert cli("split", "clevrer", "--json") == 0
    assert cli.document()["published"] == {"num_observational": 13_674, "num_usable": 18_473}


def test_json_is_one_document_and_the_same_as_the_manifest(cli: Cli) -> None:
    assert cli("split", "clevrer-mini", "--json") == 0
    document = cli.document()
    manifest = json.loads(Path(document["path"], "manifest.json").read_text())
    assert {key: document[key] for key in manifest} == manifest
    assert document["published"] is None
    assert document["num_missing_videos"] == 2


def test_malformed_rows_are_listed_up_to_a_limit_and_all_in_the_file(
    cli: Cli, clevrer_folder: "ClevrerFolder"
) -> None:
    question = clevrer_folder.train[0]["questions"][2]
    for number in range(100, 115):
        broken = {**question, "question_id": number, "program": [f"\x1b[31m{number}"]}
        clevrer_folder.train[0]["questions"].append(broken)
    clevrer_folder.save()
    assert cli("split", "clevrer-mini") == 4
    assert "15 of 23 train questions are malformed" in cli.err
    assert cli("split", "clevrer-mini", "--max-malformed-frac", "0.8") == 0
    assert cli.err.count("questions/train.json: scene 1, question 1") == 10
    assert "\x1b" not in cli.err
    problems = json.loads((clevrer_folder.root / "split/problems.json").read_text())
    assert len(problems["train"]["malformed"]) == 15


def test_the_list_names_what_a_script_relies_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cli.data_dir / "hub"))
    assert cli("download", "--list", "--json") == 0
    found = {entry["name"]: entry for entry in cli.document()}
    assert set(found) == {"clevrer-mini", *SOURCES}
    assert {"clevrer", "mmvu", "video-mme", "qwen2.5-vl-3b"} <= set(found)
    keys = {"name", "kind", "present", "complete_frac", "bytes", "licence"}
    assert all(keys <= set(entry) for entry in found.values())
    assert cli("download", "--list") == 0
    assert "CC0-1.0" in cli.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["download"], 2, "nothing was named to download"),
        (["download", "clever-mini"], 2, "Did you mean clevrer-mini?"),
        (["download", "clevrer-mini", "mmvu2"], 2, "Did you mean mmvu?"),
        (["download", "mmvu", "--offline"], 4, "mmvu is not here"),
        (["download", "clevrer-mini", "--scenes", "0"], 2, "at least one scene"),
        (["download", "clevrer-mini", "--workers", "0"], 2, "one worker"),
        (["split", "clevrer"], 4, "there is no"),
        (["split", "clever-mini"], 2, "Did you mean clevrer-mini?"),
        (["split", "clevrer-mini", "--rule", "D7"], 2, "Rules: D1, D2, D3, D4"),
        (["split", "clevrer-mini", "--bias-questions", "none"], 2, "Forms: original, modified."),
        (["split", "clevrer-mini", "--observational-frac", "74"], 2, "between 0 and 1"),
    ],
)
def test_mistakes_get_one_clear_error_and_the_documented_code(
    cli: Cli, arguments: list[str], code: int, said: str
) -> None:
    assert cli(*arguments) == code
    assert said in cli.err
    assert cli.err.count("Error: ") == 1


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    cli: Cli, clevrer_folder: "ClevrerFolder"
) -> None:
    (clevrer_folder.root / "split").write_text("in the way")
    assert cli("split", "clevrer-mini") == 1
    assert "Error: cannot write" in cli.err
