"""T8: repulsion is bounded. A toy policy is pushed away for long; its end is told per mode."""

import math
import random

import torch

from tests.reliability.figures import Figures
from vtk.config.sections import GuardSettings, ObjectiveSettings
from vtk.train.guards import Guards
from vtk.train.losses import sequence_losses

MODES = (
    ObjectiveSettings(repulsion="paper"),
    ObjectiveSettings(repulsion="hinge"),
    ObjectiveSettings(repulsion="npo", npo_temperature=1.0),
)
BETA, NUM_TOKENS, RATE = -1.0, 32, 0.5
GUARDS = GuardSettings(entropy_floor=0.5, kl_budget_step=2.0, on_breach="alert")


def term_bounds(objective: ObjectiveSettings) -> tuple[float, float]:
    """Largest term, and largest absolute slope by log π_θ, that any log-ratio can give.

    The second table at the top of `vtk.train.losses`, in float64.
    """
    clamp = objective.log_ratio_clamp
    match objective.repulsion:
        case "paper":
            return math.expm1(clamp) - clamp, math.expm1(clamp)
        case "hinge":
            margin = min(objective.hinge_margin, clamp)
            slope = math.expm1(margin)
            return slope - margin + slope * (clamp - margin), slope
        case "npo":
            half = 0.5 * objective.npo_temperature
            return scaled_log_cosh(clamp, half), 1.0 / half


def scaled_log_cosh(d: float, half: float) -> float:
    """log cosh(half·d) / half² in float64, without cancellation and without overflow."""
    x = abs(half * d)
    if x < 1e-4:
        return 0.5 * d * d * (1 - x * x / 6)
    far = x - math.log(2) + math.log1p(math.exp(-2 * x))
    return (math.log1p(2 * math.sinh(x / 2) ** 2) if x < 1 else far) / half**2


def worst_gaps(num_gaps: int, seed: int = 0) -> Figures:
    """Largest loss and gradient of a token for log-ratios in [-1e4, 1e4], in both formats."""
    result = Figures("T8", "Loss and gradient of the repulsion stay below their stated bounds")
    draw = random.Random(seed)
    edges = [-1e4, -80.0, -11.0, -2.0, 0.0, 2.0, 11.0, 80.0, 1e4]
    gaps = torch.tensor([*edges, *(draw.uniform(-1e4, 1e4) for _ in range(num_gaps // 2))])
    near = torch.tensor([draw.gauss(0, 8) for _ in range(num_gaps // 2)])
    for mode in MODES:
        bound, slope_bound = term_bounds(mode)
        for dtype, rounding in ((torch.float32, 1e-5), (torch.bfloat16, 2**-7)):
            ref_NL = torch.cat([gaps, near]).to(dtype)[:, None]
            logps_NL = torch.zeros_like(ref_NL, requires_grad=True)
            zero_N = torch.zeros(len(ref_NL))
            losses = sequence_losses(logps_NL, ref_NL, torch.ones_like(ref_NL), zero_N, mode)
            (BETA * losses.term_N).sum().backward()  # type: ignore[no-untyped-call]
            assert logps_NL.grad is not None
            term, slope = float(losses.term_N.abs().max()), float(logps_NL.grad.abs().max())
            name = f"{mode.repulsion} {str(dtype).removeprefix('torch.')}"
            result.check(term <= bound * (1 + 1e-5), f"{name}: term {term} over {bound}")
            result.check(slope <= slope_bound * (1 + rounding), f"{name}: slope {slope}")
            seen = f"loss {term:.6g} of {bound:.6g}, coefficient {slope:.6g} of {slope_bound:.6g}"
            result.figures.append(f"{name}: {seen}")
    result.count = f"{num_gaps} gaps x {len(MODES)} modes x 2 number formats, |beta| 1"
    return result


def push_a_toy(num_steps: int, num_seeds: int) -> Figures:
    """A softmax policy without reward, repelled from a bias policy: where each mode ends."""
    result = Figures("T8", "Where repulsion ends without a reward, and when a guard says so")
    for mode in MODES:
        ends = [_push(mode, num_steps, seed) for seed in range(num_seeds)]
        entropies, kls, alarms = zip(*ends, strict=True)
        finite = all(map(math.isfinite, (*entropies, *kls)))
        result.check(finite, f"{mode.repulsion}: not finite")
        told = [step for step in alarms if step is not None]
        collapsed = [e < (GUARDS.entropy_floor or 0.0) for e in entropies]
        result.check(len(told) >= sum(collapsed), f"{mode.repulsion}: a collapse was not told")
        span = f"{min(told)}-{max(told)}" if told else "none"
        result.figures.append(
            f"{mode.repulsion}: entropy {min(entropies):.3f}-{max(entropies):.3f}, "
            f"KL {min(kls):.2f}-{max(kls):.2f} nats, first alarm in step {span}"
        )
    result.count = f"{num_seeds} seeds x {num_steps} steps, {NUM_TOKENS} tokens, beta {BETA:g}"
    return result


def _push(mode: ObjectiveSettings, num_steps: int, seed: int) -> tuple[float, float, int | None]:
    """Entropy and KL at the end, in nats, and the first step with an alert."""
    generator = torch.Generator().manual_seed(seed)
    theta_V = torch.randn(NUM_TOKENS, generator=generator).requires_grad_()
    noise_V = 0.3 * torch.randn(NUM_TOKENS, generator=generator)
    bias_V = (theta_V.detach() + noise_V).log_softmax(dim=0)
    guards, first = Guards(GUARDS), None
    for step in range(1, num_steps + 1):
        policy_V = theta_V.log_softmax(dim=0)
        entropy = float(-(policy_V.exp() * policy_V).sum())
        kl = float((policy_V.exp() * (policy_V - bias_V)).sum())
        if first is None and guards.observe({"entropy/mean": entropy, "kl/signed": kl}, False):
            first = step
        tokens_NL = torch.multinomial(policy_V.exp(), 64, True, generator=generator)[:, None]
        ones_NL, zero_N = torch.ones_like(tokens_NL), torch.zeros(len(tokens_NL))
        losses = sequence_losses(policy_V[tokens_NL], bias_V[tokens_NL], ones_NL, zero_N, mode)
        (gradient_V,) = torch.autograd.grad(losses.total(BETA), theta_V)
        with torch.no_grad():
            theta_V -= RATE * gradient_V * min(1.0, 20.0 / max(1e-9, float(gradient_V.norm())))
    return entropy, kl, first
