"""Questions: right by simulation, labelled by the log, worded in CLEVRER's ways, hard to guess."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import pytest

from vtk.data.clevrer import SceneObject
from vtk.data.programs import read_option, read_question
from vtk.mini.language import OPTION_FORMS, QUESTION_FORMS
from vtk.mini.physics import Simulation
from vtk.mini.questions import Question, ask, describe, to_clevrer
from vtk.mini.scenes import Scene, Thing

Asked = tuple[Scene, Question]
Resimulate = Callable[[Sequence[Scene], int | None], Simulation]

# What a guesser gets right who knows a question's type, polarity and number of options. For two
# options and one correct one it cannot be less than one half.
MAX_BLIND_ACCURACY = 0.50
MAX_BLIND_ACCURACY_OF_A_CELL = 0.60
MIN_CELL = 100


def pairs_of(question: Question) -> list[tuple[int, int]]:
    return [(min(pair), max(pair)) for pair in question.pairs]


def matches(thing: Thing, words: Thing) -> bool:
    names = ("color", "material", "shape")
    return all(getattr(words, n) in ("", getattr(thing, n)) for n in names)


def blind_hits(asked: Sequence[Asked], key: Callable[[Question], Hashable]) -> dict[Hashable, int]:
    """In each cell, how often its most frequent set of correct letters is the right one."""
    cells: dict[Hashable, Counter[tuple[bool, ...]]] = defaultdict(Counter)
    for _, question in asked:
        cells[key(question)][question.gold] += 1
    return {cell: golds.most_common(1)[0][1] for cell, golds in cells.items()}


def test_gold_is_what_the_simulator_says_without_the_object(
    asked: list[Asked], resimulate: Resimulate
) -> None:
    groups: dict[tuple[int, int], list[Asked]] = defaultdict(list)
    for scene, question in asked[:400]:
        groups[len(scene.things), question.removed].append((scene, question))
    for (_, removed), members in groups.items():
        frame_SNN = resimulate([scene for scene, _ in members], removed).collision_frame_SNN
        for row, (_, question) in enumerate(members):
            happens = [bool(frame_SNN[row][pair] >= 0) for pair in question.pairs]
            wanted = question.polarity == "will"
            assert [event == wanted for event in happens] == list(question.gold)


def test_observational_means_that_copying_the_clip_is_right(asked: list[Asked]) -> None:
    for scene, question in asked:
        wanted = question.polarity == "will"
        copied = [(pair in scene.observed_pairs()) == wanted for pair in pairs_of(question)]
        assert question.observational == (copied == list(question.gold))
    share = np.mean([question.observational for _, question in asked])
    assert 0.4 < share < 0.7


def test_questions_are_well_formed_and_differ(asked: list[Asked]) -> None:
    seen: dict[int, set[Hashable]] = defaultdict(set)
    for scene, question in asked:
        pairs = pairs_of(question)
        assert any(question.gold)
        assert len(pairs) == len(set(pairs)) == len(question.options) in (2, 3)
        assert all(question.removed not in pair and pair[0] != pair[1] for pair in pairs)
        content = (question.removed, question.polarity, frozenset(pairs))
        assert content not in seen[id(scene)]
        seen[id(scene)].add(content)
    assert 3.0 < np.mean([len(contents) for contents in seen.values()]) <= 4.0


@pytest.mark.parametrize("frac", [0.5, 0.74])
def test_no_type_polarity_or_letter_gives_the_answer_away(scenes: list[Scene], frac: float) -> None:
    rng = np.random.default_rng(7)
    asked = [(scene, question) for scene in scenes for question in ask(rng, scene, 4, frac)]

    def cell(question: Question) -> Hashable:
        return question.observational, question.polarity, len(question.gold)

    sizes = Counter(cell(question) for _, question in asked)
    hits = blind_hits(asked, cell)
    assert sum(hits.values()) / len(asked) < MAX_BLIND_ACCURACY
    large = [name for name, size in sizes.items() if size >= MIN_CELL]
    assert len(large) >= 4
    for name in large:
        assert hits[name] / sizes[name] < MAX_BLIND_ACCURACY_OF_A_CELL, name
    for num_options in (2, 3):
        golds = [q.gold for _, q in asked if len(q.gold) == num_options]
        shares = np.mean(golds, axis=0)
        assert np.ptp(shares) < 0.12, shares  # no letter is right more often than another


def test_both_polarities_are_asked_equally_often_of_each_type(asked: list[Asked]) -> None:
    for observational in (True, False):
        chosen = [q.polarity for _, q in asked if q.observational == observational]
        assert 0.35 < chosen.count("will") / len(chosen) < 0.65


def test_every_surface_form_occurs(asked: list[Asked]) -> None:
    forms = {(question.polarity, question.form) for _, question in asked}
    assert forms == {(p, i) for p, texts in QUESTION_FORMS.items() for i in range(len(texts))}
    options = {form for _, question in asked for form in question.option_forms}
    assert options == set(range(len(OPTION_FORMS)))
    texts = " ".join(text for _, q in asked for text in (q.text, *q.options))
    assert "object" in texts
    assert "cylinder" in texts
    kinds = Counter((len(q.gold), sum(q.gold)) for _, q in asked)
    assert set(kinds) == {(2, 1), (2, 2), (3, 1), (3, 2)}


def test_texts_read_as_clevrers_do() -> None:
    question = Question(
        removed=0,
        pairs=((1, 2), (3, 1)),
        gold=(True, False),
        polarity="will_not",
        observational=True,
        form=3,
        removed_words=Thing("red", "", ""),
        pair_words=(
            (Thing("blue", "metal", ""), Thing("", "", "cube")),
            (Thing("gray", "", "sphere"), Thing("blue", "metal", "")),
        ),
        option_forms=(0, 1),
    )
    assert question.text == "Which event will not happen if the red object is removed?"
    assert question.options == (
        "The blue metal object collides with the cube",
        "The gray sphere and the blue metal object collide",
    )
    entry = to_clevrer(question, 5)
    assert entry["question_id"] == 5
    assert entry["question_type"] == "counterfactual"
    assert " ".join(entry["program"]) == (
        "all_events objects red filter_color unique get_counterfact belong_to negate"
    )
    assert " ".join(entry["choices"][0]["program"]) == (
        "all_events objects blue filter_color metal filter_material unique filter_collision "
        "objects cube filter_shape unique filter_collision unique"
    )
    assert [choice["answer"] for choice in entry["choices"]] == ["correct", "wrong"]


@pytest.mark.parametrize("palette", ["distinct", "full"])
def test_programs_lead_to_the_objects_that_are_meant(
    palette: str, asked: list[Asked], full_asked: list[Asked]
) -> None:
    for scene, question in asked[:300] if palette == "distinct" else full_asked:
        objects = {
            i: SceneObject(i, thing.color, thing.material, thing.shape)
            for i, thing in enumerate(scene.things)
        }
        entry = to_clevrer(question, 0)
        intervention = read_question(entry["program"], objects)
        assert intervention.removed_id == question.removed
        assert intervention.is_negated == (question.polarity == "will_not")
        found = [read_option(choice["program"], objects) for choice in entry["choices"]]
        assert found == pairs_of(question)


def test_names_single_their_object_out(full_scenes: list[Scene]) -> None:
    rng = np.random.default_rng(0)
    num_said: Counter[int] = Counter()
    for scene in full_scenes:
        for index, thing in enumerate(scene.things):
            words = describe(rng, scene.things, index)
            assert matches(thing, words)
            assert sum(matches(other, words) for other in scene.things) == 1
            num_said[sum(bool(w) for w in (words.color, words.material, words.shape))] += 1
    assert set(num_said) == {1, 2, 3}


def test_the_same_state_gives_the_same_questions(scenes: list[Scene]) -> None:
    first, again = (ask(np.random.default_rng(9), scenes[0], 4, 0.5) for _ in range(2))
    assert first == again
    assert first != ask(np.random.default_rng(10), scenes[0], 4, 0.5)
