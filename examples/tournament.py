"""A tournament of unlike players in one call: PPI and A2C learners, a COALA-PG agent, tit-for-tat, always-defect.

All are trained for a few seconds here, so they are beginners. Three minutes on two cores, most of it compilation.

python examples/tournament.py
"""

import tempfile
from pathlib import Path

import jax

import coplayer as cp


def trained(recipe: str, **changes) -> cp.Player:
    """The first agent of a short run."""
    settings = cp.adjust(cp.preset(recipe), game=GAME, **changes)
    folder = cp.train(settings, Path(tempfile.mkdtemp()) / recipe)
    return cp.load(folder.path)[0]


def main() -> None:
    cp.configure()
    short = {"iterations": UPDATES, "log_every": UPDATES, "phases": 1}
    players = {
        "PPI": trained("ppi-mixed", phases=1, first_updates=UPDATES, hidden=16, episodes=200, play_blocks=1),
        "A2C": trained("a2c-step1", **short, episodes=64),
        "COALA-PG": trained("coala-shaping", **short, replicas=8, entropy_from=0, inner_episodes=5),
        "tit-for-tat": cp.named_strategy("tit_for_tat"),
        "always-defect": cp.named_strategy("always_defect"),
    }
    result = cp.tournament(players, GAME, jax.random.key(0), episodes=32, inner_episodes=5)
    print(result.table())


GAME = cp.prisoners_dilemma(rounds=20)
UPDATES = 100

if __name__ == "__main__":
    main()
