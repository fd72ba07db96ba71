"""Finite automata against automata in plain Python, memory-1 players, and the Axelrod library's strategies."""

import axelrod
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.coin import CoinGame
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.rollout import play_match
from coplayer.play.seating import Trembling
from coplayer.players.automaton import (
    Automaton,
    Members,
    axelrod_automata,
    memory,
    mutated,
    named_automaton,
    of_memory1,
    random_automata,
    random_memory,
    stacked,
)
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES, Memory1, cooperation, named_strategy

GAME = prisoners_dilemma(40)
C, D = axelrod.Action.C, axelrod.Action.D
KINDS = {kind.name: kind for kind in axelrod.all_strategies}
DETERMINISTIC = [name for name, machine in axelrod_automata().items() if set(np.ravel(machine.p_cooperate)) <= {0, 1}]
STOCHASTIC = [name for name in axelrod_automata() if name not in DETERMINISTIC]
ROUNDS, HISTORIES = 60, 12


def in_plain_python(machine, joint):
    """P(cooperate) before each round of a history of joint actions, own action first."""
    following, chance, state, chances = np.asarray(machine.next), np.asarray(machine.p_cooperate), 0, []
    for played in joint:
        chances.append(chance[state])
        state = following[state, played]
    return np.array(chances)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_strategy_of_axelrods_on_random_histories(name):
    """Histories of any joint actions, also of moves that the strategy would not have made; and nearly its own."""
    rng = np.random.default_rng(7)
    for history in range(HISTORIES):
        player, opponent, joint, answers = KINDS[name](), axelrod.MockPlayer([]), [], []
        tremble, cooperate = (0.0, 0.05, 0.5)[history % 3], rng.random()
        for _ in range(ROUNDS):
            action = player.strategy(opponent)
            answers.append(action == C)
            own = action.flip() if rng.random() < tremble else action
            other = C if rng.random() < cooperate else D
            player.history.append(own, other)
            opponent.history.append(other, own)
            joint.append(2 * (own == D) + (other == D))
        np.testing.assert_array_equal(in_plain_python(named_automaton(name), joint), answers)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_strategy_of_axelrods_that_draws_cooperates_as_often(name):
    """After each history in which the automaton's chances lie apart: 400 times the strategy, and its chance."""
    rng = np.random.default_rng(3)
    for joint in ([], [0], [1], [2], [3], list(rng.integers(0, 4, 5))):
        machine, cooperates = named_automaton(name), []
        for seed in range(400):
            player, opponent = KINDS[name](), axelrod.MockPlayer([])
            player.set_seed(seed)
            for played in joint:
                player.strategy(opponent)
                own, other = (D if bit else C for bit in divmod(int(played), 2))
                player.history.append(own, other)
                opponent.history.append(other, own)
            cooperates.append(player.strategy(opponent) == C)
        expected = float(in_plain_python(machine, [*joint, 0])[-1])
        error = np.sqrt(expected * (1 - expected) / 400)
        assert np.mean(cooperates) == pytest.approx(expected, abs=4.5 * error + 1e-12)


def test_there_are_many_and_they_have_names_there():
    assert len(axelrod_automata()) > 100 and set(axelrod_automata()) <= set(KINDS)


@pytest.mark.parametrize("tremble", [0.0, 0.2])
def test_automata_side_by_side_are_automata_in_plain_python(tremble):
    """A batch of random automata with each other: their moves are those of the rules, drawn with the same chances."""
    machines = random_automata(jax.random.key(0), 6, 5)
    players = [machines, Members(machines, jnp.array([5, 4, 3, 2, 1, 0]))]
    hands = [Trembling(player, tremble, 2) for player in players] if tremble else players
    joint = np.asarray(play_match(hands, GAME, jax.random.key(1), episodes=6).joint)
    changed = []
    for table in range(6):
        for member, own in ((table, joint[:, table]), (5 - table, GAME.swap(jnp.asarray(joint[:, table])))):
            machine = Automaton(machines.next[member], machines.p_cooperate[member])
            changed.append((in_plain_python(machine, own) == 1) != (np.asarray(own) < 2))
    assert np.mean(changed) == pytest.approx(tremble, abs=0.05 * (tremble > 0))


@pytest.mark.parametrize("name", PRISONERS_DILEMMA_STRATEGIES)
def test_a_memory_1_player_is_an_automaton(name):
    own_key = jax.random.key(2)
    other = cooperation([0.5, 0.9, 0.2, 0.6, 0.4])
    pairs = [(player, other) for player in (named_strategy(name), named_automaton(name))]
    one, two = (play_match(pair, GAME, own_key, episodes=5).joint for pair in pairs)
    np.testing.assert_array_equal(one, two)


