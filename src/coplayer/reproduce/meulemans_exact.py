"""The exact figures of Meulemans et al. 2025 (3, 4, 8, 9, 10): which runs each needs, its panels, and its numbers."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from coplayer.analysis.zero_determinant import ExtortionFit, fit_extortion
from coplayer.experiments import exact_ipd
from coplayer.experiments.exact_ipd import ExactIPD
from coplayer.figures.panels import Band, BandPanel, draw_row, save, tidy
from coplayer.figures.parity import Quantity
from coplayer.learning.exact_gradients import naive_learning
from coplayer.players.memory1 import Memory1, cooperation
from coplayer.reproduce.exact_figures import (
    ITERATION,
    REWARD,
    band,
    draw_family,
    final,
    final_logits,
    final_policies,
    metric,
    training_panels,
)
from coplayer.reproduce.studies import Draw, Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

Folders = dict[str, RunFolder]

SHAPING = ExactIPD()
TOGETHER = adjust(
    SHAPING,
    naive_share=1.0,
    later_naive_shares=(0.0,),
    first_policy="always_defect",
    first_policy_scale=0.5,
    iterations=1200,
)
LOOKAHEAD = adjust(
    SHAPING,
    gamma=0.95,
    naive_share=0.0,
    method="lookahead",
    first_policy_scale=2.0,
    learning_rate=0.005,
    seeds=64,
)
LOOKAHEADS = {1: (10.0, 1.0), 2: (5.0, 1.0), 3: (5.0, 0.75), 10: (5.0, 0.6), 20: (5.0, 0.4)}  # rate, share of method
PUBLISHED_LOOKAHEAD = {1: 0.99, 2: 0.98, 3: 0.95}  # LOLA-DiCE with exact gradients, payoffs shifted to ours
NAIVE_STEPS = 100  # of a fresh naive learner against a frozen policy
RANDOM_POLICIES = 64


def lookahead_runs(*, mixed: bool) -> dict[str, ExactIPD]:
    """Runs by number of look-aheads, plain or with the naive gradient mixed in."""
    return {
        f"lookahead-{steps}{'-mixed' if mixed and share < 1 else ''}": adjust(
            LOOKAHEAD, lookaheads=steps, lookahead_rate=rate, method_share=share if mixed else 1.0
        )
        for steps, (rate, share) in LOOKAHEADS.items()
    }


# Figure 3


def figure3_runs() -> dict[str, ExactIPD]:
    return {
        "shaping-then-together": TOGETHER,
        "mixed-from-random": SHAPING,
        "meta-only-from-random": adjust(SHAPING, naive_share=0.0),
    }


def draw_figure3(folders: Folders, settings: dict[str, ExactIPD], path: Path) -> list[Quantity]:
    together, mixed, alone = (folders[name] for name in figure3_runs())
    turn = settings["shaping-then-together"].run.iterations // 2
    panels = [
        BandPanel(
            "A  shaping naive learners, from pure defection",
            ITERATION,
            REWARD,
            [
                band(together, "reward_vs_naive", "shaper", until=turn),
                band(together, "reward_of_naive", "naive learner", until=turn),
            ],
        ),
        BandPanel(
            "B  two such shapers, put together",
            f"{ITERATION} since",
            REWARD,
            [band(together, "reward_vs_learner", "shaper against shaper", since=turn)],
        ),
        BandPanel(
            "C  groups, from random policies",
            ITERATION,
            f"{REWARD}, meta against meta",
            [
                band(mixed, "reward_vs_learner", "naive and meta agents"),
                band(alone, "reward_vs_learner", "meta agents only"),
            ],
        ),
    ]
    draw_row(path, panels, "Exact shaping: median and quartiles over seeds")
    x, shaper = metric(together, "reward_vs_naive")
    naive = metric(together, "reward_of_naive")[1]
    at = int(np.searchsorted(x, turn))
    return [
        Quantity("A: shaper's reward against naive learners (mutual defection 0)", None, shaper[:, at], at_least=0.5),
        Quantity("A: the naive learners' reward", None, naive[:, at]),
        Quantity("A: difference, shaper less naive", None, shaper[:, at] - naive[:, at], at_least=0.3),
        Quantity("B: shaper against shaper, as they meet", None, metric(together, "reward_vs_learner")[1][:, at]),
        Quantity("B: the same, at the end", None, final(together, "reward_vs_learner"), at_least=0.8),
        Quantity("C: meta against meta in the mixed group", None, final(mixed, "reward_vs_learner"), at_least=0.8),
        Quantity("C: meta against meta, meta only", None, final(alone, "reward_vs_learner"), at_most=0.2),
    ]


# Figure 4


def figure4_runs() -> dict[str, ExactIPD]:
    return lookahead_runs(mixed=False) | lookahead_runs(mixed=True)


def naive_against_frozen(folder: RunFolder, settings: ExactIPD) -> Float[np.ndarray, "2 seeds steps"]:
    """Rewards of a frozen agent, the first of each seed, and of a fresh naive learner, by the naive learner's step."""
    frozen = jnp.asarray(final_logits(folder, settings)[0])
    learner = jax.random.normal(jax.random.key(settings.run.seed), frozen.shape)
    values = exact_ipd.values_of(settings.game, settings.agents.gamma)
    run = jax.jit(partial(naive_learning, values, steps=NAIVE_STEPS, rate=settings.naive.naive_rate))
    return np.moveaxis(np.asarray(run(frozen, learner)[0]), 0, -1)


