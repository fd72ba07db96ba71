"""The report of a run: figures, and a table of the paper's numbers beside the run's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coplayer.analysis.evaluation import FROZEN, LEARNER, TABULAR
from coplayer.analysis.signature import LATE
from coplayer.errors import require
from coplayer.experiments import coala_ipd, exact_ipd, registry
from coplayer.experiments.evaluate import Measured, Results, evaluate
from coplayer.figures import published
from coplayer.figures.panels import Line, Panels, draw
from coplayer.figures.parity import Quantity, table
from coplayer.figures.published import Bound, Panel
from coplayer.figures.signatures import draw_signatures
from coplayer.games.game import Game
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.reproduce import coala_figures, exact_figures
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder

TIT_FOR_TAT = "tit_for_tat"
OPPONENT_LABELS = {LEARNER: "the other learner", FROZEN: "the frozen player"}
COOPERATION = ("cooperation",)  # the measures of a matrix game
MORE_FIGURES: dict[str, dict[str, Callable[[RunFolder, Any, Path], None]]] = {
    exact_ipd.NAME: {"policy": exact_figures.draw_run},
    coala_ipd.NAME: {"within_meta_trajectory": coala_figures.draw_run},
}
"""Figures of one experiment alone, by the experiment's name and the figure's. Each is drawn from a run folder and its
settings, to a path without suffix. An experiment of one's own may have an entry too.
"""


class Report(NamedTuple):
    """Where the results of a run are, and what they say."""

    figure: str
    table: str
    text: str


KINDS = ("learner", "tabular", "frozen", "naive")  # of co-players, as they are reported; others follow by name


def measured_last(folder: RunFolder) -> set[str]:
    """The names of all that was measured in the last phase of training."""
    rows = folder.metrics()
    last = max((row["phase"] for row in rows), default=0)
    return set().union(*(row for row in rows if row["phase"] == last))


def sides(folder: RunFolder, measures: tuple[str, ...] = COOPERATION) -> list[str]:
    """The sides whose rewards were measured in the last phase of training, together with the first of the game's
    measures. They are the learners' sides against each kind of co-player. Where the learners do not meet each other,
    their co-players' sides come too.
    """
    measured, metrics = measured_last(folder), ("reward", *measures[:1])
    found = [name.removeprefix("reward_") for name in measured if name.startswith(("reward_vs_", "reward_of_"))]
    return sorted((side for side in found if {f"{metric}_{side}" for metric in metrics} <= measured), key=side_place)


def side_place(side: str) -> tuple:
    """Where a side stands among others, such as "vs_tabular" before "of_tabular"."""
    preposition, _, kind = side.partition("_")
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), kind, preposition != "vs")


def learners_meet(folder: RunFolder) -> bool:
    """Whether the learners met each other in the last phase of training."""
    return "reward_vs_learner" in measured_last(folder)


def repetitions(folder: RunFolder, name: str, x: str = "phase") -> tuple[np.ndarray, np.ndarray]:
    """The points of x and a metric's values `[repetition, point]`. A repetition is a seed, with the mean of its
    learners. Where the learners never meet, each of them is a repetition.
    """
    if learners_meet(folder):
        return folder.over_training(name, x)
    learners = sorted({row["learner"] for row in folder.metrics()})
    by_learner = [folder.over_training(name, x, learners=[learner]) for learner in learners]
    return by_learner[0][0], np.concatenate([values for _, values in by_learner])


def evaluated(folder: RunFolder, values: np.ndarray) -> np.ndarray:
    """An evaluation's values `[seed, learner, ...]` as `[repetition, ...]` (see `repetitions`)."""
    if learners_meet(folder):
        return values.mean(1)
    return np.concatenate(list(values.swapaxes(0, 1)))


def training_lines(
    folder: RunFolder, panel: Panel, *, compare: bool, measures: tuple[str, ...] = COOPERATION
) -> list[Line]:
    """The learners against each kind of co-player, over training. `compare`: beside the published points of Weis et al.
    2026, which are of the prisoner's dilemma.
    """
    lines, measured = [], measured_last(folder)
    for side in sides(folder, measures):
        metrics = [metric for metric in ("reward", *measures) if f"{metric}_{side}" in measured]
        x, _ = repetitions(folder, f"reward_{side}", panel.x)
        values = {metric: repetitions(folder, f"{metric}_{side}", panel.x)[1] for metric in metrics}
        points = published_points(panel.name, panel.curves[side]) if compare and side in panel.curves else None
        lines.append(Line(side_label(panel, side), x, values, points))
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
    preposition, kind = side.split("_", 1)
    other = {"learner": panel.label, "frozen": "frozen agent"}.get(kind, kind.replace("_", " "))
    return f"{panel.label} against {other}" if preposition == "vs" else f"{other} against {panel.label}"


