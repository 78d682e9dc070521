"""The page of a comparison: whole, by itself, usable when large, safe whatever a model wrote."""

import base64
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.html_page import CHROMIUM, Page
from tests.unit.data.benchmarks.layouts import write_tempcompass
from tests.unit.evals.conftest import FAILED, WRONG, make_row
from vtk.evals.compare import GradedRun, compare_runs
from vtk.evals.page import build
from vtk.evals.page.build import PageFacts, render_page, write_page
from vtk.evals.page.differing import MAX_TEXT_CHARS, differing_questions
from vtk.evals.page.frames import Strips, add_strips
from vtk.evals.page.tables import verdict
from vtk.evals.published import as_json, published_numbers
from vtk.evals.record import EvalRow
from vtk.evals.suites import find_suite, read_suite

HOSTILE = (
    '</script><script>document.title="owned"</script><img src=x onerror="document.title=1">'
    "<!--<script>\x1b]52;c;AAAA\x07 \u202egnp.exe ${title} &lt;\u2028"
)
PIXEL = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="
NO_STRIPS = Strips({}, [], 0)


def graded(name: str, rows: Sequence[EvalRow]) -> GradedRun:
    questions: dict[str, list[EvalRow]] = {}
    for row in rows:
        questions.setdefault(row.sample_id, []).append(row)
    return GradedRun(name, questions, True, {"suite": "clevrer-mini"}, {})


def pair(num_questions: int, **changes: Any) -> list[GradedRun]:
    """Two runs: every third question only the first, every third only the second gets right."""
    names = [f"q{index:05d}" for index in range(num_questions)]
    first = [make_row(n, **({} if i % 3 else WRONG), **changes) for i, n in enumerate(names)]
    second = [make_row(n, **(WRONG if i % 3 == 1 else {}), **changes) for i, n in enumerate(names)]
    return [graded("base", first), graded("cdpo", second)]


def facts_of(runs: list[GradedRun], strips: Strips = NO_STRIPS, **more: Any) -> PageFacts:
    document = compare_runs("clevrer-mini", runs) | more
    return PageFacts(
        {"clevrer-mini": document},
        {"clevrer-mini": differing_questions("clevrer-mini", runs)},
        strips,
    )


