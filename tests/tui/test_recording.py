"""The run that ships with the package shows everything that the screens can show, and is small."""

import re

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, held, shown
from tui.app import DashboardApp
from tui.recording import demo_run
from tui.samples.browser import SampleBrowser
from tui.samples.query import Query
from vtk.runs.store import RunPaths

MAX_BYTES = 1_500_000


def test_it_is_small_and_names_no_place_of_the_machine_that_made_it() -> None:
    found = demo_run().root.parent.rglob("*")
    files = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    content = [path.read_bytes() for path in files]
    assert sum(map(len, content)) < MAX_BYTES
    told = [text for text in content if not text.startswith(b"\x89PNG")]
    assert len(told) > 20
    places = {place for text in told for place in re.findall(rb'"(/[\w./-]+)"', text)}
    assert places
    assert all(place.startswith(b"/home/user/") for place in places)
    assert not [text for text in told if b"/tmp/" in text]


def test_every_sample_has_frames_tints_and_the_bias_models_answer() -> None:
    browser = SampleBrowser(demo_run())
    steps = browser.poll()
    assert min(steps) == 1
    assert max(steps) == 90
    assert max(b - a for a, b in zip(sorted(steps), sorted(steps)[1:], strict=False)) <= 5
    listing = browser.listing(Query())
    loaded = browser.load(listing[line] for line in range(len(listing)))
    assert loaded.notices == {}
    assert len(listing) == 3 * len(steps)
    for group in loaded.groups.values():
        assert group is not None
        assert group.bias_answer is not None
        assert group.frames is not None
        assert len(browser.strip(group.frames).indices) == 8
        assert all(completion.tokens for completion in group.completions)
    assert any(g is not None and g.num_as_bias_model < 8 for g in loaded.groups.values())


@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_no_place_of_the_replay_misses_a_file(
    drive: Drive, recording: RunPaths, share: float
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        app.open("samples")
        text = await shown(app, pilot, "0.00 s")
        assert "▀" in text
        assert "bias model: " in text
        assert " is not there" not in text
        assert "not in its file" not in text

    drive(look, source=held(recording, share), size=(120, 50))


def test_its_baseline_stands_beside_it(drive: Drive) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        app.open("compare")
        text = await shown(app, pilot, "grpo-demo")
        text = await shown(app, pilot, "clevrer-mini inferential")
        assert "90 of 90" in text
        assert "pts" in text

    drive(look, source=held(demo_run()), size=(120, 40))
