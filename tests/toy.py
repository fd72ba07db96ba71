"""The smallest experiment that meets the protocol: two learners who save more and more, in whatever game is given."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from coplayer import settings as setting_groups
from coplayer.experiments import mixed_pool
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.settings import RunSettings, check_seeds
from coplayer.figures.published import Panel
from coplayer.games.game import Game
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import TabularPlayers
from coplayer.runs import checkpoint
from coplayer.runs.training import Chunk
from coplayer.settings import setting
from vault import Vault


@dataclass(frozen=True)
class SavingSettings:
    """Saving: how fast"""

    step: float = setting(0.25, at_most=1)
    """Added to the probability of saving in each phase."""
    shape: str = setting("linear", among=("linear", "square"))
    """Shape of the rise."""


@dataclass(frozen=True)
class Toy:
    """A toy."""

    game: Game = Vault()
    run: RunSettings = RunSettings(phases=2, seeds=2)
    saving: SavingSettings = SavingSettings()


class State(NamedTuple):
    saves: jax.Array  # [learner, seed]
    phase: int


class Saving:
    """The experiment as an object; a module would do as well."""

    NAME = "toy"
    RECIPES = {"toy": Recipe("A toy.", "nobody", {"quick": Toy(), "paper": setting_groups.adjust(Toy(), step=0.5)})}  # noqa: RUF012
    LENDS_AGENTS = False
    JOINABLE = True

    def check(self, settings):
        setting_groups.check_limits(settings)
        check_seeds(settings.run)

    def Trainer(self, settings, **given):
        self.check(settings)
        return Training(settings)

    def players(self, settings, agents, *, phase, seed):
        mixed_pool.check_seed(settings.run, seed)
        return [player(settings.game, saves[seed - settings.run.seed]) for saves in agents["saves"]]

    def match_episodes(self, settings):
        return 1

    def panel(self, settings):
        return Panel("", "toy", "phase")


def player(game, saves):
    row = jnp.stack([jnp.asarray(saves), 1 - jnp.asarray(saves), *[jnp.zeros(())] * (game.num_actions - 2)])
    return TabularPlayers(jnp.broadcast_to(row[None, :, None], (game.observation_space.size, game.num_actions, 1)))


class Training:
    def __init__(self, settings):
        self.settings = settings

    def initial_state(self):
        return State(jnp.zeros((2, self.settings.run.seeds)), 0)

    def finished(self, state):
        return state.phase >= self.settings.run.phases

    def progress(self, state):
        return state.phase / self.settings.run.phases

    def advance(self, state):
        settings, game = self.settings, self.settings.game
        saves = jnp.minimum(state.saves + settings.saving.step, 1.0)
        phase, rows = state.phase + 1, []
        for at in range(settings.run.seeds):
            seats = tuple(player(game, saves[i % 2, at]) for i in range(game.num_players))
            key = jax.random.fold_in(jax.random.key(settings.run.seed + at), phase)
            trajectory = play_match(seats, game, key, episodes=8)
            for learner in range(2):
                view = trajectory.view(learner)
                row = {"phase": phase, "seed": settings.run.seed + at, "learner": learner}
                row["reward_vs_learner"] = float(view.rewards.mean())
                row |= {f"{name}_vs_learner": float(v.mean()) for name, v in view.measures.items()}
                rows.append(row)
        return Chunk(State(saves, phase), rows, {}, {"saves": np.asarray(saves)}, phase)

    def pack(self, state):
        return checkpoint.flatten(state._replace(phase=None), "state") | {"phase": np.asarray(state.phase)}

    def unpack(self, arrays):
        like = State(self.initial_state().saves, None)
        return checkpoint.unflatten(like, arrays, "state")._replace(phase=int(arrays["phase"]))
