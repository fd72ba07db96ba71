"""The sampled iterated prisoner's dilemma of Meulemans et al. 2025: figures 5 and 12, and COALA-PG against M-FOS."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.coala_ipd import LOLA_DICE, CoalaIPD
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.figures.panels import Band, BandPanel, draw_row
from coplayer.figures.parity import Quantity
from coplayer.play.rollout import play_match
from coplayer.reproduce.coala_figures import (
    COALA,
    METHODS,
    RIVALS,
    by_method,
    ended,
    in_names,
    label_of,
    of_pool,
    within_panels,
)
from coplayer.reproduce.exact_figures import ITERATION, REWARD, band
from coplayer.reproduce.gradient_balance import SWITCHES, balance
from coplayer.reproduce.studies import SPREAD, Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

Folders = dict[str, RunFolder]
Settings = dict[str, CoalaIPD]

SEEDS = {"quick": 5, "paper": 10}


# Figure 5


def figure5_runs(preset: str) -> Settings:
    """Each method with naive learners alone, and in the mixed pool; COALA-PG without naive learners too."""
    shaping, mixed, lola = coala_ipd.SHAPING[preset], coala_ipd.PRESETS[preset], coala_ipd.LOLA[preset]
    runs = {}
    for pool, plain in (("shaping", shaping), ("mixed", mixed)):
        meets = {"naive_share": plain.naive.naive_share, "meta_agents": plain.shaping.meta_agents}
        for method in METHODS:
            own = adjust(lola, **meets) if method == LOLA_DICE else adjust(plain, methods=(method,))
            runs[f"{pool}-{in_names(method)}-{preset}"] = adjust(own, seeds=SEEDS[preset])
    runs[f"mixed-no-naive-{preset}"] = adjust(mixed, naive_share=0.0, seeds=SEEDS[preset])
    return runs


def draw_figure5(folders: Folders, settings: Settings, path: Path) -> list[Quantity]:
    panels, rows = [], []
    shaping, mixed = of_pool(folders, "shaping"), of_pool(folders, "mixed")
    if shaping:
        bands = [band(folders[name], "reward_vs_naive", label_of(method)) for method, name in shaping.items()]
        panels.append(BandPanel("A  shaping naive learners", ITERATION, REWARD, bands, "deviation"))
        panels += within_panels(
            "B  within a meta-trajectory", [(folders[name], settings[name]) for name in shaping.values()]
        )
        rows += shaping_rows({method: folders[name] for method, name in shaping.items()})
    if mixed:
        labels = {name: label_of(method) for method, name in mixed.items()}
        labels |= {name: "COALA-PG, no naive learners" for name in folders if name.startswith("mixed-no-naive-")}
        cooperative = [mixed[method] for method in (COALA, LOLA_DICE) if method in mixed]
        bands = [band(folders[name], "reward_vs_learner", label) for name, label in labels.items()]
        panels.append(BandPanel("C  mixed pool: meta against meta", ITERATION, REWARD, bands, "deviation"))
        for name, label in labels.items():
            bound = {"at_least": 0.8} if name in cooperative else {"at_most": 0.4}
            met = ended(folders[name], "reward_vs_learner")
            rows += [
                Quantity(f"C: {label}, reward meta against meta", None, met, **bound),
                Quantity(f"C: {label}, cooperation", None, ended(folders[name], "cooperation_vs_learner")),
            ]
            if settings[name].naive.naive_share:
                alone = ended(folders[name], "reward_vs_naive")
                rows.append(Quantity(f"C: {label}, reward against naive learners", None, alone))
    draw_row(path, panels, f"Sampled iterated prisoner's dilemma\n{SPREAD}")
    return rows


def shaping_rows(folders: dict[str, RunFolder]) -> list[Quantity]:
    """What each method makes of naive learners, and COALA-PG's lead. Without shaping there is mutual defection."""
    rows = []
    for method, folder in folders.items():
        label, defects = label_of(method), {"at_most": 0.1} if method in RIVALS else {}
        for what, metric, bound in (
            ("reward against naive learners", "reward_vs_naive", {}),
            ("reward of the naive learners", "reward_of_naive", {}),
            ("cooperation", "cooperation_vs_naive", defects),
            ("cooperation of the naive learners", "cooperation_of_naive", {}),
        ):
            values, shown = ended(folder, metric), f"A: {label}, {what}"
            rows.append(Quantity(shown, None, values, **bound, of_method=(f"A: {what}", label)))
    for rival in RIVALS:
        if {COALA, rival} <= set(folders):
            lead = ended(folders[COALA], "reward_vs_naive") - ended(folders[rival], "reward_vs_naive")
            rows.append(Quantity(f"A: COALA-PG's lead over {label_of(rival)}", None, lead, at_least=0.5))
    return rows


# COALA-PG against M-FOS


PAIR = (COALA, "m_fos")
MATCHES = 64  # meta-trajectories of each pair of agents


def rivals_runs(preset: str) -> Settings:
    """Agents of COALA-PG and of M-FOS, with naive learners about."""
    return {f"coala-vs-mfos-{preset}": adjust(coala_ipd.RIVALRY[preset], seeds=SEEDS[preset])}


