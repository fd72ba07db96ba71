"""Any payoffs, any memory-1 players, a pool: two PPI learners in an iterated stag hunt, then matches. A minute on two
cores.

python examples/your_own_payoffs.py
"""

import tempfile
from pathlib import Path

import jax

import coplayer as cp


def main() -> None:
    cp.configure()
    settings = cp.adjust(
        cp.preset("ppi-mixed"),
        game=GAME,
        pool=("uniform", "always_defect", "0.9,0.9,0.1,0.9,0.1"),  # a stranger, one who never hunts, one who answers
        phases=PHASES,
        first_updates=FIRST_UPDATES,
        updates=UPDATES,
        later_rollouts=0,
    )
    out = Path(tempfile.mkdtemp()) / "stag-hunt"
    cp.train(settings, out)
    one, other = cp.load(out)

    friend = cp.cooperation([0.9, 0.9, 0.1, 0.9, 0.1])
    for name, opponent in (("the other learner", other), ("the one who answers", friend)):
        match = cp.play_match((one, opponent), GAME, jax.random.key(1), episodes=200)
        print(f"reward per round against {name}: {match.view(0).rewards.mean():.2f}")
    print(f"two who answer, exactly: {cp.mean_rewards(friend, friend, GAME)[0]:.2f}")


PHASES, FIRST_UPDATES, UPDATES = 4, 1_000, 200
GAME = cp.MatrixGame([[4, 0], [3, 2]], rounds=30)  # stag (together 4, alone 0) or hare (3 or 2)

if __name__ == "__main__":
    main()
