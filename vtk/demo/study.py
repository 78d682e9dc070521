"""The demo over several seeds: what varies with the clips and with training, and the ablations.

Each seed is a whole `vtk demo` with its own clips, trainings and answers. Means are over seeds and
so are their intervals (Student's t), because a seed, not a question, is what was drawn at random;
differences are taken within a seed first, on the same questions.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vtk.demo.plan import DemoSettings, Gauge, Step, demo_settings, plan_steps, variants_of
from vtk.demo.results import MAIN_MODELS
from vtk.scoring.stats import t_quantile

STUDY_VERSION: Final = 1
NUM_VARIANT_SEEDS: Final = 3
"""Ablations are trained on this many seeds, the first ones."""

TYPES: Final = ("observational", "inferential", "all")
Documents = Sequence[Mapping[str, Any]]


def study_settings(
    seeds: Sequence[int], *, is_quick: bool, model: str, has_variants: bool
) -> dict[int, DemoSettings]:
    """Seed -> the settings of its demo."""
    return {
        seed: demo_settings(
            is_quick=is_quick,
            seed=seed,
            model=model,
            has_variants=has_variants and number < NUM_VARIANT_SEEDS,
        )
        for number, seed in enumerate(seeds)
    }


def seed_folder(out: Path, seed: int) -> Path:
    """Where one seed's demo lies."""
    return out / f"seed-{seed}"


def plan_study(out: Path, settings: Mapping[int, DemoSettings], words: Sequence[str]) -> list[Step]:
    """One step per seed, each the command of its demo on one lane.

    Args:
        out: The study's folder.
        settings: Seed -> the settings of its demo.
        words: Options that all demos get, such as --quick.
    """
    return [
        Step(
            name=f"seed-{seed}",
            title=f"Demo with seed {seed}",
            arguments=(
                "demo",
                *("--seed", str(seed)),
                *words,
                *(("--ablations",) if demo.has_variants else ()),
                *("--out", str(seed_folder(out, seed))),
                *("--processes", "1"),
                "--json",
            ),
            needs=(),
            gauge=Gauge("demo", len(plan_steps(demo)), f"seed-{seed}"),
            cost_s=sum(step.cost_s for step in plan_steps(demo)),
        )
        for seed, demo in settings.items()
    ]


def summarise(documents: Documents) -> dict[str, Any]:
    """Means over seeds.

    Args:
        documents: The results.json of each seed.

    Returns:
        `seeds`; `models.<model>.<type>` and `reasoning.<model>.<type>`, `paired.<pair>.<type>` and
        `reasoning_paired.<pair>.<type>`, each {mean, ci95, num_seeds, num_positive, num_negative,
        values}; `verdicts` and `phase` by seed. Variants are over the seeds that trained them, and
        have pairs with CDPO on those seeds as well.
    """
    models = list(dict.fromkeys(name for one in documents for name in one["models"]))
    pairs = list(dict.fromkeys(pair for one in documents for pair in one["paired"]))
    return {
        "version": STUDY_VERSION,
        "is_quick": documents[0]["is_quick"],
        "settings": {str(one["seed"]): one["settings"] for one in documents},
        "seeds": [one["seed"] for one in documents],
        "models": {name: _by_type(documents, ("models", name), "strict") for name in models},
        "reasoning": {
            name: _by_type(documents, ("reasoning", "models", name), "share") for name in models
        },
        "paired": {pair: _by_type(documents, ("paired", pair), "difference") for pair in pairs}
        | _against_cdpo(documents, models),
        "reasoning_paired": {
            pair: _by_type(documents, ("reasoning", "paired", pair), "difference") for pair in pairs
        },
        "verdicts": {str(one["seed"]): one["findings"]["verdict"] for one in documents},
        "phase": {str(one["seed"]): one["phase"] for one in documents},
    }


def mean_over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean with its 95 % interval over seeds; none with one seed.

    Args:
        values: One number per seed, at least one.
    """
    num = len(values)
    mean = math.fsum(values) / num
    interval = None
    if num > 1:
        variance = math.fsum((value - mean) ** 2 for value in values) / (num - 1)
        margin = t_quantile(0.975, num - 1) * math.sqrt(variance / num)
        interval = [mean - margin, mean + margin]
    return {
        "mean": mean,
        "ci95": interval,
        "num_seeds": num,
        "num_positive": sum(value > 0 for value in values),
        "num_negative": sum(value < 0 for value in values),
        "values": list(values),
    }


def variant_titles(summary: Mapping[str, Any]) -> dict[str, str]:
    """Variant -> what it is, for the variants that a study trained."""
    settings = [DemoSettings(**found) for found in summary["settings"].values()]
    found = {variant.name: variant.title for one in settings for variant in variants_of(one)}
    return {name: title for name, title in found.items() if name in summary["models"]}


def _by_type(documents: Documents, path: Sequence[str], key: str) -> dict[str, dict[str, Any]]:
    """Means of one number by question type, over the seeds that have it."""
    found = {}
    for name in TYPES:
        values = [_at(one, (*path, name, key)) for one in documents]
        known = [value for value in values if value is not None]
        if known:
            found[name] = mean_over_seeds(known)
    return found


def _against_cdpo(documents: Documents, models: Sequence[str]) -> dict[str, Any]:
    """Each variant minus CDPO, seed by seed, where both were trained."""
    found = {}
    for name in (model for model in models if model not in MAIN_MODELS):
        by_type = {}
        for kind in TYPES:
            pairs = [
                (
                    _at(one, ("models", "cdpo", kind, "strict")),
                    _at(one, ("models", name, kind, "strict")),
                )
                for one in documents
            ]
            known = [b - a for a, b in pairs if a is not None and b is not None]
            if known:
                by_type[kind] = mean_over_seeds(known)
        found[f"{name}-cdpo"] = by_type
    return found


def _at(tree: Any, path: Sequence[str]) -> float | None:
    """The number at a path of keys, or None where the path ends early."""
    for key in path:
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return None if tree is None else float(tree)
