"""Runs on a web page: what was trained, curves, play within an episode, signatures, the paper's numbers, settings."""

import csv
import dataclasses
import functools
import itertools
import math
import os
import re
import shlex
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coplayer import flags
from coplayer.analysis.evaluation import FROZEN, LEARNER, OPPONENTS, TABULAR
from coplayer.errors import CoplayerError, in_short, require
from coplayer.experiments import registry, watch
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.evaluate import Measured, Results, stored_results
from coplayer.experiments.stored import built_on
from coplayer.figures.parity import HEADINGS, cells
from coplayer.figures.published import Panel
from coplayer.figures.signatures import pairs_of
from coplayer.games import names
from coplayer.games.matrix import MatrixGame
from coplayer.pages.report import Curve, numbers, replaceable, thinned, write_page
from coplayer.reproduce.coala_figures import AXES, by_method, label_of
from coplayer.reproduce.report import (
    comparable,
    evaluated,
    learners_meet,
    opponent_label,
    published_points,
    quantities,
    side_in_words,
    side_place,
)
from coplayer.runs.folder import RunFolder
from coplayer.runs.tracking import WHERE
from coplayer.settings import adjust, check_limits, groups_of

LONGEST = 200  # letters of a text from config.json
POLICY = {"p_start": "first", "p_cc": "after CC", "p_cd": "after CD", "p_dc": "after DC", "p_dd": "after DD"}


class Kept(RunFolder):
    """A run whose rows are read once, and refused where a number is not finite."""

    @functools.cached_property
    def _metrics(self) -> list[dict]:
        return finite(super().metrics(), self.metrics_file)

    @functools.cached_property
    def _timing(self) -> list[dict]:
        return finite(super().timing(), self.timing_file)

    def metrics(self) -> list[dict]:
        return self._metrics

    def timing(self) -> list[dict]:
        return self._timing


def finite(rows: list[dict], path: Path) -> list[dict]:
    """The rows of `path`, all of whose numbers a float can hold."""
    for number, row in enumerate(rows, 1):
        try:
            holds = all(map(math.isfinite, row.values()))
        except OverflowError:
            holds = False
        require(holds, f"{path}: line {number} has a number that is not finite")
    return rows


