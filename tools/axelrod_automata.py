"""Finds which strategies of the Axelrod library are finite automata, and writes them as tables.

    python tools/axelrod_automata.py src/coplayer/players/data/axelrod.json

Needs the `axelrod` package (see the extra `axelrod` in pyproject.toml). A strategy is taken as a black box: it is asked
what it does after a history. Two histories are one state where the strategy answers them alike from there on, along
all of `CONTINUATIONS`. The automaton found in this way is then compared with the strategy on long random histories.
Histories hold any joint action, also those in which a trembling hand changed the strategy's own move.

Of a strategy that draws random numbers, the chance of each draw is recorded. Strategies with several draws per round,
or with draws that are no choice between the two moves, are left out.
"""

import json
import random
import sys
import time
from pathlib import Path

import axelrod
import numpy as np

C, D = axelrod.Action.C, axelrod.Action.D
MOVES = (C, D)
JOINT = [(own, other) for own in MOVES for other in MOVES]  # in the order of coplayer: CC, CD, DC, DD, own action first
MOST_STATES = 100
CHECKS, CHECK_ROUNDS = 150, 120
SECONDS = 6.0  # of the processor, at most, for one strategy
LENGTH = 12
_DRAW = np.random.default_rng(1)
CONTINUATIONS = [
    *([joint] * LENGTH for joint in JOINT),
    *([JOINT[int(i)] for i in _DRAW.integers(0, 4, LENGTH)] for _ in range(24)),
    *(
        [(own, C if i % period == phase else D) for i in range(LENGTH)]
        for own in MOVES
        for period, phase in ((2, 0), (3, 1))
    ),
]


class Draw:
    """In the place of a strategy's random numbers: a draw that comes out as wanted, and the chance that it had."""

    def __init__(self, outcome):
        self.outcome, self.chances = outcome, []

    def random_choice(self, p=0.5):
        if 0 < p < 1:
            self.chances.append(p)
            return self.outcome
        return C if p == 1 else D

    def __getattr__(self, name):
        raise NotImplementedError(f"draws by {name}")


def cooperates(player, opponent, own):
    """P(cooperate) of a strategy now. Where it draws, the draw comes out as `own`, what is really played."""
    player._random = Draw(own)
    action = player.strategy(opponent)
    if not player._random.chances:
        return float(action == C)
    (chance,) = player._random.chances  # with more draws the chance is not known
    return float(chance if action == own else 1 - chance)


def played(player, opponent, own, other):
    player.history.append(own, other)
    opponent.history.append(other, own)


def answers(make, history):
    """P(cooperate) of a strategy after a history, and on along each continuation."""
    given = []
    for continuation in CONTINUATIONS:
        player, opponent = make(), axelrod.MockPlayer([])
        for round_, (own, other) in enumerate((*history, *continuation)):
            chance = cooperates(player, opponent, own)
            if round_ >= len(history):
                given.append(chance)
            played(player, opponent, own, other)
    return tuple(given)


def found_by_asking(make):
    """The automaton of a strategy, or None where it has too many states."""
    begin = time.process_time()
    states, following, queue = {answers(make, ()): 0}, [], [()]
    for history in queue:
        row = []
        for joint in JOINT:
            longer = (*history, joint)
            of_it = answers(make, longer)
            if of_it not in states:
                if len(states) == MOST_STATES or time.process_time() - begin > SECONDS:
                    return None
                states[of_it] = len(states)
                queue.append(longer)
            row.append(states[of_it])
        following.append(row)
    return {"next": following, "p_cooperate": [of_it[0] for of_it in states]}


def agrees(make, machine, rng):
    """Whether a strategy and the automaton act alike on random histories."""
    for check in range(CHECKS):
        player, opponent, state = make(), axelrod.MockPlayer([]), 0
        tremble, cooperate = (0.0, 0.05, 0.3)[check % 3], rng.random()
        for _ in range(CHECK_ROUNDS):
            drawn = C if rng.random() < machine["p_cooperate"][state] else D
            if abs(cooperates(player, opponent, drawn) - machine["p_cooperate"][state]) > 1e-9:
                return False
            own = drawn.flip() if rng.random() < tremble else drawn
            other = C if rng.random() < cooperate else D
            played(player, opponent, own, other)
            state = machine["next"][state][JOINT.index((own, other))]
    return True


def merged(machine):
    """The smallest automaton that acts alike (partition refinement), states in the order in which they are reached."""
    rows, chance = machine["next"], machine["p_cooperate"]
    block = list(map(sorted(set(chance)).index, chance))
    while True:
        keys = [(block[s], *(block[t] for t in rows[s])) for s in range(len(rows))]
        finer = list(map(sorted(set(keys)).index, keys))
        if len(set(finer)) == len(set(block)):
            break
        block = finer
    member = {b: block.index(b) for b in set(block)}
    order, queue = {block[0]: 0}, [block[0]]
    for at in queue:
        for target in rows[member[at]]:
            if block[target] not in order:
                order[block[target]] = len(order)
                queue.append(block[target])
    return {
        "next": [[order[block[t]] for t in rows[member[b]]] for b in queue],
        "p_cooperate": [chance[member[b]] for b in queue],
    }


def main(path):
    found, left, rng = {}, {}, np.random.default_rng(0)
    random.seed(0)
    for kind in axelrod.all_strategies:
        name, begin = kind.name, time.process_time()
        try:
            player = kind()
            if axelrod.Classifiers["long_run_time"](player) or axelrod.Classifiers["inspects_source"](player):
                left[name] = "looks into its opponent, or takes long"
                continue
            if "length" in axelrod.Classifiers["makes_use_of"](player):
                left[name] = "asks for the length of the match"
                continue
            machine = found_by_asking(kind)
            if machine is None:
                left[name] = f"more than {MOST_STATES} states, or more than {SECONDS:g} s to find them"
                continue
            machine = merged(machine)
            if not agrees(kind, machine, rng):
                left[name] = "no automaton of its answers within a few rounds"
                continue
        except Exception as error:
            left[name] = f"cannot be asked ({type(error).__name__}: {error})"
            continue
        found[name] = machine
        print(f"{name}: {len(machine['next'])} states, {time.process_time() - begin:.1f} s", flush=True)
    for name, why in left.items():
        print(f"left out: {name}: {why}")
    text = json.dumps({"axelrod": axelrod.__version__, "automata": found, "left_out": left})
    Path(path).write_text(text + "\n")
    print(f"{len(found)} of {len(found) + len(left)} strategies")


if __name__ == "__main__":
    main(sys.argv[1])
