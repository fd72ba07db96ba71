"""An experiment of one's own: two memory-1 players who learn by trial and error, each from its expected rewards.

A player tries a small random change of its five probabilities, and keeps the change if its reward per round rises. The
experiment is one class that meets `cp.Experiment`. Registered, it is trained, resumed, joined, evaluated and reported
like those of the package, from Python and from the command line:

python examples/your_own_experiment.py train trial-and-error --seeds 5 --out runs/trials
python examples/your_own_experiment.py evaluate runs/trials
"""

import sys
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import coplayer as cp
from coplayer import cli
from coplayer.experiments.settings import RunSettings, check_seeds
from coplayer.figures.published import Panel
from coplayer.runs.training import Chunk
from coplayer.settings import check_limits, setting


@dataclass(frozen=True)
class TrialSettings:
    """Trials"""

    trials: int = setting(100)
    """Changes that each player tries in a phase."""
    step: float = setting(0.1, at_most=1)
    """Standard deviation of a change, in probability."""


@dataclass(frozen=True)
class TrialAndError:
    """Two memory-1 players who try changes, and keep those that pay."""

    game: cp.Game = cp.prisoners_dilemma()
    run: RunSettings = RunSettings(phases=10)
    trial: TrialSettings = TrialSettings()


class State(NamedTuple):
    """A run between two phases."""

    cooperate: np.ndarray  # probabilities of action 0, [learner, seed, observation]
    phase: int  # phases done


def expected(game, own, other):
    """Expected reward per round of the first of two players, and its rate of cooperation."""
    chances = cp.joint_distribution(cp.cooperation(own), cp.cooperation(other), game).mean(0)  # of CC, CD, DC, DD
    return chances @ game.payoff_vector(), chances[:2].sum()


class Training:
    """The experiment as the host runs it (see coplayer.runs.training.Training)."""

    def __init__(self, settings):
        self.settings = settings
        self._phase = jax.jit(jax.vmap(self._one_phase))  # over seeds

    def initial_state(self):
        run = self.settings.run
        first = [jax.random.uniform(jax.random.key(run.seed + i), (2, 5)) for i in range(run.seeds)]
        return State(np.stack(first, axis=1), 0)

    def finished(self, state):
        return state.phase >= self.settings.run.phases

    def progress(self, state):
        return state.phase / self.settings.run.phases

    def _one_phase(self, cooperate, key):  # of one seed, [learner, observation]
        trial, game = self.settings.trial, self.settings.game

        def one_trial(cooperate, key):
            for learner in range(2):
                own, other = cooperate[learner], cooperate[1 - learner]
                change = trial.step * jax.random.normal(jax.random.fold_in(key, learner), own.shape)
                tried = jnp.clip(own + change, 0, 1)
                pays = expected(game, tried, other)[0] > expected(game, own, other)[0]
                cooperate = cooperate.at[learner].set(jnp.where(pays, tried, own))
            return cooperate, None

        return jax.lax.scan(one_trial, cooperate, jax.random.split(key, trial.trials))[0]

    def advance(self, state):
        run, phase = self.settings.run, state.phase + 1
        keys = jnp.stack([jax.random.fold_in(jax.random.key(run.seed + i), phase) for i in range(run.seeds)])
        cooperate = np.asarray(self._phase(state.cooperate.swapaxes(0, 1), keys)).swapaxes(0, 1)
        rows = []
        for i in range(run.seeds):
            for learner in range(2):
                reward, cooperation = expected(self.settings.game, cooperate[learner, i], cooperate[1 - learner, i])
                row = {"phase": phase, "seed": run.seed + i, "learner": learner}
                row |= {"reward_vs_learner": float(reward), "cooperation_vs_learner": float(cooperation)}
                rows.append(row)
        return Chunk(State(cooperate, phase), rows, {}, {"cooperate": cooperate}, phase)

    def pack(self, state):
        return {"cooperate": state.cooperate, "phase": np.asarray(state.phase)}

    def unpack(self, arrays):
        return State(arrays["cooperate"], int(arrays["phase"]))


class Experiment:
    """What `cp.register_experiment` asks for (see coplayer.experiments.protocol)."""

    NAME = "trial-and-error"
    PRESETS = {"quick": TrialAndError(), "paper": TrialAndError()}  # noqa: RUF012
    RECIPES = {NAME: cp.Recipe(TrialAndError.__doc__, "nowhere published", PRESETS)}  # noqa: RUF012
    LENDS_AGENTS, JOINABLE = False, True

    def check(self, settings):
        check_limits(settings)
        check_seeds(settings.run)
        game = settings.game
        if not isinstance(game, cp.MatrixGame) or game.num_actions != 2 or not game.symmetric:
            raise cp.CoplayerError("game: must be a matrix game of two actions, the same for both players")

    def Trainer(self, settings):
        self.check(settings)
        return Training(settings)

    def players(self, settings, agents, *, phase, seed):
        return [cp.cooperation(own[seed - settings.run.seed]) for own in agents["cooperate"]]

    def match_episodes(self, settings):
        return 1

    def panel(self, settings):
        return Panel("", "trial and error", "phase")


cp.register_experiment(Experiment())

if __name__ == "__main__":
    sys.exit(cli.main())
