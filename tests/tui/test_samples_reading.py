"""What the browser makes of files: steps that count, rows, tokens, pictures, order."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.hostile import HOSTILE_TEXTS, TORN_LINES
from tests.tui.made_runs import group, plain_steps, row, write_run, write_strip
from tui.samples.browser import SampleBrowser
from tui.samples.copying import sample_text
from tui.samples.files import read_rows
from tui.samples.index import StepIndex
from tui.samples.pictures import draw, frame_pixels, layout
from tui.samples.query import ORDERS, Query
from tui.samples.rows import MAX_TEXT_CHARS, Completion, groups_of
from tui.samples.text import completion_content, kl_trace
from vtk.errors import DataError
from vtk.format import visible_lines
from vtk.runs.events import encode_line
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths
from vtk.runs.token_columns import pack_token_chars, pack_token_kl
from vtk.runs.writer import EventWriter


def one(**changes: Any) -> Completion:
    (found,), num_unreadable = groups_of([row(1, 0, 0, **changes)])
    assert num_unreadable == 0
    return found.completions[0]


def test_only_the_wanted_events_are_given_and_the_others_are_not_parsed(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(3))
    with paths.events.open("ab") as log:
        log.write(b"no event at all\n" + b'broken "rollouts"\n')
    tail = EventTail(paths.events, types=("rollouts",))
    assert [event["step"] for event in tail.poll()] == [1, 2, 3]
    assert tail.num_unreadable == 1
    everything = EventTail(paths.events)
    assert {event["type"] for event in everything.poll()} > {"rollouts", "step"}
    assert everything.num_unreadable == 2


def test_a_log_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(3), ends_as=None)
    index = StepIndex(paths)
    assert index.poll() == {1, 2, 3}
    assert index.poll() == set()
    other = write_run(tmp_path, "two", plain_steps(1))
    paths.events.write_bytes(other.events.read_bytes())
    assert index.poll() == {1, 2, 3}
    assert set(index.counts) == {1}


def test_a_new_attempt_drops_the_steps_after_the_one_it_goes_on_from(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(5), ends_as=None)
    index = StepIndex(paths)
    index.poll()
    with EventWriter(paths, attempt_resumed_from_step=2):
        assert index.poll() == {3, 4, 5}
    with EventWriter(paths):
        assert index.poll() == {1, 2}
    assert index.num_completions == 0


def test_a_line_that_is_not_finished_waits(tmp_path: Path) -> None:
    path = tmp_path / "step.jsonl"
    lines = [encode_line(one_row) for one_row in group(1, 0)]
    for cut in range(0, len(lines[0]), 7):
        path.write_bytes(lines[1] + lines[0][:cut])
        rows, num_unreadable = read_rows(path)
        assert (len(rows), num_unreadable) == (1, 0)
    path.write_bytes(b"".join(TORN_LINES[:4]) + lines[0])
    assert [len(read_rows(path)[0]), read_rows(path)[1]] == [1, 4]
    with pytest.raises(DataError, match="not there"):
        read_rows(tmp_path)


@pytest.mark.parametrize("name", list(row(1, 0, 0)))
@pytest.mark.parametrize("value", [None, [], {}, "text", -1, 1.5, True, math.nan])
def test_rows_of_any_kind_are_counted_or_shown(name: str, value: Any) -> None:
    made, num_unreadable = groups_of([row(1, 0, 0) | {name: value}, row(1, 1, 0)])
    assert sum(len(g.completions) for g in made) + num_unreadable == 2
    for found in made:
        for completion in found.completions:
            completion_content(completion, "colour", 100)
            assert sample_text(found, completion)


def test_every_character_becomes_exactly_one_that_is_safe() -> None:
    for text in HOSTILE_TEXTS.values():
        shown = visible_lines(text)
        assert len(shown) == len(text)
        assert shown.count("\n") == text.count("\n")
        assert visible_lines(shown) == shown


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(0, 220))
def test_any_text_is_shown_character_for_character(text: str, max_chars: int) -> None:
    plain = completion_content(one(completion=text), "colour", max_chars).plain
    kept = visible_lines(text)[:max_chars]
    assert plain.startswith(kept or "(" * bool(not text))
    assert not set(plain) & {chr(code) for code in (*range(10), *range(11, 32), 127)}
    assert ("more characters" in plain) >= (len(text) > max_chars)


def test_tints_cover_each_tokens_characters() -> None:
    kl, chars = pack_token_kl([2.0, -0.7, 0.0, math.nan]), pack_token_chars([3, 4, 1, 2])
    found = one(completion="abc[B]\x1bxyz", token_kl=kl, token_chars=chars)
    content = completion_content(found, "colour", 100)
    assert content.plain == "abc[B]␛xyz"
    spans = [(span.start, span.end, str(span.style)) for span in content.spans]
    assert spans == [
        (0, 3, "#000000 on #e69f00"),
        (3, 7, "#ffffff on #0067a5"),
        (8, 10, "reverse"),
    ]
    marks = [str(span.style) for span in completion_content(found, "marks", 100).spans]
    assert marks == ["bold underline", "italic", "reverse"]
    assert completion_content(found, "off", 100).spans == []
    assert [span.end for span in completion_content(found, "colour", 5).spans][:2] == [3, 5]


@pytest.mark.parametrize(
    "changes",
    [
        {"token_chars": pack_token_chars([1, 1])},
        {"token_chars": None},
        {"token_kl": "not base64"},
        {"token_kl": pack_token_kl([0.0])},
    ],
)
def test_tokens_that_do_not_fit_the_text_tint_nothing(changes: dict[str, Any]) -> None:
    values = {"token_kl": pack_token_kl([0.0, 1.0]), "token_chars": pack_token_chars([2, 2])}
    assert len(one(completion="abcd", **values).tokens) == 2
    assert one(completion="abcd", **(values | changes)).tokens == ()


def test_a_trace_shows_the_strongest_token_of_each_stretch() -> None:
    assert kl_trace([0.0] * 50 + [-3.0] + [0.0] * 49, 10) == ".....~...."
    assert kl_trace([]) == ""


def test_long_texts_are_cut_and_say_so() -> None:
    found = one(completion="x" * (MAX_TEXT_CHARS + 7))
    assert (len(found.text), found.num_cut_chars) == (MAX_TEXT_CHARS, 7)
    assert "[50,002 more characters are not shown" in completion_content(found, "off", 5).plain


def test_orders_put_first_what_they_name(tmp_path: Path) -> None:
    steps = {
        1: group(1, 0, signed_kl=5.0, bias_completion="B", bias_parsed="B", bias_strict=1.0),
        2: group(2, 1, signed_kl=-5.0, reward=1.0, signed_kl_=0),
        3: [row(3, 2, 0, reward_format=0.0, signed_kl=None), row(3, 2, 1, signed_kl=None)],
        4: [row(4, 3, 0, reward=90.0, signed_kl=math.nan), *group(4, 3)[1:]],
    }
    browser = SampleBrowser(write_run(tmp_path, "one", steps))
    browser.poll()
    found = {name: list(browser.listing(Query(order=name)).steps) for name in ORDERS}
    assert found["newest"] == [4, 3, 2, 1]
    assert found["repelled"] == [1, 2, 4, 3]
    assert found["attracted"] == [2, 1, 4, 3]
    assert found["misformatted"] == [3]
    assert found["spread"][0] == 4
    assert found["bias_right"] == [1]


def test_a_file_with_other_groups_than_the_log_says_is_shown_whole(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(1), config={"rollout": {"num_generations": 99}})
    browser = SampleBrowser(paths)
    browser.poll()
    assert len(browser.listing(Query())) == 1
    browser.load([(1, 0)])
    assert len(browser.listing(Query())) == 2


def test_half_blocks_have_the_colours_of_the_frame(tmp_path: Path) -> None:
    strip = write_strip(RunPaths(tmp_path))
    assert frame_pixels(strip).shape == (2, 4, 8, 3)
    sizes = layout(strip, 17, is_large=False)
    assert (sizes.columns, sizes.rows, sizes.num_across) == (8, 2, 2)
    red, striped = draw(strip, sizes, ascii_only=False)
    assert {str(cell.style) for line in red for cell in line} == {"#ff0000 on #ff0000"}
    assert [str(line[0].style) for line in striped] == ["#ffffff on #ffffff", "#000000 on #000000"]
    narrow = layout(strip, 9, is_large=False)
    assert narrow.num_across == 1
    shrunk = draw(strip, layout(strip, 4, is_large=True), ascii_only=True)
    assert ["".join(cell.text for cell in line) for line in shrunk[1]] == ["++++"]


@pytest.mark.parametrize("name", ["../../../etc/passwd.png", "a.png", "00c0ffee.gif", "\x1b]0;x"])
def test_pictures_are_read_from_their_folder_only(tmp_path: Path, name: str) -> None:
    paths = write_run(tmp_path, "one", plain_steps(1))
    with pytest.raises(DataError, match="names no pictures"):
        SampleBrowser(paths).strip(name)


def test_pixels_are_means_of_what_they_cover() -> None:
    from tui.samples.pictures import _averaged

    values = np.array([[0.0], [2.0], [4.0], [9.0]], dtype=np.float32)
    assert _averaged(values, 2).tolist() == [[1.0], [6.5]]
    assert _averaged(values, 3).tolist() == [[0.0], [2.0], [6.5]]
    assert _averaged(values, 8).ravel().tolist() == [0, 0, 2, 2, 4, 4, 9, 9]
