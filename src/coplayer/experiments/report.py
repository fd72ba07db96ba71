"""What a run shows at its end: figures, and a table of the paper's numbers beside its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from coplayer.analysis.evaluation import FROZEN, LEARNER, TABULAR
from coplayer.analysis.signature import LATE
from coplayer.errors import require
from coplayer.experiments import coala_figures, coala_ipd, exact_figures, exact_ipd, registry
from coplayer.experiments.evaluate import evaluate
from coplayer.figures import published
from coplayer.figures.panels import Line, Pair, draw
from coplayer.figures.parity import Quantity, table
from coplayer.figures.published import Bound, Panel
from coplayer.figures.signatures import draw_signatures
from coplayer.games.matrix import prisoners_dilemma
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder

TIT_FOR_TAT = "tit_for_tat"
OPPONENT_LABELS = {LEARNER: "the other learner", FROZEN: "the frozen player"}
MORE_FIGURES = {  # of one experiment alone
    exact_ipd.NAME: {"policy": exact_figures.draw_run},
    coala_ipd.NAME: {"within_meta_trajectory": coala_figures.draw_run},
}


class Report(NamedTuple):
    """Where the results of a run are, and what they say."""

    figure: str
    table: str
    text: str


KINDS = ("tabular", "frozen", "naive")  # of co-players, beside the learners themselves
SIDES = ("vs_learner", *(f"{side}_{kind}" for kind in KINDS for side in ("vs", "of")))  # of matches in training


def sides(folder: RunFolder) -> list[str]:
    """Whose rewards and cooperation were measured in the last phase of training: the learners' against whom, and where
    they do not meet each other their co-players' too.
    """
    rows = folder.metrics()
    last = max((row["phase"] for row in rows), default=0)
    measured = set().union(*(row for row in rows if row["phase"] == last))
    return [side for side in SIDES if {f"reward_{side}", f"cooperation_{side}"} <= measured]


def repetitions(folder: RunFolder, name: str, x: str = "phase") -> tuple[np.ndarray, np.ndarray]:
    """The points of x and a metric's values `[repetition, point]`. A repetition is a seed, with the mean of its
    learners; where the learners never meet, each of them is one.
    """
    if "vs_learner" in sides(folder):
        return folder.over_training(name, x)
    learners = sorted({row["learner"] for row in folder.metrics()})
    by_learner = [folder.over_training(name, x, learners=[learner]) for learner in learners]
    return by_learner[0][0], np.concatenate([values for _, values in by_learner])


def evaluated(folder: RunFolder, values: np.ndarray) -> np.ndarray:
    """The same of an evaluation's values `[seed, learner, ...]`."""
    if "vs_learner" in sides(folder):
        return values.mean(1)
    return np.concatenate(list(values.swapaxes(0, 1)))


def training_lines(folder: RunFolder, panel: Panel, *, compare: bool) -> list[Line]:
    """A panel of Weis et al. 2026: the learners against each kind of co-player, over training. `compare`: with the
    published points, which are of the prisoner's dilemma.
    """
    lines = []
    for side in sides(folder):
        x, reward = repetitions(folder, f"reward_{side}", panel.x)
        _, cooperation = repetitions(folder, f"cooperation_{side}", panel.x)
        points = published_points(panel.name, panel.curves[side]) if compare and side in panel.curves else None
        lines.append(Line(side_label(panel, side), x, reward, cooperation, points))
    return lines


