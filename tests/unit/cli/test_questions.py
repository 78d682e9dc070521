"""What `vtk eval` asks: suites that are here, files of the user's, words of the user's."""

from pathlib import Path

import pytest

from tests.unit.data.benchmarks.layouts import WRITERS, write_json
from vtk.cli.app import main
from vtk.cli.console import Console
from vtk.cli.order import given_settings
from vtk.cli.questions import Words, chosen_suites, known_bad_clips, read_questions
from vtk.data.verdicts import Verdict, clip_version, write_verdicts
from vtk.errors import ConfigError, DataError
from vtk.evals.protocols import PROTOCOLS, SLIP_PIXELS_PX, Protocol
from vtk.evals.suites import Suite, choose_protocols, find_suite
from vtk.video.probe import Probe

RECIPE = PROTOCOLS["mmvu"]["recipe"]
OFFICIAL = PROTOCOLS["mmvu"]["official"]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """MMVU alone."""
    WRITERS["mmvu"](tmp_path / "data" / "mmvu")
    return tmp_path / "data"


def test_all_is_what_is_here_and_the_rest_is_named(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = chosen_suites(["all"], data_dir, "validation", "both", Console())
    assert [suite.name for suite in found] == ["mmvu"]
    told = capsys.readouterr().err
    assert "mvbench is left out" in told
    assert "mmvu is left out" not in told
    with pytest.raises(DataError, match="no suite's questions"):
        chosen_suites(["all"], data_dir / "nothing", "validation", "both", Console())


def test_all_leaves_out_a_suite_without_the_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WRITERS["mmvu"](tmp_path / "mmvu")
    split = tmp_path / "clevrer-mini" / "split"
    split.mkdir(parents=True)
    (split / "validation.jsonl").touch()
    found = chosen_suites(["all"], tmp_path, "validation", "recipe", Console())
    assert [suite.name for suite in found] == ["mmvu"]
    assert "clevrer-mini is left out: it has no recipe protocol" in capsys.readouterr().err
    for protocol in ("official", "both"):
        found = chosen_suites(["all"], tmp_path, "validation", protocol, Console())
        assert [suite.name for suite in found] == ["clevrer-mini", "mmvu"]
    named = chosen_suites(["clevrer-mini"], tmp_path, "validation", "recipe", Console())
    with pytest.raises(ConfigError, match="no recipe protocol"):
        choose_protocols(named[0], "recipe")


def test_named_suites_are_taken_once_and_must_exist(data_dir: Path) -> None:
    found = chosen_suites(["mmvu", "clevrer", "mmvu"], data_dir, "validation", "both", Console())
    assert [suite.name for suite in found] == ["mmvu", "clevrer"]
    with pytest.raises(ConfigError) as told:
        chosen_suites(["mmmu"], data_dir, "validation", "both", Console())
    assert told.value.hint is not None
    assert told.value.hint.startswith("Did you mean mmvu?")


def test_a_part_of_a_benchmark_is_said(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = read_questions(Console(), [find_suite("mmvu")], data_dir, "validation", None)
    assert len(found["mmvu"].samples) == 3
    assert "3 of 625 questions about 2 of 379 clips" in capsys.readouterr().err


def test_a_benchmark_that_is_not_here_says_how_to_get_it(data_dir: Path) -> None:
    with pytest.raises(DataError) as told:
        read_questions(Console(), [find_suite("mvbench")], data_dir, "validation", None)
    assert told.value.hint == f"Get it with: vtk download mvbench --data-dir {data_dir}"
    with pytest.raises(ConfigError, match="'train'"):
        read_questions(Console(), [find_suite("mmvu")], data_dir, "train", None)


def test_questions_may_come_from_a_published_file(data_dir: Path, tmp_path: Path) -> None:
    row = {
        "problem_id": 7,
        "problem": "Which?",
        "problem_type": "multiple choice",
        "options": ["A. one", "B. two"],
        "solution": "<answer>B</answer>",
        "video": "/yale-nlp/MMVU/videos/Art/0.mp4",
    }
    file = write_json(tmp_path / "eval_mmvu.json", [row])
    found = read_questions(Console(), [find_suite("mmvu")], data_dir, "validation", file)
    (sample,) = found["mmvu"].samples
    assert sample.video == (data_dir / "mmvu/videos/Art/0.mp4").resolve()
    suites = [find_suite("mmvu"), find_suite("mvbench")]
    with pytest.raises(ConfigError, match="one suite"):
        read_questions(Console(), suites, data_dir, "validation", file)


def test_the_slip_is_the_recipes_alone() -> None:
    words = Words(None, is_slip=True)
    slipped, official = words.applied(RECIPE), words.applied(OFFICIAL)
    assert slipped is not None
    assert slipped.max_pixels_px == SLIP_PIXELS_PX
    assert official == OFFICIAL
    assert words.applied(None) is None


Asked = dict[str, list[Protocol | None]]
MINI, CLEVRER = find_suite("clevrer-mini"), find_suite("clevrer")


@pytest.mark.parametrize(
    ("words", "suite", "protocol", "is_used"),
    [
        (Words(None, is_slip=True), find_suite("mmvu"), "both", True),
        (Words(None, is_slip=True), find_suite("mmvu"), "recipe", True),
        (Words(None, is_slip=True), find_suite("mmvu"), "official", False),
        (Words(None, is_slip=True), MINI, "both", False),
        (Words(Path("own.txt"), is_slip=False), find_suite("mmvu"), "official", True),
        (Words(Path("own.txt"), is_slip=False), CLEVRER, "both", True),
        (Words(Path("own.txt"), is_slip=False), CLEVRER, "official", False),
        (Words(Path("own.txt"), is_slip=False), MINI, "official", False),
        (Words(None, is_slip=False), MINI, "official", True),
    ],
)
def test_a_change_that_would_change_nothing_is_refused(
    words: Words, suite: Suite, protocol: str, is_used: bool
) -> None:
    asked: Asked = {"mvbench": [OFFICIAL, RECIPE], suite.name: choose_protocols(suite, protocol)}
    if is_used:
        words.require_use(asked)
        return
    option = "--resolution-slip" if words.is_slip else "--prompt-file"
    with pytest.raises(ConfigError, match=f"{option} changes nothing for {suite.name}$"):
        words.require_use(asked)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["clevrer-mini"], "--resolution-slip changes nothing for clevrer-mini"),
        (["mmvu", "--max-pixels", "50176"], "--resolution-slip contradicts"),
    ],
)
def test_the_command_refuses_it(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [f"--data-dir={tmp_path}", f"--runs-dir={tmp_path}"]
    assert main(["eval", *words, "--model", "tiny", "--resolution-slip", *places]) == 2
    assert said in capsys.readouterr().err


def test_a_prompt_file_replaces_the_words(tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("{question} Pick:\n{options}\n")
    own = Words(file, is_slip=False).applied(RECIPE)
    assert own is not None
    assert own.forms["choice"].text == "{question} Pick:\n{options}"
    file.write_text("Answer!")
    with pytest.raises(ConfigError, match="question"):
        Words(file, is_slip=False).applied(RECIPE)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"prompt\.txt"):
        Words(file, is_slip=False).applied(RECIPE)
    file.write_text("{question}" * 3000)
    with pytest.raises(DataError, match="too long"):
        Words(file, is_slip=False).applied(RECIPE)


def test_clips_known_to_be_bad_are_handed_on(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = data_dir / "mmvu/videos/Art/0.mp4"
    bad = Verdict.of(Probe(problem="torn"), clip_version(clip))
    write_verdicts(data_dir / "mmvu", {"videos/Art/0.mp4": bad})
    suites = [find_suite("mmvu"), find_suite("mvbench")]
    assert known_bad_clips(Console(), suites, data_dir) == {clip.resolve(): "torn (vtk data check)"}
    assert "clips.json names bad clips: 1" in capsys.readouterr().err


def test_an_option_that_is_not_given_leaves_an_assignment_alone() -> None:
    options = {"eval.temperature": None, "eval.batch_size": 4}
    found = given_settings(["eval.temperature=1", "eval.batch_size=2"], options)
    assert found == {"eval.temperature": "1", "eval.batch_size": 4}
    assert given_settings(None, {"eval.temperature": None}) == {}