def test_a_batch_of_memory_1_players_is_one_of_automata():
    table = jax.random.uniform(jax.random.key(0), (4, 5))
    batch = Memory1(jnp.stack([table, 1 - table], -1))
    one, two = (
        play_match((player, named_strategy("random")), GAME, jax.random.key(3), episodes=4).joint
        for player in (batch, of_memory1(batch))
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_players_who_remember_the_last_rounds(k):
    """The state after a history is that of its last k rounds, whatever came before."""
    histories = sum(4**depth for depth in range(k + 1))
    machine = memory(np.arange(histories) / histories)
    rng = np.random.default_rng(k)
    joint = rng.integers(0, 4, 30)
    for t, chance in enumerate(in_plain_python(machine, joint)):
        last = joint[max(0, t - k) : t]
        shorter = sum(4**depth for depth in range(len(last)))
        number = sum(int(played) * 4**place for place, played in enumerate(reversed(last)))
        assert chance == pytest.approx((shorter + number) / histories)
    assert random_memory(jax.random.key(0), 3, k).p_cooperate.shape == (3, histories)


def test_automata_of_several_sizes_become_one_batch():
    names = ["Tit For Tat", "Grudger", "Fool Me Once", "always_defect"]
    batch = stacked([named_automaton(name) for name in names])
    opponent = named_automaton("Alternator")
    joint = play_match((batch, opponent), GAME, jax.random.key(0), episodes=4).joint
    for table, name in enumerate(names):
        alone = play_match((named_automaton(name), opponent), GAME, jax.random.key(0), episodes=1).joint
        np.testing.assert_array_equal(joint[:, table], alone[:, 0])


def test_random_automata_use_all_states_and_both_moves():
    sure, unsure = (random_automata(jax.random.key(1), 500, 3, deterministic=d) for d in (True, False))
    assert set(np.unique(sure.p_cooperate)) == {0, 1} and sure.p_cooperate.mean() == pytest.approx(0.5, abs=0.06)
    assert unsure.p_cooperate.std() == pytest.approx(12**-0.5, abs=0.03)
    np.testing.assert_allclose(np.bincount(np.ravel(sure.next)) / sure.next.size, 1 / 3, atol=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Automaton([[0, 0, 0]], [1.0]), "next must have the shape of p_cooperate and 4 joint actions more"),
        (lambda: Automaton([[0, 0, 1, 0]], [1.0]), "next must hold whole numbers from 0 to 0"),
        (lambda: Automaton([[0.5, 0, 0, 0]], [1.0]), "next must hold whole numbers"),
        (lambda: Automaton([[0, 0, 0, 0]], [1.5]), r"p_cooperate must lie in \[0, 1\]"),
        (lambda: Automaton([[0, 0, 0, 0], [0]], [1.0]), "must be numbers, every row of the same length"),
        (lambda: stacked([]), "automata: needs at least one"),
        (lambda: stacked([random_automata(jax.random.key(0), 2, 2)]), "automata: must be single ones"),
        (lambda: memory(np.zeros(6)), "the last axis must have 1"),
        (lambda: named_automaton("Nobody"), "strategy: 'Nobody' is not one of always_cooperate"),
        (lambda: random_memory(jax.random.key(0), 2, -1), "rounds: must be"),
        (lambda: named_automaton("Tit For Tat").check(CoinGame()), "player: an automaton plays matrix games"),
        (lambda: named_automaton("Tit For Tat").check(MatrixGame(np.eye(3))), "player: an automaton plays"),
        (lambda: random_automata(jax.random.key(0), 2, 2).begin(None, 3), "one per table, at 3 tables"),
        (lambda: Trembling(named_strategy("random"), 0.1, 3).check(GAME), "trembling hand knows 3 actions"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(CoplayerError, match=message):
        call()


def test_a_mutant_has_its_share_of_the_table_changed():
    """Of a deterministic automaton of 4 states. A changed entry is the old one in 1 of 4 cases, a changed probability
    never. Half of the changed probabilities are the opposite.
    """
    one = random_automata(jax.random.key(0), 1, 4)
    batch = jax.tree.map(lambda table: jnp.repeat(table, 6000, axis=0), one)
    mutants = mutated(jax.random.key(1), batch, jnp.repeat(jnp.array([0.0, 0.4]), 3000))
    moved, acted = mutants.next != batch.next, mutants.p_cooperate != batch.p_cooperate
    assert not moved[:3000].any() and not acted[:3000].any()
    states = int(one.next.max()) + 1
    assert moved[3000:].mean() == pytest.approx(0.4 * (1 - 1 / states), abs=0.01)
    assert acted[3000:].mean() == pytest.approx(0.4, abs=0.015)
    assert (mutants.p_cooperate == 1 - batch.p_cooperate)[3000:].mean() == pytest.approx(0.2, abs=0.015)
    assert int(mutants.next.max()) == states - 1
