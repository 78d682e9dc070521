"""One question to a real chat server on loopback, which answers, fails, lies or hangs up."""

import json
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.judge_server import Answer, JudgeSite, judging
from vtk.errors import AccessError, NetworkError
from vtk.net.chat import MAX_REPLY_BYTES, Chat, Unanswered
from vtk.net.patience import Patience
from vtk.net.transfer import Cancelled

KEY = "sk-CANARY-0123456789"
HASTY = Patience(num_retries=2, first_pause_s=0.01, connect_s=5.0, stall_s=0.3)


@pytest.fixture
def site() -> Iterator[JudgeSite]:
    with judging(JudgeSite()) as found:
        yield found


def chat(url: str, key: str | None = KEY, cancelled: threading.Event | None = None) -> Chat:
    event = cancelled or threading.Event()
    return Chat(url, "judge-1", key, 64, event, HASTY, random.Random(0))


def test_a_question_is_asked_once_at_temperature_0_with_the_key(site: JudgeSite) -> None:
    for url in (site.url, f"{site.url}/", f"{site.url}/chat/completions"):
        assert chat(url).ask("You judge.", "Which?") == Answer().text
    assert len(site.asked) == 3
    assert site.asked[0] == {
        "model": "judge-1",
        "temperature": 0,
        "max_tokens": 64,
        "messages": [
            {"role": "system", "content": "You judge."},
            {"role": "user", "content": "Which?"},
        ],
    }
    assert site.headers[0]["authorization"] == f"Bearer {KEY}"
    chat(site.url, key=None).ask("", "")
    assert "authorization" not in site.headers[3]


PASSING = {
    "busy, with a time to wait": Answer(status=429, headers={"Retry-After": "0"}),
    "an error of its own": Answer(status=500, body=b"<html>"),
    "no JSON": Answer(body=b"<html>"),
    "no choices": Answer(body=b'{"choices": []}'),
    "no object": Answer(body=b"[1]"),
    "no text": Answer(body=b'{"choices": [{"message": {"content": null}}]}'),
    "an empty reply": Answer(text=" \n"),
    "a deep document": Answer(body=b"[" * 200_000),
    "it hangs up": Answer(hangs_up=True),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_asked_again(site: JudgeSite, fault: Answer) -> None:
    site.answer = lambda number, _: fault if number < 2 else Answer()
    assert chat(site.url).ask("", "") == Answer().text
    assert len(site.asked) == 3
    site.answer = lambda *_: fault
    judge = chat(site.url)
    judge._has_answered = True  # a server that hangs up at once was never there otherwise
    with pytest.raises(Unanswered, match="it "):
        judge.ask("", "")
    assert len(site.asked) == 6


def test_a_wait_that_the_server_asks_for_is_kept(site: JudgeSite) -> None:
    waits: list[float] = []

    class Told(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    site.answer = lambda number, _: (
        Answer(status=429, headers={"Retry-After": "7"}) if number == 0 else Answer()
    )
    chat(site.url, cancelled=Told()).ask("", "")
    assert waits == [7.0]
    site.answer = lambda *_: Answer(status=429, headers={"Retry-After": "3600"})
    with pytest.raises(Unanswered, match="asks to wait 1 h"):
        chat(site.url, cancelled=Told()).ask("", "")
    assert waits == [7.0]


def said(words: str) -> bytes:
    return json.dumps({"error": {"message": words}}).encode()


FINAL: dict[str, tuple[Answer, type[Exception], str]] = {
    "no key": (Answer(status=401, body=said(f"bad key {KEY}")), AccessError, "bad key \\*\\*\\*"),
    "forbidden": (Answer(status=403), AccessError, "answers 403"),
    "no such model": (Answer(status=404, body=said("no judge-1")), NetworkError, "no judge-1"),
    "elsewhere": (Answer(status=307, headers={"Location": "/x"}), NetworkError, "answers 307"),
    "refused words": (Answer(status=400, body=said("\x1b[2J no")), Unanswered, "␛\\[2J no"),
    "cut": (Answer(finish="length"), Unanswered, "cut at the length"),
    "endless": (Answer(body=b"x" * (MAX_REPLY_BYTES + 1)), Unanswered, "longer than"),
}


@pytest.mark.parametrize(("answer", "kind", "words"), FINAL.values(), ids=FINAL)
def test_what_does_not_pass_is_told_at_once(
    site: JudgeSite, answer: Answer, kind: type[Exception], words: str
) -> None:
    site.answer = lambda *_: answer
    with pytest.raises(kind, match=words) as told:
        chat(site.url).ask("", "")
    assert len(site.asked) == 1
    assert KEY not in repr(told.value) + str(getattr(told.value, "hint", ""))


def test_a_key_that_comes_back_is_masked(site: JudgeSite) -> None:
    site.answer = lambda *_: Answer(text=f"Answer: {KEY}")
    assert chat(site.url).ask("", "") == "Answer: ***"


def test_a_server_that_never_was_there_is_told_with_the_mend() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(NetworkError, match="cannot be reached") as told:
            chat(url).ask("", "")
    assert "--judge-url" in (told.value.hint or "")


def test_a_server_that_says_nothing_is_given_up(site: JudgeSite) -> None:
    never = threading.Event()

    def silent(_number: int, _asked: dict[str, Any]) -> Answer:
        never.wait(5)
        return Answer()

    site.answer = silent
    patience = Patience(num_retries=0, first_pause_s=0.01, stall_s=0.1)
    with pytest.raises(NetworkError, match="no bytes came for too long"):
        Chat(site.url, "judge-1", None, 64, threading.Event(), patience).ask("", "")
    never.set()


def test_who_calls_it_off_is_heard_while_it_waits(site: JudgeSite) -> None:
    site.answer = lambda *_: Answer(status=503, headers={"Retry-After": "600"})
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        chat(site.url, cancelled=cancelled).ask("", "")


def test_a_key_goes_over_no_open_wire() -> None:
    from requests import Request, Session

    from vtk.net.session import TokenFor

    auth = TokenFor("http://judge.example/v1/chat/completions", KEY)
    request = Session().prepare_request(
        Request("POST", "http://judge.example/v1/chat/completions", auth=auth)
    )
    assert "Authorization" not in request.headers
