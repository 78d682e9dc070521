"""The rows of the promise table: what measures each, and where `make test` has its short form."""

from collections.abc import Callable
from pathlib import Path

from tests.reliability import (
    canaries,
    caps,
    clips,
    damage,
    disk,
    downloads,
    evaluations,
    fuzz,
    kills,
    live_logs,
    logs,
    memory,
    nonfinite,
    paths,
    refusals,
    repulsion,
    resume,
    sameness,
    scorers,
    secrets,
    series,
    serving,
    signals,
    terminals,
)
from tests.reliability.bench import Bench
from tests.reliability.figures import Figures

Measure = Callable[[Bench, Callable[[int], int], Path], list[Figures]]
MeasurePlain = Callable[[Callable[[int], int], Path], list[Figures]]

PLAIN: dict[str, MeasurePlain] = {
    "D1": lambda n, folder: [downloads.kill_at_random(n(200), folder)],
    "D2": lambda n, folder: [downloads.damage_in_transit(n(300), folder)],
    "D3": lambda _, folder: [refusals.never_a_splice(folder)],
    "D4": lambda n, folder: [downloads.bad_networks(n(500), folder)],
    "D5": lambda n, folder: [refusals.too_little_room(n(20), folder)],
    "D6": lambda n, folder: [downloads.together(n(50), 4, folder)],
    "D7": lambda n, folder: [downloads.kill_while_unpacking(n(100), folder)],
    "D8": lambda _, folder: [refusals.hostile_archives(folder)],
    "D9": lambda _, folder: [refusals.only_who_was_named(folder)],
    "D10": lambda n, folder: [downloads.interrupts(n(100), folder)],
    "E3": lambda n, _: [scorers.official_rules_agree(n(2500))],
    "E4": lambda n, _: [scorers.extraction_is_not_fooled(n(2000))],
    "E6": lambda n, _: [scorers.error_bars_cover(n(2000))],
    "E7": lambda n, _: [scorers.comparisons_are_paired(n(1000))],
    "E8": lambda *_: [scorers.prompts_are_pinned()],
    "L1": lambda n, folder: [logs.cut_at_every_byte(n(200), folder)],
    "L2": lambda n, folder: [live_logs.writer_and_readers(n(20), 8, folder)],
    "L3": lambda n, folder: [logs.damage_inside(n(1000), folder)],
    "L4": lambda _, folder: [logs.old_and_future(folder)],
    "L5": lambda _, folder: [logs.clocks_that_jump(folder)],
    "L6": lambda n, folder: [live_logs.states_are_told(n(20), folder)],
    "L7": lambda n, folder: [terminals.dashboard_on_hostile_logs(n(20), folder)],
    "S2": lambda n, folder: [paths.nothing_leaves_its_root(n(100_000), folder)],
    "S4": lambda _, folder: [terminals.commands_on_hostile_runs(folder)],
    "S5": lambda _, folder: [secrets.tokens_stay_hidden(folder)],
    "S6": lambda n, folder: [fuzz.mutated_clips(n(2000), folder)],
    "S7": lambda n, folder: [serving.nothing_opens_without_the_token(n(500), folder)],
    "S8": lambda n, folder: [caps.absurd_inputs(max(65, n(1000)), folder, n(1_000_000))],
}
"""What needs no model."""

WITH_MODEL: dict[str, Measure] = {
    "T1": lambda bench, n, _: [
        kills.kill_at_random(bench, n(200)),
        kills.kill_before_each_write(bench),
    ],
    "T2": lambda bench, n, _: [damage.damage_every_file(bench, n(20))],
    "T3": lambda bench, n, _: [resume.stop_at_every_step(bench, max(2, n(12)))],
    "T4": lambda bench, n, _: [signals.stop_everywhere(bench, n(20))],
    "T5": lambda bench, n, folder: [
        disk.fault_at_each_change(bench),
        disk.file_size_limits(bench, n(20)),
        *([disk.small_disk(bench, n(20), folder)] if disk.can_mount(folder) else []),
    ],
    "T6": lambda bench, n, _: [clips.broken_shares(bench, n(200), [0.0, 0.01, 0.05, 0.2])],
    "T7": lambda bench, *_: [
        nonfinite.poison_each_source(bench, [float("nan"), float("inf"), float("-inf")])
    ],
    "T8": lambda _, n, __: [repulsion.worst_gaps(n(20_000)), repulsion.push_a_toy(n(2000), 5)],
    "T9": lambda bench, *_: [
        memory.address_space_limits(bench, [200, 100, 70, 50, 40, 30, 20, 10])
    ],
    "T10": lambda _, n, __: [series.watch_series(n(100), n(100))],
    "T11": lambda bench, *_: [sameness.same_seed_same_run(bench, 4)],
    "T12": lambda bench, *_: [sameness.video_reaches_the_model(bench)],
    "E1": lambda bench, n, folder: [evaluations.kill_at_random_rows(bench, n(100), folder)],
    "E2": lambda bench, _, folder: [evaluations.errors_count_as_wrong(bench, folder)],
    "E5": lambda bench, _, folder: [evaluations.greedy_repeats(bench, folder)],
    "E9": lambda bench, _, folder: [evaluations.leaks_are_found(bench, folder)],
    "S1": lambda bench, _, folder: [canaries.no_code_of_models_runs(bench, folder)],
    "S3": lambda bench, _, folder: [canaries.rows_reach_nothing(bench, folder)],
}

