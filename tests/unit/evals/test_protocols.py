"""Protocols: the words that are asked, in the published layout, and settings that override them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vtk.config.loading import load_config
from vtk.data.benchmarks.table import BENCHMARKS
from vtk.data.sample import Kind, VideoSample
from vtk.errors import ConfigError
from vtk.evals.protocols import (
    PROTOCOLS,
    SLIP_PIXELS_PX,
    ProtocolName,
    judged_kind,
    with_judged_forms,
)
from vtk.evals.settings import EvaluationSettings
from vtk.evals.suites import SUITES, choose_protocols, find_suite
from vtk.evals.target import evaluation_settings


def sample(kind: Kind = "choice", **changes: Any) -> VideoSample:
    fields: dict[str, Any] = {
        "sample_id": "1",
        "problem": "Why {options}?\nA. x\nB. {question}",
        "solution": "B",
        "video": Path("/v.mp4"),
        "clip_id": "v.mp4",
        "options": ("x", "{question}"),
        "question": "Why {options}?",
        "kind": kind,
    }
    return VideoSample(**(fields | changes))


def words(suite: str, protocol: ProtocolName, **changes: Any) -> str:
    return PROTOCOLS[suite][protocol].words(sample(**changes))


def test_every_benchmark_has_both_protocols() -> None:
    assert set(BENCHMARKS) < set(SUITES)
    for name in BENCHMARKS:
        assert {p: found.name for p, found in PROTOCOLS[name].items()} == {
            "official": "official",
            "recipe": "recipe",
        }


def test_the_recipe_glues_its_options_to_the_question() -> None:
    text = words("mvbench", "recipe")
    assert text.startswith("Why {options}?Options:\nA. x\nB. {question}\n\n")
    assert (text.count("<think>"), text.count("<answer>")) == (1, 2)


def test_the_recipe_takes_lettered_problems_where_no_type_is_given() -> None:
    for suite in ("video-holmes", "clevrer"):
        assert words(suite, "recipe").startswith("Why {options}?\nA. x\nB. {question}\nThink")


def test_options_are_shown_once_where_only_the_problem_is_kept() -> None:
    text = words("clevrer", "recipe", question=None, problem="Why?\nA. x\nB. y", options=("x", "y"))
    assert text.startswith("Why?\nA. x\nB. y\nThink")
    assert text.count("A. x") == 1


def test_the_recipe_asks_for_one_letter_whatever_the_solution() -> None:
    one, several = (words("clevrer", "recipe", solution=s) for s in ("B", "A,B"))
    assert one == several
    assert one.endswith("the one letter of the option you choose (for example A, B, C or D).")


OFFICIAL_STARTS = {
    "mmvu": "Question: Why {options}?\nA: x\nB: {question}\n\n",
    "mvbench": "Question: Why {options}?\nOptions:\n(A) x\n(B) {question}\n",
    "tempcompass": "Why {options}?\nA. x\nB. {question}\n",
}


@pytest.mark.parametrize(("suite", "start"), OFFICIAL_STARTS.items())
def test_official_layouts(suite: str, start: str) -> None:
    assert words(suite, "official").startswith(start)


def test_official_layouts_of_one_line_and_of_tempcompass() -> None:
    assert "Question: Why {options}?. Options: A: x, B: {question}. " in words(
        "video-holmes", "official"
    )
    assert words("tempcompass", "official", kind="yes_no", options=("yes", "no")).startswith(
        "Why {options}?\nReply"
    )
    captions = ("Caption A: x", "Caption B: y")
    assert words("tempcompass", "official", kind="caption_matching", options=captions).startswith(
        "Why {options}?\nCaption A: x\nCaption B: y\n"
    )
    assert words("video-mme", "official").endswith(
        "Why {options}?\nA. x\nB. {question}\nThe best answer is:"
    )


def test_a_kind_without_a_prompt_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match="numerical") as told:
        words("mmvu", "official", kind="numerical")
    assert told.value.hint == "Ask them with --protocol recipe."
    assert "the number" in words("mmvu", "recipe", kind="numerical")


GOLDEN = {
    "mmvu official": "330ccfa3dc9e",
    "mmvu recipe": "f3180d999e3a",
    "video-holmes official": "23a0d120a17c",
    "video-holmes recipe": "c48d84880bb1",
    "mvbench official": "2ca7104492c3",
    "mvbench recipe": "f3180d999e3a",
    "tempcompass official": "5901ddb0a98d",
    "tempcompass recipe": "f3180d999e3a",
    "video-mme official": "c9fad9740cae",
    "video-mme recipe": "f3180d999e3a",
    "clevrer recipe": "c48d84880bb1",
}


def test_prompts_do_not_drift_unseen() -> None:
    """A change of words changes results: state it in the change log, then the hash here."""
    found = {
        f"{suite} {name}": protocol.prompt_sha256()[:12]
        for suite, protocols in PROTOCOLS.items()
        for name, protocol in protocols.items()
    }
    assert found == GOLDEN


def test_captions_are_asked_for_in_the_benchmarks_words_under_a_hash_of_their_own() -> None:
    official = PROTOCOLS["tempcompass"]["official"]
    judged = with_judged_forms(official)
    assert judged.words(sample(kind="captioning", options=(), question="Describe it.")) == (
        "Describe it."
    )
    assert judged.prompt_sha256()[:12] == "98f9b733509d"
    own = with_judged_forms(official.with_words("{question} {options}"))
    assert own.words(sample(kind="captioning", options=(), question="Say.")) == "Say."
    judgeable = [
        f"{suite} {name}"
        for suite, protocols in PROTOCOLS.items()
        for name, protocol in protocols.items()
        if judged_kind(protocol)
    ]
    assert (judgeable, judged_kind(None)) == (["mmvu official", "tempcompass official"], None)


def settings(protocol: ProtocolName, given: dict[str, Any] | None = None) -> EvaluationSettings:
    overrides = given or {}
    config = load_config("grpo", None, None, overrides, is_reference_needed=False).config
    suite = find_suite("mvbench")
    chosen = PROTOCOLS["mvbench"][protocol]
    return evaluation_settings(config, suite, protocol=chosen, given=list(overrides))


def test_the_recipe_fixes_frames_and_sampling() -> None:
    found = settings("recipe")
    frames, sampling = found.frames, found.sampling
    assert (frames.num_frames, frames.fps) == (32, 2.0)
    assert (frames.min_pixels_px, frames.max_pixels_px) == (100_352, 200_704)
    assert (sampling.temperature, sampling.top_p, sampling.max_completion_tokens) == (
        0.01,
        0.001,
        1024,
    )
    assert found.deviations() == []


def test_the_official_protocol_takes_frames_from_the_settings_and_is_greedy() -> None:
    found = settings("official", {"eval.num_frames": 12})
    assert (found.frames.num_frames, found.frames.fps) == (12, None)
    assert found.sampling.is_greedy
    assert found.deviations() == []


def test_what_the_user_gives_wins_and_is_said() -> None:
    found = settings("recipe", {"eval.num_frames": 8, "eval.max_pixels_px": 50_176})
    assert (found.frames.num_frames, found.frames.fps) == (8, None)
    assert found.deviations() == [
        "num_frames 8 instead of 32",
        "fps None instead of 2.0",
        "min_pixels_px 50176 instead of 100352",
        "max_pixels_px 50176 instead of 200704",
    ]


def test_the_resolution_slip_is_never_silent() -> None:
    slipped = replace(PROTOCOLS["mvbench"]["recipe"], max_pixels_px=SLIP_PIXELS_PX)
    config = load_config("grpo", None, None, {}, is_reference_needed=False).config
    found = evaluation_settings(config, find_suite("mvbench"), protocol=slipped)
    assert found.frames.max_pixels_px == SLIP_PIXELS_PX == 105_369
    (said,) = found.deviations()
    assert said.startswith("max_pixels_px 105369 (the slip of the published scripts)")


def test_a_resolution_of_the_users_is_not_called_the_slip() -> None:
    slipped = replace(PROTOCOLS["mvbench"]["recipe"], max_pixels_px=SLIP_PIXELS_PX)
    given = {"eval.max_pixels_px": 150_528}
    config = load_config("grpo", None, None, given, is_reference_needed=False).config
    found = evaluation_settings(config, find_suite("mvbench"), protocol=slipped, given=list(given))
    assert found.deviations() == ["max_pixels_px 150528 instead of 200704"]


@pytest.mark.parametrize("protocol", ["official", "recipe"])
def test_other_words_are_a_deviation(protocol: ProtocolName) -> None:
    own = PROTOCOLS["tempcompass"][protocol].with_words("{question} Pick:\n{options}")
    config = load_config("grpo", None, None, {}, is_reference_needed=False).config
    found = evaluation_settings(config, find_suite("tempcompass"), protocol=own)
    digest = own.prompt_sha256()[:12]
    assert found.deviations() == [f"a prompt in other words (sha256 {digest})"]
    judged = with_judged_forms(PROTOCOLS["tempcompass"]["official"])
    known = [judged, *(p for protocols in PROTOCOLS.values() for p in protocols.values())]
    assert not any(one.has_own_words for one in known)
    assert with_judged_forms(judged.with_words("Q: {question}")).has_own_words


def test_only_the_official_protocol_crops() -> None:
    asked = sample(span_s=(1.0, 2.0))
    assert settings("official").frames_of(asked).span_s == (1.0, 2.0)
    assert settings("recipe").frames_of(asked).span_s is None


def test_words_of_the_user_replace_every_prompt_and_its_hash() -> None:
    protocol = PROTOCOLS["tempcompass"]["official"]
    own = protocol.with_words("Q: {question}\n{options}")
    assert own.words(sample()) == "Q: Why {options}?\nA. x\nB. {question}"
    assert own.prompt_sha256() != protocol.prompt_sha256()
    with pytest.raises(ConfigError, match="question"):
        protocol.with_words("Answer!")


def test_protocols_are_chosen_by_name() -> None:
    mvbench = PROTOCOLS["mvbench"]
    suite = find_suite("mvbench")
    assert choose_protocols(suite, "both") == [mvbench["official"], mvbench["recipe"]]
    assert choose_protocols(suite, "recipe") == [mvbench["recipe"]]
    assert choose_protocols(find_suite("clevrer"), "both") == [None, PROTOCOLS["clevrer"]["recipe"]]
    assert choose_protocols(find_suite("clevrer-mini"), "both") == [None]
    with pytest.raises(ConfigError, match="clevrer-mini has no recipe"):
        choose_protocols(find_suite("clevrer-mini"), "recipe")
    with pytest.raises(ConfigError, match="'own'"):
        choose_protocols(suite, "own")


def test_settings_without_a_protocol_keep_their_hash() -> None:
    config = load_config("grpo", "tiny", None, {}, is_reference_needed=False).config
    document = evaluation_settings(config, find_suite("clevrer-mini")).as_json()
    assert "protocol" not in document
    assert "span_s" not in document["frames"]
    assert document["prompt_sha256"] == hashlib.sha256(b'"{problem}"').hexdigest()
