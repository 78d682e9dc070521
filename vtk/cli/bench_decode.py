"""`vtk bench decode`: how long a clip takes from file to frames."""

from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.cli.options import Json
from vtk.cli.progress import show_progress
from vtk.format import format_bytes, format_number

_NUM_KINDS = 2


def decode(
    clips: Annotated[int, typer.Option("--clips", min=1, help="Clips of each kind.")] = 3,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Measured rounds.")] = 9,
    as_json: Json = False,
) -> None:
    """Time every decoder and both caches against qwen-vl-utils; about a minute on a CPU.

    The clips are rendered here. Nothing is timed before all ways gave the same frames. Times are
    of the processor, so that other programs do not count; --json has wall times too.
    """
    from vtk.bench.decoding import bench_decoding

    console = Console(as_json)
    with show_progress(console, "Decoding", _NUM_KINDS * rounds, "rounds") as progress:
        document = bench_decoding(clips, rounds, on_round=progress.advance)
    machine = document["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in document["decoders"].items())
    console.say(f"{machine['device']}, {machine['num_threads']} torch thread(s); {versions}")
    for name, reason in document["absent"].items():
        console.note(f"{name} is not measured: {reason}")
    for name, found in document["workloads"].items():
        _show(console, name, found, document["targets"])
    console.note(
        f"qwen-vl-utils decodes with {document['baseline_decoder']} here and resizes in float32."
    )
    console.document(document)


def _show(console: Console, name: str, found: dict[str, Any], targets: dict[str, float]) -> None:
    """One kind of clip: what it is, a line for each way, and how the targets were met."""
    num_frames, _, height_px, width_px = found["frames_FCHW"]
    title = (
        f"{name}: {num_frames} of {found['num_source_frames']} frames, "
        f"{found['width_px']}x{found['height_px']} to {width_px}x{height_px} px, "
        f"{format_bytes(found['mean_bytes'])} a clip"
    )
    rows = [
        (
            way,
            format_number(facts["cpu_ms"], 3),
            format_number(facts["wall_ms"], 3),
            _times(facts["ratio"]),
        )
        for way, facts in found["variants"].items()
    ]
    console.table(("way", "cpu ms", "wall ms", "times as fast [least, most]"), rows, title=title)
    resize = found["resize"]
    console.say(
        f"Resizing alone: uint8 {format_number(resize['uint8_ms'], 3)} ms, float32 "
        f"{format_number(resize['float32_ms'], 3)} ms, {_times(resize['ratio'])}; resized frames "
        f"differ by {found['mean_difference_levels']:.2f} of 255 in the mean."
    )
    for kind, target in targets.items():
        ratio = found["ratio"][kind]["median"]
        way = found["chosen_decoder"] if kind == "uncached" else "disk cache"
        verdict = "met" if ratio >= target else "missed"
        console.say(f"Target for {way}: {target:g} times; {verdict} with {ratio:.1f}.")


def _times(ratio: dict[str, float]) -> str:
    median, least, most = (format_number(ratio[name], 3) for name in ("median", "min", "max"))
    return f"{median} [{least}, {most}]"
