"""Ashlock's fingerprint against the Axelrod library's, and against values that follow from the rules."""

import axelrod
import jax
import numpy as np
import pytest

from coplayer.analysis.fingerprint import ashlock, probes
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame
from coplayer.players.automaton import named_automaton
from coplayer.players.memory1 import named_strategy

CLASSIC = MatrixGame((3.0, 0.0, 5.0, 1.0), rounds=50)
STEPS = 4


def theirs(kind, matches):
    """The library's fingerprint, `[x, y]`."""
    made = axelrod.AshlockFingerprint(kind, axelrod.TitForTat).fingerprint(
        turns=CLASSIC.rounds, repetitions=matches, step=1 / STEPS, progress_bar=False, seed=3
    )
    at = [i / STEPS for i in range(STEPS + 1)]
    known = {(round(point.x, 6), round(point.y, 6)): value for point, value in made.items()}
    return np.array([[known[x, y] for y in at] for x in at])


@pytest.mark.parametrize("name", ["Win-Stay Lose-Shift", "Grudger"])
def test_a_fingerprint_is_that_of_axelrod(name):
    kind = {strategy.name: strategy for strategy in axelrod.strategies}[name]
    matches = 40
    ours = np.asarray(ashlock(named_automaton(name), CLASSIC, jax.random.key(1), steps=STEPS, matches=200), dtype=float)
    error = np.abs(ours - theirs(kind, matches))
    assert error.max() < 5 * 2.5 / (matches * 4) ** 0.5  # rewards of 0 to 5, a few independent stretches in a match
    assert error.mean() < 0.1


def test_corners_follow_from_the_rules():
    """At (1, 0) the probe always cooperates, at (0, 1) it always defects. At (0, 0) it is tit-for-tat. At (1, 1) it is
    the opposite of tit-for-tat, which begins with a defection.
    """
    found = ashlock(named_strategy("always_defect"), CLASSIC, jax.random.key(0), steps=1, matches=2)
    opposite = (1 + 5 * 49) / 50  # cooperates with who defected
    np.testing.assert_allclose(found, [[(5 + 49) / 50, 1.0], [5.0, opposite]], rtol=1e-6)
    kind = ashlock(named_strategy("always_cooperate"), CLASSIC, jax.random.key(0), steps=1, matches=2)
    np.testing.assert_allclose(kind, [[3.0, 0.0], [3.0, 0.0]], rtol=1e-6)


def test_a_dual_probe_takes_its_own_moves_for_the_others():
    """A probe that alternates by its own last move: the dual of it does so too, from the other move on."""
    by_own = named_automaton("Alternator")
    made = probes(np.array([0.0, 1.0]), np.array([0.0, 1.0]), by_own)
    np.testing.assert_array_equal(made.next[0], by_own.next)
    np.testing.assert_array_equal(made.next[1], np.asarray(by_own.next)[:, [2, 3, 0, 1]])
    np.testing.assert_allclose(made.p_cooperate[1], 1 - np.asarray(by_own.p_cooperate))


def test_what_has_no_fingerprint_is_refused():
    with pytest.raises(CoplayerError, match="steps: must be"):
        ashlock(named_strategy("tit_for_tat"), CLASSIC, jax.random.key(0), steps=0)
    with pytest.raises(CoplayerError, match="action 0 cooperates"):
        ashlock(named_strategy("random"), MatrixGame([[4, 0], [3, 2]], cooperation=1), jax.random.key(0))
    with pytest.raises(CoplayerError, match="probe: must be one automaton"):
        probes(np.zeros(1), np.zeros(1), probes(np.zeros(2), np.zeros(2)))
