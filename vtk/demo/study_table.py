"""A study as Markdown: the tables that docs/demo.md shows, written from study.json."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.demo.phase import PhasePoint, StrategyOdds, critical_accuracy, phase_table
from vtk.demo.results import MAIN_MODELS, MAIN_PAIRS, split_pair
from vtk.demo.sentences import format_points, judge_over_seeds
from vtk.demo.study import variant_titles
from vtk.format import MISSING, format_number, format_percent

_TITLES: Final = {"base": "base", "bias": "bias model", "grpo": "plain GRPO", "cdpo": "CDPO"}
_SHARES: Final = (0.3, 0.4, 0.5, 0.6, 0.74, 0.9)
_ACCURACIES: Final = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)


def study_markdown(summary: Mapping[str, Any]) -> str:
    """All tables of a study.

    Args:
        summary: From `vtk.demo.study.summarise`.
    """
    seeds = ", ".join(str(seed) for seed in summary["seeds"])
    parts = [
        f"Seeds {seeds}. Means over seeds; in brackets 95 % intervals over seeds (Student's t).",
        "### Accuracy (strict) and share of reasoning completions",
        _accuracy_table(summary, MAIN_MODELS),
        "### Paired differences, in points",
        _difference_table(summary, MAIN_PAIRS),
        *_conclusion(summary),
    ]
    variants = variant_titles(summary)
    if variants:
        parts += [
            "### Ablations",
            _variant_lines(variants),
            _accuracy_table(summary, ("cdpo", *variants)),
            _difference_table(summary, [f"{name}-cdpo" for name in variants]),
            _difference_table(summary, [f"{name}-grpo" for name in variants]),
        ]
    parts += ["### First-order expectation beside what the runs did", *_phase_parts(summary)]
    return "\n\n".join(parts) + "\n"


def _accuracy_table(summary: Mapping[str, Any], models: Sequence[str]) -> str:
    head = [
        "model",
        "observational",
        "inferential",
        "all",
        "reasons, obs.",
        "reasons, inf.",
        "seeds",
    ]
    rows = []
    for name in models:
        accuracy, reasoning = summary["models"][name], summary["reasoning"][name]
        rows.append(
            [
                _TITLES.get(name, name),
                *(
                    _mean_percent(accuracy.get(kind))
                    for kind in ("observational", "inferential", "all")
                ),
                *(_mean_percent(reasoning.get(kind)) for kind in ("observational", "inferential")),
                str(accuracy["all"]["num_seeds"]),
            ]
        )
    return _table(head, rows)


def _difference_table(summary: Mapping[str, Any], pairs: Sequence[str]) -> str:
    head = ["difference", "type", "mean", "95 % over seeds", "seeds +/−", "by seed"]
    rows = []
    for pair in pairs:
        first, second = split_pair(pair)
        for kind in ("inferential", "observational"):
            found = summary["paired"].get(pair, {}).get(kind)
            if found is not None:
                rows.append(
                    [
                        f"{_TITLES.get(second, second)} − {_TITLES.get(first, first)}",
                        kind,
                        format_points(found["mean"]),
                        _interval(found["ci95"]),
                        f"{found['num_positive']}/{found['num_negative']}",
                        ", ".join(format_points(value) for value in found["values"]),
                    ]
                )
    return _table(head, rows)


def _conclusion(summary: Mapping[str, Any]) -> list[str]:
    """The deciding comparisons in words, and how the single seeds fell."""
    sentences = [
        judge_over_seeds(pair, "inferential", summary["paired"][pair].get("inferential"))
        for pair in ("cdpo-grpo", "grpo-base", "cdpo-base")
    ]
    verdicts = ", ".join(f"{seed} {verdict}" for seed, verdict in summary["verdicts"].items())
    return [" ".join(sentences), f"Verdict of each seed by itself: {verdicts}."]


def _variant_lines(variants: Mapping[str, str]) -> str:
    return "\n".join(f"* `{name}`: {title}" for name, title in variants.items())


def _phase_parts(summary: Mapping[str, Any]) -> list[str]:
    points = {seed: found for seed, found in summary["phase"].items() if found is not None}
    if not points:
        return ["The base model did not show both strategies."]
    head = ["seed", "describing right", "reasoning right", "reasons", "observational"]
    head += ["GRPO expected", "GRPO did", "CDPO expected", "CDPO did"]
    rows = [_phase_row(summary, seed, found) for seed, found in points.items()]
    point = _mean_point(list(points.values()))
    boundary = critical_accuracy(point)
    where = "nowhere" if boundary is None else f"at {format_percent(boundary)}"
    return [
        "Describing and reasoning: right on observational / inferential questions in the base "
        "model. Expected: drift of the strategy logit per group of 8; did: change of the share of "
        "reasoning completions, in points.",
        _table(head, rows),
        f"With the mean of these base models plain GRPO's drift changes sign {where} of reasoning "
        "accuracy. Drift by reasoning accuracy (equal on both types) and share of observational "
        "questions, plain GRPO:",
        phase_table(point, 0.0, _ACCURACIES, _SHARES),
        *_repelled_tables(summary, point),
    ]


def _repelled_tables(summary: Mapping[str, Any], point: PhasePoint) -> list[str]:
    betas = sorted({found["beta"] for found in summary["settings"].values()})
    parts = []
    for beta in betas:
        parts += [f"Beta {format_number(beta)}:".replace("-", "−")]
        parts += [phase_table(point, beta, _ACCURACIES, _SHARES)]
    return parts


def _phase_row(summary: Mapping[str, Any], seed: str, found: Mapping[str, Any]) -> list[str]:
    number = [str(one) for one in summary["seeds"]].index(seed)
    cells = [
        seed,
        _both(found["describe"]),
        _both(found["reason"]),
        format_percent(found["reason_share"], 0),
        format_percent(found["observational_frac"], 0),
    ]
    for model in ("grpo", "cdpo"):
        changes = summary["reasoning_paired"][f"{model}-base"]["all"]["values"]
        cells += [f"{found['expected_drift'][model]:+.3f}".replace("-", "−")]
        cells += [format_points(changes[number])]
    return cells


def _mean_point(found: Sequence[Mapping[str, Any]]) -> PhasePoint:
    def mean(*path: str) -> float:
        values = [one[path[0]] if len(path) == 1 else one[path[0]][path[1]] for one in found]
        return float(sum(values) / len(values))

    return PhasePoint(
        reason=StrategyOdds(mean("reason", "observational"), mean("reason", "inferential")),
        describe=StrategyOdds(mean("describe", "observational"), mean("describe", "inferential")),
        observational_frac=mean("observational_frac"),
        reason_share=mean("reason_share"),
        bias_reason_share=mean("bias_reason_share"),
    )


def _both(odds: Mapping[str, float]) -> str:
    return f"{format_percent(odds['observational'], 0)} / {format_percent(odds['inferential'], 0)}"


def _mean_percent(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return MISSING
    if found["ci95"] is None:
        return format_percent(found["mean"])
    low, high = (format_percent(min(1.0, max(0.0, end))) for end in found["ci95"])
    return f"{format_percent(found['mean'])} [{low}, {high}]"


def _interval(ci95: Sequence[float] | None) -> str:
    return MISSING if ci95 is None else f"{format_points(ci95[0])} to {format_points(ci95[1])}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
