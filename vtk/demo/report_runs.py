"""The report's pictures of training: curves, strategies, and the phase diagram."""

from collections.abc import Mapping
from typing import Any, Final

from vtk.demo.curve_chart import Curve, CurveChart, draw_curves
from vtk.demo.curves import RunCurves
from vtk.demo.phase_chart import draw_phase
from vtk.demo.report_results import css_of, swatch, title_of
from vtk.demo.results import base_point
from vtk.demo.share_chart import STRATEGIES, draw_shares
from vtk.svg import element, safe

_CHARTS: Final = (
    ("reward/mean", "Reward", "accuracy + format", False, None),
    ("kl/signed", "Signed KL to the bias model", "nats per token", False, 0.0),
    ("entropy/mean", "Entropy", "nats per token", False, None),
    ("acc/observational", "Right, observational (training)", "", True, None),
    ("acc/inferential", "Right, inferential (training)", "", True, None),
    ("completion/length_tokens", "Completion length", "tokens", False, None),
)
_LAST_CHART: Final = ("optim/grad_norm", "Gradient norm", "before clipping", False, None)
_SHOWN_BETAS: Final = (-0.01, -0.05, -0.1)
_NOTES: Final = {"kl/signed": "no run has a reference model"}


def curve_charts(curves: Mapping[str, RunCurves]) -> str:
    """Small charts, each with one line per run."""
    charts = [_chart(curves, *which) for which in _CHARTS]
    charts += [
        CurveChart(
            f"Reasoning, {kind} (training)",
            [
                Curve(title_of(name), css_of(name), run.reasoning.get(kind, ()))
                for name, run in curves.items()
            ],
            is_percent=True,
        )
        for kind in ("observational", "inferential")
    ]
    charts.append(_chart(curves, *_LAST_CHART))
    cards = [element("div", {"class": "card"}, draw_curves(chart)) for chart in charts]
    return model_legend(list(curves)) + element("div", {"class": "row"}, *cards)


def _chart(
    curves: Mapping[str, RunCurves],
    metric: str,
    heading: str,
    unit: str,
    is_percent: bool,
    level: float | None,
) -> CurveChart:
    lines = [
        Curve(title_of(name), css_of(name), run.metrics.get(metric, ()))
        for name, run in curves.items()
    ]
    return CurveChart(heading, lines, unit, is_percent, level, _NOTES.get(metric, "not measured"))


def model_legend(models: list[str]) -> str:
    """Colours and names of models."""
    entries = [
        element("span", {}, swatch(css_of(model)), safe(title_of(model))) for model in models
    ]
    return element("div", {"class": "legend"}, *entries)


def share_charts(document: Mapping[str, Any]) -> str:
    """Which strategy the held-out completions follow, by question type."""
    cards = []
    for kind in ("inferential", "observational"):
        rows = [
            (title_of(model), found[kind])
            for model, found in document["strategies"].items()
            if found.get(kind)
        ]
        if rows:
            chart = draw_shares(f"{kind.capitalize()} questions", rows)
            cards.append(element("div", {"class": "card"}, chart))
    if not cards:
        return element("p", {}, "No completion shows either strategy.")
    legend = [element("span", {}, swatch(name), safe(_STRATEGY_NAMES[name])) for name in STRATEGIES]
    return element("div", {"class": "legend"}, *legend) + element(
        "div", {"class": "row wide"}, *cards
    )


_STRATEGY_NAMES: Final = {
    "reason": "reasons: works out what would happen without the object",
    "describe": "describes: lists what the clip shows (the shortcut)",
    "neither": "neither",
}


def phase_panels(document: Mapping[str, Any]) -> str:
    """The phase diagram with the base model in it; a sentence where it could not be measured."""
    point = base_point(document)
    if point is None:
        return element("p", {}, "The base model did not show both strategies.")
    betas = sorted({0.0, *_SHOWN_BETAS, *document["phase"]["betas"].values()}, reverse=True)
    legend = element(
        "div",
        {"class": "legend"},
        element("span", {}, swatch("reason"), "drifts to reasoning"),
        element("span", {}, swatch("describe"), "drifts to describing"),
        element("span", {}, "circle: this demo's base model and training mixture"),
    )
    panels = draw_phase(point, betas, [point])
    return legend + element("div", {"class": "card"}, element("div", {"class": "panels"}, panels))
