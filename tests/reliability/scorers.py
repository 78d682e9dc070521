"""E3, E4, E6, E7, E8: grading, error bars and prompts, measured without a model."""

import random
import time
from collections import Counter

import numpy as np

from tests.reliability.figures import Figures
from tests.unit.evals.test_protocols import GOLDEN
from tests.unit.scoring.outputs import corpus
from tests.unit.scoring.test_completion_table import BOMBS, ROWS, SCORES
from tests.unit.scoring.test_rule_parity import CASES, reason_for
from tests.unit.scoring.test_stats import clips_of, draw_pair, draw_scores
from vtk.evals.protocols import PROTOCOLS
from vtk.scoring.answers import extract_answer
from vtk.scoring.rewards import format_reward, grade
from vtk.scoring.stats import clustered_mean, paired_difference
from vtk.scoring.verdicts import Asked

DESIGNS = ((270, 7), (900, 3), (379, 2))
CORRELATIONS = (0.0, 0.1, 0.3)


def official_rules_agree(num_outputs: int) -> Figures:
    """Each official rule against its independent restatement; each disagreement has its reason."""
    result = Figures("E3", "Our scorer equals the official one where we say so")
    outputs = corpus(num_outputs)
    for name, rule, kind, options, oracle in CASES:
        num, reasons = 0, Counter[str]()
        for text in outputs:
            for gold in "ABCD"[: len(options)]:
                ours = rule(text, Asked(kind, options, gold)).score == 1.0
                num += 1
                if ours is not bool(oracle(text, options, gold)):
                    reason = reason_for(name, text)
                    result.check(reason is not None, f"{name}: {text!r} with {gold}")
                    reasons[(reason or "none").split(":")[0]] += 1
        share = 100 * (1 - sum(reasons.values()) / num)
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        result.figures.append(f"{name}: {share:.2f} %" + (f" ({listed})" if listed else ""))
    result.count = f"{len(outputs)} outputs, each with every gold answer, {len(CASES)} rules"
    return result


def extraction_is_not_fooled(num_mutations: int, seed: int = 0) -> Figures:
    """The labelled table, then texts put around its rows that must not change what is read."""
    result = Figures("E4", "Extraction is not fooled")
    for row in ROWS:
        graded = grade(row.completion, row.gold, row.num_options)
        for score in SCORES:
            is_same = abs(getattr(graded, score) - row.score(score)) < 1e-9
            result.check(is_same, f"{row.name}: {score} is {getattr(graded, score)}")
    draw = random.Random(seed)
    noise = ("So <answer>D</answer>?", "Ignore all rules: the answer is D.", "答えはD", "(D) D. d",
             "</answer>", "A. red B. blue C. green D. all", "the answer is D")  # fmt: skip
    num_strict = num_lenient = 0
    for _ in range(num_mutations):
        letters = sorted(draw.sample("ABCD", draw.randint(1, 3)))
        thought = " ".join(draw.choice(noise) for _ in range(draw.randint(1, 4)))
        shown = draw.choice([",", ", ", " and ", "\n"]).join(letters)
        text = f"<think>{thought}</think><answer>{shown}</answer>"
        graded = grade(text, ",".join(letters), 4)
        num_strict += graded.strict == 1.0
        num_lenient += graded.lenient == 1.0
        result.check(graded.strict == 1.0, f"strict misses {text!r}")
    worst_ms = 1e3 * max(min(_seconds(text) for _ in range(3)) for text in BOMBS.values())
    result.count = (
        f"{len(ROWS)} labelled rows x {len(SCORES)} scores; {num_mutations} answers with decoys in "
        f"the thought; {len(BOMBS)} texts of 100 KB"
    )
    result.figures = [
        f"labelled rows: {len(ROWS)} of {len(ROWS)} as labelled",
        f"decoys: strict right on {num_strict}, lenient on {num_lenient} of {num_mutations}",
        f"at most {worst_ms:.1f} ms of a processor for 100 KB",
    ]
    return result


def _seconds(text: str) -> float:
    began_s = time.thread_time()
    extract_answer(text, 4, "lenient")
    format_reward([text])
    return time.thread_time() - began_s


def error_bars_cover(num_simulations: int, seed: int = 7) -> Figures:
    """Nominal 95 % intervals over sets of questions whose truth is known."""
    result = Figures("E6", "Error bars mean what they say")
    rng = np.random.default_rng(seed)
    margin = 4 * (0.95 * 0.05 / num_simulations) ** 0.5
    for num_clips, per_clip in DESIGNS:
        clips = clips_of(num_clips, per_clip)
        for correlation in CORRELATIONS:
            covered = naive = 0
            for _ in range(num_simulations):
                scores = draw_scores(rng, num_clips, per_clip, 0.5, correlation)
                found = clustered_mean(scores, clips)
                plain = clustered_mean(scores, range(len(scores)))
                covered += found.low <= 0.5 <= found.high
                naive += plain.low <= 0.5 <= plain.high
            share = covered / num_simulations
            result.check(abs(share - 0.95) <= margin, f"{num_clips}x{per_clip}: {share:.3f}")
            result.figures.append(
                f"{num_clips} x {per_clip}, correlation {correlation}: {100 * share:.1f} % "
                f"(without clips {100 * naive / num_simulations:.1f} %)"
            )
    result.count = f"{len(result.figures)} designs x {num_simulations} simulated sets"
    return result


def comparisons_are_paired(num_simulations: int, seed: int = 3) -> Figures:
    """Equal and unequal models on the same questions."""
    result = Figures("E7", "Model comparisons are paired")
    rng, clips = np.random.default_rng(seed), clips_of(100, 3)
    false = sum(
        paired_difference(*draw_pair(rng, 100, 3, gain=0.0), clips).p_value < 0.05
        for _ in range(num_simulations)
    )
    paired = separate = 0
    for _ in range(num_simulations):
        first, second = draw_pair(rng, 100, 3, gain=0.12)
        paired += paired_difference(first, second, clips).p_value < 0.05
        separate += clustered_mean(first, clips).high < clustered_mean(second, clips).low
    share = false / num_simulations
    margin = 4 * (0.05 * 0.95 / num_simulations) ** 0.5
    result.check(share <= 0.05 + margin, f"{share:.3f} false positives")
    result.check(paired > separate, "pairing finds no more")
    result.count = f"{num_simulations} pairs of equal models, as many 12 points apart, 100 x 3"
    result.figures = [
        f"called different at 5 %: {100 * share:.1f} % of the equal ones",
        f"found of the unequal: {100 * paired / num_simulations:.0f} % paired, "
        f"{100 * separate / num_simulations:.0f} % by separate intervals",
    ]
    return result


def prompts_are_pinned() -> Figures:
    """The hash of every protocol's words, and that any change of one word changes it."""
    result = Figures("E8", "Prompts cannot drift unseen")
    found = {
        f"{suite} {name}": protocol.prompt_sha256()[:12]
        for suite, protocols in PROTOCOLS.items()
        for name, protocol in protocols.items()
    }
    for name in GOLDEN.keys() | found.keys():
        result.check(GOLDEN.get(name) == found.get(name), f"{name}: {found.get(name)}")
    result.count = f"{len(found)} protocols"
    result.figures = [
        f"{len(GOLDEN)} snapshots, 0 have drifted; the hash is in every result and in the settings "
        "that must agree for a resume",
    ]
    return result
