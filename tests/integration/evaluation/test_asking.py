"""Asking a real (random) tiny model about real clips: engines, plans, errors."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration.evaluation.conftest import SUITE, Tiny
from tests.reliability.causes import MARK, poisoned
from vtk.cli.console import Console
from vtk.cli.order import Order, read_order
from vtk.cli.questions import Words
from vtk.config.sections import ModelSettings
from vtk.data.sample import VideoSample
from vtk.evals.backends import TransformersBackend
from vtk.evals.record import EvalRow
from vtk.evals.runner import iter_rows
from vtk.evals.settings import EvaluationSettings
from vtk.evals.suites import find_suite, load_questions
from vtk.models.loader import load_policy
from vtk.models.tiny import tiny_model_dir
from vtk.rollout.generate import SamplingSettings
from vtk.video.frames import FrameSettings

pytestmark = pytest.mark.slow

FRAMES = FrameSettings(
    num_frames=8, fps=None, min_pixels_px=4704, max_pixels_px=4704, decoder="pyav"
)
GREEDY = SamplingSettings(max_completion_tokens=12, temperature=0.0)
SAMPLED = SamplingSettings(max_completion_tokens=12, temperature=1.0)


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[VideoSample]:
    """The validation questions."""
    return load_questions(find_suite(SUITE), data_dir)


def ask(tiny: Tiny, samples: list[VideoSample], **changes: Any) -> list[EvalRow]:
    settings = EvaluationSettings("mini", FRAMES, SAMPLED, batch_size=4, seed=1)
    return list(iter_rows(TransformersBackend(*tiny), samples, replace(settings, **changes)))


@pytest.mark.parametrize("changes", [{"sampling": GREEDY}, {"num_draws": 2}])
def test_both_engines_answer_alike_and_one_sees_a_clip_once(
    samples: list[VideoSample], changes: dict[str, Any]
) -> None:
    taught = load_policy(tiny_model_dir(), ModelSettings())
    chosen = samples[:8]
    num_clips = len({sample.video for sample in chosen})
    assert 1 < num_clips < len(chosen)
    seen: dict[str, list[int]] = {"reference": [], "shared": []}
    rows = {}
    for engine, num_clips_a_call in seen.items():
        visual = taught[0].model.visual
        hook = visual.register_forward_pre_hook(
            lambda _, __, given, kept=num_clips_a_call: kept.append(len(given["grid_thw"])),
            with_kwargs=True,
        )
        rows[engine] = ask(taught, chosen, engine=engine, **changes)
        hook.remove()
    assert rows["shared"] == rows["reference"]
    assert len({row.completion for row in rows["shared"]}) > 1
    assert seen["shared"] == [1] * num_clips
    assert sum(seen["reference"]) >= len(chosen)


def test_the_same_plan_gives_the_same_rows(tiny: Tiny, samples: list[VideoSample]) -> None:
    first = ask(tiny, samples[:8], num_draws=2)
    assert ask(tiny, samples[:8], num_draws=2) == first
    assert len({row.completion for row in first}) > 8
    assert ask(tiny, samples[:8], num_draws=2, seed=2) != first


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED])
def test_another_order_of_the_questions_gives_the_same_answers(
    sampling: SamplingSettings, samples: list[VideoSample]
) -> None:
    taught = load_policy(tiny_model_dir(), ModelSettings())
    chosen = samples[:8]
    shuffled = [chosen[place] for place in (5, 2, 7, 0, 3, 6, 1, 4)]
    rows, others = (
        {row.key: row.completion for row in ask(taught, asked, sampling=sampling)}
        for asked in (chosen, shuffled)
    )
    assert rows == others
    assert len(set(rows.values())) > 2


def test_a_model_in_training_is_left_as_it_was(tiny: Tiny, samples: list[VideoSample]) -> None:
    model, _ = tiny
    model.train()
    model.model.visual.eval()
    modes = [module.training for module in model.modules()]
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    rows = ask(tiny, samples[:4], batch_size=4)
    assert [row.error for row in rows] == [None] * 4
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    model.eval()


def test_a_damaged_file_and_a_long_prompt_become_errors(
    tiny: Tiny, samples: list[VideoSample], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(samples[0].video.read_bytes()[:2000])
    asked = [replace(samples[0], video=damaged), *samples[1:4]]
    rows = ask(tiny, asked)
    assert [row.error is not None for row in rows] == [True, False, False, False]
    assert rows[0].error is not None
    assert (rows[0].error["kind"], str(damaged) in rows[0].error["message"]) == ("decode", True)
    rows = ask(tiny, asked[1:], max_prompt_tokens=20)
    assert {row.error["kind"] for row in rows if row.error} == {"prompt"}


@pytest.mark.parametrize("engine", ["shared", "reference"])
def test_a_word_that_the_model_cannot_bear_costs_its_own_question_only(
    engine: str, model_dir: Path, samples: list[VideoSample], tmp_path: Path
) -> None:
    asked = [*samples[:2], replace(samples[2], problem=f"{MARK} {samples[2].problem}")]
    spoiled = load_policy(poisoned(model_dir, tmp_path), ModelSettings())
    clean = load_policy(model_dir, ModelSettings())
    rows, expected = (ask(model, asked, engine=engine) for model in (spoiled, clean))
    assert rows[:2] == expected[:2]
    assert (expected[2].error, rows[2].strict, rows[2].completion) == (None, 0.0, None)
    assert rows[2].error is not None
    assert rows[2].error["kind"] == "generate"
    assert "probability" in rows[2].error["message"] or "finite" in rows[2].error["message"]


def test_parts_of_one_clip_are_not_taken_for_each_other(
    tiny: Tiny, samples: list[VideoSample]
) -> None:
    first, second = (
        replace(samples[0], sample_id=name, span_s=span)
        for name, span in (("a", (0.0, 1.0)), ("b", (3.0, 5.0)))
    )
    together = ask(tiny, [first, second], batch_size=1, num_draws=4)
    apart = [*ask(tiny, [first], batch_size=1, num_draws=4)]
    apart += ask(tiny, [second], batch_size=1, num_draws=4)
    assert together == apart
    assert together[0].timestamps_s != together[4].timestamps_s


@pytest.mark.parametrize(("given", "num_asked"), [({"eval.num_samples": 2}, 2), ({}, None)])
def test_only_the_command_line_asks_fewer_questions(
    given: dict[str, Any], num_asked: int | None, data_dir: Path, model_dir: Path, tmp_path: Path
) -> None:
    config = tmp_path / "few.toml"
    config.write_text("[eval]\nnum_samples = 3\n")
    order = Order(
        suites=[SUITE],
        model=str(model_dir),
        part="validation",
        questions=None,
        protocol="both",
        words=Words(None, False),
        num_draws=1,
        seed=None,
        preset=None,
        config=config,
        overrides=given,
        name=None,
        is_new=False,
        data_dir=data_dir,
        runs_dir=tmp_path,
    )
    read = read_order(Console(), order)
    (inquiry,) = read.inquiries({})
    assert read.target.config.eval.num_samples in (2, 3)
    assert len(inquiry.samples) == (num_asked or len(load_questions(find_suite(SUITE), data_dir)))
    assert len(load_questions(find_suite(SUITE), data_dir)) > 3
