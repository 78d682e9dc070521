"""The dashboard behind a page: what it writes goes to the page, and it ends with its server."""

import io
import os
from typing import Final

from textual import work
from typing_extensions import override

from tui.app import DashboardApp
from tui.export import View, zipped

_LOOK_S: Final = 1.0


class DashboardBehindPage(DashboardApp):
    """The dashboard, as one visitor of `tui.web.server` has it."""

    def on_mount(self) -> None:
        """Notice the end of the server even where it had no time to say so."""
        self._server_pid = os.getppid()
        self.set_interval(_LOOK_S, self._leave_if_alone)

    @override
    @work(thread=True)
    def write_view(self, view: View) -> None:
        """Hand the files to the browser: a visitor writes nothing on this machine."""
        files, problem = view.files()
        archive = io.BytesIO(zipped(files))
        self.call_from_thread(
            self.deliver_binary, archive, save_filename=f"{view.name}.zip",
            mime_type="application/zip",
        )  # fmt: skip
        if problem:
            self.call_from_thread(self.say, problem, severity="warning")

    def _leave_if_alone(self) -> None:
        if os.getppid() != self._server_pid:
            self.exit()
