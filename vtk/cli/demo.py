"""`vtk demo`: the whole method on this machine, as a script of the real commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.errors import ConfigError
from vtk.format import MISSING, format_count, format_duration_s, format_percent
from vtk.hints import folder_options

if TYPE_CHECKING:
    from vtk.demo.make import Circumstances

_NAMES: Final = {"base": "base", "bias": "bias", "grpo": "GRPO", "cdpo": "CDPO"}
_TYPES: Final = ("observational", "inferential", "all")


Quick = Annotated[
    bool, typer.Option("--quick", help="A first look: fewer clips and steps, minutes less.")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Decides clips, training and answers.", show_default="0"),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", metavar="N,N", help="Several seeds, such as 0,1,2: one demo each, then means."
    ),
]
Ablations = Annotated[
    bool,
    typer.Option(
        "--ablations",
        help="Also train CDPO repelled from itself, attracted, with other betas, hinge, npo.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder of everything that is made.")
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help='What is trained: "tiny" or a model\'s folder.'),
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        max=2,
        help="Commands at once.",
        show_default="2 where there are 2 cores",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Start anew; what is in the folder is moved aside.")
]
_DEFAULT_OUT: Final = Path("demo-out")


def demo(
    quick: Quick = False,
    seed: Seed = None,
    seeds: Seeds = None,
    ablations: Ablations = False,
    out: Out = _DEFAULT_OUT,
    model: Model = "tiny",
    processes: NumProcesses = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Run the whole method on this machine; end in a table and a page.

    It makes clips, trains the bias model, plain GRPO and CDPO, and compares them. Every command
    is shown as you would type it. Ctrl-C stops cleanly; the same command goes on.
    """
    from vtk.cli.demo_view import narrate
    from vtk.demo.make import Circumstances
    from vtk.demo.pipeline import num_free_lanes

    console = Console(as_json)
    if seed is not None and seeds is not None:
        raise ConfigError("--seed and --seeds exclude each other", "Put all of them into --seeds.")
    chosen = None if seeds is None else _parse_seeds(seeds)
    with narrate(console, is_study=chosen is not None) as watcher:
        how = Circumstances(out, processes or num_free_lanes(), force, watcher)
        if chosen is None:
            document = _make_one(how, quick, seed or 0, model, ablations, console)
        else:
            document = _make_several(how, chosen, quick, model, ablations)
    if chosen is None:
        _show_results(console, document)
        console.say(f"Report: {out / 'report.html'}", style="bold")
        folders = folder_options(runs_dir=out / "runs")
        console.next_command(f"vtk dashboard cdpo{folders}", "look at a run")
    else:
        console.say(document["markdown"])
        console.say(f"Tables: {out / 'study.md'}", style="bold")
    console.document(document)


def _make_one(
    how: "Circumstances", quick: bool, seed: int, model: str, ablations: bool, console: Console
) -> dict[str, Any]:
    from vtk.demo.folder import DemoFolder
    from vtk.demo.make import make_demo
    from vtk.demo.pipeline import shared_environment
    from vtk.demo.plan import demo_settings

    exports = shared_environment(DemoFolder(how.out))
    console.note("$ export " + " ".join(f"{name}={value}" for name, value in exports.items()), "")
    settings = demo_settings(is_quick=quick, seed=seed, model=model, has_variants=ablations)
    return make_demo(settings, how)


def _make_several(
    how: "Circumstances", seeds: list[int], quick: bool, model: str, ablations: bool
) -> dict[str, Any]:
    from vtk.demo.make import make_study

    return make_study(seeds, how, is_quick=quick, model=model, has_variants=ablations)


def _parse_seeds(text: str) -> list[int]:
    """The seeds of "0,1,2".

    Raises:
        ConfigError: It is no list of different whole numbers.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(
            f"--seeds {text!r} is no list of whole numbers", "For example: --seeds 0,1,2"
        )
    found = [int(word) for word in words]
    if len(set(found)) < len(found):
        raise ConfigError(f"--seeds {text!r} names a seed twice")
    return found


def _show_results(console: Console, document: dict[str, Any]) -> None:
    """The table, then what was found."""
    findings, questions = document["findings"], document["questions"]
    counts = {name: document["models"]["base"][name]["n"] for name in _TYPES}
    columns = ["model", *_TYPES, "reasons"]
    rows = [
        [
            _NAMES.get(name, name),
            *(_accuracy(found[kind]) for kind in _TYPES),
            _share(document, name),
        ]
        for name, found in document["models"].items()
    ]
    asked = format_count(questions["num_held_out"])
    kinds = ", ".join(f"{format_count(n)} {name}" for name, n in counts.items() if name != "all")
    console.table(columns, rows, f"{asked} held-out questions ({kinds}), strictly right:")
    console.paragraph(
        "In brackets 95 % intervals by clip. reasons: share of completions on inferential "
        "questions that reason.",
        style="dim",
    )
    console.say()
    console.paragraph(f"{findings['headline']} [{findings['verdict']}]", style="bold")
    console.paragraph(findings["decisive"])
    console.say()
    for sentence in findings["details"]:
        console.paragraph(sentence, bullet="• ")
    console.say()
    for sentence in findings["caveats"]:
        console.paragraph(sentence, style="dim")
    took = format_duration_s(document["wall_s"])
    console.say(f"Computing time of all commands together: {took}.", style="dim")


def _accuracy(found: dict[str, Any]) -> str:
    if not found["n"]:
        return MISSING
    low, high = found["ci95"]
    return f"{format_percent(found['strict'])} [{100 * low:.1f}, {100 * high:.1f}]"


def _share(document: dict[str, Any], model: str) -> str:
    found = document["reasoning"]["models"][model].get("inferential")
    return MISSING if found is None else format_percent(found["share"])
