"""The samples browser on real run directories: finished, growing, resumed, torn, hostile."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.driving import Host, drive, shown, until, until_shown
from tests.tui.hostile import CONTROL, HOSTILE_TEXTS, LITERAL, LONG, TORN_LINES
from tests.tui.made_runs import group, plain_steps, row, write_run
from tui.samples.group_list import GroupList
from tui.samples.group_view import CompletionColumn, GroupView
from tui.samples.pane import SamplesPane
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

WIDE, NARROW = (120, 40), (60, 20)


def listed(app: Any) -> int:
    return len(app.screen.query_one(GroupList).listing)


def follow(app: Any) -> None:
    """Look for news now, and not at the next tick."""
    app.screen.query_one(SamplesPane).look()


def test_newest_groups_come_first_with_their_completions_side_by_side(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(30))

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        text = await until_shown(
            pilot,
            "60 groups · newest",
            "step 30  group 58",
            "> 1 of 4",
            "1.25 s",
            "<answer>[A]</answer>",
        )
        assert "240 completions in all" in text
        lines = [line for line in text.splitlines() if "What happens in group" in line]
        assert lines[0].split()[:3] == ["30", "observational", "1/4"]
        assert "<answer>[A]</answer>" in text
        assert "B. the [red] cube falls" in text
        assert "✓ right: B" in text
        assert "✗ wrong: A" in text
        assert "reward 2 = acc 1 + fmt 1" in text
        assert "advantage +1.5" in text
        assert "0.00 s" in text
        assert "1.25 s" in text
        columns = host.screen.query(CompletionColumn)
        assert len(columns) == 3
        await pilot.press("down", "down")
        await until_shown(pilot, "step 29  group 56")
        await pilot.press("end")
        await until_shown(pilot, "step 1  group 1 ")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_a_narrow_screen_shows_the_list_or_one_completion(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(3))

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "6 groups")
        assert not host.screen.query_one(GroupView).display
        await pilot.press("enter")
        await until_shown(pilot, "step 3  group 4")
        view = host.screen.query_one(GroupView)
        await until(pilot, lambda: len(view.query(CompletionColumn)) == 1)
        view.scroll_end(animate=False)
        await until_shown(pilot, "> 1 of 4", "✓ right")
        await pilot.press("right", "right")
        await until_shown(pilot, "> 3 of 4", "✗ wrong", "<answer>[A]</answer>")
        await pilot.press("escape")
        await until(pilot, lambda: not view.display)

    drive(lambda: SamplesPane(paths), NARROW, scenario)


@pytest.mark.parametrize("size", [NARROW, (80, 24), WIDE, (200, 60)])
def test_every_size_shows_the_list_and_a_whole_completion(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    paths = write_run(tmp_path, "one", plain_steps(3))

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "6 groups · newest", "signed KL", "+0.4000")
        await pilot.press("enter")
        await until_shown(pilot, "> 1 of 4", "1.25 s")
        host.screen.query_one(GroupView).scroll_end(animate=False)
        text = await until_shown(pilot, "signed KL +0.4 #=.", "<answer>B</answer>")
        assert text.count("advantage") == min(4, (size[0] - 2) // 36)

    drive(lambda: SamplesPane(paths), size, scenario)


def test_tokens_are_tinted_marked_or_left_as_they_are(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", {1: group(1, 0)})

    def styles(app: Any) -> set[tuple[str | None, bool]]:
        segments = [one for strip in app.screen._compositor.render_strips() for one in strip]
        return {
            (None if s.style.bgcolor is None else s.style.bgcolor.name, bool(s.style.underline))
            for s in segments
            if s.style is not None and "<think>group" in s.text
        }

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "> 1 of 4", "<answer>B</answer>")
        assert styles(host) == {("#e69f00", False)}
        await pilot.press("v")
        await until(pilot, lambda: {marked for _, marked in styles(host)} == {True})
        await pilot.press("v")
        await until(pilot, lambda: {marked for _, marked in styles(host)} == {False})
        assert "#e69f00" not in {colour for colour, _ in styles(host)}

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_sorting_filtering_searching_and_going_to_a_step(tmp_path: Path) -> None:
    steps = plain_steps(20)
    steps[5] = group(5, 8, signed_kl=9.0) + group(5, 9, completion="only [here] it hides")
    steps[7] = [*group(7, 12), row(7, 13, 0, reward_format=0.0), *group(7, 13)[1:]]
    paths = write_run(tmp_path, "one", steps)

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "40 groups")
        await pilot.press("s")
        await until_shown(pilot, "most repelled", "step 5  group 8")
        await pilot.press("s", "s")
        await until_shown(pilot, "1 groups · right, format failed", "step 7  group 13")
        await until_shown(pilot, "✓ right, format failed: B")
        await pilot.press("s", "s", "s")
        await until_shown(pilot, "40 groups · newest")
        await pilot.press("i", "i")
        await until_shown(pilot, "20 groups · newest · inferential")
        await pilot.press("i", "i", "i", "w", "w", "w", "w")
        await until_shown(pilot, "0 groups · newest · all wrong", "No group fits")
        await pilot.press("w", "slash", *"[HERE]", "enter")
        await until_shown(pilot, '1 groups · newest · holding "[HERE]"', "step 5  group 9")
        await pilot.press("slash", *["backspace"] * 6, "enter")
        await until_shown(pilot, "40 groups · newest")
        await pilot.press("g", "1", "2", "enter")
        await until_shown(pilot, "step 12  group 22")
        for digits, place in (("9" * 20, "step 20  group 38"), ("0", "step 1  group 0")):
            await pilot.press("g", *digits, "enter")
            await until_shown(pilot, place)
        host.screen.query_one(SamplesPane)._jump_to("9" * 5000)  # as if pasted
        await until_shown(pilot, "step 20  group 38")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_a_group_whose_file_is_gone_is_told_and_not_blank(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(2))
    for path in paths.rollout_file(1).parent.glob("*.jsonl"):
        path.unlink()

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "not in its file", "This group is not in its file.")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_the_same_number_at_another_step_is_another_group(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", {1: group(1, 0), 2: group(2, 0)})

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "step 2  group 0", "> 1 of 4")
        view = host.screen.query_one(GroupView)
        view.choose(2)
        await until_shown(pilot, "> 3 of 4")
        await pilot.press("down")
        await until_shown(pilot, "step 1  group 0", "> 1 of 4")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_a_live_run_grows_while_the_reader_stays_where_they_are(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(2), ends_as=None)

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "4 groups", "step 2  group 2")
        with EventWriter(paths, attempt_resumed_from_step=2) as writer:
            writer.rollouts(3, group(3, 4))
            follow(host)
            await until_shown(pilot, "5 groups", "step 3  group 4")
            await pilot.press("down")
            await until_shown(pilot, "step 2  group 2")
            writer.rollouts(4, group(4, 6))
            follow(host)
            await until_shown(pilot, "6 groups")
            assert "step 2  group 2" in shown(host)
            assert host.screen.query_one(GroupList).cursor == 2

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_steps_that_a_resumed_run_has_not_made_again_are_gone(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(5), ends_as=None)
    with EventWriter(paths, attempt_resumed_from_step=3) as writer:
        writer.rollouts(4, group(4, 6, completion="made again"))
    assert paths.rollout_file(5).is_file()

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "7 groups", "step 4  group 6", "made again")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_damaged_files_are_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(3))
    content = paths.rollout_file(3).read_bytes()
    paths.rollout_file(3).write_bytes(b"".join(TORN_LINES) + content + b'{"v":1,"step":3,"comp')
    paths.rollout_file(2).unlink()
    (paths.frames_dir / "00c0ffee00c0ffee.png").write_bytes(b"no picture")

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(
            pilot,
            "step 3: written by a newer vtk (rows of version 99)",
            f"{len(TORN_LINES)} lines could not be read",
            "step_000002.jsonl is not there",
            "not in its file",
            "step 3  group 4",
            "are damaged: not a strip of frames",
        )

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_a_run_without_anything_says_so(tmp_path: Path) -> None:
    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "0 groups", "There are no completions here yet")
        await pilot.press("enter", "y", "Y", "s", "down", "right", "f", "v")
        await until_shown(pilot, "0 groups · most repelled")

    drive(lambda: SamplesPane(RunPaths(tmp_path / "none")), WIDE, scenario)


def test_a_sample_and_the_command_that_makes_it_again_are_copied(tmp_path: Path) -> None:
    paths = write_run(tmp_path / "my runs", "one", {1: group(1, 0)})

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "step 1  group 0")
        await pilot.press("y")
        assert "<think>group 0</think>\n<answer>B</answer>" in host.clipboard
        assert "What happens in group 0?" in host.clipboard
        await pilot.press("Y")
        command = shlex.split(host.clipboard, comments=True)
        assert command == ["vtk", "train-cdpo", "--config", str(paths.config_json)]
        assert host.clipboard.endswith("# then step 1, group 0")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def test_a_megabyte_is_cut_visibly_and_its_own_view_shows_more(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", {1: group(1, 0, completion=LONG)})

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, "step 1  group 0", "long long")
        host.screen.query_one(GroupView).scroll_end(animate=False)
        await until_shown(pilot, "1,046,000 more characters", "the file holds them")
        await pilot.press("enter", "enter")
        await until_shown(pilot, "token tint")
        host.screen.query_one("VerticalScroll").scroll_end(animate=False)
        await until_shown(pilot, "1,000,000 more characters are not shown")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


@pytest.mark.parametrize("ascii_only", [False, True])
def test_frames_are_drawn_in_cells(tmp_path: Path, ascii_only: bool) -> None:
    paths = write_run(tmp_path, "one", {1: group(1, 0)})

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        text = await until_shown(pilot, "step 1  group 0", "1.25 s")
        above = text.splitlines()[text.splitlines().index(_line(text, "1.25 s")) - 2]
        if ascii_only:
            assert above.split() == ["::::::::", "@@@@@@@@"]
        else:
            assert above.split() == ["▀" * 8, "▀" * 8]
        await pilot.press("f", "f")
        await until(pilot, lambda: "1.25 s" not in shown(host))

    drive(lambda: SamplesPane(paths, ascii_only=ascii_only), WIDE, scenario)


def _line(text: str, part: str) -> str:
    return next(line for line in text.splitlines() if part in line)


def test_literal_texts_are_read_exactly_and_control_characters_as_symbols(tmp_path: Path) -> None:
    names = list(HOSTILE_TEXTS)
    steps = {
        number + 1: group(
            number + 1, number, completion=text, problem=text, sample_id=text, solution=text
        )
        for number, text in enumerate(HOSTILE_TEXTS.values())
    }
    paths = write_run(tmp_path, "one", steps)

    async def scenario(host: Host, pilot: Pilot[None]) -> None:
        await until_shown(pilot, f"{len(names)} groups")
        for number in reversed(range(len(names))):
            await until(pilot, lambda: _group_number(host) == number)  # noqa: B023
            name = names[number]
            if name in LITERAL:
                await until_shown(pilot, LITERAL[name])
            text = shown(host)
            assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), 127)}
            assert not set(text) & {chr(code) for code in range(0x80, 0xA0)}
            if "\x1b" in CONTROL.get(name, ""):
                assert "␛" in text
            await pilot.press("down")

    drive(lambda: SamplesPane(paths), WIDE, scenario)


def _group_number(app: Any) -> int:
    group = app.screen.query_one(GroupView).group
    return -1 if group is None else int(group.number)
