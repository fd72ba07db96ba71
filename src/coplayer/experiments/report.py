"""What a run shows at its end: figures, and a table of the paper's numbers beside its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coplayer.analysis.evaluation import LEARNER, TABULAR
from coplayer.analysis.signature import LATE
from coplayer.errors import require
from coplayer.experiments import exact_figures, exact_ipd, registry
from coplayer.experiments.evaluate import evaluate
from coplayer.figures import published
from coplayer.figures.panels import Line, draw
from coplayer.figures.parity import Quantity, table
from coplayer.figures.published import Panel
from coplayer.figures.signatures import draw_signatures
from coplayer.games.matrix import prisoners_dilemma
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder

TIT_FOR_TAT = "tit_for_tat"
MORE_FIGURES = {exact_ipd.NAME: {"policy": exact_figures.draw_run}}  # of one experiment alone


class Report(NamedTuple):
    """Where the results of a run are, and what they say."""

    figure: str
    table: str
    text: str


def kinds(folder: RunFolder) -> list[str]:
    """The kinds of co-player whose rewards and cooperation were measured in training: "learner" and, unless there are
    none, "tabular"."""
    measured = set().union(*folder.metrics())
    return [kind for kind in ("learner", "tabular") if f"reward_vs_{kind}" in measured]


def training_lines(folder: RunFolder, panel: Panel, *, compare: bool) -> list[Line]:
    """Figure 1A or 1B of Weis et al. 2026: both learners against each other and against the tabular pool, over
    training. `compare`: with the published points, which are of the prisoner's dilemma.
    """
    lines = []
    for kind in kinds(folder):
        x, reward = folder.over_training(f"reward_vs_{kind}", panel.x)
        _, cooperation = folder.over_training(f"cooperation_vs_{kind}", panel.x)
        points = None
        if compare and kind in panel.curves:
            points = {
                "reward": published.curve(panel.name, "reward_per_round", panel.curves[kind]),
                "cooperation": published.curve(panel.name, "cooperation_rate", panel.curves[kind]),
            }
        against = panel.label if kind == "learner" else kind
        lines.append(Line(f"{panel.label} against {against}", x, reward, cooperation, points))
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


def choose_phases(folder: RunFolder, phases: str) -> list[int]:
    """The phases that are meant by "last", "few" (about six, evenly), or "all"."""
    known = folder.phases()
    require(bool(known), f"{folder.path}: no phase is done yet")
    chosen = {"last": known[-1:], "all": known, "few": sorted({*known[:: max(1, len(known) // 5)], known[-1]})}
    require(phases in chosen, f"phases: must be one of {', '.join(chosen)}, got {phases!r}")
    return chosen[phases]


def report(
    folder: RunFolder, *, phases: str, episodes: int, told: Callable[[int], None] = lambda phase: None
) -> Report:
    """Evaluate a run and write its figures and summary.md. `phases`: see `choose_phases`."""
    chosen = choose_phases(folder, phases)
    result = evaluate(folder, chosen, episodes=episodes, told=told)
    module, config = registry.config_of(folder)
    compare = bool(module.PANEL.curves) and module.make_game(config) == prisoners_dilemma(config.rounds)
    count = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    title = f"{folder.path.name}: {count}, mean and one standard deviation"
    training, within, evaluation = (folder.figures / name for name in ("training", "within_episode", "evaluation"))
    draw(training, training_lines(folder, module.PANEL, compare=compare), x_label=module.PANEL.x, title=title)
    draw(within, evaluation_lines(result, chosen[-1]), x_label="round", title=f"{title}; phase {chosen[-1]}")
    if len(result) > 1:
        draw(evaluation, evaluation_lines(result, None), x_label="phase", title=title)
    draw_signatures(
        folder.figures / "signature",
        result[chosen[-1]],
        num_actions=module.make_game(config).num_actions,
        title=f"P(cooperate) after what, early and late, phase {chosen[-1]}; {title.partition(',')[0]}",
    )
    for name, draw_figure in MORE_FIGURES.get(module.NAME, {}).items():
        draw_figure(folder, config, folder.figures / name)
    text = table(quantities(folder, module.PANEL, result[chosen[-1]], compare=compare))
    write_atomically(folder.path / "summary.md", text.encode())
    return Report(str(training.with_suffix(".png")), str(folder.path / "summary.md"), text)


LAST_PHASES = 3  # what "at the end of training" means in the table


def quantities(folder: RunFolder, panel: Panel, final: dict, *, compare: bool) -> list[Quantity]:
    """The rows of the parity table, one value a seed: the mean over both learners, and over the last phases where it
    was measured in training. `final`: the evaluation of the last phase. `compare`: with the paper and its bounds.
    """

    def trained(label: str, metric: str, kind: str, at_least: float | None = None) -> Quantity:
        """A metric of training beside the mean of the last points of its published curve, if there is one."""
        curve = {"cooperation": "cooperation_rate", "reward": "reward_per_round"}[metric]
        known = compare and kind in panel.curves
        paper = float(published.curve(panel.name, curve, panel.curves[kind])[1][-5:].mean()) if known else None
        ours = folder.over_training(f"{metric}_vs_{kind}")[1][:, -LAST_PHASES:].mean(1)
        return Quantity(label, paper, ours, at_least if compare else None)

    def evaluated(
        label: str, opponent: str, field: str, at_least: float | None = None, *, late: bool = False
    ) -> Quantity:
        """A mean over the evaluation's episodes, over all rounds or the late ones."""
        values = final[opponent][field]
        first = round(values.shape[-1] * (1 - LATE)) if late else 0
        return Quantity(label, None, values[..., first:].mean((1, 2)), at_least if compare else None)

    rows = [
        trained("cooperation, learner against learner", "cooperation", "learner", 0.8),
        trained("reward, learner against learner", "reward", "learner"),
    ]
    if "tabular" in kinds(folder):
        rows += [
            trained("cooperation against tabular", "cooperation", "tabular"),
            trained("reward against tabular", "reward", "tabular"),
        ]
    rows.append(evaluated("reward against fresh tabular, evaluated", TABULAR, "reward"))
    if TIT_FOR_TAT in final:
        rows += [
            evaluated("late cooperation with tit-for-tat", TIT_FOR_TAT, "cooperation", 0.8, late=True),
            evaluated("reward against always-cooperate", "always_cooperate", "reward", 1.95),
            evaluated("reward against always-defect", "always_defect", "reward", -0.1),
            evaluated("reward against win-stay-lose-shift", "win_stay_lose_shift", "reward"),
            evaluated("reward against generous tit-for-tat", "generous_tit_for_tat", "reward"),
        ]
    return rows
