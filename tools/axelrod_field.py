"""What every strategy of the Axelrod library earns against the held-out ones, measured with the library itself.

    python tools/axelrod_field.py src/coplayer/reproduce/data/axelrod_field.csv

Needs the `axelrod` package (see the extra `axelrod` in pyproject.toml), and half an hour. Writes one row for each
strategy, number of rounds and noise: the mean reward per round over the held-out strategies. Payoffs are those of
coplayer's prisoner's dilemma (1, -1, 2, 0). Deterministic pairs play once where there is no noise. Strategies that the
library marks as slow (`long_run_time`) are left out on both sides. A strategy is not told how long the match is. A
strategy is told the library's own payoffs, since some cannot play with others.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path

import axelrod

from coplayer.players.automaton import axelrod_parts
from coplayer.runs.files import write_rows

PAYOFFS = {"CC": 1.0, "CD": -1.0, "DC": 2.0, "DD": 0.0}
SEED = 2026


def is_fast(player) -> bool:
    return not player.classifier["long_run_time"]


def earned(one, other, *, rounds: int, noise: float, matches: int, seed: int) -> float:
    """Mean reward per round of the first."""
    chance = noise > 0 or any(axelrod.Classifiers["stochastic"](player) for player in (one, other))
    total, played = 0.0, matches if chance else 1
    for number in range(played):
        match = axelrod.Match(
            (one.clone(), other.clone()),
            turns=rounds,
            noise=noise,
            seed=seed + number,
            match_attributes={"length": float("inf"), "game": axelrod.Game(), "noise": noise},
        )
        total += sum(PAYOFFS[str(own) + str(theirs)] for own, theirs in match.play()) / rounds
    return total / played


def means(rounds: int, noise: float, matches: int) -> Iterator[tuple[str, float]]:
    """Each strategy's name and mean reward."""
    everyone = [player for player in (make() for make in axelrod.strategies) if is_fast(player)]
    held_out = [player for player in everyone if player.name in axelrod_parts()["held_out"]]
    for number, one in enumerate(everyone):
        first = SEED + number * len(held_out) * matches
        rewards = [
            earned(one, other, rounds=rounds, noise=noise, matches=matches, seed=first + place * matches)
            for place, other in enumerate(held_out)
        ]
        yield one.name, sum(rewards) / len(rewards)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, nargs="+", default=[100])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.01])
    parser.add_argument("--matches", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows = [("rounds", "noise", "strategy", "reward")]
    for rounds in options.rounds:
        for noise in options.noise:
            for name, reward in means(rounds, noise, options.matches):
                rows.append((rounds, f"{noise:g}", name, f"{reward:.4f}"))
                print(rounds, noise, name, flush=True)
    write_rows(options.out, rows)


if __name__ == "__main__":
    main()