_ORDER = "DTELS"
ROWS = sorted([*PLAIN, *WITH_MODEL], key=lambda row: (_ORDER.index(row[0]), int(row[1:])))
"""In the order of the table."""

SHORT_FORMS = {
    "D1": "test_download_process (whole processes and 4 kills), test_partial",
    "D2": "test_transfer (bit, block, swap), test_get (an archive without a hash)",
    "D3": "test_reply (the table), test_transfer, test_download_process",
    "D4": "test_transfer (each fault), test_download_process (4 schedules)",
    "D5": "test_get, test_small_parts, test_download_process (RLIMIT_FSIZE)",
    "D6": "test_claim, test_download_process (3 processes)",
    "D7": "test_archives, test_download_process (1 kill)",
    "D8": "test_archives (25 kinds, names as a property), test_get",
    "D9": "test_get (offline, token), test_download_process (proxy, connections)",
    "D10": "test_download_process",
    "T1": "test_reliability (3 kills), test_training_process (`kill -9`), test_checkpoint",
    "T2": "test_reliability (every file), test_checkpoint, test_training_resume",
    "T3": "test_training_resume: each step, both passes, evaluation, LoRA",
    "T4": "test_reliability (each phase), test_training_process, test_training_resume",
    "T5": "test_reliability (RLIMIT_FSIZE, tmpfs), test_checkpoint, test_training_run",
    "T6": "test_reliability (20 % of eight kinds), test_training_run (order, empty steps, budget)",
    "T7": "test_reliability (NaN in five places), test_training_run",
    "T8": "test_losses (bounds as a property, the formula in numpy), test_repulsion_step",
    "T9": "test_training_memory (refused allocations in each phase), test_microbatch, test_shared",
    "T10": "test_reliability (100 healthy runs, 8 faults), test_guards",
    "T11": "test_training_run, test_dataset_order",
    "T12": "test_reliability, test_prompts",
    "E1": "test_evaluation (signals), test_eval_session (100 cuts), test_promises (2 kills)",
    "E2": "test_evaluation (a damaged clip, a long prompt), test_eval_session, test_eval_runner",
    "E3": "test_rule_parity (2,500 outputs, each disagreement with its reason)",
    "E4": "test_completion_table (labelled, 100 KB), test_answers (properties)",
    "E5": "test_evaluation (engines, same plan), test_eval_runner",
    "E6": "test_stats (6 designs x 400)",
    "E7": "test_stats (false positives, power)",
    "E8": "test_protocols (a hash a protocol)",
    "E9": "test_leaks",
    "L1": "test_event_tail (every byte), test_event_writer",
    "L2": "test_event_tail (a living log), test_promises (1 kill, 3 readers)",
    "L3": "test_event_tail (300 places), test_promises",
    "L4": "test_event_lines, test_run_state (a newer schema)",
    "L5": "test_run_state (jumps), test_promises",
    "L6": "test_run_state (killed, reused pid, hanging, elsewhere)",
    "L7": "test_hostile_screens (a real terminal), test_screens_in_a_terminal",
    "S1": "test_loader (code, kernels, pickles), test_promises (nine repositories)",
    "S2": "test_resolve (properties), test_promises (a changing link)",
    "S3": "test_frames (playlists), test_resolve, test_promises",
    "S4": "test_console, test_hostile_screens",
    "S5": "test_transfer and test_get (token), test_promises",
    "S6": "test_prober (200 mutations), test_absurd_headers",
    "S7": "test_serve (tokens, sites, a visitor's keys)",
    "S8": "test_json_stream, test_archives, test_promises",
}
