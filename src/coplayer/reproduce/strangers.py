"""Strong against strangers: learners against the held-out strategies of the Axelrod library, beside the whole library.

The strategies of the library are in two parts (see `players.automaton.axelrod_parts`). Learners of `ppi-strangers` and
`a2c-strangers` have met strategies of the training part alone. Here they meet the held-out ones, played by the library
itself. What every strategy of the library earns against the same ones is in data/axelrod_field.csv, measured by
tools/axelrod_field.py. On both sides strategies that the library marks as slow are left out.

How well a learner knows whom it meets is measured for those that predict, the PPI learners. The measure is their excess
prediction loss in each round (see `analysis.prediction`), beside an observer who knows the pool.
"""

import csv
import itertools
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from coplayer.analysis.populations import moran
from coplayer.analysis.prediction import excess_loss_by_round
from coplayer.analysis.tournament import tournament
from coplayer.experiments import a2c_mixed, ppi_mixed, registry
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.figures.parity import Quantity
from coplayer.figures.ranked import Place, draw_places
from coplayer.games.matrix import MatrixGame
from coplayer.interop import axelrod as interop
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.players.automaton import axelrod_automata, axelrod_parts, named_automaton
from coplayer.players.planner import PPIPlayer
from coplayer.pools.strangers import AXELROD
from coplayer.reproduce.studies import Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

SEEDS = 5
MATCHES = 5  # of a learner with each held-out strategy
OWN_KIND = 64  # matches of two learners, and of a learner with each cooperative stranger
COOPERATIVE = ("Tit For Tat", "Grudger", "Win-Stay Lose-Shift")
INDIFFERENT = ("Cooperator", "Random", "Defector")  # who do not answer: the best reply is to defect throughout
STAGES = (0, 10, 25, None)  # where the parts of a match begin and end, in rounds
TYPES, OF_A_TYPE, RUNS = 20, 5, 1000  # of the Moran processes, a learner being one of the types
PREDICTED = 1024  # matches with automata, in which a learner's predictions are measured
RECIPES = {"ppi-strangers": ppi_mixed.STRANGERS, "a2c-strangers": a2c_mixed.STRANGERS}


class Condition(NamedTuple):
    """How the matches are played."""

    rounds: int
    noise: float  # probability that a move is changed, of either player

    def __str__(self) -> str:
        return f"{self.rounds} rounds{f', noise {self.noise:g}' if self.noise else ''}"


def field() -> dict[Condition, dict[str, float]]:
    """Mean reward per round against the held-out strategies, of every strategy of the library."""
    text = resources.files("coplayer.reproduce").joinpath("data/axelrod_field.csv").read_text(encoding="utf-8")
    found: dict[Condition, dict[str, float]] = {}
    for row in csv.DictReader(text.splitlines()):
        condition = Condition(int(row["rounds"]), float(row["noise"]))
        found.setdefault(condition, {})[row["strategy"]] = float(row["reward"])
    return found


def held_out() -> list[Any]:
    """The held-out strategies, as players of the library."""
    names = axelrod_parts()["held_out"]
    players = [make() for make in interop.library().strategies]
    return [one for one in players if one.name in names and not one.classifier["long_run_time"]]


def earned(
    agent: Player, condition: Condition, payoffs: tuple[float, ...], key: jax.Array
) -> Float[np.ndarray, "rounds n"]:
    """Mean reward of an agent in each round against each held-out strategy."""
    game = MatrixGame(payoffs, condition.rounds)
    opponents = held_out()
    played = interop.play(agent, opponents, game, key, matches=MATCHES, noise=condition.noise)
    return np.asarray(played.view(0).rewards).reshape(condition.rounds, len(opponents), MATCHES).mean(2)


def taken(players: tuple[Player, Player], game: MatrixGame, key: jax.Array) -> float:
    """The first player's mean reward per round."""
    return float(np.asarray(play_match(players, game, key, episodes=OWN_KIND).view(0).rewards).mean())