def write_report(runs: Sequence[str | Path], out: Path) -> Path:
    """Write one page on these runs, finished, unfinished or archived, to `out`. Nothing is played.

    Raises `CoplayerError` for a folder that is no run, whose files are damaged, or that is named twice. Raises
    `CoplayerError` also where `out` is a file that is no report.
    """
    require(bool(runs), "runs: needs the folder of at least one run")
    require(replaceable(out), f"out: {out} exists already and is no report; name another file")
    paths = [Path(run).resolve() for run in runs]
    for path, run in zip(paths, runs, strict=True):
        require(paths.count(path) == 1, f"runs: {run} is named twice")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of no rows, of a run that was killed while it wrote
        found = [described(Path(run), name) for run, name in zip(runs, short_names(paths), strict=True)]
    write_page(out, found)
    return out


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last parts of different paths, as few as tell all apart."""
    for count in itertools.count(1):
        found = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(found)) == len(found):
            return found


def described(path: Path, name: str) -> dict[str, Any]:
    """All that the page tells of a run, as JSON."""
    folder = Kept.open(path)
    experiment, settings = registry.settings_of_folder(folder)
    check_limits(settings)
    result, panel, config = stored_results(folder), experiment.panel(settings), folder.config()
    own = adjust(settings, **{key: Path(os.path.relpath(its, path)) for key, its in built_on(settings).items()})
    command, preset = registry.recipe_of(config, settings)
    return {
        "name": name,
        "trained": trained(own, command, preset),
        "state": state(folder, settings),
        "evaluated": list(result),
        "training": {"x": panel.x, "curves": [thinned(curve) for curve in training_curves(folder, settings, panel)]},
        "played": [thinned(curve) for curve in played_curves(folder, settings, result)],
        "inner": [thinned(curve) for curve in inner_curves(folder)],
        "signatures": signatures(settings, result),
        "table": {"headings": HEADINGS, "rows": table_rows(folder, settings, panel, result)},
        "settings": grouped(own, registry.RECIPES[command].presets[preset]),
        "made": made(config),
    }


def trained(settings: Any, command: str, preset: str) -> dict[str, Any]:
    """What was trained, in words, and the command that trains it again."""
    recipe, run = registry.RECIPES[command], settings.run
    game = names.described(settings.game)
    rules = ", ".join(f"{key.replace('_', ' ')} {in_words(value)}" for key, value in game.items() if key != "name")
    words = ["coplayer", "train", command, "--preset", preset, *flags.words_of(settings, recipe.presets[preset])]
    return {
        "recipe": command,
        "preset": preset,
        "shows": " ".join((recipe.shows or "").split()),
        "source": recipe.source,
        "game": f"{game['name']}: {rules}",
        "first_seed": run.seed,
        "seeds": run.seeds,
        "builds_on": [f"{key}: {folder}" for key, folder in built_on(settings).items()],
        "command": shlex.join(words),
    }


def state(folder: RunFolder, settings: Any) -> dict[str, Any]:
    """How far the training has come, and the seconds that it took."""
    known = [*folder.phases(), *((row["phase"] for row in folder.metrics()) if folder.archived else ())]
    seconds: dict[int, float] = {}
    for row in folder.timing():
        if "phase" in row:  # not of joined runs
            seconds[int(row["phase"])] = seconds.get(int(row["phase"]), 0.0) + row["seconds"]
    return {
        "done": max(known, default=0),
        "phases": settings.run.phases,
        "archived": folder.archived,
        "seconds": numbers(np.array([sum(row["seconds"] for row in folder.timing())]))[0],
        "by_phase": [list(pair) for pair in zip(seconds, numbers(np.array(list(seconds.values()))), strict=True)],
    }


# Curves


def groups_of_learners(settings: Any) -> dict[str, list[int] | None]:
    """The learners that have curves of their own, by name: those of each method where there are several; else all."""
    methods = by_method(settings) if isinstance(settings, CoalaIPD) else {}
    return {label_of(method): own for method, own in methods.items()} if len(methods) > 1 else {"": None}


def training_curves(folder: RunFolder, settings: Any, panel: Panel) -> Iterator[Curve]:
    """All metrics over training, the most important first. A repetition is as in `reproduce.report.repetitions`."""
    rows, groups, meet = folder.metrics(), groups_of_learners(settings), learners_meet(folder)
    measured = dict.fromkeys(name for row in rows for name in row if name not in WHERE)
    for name in sorted(measured, key=lambda name: importance(name, settings.game.measures)):
        quantity, side, kind = parts_of(name)
        for group, learners in groups.items():
            known = [row for row in rows if {name, panel.x} <= row.keys()]
            if learners is not None:
                known = [row for row in known if row["learner"] in learners]
            repetitions = [(0 if meet or learners else row["learner"], row["seed"]) for row in known]
            if known:
                x, values = means(repetitions, [row[panel.x] for row in known], [row[name] for row in known])
                label = label_in_words(kind, side, group)
                yield Curve(quantity, label, x, values, kind, published_of(settings, panel, quantity, side))


def means(repetitions: list, xs: list, values: list) -> tuple[np.ndarray, np.ndarray]:
    """The different xs `[points]`, and the means of the values of each repetition at each x `[repetitions, points]`,
    NaN where there are none.
    """
    x, at = np.unique(np.asarray(xs, float), return_inverse=True)
    order = {repetition: i for i, repetition in enumerate(sorted(set(repetitions)))}
    place = ([order[repetition] for repetition in repetitions], at)
    sums, counts = np.zeros((2, len(order), len(x)))
    np.add.at(sums, place, np.asarray(values, float))
    np.add.at(counts, place, 1)
    return x, np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def parts_of(name: str) -> tuple[str, str, str]:
    """What a metric measures, of or against whom, and its kind: of play, of a policy, or of learning."""
    if name in POLICY:
        return "P(cooperate)", POLICY[name], "policy"
    found = re.fullmatch(r"(.+?)_((?:vs|of)_.+)", name)
    return (found[1], found[2], "play") if found else (name, "", "learning")


def with_reward(measures: Sequence[str]) -> list[str]:
    """What a game measures, the reward in the second place, in the order of the page."""
    return [*measures[:1], "reward", *measures[1:]]


def importance(name: str, measures: Sequence[str]) -> tuple:
    """Where a metric stands among others."""
    quantity, side, kind = parts_of(name)
    first = with_reward(measures)
    place = first.index(quantity) if quantity in first else len(first)
    within = {"play": (quantity, side_place(side)), "policy": (list(POLICY).index(name) if name in POLICY else 0,)}
    return (("play", "policy", "learning").index(kind), place, within.get(kind, ()))


def label_in_words(kind: str, side: str, group: str) -> str:
    """Whose a metric is, such as "against tabular"; with the learners' method where there are several."""
    words = side_in_words(side).strip(", ") if kind == "play" else side
    return f"{group}: {words}" if group and words else group or words


