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
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder


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


def training_lines(folder: RunFolder) -> list[Line]:
    """Figure 1A of Weis et al. 2026: both learners against each other and against the tabular pool, by phase."""
    lines = []
    for kind, label, panel in (
        ("learner", "PPI against PPI", "ppi_vs_ppi"),
        ("tabular", "PPI against tabular", "ppi_vs_tabular"),
    ):
        phases, reward = over_training(folder, f"reward_vs_{kind}")
        _, cooperation = over_training(folder, f"cooperation_vs_{kind}")
        points = {
            "reward": published.curve("1A", "reward_per_round", panel),
            "cooperation": published.curve("1A", "cooperation_rate", panel),
        }
        lines.append(Line(label, phases, reward, cooperation, points))
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
    folder: RunFolder, *, phases: str = "few", episodes: int = 128, told: Callable[[int], None] = lambda phase: None
) -> Report:
    """Evaluate a run and write its figures and summary.md. `phases`: "last", "few" (about six, evenly), or "all"."""
    known = registry.phases(folder)
    require(bool(known), f"{folder.path}: no phase is done yet")
    chosen = {"last": known[-1:], "all": known, "few": sorted({*known[:: max(1, len(known) // 5)], known[-1]})}
    require(phases in chosen, f"phases: must be one of {', '.join(chosen)}, got {phases!r}")
    result = evaluate(folder, chosen[phases], episodes=episodes, told=told)
    last = known[-1]
    seeds = len(next(iter(result[last].values()))["reward"])
    title = f"{folder.path.name}: {seeds} seed{'s' if seeds > 1 else ''}, mean and one standard deviation"
    folder.figures.mkdir(exist_ok=True)
    draw(folder.figures / "training", training_lines(folder), x_label="phase", title=title)
    draw(
        folder.figures / "within_episode",
        evaluation_lines(result, last),
        x_label="round",
        title=f"{title}; phase {last}",
    )
    if len(result) > 1:
        draw(folder.figures / "evaluation", evaluation_lines(result, None), x_label="phase", title=title)
    text = table(quantities(folder, result[last]))
    write_atomically(folder.path / "summary.md", text.encode())
    return Report(str(folder.figures / "training.png"), str(folder.path / "summary.md"), text)


def quantities(folder: RunFolder, final: dict) -> list[Quantity]:
    """The rows of the parity table. Ours: the mean over learners and over the last three phases, one value a seed."""

    def trained(name: str) -> np.ndarray:
        return over_training(folder, name)[1][:, -3:].mean(1)

    def evaluated(opponent: str, field: str, rounds: slice = slice(None)) -> np.ndarray:
        return final[opponent][field][..., rounds].mean((1, 2))

    def paper(panel: str, metric: str, name: str, last: int = 5) -> float:
        return float(published.curve(panel, metric, name)[1][-last:].mean())

    length = final[LEARNER]["reward"].shape[-1]
    late = slice(-max(1, length * 2 // 5), None)
    return [
        Quantity(
            "cooperation, learner against learner",
            paper("1A", "cooperation_rate", "ppi_vs_ppi"),
            trained("cooperation_vs_learner"),
            at_least=0.8,
        ),
        Quantity(
            "reward, learner against learner",
            paper("1A", "reward_per_round", "ppi_vs_ppi"),
            trained("reward_vs_learner"),
        ),
        Quantity(
            "cooperation against tabular",
            paper("1A", "cooperation_rate", "ppi_vs_tabular"),
            trained("cooperation_vs_tabular"),
        ),
        Quantity(
            "reward against tabular", paper("1A", "reward_per_round", "ppi_vs_tabular"), trained("reward_vs_tabular")
        ),
        Quantity(
            "cooperation with tit-for-tat, last 40% of rounds",
            None,
            evaluated("tit_for_tat", "cooperation", late),
            at_least=0.8,
        ),
        Quantity("reward against always-cooperate", None, evaluated("always_cooperate", "reward"), at_least=1.95),
        Quantity("reward against always-defect", None, evaluated("always_defect", "reward"), at_least=-0.1),
        Quantity("reward against win-stay-lose-shift", None, evaluated("win_stay_lose_shift", "reward")),
        Quantity("reward against generous tit-for-tat", None, evaluated("generous_tit_for_tat", "reward")),
        Quantity("reward against fresh tabular, evaluated", None, evaluated(TABULAR, "reward")),
    ]
