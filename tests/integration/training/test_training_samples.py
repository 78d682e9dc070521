"""What a real run records of its samples, and that the dashboard's browser shows it."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tui.driving import Host, drive, until_shown
from tui.samples.browser import SampleBrowser
from tui.samples.pane import SamplesPane
from tui.samples.query import Query
from vtk.config.sections import RecordSettings
from vtk.train.groups import frame_settings
from vtk.train.inputs import read_config
from vtk.train.thumbnails import shrink
from vtk.video.frames import read_clip

PLAIN = {"record__token_kl": False, "record__frames_per_clip": 0}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """The run that records everything; filled by the first test that needs it."""
    return {}


def _run(bench: Any, recorded: dict[str, Any]) -> Any:
    if not recorded:
        settings = {"reference__path": str(bench.world.bias), "record__bias_answers": True}
        recorded["paths"] = bench.train("cdpo", optim__num_steps=2, **settings)
    return recorded["paths"]


def test_tokens_add_up_to_the_completion_and_its_signed_kl(
    bench: Any, recorded: dict[str, Any]
) -> None:
    paths = _run(bench, recorded)
    browser = SampleBrowser(paths)
    assert browser.poll() == {1, 2}
    listing = browser.listing(Query())
    groups = browser.load([listing[line] for line in range(len(listing))]).groups.values()
    completions = [c for group in groups if group is not None for c in group.completions]
    assert len(completions) == 16
    for completion in completions:
        assert completion.tokens[-1].end == len(completion.text)
        assert len(completion.tokens) == completion.num_tokens
        values = [token.signed_kl for token in completion.tokens]
        assert sum(values) / len(values) == pytest.approx(completion.signed_kl, abs=1e-3)
    assert any(abs(token.signed_kl) > 0.01 for c in completions for token in c.tokens)


def test_pictures_are_of_the_frames_that_the_model_saw(
    bench: Any, recorded: dict[str, Any]
) -> None:
    paths = _run(bench, recorded)
    config = read_config(paths)
    for row in bench.rows(paths, [1, 2]):
        clip = read_clip(Path(row["video"]), frame_settings(config))
        assert SampleBrowser(paths).strip(row["frames"]) == shrink(clip, RecordSettings())
        assert list(clip.timestamps_s) == pytest.approx(row["timestamps_s"], abs=1e-6)
    assert len(list(paths.frames_dir.iterdir())) == len(
        {r["clip_id"] for r in bench.rows(paths, [1, 2])}
    )


def test_the_bias_models_answer_is_recorded_once_a_group(
    bench: Any, recorded: dict[str, Any]
) -> None:
    paths = _run(bench, recorded)
    rows = bench.rows(paths, [1, 2])
    assert all(("bias_completion" in row) == (row["generation"] == 0) for row in rows)
    asked = [row for row in rows if row["generation"] == 0]
    assert all(row["bias_strict"] == (row["bias_parsed"] == row["solution"]) for row in asked)
    browser = SampleBrowser(paths)
    browser.poll()
    found = browser.listing(Query(order="bias_right"))
    assert len(found) == sum(
        row["bias_strict"] == 1.0
        and any(r["strict"] < 1.0 for r in rows if r["group"] == row["group"])
        for row in asked
    )


def test_agreement_with_the_bias_model_is_what_its_answers_say(
    bench: Any, recorded: dict[str, Any]
) -> None:
    paths = _run(bench, recorded)
    for step in (1, 2):
        rows = bench.rows(paths, [step])
        answers = {r["group"]: r["bias_parsed"] for r in rows if r["generation"] == 0}
        compared = [r for r in rows if answers[r["group"]] is not None]
        metrics = bench.numbers(paths)[step]
        shown = {k: v for k, v in metrics.items() if k.startswith("bias_agreement/")}
        assert shown
        assert compared
        for name in ("observational", "inferential"):
            asked = [r for r in compared if r["label"] == name]
            agreeing = [r for r in asked if r["parsed"] == answers[r["group"]]]
            assert shown.get(f"bias_agreement/{name}_n", 0) == len(asked)
            share = len(agreeing) / len(asked) if asked else None
            assert shown.get(f"bias_agreement/{name}") == share


def test_recording_changes_no_weight(bench: Any, recorded: dict[str, Any]) -> None:
    paths = _run(bench, recorded)
    settings = {"reference__path": str(bench.world.bias)}
    plain = bench.train("cdpo", optim__num_steps=2, **settings, **PLAIN)
    assert bench.model_hash(plain, 2) == bench.model_hash(paths, 2)
    rows = bench.rows(plain, [1, 2])
    assert all(row["frames"] is None and "token_kl" not in row for row in rows)
    assert not plain.frames_dir.exists()


def test_the_screen_shows_a_run_that_was_trained(bench: Any, recorded: dict[str, Any]) -> None:
    paths = _run(bench, recorded)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

    async def scenario(host: Host, pilot: Any) -> None:
        text = await until_shown(pilot, "4 groups · newest", "step 2", "> 1 of 4", "0.00 s", "▀")
        assert "bias model:" in text
        assert "<answer>" in text

    drive(lambda: SamplesPane(paths), (120, 50), scenario)
