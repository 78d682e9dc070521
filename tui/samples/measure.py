"""How long a run's completions take to open: what `vtk bench samples` times."""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

from textual.app import App

from tui.samples.browser import SampleBrowser
from tui.samples.pane import SamplesPane
from tui.samples.query import Query
from vtk.runs.store import RunPaths

_PAGE_GROUPS = 40
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True)
class Opening:
    """What opening a run takes: waiting in seconds of the clock, work in seconds of the processor.

    Attributes:
        num_completions: Of the run.
        screen_s: Clock, from an empty application to the screen with list and completions drawn.
        index_s: Processor, from nothing to the list of all groups.
        page_s: Processor, from there to a page of groups with their texts.
        sort_s: Processor, reading all files once to sort by something else, behind the screen.
        sort_again_s: Processor, sorting by yet something else.
    """

    num_completions: int
    screen_s: float
    index_s: float
    page_s: float
    sort_s: float
    sort_again_s: float

    def as_json(self) -> dict[str, Any]:
        """The seconds as plain data."""
        return asdict(self)


def measure_opening(paths: RunPaths, size: tuple[int, int] = (120, 40)) -> Opening:
    """Open a run's completions as a user does, and look through all of them once.

    Args:
        paths: The run; at least one page of groups.
        size: Columns and rows of the screen.
    """
    screen_s = asyncio.run(_screen_s(paths, size))
    browser = SampleBrowser(paths)
    began_s = time.process_time()
    browser.poll()
    listing = browser.listing(Query())
    listed_s = time.process_time()
    browser.load([listing[line] for line in range(min(_PAGE_GROUPS, len(listing)))])
    loaded_s = time.process_time()
    browser.listing(Query(order="repelled"))
    sorted_s = time.process_time()
    browser.listing(Query(order="spread"))
    return Opening(
        num_completions=browser.num_completions,
        screen_s=screen_s,
        index_s=listed_s - began_s,
        page_s=loaded_s - listed_s,
        sort_s=sorted_s - loaded_s,
        sort_again_s=time.process_time() - sorted_s,
    )


async def _screen_s(paths: RunPaths, size: tuple[int, int]) -> float:
    began_s = time.perf_counter()
    app: App[None] = App()
    async with app.run_test(size=size) as pilot:
        await app.mount(SamplesPane(paths))
        while "> 1 of" not in _shown(app):
            await pilot.pause(_LOOK_S)
        return time.perf_counter() - began_s


def _shown(app: App[None]) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
