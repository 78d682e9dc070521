"""The judge: a model of somebody else's that scores what no rule can, and what of it is kept."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from vtk.config.evaluation import EvalSettings
from vtk.data.sample import Judging
from vtk.net.chat import CHAT_PATIENCE, Chat
from vtk.net.patience import Patience
from vtk.net.session import LOOPBACK
from vtk.scoring import judged, judged_answers
from vtk.scoring.verdicts import Verdict

KEY_VARIABLE: Final = "VTK_JUDGE_KEY"
_OPENAI_KEY_VARIABLE: Final = "OPENAI_API_KEY"
_OPENAI_HOST: Final = "api.openai.com"
MAX_TOKENS: Final = 512


@dataclass(frozen=True)
class JudgeRule:
    """What a judge is asked about one kind of answer, and how its reply is read.

    Attributes:
        system: Who it is to be.
        words: From an answer and what to go by to the user turn.
        read: From its reply and the same to a verdict.
        prompt_sha256: Of all words, those about one answer apart.
    """

    system: str
    words: Callable[[str, Judging], str]
    read: Callable[[str, Judging], Verdict]
    prompt_sha256: str


RULES: Final[Mapping[str, JudgeRule]] = {
    "captioning": JudgeRule(
        judged.SYSTEM, judged.judge_words, judged.read_choice, judged.judge_prompt_sha256()
    ),
    "open_ended": JudgeRule(
        judged_answers.SYSTEM,
        judged_answers.compare_words,
        judged_answers.read_comparison,
        judged_answers.compare_prompt_sha256(),
    ),
}
"""Kind of question (`vtk.data.sample.Kind`) -> how its answers are judged."""


@dataclass(frozen=True)
class Judge:
    """Which model judges, and where it is.

    The address is no part of what answers are kept under: a server that has moved judges as before.

    Attributes:
        url: The address of its API.
        model: As the server calls it.
        kind: Of the questions whose answers it judges, a key of `RULES`.
    """

    url: str
    model: str
    kind: str = "captioning"

    @property
    def rule(self) -> JudgeRule:
        """What it is asked."""
        return RULES[self.kind]

    @property
    def host(self) -> str:
        """The server, for people."""
        return urlsplit(self.url).netloc

    def as_json(self) -> dict[str, Any]:
        """Everything that decides a judgement, as plain data."""
        return {
            "model": self.model,
            "prompt_sha256": self.rule.prompt_sha256,
            "temperature": 0.0,
            "max_tokens": MAX_TOKENS,
        }

    def connect(
        self,
        cancelled: threading.Event,
        patience: Patience = CHAT_PATIENCE,
        environ: Mapping[str, str] = os.environ,
    ) -> Chat:
        """The way to ask it.

        Args:
            cancelled: Set by whoever calls it off.
            patience: When to ask again and when to give up.
            environ: Where the key is.
        """
        return Chat(self.url, self.model, self._key(environ), MAX_TOKENS, cancelled, patience)

    def _key(self, environ: Mapping[str, str]) -> str | None:
        """The judge's own key, else OpenAI's, which goes to OpenAI and to this machine only."""
        if environ.get(KEY_VARIABLE, "").strip():
            return environ[KEY_VARIABLE].strip()
        is_openai = urlsplit(self.url).hostname in {_OPENAI_HOST, *LOOPBACK}
        return (environ.get(_OPENAI_KEY_VARIABLE, "").strip() or None) if is_openai else None


def chosen_judge(settings: EvalSettings) -> Judge | None:
    """The judge that the settings name; None where they name none."""
    if settings.judge_url is None or settings.judge_model is None:
        return None
    return Judge(settings.judge_url, settings.judge_model)
