"""Figures 1 to 4 of Weis et al. 2026: the runs of each, its panels in the paper's arrangement, and its numbers.

Points are published of figures 1, 2 and 4. Bounds, from the paper's text, are in `panel` of each experiment.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from coplayer.analysis.evaluation import FROZEN, LEARNER, TABULAR
from coplayer.experiments import a2c_mixed, ppi_mixed
from coplayer.experiments.evaluate import evaluate
from coplayer.figures.panels import Line, Panels, draw
from coplayer.figures.parity import Quantity
from coplayer.figures.published import Panel
from coplayer.reproduce.report import (
    TIT_FOR_TAT,
    evaluated,
    evaluation_quantities,
    opponent_label,
    published_points,
    training_lines,
    training_quantities,
)
from coplayer.reproduce.studies import SPREAD, Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

EXPERIMENTS = {"ppi": ppi_mixed, "a2c": a2c_mixed}  # the paper's two, not all that are registered
SEEDS = {"quick": 5, "paper": 10}
EPISODES = 128  # for each learner and opponent, where agents are evaluated
SHOWN = {"ppi": 8, "a2c": 70_000}  # the phase and the iteration that figure 3 looks at
WITHIN = (TIT_FOR_TAT, "always_cooperate", "always_defect", TABULAR)  # opponents within an episode
DENSE = 20  # points of a published curve from which its peak can be read
METRICS = ("reward", "cooperation")  # side by side, as in the paper
ABLATIONS = {"identity": "with opponent identity", "no-tabular": "no tabular opponents"}


class Run(NamedTuple):
    """A run of a study."""

    folder: RunFolder
    settings: Any

    @property
    def learner(self) -> str:
        """The kind of its learners, by its name among the experiments."""
        kinds = {type(module.PRESETS["quick"]): name for name, module in EXPERIMENTS.items()}
        return kinds[type(self.settings)]

    @property
    def panel(self) -> Panel:
        """What the paper shows of it."""
        return EXPERIMENTS[self.learner].panel(self.settings)

    def quantities(self, *, last: dict | None = None) -> list[Quantity]:
        """The table's rows of the training. `last`: an evaluation of the last agents, whose rows are added."""
        rows = training_quantities(self.folder, self.panel, compare=True)
        return rows if last is None else rows + evaluation_quantities(self.folder, self.panel, last, compare=True)

    def lines(self) -> list[Line]:
        """The training curves, and the published points beside them."""
        return training_lines(self.folder, self.panel, compare=True)

    def evaluation(self, phase: int | None = None) -> dict:
        """The evaluation of the agents after a phase, by default the last one."""
        phase = phase or self.settings.run.phases
        return evaluate(self.folder, [phase], episodes=EPISODES)[phase]

    def phase_shown(self) -> int:
        """The phase whose learners cooperate with each other as much as the paper's do at the moment of figure 3.

        It is the nearest phase, of those up to the first that reaches the paper's cooperation.
        """
        published = published_points(self.panel.name, self.panel.curves["vs_learner"])
        paper = np.interp(SHOWN[self.learner], *published["cooperation"])
        phases, values = self.folder.over_training("cooperation_vs_learner", "phase")
        ours = values.mean(0)
        reached = np.flatnonzero(ours >= paper)
        until = reached[0] + 1 if len(reached) else len(ours)
        return int(phases[np.abs(ours[:until] - paper).argmin()])


def find(folders: dict[str, RunFolder], settings: dict[str, Any], stem: str) -> Run | None:
    """The run of any preset whose name begins with `stem`, if it is among those asked for."""
    return next((Run(folders[name], settings[name]) for name in folders if name.startswith(f"{stem}-")), None)


def prefixed(prefix: str, rows: list[Quantity]) -> list[Quantity]:
    return [row._replace(name=f"{prefix}: {row.name}") for row in rows]


# Figure 1: the mixed pool


def mixed_runs(preset: str) -> dict[str, Any]:
    """Each learner in the mixed pool, and its two ablations."""
    runs = {}
    for learner, module in EXPERIMENTS.items():
        settings = adjust(module.PRESETS[preset], seeds=SEEDS[preset])
        runs[f"{learner}-mixed-{preset}"] = settings
        runs[f"{learner}-identity-{preset}"] = adjust(settings, opponent_identity=True)
        runs[f"{learner}-no-tabular-{preset}"] = module.without_tabular(settings)
    return runs


def draw_mixed(folders: dict[str, RunFolder], settings: dict[str, Any], path: Path) -> list[Quantity]:
    panels, rows = [], []
    for letter, learner in zip("AB", EXPERIMENTS, strict=True):
        run = find(folders, settings, f"{learner}-mixed")
        if run is None:
            continue
        label, lines = learner.upper(), run.lines()
        rows += prefixed(f"1{letter} {label}", run.quantities())
        for stem, words in ABLATIONS.items():
            ablated = find(folders, settings, f"{learner}-{stem}")
            lines.append(ablated.lines()[0]._replace(label=f"{label} against {label}, {words}"))
            rows += prefixed(f"1{letter} {label} {words}", ablated.quantities()[:2])
        panels.append([Panels(f"{letter}  {label} in the mixed pool", run.panel.x, lines)])
    draw(path, panels, f"The mixed pool: {SPREAD}")
    return rows


