"""The five benchmarks, from their official layouts to results, by the command a user types."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.benchmarks.layouts import WRITERS, write_all, write_clip
from tests.unit.scoring import published_rules as published
from vtk.cli.app import main
from vtk.evals.protocols import PROTOCOLS
from vtk.scoring.official import answer_text

pytestmark = pytest.mark.slow

NAMES = list(WRITERS)
NUM_QUESTIONS = {"mmvu": 3, "video-holmes": 2, "mvbench": 5, "tempcompass": 3, "video-mme": 3}
SIZES = ["--num-frames", "8", "--max-pixels", "4704", "--max-completion-tokens", "40"]


class Bench:
    """The data of all five, runs, and `vtk eval` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.data_dir, self.runs_dir = write_all(folder / "data"), folder / "runs"

    @property
    def damaged(self) -> Path:
        """The clip of two of MMVU's three questions."""
        return self.data_dir / "mmvu" / "videos" / "Art" / "0.mp4"

    def evaluate(self, *options: str) -> tuple[dict[str, Any], str]:
        """The JSON document and the prose of an evaluation that ends well."""
        places = ["--data-dir", str(self.data_dir), "--runs-dir", str(self.runs_dir)]
        done = subprocess.run(
            [sys.executable, "-m", "vtk", "eval", *options, *SIZES, *places, "--json"],
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document, done.stderr


def rows_of(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    path = Path(document["run_dir"]) / "eval" / name / "samples.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """With one damaged clip, which `vtk data check` has found."""
    found = Bench(tmp_path_factory.mktemp("bench"))
    found.damaged.write_bytes(found.damaged.read_bytes()[:400])
    assert main(["data", "check", "mmvu", "--data-dir", str(found.data_dir)]) == 4
    return found


@pytest.fixture(scope="module")
def first(bench: Bench) -> tuple[dict[str, Any], str]:
    """Everything that is here, under both protocols, in one process."""
    return bench.evaluate("all", "--model", "tiny", "--temperature", "1")


def test_every_benchmark_is_asked_under_both_protocols(first: tuple[dict[str, Any], str]) -> None:
    document, prose = first
    assert set(document["suites"]) == {*NAMES, *(f"{name}-recipe" for name in NAMES)}
    for name in NAMES:
        for protocol in ("official", "recipe"):
            found = document["suites"][name if protocol == "official" else f"{name}-recipe"]
            assert (found["suite"], found["protocol"]) == (name, protocol)
            assert found["prompt_sha256"] == PROTOCOLS[name][protocol].prompt_sha256()
            assert found["complete"] is True
            assert found[protocol]["all"]["n"] == NUM_QUESTIONS[name]
            assert set(found[protocol]["all"]) >= {"n", "accuracy", "ci95", "num_errors"}
            per_type = [v["n"] for k, v in found[protocol].items() if k != "all"]
            assert len(per_type) >= 2 or name == "video-mme"
            assert found["mean_video_tokens"] > 0
    assert document["suites"]["mmvu"]["label"] == "MMVU(mc)"
    assert "MMVU(mc) by the recipe protocol: 3 questions" in prose
    assert "clevrer-mini is left out" in prose
    assert "mvbench: a part is here, 5 of 4,000 questions" in prose
    assert "not as the recipe protocol has it: num_frames 8 instead of 32" in prose


def test_results_are_the_published_rules_word_on_the_completions(
    first: tuple[dict[str, Any], str],
) -> None:
    document, _ = first
    num_checked = 0
    for name in NAMES:
        for row in rows_of(document, f"{name}-recipe"):
            if row["completion"] is not None:
                assert row["score"] == published.recipe(row["completion"], row["solution"])
                num_checked += 1
        for row in rows_of(document, name):
            oracle = ORACLES.get((name, row["kind"]))
            if oracle is not None and row["completion"] is not None:
                said = (
                    row["completion"] if name == "video-holmes" else answer_text(row["completion"])
                )
                assert row["score"] == bool(oracle(said, row)), row
                num_checked += 1
    assert num_checked == 22


def options_of(row: dict[str, Any]) -> tuple[str, ...]:
    """The options of a row, read back from its problem."""
    return tuple(line[3:] for line in row["problem"].split("\n") if line[1:3] == ". ")


ORACLES: dict[tuple[str, str], Callable[[str, dict[str, Any]], bool | None]] = {
    ("video-holmes", "choice"): lambda text, row: published.video_holmes(text, row["solution"]),
    ("video-mme", "choice"): lambda text, row: published.video_mme(text, row["solution"]),
    ("tempcompass", "choice"): lambda text, row: published.tempcompass_choice(
        text, options_of(row), row["solution"]
    ),
    ("tempcompass", "yes_no"): lambda text, row: published.tempcompass_yes_no(
        text, options_of(row), row["solution"]
    ),
    ("tempcompass", "caption_matching"): lambda text, row: published.tempcompass_caption(
        text, options_of(row), row["solution"]
    ),
}


def test_what_needs_a_judge_is_not_scored_and_said(first: tuple[dict[str, Any], str]) -> None:
    document, prose = first
    suites = document["suites"]
    assert suites["tempcompass"]["not_asked"] == {"captioning: a judge model scores it": 1}
    assert suites["mmvu"]["not_asked"] == {"open-ended: a judge model scores them": 1}
    assert "Not asked and not scored: 1 (captioning: a judge model scores it)" in prose
    assert "task: captioning" not in suites["tempcompass"]["official"]


def test_cropped_questions_see_their_seconds_only_by_the_official_protocol(
    first: tuple[dict[str, Any], str],
) -> None:
    document, _ = first
    shown = {
        protocol: {row["sample_id"]: row["timestamps_s"] for row in rows_of(document, name)}
        for protocol, name in (("official", "mvbench"), ("recipe", "mvbench-recipe"))
    }
    for sample_id, start, end in (("action_sequence-000", 1, 2), ("episodic_reasoning-000", 1, 3)):
        times = shown["official"][sample_id]
        assert min(times) == pytest.approx(start, abs=0.01)
        assert max(times) == pytest.approx(end, abs=0.01)
        assert min(shown["recipe"][sample_id]) == 0.0
        assert max(shown["recipe"][sample_id]) > end
    decoders = {row["sample_id"]: row["decoder"] for row in rows_of(document, "mvbench")}
    assert decoders["episodic_reasoning-000"] == "pillow"
    assert set(decoders.values()) > {"pillow"}


def test_a_bad_clip_is_wrong_by_name_and_asked_again_when_mended(
    bench: Bench, first: tuple[dict[str, Any], str]
) -> None:
    document, _ = first
    for name, protocol in (("mmvu", "official"), ("mmvu-recipe", "recipe")):
        found = document["suites"][name]
        assert (found[protocol]["all"]["n"], found[protocol]["all"]["num_errors"]) == (3, 2)
        assert found[protocol]["subject: Art"]["accuracy"] == 0.0
        assert found["outcomes"]["error"] == 2
        messages = [row["error"]["message"] for row in rows_of(document, name) if row["error"]]
        assert all(str(bench.damaged) in message for message in messages)
        assert all("(vtk data check)" in message for message in messages)
    write_clip(bench.damaged)
    again, prose = bench.evaluate("all", "--model", "tiny", "--temperature", "1", "--retry-errors")
    assert again["run_id"] == document["run_id"]
    assert "Kept 1 of 3 answers" in prose
    assert "Kept 5 of 5 answers" in prose
    for name, found in again["suites"].items():
        assert found["outcomes"]["error"] == 0
        if not name.startswith("mmvu"):
            assert found == document["suites"][name]