def published_of(settings: Any, panel: Panel, quantity: str, side: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The published points of a curve, if there are any."""
    if side not in panel.curves or not comparable(settings.game):
        return None
    return published_points(panel.name, panel.curves[side]).get(quantity)


def played_curves(folder: RunFolder, settings: Any, result: Results) -> Iterator[Curve]:
    """The evaluated agents by round, of the last phase and at most two before, and over the phases."""
    phases = list(result)
    shown = watch.few(phases) if phases else []
    groups = groups_of_learners(settings).items()
    for (group, learners), quantity in itertools.product(groups, with_reward(settings.game.measures)):
        for name in sorted(result[phases[-1]], key=met_place) if phases else ():
            label = f"{group}: {opponent_label(name)}" if group else opponent_label(name)
            by_round = {
                phase: of_repetitions(folder, result[phase][name][quantity], learners)
                for phase in phases
                if name in result[phase]
            }
            for phase in set(shown) & by_round.keys():
                values = by_round[phase]
                yield Curve(quantity, label, np.arange(1, values.shape[1] + 1), values, phase=phase)
            if len(by_round) > 1:
                over = np.stack([values.mean(1) for values in by_round.values()], axis=1)
                yield Curve(quantity, label, np.array(list(by_round)), over)


def met_place(opponent: str) -> tuple:
    """Where an opponent of the evaluation stands among others."""
    known = (LEARNER, FROZEN, TABULAR, *OPPONENTS)
    return (known.index(opponent) if opponent in known else len(known), opponent)


def of_repetitions(folder: RunFolder, values: np.ndarray, learners: list[int] | None) -> np.ndarray:
    """An evaluation's values `[seed, learner, ...]` of these learners (None: all) as `[repetition, ...]`."""
    if learners is None:
        return evaluated(folder, values)
    own = [learner for learner in learners if learner < values.shape[1]]
    return values[:, own].mean(1) if own else np.full(values.shape[:1] + values.shape[2:], np.nan)


def inner_curves(folder: RunFolder) -> list[Curve]:
    """The last agents of a run with naive learners by inner episode, as `coplayer evaluate` wrote them."""
    path = folder.figures / "within_meta_trajectory.csv"
    if not path.is_file():
        return []
    quantities = {axis: name for name, axis in AXES.items()}
    found: dict[tuple[str, str], tuple[list, list]] = {}
    try:
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            x, values = found.setdefault((quantities.get(row["y"], row["y"]), row["curve"]), ([], []))
            x.append(float(row["x"]))
            values.append([float(row[name]) for name in row if name.startswith("repetition") and row[name]])
        return [
            Curve(quantity, label, np.array(x), np.array(values, float).T)
            for (quantity, label), (x, values) in found.items()
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, csv.Error) as error:
        raise CoplayerError(f"{path}: unreadable ({in_short(error)}); 'coplayer evaluate' writes it anew") from error


# Signatures, the table, settings, and how the run was made


def signatures(settings: Any, result: Results) -> dict[str, Any] | None:
    """P(cooperate) of each agent after each situation, `phases[phase][opponent][agent][situation]`."""
    if not (isinstance(settings.game, MatrixGame) and result):
        return None
    pairs, run = pairs_of(settings.game), settings.run
    phases = {
        phase: {name: rates_of(its[name], len(pairs)) for name in sorted(its, key=met_place)}
        for phase, its in result.items()
    }
    some = next(iter(next(iter(result.values())).values()), {"reward": np.zeros((0, 0))})["reward"]
    return {
        "pairs": pairs,
        "agents": [f"seed {run.seed + s}, learner {i}" for s in range(some.shape[0]) for i in range(some.shape[1])],
        "opponents": {name: opponent_label(name) for its in result.values() for name in its},
        "phases": phases,
    }


def rates_of(fields: Measured, pairs: int) -> list[list[float | int | None]]:
    """The rates `[agent][situation]` of a signature: first, after each pair early, late, after D, after C."""
    agents = int(np.prod(fields["reward"].shape[:2]))
    sizes = {"first_move": 1, "early": pairs, "late": pairs, "after_defection": 1, "after_cooperation": 1}
    parts = [
        fields[name].reshape(agents, size)
        if name in fields and fields[name].size == agents * size
        else np.full((agents, size), np.nan)
        for name, size in sizes.items()
    ]
    return [numbers(row) for row in np.round(np.concatenate(parts, axis=1), 3)]


def table_rows(folder: RunFolder, settings: Any, panel: Panel, result: Results) -> list[tuple[str, ...]]:
    """The table of summary.md, from what is there now."""
    final = result.get(settings.run.phases, {})
    try:
        return [cells(row) for row in quantities(folder, panel, settings.game, final)]
    except KeyError as error:
        file = folder.path / "evaluation.json"
        raise CoplayerError(f"{file}: lacks {error}; 'coplayer evaluate' writes it anew") from error


def grouped(settings: Any, start: Any) -> list[dict[str, Any]]:
    """All settings in their groups: name, value, the preset's value where it differs, and what the setting means."""
    game, before = names.described(settings.game), names.described(start.game)
    texts = flags.documentation(type(settings.game))
    rows = [(f"game.{key}" if key != "name" else "game", value, before.get(key), texts) for key, value in game.items()]
    groups = [{"title": "Game", "rows": [setting_row(*row) for row in rows]}]
    for name, group in groups_of(settings).items():
        title = " ".join((type(group).__doc__ or name).split()).partition(":")[0]
        texts = flags.documentation(type(group))
        values = [(field.name, getattr(group, field.name)) for field in dataclasses.fields(group)]
        earlier = getattr(start, name)
        rows = [setting_row(key, value, getattr(earlier, key), texts) for key, value in values]
        groups.append({"title": title, "rows": rows})
    return groups


def setting_row(name: str, value: Any, before: Any, texts: dict[str, str]) -> list[str | None]:
    own = name.rpartition(".")[2]
    return [name.replace("_", "-"), in_words(value), None if value == before else in_words(before), texts.get(own, "")]


def in_words(value: Any) -> str:
    """A value of a setting as text."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, tuple | list):
        return " ".join(f"({in_words(item)})" if isinstance(item, tuple | list) else in_words(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(item)}" for key, item in value.items())
    return str(value)


MADE = {  # keys of config.json in words
    "coplayer": "coplayer",
    "commit": "commit",
    "python": "Python",
    "packages": "packages",
    "device": "device",
    "random_numbers": "random numbers",
    "game_file": "hash of the game's code",
}


def made(config: dict) -> list[list[str]]:
    """With what a run was made."""
    rows = [[words, in_short_words(config[key])] for key, words in MADE.items() if config.get(key) is not None]
    joined = config.get("joined")
    return rows + ([["joined of", f"{len(joined)} runs"]] if isinstance(joined, list) else [])


def in_short_words(value: Any) -> str:
    """A value of config.json, which may be anything, as a short text."""
    try:
        text = in_words(value)
    except RecursionError:
        return "…"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
