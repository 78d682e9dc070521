"""The table of strategies: what it counts, and that it tells the strategies apart."""

from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.errors import ConfigError
from vtk.mini.language import Strategy, option_letters
from vtk.models.tiny import build_tiny_config
from vtk.scoring.rewards import grade
from vtk.train.pretrain import report as pretrain_report
from vtk.train.pretrain.data import PretrainScene, question_example
from vtk.train.pretrain.report import (
    GradedCompletion,
    StrategyRow,
    as_json,
    measure_model,
    measure_strategies,
    tabulate,
)

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]


def cells(rows: list[StrategyRow]) -> dict[tuple[str, str], StrategyRow]:
    return {(row.strategy, row.label): row for row in rows}


def test_rows_count_what_was_graded() -> None:
    graded = [
        GradedCompletion(0, "observational", "describe", True, 0.5),
        GradedCompletion(0, "observational", "describe", True, 0.5),
        GradedCompletion(1, "observational", "reason", False, 1 / 3),
        GradedCompletion(2, "observational", "describe", False, 1.0),
        GradedCompletion(2, "inferential", "other", False, 0.5),
    ]
    rows = tabulate(graded)
    found = cells(rows)
    assert list(found) == [
        ("describe", "observational"),
        ("reason", "observational"),
        ("other", "inferential"),
        ("all", "observational"),
        ("all", "inferential"),
    ]
    row = found["describe", "observational"]
    assert (row.num_completions, row.num_scenes) == (3, 2)
    assert row.accuracy == pytest.approx(2 / 3)
    assert row.share == pytest.approx(3 / 4)
    assert row.chance == pytest.approx(2 / 3)
    assert 0 < row.low < row.accuracy < row.high < 1
    assert found["all", "observational"].share == 1.0
    assert found["all", "observational"].num_completions == 4
    assert as_json(rows)[0]["strategy"] == "describe"


@pytest.mark.parametrize("strategy", ["describe", "reason"])
def test_a_perfect_reader_is_right_where_its_strategy_is(
    strategy: Strategy,
    still: Tiny,
    scenes: list[PretrainScene],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Completions as the strategy would write them, in place of sampled ones."""
    asked = [(scene, question) for scene in scenes for question in scene.questions[:4]]
    perfect = [question_example(scene.scene, q, strategy).completion for scene, q in asked]
    texts = iter(perfect)

    def speak(
        _model: object, _processor: object, prompts: list[object], count: int, seed: int
    ) -> list[str]:
        return [text for _ in prompts for text in [next(texts)] * count]

    monkeypatch.setattr(pretrain_report, "_sample", speak)
    rows = cells(measure_strategies(*still, scenes, num_generations=2))
    assert {name for name, _ in rows} == {strategy, "all"}
    assert sum(row.num_completions for row in rows.values()) == 2 * 2 * len(asked)
    for label in ("observational", "inferential"):
        right = [
            float(grade(text, option_letters(q.gold), len(q.gold)).strict)
            for text, (_, q) in zip(perfect, asked, strict=True)
            if q.observational == (label == "observational")
        ]
        assert rows[strategy, label].accuracy == pytest.approx(sum(right) / len(right))
    assert rows["all", "observational"].num_scenes <= len(scenes)
    assert 0.3 < rows["all", "inferential"].chance < 0.8


def test_a_seed_decides_what_is_sampled(still: Tiny, scenes: list[PretrainScene]) -> None:
    progress: list[tuple[int, int]] = []
    first, again = (
        measure_strategies(
            *still,
            scenes[:2],
            questions_per_scene=1,
            num_generations=1,
            on_progress=lambda *done: progress.append(done),
        )
        for _ in range(2)
    )
    assert first == again
    assert progress == [(2, 2), (2, 2)]
    assert {row.strategy for row in first} == {"other", "all"}  # weights are random


def test_only_tiny_models_are_measured(still: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hub"):
        measure_model("owner/some-model", tmp_path, 1)
    config: Any = build_tiny_config(still[1].tokenizer)
    config.text_config.hidden_size, config.vision_config.out_hidden_size = 64, 64
    config.text_config.rope_parameters["mrope_section"] = [2, 3, 3]
    other = Qwen2_5_VLForConditionalGeneration(config)
    other.save_pretrained(tmp_path / "other")
    still[1].save_pretrained(tmp_path / "other")
    with pytest.raises(ConfigError, match="not of the tiny architecture") as caught:
        measure_model(str(tmp_path / "other"), tmp_path, 1)
    assert "vtk eval" in str(caught.value.hint)
