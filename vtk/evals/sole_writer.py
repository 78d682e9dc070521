"""One process at a time writes an evaluation's answers, also on network disks (`vtk.net.claim`).

A claim of another machine is void when nobody has touched it for a while, and one batch of long
clips may take longer than that; so a thread touches it, whatever the model does meanwhile.
"""

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vtk.errors import ConfigError, VtkError
from vtk.net.claim import FORGOTTEN_AFTER_S, Claim, LostClaimError, claimed
from vtk.runs.files import storage_error

RENEW_EVERY_S: Final = FORGOTTEN_AFTER_S / 6


class SoleWriter:
    """Holds the right to write one file; a context manager.

    Args:
        path: The file, for messages.
        claim_path: Where the claim lies.
        renew_every_s: How often the claim is touched, in seconds.

    Raises:
        ConfigError: Another process holds it.
        VtkError: The claim cannot be written.
    """

    def __init__(self, path: Path, claim_path: Path, renew_every_s: float = RENEW_EVERY_S) -> None:
        self._path, self._claim_path, self._renew_every_s = path, claim_path, renew_every_s
        self._held = ExitStack()
        self._closing = threading.Event()
        self._fault: OSError | LostClaimError | None = None
        self._thread = threading.Thread(target=self._keep, name="claim", daemon=True)
        self._claim: Claim | None = None

    def __enter__(self) -> Self:
        holders: list[str] = []
        try:
            claim = claimed(self._claim_path, lambda: bool(holders), holders.append)
            self._claim = self._held.enter_context(claim)
        except LostClaimError:
            raise self._refusal(holders[0]) from None
        except VtkError as error:  # names the data folder; this is a run's
            if not isinstance(error.__cause__, OSError):
                raise
            raise storage_error(self._claim_path, error.__cause__) from error
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._held.close()

    def require_held(self) -> None:
        """Make sure that nobody else may write.

        Raises:
            ConfigError: Another process has taken over.
            VtkError: The claim's disk fails.
        """
        if isinstance(self._fault, LostClaimError):
            raise self._refusal("another process")
        if self._fault is not None:
            raise storage_error(self._claim_path, self._fault)

    def _keep(self) -> None:
        assert self._claim is not None
        try:
            while not self._closing.wait(self._renew_every_s):
                self._claim.renew()
        except (OSError, LostClaimError) as fault:
            self._fault = fault  # told by `require_held`, in the thread that writes

    def _refusal(self, holder: str) -> ConfigError:
        return ConfigError(
            f"another process is writing {self._path}: {holder}",
            f"Wait for it, or stop it; one that died on another machine is forgotten after "
            f"{FORGOTTEN_AFTER_S:g} s.",
        )
