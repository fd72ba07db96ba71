"""A game with state and chance in one file: two shepherds on one pasture. Grazing hard pays now and ruins the grass.

A2C trains two learners on it (two minutes on two cores); then they meet a shepherd with a rule of its own.

python examples/your_own_game.py
coplayer train a2c-step1 --game examples/your_own_game.py:Pasture --out runs/pasture
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp

import coplayer as cp


@dataclass(frozen=True)
class Pasture:
    """The grass is 0 to 5 high. While there is grass, sparing (action 0) earns .5 and grazing hard (action 1) earns 1.
    Only hard grazing lowers the grass, by 1."""

    rounds: int = 30
    """Rounds of an episode."""

    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("sparing", "grass")
    observation_space: ClassVar[cp.Symbol] = cp.Symbol(6)

    def reset(self, key):
        return jnp.asarray(5)

    def step(self, grass, actions, key):
        rewards = jnp.where(grass > 0, 0.5 + 0.5 * actions, 0.0)
        eaten = actions.sum()  # only hard grazing takes grass
        grown = jax.random.bernoulli(key, 0.6).astype(int)
        return jnp.clip(grass - eaten + grown, 0, 5), rewards

    def observe(self, grass, player):
        return grass

    def measure(self, before, actions, after, player):
        return {"sparing": actions[player] == 0, "grass": before.astype(float)}


class Careful(cp.Player):
    """Grazes hard on high grass only."""

    def begin(self, key, batch):
        return None

    def act(self, state, grass, key):
        return state, (grass > 3).astype(int), None


def main() -> None:
    cp.configure()
    game = Pasture()
    cp.register_game("pasture", game)  # so that its runs can be read back by this name
    settings = cp.adjust(
        cp.preset("a2c-mixed"), game=game, iterations=ITERATIONS, phases=1, tabular_iterations=0, episodes=256
    )
    out = Path(tempfile.mkdtemp()) / "pasture"
    cp.train(settings, out)
    one, other = cp.load(out)
    for name, opponent in (("the other learner", other), ("a careful shepherd", Careful())):
        match = cp.play_match((one, opponent), game, jax.random.key(1), episodes=200)
        view = match.view(0)
        sparing, grass = (view.measures[measure].mean() for measure in game.measures)
        print(f"with {name}: reward per round {view.rewards.mean():.2f}, sparing {sparing:.2f}, grass {grass:.2f}")


ITERATIONS = 2000

if __name__ == "__main__":
    main()