def draw_figure4(folders: Folders, settings: dict[str, ExactIPD], path: Path) -> list[Quantity]:
    plain, mixed = lookahead_runs(mixed=False), lookahead_runs(mixed=True)

    def bands(runs: dict[str, ExactIPD]) -> list[Band]:
        return [
            band(folders[name], "reward_vs_learner", f"{lookaheads} look-ahead{'s' * (lookaheads > 1)}")
            for name, lookaheads in ((name, run.agents.lookaheads) for name, run in runs.items())
        ]

    rewards = naive_against_frozen(folders["lookahead-20"], settings["lookahead-20"])
    steps = np.arange(NAIVE_STEPS)
    panels = [
        BandPanel("A  look-aheads", ITERATION, REWARD, bands(plain), "error"),
        BandPanel(
            "B  a naive learner against the frozen\n20-look-ahead policy",
            "naive step",
            REWARD,
            [Band("20 look-aheads, frozen", steps, rewards[0]), Band("naive learner", steps, rewards[1])],
            "error",
        ),
        BandPanel("C  with the naive gradient mixed in", ITERATION, REWARD, bands(mixed), "error"),
    ]
    draw_row(path, panels, "LOLA with exact gradients: mean and standard error over seeds")
    rows = []
    for name, run in plain.items():
        lookaheads = run.agents.lookaheads
        cooperative = lookaheads <= 3
        rows.append(
            Quantity(
                f"A: {lookaheads} look-ahead(s), reward at the end",
                PUBLISHED_LOOKAHEAD.get(lookaheads),
                final(folders[name], "reward_vs_learner"),
                at_least=0.5 if cooperative else None,
                at_most=0.5 if lookaheads == 20 else None,
            )
        )
    rows += [
        Quantity("B: the frozen policy's reward, at the end", None, rewards[0, :, -1]),
        Quantity("B: the naive learner's reward, at the end", None, rewards[1, :, -1]),
        Quantity("B: difference, frozen less naive", None, rewards[0, :, -1] - rewards[1, :, -1], at_least=0.1),
    ]
    for name, run in mixed.items():
        lookaheads, share = run.agents.lookaheads, run.agents.method_share
        if share < 1:
            label = f"C: {lookaheads} look-aheads with weight {share:g}, reward at the end"
            rows.append(Quantity(label, None, final(folders[name], "reward_vs_learner"), at_least=0.5))
    return rows


# Figure 8


def figure8_runs() -> dict[str, ExactIPD]:
    return {"shaping-long-horizon": adjust(SHAPING, naive_share=1.0, gamma=0.999, iterations=1000, seeds=64)}


def random_policies() -> Memory1:
    """Memory-1 players with uniformly random probabilities."""
    return cooperation(np.random.default_rng(0).random((RANDOM_POLICIES, 5)))