# Figure 3: within an episode, early in mixed training


def early_runs(preset: str) -> dict[str, Any]:
    """The runs of figure 1 without ablations."""
    runs = mixed_runs(preset)
    return {name: runs[name] for name in (f"{learner}-mixed-{preset}" for learner in EXPERIMENTS)}


def within_lines(run: Run, result: dict, opponents: tuple[str, ...], panel: str | None = None) -> list[Line]:
    """One line per opponent, by round within the episodes, beside the points of a published panel."""
    lines = []
    for name in opponents:
        values = {metric: evaluated(run.folder, result[name][metric]) for metric in METRICS}
        points = None if panel is None else published_points(panel, f"{run.learner}_vs_{name}")
        lines.append(Line(opponent_label(name), rounds_of(values), values, points))
    return lines


def draw_early(folders: dict[str, RunFolder], settings: dict[str, Any], path: Path) -> list[Quantity]:
    panels, rows = [], []
    for learner in EXPERIMENTS:
        run = find(folders, settings, f"{learner}-mixed")
        if run is None:
            continue
        phase = run.phase_shown()
        result = run.evaluation(phase)
        label = learner.upper()
        title = f"{label} after phase {phase} of {run.settings.run.phases}"
        lines = within_lines(run, result, (LEARNER, *WITHIN))
        panels.append([Panels(title, "round", lines)])
        for line in lines:
            cooperation = line.values["cooperation"]
            rows += [
                Quantity(f"{label}: cooperation with {line.label}", None, cooperation.mean(1)),
                Quantity(f"{label}: cooperation with {line.label}, last quarter", None, late(cooperation)),
                Quantity(f"{label}: reward with {line.label}", None, line.values["reward"].mean(1)),
            ]
    draw(path, panels, f"Within an episode, early in mixed training: {SPREAD}")
    return rows