def opponent_label(name: str) -> str:
    """An opponent of the evaluation in words."""
    return OPPONENT_LABELS.get(name, name.replace("_", " "))


def evaluation_lines(
    folder: RunFolder, result: Results, phase: int | None, measures: tuple[str, ...] = COOPERATION
) -> list[Line]:
    """One line per opponent: by round within the episodes of `phase`, or, where that is None, by phase."""
    lines = []
    for name in next(iter(result.values())):
        if phase is None:
            x = np.array(list(result))
            values = {
                metric: np.stack([evaluated(folder, result[p][name][metric]).mean(-1) for p in result], axis=1)
                for metric in ("reward", *measures)
            }
        else:
            values = {metric: evaluated(folder, result[phase][name][metric]) for metric in ("reward", *measures)}
            x = np.arange(1, values["reward"].shape[-1] + 1)
        lines.append(Line(opponent_label(name), x, values))
    return lines


def choose_phases(folder: RunFolder, phases: str) -> list[int]:
    """The phases that are meant by "last", "few" (about six, evenly), or "all"."""
    known = folder.phases()
    require(bool(known), f"{folder.path}: no phase is done yet")
    chosen = {"last": known[-1:], "all": known, "few": sorted({*known[:: max(1, len(known) // 5)], known[-1]})}
    require(phases in chosen, f"phases: must be one of {', '.join(chosen)}, got {phases!r}")
    return chosen[phases]


def report(
    folder: RunFolder, *, phases: str, episodes: int, on_phase: Callable[[int], None] = lambda phase: None
) -> Report:
    """Evaluate a run and write its figures and summary.md. `phases`: see `choose_phases`.

    Runs of games of more than two players are reported without an evaluation.
    """
    experiment, settings = registry.settings_of_folder(folder)
    chosen = choose_phases(folder, phases)
    game, seeds = settings.game, settings.run.seeds
    result = (
        evaluate(folder, chosen, episodes=episodes, on_phase=on_phase) if game.num_players == 2 else {chosen[-1]: {}}
    )
    panel = experiment.panel(settings)
    title = f"{folder.path.name}: {seeds} seed{'s' if seeds > 1 else ''}, mean and one standard deviation"
    training = folder.figures / "training"
    lines = training_lines(folder, panel, compare=comparable(game), measures=game.measures)
    if lines:
        draw(training, [[Panels("", panel.x, lines)]], title)
    if result[chosen[-1]]:
        draw_evaluation(folder, result, game, title)
    for name, draw_figure in MORE_FIGURES.get(experiment.NAME, {}).items():
        draw_figure(folder, settings, folder.figures / name)
    text = table(quantities(folder, panel, game, result[chosen[-1]]))
    write_atomically(folder.path / "summary.md", text.encode())
    return Report(str(training.with_suffix(".png")), str(folder.path / "summary.md"), text)


def comparable(game: Game) -> bool:
    """Whether a run's numbers can stand beside those of Weis et al. 2026, which are of the prisoner's dilemma."""
    return game == prisoners_dilemma(game.rounds)


def quantities(folder: RunFolder, panel: Panel, game: Game, final: Mapping[str, Measured]) -> list[Quantity]:
    """The rows of a run's table. `final`: the evaluation of the last agents, if there is one."""
    how = {"compare": comparable(game), "measures": game.measures}
    return training_quantities(folder, panel, **how) + evaluation_quantities(folder, panel, final, **how)


def draw_evaluation(folder: RunFolder, result: Results, game: Game, title: str) -> None:
    """Draw the agents within an episode, over the phases where there are several, and their signatures where the game
    is a matrix game.
    """
    within, evaluation, signature = (folder.figures / name for name in ("within_episode", "evaluation", "signature"))
    last, measures = max(result), game.measures
    draw(within, [[Panels("", "round", evaluation_lines(folder, result, last, measures))]], f"{title}; phase {last}")
    if len(result) > 1:
        draw(evaluation, [[Panels("", "phase", evaluation_lines(folder, result, None, measures))]], title)
    if isinstance(game, MatrixGame):
        heading = f"P(cooperate) after what, early and late, phase {last}; {title.partition(',')[0]}"
        draw_signatures(signature, result[last], game=game, title=heading)


SIDE_WORDS = {
    "vs_learner": ", learner against learner",
    "vs_tabular": " against tabular",
    "of_tabular": " of the tabular players",
    "vs_frozen": " against the frozen player",
    "of_frozen": " of the frozen player",
    "vs_naive": " against naive learners",
    "of_naive": " of the naive learners",
}


def side_in_words(side: str) -> str:
    """Whose a number of the table is, such as " of the tabular players"."""
    preposition, kind = side.split("_", 1)
    other = f" {'against' if preposition == 'vs' else 'of'} {kind.replace('_', ' ')}"
    return SIDE_WORDS.get(side, other)


LAST_PHASES = 3  # what "at the end of training" means in the table
PUBLISHED_END = 0.15  # the same of a published curve: this part of its axis


def training_quantities(
    folder: RunFolder, panel: Panel, *, compare: bool, measures: tuple[str, ...] = COOPERATION
) -> list[Quantity]:
    """The rows of the table that were measured in training: means over the last phases, one value per repetition (see
    `repetitions`). `compare`: beside the paper's values and bounds.
    """
    measured = measured_last(folder)

    def trained(label: str, metric: str, side: str) -> Quantity:
        """A metric of training beside the mean over the end of its published curve, if there is one."""
        points = published_points(panel.name, panel.curves[side]) if compare and side in panel.curves else {}
        paper = at_the_end(*points[metric]) if metric in points else None
        ours = repetitions(folder, f"{metric}_{side}")[1][:, -LAST_PHASES:].mean(1)
        return bounded(panel, label, f"{metric}_{side}", paper, ours, compare=compare)

    return [
        trained(f"{metric.replace('_', ' ')}{side_in_words(side)}", metric, side)
        for side in sides(folder, measures)
        for metric in (*measures, "reward")
        if f"{metric}_{side}" in measured
    ]


def at_the_end(x: np.ndarray, y: np.ndarray) -> float:
    """The mean of a published curve's last points."""
    return float(y[x > (1 - PUBLISHED_END) * x.max()].mean())


def bounded(
    panel: Panel, label: str, key: str, paper: float | None, ours: np.ndarray, *, compare: bool = True
) -> Quantity:
    """A row with the bound that the panel has for it, if any."""
    bound = panel.bounds.get(key, Bound()) if compare else Bound()
    return Quantity(label, paper, ours, bound.at_least, bound.at_most)


def measured_of_both(measures: tuple[str, ...]) -> list[str]:
    """The fields of an evaluation's curves: a player's reward and measures, then those of its co-player."""
    own = ["reward", *measures]
    return own + [f"other_{name}" for name in own]


def in_words(field: str, opponent: str) -> str:
    """A field of an evaluation's curves in words."""
    own = field.removeprefix("other_")
    label = "fresh tabular" if opponent == TABULAR else opponent_label(opponent)
    return f"{own.replace('_', ' ')} {'against' if own == field else 'of'} {label}, evaluated"


def evaluation_quantities(
    folder: RunFolder,
    panel: Panel,
    final: Mapping[str, Measured],
    *,
    compare: bool,
    measures: tuple[str, ...] = COOPERATION,
) -> list[Quantity]:
    """The rows of the table that come of playing the agents of the last phase, whose evaluation is `final`."""

    def row(label: str, key: str, ours: np.ndarray) -> Quantity:
        return bounded(panel, label, key, None, ours, compare=compare)

    def met(label: str, opponent: str, field: str, *, late: bool = False) -> Quantity:
        """A mean over the evaluation's episodes, over all rounds or the late ones."""
        values = evaluated(folder, final[opponent][field])
        first = min(round(values.shape[-1] * (1 - LATE)), values.shape[-1] - 1) if late else 0
        return row(label, f"{'late_' if late else ''}{field}/{opponent}", values[..., first:].mean(-1))

    if TIT_FOR_TAT in final:
        rows = [
            met("reward against fresh tabular, evaluated", TABULAR, "reward"),
            met("late cooperation with tit-for-tat", TIT_FOR_TAT, "cooperation", late=True),
            met("reward against always-cooperate", "always_cooperate", "reward"),
            met("reward against always-defect", "always_defect", "reward"),
            met("reward against win-stay-lose-shift", "win_stay_lose_shift", "reward"),
            met("reward against generous tit-for-tat", "generous_tit_for_tat", "reward"),
        ]
    else:
        rows = [
            met(in_words(field, name), name, field)
            for name in final
            for field in measured_of_both(measures)[: None if name != LEARNER else 1 + len(measures)]
        ]
    if FROZEN in final:
        line = {field: evaluated(folder, final[FROZEN][field]) for field in ("share", "slope", "correlation")}
        rows += [
            row("share of the reward against the frozen player", "share/frozen", line["share"]),
            row("slope of own reward on the frozen player's, by episode", "slope/frozen", line["slope"]),
            row("correlation of both rewards, by episode", "correlation/frozen", line["correlation"]),
        ]
    return rows
