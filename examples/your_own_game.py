"""Any game, any memory-1 players, a pool: two learners in an iterated stag hunt, then matches. A minute on two cores.

python examples/your_own_game.py
"""

import dataclasses
import tempfile
from pathlib import Path

import jax

import coplayer as cp


def main() -> None:
    cp.configure()
    game = cp.MatrixGame([[4, 0], [3, 2]], rounds=30)  # stag (together 4, alone 0) or hare (3 or 2)
    settings = dataclasses.replace(
        cp.PRESETS["quick"],
        payoffs=(4, 0, 3, 2),
        rounds=game.rounds,
        pool=("uniform", "always_defect", "0.9,0.9,0.1,0.9,0.1"),  # a stranger, one who never hunts, one who answers
        phases=4,
        updates=200,
        later_rollouts=0,
    )
    out = Path(tempfile.mkdtemp()) / "stag-hunt"
    cp.train(settings, out)
    one, other = cp.load(out)

    friend = cp.cooperation([0.9, 0.9, 0.1, 0.9, 0.1])
    for name, opponent in (("the other learner", other), ("the one who answers", friend)):
        joint = cp.play_match(one, opponent, game, jax.random.key(1), episodes=200)
        print(f"reward a round against {name}: {game.reward(joint).mean():.2f}")
    print(f"two who answer, exactly: {cp.mean_rewards(friend, friend, game)[0]:.2f}")


if __name__ == "__main__":
    main()
