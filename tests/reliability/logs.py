"""L1, L3, L4, L5: a log that was cut, damaged, written by another version or by a jumping clock."""

import random
import time
from itertools import pairwise
from pathlib import Path

from tests.reliability.figures import Figures
from vtk.runs.events import EVENT_SCHEMA_VERSION, encode_line
from vtk.runs.reader import EventTail
from vtk.runs.state import read_state
from vtk.runs.store import create_run
from vtk.runs.writer import EventWriter


def _lines(num: int) -> list[bytes]:
    made = [{"type": "run_started"}] + [
        {"type": "step", "step": n, "metrics": {"loss/total": 1 / n, "€": n}} for n in range(1, num)
    ]
    return [
        encode_line({"v": 1, "seq": n, "time": 1e9 + n, "mono": n, "attempt": 1} | event)
        for n, event in enumerate(made)
    ]


def cut_at_every_byte(num_events: int, folder: Path) -> Figures:
    """Cut a log at every byte; then our writer goes on, and a plain append."""
    result = Figures("L1", "A torn log loses at most the event being written")
    run, content = create_run(folder, "grpo", "torn"), b"".join(_lines(num_events))
    every = max(1, len(content) // 4000)
    num_naive = num_cuts = most_lost = 0
    after = encode_line(
        {"v": 1, "seq": 10**6, "time": 2e9, "mono": 1, "type": "phase", "name": "a"}
    )
    for cut in range(0, len(content) + 1, every):
        num_cuts += 1
        run.events.write_bytes(content[:cut] + after)
        num_naive += not any(event.get("name") == "a" for event in EventTail(run.events).poll())
        run.events.write_bytes(content[:cut])
        with EventWriter(run, 0, heartbeat_interval_s=3600) as writer:
            writer.phase("after")
        events = EventTail(run.events).poll()
        result.check(events[-1].get("name") == "after", f"cut at {cut}: the next event is lost")
        kept = sum(event["type"] in ("run_started", "step") for event in events)
        most_lost = max(most_lost, content[:cut].count(b"\n") - kept)
    result.check(most_lost <= 0, f"{most_lost} whole events lost")
    result.count = f"{num_cuts} cuts of a log of {num_events} events, every {every} bytes"
    result.figures = [
        "besides the event that was cut, 0 lost; the first event after the crash lost: 0",
        f"appending without care would have lost that one at {100 * num_naive / num_cuts:.1f} % "
        "of the cuts",
    ]
    return result


def damage_inside(num_places: int, folder: Path, seed: int = 0) -> Figures:
    """Zero, flip and insert bytes anywhere."""
    result = Figures("L3", "Damage in the middle is contained")
    whole, draw, path = _lines(60), random.Random(seed), folder / "events.jsonl"
    content = b"".join(whole)
    num_other = num_read = num_counted = 0
    for place in range(num_places):
        data, at = bytearray(content), draw.randrange(len(content) - 8)
        length = draw.randint(1, 8)
        match place % 3:
            case 0:
                data[at : at + length] = bytes(length)
            case 1:
                data[at] ^= 1 << draw.randrange(8)
                length = 1
            case _:
                data[at:at] = draw.randbytes(length)
        path.write_bytes(data)
        tail = EventTail(path)
        found = {event["seq"] for event in tail.poll() if isinstance(event.get("seq"), int)}
        first = content[:at].count(b"\n")
        last = content[: at + length].count(b"\n")
        others = set(range(60)) - set(range(first, last + 2))
        num_other, num_read = num_other + len(others), num_read + len(others & found)
        result.check(others <= found, f"place {place}: events {sorted(others - found)} lost")
        num_counted += tail.num_unreadable > 0
    result.count = f"{num_places} places zeroed, flipped or filled in"
    result.figures = [
        f"{num_read} of {num_other} events that were not touched are read",
        f"{num_counted} damaged logs have lines that are counted and shown; in the others the "
        "damage still is an event",
    ]
    return result


def old_and_future(folder: Path) -> Figures:
    """Every released schema, the next ones, unknown kinds and further fields."""
    result = Figures("L4", "Old and future logs open")
    cases: dict[str, list[bytes]] = {f"schema {EVENT_SCHEMA_VERSION}": _lines(5)}
    for version in (EVENT_SCHEMA_VERSION + 1, 99):
        extra = encode_line(
            {"v": version, "seq": 5, "time": 1e9 + 9, "mono": 9, "attempt": 1, "type": "dream",
             "new": {"x": [1]}}
        )  # fmt: skip
        cases[f"schema {version}, an unknown kind, further fields"] = [*_lines(5), extra]
    for name, lines in cases.items():
        run = create_run(folder, "grpo", f"case{len(result.figures)}")
        run.events.write_bytes(b"".join(lines))
        state = read_state(run)
        is_newer = "99" in name or str(EVENT_SCHEMA_VERSION + 1) in name
        has_notice = any("newer vtk" in problem for problem in state.problems)
        result.check(state.step == 4 and has_notice == is_newer, f"{name}: {state.problems}")
        result.figures.append(f"{name}: opened{' with a notice' if has_notice else ''}")
    result.count = f"{len(cases)} logs"
    return result


def clocks_that_jump(folder: Path) -> Figures:
    """The wall clock goes back and forth by an hour and a day between events."""
    result = Figures("L5", "Clock jumps do not break order or rates")
    run, jumps = create_run(folder, "grpo", "jumping"), (0, 86400, -86400, 3600, -3600, 0)
    jump_s = 0
    with EventWriter(run, heartbeat_interval_s=3600, now=lambda: time.time() + jump_s) as writer:
        for step, jump_s in enumerate(jumps * 20, start=1):  # noqa: B007 - the clock reads it
            writer.step(step, {"perf/step_s": 1.0})
        writer.finish("finished")
    events = EventTail(run.events).poll()
    seqs = [event["seq"] for event in events]
    gaps = [b["mono"] - a["mono"] for a, b in pairwise(events)]
    wall = [b["time"] - a["time"] for a, b in pairwise(events)]
    result.check(seqs == sorted(set(seqs)), "seq is not the order")
    result.check(min(gaps) >= 0, "the monotonic clock goes back")
    result.check(min(wall) < -80_000, "the wall clock did not jump in this measurement")
    state = read_state(run)
    result.check(state.step == len(jumps) * 20, f"ends at step {state.step}")
    result.check(state.status == "finished", f"told as {state.status}")
    result.count = f"{len(events)} events over {len(jumps) * 20} jumps of the wall clock"
    result.figures = [f"{sum(gap < 0 for gap in gaps)} negative spans; order by seq 100 %"]
    return result
