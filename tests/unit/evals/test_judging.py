"""The second pass: kept captions put to a real judge on loopback, whatever it answers."""

import io
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.judge_server import Answer, JudgeSite, judging
from tests.unit.evals.conftest import SAMPLED, Script, make_row
from vtk.cli.console import Console
from vtk.cli.order import Order, _judge_of
from vtk.cli.questions import Words
from vtk.config.loading import load_config
from vtk.data.sample import Judging
from vtk.errors import ConfigError, Interrupted
from vtk.evals.compare import GradedRun, compare_runs
from vtk.evals.folder import claim_settings
from vtk.evals.judge import KEY_VARIABLE, Judge
from vtk.evals.judging import MAX_FAULTS_IN_A_ROW, MAX_REPLY_CHARS, judge_inquiry
from vtk.evals.page.differing import differing_questions
from vtk.evals.protocols import PROTOCOLS, with_judged_forms
from vtk.evals.record import SAMPLES_FILE, EvalRow, SampleLog, read_rows
from vtk.evals.session import Inquiry, questions_hash
from vtk.evals.suites import find_suite
from vtk.evals.target import Target
from vtk.net.patience import Patience
from vtk.scoring.judged import judge_prompt_sha256
from vtk.scoring.judged_answers import compare_prompt_sha256

HASTY = Patience(num_retries=1, first_pause_s=0.01, stall_s=1.0)
KEY = "sk-CANARY-0123456789"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeSite]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with judging(JudgeSite()) as found:
        yield found


@pytest.fixture
def inquiry(script: Script, site: JudgeSite, tmp_path: Path) -> Inquiry:
    """Twelve captions, answered and kept; the judge has said nothing yet."""
    samples = [
        replace(s, options=(), kind="captioning", judging=Judging("How fast?", ("x", "slow"), "B"))
        for s in script.samples
    ]
    protocol = with_judged_forms(PROTOCOLS["tempcompass"]["official"])
    found = Inquiry(
        suite=find_suite("tempcompass"),
        samples=samples,
        settings=replace(script.settings, sampling=SAMPLED, protocol=protocol),
        model_identity={"weights_sha256": "ab"},
        folder=tmp_path / "eval",
        judge=Judge(site.url, "judge-1"),
    )
    claim_settings(found.folder, found.as_json(), {})
    with SampleLog(found.folder) as log:
        for number, sample in enumerate(samples):
            log.append(answered(sample.sample_id, number))
    return found


def answered(sample_id: str, number: int) -> EvalRow:
    return make_row(
        sample_id,
        kind="captioning",
        completion=f"<think>B. slow</think><answer>caption {number}</answer>",
        solution="B",
        clip_id=f"clip{number // 3}",
        types={"task": "captioning"},
    )


def test_answers_in_words_are_judged_against_the_reference(
    inquiry: Inquiry, site: JudgeSite, tmp_path: Path
) -> None:
    judging = Judging("Which law?", (), "Lenz's law")
    samples = [replace(s, kind="open_ended", judging=judging) for s in inquiry.samples[:3]]
    protocol = with_judged_forms(PROTOCOLS["mmvu"]["official"])
    found = replace(
        inquiry,
        suite=find_suite("mmvu"),
        samples=samples,
        settings=replace(inquiry.settings, protocol=protocol),
        folder=tmp_path / "mmvu",
        judge=Judge(site.url, "judge-1", "open_ended"),
    )
    replies = ("Final answer: a\nVerdict: correct", "Verdict: incorrect", "Perhaps.")
    claim_settings(found.folder, found.as_json(), {})
    with SampleLog(found.folder) as log:
        for number, sample in enumerate(samples):
            row = answered(sample.sample_id, number)
            log.append(replace(row, kind="open_ended", completion=f"It is {number}."))

    def answer(_: int, asked: dict[str, Any]) -> Answer:
        words = asked["messages"][-1]["content"]
        return Answer(next(r for n, r in enumerate(replies) if f"It is {n}." in words))

    site.answer = answer
    document = judge(found)
    scored = [(row.score, row.said) for row in rows_of(found)]
    assert scored == [(1.0, "a"), (0.0, "incorrect"), (0.0, None)]
    assert document["official"]["all"]["accuracy"] == pytest.approx(1 / 3)
    assert (document["label"], document["complete"]) == ("MMVU", True)
    assert document["judge"]["num_unreadable"] == 1
    assert document["judge"]["prompt_sha256"] == compare_prompt_sha256()
    assert all("Reference answer:\nLenz's law" in words for words in site.words())


def judge(inquiry: Inquiry, **options: Any) -> dict[str, Any]:
    return judge_inquiry(inquiry, patience=HASTY, **options)


def rows_of(inquiry: Inquiry) -> list[EvalRow]:
    return list(read_rows(inquiry.folder / SAMPLES_FILE).rows.values())