def rounds_of(values: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers of the rounds within an episode."""
    return 1 + np.arange(values["reward"].shape[1])


def late(curves: Float[np.ndarray, "seeds rounds"]) -> Float[np.ndarray, " seeds"]:
    """Means over the last quarter of the rounds."""
    return curves[:, -max(1, curves.shape[1] // 4) :].mean(1)


# Figures 2 and 4: the mechanism, step by step


def step_runs(learner: str, preset: str) -> dict[str, Any]:
    """The three steps of one learner, each building on the run before."""
    module = EXPERIMENTS[learner]
    one, two, three = (f"{learner}-step{i}-{preset}" for i in (1, 2, 3))
    return {
        one: adjust(module.STEP1[preset], seeds=SEEDS[preset]),
        two: adjust(module.STEP2[preset], seeds=SEEDS[preset], frozen=Path(one)),
        three: adjust(module.STEP3[preset], seeds=SEEDS[preset], start=Path(two)),
    }


def draw_steps(
    learner: str, number: int, folders: dict[str, RunFolder], settings: dict[str, Any], path: Path
) -> list[Quantity]:
    """The panels of each step, over training and within an episode, beside those of the paper's figure `number`."""
    one, two, three = (find(folders, settings, f"{learner}-step{i}") for i in (1, 2, 3))
    drawn = {}
    if one is not None:
        drawn[1] = step_one(number, one)
    if two is not None:
        met = two.evaluation()
        drawn[2] = step_two(number, two, met)
        if three is not None:
            drawn[3] = step_three(number, three, met)
    panels, rows = [], []
    for step, (of_step, quantities) in drawn.items():
        panels.append([p._replace(title=f"{number}{p.title}") for p in of_step])
        rows += prefixed(f"step {step}", quantities)
    draw(path, panels, f"{learner.upper()}, step by step: {SPREAD}")
    return rows


def step_one(number: int, run: Run) -> tuple[list[Panels], list[Quantity]]:
    """In-context best response."""
    result = run.evaluation()
    label = run.panel.label
    lines = within_lines(run, result, WITHIN, f"{number}B")
    panels = [
        Panels(f"A  step 1: {label} among tabular players", run.panel.x, run.lines()),
        Panels(f"B  {label} after step 1, within an episode", "round", lines),
    ]
    by_label = {line.label: line for line in lines}
    reciprocator, defector = by_label["tit for tat"], by_label["always defect"]
    rows = run.quantities(last=result)
    for share in (0.25, 0.6):
        at = max(1, round(share * len(reciprocator.x)))
        name = f"cooperation with tit-for-tat in round {at}"
        rows.append(Quantity(name, point(reciprocator, at), reciprocator.values["cooperation"][:, at - 1]))
    paper = defector.published["cooperation"][1]
    rows += [
        Quantity(
            "cooperation with always-defect, its peak",
            float(paper.max()) if len(paper) >= DENSE else None,
            defector.values["cooperation"].max(1),
        ),
        Quantity(
            "cooperation with always-defect, last quarter",
            float(paper[-len(paper) // 4 :].mean()),
            late(defector.values["cooperation"]),
        ),
    ]
    return panels, rows


def point(line: Line, at: int) -> float:
    """The published cooperation rate in a round, between its two neighbours."""
    return float(np.interp(at, *line.published["cooperation"]))


def step_two(number: int, run: Run, result: dict) -> tuple[list[Panels], list[Quantity]]:
    """Extortion of the frozen player. `result`: the evaluation of the last agents."""
    label = run.panel.label
    met = {field: evaluated(run.folder, values) for field, values in result[FROZEN].items()}
    lines = [
        Line(
            words,
            rounds_of(met),
            {metric: met[f"{whose}{metric}"] for metric in METRICS},
            published_points(f"{number}D", curve),
        )
        for words, whose, curve in (
            (f"{label} against the frozen {label}", "", run.learner),
            (f"frozen {label}", "other_", "fixed_icl"),
        )
    ]
    panels = [
        Panels(f"C  step 2: {label} against a frozen {label} of step 1", run.panel.x, run.lines()),
        Panels("D  the two after step 2, within an episode", "round", lines),
    ]
    own, other = lines
    paper = float(own.published["reward"][1].mean() - other.published["reward"][1].mean())
    difference = own.values["reward"].mean(1) - other.values["reward"].mean(1)
    rows = run.quantities(last=result)
    rows.append(Quantity("reward, learner less frozen player, evaluated", paper, difference, at_least=0.3))
    return panels, rows


def step_three(number: int, run: Run, met: dict) -> tuple[list[Panels], list[Quantity]]:
    """Two extorters, put together. `met`: the evaluation of the agents of step 2."""
    label, x, training, within = run.panel.label, run.panel.x, [], []
    for index in range(run.settings.co_players.learners):
        name, curve = f"{label} {index + 1}", f"{run.learner}_{index + 1}"
        own = {metric: run.folder.over_training(f"{metric}_vs_learner", x, learners=[index]) for metric in METRICS}
        points, _ = own["reward"]
        values = {metric: of_metric for metric, (_, of_metric) in own.items()}
        training.append(Line(name, points, values, published_points(f"{number}E", curve)))
        first = {metric: met[LEARNER][metric][:, index] for metric in METRICS}
        within.append(Line(name, rounds_of(first), first, published_points(f"{number}F", curve)))
    panels = [
        Panels(f"E  step 3: two {label} of step 2, put together", x, training),
        Panels("F  the two as they meet, within an episode", "round", within),
    ]
    cooperation = np.mean([line.values["cooperation"] for line in within], axis=0)
    paper = best_read(within)
    rows = [
        Quantity(
            f"cooperation as they meet, {words} tenth of the rounds",
            float(paper[tenth(paper)].mean()),
            cooperation[:, tenth(cooperation[0])].mean(1),
        )
        for words, tenth in (("first", first_tenth), ("last", last_tenth))
    ]
    highest = np.mean([line.values["cooperation"] for line in training], axis=0).max(1)
    rows.append(Quantity("cooperation, its highest in training", float(best_read(training).max()), highest))
    return panels, rows + run.quantities()


def best_read(lines: list[Line]) -> np.ndarray:
    """The published cooperation rates of the agent of whom there are most points; of the last one among equals."""
    rates = [line.published["cooperation"][1] for line in lines if "cooperation" in line.published]
    return max(reversed(rates), key=len)


def first_tenth(points: np.ndarray) -> slice:
    return slice(0, max(1, len(points) // 10))


def last_tenth(points: np.ndarray) -> slice:
    return slice(len(points) - max(1, len(points) // 10), None)


STUDIES = {
    "weis-fig1": Study(
        "Learners in the mixed pool come to cooperate; named co-players, or no tabular ones, and they defect",
        "Weis et al. 2026, figure 1",
        {"quick": 425, "paper": None},
        mixed_runs,
        draw_mixed,
        parts=tuple(EXPERIMENTS),
    ),
    "weis-fig2": Study(
        "PPI step by step: in-context best response, extortion of it, mutual extortion becomes cooperation",
        "Weis et al. 2026, figure 2",
        {"quick": 165, "paper": None},
        partial(step_runs, "ppi"),
        partial(draw_steps, "ppi", 2),
        parts=tuple(f"ppi-step{i}" for i in (1, 2, 3)),
    ),
    "weis-fig3": Study(
        "Within an episode, early in mixed training",
        "Weis et al. 2026, figure 3",
        {"quick": 140, "paper": None},
        early_runs,
        draw_early,
        parts=tuple(EXPERIMENTS),
    ),
    "weis-fig4": Study(
        "A2C step by step",
        "Weis et al. 2026, figure 4",
        {"quick": 90, "paper": None},
        partial(step_runs, "a2c"),
        partial(draw_steps, "a2c", 4),
        parts=tuple(f"a2c-step{i}" for i in (1, 2, 3)),
    ),
}
