"""Figures 1 to 4 of Weis et al. 2026: which runs each needs, its panels in the paper's arrangement, and its numbers.

Points are published of figures 1 and 2; of what the text says of the others, bounds are in `panel` of each experiment.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from coplayer.analysis.evaluation import FROZEN, LEARNER, TABULAR
from coplayer.experiments import a2c_mixed, ppi_mixed
from coplayer.experiments.evaluate import evaluate
from coplayer.experiments.report import (
    OPPONENT_LABELS,
    TIT_FOR_TAT,
    evaluated,
    evaluation_quantities,
    published_points,
    training_lines,
    training_quantities,
)
from coplayer.experiments.studies import SPREAD, Study
from coplayer.figures.panels import Line, Pair, draw
from coplayer.figures.parity import Quantity
from coplayer.runs.folder import RunFolder

EXPERIMENTS = {"ppi": ppi_mixed, "a2c": a2c_mixed}
SEEDS = {"quick": 5, "paper": 10}
EPISODES = 128  # for each learner and opponent, where agents are evaluated
FRACTION_SHOWN = {"ppi": 8 / 30, "a2c": 7 / 20}  # of the training that figure 3 looks at: phase 8, iteration 70,000
WITHIN = (TIT_FOR_TAT, "always_cooperate", "always_defect", TABULAR)  # opponents within an episode
ABLATIONS = {"identity": "with opponent identity", "no-tabular": "no tabular opponents"}


class Run(NamedTuple):
    """A run of a study."""

    folder: RunFolder
    config: Any

    def quantities(self, *, last: dict | None = None) -> list[Quantity]:
        """Its training beside the paper; and its last agents, where their evaluation is given."""
        panel = EXPERIMENTS[learner_of(self.config)].panel(self.config)
        rows = training_quantities(self.folder, panel, compare=True)
        return rows if last is None else rows + evaluation_quantities(self.folder, panel, last, compare=True)

    def lines(self) -> list[Line]:
        """Its training beside the published points."""
        return training_lines(self.folder, EXPERIMENTS[learner_of(self.config)].panel(self.config), compare=True)

    def evaluation(self, fraction: float = 1.0) -> tuple[int, dict]:
        """The phase at this fraction of the training in which the learners meet, and the evaluation of its agents."""
        config = self.config
        alone = a2c_mixed.meeting_from(config) / config.iterations if learner_of(config) == "a2c" else 0.0
        phase = max(1, round((alone + fraction * (1 - alone)) * config.phases))
        return phase, evaluate(self.folder, [phase], episodes=EPISODES)[phase]


def learner_of(config: Any) -> str:
    return next(name for name, module in EXPERIMENTS.items() if isinstance(config, type(module.PRESETS["quick"])))


def find(folders: dict[str, RunFolder], configs: dict[str, Any], stem: str) -> Run | None:
    """The run of whatever preset whose name begins so, if it is among those asked for."""
    return next((Run(folders[name], configs[name]) for name in folders if name.startswith(f"{stem}-")), None)


def prefixed(prefix: str, rows: list[Quantity]) -> list[Quantity]:
    return [row._replace(name=f"{prefix}: {row.name}") for row in rows]


# Figure 1: the mixed pool


def mixed_runs(preset: str) -> dict[str, Any]:
    """Each learner in the mixed pool, and its two ablations."""
    runs = {}
    for learner, module in EXPERIMENTS.items():
        config = replace(module.PRESETS[preset], seeds=SEEDS[preset])
        runs[f"{learner}-mixed-{preset}"] = config
        runs[f"{learner}-identity-{preset}"] = replace(config, opponent_identity=True)
        runs[f"{learner}-no-tabular-{preset}"] = module.without_tabular(config)
    return runs


def draw_mixed(folders: dict[str, RunFolder], configs: dict[str, Any], path: Path) -> list[Quantity]:
    pairs, rows = [], []
    for letter, learner in zip("AB", EXPERIMENTS, strict=True):
        run = find(folders, configs, f"{learner}-mixed")
        if run is None:
            continue
        label, lines = learner.upper(), run.lines()
        rows += prefixed(f"1{letter} {label}", run.quantities())
        for stem, words in ABLATIONS.items():
            ablated = find(folders, configs, f"{learner}-{stem}")
            lines.append(ablated.lines()[0]._replace(label=f"{label} against {label}, {words}"))
            rows += prefixed(f"1{letter} {label} {words}", ablated.quantities()[:2])
        x = EXPERIMENTS[learner].panel(run.config).x
        pairs.append([Pair(f"{letter}  {label} in the mixed pool", x, lines)])
    draw(path, pairs, f"The mixed pool: {SPREAD}")
    return rows


# Figure 3: within an episode, early in mixed training


def early_runs(preset: str) -> dict[str, Any]:
    """Those of figure 1 without ablations."""
    return {name: config for name, config in mixed_runs(preset).items() if name.split("-")[1] == "mixed"}


def within_lines(run: Run, result: dict, opponents: tuple[str, ...], panel: str | None = None) -> list[Line]:
    """One line an opponent, by round within the episodes; beside the points of a published panel."""
    lines = []
    for name in opponents:
        reward, cooperation = (evaluated(run.folder, result[name][field]) for field in ("reward", "cooperation"))
        points = None if panel is None else published_points(panel, f"ppi_vs_{name}")
        label = OPPONENT_LABELS.get(name, name.replace("_", " "))
        lines.append(Line(label, 1 + np.arange(reward.shape[1]), reward, cooperation, points))
    return lines


def draw_early(folders: dict[str, RunFolder], configs: dict[str, Any], path: Path) -> list[Quantity]:
    pairs, rows = [], []
    for learner, fraction in FRACTION_SHOWN.items():
        run = find(folders, configs, f"{learner}-mixed")
        if run is None:
            continue
        phase, result = run.evaluation(fraction)
        label = learner.upper()
        title = f"{label} after phase {phase} of {run.config.phases}"
        lines = within_lines(run, result, (LEARNER, *WITHIN))
        pairs.append([Pair(title, "round", lines)])
        for line in lines:
            rows += [
                Quantity(f"{label}: cooperation with {line.label}", None, line.cooperation.mean(1)),
                Quantity(f"{label}: cooperation with {line.label}, last quarter", None, late(line.cooperation)),
                Quantity(f"{label}: reward with {line.label}", None, line.reward.mean(1)),
            ]
    draw(path, pairs, f"Within an episode, early in mixed training: {SPREAD}")
    return rows


def late(curves: Float[np.ndarray, "seeds rounds"]) -> Float[np.ndarray, " seeds"]:
    """Means over the last quarter of the rounds."""
    return curves[:, -max(1, curves.shape[1] // 4) :].mean(1)


# Figures 2 and 4: the mechanism, step by step


def step_runs(learner: str, preset: str) -> dict[str, Any]:
    """The three steps of one learner, each building on the run before."""
    module = EXPERIMENTS[learner]
    one, two, three = (f"{learner}-step{i}-{preset}" for i in (1, 2, 3))
    return {
        one: replace(module.STEP1[preset], seeds=SEEDS[preset]),
        two: replace(module.STEP2[preset], seeds=SEEDS[preset], frozen=Path(one)),
        three: replace(module.STEP3[preset], seeds=SEEDS[preset], start=Path(two)),
    }


def draw_steps(
    learner: str, number: int, folders: dict[str, RunFolder], configs: dict[str, Any], path: Path
) -> list[Quantity]:
    """Two pairs of panels a step: over training, and within an episode. `number`: of the figure; points are published
    of figure 2 alone.
    """
    one, two, three = (find(folders, configs, f"{learner}-step{i}") for i in (1, 2, 3))
    published = number == 2
    pairs, rows = [], []
    for step, pair, made in ((1, step_one, [one]), (2, step_two, [two]), (3, step_three, [two, three])):
        if None not in made:
            drawn, quantities = pair(learner.upper(), published, *made)
            pairs.append([p._replace(title=f"{number}{p.title}") for p in drawn])
            rows += prefixed(f"step {step}", quantities)
    draw(path, pairs, f"{learner.upper()}, step by step: {SPREAD}")
    return rows


def step_one(label: str, published: bool, run: Run) -> tuple[list[Pair], list[Quantity]]:
    """In-context best response."""
    _, result = run.evaluation()
    lines = within_lines(run, result, WITHIN, "2B" if published else None)
    pairs = [
        Pair(f"A  step 1: {label} among tabular players", x_of(run), run.lines()),
        Pair(f"B  {label} after step 1, within an episode", "round", lines),
    ]
    by_label = {line.label: line for line in lines}
    reciprocator, defector = by_label["tit for tat"], by_label["always defect"]
    rows = run.quantities(last=result)
    for share in (0.25, 0.6):
        at = max(1, round(share * len(reciprocator.x)))
        name = f"cooperation with tit-for-tat in round {at}"
        rows.append(Quantity(name, point(reciprocator, at), reciprocator.cooperation[:, at - 1]))
    paper = defector.published["cooperation"][1] if defector.published else None
    rows += [
        Quantity(
            "cooperation with always-defect, its peak",
            None if paper is None else float(paper.max()),
            defector.cooperation.max(1),
        ),
        Quantity(
            "cooperation with always-defect, last quarter",
            None if paper is None else float(paper[-len(paper) // 4 :].mean()),
            late(defector.cooperation),
        ),
    ]
    return pairs, rows


def point(line: Line, at: int) -> float | None:
    """The published cooperation rate in a round, between its two neighbours; None where it is not published."""
    return float(np.interp(at, *line.published["cooperation"])) if line.published else None


def step_two(label: str, published: bool, run: Run) -> tuple[list[Pair], list[Quantity]]:
    """Extortion of the frozen player."""
    _, result = run.evaluation()
    met = {field: evaluated(run.folder, values) for field, values in result[FROZEN].items()}
    rounds = 1 + np.arange(met["reward"].shape[1])
    lines = [
        Line(words, rounds, met[f"{whose}reward"], met[f"{whose}cooperation"], points)
        for words, whose, points in (
            (f"{label} against the frozen {label}", "", published_points("2D", "ppi") if published else None),
            (f"frozen {label}", "other_", published_points("2D", "fixed_icl") if published else None),
        )
    ]
    pairs = [
        Pair(f"C  step 2: {label} against a frozen {label} of step 1", x_of(run), run.lines()),
        Pair("D  the two after step 2, within an episode", "round", lines),
    ]
    own, other = lines
    paper = None
    if published:
        paper = float(own.published["reward"][1].mean() - other.published["reward"][1].mean())
    difference = own.reward.mean(1) - other.reward.mean(1)
    at_least = 0.3 if published else 0.0  # the paper gives numbers for PPI; for A2C it says who wins
    rows = run.quantities(last=result)
    rows.append(Quantity("reward, learner less frozen player, evaluated", paper, difference, at_least=at_least))
    return pairs, rows


def step_three(label: str, published: bool, before: Run, run: Run) -> tuple[list[Pair], list[Quantity]]:
    """Two extorters, put together."""
    _, met = before.evaluation()
    training, within = [], []
    for learner in range(run.config.learners):
        name, curve = f"{label} {learner + 1}", f"ppi_{learner + 1}"
        x, reward = run.folder.over_training("reward_vs_learner", x_of(run), learners=[learner])
        _, cooperation = run.folder.over_training("cooperation_vs_learner", x_of(run), learners=[learner])
        training.append(Line(name, x, reward, cooperation, published_points("2E", curve) if published else None))
        first = {field: met[LEARNER][field][:, learner] for field in ("reward", "cooperation")}
        rounds = 1 + np.arange(first["reward"].shape[1])
        points = published_points("2F", curve) if published else None
        within.append(Line(name, rounds, first["reward"], first["cooperation"], points))
    pairs = [
        Pair(f"E  step 3: two {label} of step 2, put together", x_of(run), training),
        Pair("F  the two as they meet, within an episode", "round", within),
    ]
    cooperation = np.mean([line.cooperation for line in within], axis=0)
    paper = within[1].published["cooperation"][1] if published else None
    highest = np.mean([line.cooperation for line in training], axis=0).max(1)
    rows = [
        Quantity(
            f"cooperation as they meet, {words} tenth of the rounds",
            None if paper is None else float(paper[tenth(paper)].mean()),
            cooperation[:, tenth(cooperation[0])].mean(1),
        )
        for words, tenth in (("first", first_tenth), ("last", last_tenth))
    ]
    rows.append(Quantity("cooperation, its highest in training", None, highest))
    return pairs, rows + run.quantities()


def first_tenth(points: np.ndarray) -> slice:
    return slice(0, max(1, len(points) // 10))


def last_tenth(points: np.ndarray) -> slice:
    return slice(len(points) - max(1, len(points) // 10), None)


def x_of(run: Run) -> str:
    """The axis of training: "phase" or "iteration"."""
    return EXPERIMENTS[learner_of(run.config)].panel(run.config).x


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
        {"quick": 120, "paper": None},
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
        {"quick": 35, "paper": None},
        partial(step_runs, "a2c"),
        partial(draw_steps, "a2c", 4),
        parts=tuple(f"a2c-step{i}" for i in (1, 2, 3)),
    ),
}
