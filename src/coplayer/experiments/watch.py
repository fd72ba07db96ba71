"""Watching the agents of a run folder play, in games that can be drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.figures.watching import Shown, animate, draw_strip
from coplayer.games import names
from coplayer.games.grid import Scene, Visible
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.runs.folder import RunFolder

WHOM = ("auto", "naive", "agent")


class Seen(NamedTuple):
    """An episode at one table. The arrays are `[round, 2]`, with a column for each player."""

    scenes: list[Scene]  # before each round and after the last, as the first player sees it
    actions: np.ndarray
    rewards: np.ndarray
    measures: dict[str, np.ndarray]


class Pictures(NamedTuple):
    """The files that show the episodes."""

    animation: Path
    strip: Path


def watch(
    folder: RunFolder,
    *,
    phase: int | None = None,
    seed: int | None = None,
    whom: str = "auto",
    out: Path | None = None,
) -> Pictures:
    """Let the first agent of a seed play, and draw it: watch.gif and watch.png in the folder `out`. None: the folder
    "figures" of the run; an archive stays as it is, and needs `out`.

    Of agents who remember many inner episodes, the first, the middle and the last of a meta-trajectory are shown. Of
    others, one episode is shown after the first, the middle and the last phase up to `phase`. `whom`: "naive" for a
    naive learner, "agent" for the run's second agent, "auto" for a naive learner where the run has some.

    Raises `CoplayerError` where the game cannot be drawn, the run has no such phase, seed or co-player, or an archive
    is given without `out`.
    """
    require(
        out is not None or not folder.archived,
        f"out: {folder.path} is an archive, which stays as it is; name a folder for the pictures by --out",
    )
    out = folder.figures if out is None else out
    experiment, settings = registry.settings_of_folder(folder)
    game = settings.game
    drawn = ", ".join(name for name, each in names.GAMES.items() if isinstance(each, Visible))
    require(isinstance(game, Visible), f"game: {type(game).__name__} has no scene to be drawn; {drawn} have one")
    require(whom in WHOM, f"whom: must be one of {', '.join(WHOM)}, got {whom!r}")
    has_naive = meets_naive(settings)
    require(has_naive or whom != "naive", f"whom: {folder.path} has no naive learners")
    last, seed = registry.phase_of(folder, phase), settings.run.seed if seed is None else seed
    naive = whom == "naive" or (whom == "auto" and has_naive)
    key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed)

    def agents_of(phase: int) -> list[Player]:
        agents = registry.load(folder.path, phase=phase, seed=seed)
        require(naive or len(agents) > 1, f"whom: {folder.path} has one agent only, who cannot meet another")
        return agents

    inner = experiment.match_episodes(settings)
    phases = [each for each in folder.phases() if each <= last]
    episodes = inner_episodes(settings, agents_of(last), key, naive, inner) if inner > 1 else {}
    for each in few(phases) if inner == 1 else []:
        (episode,) = inner_episodes(settings, agents_of(each), key, naive, 1).values()
        episodes[f"after phase {each}"] = episode
    shown = [Shown(title, seen.scenes, seen.rewards) for title, seen in episodes.items()]
    made = Pictures(out / "watch.gif", out / "watch.png")
    called = ("agent", "naive learner") if naive else ("agent 1", "agent 2")
    animate(made.animation, shown, called)
    draw_strip(made.strip, shown, called)
    return made


def meets_naive(settings: Any) -> bool:
    """Whether the agents of a run meet naive learners."""
    return isinstance(settings, CoalaIPD) and settings.with_naive > 0


def few(values: Sequence[int]) -> list[int]:
    """The first, the middle and the last of these numbers, which rise."""
    return sorted({values[0], values[(len(values) - 1) // 2], values[-1]})


def inner_episodes(
    settings: Any, agents: Sequence[Player], key: PRNGKeyArray, naive: bool, inner: int
) -> dict[str, Seen]:
    """The first, the middle and the last of `inner` episodes in a row by their titles, at the first table of one match.
    The first agent meets a naive learner if `naive`, else the second agent.
    """
    game, tables = settings.game, settings.shaping.batch if naive else 1  # a naive learner learns from all of them
    other = coala_ipd.naive_co_player(settings, agents, key) if naive else agents[1]
    match = play_match((agents[0], other), game, key, episodes=tables, inner_episodes=inner)
    views = [match.view(player) for player in range(2)]

    def of(number: int) -> Seen:
        rounds = slice(number * game.rounds, (number + 1) * game.rounds)

        def both(values: Sequence[Array]) -> np.ndarray:
            return np.stack([np.asarray(each[rounds, 0]) for each in values], axis=1)

        seen = [*np.asarray(views[0].observations[rounds, 0]), np.asarray(match.ends[0][number, 0])]
        measures = {name: both([view.measures[name] for view in views]) for name in game.measures}
        actions, rewards = both([view.actions for view in views]), both([view.rewards for view in views])
        return Seen([game.scene(one) for one in seen], actions, rewards, measures)

    return {f"inner episode {i + 1}": of(i) for i in few(range(inner))}
