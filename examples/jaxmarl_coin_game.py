"""The coin game of JaxMARL as a game of ours: learners and shapers train in the game. The board has a coin of each
colour. A minute on two cores.

pip install 'coplayer[jaxmarl]'
python examples/jaxmarl_coin_game.py
coplayer train coin-shaping --game examples/jaxmarl_coin_game.py:TheirCoinGame --out runs/their-coins
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
from jaxmarl.environments.coin_game import CoinGame

import coplayer as cp
from coplayer.interop.jaxmarl import EnvGame


@dataclass(frozen=True)
class TheirCoinGame(EnvGame):
    """Two coins on a torus of 3 x 3 cells. Any coin is worth 1, and the other player's coin costs the other player 2.
    The last round of an episode pays nothing."""

    rounds: int = 32
    """Rounds of an episode."""

    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("own_coins", "other_coins")

    def make(self):
        return CoinGame(num_inner_steps=self.rounds, num_outer_steps=1)

    def measure(self, before, actions, after, player):
        def taken(state):  # so far, by seat
            own, other = (state.red_coop, state.blue_coop), (state.red_defect, state.blue_defect)
            return [jax.numpy.stack(coins).sum(1)[player].astype(float) for coins in (own, other)]

        own, other = (now - then for now, then in zip(taken(after.theirs), taken(before.theirs), strict=True))
        return {"own_coins": own, "other_coins": other}


def main() -> None:
    cp.configure()
    cp.register_game("their-coins", TheirCoinGame())
    short = {"game": TheirCoinGame(), "iterations": ITERATIONS, "log_every": ITERATIONS, "phases": 1}
    shaping = {"replicas": 8, "inner_episodes": 4, "entropy_from": 0, "lambda_from": 0}
    runs = {
        "A2C": cp.adjust(cp.preset("a2c-mixed"), **short, tabular_iterations=0, episodes=64, learner_share=1.0),
        "COALA-PG": cp.adjust(cp.preset("coin-shaping"), **short, **shaping),
    }
    for method, settings in runs.items():
        out = Path(tempfile.mkdtemp()) / method
        cp.train(settings, out)
        one = cp.load(out)[0]
        view = cp.play_match((one, one), TheirCoinGame(), jax.random.key(1), episodes=100).view(0)
        own, other = (float(view.measures[name].mean()) for name in TheirCoinGame.measures)
        print(
            f"{method}, with itself: reward per round {view.rewards.mean():.2f}, coins {own:.2f} own, {other:.2f} other"
        )


ITERATIONS = 50

if __name__ == "__main__":
    main()
