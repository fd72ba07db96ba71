"""What a run shows at its end: figures, and a table of the paper's numbers beside its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coplayer.analysis.evaluation import LEARNER, TABULAR
from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.experiments.evaluate import evaluate
from coplayer.figures import published
from coplayer.figures.panels import Line, draw
from coplayer.figures.parity import Quantity, table
from coplayer.games.matrix import prisoners_dilemma
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder

TIT_FOR_TAT = "tit_for_tat"


class Report(NamedTuple):
    """Where the results of a run are, and what they say."""

    figure: str
    table: str
    text: str


def over_training(folder: RunFolder, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(phases [P], values [seed, P]) of a per-phase metric, averaged over the learners."""
    rows = [row for row in folder.metrics() if name in row]
    require(bool(rows), f"{folder.path}: no phase is done yet")
    phases = sorted({row["phase"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    values = {(seed, phase): [] for seed in seeds for phase in phases}
    for row in rows:
        values[row["seed"], row["phase"]].append(row[name])
    return np.array(phases), np.array([[np.mean(values[seed, phase]) for phase in phases] for seed in seeds])


def training_lines(folder: RunFolder, *, compare: bool) -> list[Line]:
    """Figure 1A of Weis et al. 2026: both learners against each other and against the tabular pool, by phase.

    `compare`: with the published points, which are of the prisoner's dilemma.
    """
    lines = []
    for kind, label, panel in (
        ("learner", "against PPI", "ppi_vs_ppi"),
        ("tabular", "against tabular", "ppi_vs_tabular"),
    ):
        phases, reward = over_training(folder, f"reward_vs_{kind}")
        _, cooperation = over_training(folder, f"cooperation_vs_{kind}")
        points = {
            "reward": published.curve("1A", "reward_per_round", panel),
            "cooperation": published.curve("1A", "cooperation_rate", panel),
        }
        lines.append(Line(f"PPI {label}", phases, reward, cooperation, points if compare else None))
    return lines


def evaluation_lines(result: dict, phase: int | None) -> list[Line]:
    """One line an opponent: by round within the episodes of `phase`, or by phase where that is None."""
    lines = []
    for name in next(iter(result.values())):
        if phase is None:
            x = np.array(list(result))
            reward, cooperation = (
                np.stack([result[p][name][field].mean((1, 2)) for p in result], axis=1)
                for field in ("reward", "cooperation")
            )
        else:
            reward, cooperation = (result[phase][name][field].mean(1) for field in ("reward", "cooperation"))
            x = np.arange(1, reward.shape[-1] + 1)
        label = "the other learner" if name == LEARNER else name.replace("_", " ")
        lines.append(Line(label, x, reward, cooperation))
    return lines


def report(
    folder: RunFolder, *, phases: str, episodes: int, told: Callable[[int], None] = lambda phase: None
) -> Report:
    """Evaluate a run and write its figures and summary.md. `phases`: "last", "few" (about six, evenly), or "all"."""
    known = registry.phases(folder)
    require(bool(known), f"{folder.path}: no phase is done yet")
    chosen = {"last": known[-1:], "all": known, "few": sorted({*known[:: max(1, len(known) // 5)], known[-1]})}
    require(phases in chosen, f"phases: must be one of {', '.join(chosen)}, got {phases!r}")
    result = evaluate(folder, chosen[phases], episodes=episodes, told=told)
    module, config = registry.config_of(folder)
    compare = module.make_game(config) == prisoners_dilemma(config.rounds)
    count = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    title = f"{folder.path.name}: {count}, mean and one standard deviation"
    training, within, evaluation = (folder.figures / name for name in ("training", "within_episode", "evaluation"))
    draw(training, training_lines(folder, compare=compare), x_label="phase", title=title)
    draw(within, evaluation_lines(result, known[-1]), x_label="round", title=f"{title}; phase {known[-1]}")
    if len(result) > 1:
        draw(evaluation, evaluation_lines(result, None), x_label="phase", title=title)
    text = table(quantities(folder, result[known[-1]], compare=compare))
    write_atomically(folder.path / "summary.md", text.encode())
    return Report(str(training.with_suffix(".png")), str(folder.path / "summary.md"), text)


LAST_PHASES = 3  # what "at the end of training" means in the table
LATE = 0.4  # share of an episode's rounds that "late" means


def quantities(folder: RunFolder, final: dict, *, compare: bool) -> list[Quantity]:
    """The rows of the parity table, one value a seed: the mean over both learners, and over the last phases where it
    was measured in training. `final`: the evaluation of the last phase. `compare`: with the paper and its bounds.
    """

    def trained(label: str, name: str, curve: str, at_least: float | None = None) -> Quantity:
        """A metric of training beside the mean of the last points of its published curve."""
        metric = {"cooperation": "cooperation_rate", "reward": "reward_per_round"}[name.split("_")[0]]
        paper = float(published.curve("1A", metric, curve)[1][-5:].mean()) if compare else None
        ours = over_training(folder, name)[1][:, -LAST_PHASES:].mean(1)
        return Quantity(label, paper, ours, at_least if compare else None)

    def evaluated(
        label: str, opponent: str, field: str, at_least: float | None = None, *, late: bool = False
    ) -> Quantity:
        """A mean over the evaluation's episodes, over all rounds or the late ones."""
        values = final[opponent][field]
        first = round(values.shape[-1] * (1 - LATE)) if late else 0
        return Quantity(label, None, values[..., first:].mean((1, 2)), at_least if compare else None)

    rows = [
        trained("cooperation, learner against learner", "cooperation_vs_learner", "ppi_vs_ppi", 0.8),
        trained("reward, learner against learner", "reward_vs_learner", "ppi_vs_ppi"),
        trained("cooperation against tabular", "cooperation_vs_tabular", "ppi_vs_tabular"),
        trained("reward against tabular", "reward_vs_tabular", "ppi_vs_tabular"),
        evaluated("reward against fresh tabular, evaluated", TABULAR, "reward"),
    ]
    if TIT_FOR_TAT in final:
        rows += [
            evaluated("late cooperation with tit-for-tat", TIT_FOR_TAT, "cooperation", 0.8, late=True),
            evaluated("reward against always-cooperate", "always_cooperate", "reward", 1.95),
            evaluated("reward against always-defect", "always_defect", "reward", -0.1),
            evaluated("reward against win-stay-lose-shift", "win_stay_lose_shift", "reward"),
            evaluated("reward against generous tit-for-tat", "generous_tit_for_tat", "reward"),
        ]
    return rows
