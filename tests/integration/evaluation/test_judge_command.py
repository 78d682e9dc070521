"""`vtk eval tempcompass` with a judge, as a user types it: away, back, another one, and none."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.judge_server import Answer, JudgeSite, judging
from tests.unit.data.benchmarks.layouts import write_mmvu, write_tempcompass

pytestmark = pytest.mark.slow

SIZES = ["--num-frames", "8", "--max-pixels", "4704", "--max-completion-tokens", "40"]
KEY = "sk-CANARY-0123456789"


class Judged:
    """Small copies of TempCompass and MMVU, their runs, and a judge."""

    def __init__(self, folder: Path, site: JudgeSite) -> None:
        self.folder, self.site = folder, site
        write_tempcompass(folder / "data" / "tempcompass")
        write_mmvu(folder / "data" / "mmvu")

    def evaluate(
        self, *options: str, suite: str = "tempcompass"
    ) -> tuple[int, dict[str, Any], str]:
        """The exit code, the JSON document if there is one, and the prose."""
        places = [f"--data-dir={self.folder / 'data'}", f"--runs-dir={self.folder / 'runs'}"]
        words = ["eval", suite, "--model", "tiny", *options, *SIZES, *places, "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "vtk", *words],
            env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VTK_JUDGE_KEY": KEY},
            capture_output=True,
            text=True,
            check=False,
        )
        assert KEY not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def with_judge(
        self, *options: str, model: str = "judge-1", suite: str = "tempcompass"
    ) -> tuple[int, dict[str, Any], str]:
        named = ["--judge-url", self.site.url, "--judge-model", model]
        return self.evaluate(*named, *options, suite=suite)

    def files(self) -> list[Path]:
        """All that the runs hold."""
        return [path for path in (self.folder / "runs").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judged]:
    with judging(JudgeSite()) as site:
        yield Judged(tmp_path_factory.mktemp("judged"), site)


@pytest.fixture(scope="module")
def away(judged: Judged) -> tuple[dict[str, Any], str]:
    """The first attempt: the judge refuses."""
    judged.site.answer = lambda *_: Answer(status=401, body=f'{{"error": "{KEY}"}}'.encode())
    code, document, prose = judged.with_judge()
    judged.site.answer = lambda *_: Answer()
    assert code == 0, prose
    return document, prose


def captions(document: dict[str, Any]) -> list[dict[str, Any]]:
    path = Path(document["run_dir"]) / "eval" / "tempcompass" / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 4
    return [row for row in rows if row["kind"] == "captioning"]


def test_a_judge_that_is_away_leaves_captions_unscored_with_the_mend(
    judged: Judged, away: tuple[dict[str, Any], str]
) -> None:
    document, prose = away
    found = document["suites"]["tempcompass"]
    assert (found["complete"], found["outcomes"]["not_scored"]) == (False, 1)
    assert (found["official"]["all"]["n"], found["judge"]["is_in_all"]) == (3, False)
    assert found["official"].get("task: captioning", {"n": 0})["n"] == 0
    assert [(row["score"], row["judgement"]) for row in captions(document)] == [(None, None)]
    assert "Put the judge's key into VTK_JUDGE_KEY" in prose
    assert "1 answers are not scored (not wrong either)" in prose
    recipe = document["suites"]["tempcompass-recipe"]
    assert recipe["not_asked"] == {"captioning: a judge model scores it": 1}
    assert "judge" not in recipe


def test_repeated_it_judges_without_asking_the_model_and_no_other_judge_mixes_in(
    judged: Judged, away: tuple[dict[str, Any], str]
) -> None:
    judged.site.asked.clear()
    code, document, prose = judged.with_judge("--protocol", "official")
    assert code == 0, prose
    assert document["run_id"] == away[0]["run_id"]
    assert "Kept 4 of 4 answers" in prose
    found = document["suites"]["tempcompass"]
    assert found["official"]["task: captioning"]["accuracy"] == 1.0
    assert found["official"]["task and aspect: captioning, speed"]["n"] == 1
    assert (found["official"]["all"]["n"], found["complete"]) == (4, True)
    assert found["not_asked"] == {}
    assert (found["judge"]["model"], found["judge"]["num_judged"]) == ("judge-1", 1)
    assert "the type all is with them" in prose
    (row,) = captions(document)
    assert row["num_tokens"] > 0
    assert row["judgement"]["reply"] == Answer().text
    (words,) = judged.site.words()
    assert "How fast?\nA. fast\nB. slow" in words
    assert judged.site.headers[-1]["authorization"] == f"Bearer {KEY}"

    code, _, prose = judged.with_judge(model="judge-2")
    assert code == 2
    assert "judge.model 'judge-1' there, 'judge-2' now" in prose
    assert len(judged.site.asked) == 1
    assert judged.files()
    assert not [path for path in judged.files() if KEY.encode() in path.read_bytes()]


def test_open_questions_of_mmvu_are_judged_and_the_others_stay_apart(judged: Judged) -> None:
    judged.site.answer = lambda *_: Answer("Final answer: Lenz's law\nVerdict: correct")
    judged.site.asked.clear()
    code, document, prose = judged.with_judge("--protocol", "official", suite="mmvu")
    assert code == 0, prose
    found = document["suites"]["mmvu"]
    assert (found["label"], found["complete"], found["not_asked"]) == ("MMVU", True, {})
    by_type = {name: one["n"] for name, one in found["official"].items() if "question" in name}
    assert by_type == {"question: multiple-choice": 3, "question: open-ended": 1}
    assert found["official"]["question: open-ended"]["accuracy"] == 1.0
    assert found["strict"]["all"]["n"] == 3
    (words,) = judged.site.words()
    assert "Reference answer:\nLenz's law" in words
