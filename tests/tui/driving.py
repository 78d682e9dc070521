"""A host for one pane, and what a test does with it: press, wait until, read the screen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Footer

Scenario = Callable[["Host", Pilot[None]], Awaitable[None]]
_PATIENCE_S = 20.0
_LOOK_S = 0.02


class Host(App[None]):
    """Shows one pane above the keys, as a screen of the dashboard does."""

    def __init__(self, make: Callable[[], Widget]) -> None:
        super().__init__()
        self.make = make

    def compose(self) -> ComposeResult:
        yield self.make()
        yield Footer()


def drive(make: Callable[[], Widget], size: tuple[int, int], scenario: Scenario) -> None:
    """Run a scenario on a terminal of so many columns and rows."""

    async def run() -> None:
        host = Host(make)
        async with host.run_test(size=size) as pilot:
            await scenario(host, pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], happened: Callable[[], bool]) -> None:
    """Wait until something has happened.

    Raises:
        AssertionError: It did not, and this is what the screen showed.
    """
    waited_s = 0.0
    while not happened():
        assert waited_s < _PATIENCE_S, shown(pilot.app)
        await pilot.pause(_LOOK_S)
        waited_s += _LOOK_S


async def until_shown(pilot: Pilot[None], *texts: str) -> str:
    """Wait until all texts are on the screen, and return all that is."""
    await until(pilot, lambda: all(text in shown(pilot.app) for text in texts))
    return shown(pilot.app)


def shown(app: App[Any]) -> str:
    """What stands on the screen, a line each."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)