def data_of(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', html, re.S)
    found: dict[str, Any] = json.loads(text)
    return found


def test_questions_are_those_on_which_the_runs_part_ways() -> None:
    (base, cdpo) = pair(6)
    cdpo.questions["q00002"] = [make_row("q00002", **FAILED)]
    base.questions["q00005"] = [make_row("q00005", **WRONG)]
    cdpo.questions["q00005"] = [make_row("q00005", **{**WRONG, "parsed": "A,B"})]
    found = {one.asked.sample_id: one.facts for one in differing_questions("s", [base, cdpo])}
    assert sorted(found) == ["q00000", "q00001", "q00002", "q00003", "q00004", "q00005"]
    assert (found["q00000"]["scores"], found["q00005"]["scores"]) == ([0.0, 1.0], [0.0, 0.0])
    assert found["q00002"]["answers"][1][0]["is_error"]
    assert "no video" in found["q00002"]["answers"][1][0]["completion"]
    assert found["q00000"]["types"] == ["observational", "single"]
    same = [graded(name, [make_row("a"), make_row("b", **WRONG)]) for name in ("x", "y")]
    assert differing_questions("s", same) == []


def test_draws_in_another_order_are_no_difference() -> None:
    right, wrong = make_row("a"), make_row("a", **WRONG)
    first = graded("x", [right, replace(wrong, draw=1)])
    second = graded("y", [wrong, replace(right, draw=1)])
    assert differing_questions("s", [first, second]) == []


def test_the_page_is_whole_and_its_policy_lets_only_its_own_parts_run() -> None:
    html = render_page(facts_of(pair(9), published=as_json(published_numbers("clevrer"))))
    page = Page(html)
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv")]
    script, style = page.texts["script"][-1], page.texts["style"][0]
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    named = [a for _, a in page.elements if {"href", "src", "action", "style"} & set(a)]
    assert named == [], "nothing is fetched, and no style needs the policy's leave"
    assert "base is better" not in html
    assert "Published by others" in "".join(page.texts["summary"])
    assert len(data_of(html)["questions"]) == 6


def test_a_hostile_text_stays_text() -> None:
    runs = pair(3, problem=HOSTILE, completion=HOSTILE, label="observational")
    hostile = [replace(run, name=name) for run, name in zip(runs, ("a<b>", HOSTILE), strict=True)]
    html = render_page(facts_of(hostile, Strips({}, [HOSTILE], 0)))
    page = Page(html)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert "img" not in {tag for tag, _ in page.elements}
    assert not {"\x1b", "\u202e", "\u2028"} & set(html)
    first = data_of(html)["questions"][0]
    assert '</script><script>document.title="owned"' in first["problem"]
    assert first["answers"][0][0]["completion"] == first["problem"]


def test_long_texts_are_cut_and_it_is_said() -> None:
    runs = pair(3, completion="x" * (MAX_TEXT_CHARS + 7))
    completion = differing_questions("s", runs)[0].facts["answers"][0][0]["completion"]
    assert completion.endswith("[… 7 more characters]")
    assert len(completion) < MAX_TEXT_CHARS + 40


def test_a_large_comparison_is_a_sample_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MAX_QUESTIONS", 30)
    facts = facts_of(pair(90))
    html = render_page(facts)
    shown = data_of(html)["questions"]
    assert len(shown) == 30
    assert "part ways on 60 of 90 questions" in html
    assert "30 are on this page, drawn at random" in html
    assert {tuple(one["scores"]) for one in shown} == {(0.0, 1.0), (1.0, 0.0)}


def test_verdicts_follow_from_the_interval() -> None:
    found = {"ci95": [0.01, 0.2], "questions_to_resolve": 80}
    assert verdict(found, "b", "a") == ("b is better", "better")
    assert verdict(found | {"ci95": [-0.2, -0.01]}, "b", "a") == ("a is better", "worse")
    words, css = verdict(found | {"ci95": [-0.2, 0.1]}, "b", "a")
    assert (words, css) == ("not decided; about 80 questions would tell", "undecided")


def test_without_the_clips_the_page_says_why(tmp_path: Path) -> None:
    runs = pair(3)
    questions = {"clevrer-mini": differing_questions("clevrer-mini", runs)}
    strips = add_strips(questions, {"clevrer-mini": runs[0].settings}, tmp_path, 9)
    assert strips.by_key == {}
    (problem,) = strips.problems
    assert "does not hold these questions" in problem
    assert "does not hold these questions" in render_page(facts_of(runs, strips))


def test_pictures_are_of_all_questions_that_are_here(tmp_path: Path) -> None:
    """A caption that a judge scored, and a question that the data no longer hold, cost no other."""
    root = write_tempcompass(tmp_path / "tempcompass")
    asked = read_suite(find_suite("tempcompass"), tmp_path).with_judged().samples
    first, second = (
        [
            make_row(s.sample_id, kind=s.kind, score=score, said=str(score), video_sha256=None)
            for s in (*asked, replace(asked[0], sample_id="gone"))
        ]
        for score in (0.0, 1.0)
    )
    frames = {"num_frames": 2, "fps": None, "min_pixels_px": 784, "max_pixels_px": 784}
    ask = {"protocol": {"name": "official"}, "frames": frames}
    settings = {"suite": "tempcompass", "ask": ask}
    runs = [
        replace(graded(n, rows), settings=settings) for n, rows in (("a", first), ("b", second))
    ]
    questions = {"tempcompass": differing_questions("tempcompass", runs)}
    strips = add_strips(questions, {"tempcompass": settings}, tmp_path, 9)
    assert strips.problems == []
    shown = {one.asked.sample_id for one in questions["tempcompass"] if one.facts["frames"]}
    assert shown == {sample.sample_id for sample in asked}
    assert len(strips.by_key) == len(list((root / "videos").iterdir()))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine")
def test_a_real_browser_shows_a_page_of_cards_and_runs_nothing_else(tmp_path: Path) -> None:
    runs = pair(90, problem=HOSTILE, completion=HOSTILE)
    facts = facts_of(runs, Strips({"f0": {"uri": PIXEL, "times_s": [0.0], "num_frames": 2}}, [], 0))
    facts.questions["clevrer-mini"][0].facts["frames"] = "f0"
    write_page(tmp_path / "page.html", facts)
    dom = browse(tmp_path / "page.html")
    assert "<title>base and cdpo, side by side</title>" in dom
    assert dom.count("<article>") == 20
    assert "1 to 20 of 60" in dom
    assert dom.count('<img class="strip"') == 1
    assert '<option value="only-1">cdpo (30)</option>' in dom
    assert "onerror=" not in re.sub(r"<script.*?</script>|<pre.*?</pre>", "", dom, flags=re.S)


DRIVER = """<script>
const log = [];
const note = () => log.push(document.querySelector("#top .tags").textContent
  + ", " + document.querySelectorAll("article").length);
const set = (id, value) => {
  const field = document.getElementById(id);
  field.value = value;
  (field.onchange || field.oninput)();
  note();
};
document.querySelectorAll("#bottom button")[1].click(); note();
for (let i = 0; i < 9; i++) document.querySelectorAll("#top button")[1].click();
note();
set("right", "only-1"); set("type", "single"); set("words", "Q00003"); set("words", "<none>");
document.title = log.join(" | ");
</script></body>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed on this machine")
def test_pages_and_filters_find_what_they_say(tmp_path: Path) -> None:
    html = render_page(facts_of(pair(75)))
    without_policy = re.sub(r"<meta http-equiv[^>]*>", "", html)
    (tmp_path / "driven.html").write_text(without_policy.replace("</body>", DRIVER))
    (title,) = re.findall("<title>(.*?)</title>", browse(tmp_path / "driven.html"))
    assert title.split(" | ") == [
        "21 to 40 of 50, 20",
        "41 to 50 of 50, 10",
        "1 to 20 of 25, 20",
        "1 to 20 of 25, 20",
        "1 to 1 of 1, 1",
        "0 to 0 of 0, 0",
    ]


def browse(page: Path) -> str:
    """The page as a headless Chromium has it once its script has run."""
    assert CHROMIUM is not None
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *quiet, profile, "--dump-dom", f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
