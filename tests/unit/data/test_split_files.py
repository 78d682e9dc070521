"""Files of `vtk split` are read only where they belong together."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vtk.data.registry import DATASETS, SPLIT_FILES, split_file
from vtk.data.split import SplitOptions, split_dataset
from vtk.data.split_files import whole_split_file
from vtk.errors import DataError

if TYPE_CHECKING:
    from tests.unit.data.conftest import ClevrerFolder

NAME = "clevrer-mini"

_KILLED = """
import os, signal, sys
from pathlib import Path
from vtk.data import split_files
from vtk.data.registry import DATASETS
from vtk.data.split import SplitOptions, split_dataset
root, moment = Path(sys.argv[1]), sys.argv[2]
def die(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)
if moment == "filled":
    split_files.void_split = die
else:
    split_files.write_json_atomic = die
split_dataset(root, DATASETS["clevrer-mini"], SplitOptions(rule="D2"))
"""


def split(folder: "ClevrerFolder", rule: str = "D1", bias_questions: str = "original") -> None:
    split_dataset(folder.root, DATASETS[NAME], SplitOptions(rule, bias_questions))


def contents(folder: "ClevrerFolder") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(split_dir(folder).glob("*.json*"))}


def split_dir(folder: "ClevrerFolder") -> Path:
    return folder.root / "split"


def killed_split(folder: "ClevrerFolder", moment: str) -> None:
    """Split by another rule in a process that is killed before the manifest goes, or comes."""
    command = [sys.executable, "-c", _KILLED, str(folder.root), moment]
    found = subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr.decode()


def test_every_file_of_a_whole_split_is_given(clevrer_folder: "ClevrerFolder") -> None:
    split(clevrer_folder)
    for part in SPLIT_FILES:
        path = split_file(clevrer_folder.data_dir, NAME, part)
        assert whole_split_file(clevrer_folder.data_dir, NAME, part) == path


def test_a_split_that_fails_leaves_the_older_one_whole(clevrer_folder: "ClevrerFolder") -> None:
    clevrer_folder.train[0]["questions"][2]["question"] = "Suppose yellow was away. What then?"
    clevrer_folder.save()
    split(clevrer_folder)
    before = contents(clevrer_folder)
    with pytest.raises(DataError, match=r"scene 1, question 13: no known form .*Suppose"):
        split(clevrer_folder, "D2", bias_questions="modified")
    assert contents(clevrer_folder) == before
    assert {path.name for path in split_dir(clevrer_folder).iterdir()} == set(before)


def test_a_split_killed_before_its_files_move_leaves_the_older_one_whole(
    clevrer_folder: "ClevrerFolder",
) -> None:
    split(clevrer_folder)
    before = contents(clevrer_folder)
    killed_split(clevrer_folder, "filled")
    assert contents(clevrer_folder) == before
    assert whole_split_file(clevrer_folder.data_dir, NAME, "bias").is_file()
    split(clevrer_folder, "D2")
    left = {path.name for path in split_dir(clevrer_folder).iterdir()}
    assert left == set(before), "what the killed one had filled is gone"


def test_a_split_killed_while_its_files_move_is_refused_with_the_mend(
    clevrer_folder: "ClevrerFolder",
) -> None:
    split(clevrer_folder)
    killed_split(clevrer_folder, "moved")
    for part in SPLIT_FILES:
        with pytest.raises(DataError, match=r"there is no manifest\.json beside it") as told:
            whole_split_file(clevrer_folder.data_dir, NAME, part)
        assert "vtk split clevrer-mini" in str(told.value.hint)


def test_a_file_of_another_split_does_not_fit_the_manifest(
    clevrer_folder: "ClevrerFolder",
) -> None:
    split(clevrer_folder)
    other = (split_dir(clevrer_folder) / "bias.jsonl").read_bytes()
    split(clevrer_folder, "D2")
    bias = split_dir(clevrer_folder) / "bias.jsonl"
    mine = bias.read_bytes()
    for wrong in (other, mine[:-2] + b" }"[:1] + mine[-1:]):
        assert wrong != mine
        bias.write_bytes(wrong)
        with pytest.raises(DataError, match="is not the one that manifest"):
            whole_split_file(clevrer_folder.data_dir, NAME, "bias")
    assert whole_split_file(clevrer_folder.data_dir, NAME, "train").is_file()
