"""The line of keys: whole keys only, at every size and on every screen, and the help among them."""

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from tests.tui.conftest import Drive, held, until
from tui.app import SCREENS, DashboardApp
from tui.widgets.keys_footer import cells_of
from vtk.runs.store import RunPaths


def footer_keys(app: DashboardApp) -> list[FooterKey]:
    return list(app.screen.query(FooterKey))


def check(app: DashboardApp) -> None:
    """No key overlaps another one or the edge, and the screen's last line shows each in full."""
    keys = sorted(footer_keys(app), key=lambda key: key.region.x)
    line = app.screen_text().splitlines()[-1]
    assert len(keys) >= 3
    assert {"help", "command_palette"} <= {key.action.removeprefix("app.") for key in keys}
    ends = [key.region.x for key in keys[1:]] + [app.size.width]
    for key, end in zip(keys, ends, strict=True):
        assert key.region.right <= end, (key.description, line)
        assert key.region.width <= cells_of(key)
        assert f"{key.key_display} {key.description}" in line
    assert cell_len(line) <= app.size.width


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_no_key_is_cut(drive: Drive, recording: RunPaths, size: tuple[int, int]) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        for entry in SCREENS:
            app.open(entry.name)
            await until(pilot, lambda: len(footer_keys(app)) > 2)
            await pilot.pause()
            check(app)
        if size[0] == 120:
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: max(k.region.right for k in footer_keys(app)) <= 60)
            check(app)
            await pilot.resize_terminal(200, 60)
            await until(pilot, lambda: "Control" in app.screen_text().splitlines()[-1])

    drive(look, source=held(recording), size=size)
