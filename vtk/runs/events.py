"""The event line: its types, its metric names, and how it becomes bytes and back.

One event is one JSON object on one line:

```
{"v": 1, "seq": 17, "time": 1767225600.0, "mono": 812.5, "type": "step", "step": 4, ...}
```

`v` is the schema version, `seq` counts over all attempts, `time` is UTC seconds, `mono` the
writer's monotonic seconds (wall clocks jump, so rates come from `mono`), and the payload stands
beside them.

JSON has no NaN, and a NaN loss is what a reader most needs to see. Non-finite numbers are therefore
written as the strings "NaN", "Infinity" and "-Infinity" and read back as numbers. A *text* that
happens to be one of these words (a completion may say anything) gets a leading backslash, so that
nothing is confused.
"""

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

EVENT_SCHEMA_VERSION: Final = 1
ROLLOUT_SCHEMA_VERSION: Final = 1
"""Of the rows of rollout files; rows without `v` are older and hold no columns of tokens."""

RUN_STARTED: Final = "run_started"
ATTEMPT_STARTED: Final = "attempt_started"
PHASE: Final = "phase"
STEP: Final = "step"
ROLLOUTS: Final = "rollouts"
CHECKPOINT_SAVED: Final = "checkpoint_saved"
EVAL_RESULT: Final = "eval_result"
GPU: Final = "gpu"
ALERT: Final = "alert"
CONTROL: Final = "control"
SAMPLE_SKIPPED: Final = "sample_skipped"
HEARTBEAT: Final = "heartbeat"
RUN_FINISHED: Final = "run_finished"

EVENT_PAYLOADS: Final[dict[str, tuple[str, ...]]] = {
    RUN_STARTED: ("run_id", "stage", "num_steps"),
    ATTEMPT_STARTED: ("attempt", "resumed_from_step", "num_steps", "owner"),
    PHASE: ("name",),
    STEP: ("step", "metrics"),
    ROLLOUTS: ("step", "path", "count"),
    CHECKPOINT_SAVED: ("step", "path"),
    EVAL_RESULT: ("step", "suite", "per_type"),
    GPU: ("devices", "absent_reason", "process_memory_gib"),
    ALERT: ("step", "rule", "message", "value", "threshold"),
    CONTROL: ("id", "action", "args", "who", "result", "step"),
    SAMPLE_SKIPPED: ("path", "reason"),
    HEARTBEAT: (),
    RUN_FINISHED: ("status", "error_kind", "message"),
}
"""Event type to the names of its payload fields."""

DURABLE_TYPES: Final = frozenset(
    {
        RUN_STARTED,
        ATTEMPT_STARTED,
        CHECKPOINT_SAVED,
        EVAL_RESULT,
        ALERT,
        CONTROL,
        HEARTBEAT,
        RUN_FINISHED,
    }
)
"""Types synced to the disk at once: state changes, and the heartbeat for all that came before."""

FINAL_STATUSES: Final = ("finished", "failed", "stopped")
QUESTION_TYPES: Final = ("observational", "inferential", "single", "multi", "all")
ENVELOPE: Final = ("v", "seq", "time", "mono", "type")


class Metric(NamedTuple):
    """What a metric name means."""

    unit: str
    sentence: str


METRICS: Final[dict[str, Metric]] = {
    "reward/mean": Metric("", "mean reward over all completions of the step"),
    "reward/accuracy": Metric("", "mean accuracy reward, before its weight"),
    "reward/format": Metric("", "mean format reward, before its weight"),
    "reward/zero_variance_frac": Metric(
        "fraction", "groups whose rewards are all equal, which teach nothing"
    ),
    "acc/observational": Metric("fraction", "rollouts answered correctly, observational questions"),
    "acc/observational_n": Metric("count", "rollouts behind acc/observational"),
    "acc/inferential": Metric("fraction", "rollouts answered correctly, inferential questions"),
    "acc/inferential_n": Metric("count", "rollouts behind acc/inferential"),
    "acc/single": Metric(
        "fraction", "rollouts answered correctly, questions with one right option"
    ),
    "acc/single_n": Metric("count", "rollouts behind acc/single"),
    "acc/multi": Metric(
        "fraction", "rollouts answered correctly, questions with several right options"
    ),
    "acc/multi_n": Metric("count", "rollouts behind acc/multi"),
    "bias_agreement/observational": Metric(
        "fraction", "rollouts with the bias model's own likeliest answer, observational questions"
    ),
    "bias_agreement/observational_n": Metric("count", "rollouts behind it"),
    "bias_agreement/inferential": Metric("fraction", "the same, inferential questions"),
    "bias_agreement/inferential_n": Metric("count", "rollouts behind it"),
    "bias_agreement/single": Metric("fraction", "the same, questions with one right option"),
    "bias_agreement/single_n": Metric("count", "rollouts behind it"),
    "bias_agreement/multi": Metric("fraction", "the same, questions with several right options"),
    "bias_agreement/multi_n": Metric("count", "rollouts behind it"),
    "kl/signed": Metric(
        "nats/token", "mean log-probability of policy minus bias model; positive: it has left it"
    ),
    "kl/k3": Metric("nats/token", "k3 estimate of the KL divergence from the bias model"),
    "kl/clamped_frac": Metric("fraction", "completion tokens whose log-ratio met the clamp"),
    "loss/total": Metric("", "the loss that is differentiated"),
    "loss/policy": Metric("", "its clipped policy-gradient part"),
    "loss/repulsion": Metric("", "its part that repels from the bias model, beta included"),
    "entropy/mean": Metric("nats/token", "mean entropy of the policy's next-token distribution"),
    "optim/lr": Metric("", "learning rate"),
    "optim/grad_norm": Metric("", "gradient norm before clipping"),
    "completion/length_tokens": Metric("tokens", "mean completion length"),
    "completion/truncated_frac": Metric("fraction", "completions cut at the length limit"),
    "completion/distinct_frac": Metric(
        "fraction", "different completions per completion of a group; near 0: it samples one answer"
    ),
    "sampling/logp_gap_mean": Metric(
        "nats", "log-probability of a token when sampled against when trained on, absolute mean"
    ),
    "sampling/logp_gap_max": Metric("nats", "the same, the step's largest"),
    "perf/step_s": Metric("s", "wall time of the step"),
    "perf/decode_s": Metric("s", "wall time spent decoding clips"),
    "perf/generate_s": Metric("s", "wall time spent generating completions"),
    "perf/update_s": Metric("s", "wall time spent on loss, gradient and update"),
    "perf/tokens_per_s": Metric("tokens/s", "completion tokens generated per second"),
    "gpu/memory_gib": Metric("GiB", "device memory in use, all processes"),
    "gpu/peak_memory_gib": Metric("GiB", "largest device memory allocated by this process"),
    "gpu/utilization_pct": Metric("%", "device utilization"),
    "gpu/power_w": Metric("W", "device power draw"),
}
"""Metric name to its unit and meaning, in the order in which they are shown."""

_NONFINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_DEPTH: Final = 64
_LARGEST_FLOAT: Final = sys.float_info.max
_NONFINITE_WORD = re.compile(r"\\*(?:NaN|-?Infinity)\Z")


def to_json_value(value: Any, depth: int = 0) -> Any:
    """Return `value` as plain JSON data, non-finite numbers as words; `depth` is how deep it lies.

    Numpy and torch scalars become Python numbers (through `item()`), paths become text, tuples
    become lists.

    Raises:
        TypeError: `value` holds something that has no JSON form.
        ValueError: `value` is nested more than 64 deep.
    """
    _check_depth(depth)
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _nonfinite_word(value)
    if isinstance(value, str):
        return "\\" + value if _NONFINITE_WORD.match(value) else value
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item, depth + 1) for item in value]
    if isinstance(value, os.PathLike):
        return to_json_value(os.fspath(value))
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return to_json_value(value.item())
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r:.80}")


def from_json_value(value: Any, depth: int = 0) -> Any:
    """Undo `to_json_value`: the words "NaN", "Infinity" and "-Infinity" become numbers again.

    Raises:
        ValueError: `value` is nested more than 64 deep.
    """
    _check_depth(depth)
    if isinstance(value, str):
        if value in _NONFINITE:
            return _NONFINITE[value]
        return value[1:] if value.startswith("\\") and _NONFINITE_WORD.match(value) else value
    if isinstance(value, dict):  # most of a log is plain floats in here: they stay as they are
        return {
            key: item if type(item) is float else from_json_value(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [from_json_value(item, depth + 1) for item in value]
    return value


def encode_line(value: Mapping[str, Any]) -> bytes:
    """Return one JSON object as one line of UTF-8 with its newline.

    Raises:
        TypeError: The object holds something that has no JSON form.
    """
    plain = to_json_value(value)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode() + b"\n"
    except (
        UnicodeEncodeError
    ):  # lone surrogates, as in undecodable file names: only escapes can carry them
        return (
            json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
            + b"\n"
        )


def decode_line(line: bytes) -> dict[str, Any]:
    """Return the JSON object of one line.

    Raises:
        ValueError: The line is not UTF-8, not JSON, or not an object.
    """
    try:
        value = json.loads(line.decode())
        if not isinstance(value, dict):
            raise ValueError(f"a JSON object was expected, not {type(value).__name__}")
        if _is_plain(line):
            return value
        return {key: from_json_value(item, 1) for key, item in value.items()}
    except RecursionError:
        raise ValueError("nested too deeply") from None


def encode_event(event: Mapping[str, Any]) -> bytes:
    """Return an event as one line with its newline.

    Raises:
        ValueError: A field of the envelope (`v`, `seq`, `time`, `mono`, `type`) is missing or of
            the wrong kind.
        TypeError: The payload holds something that has no JSON form.
    """
    _check_envelope(event)
    return encode_line(event)


def decode_event(line: bytes) -> dict[str, Any]:
    """Return the event on one line; unknown types and unknown fields are kept.

    Raises:
        ValueError: The line is no event: not UTF-8, not a JSON object, or without a valid envelope.
    """
    event = decode_line(line)
    _check_envelope(event)
    return event


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether `value` is an int or float (booleans are not); NaN and infinities are."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: Any) -> TypeGuard[float]:
    """Tell whether `value` is a number that a float can hold, and no NaN or infinity."""
    return is_number(value) and -_LARGEST_FLOAT <= value <= _LARGEST_FLOAT


def is_count(value: Any) -> TypeGuard[int]:
    """Tell whether `value` is an int of at least 0 (booleans are not)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_envelope(event: Mapping[str, Any]) -> None:
    if not is_count(event.get("v")) or not is_count(event.get("seq")):
        raise ValueError("an event needs the counts v and seq")
    if not is_finite(event.get("time")) or not is_finite(event.get("mono", 0.0)):
        raise ValueError("an event needs the numbers time and mono")
    if not isinstance(event.get("type"), str) or not event["type"]:
        raise ValueError("an event needs a type")


def _check_depth(depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")


def _is_plain(line: bytes) -> bool:
    """Whether `from_json_value` would change nothing in the line's value and refuse nothing.

    Most lines are, and to see it costs less than to walk through the value.
    """
    has_word = b"NaN" in line or b"Infinity" in line or b"\\u" in line
    return not has_word and line.count(b"{") + line.count(b"[") <= _MAX_DEPTH


def _nonfinite_word(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
