"""Splits the strategies of the Axelrod library into those that training may use and those that are held out.

    python tools/axelrod_split.py src/coplayer/players/data/axelrod_split.json

Needs the `axelrod` package (see the extra `axelrod` in pyproject.toml). Strategies are first put into groups: those
that are automata in axelrod.json or not, stochastic or not, with a finite memory or not. Each group is shuffled by
`SEED` and halved. So both parts hold strategies of every kind, and near relatives of each other too.
"""

import json
import random
import sys
from pathlib import Path

import axelrod

SEED = 2026
DATA = Path("src/coplayer/players/data/axelrod.json")


def kind(player, automata) -> tuple[bool, bool, bool]:
    classifier = player.classifier
    return player.name in automata, classifier["stochastic"], classifier["memory_depth"] == float("inf")


def split(automata) -> dict[str, list[str]]:
    groups = {}
    for make in axelrod.strategies:
        player = make()
        groups.setdefault(kind(player, automata), []).append(player.name)
    draw, parts = random.Random(SEED), {"training": [], "held_out": []}
    for group in sorted(groups):
        names = sorted(groups[group])
        draw.shuffle(names)
        half = (len(names) + 1) // 2
        parts["training"] += names[:half]
        parts["held_out"] += names[half:]
    return {part: sorted(names) for part, names in parts.items()}


if __name__ == "__main__":
    automata = json.loads(DATA.read_text(encoding="utf-8"))["automata"]
    made = {"axelrod": axelrod.__version__, "seed": SEED} | split(automata)
    Path(sys.argv[1]).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
