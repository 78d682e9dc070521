"""Several seeds: means and intervals over seeds, ablations on the seeds that have them."""

import shlex
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

from vtk.demo.plan import plan_steps
from vtk.demo.sentences import judge_over_seeds
from vtk.demo.study import (
    NUM_VARIANT_SEEDS,
    mean_over_seeds,
    plan_study,
    study_settings,
    summarise,
    variant_titles,
)
from vtk.demo.study_table import study_markdown

Document = dict[str, Any]


def test_interval_over_seeds_is_student_s() -> None:
    values = [0.10, 0.14, 0.06, 0.12, 0.08]
    found = mean_over_seeds(values)
    margin = 2.7764451 * stdev(values) / 5**0.5
    assert found["mean"] == pytest.approx(0.10)
    assert found["ci95"] == pytest.approx([0.10 - margin, 0.10 + margin])
    assert (found["num_positive"], found["num_negative"], found["num_seeds"]) == (5, 0, 5)


def test_one_seed_has_no_interval() -> None:
    assert mean_over_seeds([0.1])["ci95"] is None
    sentence = judge_over_seeds("cdpo-grpo", "inferential", mean_over_seeds([0.1]))
    assert sentence == "CDPO against GRPO on inferential questions, one seed: +10.0 points."


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.1, 0.12, 0.11], "Over seeds CDPO answers all questions better than GRPO: +11.0"),
        ([-0.1, -0.12, -0.11], "Over seeds CDPO answers all questions worse than GRPO: −11.0"),
        ([0.1, -0.1, 0.0], "Over seeds no difference between CDPO and GRPO on all questions"),
    ],
)
def test_sentence_over_seeds_follows_from_the_interval(values: list[float], said: str) -> None:
    sentence = judge_over_seeds("cdpo-grpo", "all", mean_over_seeds(values))
    assert sentence.startswith(said)
    up, down = sum(v > 0 for v in values), sum(v < 0 for v in values)
    assert f"{up} up, {down} down" in sentence


def test_summary_averages_what_the_seeds_found(document_of: Callable[..., Document]) -> None:
    documents = [document_of(num_clips=20, seed=seed) for seed in range(3)]
    summary = summarise(documents)
    differences = [one["paired"]["cdpo-grpo"]["inferential"]["difference"] for one in documents]
    found = summary["paired"]["cdpo-grpo"]["inferential"]
    assert found["values"] == differences
    assert found["mean"] == pytest.approx(mean(differences))
    assert summary["seeds"] == [0, 1, 2]
    assert set(summary["verdicts"]) == {"0", "1", "2"}
    shares = [one["reasoning"]["models"]["grpo"]["inferential"]["share"] for one in documents]
    assert summary["reasoning"]["grpo"]["inferential"]["mean"] == pytest.approx(mean(shares))


def test_variants_count_over_the_seeds_that_trained_them(
    document_of: Callable[..., Document], behaviour: Callable[[str], Any]
) -> None:
    with_variant = document_of(num_clips=20, **{"cdpo-hinge": behaviour("cdpo")})
    summary = summarise([with_variant, document_of(num_clips=20, seed=1)])
    found = summary["paired"]["cdpo-hinge-cdpo"]["inferential"]
    assert found["num_seeds"] == 1
    models = with_variant["models"]
    expected = (
        models["cdpo-hinge"]["inferential"]["strict"] - models["cdpo"]["inferential"]["strict"]
    )
    assert found["mean"] == pytest.approx(expected)
    assert summary["paired"]["cdpo-hinge-grpo"]["all"]["num_seeds"] == 1
    assert variant_titles(summary) == {"cdpo-hinge": "hinge repulsion"}
    assert "`cdpo-hinge`: hinge repulsion" in study_markdown(summary)


def test_tables_hold_every_main_row_and_the_phase_diagram(
    document_of: Callable[..., Document],
) -> None:
    markdown = study_markdown(summarise([document_of(num_clips=20, seed=s) for s in range(3)]))
    for title in (
        "| base |",
        "| bias model |",
        "| plain GRPO |",
        "| CDPO |",
        "| CDPO − plain GRPO |",
    ):
        assert title in markdown
    assert markdown.count("| reasoning right \\ observational |") == 2
    assert "Verdict of each seed by itself: 0 " in markdown
    rows = [line.count("|") for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) > 30


def test_a_study_without_strategies_says_so(document_of: Callable[..., Document]) -> None:
    document = document_of(num_clips=20)
    document["phase"] = None
    assert "did not show both strategies" in study_markdown(summarise([document]))


def test_each_seed_is_a_demo_and_the_first_ones_train_the_ablations() -> None:
    settings = study_settings([4, 5, 6, 7], is_quick=True, model="tiny", has_variants=True)
    steps = plan_study(Path("out"), settings, ["--quick"])
    typed = [shlex.join(step.arguments) for step in steps]
    assert typed[0] == ("demo --seed 4 --quick --ablations --out out/seed-4 --processes 1 --json")
    assert typed[3] == "demo --seed 7 --quick --out out/seed-7 --processes 1 --json"
    assert sum("--ablations" in words for words in typed) == NUM_VARIANT_SEEDS
    assert steps[0].gauge.total == len(plan_steps(settings[4])) > steps[3].gauge.total
