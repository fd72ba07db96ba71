"""Watching the agents of a run folder play, in games that can be drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.figures.watching import Shown, animate, draw_strip
from coplayer.games import names
from coplayer.games.game import Game
from coplayer.games.grid import Scene, Visible
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.runs.folder import RunFolder

WHOM = ("auto", "naive", "agent")
Episode = tuple[list[Scene], np.ndarray]  # by round: what is seen, and both players' rewards


class Pictures(NamedTuple):
    """The files that show the episodes."""

    animation: Path
    strip: Path


def watch(folder: RunFolder, *, phase: int | None = None, seed: int | None = None, whom: str = "auto") -> Pictures:
    """Let the first agent of a seed play, and draw it: figures/watch.gif and figures/watch.png in the run's folder.

    Of agents who remember many inner episodes, the first, the middle and the last of a meta-trajectory are shown; of
    others, one episode after the first, the middle and the last phase up to `phase`. `whom`: "naive" for a naive
    learner, "agent" for the run's second agent, "auto" for a naive learner where the run has some.

    Raises `CoplayerError` where the game cannot be drawn, or the run has no such phase, seed or co-player.
    """
    experiment, settings = registry.settings_of_folder(folder)
    game = settings.game
    drawn = ", ".join(name for name, each in names.GAMES.items() if isinstance(each, Visible))
    require(isinstance(game, Visible), f"game: {type(game).__name__} has no scene to be drawn; {drawn} have one")
    require(whom in WHOM, f"whom: must be one of {', '.join(WHOM)}, got {whom!r}")
    has_naive = isinstance(settings, CoalaIPD) and settings.with_naive > 0
    require(has_naive or whom != "naive", f"whom: {folder.path} has no naive learners")
    last, seed = registry.phase_of(folder, phase), settings.run.seed if seed is None else seed
    naive = whom == "naive" or (whom == "auto" and has_naive)
    key = jax.random.fold_in(jax.random.key(EVALUATION_SEED), seed)

    def pair(phase: int) -> tuple[Player, Player]:
        agents = registry.load(folder.path, phase=phase, seed=seed)
        if naive:
            return agents[0], coala_ipd.naive_co_player(settings, agents, key)
        require(len(agents) > 1, f"whom: {folder.path} has one agent only, who cannot meet another")
        return agents[0], agents[1]

    inner, shown = experiment.match_episodes(settings), []
    tables = settings.shaping.batch if naive else 1  # a naive learner learns from all of them
    if inner > 1:
        rounds = episodes_of(game, pair(last), key, tables, inner)
        shown = [Shown(f"inner episode {i + 1}", *rounds(i)) for i in sorted({0, (inner - 1) // 2, inner - 1})]
    else:
        phases = [each for each in folder.phases() if each <= last]
        for each in sorted({phases[0], phases[(len(phases) - 1) // 2], last}):
            shown.append(Shown(f"after phase {each}", *episodes_of(game, pair(each), key, tables, 1)(0)))
    made = Pictures(folder.figures / "watch.gif", folder.figures / "watch.png")
    called = ("agent", "naive learner") if naive else ("agent 1", "agent 2")
    animate(made.animation, shown, called)
    draw_strip(made.strip, shown, called)
    return made


def episodes_of(
    game: Game, players: tuple[Player, Player], key: PRNGKeyArray, tables: int, inner: int
) -> Callable[[int], Episode]:
    """Scenes and rewards of an inner episode by its number, at the first of these tables of one match."""
    match = play_match(players, game, key, episodes=tables, inner_episodes=inner)
    views = [match.view(player) for player in range(2)]
    observations = np.asarray(views[0].observations[:, 0])
    rewards = np.stack([np.asarray(view.rewards[:, 0]) for view in views], axis=1)

    def of(number: int) -> Episode:
        rounds = slice(number * game.rounds, (number + 1) * game.rounds)
        return [game.scene(one) for one in observations[rounds]], rewards[rounds]

    return of
