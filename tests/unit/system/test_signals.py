"""Handlers are put in place for a block and taken away after it."""

import os
import signal
from collections.abc import Iterator

import pytest

from vtk.system.signals import handle_signals


@pytest.fixture
def ignored_hangup() -> Iterator[None]:
    """As `nohup` starts a process."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_signal_is_handled_inside_and_as_before_outside() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[int] = []
    with handle_signals([signal.SIGTERM, signal.SIGHUP], lambda number, _: seen.append(number)):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
    assert seen == [signal.SIGTERM, signal.SIGHUP]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hangup_that_is_ignored_stays_ignored(ignored_hangup: None) -> None:
    seen: list[int] = []
    with handle_signals([signal.SIGHUP], lambda number, _: seen.append(number)):
        os.kill(os.getpid(), signal.SIGHUP)
    assert seen == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