def test_captions_are_right_where_the_judge_reads_the_right_option(
    site: JudgeSite, inquiry: Inquiry
) -> None:
    replies = {0: "Answer: A. x", 1: "Answer: None of the options", 2: "Well."}

    def by_caption(_number: int, asked: dict[str, Any]) -> Answer:
        caption = asked["messages"][-1]["content"].split("<<<<\ncaption ")[1].split("\n")[0]
        return Answer(text=replies.get(int(caption), "Answer: B. slow"))

    site.answer = by_caption
    results = judge(inquiry)
    assert [(row.score, row.said) for row in rows_of(inquiry)] == [
        (0.0, "A"),
        (0.0, "none"),
        (0.0, None),
        *[(1.0, "B")] * 9,
    ]
    assert results["official"]["task: captioning"]["accuracy"] == 0.75
    assert results["official"]["all"]["n"] == 12
    assert results["outcomes"] == {"correct": 9, "wrong": 2, "unparsable": 1, "error": 0}
    assert results["judge"] == {
        "model": "judge-1",
        "prompt_sha256": judge_prompt_sha256(),
        "temperature": 0.0,
        "max_tokens": 512,
        "kinds": ["captioning"],
        "is_in_all": True,
        "num_judged": 12,
        "num_unreadable": 1,
        "num_not_scored": 0,
        "faults": {},
        "ended_by": None,
        "hint": None,
    }
    assert rows_of(inquiry)[0].judgement == {
        "reply": "Answer: A. x",
        "model": "judge-1",
        "prompt_sha256": judge_prompt_sha256(),
    }
    assert all("<think>" not in words for words in site.words())
    assert KEY not in (inquiry.folder / SAMPLES_FILE).read_text() + json.dumps(results)


def test_only_what_is_not_judged_is_asked_again_and_the_bytes_are_the_same(
    site: JudgeSite, inquiry: Inquiry
) -> None:
    whole = judge(inquiry)
    judged = (inquiry.folder / SAMPLES_FILE).read_bytes()
    lines = judged.splitlines(keepends=True)
    before = [answered(s.sample_id, n) for n, s in enumerate(inquiry.samples)]
    (inquiry.folder / SAMPLES_FILE).unlink()
    with SampleLog(inquiry.folder) as log:
        for row in before:
            log.append(row)
    with (inquiry.folder / SAMPLES_FILE).open("ab") as stream:
        stream.write(b"".join(lines[3:8]))
    site.asked.clear()
    numbers: list[int] = []
    assert judge(inquiry, on_start=numbers.append) == whole
    assert (numbers, len(site.asked)) == ([7], 7)
    assert (inquiry.folder / SAMPLES_FILE).read_bytes() == judged
    site.asked.clear()
    assert judge(inquiry) == whole
    assert site.asked == []