def published_points(panel: str, curve: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The published points of one curve, of reward and cooperation where there are any."""
    metrics = {"reward": "reward_per_round", "cooperation": "cooperation_rate"}
    return {
        name: published.curve(panel, metric, curve)
        for name, metric in metrics.items()
        if published.has_curve(panel, metric, curve)
    }


def side_label(panel: Panel, side: str) -> str:
    """For example "PPI against tabular"."""
    preposition, kind = side.split("_")
    other = {"learner": panel.label, "frozen": f"frozen {panel.label}"}.get(kind, kind)
    return f"{panel.label} against {other}" if preposition == "vs" else f"{other} against {panel.label}"


def evaluation_lines(folder: RunFolder, result: dict, phase: int | None) -> list[Line]:
    """One line an opponent: by round within the episodes of `phase`, or by phase where that is None."""
    lines = []
    for name in next(iter(result.values())):
        if phase is None:
            x = np.array(list(result))
            reward, cooperation = (
                np.stack([evaluated(folder, result[p][name][field]).mean(-1) for p in result], axis=1)
                for field in ("reward", "cooperation")
            )
        else:
            reward, cooperation = (evaluated(folder, result[phase][name][field]) for field in ("reward", "cooperation"))
            x = np.arange(1, reward.shape[-1] + 1)
        lines.append(Line(OPPONENT_LABELS.get(name, name.replace("_", " ")), x, reward, cooperation))
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
    panel = module.panel(config)
    compare = module.make_game(config) == prisoners_dilemma(config.rounds)
    count = f"{config.seeds} seed{'s' if config.seeds > 1 else ''}"
    title = f"{folder.path.name}: {count}, mean and one standard deviation"
    training, within, evaluation = (folder.figures / name for name in ("training", "within_episode", "evaluation"))
    draw(training, [[Pair("", panel.x, training_lines(folder, panel, compare=compare))]], title)
    draw(within, [[Pair("", "round", evaluation_lines(folder, result, chosen[-1]))]], f"{title}; phase {chosen[-1]}")
    if len(result) > 1:
        draw(evaluation, [[Pair("", "phase", evaluation_lines(folder, result, None))]], title)
    draw_signatures(
        folder.figures / "signature",
        result[chosen[-1]],
        num_actions=module.make_game(config).num_actions,
        title=f"P(cooperate) after what, early and late, phase {chosen[-1]}; {title.partition(',')[0]}",
    )
    for name, draw_figure in MORE_FIGURES.get(module.NAME, {}).items():
        draw_figure(folder, config, folder.figures / name)
    rows = training_quantities(folder, panel, compare=compare)
    rows += evaluation_quantities(folder, panel, result[chosen[-1]], compare=compare)
    text = table(rows)
    write_atomically(folder.path / "summary.md", text.encode())
    return Report(str(training.with_suffix(".png")), str(folder.path / "summary.md"), text)


SIDE_WORDS = {
    "vs_learner": ", learner against learner",
    "vs_tabular": " against tabular",
    "of_tabular": " of the tabular players",
    "vs_frozen": " against the frozen player",
    "of_frozen": " of the frozen player",
    "vs_naive": " against naive learners",
    "of_naive": " of the naive learners",
}
LAST_PHASES = 3  # what "at the end of training" means in the table


def training_quantities(folder: RunFolder, panel: Panel, *, compare: bool) -> list[Quantity]:
    """The rows of the parity table that were measured in training, one value a repetition (see `repetitions`): the mean
    over the last phases. `compare`: with the paper and its bounds.
    """

    def trained(label: str, metric: str, side: str) -> Quantity:
        """A metric of training beside the mean of the last points of its published curve, if there is one."""
        points = published_points(panel.name, panel.curves[side]) if compare and side in panel.curves else {}
        paper = float(points[metric][1][-5:].mean()) if metric in points else None
        ours = repetitions(folder, f"{metric}_{side}")[1][:, -LAST_PHASES:].mean(1)
        return bounded(panel, label, f"{metric}_{side}", paper, ours, compare=compare)

    return [
        trained(f"{metric}{SIDE_WORDS[side]}", metric, side)
        for side in sides(folder)
        for metric in ("cooperation", "reward")
    ]


def bounded(
    panel: Panel, label: str, key: str, paper: float | None, ours: np.ndarray, *, compare: bool = True
) -> Quantity:
    """A row with the bound that the panel has for it, if any."""
    bound = panel.bounds.get(key, Bound()) if compare else Bound()
    return Quantity(label, paper, ours, bound.at_least, bound.at_most)


def evaluation_quantities(folder: RunFolder, panel: Panel, final: dict, *, compare: bool) -> list[Quantity]:
    """The rows of the parity table that come of playing the agents of the last phase, whose evaluation is `final`."""

    def row(label: str, key: str, ours: np.ndarray) -> Quantity:
        return bounded(panel, label, key, None, ours, compare=compare)

    def met(label: str, opponent: str, field: str, *, late: bool = False) -> Quantity:
        """A mean over the evaluation's episodes, over all rounds or the late ones."""
        values = evaluated(folder, final[opponent][field])
        first = min(round(values.shape[-1] * (1 - LATE)), values.shape[-1] - 1) if late else 0
        return row(label, f"{'late_' if late else ''}{field}/{opponent}", values[..., first:].mean(-1))

    rows = [met("reward against fresh tabular, evaluated", TABULAR, "reward")]
    if TIT_FOR_TAT in final:
        rows += [
            met("late cooperation with tit-for-tat", TIT_FOR_TAT, "cooperation", late=True),
            met("reward against always-cooperate", "always_cooperate", "reward"),
            met("reward against always-defect", "always_defect", "reward"),
            met("reward against win-stay-lose-shift", "win_stay_lose_shift", "reward"),
            met("reward against generous tit-for-tat", "generous_tit_for_tat", "reward"),
        ]
    if FROZEN in final:
        line = {field: evaluated(folder, final[FROZEN][field]) for field in ("share", "slope", "correlation")}
        rows += [
            row("share of the reward against the frozen player", "share/frozen", line["share"]),
            row("slope of own reward on the frozen player's, by episode", "slope/frozen", line["slope"]),
            row("correlation of both rewards, by episode", "correlation/frozen", line["correlation"]),
        ]
    return rows
