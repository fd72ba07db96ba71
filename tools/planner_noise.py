"""How noisy a planner is where two trained PPI learners meet, and how often it therefore chooses the worse action.

    python tools/planner_noise.py results/weis2026/ppi-mixed-demo

The states are met by the first learner in episodes with the second. The reference is the mean of many rollouts. Prints
a Markdown table with a row for each way to plan: plain or stratified rollouts, in all decisions or more in open ones.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np

from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.players.planner import PlannerSettings, PPIPlayer, estimate_q

WAYS = {  # rollouts, further ones in open decisions, stratified
    "8": (8, 0, False),
    "8, stratified": (8, 0, True),
    "12": (12, 0, False),
    "12, stratified": (12, 0, True),
    "18, stratified": (18, 0, True),
    "32, stratified": (32, 0, True),
    "8 and 24 in open decisions, stratified": (8, 24, True),
    "12 and 24 in open decisions, stratified": (12, 24, True),
}
REFERENCE = 200  # rollouts of an estimate
FIRST, EVERY = 4, 8  # rounds whose states are kept


@dataclass(frozen=True)
class Row:
    """A way to plan, over all states. Q is in units of reward summed over the horizon."""

    way: str
    error: float  # standard error of Q(0) - Q(1)
    worse: float  # share of the decisions in which the worse action seems the better
    lost: float  # mean of the better action's Q less that of the one that seems the better


def states_met(first: PPIPlayer, second: Player, episodes: int, rounds: int) -> jax.Array:
    """States of the first player's model, in which it is about to plan, from episodes with the second."""
    game = replace(first.model.game, rounds=rounds)
    joint = play_match((first, second), game, jax.random.key(1), episodes=episodes).joint
    return jax.tree.map(lambda leaf: leaf[FIRST::EVERY].reshape(-1, *leaf.shape[2:]), first.states_along(joint))


def measured(player: PPIPlayer, states: jax.Array, *, reference: int, draws: int) -> list[Row]:
    """A row for each of `WAYS`, from `draws` plans of each state. `reference`: estimates of 200 rollouts each that the
    truth is taken from.
    """
    model, plain = player.model, replace(player.settings, stratified=True, open_rollouts=0)

    def estimates(how: PlannerSettings, count: int, seed: int) -> np.ndarray:
        """Q(0) - Q(1), `[count, states]`."""

        @jax.jit
        def difference(key):
            q = estimate_q(model, states, key, how)
            return q[0] - q[1]

        return np.stack([difference(key) for key in jax.random.split(jax.random.key(seed), count)])

    truth = estimates(replace(plain, rollouts=REFERENCE), reference, 2).mean(0)
    rows = []
    for way, (rollouts, further, stratified) in WAYS.items():
        found = estimates(replace(plain, rollouts=rollouts, open_rollouts=further, stratified=stratified), draws, 3)
        worse = (found > 0) != (truth > 0)
        error = float(np.sqrt(found.var(0, ddof=1).mean()))
        rows.append(Row(way, error, float(worse.mean()), float((worse * np.abs(truth)).mean())))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder or archive of a PPI run")
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--draws", type=int, default=60)
    options = parser.parse_args()
    first, second, *_ = registry.load(options.run)
    require(isinstance(first, PPIPlayer), f"run: {options.run} has no learners that plan")
    require(first.model.game.num_actions == 2, "run: needs a game of two actions")
    states = states_met(first, second, options.episodes, rounds=40)
    print("| rollouts | standard error of Q(C) - Q(D) | worse action chosen | lost per decision |")
    print("| --- | ---: | ---: | ---: |")
    for row in measured(first, states, reference=10, draws=options.draws):
        print(f"| {row.way} | {row.error:.2f} | {row.worse:.4f} | {row.lost:.4f} |", flush=True)


if __name__ == "__main__":
    main()
