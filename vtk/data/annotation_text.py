"""Parse CLEVRER's annotation files without their motion, which is 99 % of their bytes.

A split needs the objects, where they start and what collides. So 127 of 128 frames are passed over
where the file has CLEVRER's own order of keys; any other is parsed whole.
"""

import json
import re
from typing import Any, Final

_BEGIN: Final = re.compile(r'"motion_trajectory"\s*:\s*\[\s*')
_END: Final = re.compile(r"\]\s*,\s*\Z")
_NEXT_KEY: Final = '"collision"'
_DECODER: Final = json.JSONDecoder()


def parse_annotation_text(content: bytes) -> Any:
    """The annotation as plain data; of `motion_trajectory` perhaps only the first frame.

    What is passed over is not looked at: damage within it is not found.

    Raises:
        ValueError: It is not JSON in UTF-8.
        RecursionError: It is nested too deeply.
    """
    text = content.decode("utf-8-sig")
    return _without_motion(text) or json.loads(text)


def _without_motion(text: str) -> Any:
    """The annotation with one frame; None where it cannot be told from the outside.

    Where the keys found do not belong to one object, brackets are left over, which do not parse.
    """
    begin = _BEGIN.search(text)
    rest = text.rfind(_NEXT_KEY)
    if begin is None or rest < begin.end() or _END.search(text, max(0, rest - 16), rest) is None:
        return None
    try:
        _, end = _DECODER.raw_decode(text, begin.end())
        found = json.loads(f"{text[:end]}], {text[rest:]}") if end < rest else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
