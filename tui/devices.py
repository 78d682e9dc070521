"""Memory, utilization and power of each device; without a GPU why, and what the process holds."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Any, Final

from textual.content import Content

from tui.literal import joined, lines, literal
from vtk.format import MISSING, format_age_s, format_number, visible_text
from vtk.runs.events import is_finite
from vtk.runs.snapshot import GpuReport

_FULL_SHARE: Final = 0.92
_STALE_AFTER_S: Final = 120.0
_WIDE: Final = 50


def devices_content(
    report: GpuReport, now: float, width: int, height: int, ascii_only: bool
) -> Content:
    """The panel; devices that have no room are counted, not left out silently.

    Args:
        report: The devices as last reported.
        now: UTC seconds, for the age of the report.
        width: Cells in a line.
        height: Lines.
        ascii_only: Use ASCII characters only.
    """
    title = joined(literal("GPU memory", "bold"), literal(_age(report, now), "$foreground-muted"))
    if not report.devices:
        return lines([title, *_without_gpu(report, width, height)], width)
    per_device = 2 if width < _WIDE else 1
    room = max(1, (height - 1) // per_device)
    shown = report.devices if len(report.devices) <= room else report.devices[: max(1, room - 1)]
    rows = [line for device in shown for line in _device(device, report, width, ascii_only)]
    hidden = len(report.devices) - len(shown)
    if hidden:
        rows.append(literal(f"and {hidden} more devices", "$foreground-muted"))
    return lines([title, *rows], width)


def _without_gpu(report: GpuReport, width: int, height: int) -> list[Content]:
    reason = report.absent_reason or "no reason given"
    now, peak = report.process_memory_gib, report.peak_process_memory_gib
    held = f"process memory {format_number(now, 3)} GiB, peak {format_number(peak, 3)} GiB"
    if len(held) > width:
        held = f"process {format_number(now, 3)} peak {format_number(peak, 3)} GiB"
    if now is None:
        held = "process memory not reported yet"
    shown = visible_text(f"no GPU: {reason}", 400)
    room = max(1, height - 2)
    rows = wrap(shown, width, max_lines=room, placeholder=" …") if room > 1 else [shown]
    return [literal(held), *(literal(row, "$foreground-muted") for row in rows)]


def _device(
    device: Mapping[str, Any], report: GpuReport, width: int, ascii_only: bool
) -> list[Content]:
    used, total = _number(device, "memory_used_gib"), _number(device, "memory_total_gib")
    peak = report.peak_used_gib.get(str(device.get("index")))
    is_full = used is not None and bool(total) and used / (total or 1.0) > _FULL_SHARE
    memory = f"{_shown(used)} peak {_shown(peak)} of {_shown(total)} GiB"
    work = (
        f"{_shown(_number(device, 'utilization_pct'))}% {_shown(_number(device, 'power_w'))} W "
        f"{_shown(_number(device, 'temperature_c'))} °C"
    )
    name = literal(f"{device.get('index', '?')} ", "bold", 4)
    bar = literal(_bar(used, peak, total, 10 if width < _WIDE else 14, ascii_only) + " ")
    warning = literal(" nearly full" if is_full else "", "bold $error")
    if width < _WIDE:
        return [
            joined(name, literal(memory), warning),
            joined("  ", literal(work, "$foreground-muted")),
        ]
    return [joined(name, bar, literal(memory), warning, literal(f"  {work}", "$foreground-muted"))]


def _bar(
    used: float | None, peak: float | None, total: float | None, width: int, ascii_only: bool
) -> str:
    if used is None or not total:
        return "".ljust(width)
    full, mark, rest = ("#", "|", ".") if ascii_only else ("█", "┃", "░")
    cells = min(width, round(used / total * width))
    chars = full * cells + rest * (width - cells)
    at = min(width - 1, round((peak or used) / total * width))
    return chars[:at] + mark + chars[at + 1 :]


def _age(report: GpuReport, now: float) -> str:
    if report.time is None or now - report.time < _STALE_AFTER_S:
        return ""
    return f" {format_age_s(now - report.time)} ago"


def _number(device: Mapping[str, Any], name: str) -> float | None:
    value = device.get(name)
    return float(value) if is_finite(value) else None


def _shown(value: float | None) -> str:
    return MISSING if value is None else format_number(value, 3)