def late_cooperation(players: tuple[Player, Player], game: MatrixGame, key: jax.Array) -> float:
    """Rate of mutual cooperation in the last quarter of the rounds."""
    joint = np.asarray(play_match(players, game, key, episodes=OWN_KIND).joint)
    return float((joint[-max(1, game.rounds // 4) :] == 0).mean())


def parts() -> dict[str, tuple[str, ...]]:
    """The strategies of the library that are automata, in the pool's words."""
    return {
        "automata of training": (AXELROD,),
        "held-out automata": tuple(name for name in axelrod_parts()["held_out"] if name in axelrod_automata()),
    }


def neighbours() -> dict[str, Player]:
    """Held-out strategies that are finite automata, drawn by a fixed seed: the other types of the Moran processes."""
    names = parts()["held-out automata"]
    drawn = np.random.default_rng(EVALUATION_SEED).choice(sorted(names), TYPES - 1, replace=False)
    return {name: named_automaton(name) for name in drawn.tolist()}


def takes_over(agent: Player, game: MatrixGame, key: jax.Array) -> float:
    """The share of Moran processes that end with this player alone, in which every type begins with equally many."""
    playing, dying = jax.random.split(key)
    held = tournament({"learner": agent} | neighbours(), game, playing, episodes=MATCHES)
    return float(moran(held.rewards, np.full(TYPES, OF_A_TYPE), dying, runs=RUNS).fixation(TYPES)[0])


def runs(preset: str) -> dict[str, Any]:
    return {f"{name}-{preset}": adjust(presets[preset], seeds=SEEDS) for name, presets in RECIPES.items()}


class Measured(NamedTuple):
    """Of the learners of a run, `[seed, learner]`."""

    rewards: dict[Condition, Float[np.ndarray, "seeds learners rounds"]]  # against the held-out strategies
    with_own_kind: Float[np.ndarray, " seeds"]
    with_cooperative: dict[str, Float[np.ndarray, "seeds learners"]]
    from_indifferent: dict[str, Float[np.ndarray, "seeds learners"]]
    taken_over: Float[np.ndarray, "seeds learners"]  # share of Moran processes
    excess: dict[str, Float[np.ndarray, "seeds learners 2 rounds"]]
    """Excess prediction loss by part of the library, the learner's and the observer's; empty for who does not predict.
    """


def measure(folder: RunFolder, settings: Any, conditions: tuple[Condition, ...]) -> Measured:
    """Let the learners at the end of their training meet the held-out strategies, each other and cooperative ones."""
    run, game = settings.run, settings.game
    rewards = {condition: [] for condition in conditions}
    own, taken_over, excess = [], [], {}
    cooperative, indifferent = {name: [] for name in COOPERATIVE}, {name: [] for name in INDIFFERENT}
    for seed in range(run.seed, run.seed + run.seeds):
        agents = registry.load(folder.path, seed=seed)
        keys = iter(jax.random.split(jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed), 64))
        for condition in conditions:
            rewards[condition].append([earned(one, condition, game.payoffs, next(keys)).mean(1) for one in agents])
        own.append(late_cooperation(tuple(agents[:2]), game, next(keys)))
        for name in COOPERATIVE:
            other = named_automaton(name)
            cooperative[name].append([late_cooperation((one, other), game, next(keys)) for one in agents])
        for name in INDIFFERENT:
            other = named_automaton(name)
            indifferent[name].append([taken((one, other), game, next(keys)) for one in agents])
        taken_over.append([takes_over(one, game, next(keys)) for one in agents])
        for part, entries in parts().items() if all(isinstance(one, PPIPlayer) for one in agents) else ():
            how = {"noise": settings.co_players.pool_noise, "episodes": PREDICTED}
            losses = [excess_loss_by_round(one, game, entries, next(keys), **how) for one in agents]
            excess.setdefault(part, []).append(losses)
    return Measured(
        {condition: np.array(values) for condition, values in rewards.items()},
        np.array(own),
        {name: np.array(values) for name, values in cooperative.items()},
        {name: np.array(values) for name, values in indifferent.items()},
        np.array(taken_over),
        {part: np.array(values) for part, values in excess.items()},
    )


def draw(folders: dict[str, RunFolder], settings: dict[str, Any], path: Path) -> list[Quantity]:
    """The places of the learners among the library's strategies, and the numbers. Of each seed the better learner."""
    known = field()
    found = {name: measure(folder, settings[name], tuple(known)) for name, folder in folders.items()}
    panels = []
    for condition, rewards in known.items():
        ours = [Place(_label(name), measured.rewards[condition].mean(2).max(1)) for name, measured in found.items()]
        panels.append((str(condition), rewards, ours))
    curves = {
        f"{_label(name)}, {condition}": rewards.mean((0, 1))
        for name, measured in found.items()
        for condition, rewards in measured.rewards.items()
    }
    excess = {
        f"{who}, {part}": losses[:, :, at].mean((0, 1))
        for measured in found.values()
        for part, losses in measured.excess.items()
        for at, who in enumerate(("learners", "who knows the pool"))
    }
    draw_places(path, panels, curves, "Reward per round against the held-out strategies", excess)
    best = {condition: max(rewards, key=rewards.__getitem__) for condition, rewards in known.items()}
    rows = [
        Quantity(f"{condition}: the library's best, {name}", None, np.array([known[condition][name]]))
        for condition, name in best.items()
    ]
    for name, measured in found.items():
        label = _label(name)
        for condition, rewards in measured.rewards.items():
            words = f"{label}, {condition}: reward of the better learner against held-out strategies"
            rows.append(Quantity(words, None, rewards.mean(2).max(1), at_least=known[condition][best[condition]]))
            words = f"{label}, {condition}: mean reward of both learners"
            rows.append(Quantity(words, None, rewards.mean((1, 2))))
            rows += _by_stage(words, rewards.mean(1))
        rows.append(
            Quantity(f"{label}: late mutual cooperation with its own kind", None, measured.with_own_kind, at_least=0.8)
        )
        for other, values in measured.with_cooperative.items():
            words = f"{label}: late mutual cooperation with {other}"
            rows.append(Quantity(words, None, values.mean(1), at_least=0.9))
        for other, values in measured.from_indifferent.items():
            rows.append(Quantity(f"{label}: reward per round against {other}", None, values.mean(1)))
        words = f"{label}: share of Moran processes of {TYPES} types that a learner takes over (chance {1 / TYPES:g})"
        rows.append(Quantity(words, None, measured.taken_over.mean(1), at_least=1 / TYPES))
        for part, losses in measured.excess.items():
            for at, who in enumerate((label, "who knows the pool")):
                words = f"excess prediction loss against {part}, nats per round: {who}"
                rows += _by_stage(words, losses[:, :, at].mean(1))
    return rows


def _by_stage(words: str, values: Float[np.ndarray, "seeds rounds"]) -> list[Quantity]:
    """A row for each part of a match."""
    return [
        Quantity(f"{words}, rounds {begin + 1} to {end or values.shape[1]}", None, values[:, begin:end].mean(1))
        for begin, end in itertools.pairwise(STAGES)
    ]


def _label(run: str) -> str:
    return run.partition("-")[0].upper()


STUDIES = {
    "strangers": Study(
        "Learners meet strategies of the Axelrod library that they have never met, beside the library's own best",
        "no paper",
        {"quick": 180, "paper": None},
        runs,
        draw,
        parts=tuple(RECIPES),
        require_extra=interop.library,
    )
}
