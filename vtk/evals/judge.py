"""The judge: a model of somebody else's that scores what no rule can, and what of it is kept."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from vtk.config.evaluation import EvalSettings
from vtk.net.chat import CHAT_PATIENCE, Chat
from vtk.net.patience import Patience
from vtk.net.session import LOOPBACK
from vtk.scoring.judged import judge_prompt_sha256

KEY_VARIABLE: Final = "VTK_JUDGE_KEY"
_OPENAI_KEY_VARIABLE: Final = "OPENAI_API_KEY"
_OPENAI_HOST: Final = "api.openai.com"
MAX_TOKENS: Final = 512


@dataclass(frozen=True)
class Judge:
    """Which model judges, and where it is.

    The address is no part of what answers are kept under: a server that has moved judges as before.

    Attributes:
        url: The address of its API.
        model: As the server calls it.
    """

    url: str
    model: str

    @property
    def host(self) -> str:
        """The server, for people."""
        return urlsplit(self.url).netloc

    def as_json(self) -> dict[str, Any]:
        """Everything that decides a judgement, as plain data."""
        return {
            "model": self.model,
            "prompt_sha256": judge_prompt_sha256(),
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