FAULTS = {
    "busy": Answer(status=429, headers={"Retry-After": "0"}),
    "broken": Answer(status=500),
    "no chat completion": Answer(body=b"<html>"),
    "refused": Answer(status=400, body=b'{"error": {"message": "policy"}}'),
    "cut": Answer(finish="length"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_an_answer_without_judgement_is_not_scored(
    site: JudgeSite, inquiry: Inquiry, fault: Answer
) -> None:
    site.answer = lambda _, asked: (
        fault if "caption 4\n" in asked["messages"][-1]["content"] else Answer()
    )
    results = judge(inquiry)
    assert (results["complete"], results["outcomes"]["not_scored"]) == (False, 1)
    assert (results["official"]["all"]["n"], results["official"]["all"]["accuracy"]) == (11, 1.0)
    assert list(results["judge"]["faults"].values()) == [1]
    assert rows_of(inquiry)[4].awaits_judge
    site.answer = lambda *_: Answer()
    assert judge(inquiry)["official"]["all"]["n"] == 12


ENDS = {
    "it wants a key": (Answer(status=401), "refuses", "VTK_JUDGE_KEY"),
    "no such model": (Answer(status=404), "no such endpoint or model", "--judge-model"),
    "it hangs up": (Answer(hangs_up=True), "cannot be reached", "--judge-url"),
    "it fails on": (Answer(status=503), f"failed {MAX_FAULTS_IN_A_ROW} times", "Repeat"),
}


@pytest.mark.parametrize(("answer", "why", "hint"), ENDS.values(), ids=ENDS)
def test_a_judge_that_is_away_ends_the_pass_and_makes_nothing_wrong(
    site: JudgeSite, inquiry: Inquiry, answer: Answer, why: str, hint: str
) -> None:
    site.answer = lambda *_: answer
    results = judge(inquiry)
    assert why in results["judge"]["ended_by"]
    assert hint in results["judge"]["hint"]
    assert results["judge"]["num_not_scored"] == 12
    assert results["official"]["all"]["n"] == 0
    assert results["outcomes"]["wrong"] == 0
    assert len(site.asked) <= 2 * len(inquiry.samples)


def test_hostile_replies_are_kept_short_and_escaped(site: JudgeSite, inquiry: Inquiry) -> None:
    site.answer = lambda *_: Answer(text="\x1b[2J\u202e{caption}" + KEY + "z" * 100_000)
    results = judge(inquiry)
    assert results["judge"]["num_unreadable"] == 12
    reply = (rows_of(inquiry)[0].judgement or {})["reply"]
    assert (len(reply), reply[:4]) == (MAX_REPLY_CHARS, "\x1b[2J")
    raw = (inquiry.folder / SAMPLES_FILE).read_bytes()
    assert b"\x1b" not in raw
    assert KEY.encode() not in raw


def test_a_stop_keeps_what_was_judged(site: JudgeSite, inquiry: Inquiry) -> None:
    judged = threading.Event()
    with pytest.raises(Interrupted) as told:
        judge(inquiry, on_judged=judged.set, should_stop=judged.is_set)
    assert told.value.hint == "Repeat the command to go on."
    num_kept = sum(not row.awaits_judge for row in rows_of(inquiry))
    assert 1 <= num_kept < 12
    site.asked.clear()
    assert judge(inquiry)["judge"]["num_judged"] == 12
    assert len(site.asked) == 12 - num_kept


def test_judgements_of_another_judge_do_not_mix(inquiry: Inquiry) -> None:
    judge(inquiry)
    moved = replace(inquiry, judge=Judge("https://elsewhere.example/v1", "judge-1"))
    assert claim_settings(inquiry.folder, moved.as_json(), {})
    other = replace(inquiry, judge=Judge("https://elsewhere.example/v1", "judge-2"))
    for wanted in (other, replace(inquiry, judge=None)):
        with pytest.raises(ConfigError, match=r"judge\.model 'judge-1' there"):
            claim_settings(inquiry.folder, wanted.as_json(), {})


def test_what_the_judge_has_to_find_is_part_of_the_questions(inquiry: Inquiry) -> None:
    first, *rest = inquiry.samples
    changed = replace(first, judging=Judging("How fast?", ("x", "slow"), "A"))
    assert questions_hash([changed, *rest]) != questions_hash(inquiry.samples)


def test_what_one_run_has_no_judgement_of_is_not_compared(
    site: JudgeSite, inquiry: Inquiry
) -> None:
    replies = iter([Answer(status=400), Answer(text="A. x")])
    site.answer = lambda *_: next(replies, Answer())
    judge(inquiry)
    rows = rows_of(inquiry)
    awaited = [row.sample_id for row in rows if row.awaits_judge]
    settings = inquiry.as_json()

    def graded(name: str, rows: list[EvalRow]) -> GradedRun:
        return GradedRun(name, {row.sample_id: [row] for row in rows}, True, settings, {})

    right = [replace(row, score=1.0, said="B") for row in rows]
    runs = [graded("one", rows), graded("two", right)]
    found = compare_runs("tempcompass", runs)
    assert found["runs"][0]["official"]["all"]["n"] == 11
    assert found["runs"][1]["official"]["all"]["n"] == 12
    assert found["differences"][0]["official"]["all"]["n"] == 11
    assert found["differences"][0]["official"]["all"]["num_better"] == 1
    ids = [one.facts["id"] for one in differing_questions("tempcompass", runs)]
    assert len(ids) == 1
    assert set(ids).isdisjoint(awaited)


def test_a_judge_that_only_the_models_own_run_names_is_not_asked(tmp_path: Path) -> None:
    """A run may come from a stranger, whose judge would be sent answers and the user's key."""
    file = tmp_path / "config.toml"
    file.write_text('[eval]\njudge_url = "https://stranger.example/v1"\njudge_model = "j"\n')
    named = {"eval.judge_url": "https://own.example/v1", "eval.judge_model": "own"}
    hosts = []
    for config, overrides in ((None, {}), (file, {}), (None, named)):
        resolved = load_config("grpo", None, file, overrides, {}, is_reference_needed=False)
        order = Order(
            [], "RUN", "validation", None, "both", Words(None, False), 1, None, None, config,
            overrides, None, False, tmp_path, tmp_path,
        )  # fmt: skip
        stderr = io.StringIO()
        target = Target("RUN", tmp_path, None, resolved)
        found = _judge_of(Console(False, io.StringIO(), stderr), order, target)
        hosts.append(found and found.host)
        assert ("which is not asked" in " ".join(stderr.getvalue().split())) is (found is None)
    assert hosts == [None, "stranger.example", "own.example"]


def test_openais_key_goes_to_openai_and_to_this_machine_only() -> None:
    keys = {"OPENAI_API_KEY": "sk-openai"}
    urls = {
        "https://api.openai.com/v1": "sk-openai",
        "http://127.0.0.1:8000/v1": "sk-openai",
        "https://judge.example/v1": None,
        "https://api.openai.com.judge.example/v1": None,
    }
    for url, expected in urls.items():
        assert Judge(url, "j")._key(keys) == expected
        assert Judge(url, "j")._key(keys | {KEY_VARIABLE: " own "}) == "own"
