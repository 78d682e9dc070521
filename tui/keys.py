"""Every action of the dashboard in one table: help, footer and command palette are made from it.

`where` is "app" for what works on every screen, "charts" for what works where charts are; "list",
"group" and "text" are parts of the samples. Dialogs alone have keys of their own, on their buttons.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from textual.binding import Binding

Where = Literal["app", "charts", "samples", "list", "group", "text", "compare", "replay"]
HEADS: Final[dict[Where, str]] = {
    "app": "Everywhere",
    "charts": "Charts",
    "samples": "Samples",
    "list": "Samples, in the list",
    "group": "Samples, in the group",
    "text": "Samples, in the whole text",
    "compare": "Compare",
    "replay": "Replay",
}
"""Each place with its heading in the help, in that order."""
_UNFIT: Final = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True)
class Key:
    """One action: its keys (comma between alternatives), its name, what it does, where it works.

    Attributes:
        keys: As Textual names them.
        action: The method `action_<name>` that does it.
        label: For the footer.
        help: A sentence for the help and the palette.
        where: Where it works.
        in_footer: Whether the footer has room for it.
        display: How the keys are shown; default as they are named.
        changes_run: It asks the run for something, so that read-only switches it off.
    """

    keys: str
    action: str
    label: str
    help: str
    where: Where = "app"
    in_footer: bool = False
    display: str | None = None
    changes_run: bool = False

    def binding(self) -> Binding:
        """For Textual."""
        return Binding(
            self.keys, self.action, self.label, show=self.in_footer, key_display=self.display,
            id=self.id,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """What a file of keys calls the action, within its place."""
        return _UNFIT.sub("-", self.label.lower()).strip("-")

    @property
    def id(self) -> str:
        """The only one of its kind: place and name."""
        return f"{self.where}.{self.name}"

    @property
    def shown(self) -> str:
        """The keys for people."""
        return self.display or self.keys.replace(",", " or ")


KEYS: Final[tuple[Key, ...]] = (
    Key("question_mark,f1", "help", "Help", "Show what every key does.", in_footer=True,
        display="?"),
    Key("q", "quit", "Quit", "Leave the dashboard; the run goes on. Ctrl-C does too, anywhere.",
        in_footer=True),
    Key("ctrl+z", "suspend_process", "Suspend", "Go to the shell; fg comes back.", display="^z"),
    Key("ctrl+p", "command_palette", "Palette", "Find any action by name.", display="^p"),
    Key("t", "next_theme", "Theme", "Change to the next theme: dark, light, colour-blind safe."),
    Key("e", "export", "Export", "Write this view as SVG, PNG and text, its curves as CSV."),
    Key("Y", "copy_command", "Copy command", "Copy the command that opens this view."),
    Key("o,ctrl+o", "jump_to", "Jump", "Show a letter on every panel; the letter goes to it.",
        display="o"),
    Key("n", "newer_run", "Newer run", "Open the run that was started since."),
    Key("c", "control", "Control", "Ask the run for something: checkpoint, pause, stop, evaluate, "
        "beta.", in_footer=True, changes_run=True),
    Key("r", "replay", "Replay", "Play the run from its beginning, or go back to its present."),
    Key("left", "cursor(-1)", "Crosshair left", "Move the crosshair to earlier steps.", "charts",
        display="←"),
    Key("right", "cursor(1)", "Crosshair right", "Move the crosshair to later steps.", "charts",
        display="→"),
    Key("escape", "no_cursor", "No crosshair", "Take the crosshair away.", "charts"),
    Key("plus,equals_sign", "zoom(0.5)", "Zoom in", "Show half as many steps.", "charts",
        display="+"),
    Key("minus", "zoom(2)", "Zoom out", "Show twice as many steps.", "charts", display="-"),
    Key("shift+left,h", "pan(-0.25)", "Earlier", "Move the view to earlier steps.", "charts",
        display="⇧← or h"),
    Key("shift+right,l", "pan(0.25)", "Later", "Move the view to later steps.", "charts",
        display="⇧→ or l"),
    Key("shift+up,K", "zoom_values(0.5)", "Values in", "Show half the range of values.", "charts",
        display="⇧↑ or K"),
    Key("shift+down,J", "zoom_values(2)", "Values out", "Show twice the range of values.", "charts",
        display="⇧↓ or J"),
    Key("0", "reset_zoom", "All steps", "Show all steps and all values.", "charts"),
    Key("s", "smooth", "Smooth", "Change how much curves are smoothed.", "charts", in_footer=True),
    Key("y", "scale", "Scale", "Change the scale of the charts: as made, linear, log, symlog.",
        "charts", in_footer=True),
    Key("slash", "search", "Search", "Search questions and completions.", "samples",
        in_footer=True, display="/"),
    Key("s", "next_order", "Sort", "Sort by what comes next: newest, most repelled, …", "samples",
        in_footer=True),
    Key("i", "next_type", "Type", "Show the next question type only.", "samples", in_footer=True),
    Key("w", "next_answers", "Right/wrong", "Show groups by how many answers are right.", "samples",
        in_footer=True),
    Key("g", "jump", "Step", "Go to the groups of a step.", "samples", in_footer=True),
    Key("right_square_bracket", "step_group(1)", "Next group", "Show the next group.", "samples",
        display="]"),
    Key("left_square_bracket", "step_group(-1)", "Group before", "Show the group before.",
        "samples", display="["),
    Key("f", "next_frames", "Frames", "Show frames in a strip, larger, or not.", "samples",
        in_footer=True),
    Key("v", "next_tint", "KL tint", "Tint tokens by colour, by underlines, or not.", "samples",
        in_footer=True),
    Key("y", "copy_sample", "Copy", "Copy the chosen completion with its question.", "samples",
        in_footer=True),
    Key("Y", "copy_command", "Copy command", "Copy the command that makes the sample again.",
        "samples"),
    Key("escape", "back", "Back", "Go from the group back to the list.", "samples"),
    Key("up,k", "move(-1)", "Up", "Go to the group above.", "list", display="↑ or k"),
    Key("down,j", "move(1)", "Down", "Go to the group below.", "list", display="↓ or j"),
    Key("pageup", "page(-1)", "Page up", "Go a page up.", "list"),
    Key("pagedown", "page(1)", "Page down", "Go a page down.", "list"),
    Key("home", "move_to(0)", "First", "Go to the first group.", "list"),
    Key("end", "move_to(-1)", "Last", "Go to the last group.", "list"),
    Key("enter", "open", "Open", "Go into the group.", "list", in_footer=True,
        display="Enter"),
    Key("left,h", "choose(-1)", "Completion before", "Choose the completion to the left.", "group",
        display="← or h"),
    Key("right,l", "choose(1)", "Next completion", "Choose the completion to the right.", "group",
        in_footer=True, display="→"),
    Key("enter", "open", "Whole text", "Open the chosen completion in full.", "group",
        in_footer=True, display="Enter"),
    Key("escape,q", "app.pop_screen", "Back", "Go back to the group.", "text", in_footer=True),
    Key("y", "copy", "Copy sample", "Copy the completion with its question.", "text",
        in_footer=True),
    Key("b", "pin", "Baseline", "Measure the others against the highlighted run.", "compare",
        in_footer=True),
    Key("m", "next_reading", "Latest/mean", "Show latest values, or means of the last steps.",
        "compare", in_footer=True),
    Key("v", "next_metric(1)", "Metric", "Show the next metric in the chart.", "compare",
        in_footer=True),
    Key("V", "next_metric(-1)", "Metric before", "Show the metric before.", "compare"),
    Key("d", "next_division", "Chart/table", "Show chart and table, the chart alone, or the table.",
        "compare", in_footer=True),
    Key("space", "play", "Play", "Play or hold the replay.", "replay"),
    Key("comma", "seek(-0.05)", "Back", "Go back in the replay.", "replay", display=","),
    Key("full_stop", "seek(0.05)", "Forth", "Go forth in the replay.", "replay", display="."),
    Key("less_than_sign", "speed(0.5)", "Slower", "Play at half the speed.", "replay", display="<"),
    Key("greater_than_sign", "speed(2)", "Faster", "Play at twice the speed.", "replay",
        display=">"),
    Key("a", "next_alert", "Next alert", "Go to the next alert.", "replay"),
    Key("A", "previous_alert", "Alert before", "Go to the alert before.", "replay"),
)  # fmt: skip


def bindings(*places: Where) -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """The bindings of some places."""
    return [key.binding() for key in KEYS if key.where in places]


def with_screens(screens: Sequence[tuple[str, str, str]]) -> tuple[Key, ...]:
    """The table with a key for each screen before it.

    Args:
        screens: Key, name and title of each.
    """
    opening = [
        Key(key, f"open('{name}')", f"Open {title}", f"Open {title}.")
        for key, name, title in screens
    ]
    return (*opening, *KEYS)