def against_each_other(folder: RunFolder, settings: CoalaIPD) -> np.ndarray:
    """Mean rewards per round of the last agents of one kind against those of the other, [method, seed]; of every pair,
    over whole meta-trajectories.
    """
    run, (ours, theirs), rewards = settings.run, by_method(settings).values(), []
    for seed in range(run.seed, run.seed + run.seeds):
        players = registry.load(folder.path, seed=seed)
        key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed)
        matches = [
            play_match(
                (players[i], players[j]),
                settings.game,
                jax.random.fold_in(key, i * len(players) + j),
                episodes=MATCHES,
                inner_episodes=settings.shaping.inner_episodes,
            )
            for i in ours
            for j in theirs
        ]
        rewards.append([np.mean([match.view(seat).rewards for match in matches]) for seat in range(2)])
    return np.array(rewards).T


def draw_rivals(folders: Folders, settings: Settings, path: Path) -> list[Quantity]:
    ((name, folder),) = folders.items()
    own = settings[name]

    def curves(metric: str) -> list[Band]:
        return [
            Band(label_of(method), *folder.over_training(metric, "iteration", learners=agents))
            for method, agents in by_method(own).items()
        ]

    panels = [
        BandPanel("meta against meta, all four", ITERATION, REWARD, curves("reward_vs_learner"), "deviation"),
        BandPanel("against naive learners", ITERATION, REWARD, curves("reward_vs_naive"), "deviation"),
    ]
    draw_row(path, panels, f"COALA-PG and M-FOS with naive learners: {SPREAD}")
    rows = []
    for method, paper, met in zip(PAIR, (0.850, 0.853), against_each_other(folder, own), strict=True):
        label = f"reward of {label_of(method)} against the other, after training"
        rows.append(Quantity(label, paper, met, at_least=0.8))
    for method, agents in by_method(own).items():
        for metric, whom in (("reward_vs_learner", "meta agents of both kinds"), ("reward_vs_naive", "naive learners")):
            met = ended(folder, metric, agents)
            rows.append(Quantity(f"reward of {label_of(method)} against {whom}", None, met))
    return rows


# Figure 12

REPLICAS = 2048  # played in blocks of the run's R
POINTS = 5  # of the training, evenly spread


def balance_runs(preset: str) -> Settings:
    """The mixed group of figure 5C."""
    name = f"mixed-{in_names(COALA)}-{preset}"
    return {name: figure5_runs(preset)[name]}


def balances(
    folder: RunFolder, settings: CoalaIPD, phases: list[int]
) -> dict[str, Float[np.ndarray, "seeds points 2"]]:
    """Ratios and their standard errors of the first agent of every seed at the ends of these phases, by estimator."""
    run, blocks, ratios = settings.run, max(3, REPLICAS // settings.shaping.replicas), []
    for seed in range(run.seed, run.seed + run.seeds):
        key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed)
        agents = [registry.load(folder.path, phase=phase, seed=seed)[0] for phase in phases]
        ratios.append([balance(settings, agent.network, key, blocks=blocks) for agent in agents])
    return {method: np.array([[at[method] for at in seed] for seed in ratios]) for method in SWITCHES}


def draw_balance(folders: Folders, settings: Settings, path: Path) -> list[Quantity]:
    """The balance over the training of the group."""
    ((name, folder),) = folders.items()
    own, run = settings[name], settings[name].run
    phases = sorted({max(1, round(run.phases * (point + 1) / POINTS)) for point in range(POINTS)})
    iterations = np.array(phases) * (run.iterations // run.phases)
    measured = balances(folder, own, phases)
    bands = [Band(label_of(method), iterations, both[..., 0]) for method, both in measured.items()]
    panel = BandPanel("mixed pool", ITERATION, "future over current part, norms", bands)
    draw_row(path, [panel], "Gradient balance: median and quartiles over seeds", log=True)
    rows = []
    for method, both in measured.items():
        values, errors, label = both[..., 0], both[..., 1], label_of(method)
        bound = {"at_least": 0.5, "at_most": 2.0} if method == COALA else {"at_most": 0.25}
        rows.append(Quantity(f"{label}: ratio, median over the training", None, np.nanmedian(values, axis=1), **bound))
        rows += [
            Quantity(f"{label}: ratio after {iteration} iterations", None, values[:, at])
            for at, iteration in enumerate(iterations)
        ]
        rows.append(
            Quantity(f"{label}: largest standard error over the ratio", None, np.nanmax(errors / values, axis=1))
        )
    return rows


STUDIES = {
    "meulemans-fig5": Study(
        "COALA-PG extorts naive learners and cooperates with its own kind in mixed pools; the baselines defect",
        "Meulemans et al. 2025, figure 5",
        {"quick": 310, "paper": None},
        figure5_runs,
        draw_figure5,
        parts=("shaping", "mixed", "shaping-coala", "mixed-coala", "mixed-lola-dice"),
    ),
    "coala-vs-mfos": Study(
        "COALA-PG and M-FOS, with naive learners about, cooperate with each other",
        "Meulemans et al. 2025, section 5",
        {"quick": 40, "paper": None},
        rivals_runs,
        draw_rivals,
    ),
    "meulemans-fig12": Study(
        "In COALA-PG's gradient future episodes weigh about as much as the current one; in the baselines' less",
        "Meulemans et al. 2025, figure 12",
        {"quick": 120, "paper": None},
        balance_runs,
        draw_balance,
    ),
}
