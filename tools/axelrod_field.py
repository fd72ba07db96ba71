"""What every strategy of the Axelrod library earns against the held-out ones, measured with the library itself.

    python tools/axelrod_field.py OUT.csv --rounds 100 --noise 0 --matches 5

Needs the `axelrod` package (see the extra `axelrod` in pyproject.toml). Writes one row for each strategy and held-out
strategy: the mean reward per round, in the payoffs of coplayer's prisoner's dilemma (1, -1, 2, 0). Deterministic pairs
play once where there is no noise. Strategies that the library marks as slow (`long_run_time`) are left out on both
sides. A strategy is not told how long the match is. It is told the library's own payoffs, since some cannot play with
others.
"""

import argparse
import csv
import io
import warnings
from pathlib import Path

import axelrod

from coplayer.players.automaton import axelrod_parts
from coplayer.runs.files import write_atomically

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--matches", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    everyone = [player for player in (make() for make in axelrod.strategies) if is_fast(player)]
    held_out = [player for player in everyone if player.name in axelrod_parts()["held_out"]]
    rows = []
    for number, one in enumerate(everyone):
        for place, other in enumerate(held_out):
            seed = SEED + (number * len(held_out) + place) * options.matches
            reward = earned(one, other, rounds=options.rounds, noise=options.noise, matches=options.matches, seed=seed)
            rows.append({"strategy": one.name, "held_out": other.name, "reward": f"{reward:.4f}"})
        print(number + 1, one.name, flush=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(options.out, text.getvalue().encode())


if __name__ == "__main__":
    main()
