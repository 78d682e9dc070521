"""Alerts in one line: how many things happened, and the newest."""

from textual.content import Content

from tui.episodes import Episode, episodes_of
from tui.literal import joined, literal
from tui.source import Snapshot
from vtk.format import format_age_s


def alert_line(snapshot: Snapshot) -> Content:
    """How many episodes there are, and the newest."""
    episodes = episodes_of(snapshot)
    if not episodes:
        return literal("no alerts", "$foreground-muted")
    newest = episodes[-1]
    words = "alert" if len(episodes) == 1 else "alerts"
    return joined(
        literal(f"! {len(episodes)} {words}  ", "bold $error"),
        literal(f"step {newest.steps} {newest.first.rule}{times(newest)}: ", "$error", 80),
        literal(newest.last.message),
        literal(f"  {format_age_s(snapshot.now - newest.last.time)} ago", "$foreground-muted"),
    )


def times(episode: Episode) -> str:
    """How often the rule fired, where that is more than once."""
    return f" x{len(episode.alerts)}" if len(episode.alerts) > 1 else ""