def first_agents_fit(folder: RunFolder, settings: ExactIPD) -> ExtortionFit:
    """The nearest extortion strategy of the first agent of every seed."""
    learned = Memory1(final_policies(folder, settings).probabilities[0])
    return fit_extortion(learned, settings.game)


def draw_figure8(folders: Folders, settings: dict[str, ExactIPD], path: Path) -> list[Quantity]:
    name = next(iter(folders))
    game, discount = settings[name].game, settings[name].agents.gamma
    learned, chance = first_agents_fit(folders[name], settings[name]), fit_extortion(random_policies(), game)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
    bins = np.linspace(0, 0.65, 40)
    for label, fit in (("learned shapers", learned), ("random policies", chance)):
        left.hist(np.asarray(fit.residual), bins=bins, alpha=0.6, label=label)
    left.set(xlabel="residual of the nearest extortion strategy", ylabel="policies")
    left.legend(frameon=False, fontsize=8)
    draw_family(right, {"learned shapers": learned, "random policies": chance}, game)
    for axis in (left, right):
        tidy(axis)
    figure.suptitle(f"Zero-determinant fit, discount {discount:g}", fontsize=10)
    save(figure, path)
    return [
        Quantity("residual, learned shapers", None, np.asarray(learned.residual), at_most=0.15),
        Quantity("residual, random policies", None, np.asarray(chance.residual)),
        Quantity("1 / chi, learned shapers (1: fair, 0: takes all)", None, 1 / np.asarray(learned.chi), at_most=0.5),
        Quantity("phi, learned shapers", None, np.asarray(learned.phi)),
    ]


# Figures 9 and 10


def group_run(start: str) -> dict[str, ExactIPD]:
    return {
        f"mixed-from-{start.replace('_', '-')}": adjust(SHAPING, first_policy=start, first_policy_scale=0.5, seeds=8)
    }


def draw_group(folders: Folders, settings: dict[str, ExactIPD], path: Path) -> list[Quantity]:
    name, folder = next(iter(folders.items()))
    draw_row(path, training_panels(folder), f"{name.replace('-', ' ')}: median and quartiles over seeds")
    moved = np.abs([final(folder, f"p_{s}") - metric(folder, f"p_{s}")[1][:, 0] for s in exact_ipd.OBSERVATIONS]).max(0)
    return [
        Quantity("reward meta against meta, first", None, metric(folder, "reward_vs_learner")[1][:, 0]),
        Quantity("reward meta against meta, at the end", None, final(folder, "reward_vs_learner"), at_least=0.8),
        Quantity("reward meta against naive, at the end", None, final(folder, "reward_vs_naive")),
        Quantity("largest move of a probability", None, moved),
    ]


def study(shows: str, source: str, minutes: float, runs: Callable[[], dict[str, ExactIPD]], draw: Draw) -> Study:
    """A figure whose runs have the published size in both presets, since that size takes seconds on two cores."""
    return Study(shows, source, {"quick": minutes, "paper": minutes}, lambda preset: runs(), draw)


STUDIES = {
    "meulemans-fig3": study(
        "Shaping from pure defection extorts naive learners; two shapers together, and mixed groups, cooperate",
        "Meulemans et al. 2025, figure 3",
        2.0,
        figure3_runs,
        draw_figure3,
    ),
    "meulemans-fig4": study(
        "LOLA: few look-aheads cooperate, many extort and defect, the naive gradient repairs it",
        "Meulemans et al. 2025, figure 4",
        3.0,
        figure4_runs,
        draw_figure4,
    ),
    "meulemans-fig8": study(
        "Learned shapers lie near the zero-determinant extortion family",
        "Meulemans et al. 2025, figure 8",
        0.5,
        figure8_runs,
        draw_figure8,
    ),
    "meulemans-fig9": study(
        "The mixed group leaves pure defection",
        "Meulemans et al. 2025, figure 9",
        0.5,
        partial(group_run, "always_defect"),
        draw_group,
    ),
    "meulemans-fig10": study(
        "The mixed group moves on from tit-for-tat",
        "Meulemans et al. 2025, figure 10",
        0.5,
        partial(group_run, "tit_for_tat"),
        draw_group,
    ),
}
