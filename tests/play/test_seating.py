"""Players made of players, each against its parts played alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.player import Player, uniform
from coplayer.play.rollout import begin, keys_of_rounds, play_episodes, play_match, play_rounds
from coplayer.play.seating import Absent, Groups, OneOf, Opening, Replicas, Trembling
from coplayer.play.tables import table_keys, tables_of
from coplayer.play.trajectory import Episode
from coplayer.players.memory1 import Memory1, TabularPlayers, named_strategy
from state_games import Carousel, Commons

KEY = jax.random.key(11)
GAME = prisoners_dilemma(5)
fold = jax.random.fold_in


class Learner(Player):
    """Plays by a table of logits, one for all its tables, which moves with the rewards of its episode and with chance.
    Its notes are its logits.
    """

    logits: Float[Array, " symbols"]

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return self.logits + 0.1 * jax.random.normal(key, self.logits.shape), jnp.zeros(batch)

    def act(self, state, observation, key):
        logits, sums = state
        chance = uniform(key, observation.shape)
        action = (chance < jax.nn.sigmoid(logits[observation] + 0.1 * sums)).astype(jnp.int32)
        return (logits, sums + observation), action, {"sums": sums, "logits": logits}

    def learn(self, state, episode, notes, key):
        logits, _ = state
        taken = jax.nn.one_hot(episode.observations, len(logits)) * (episode.rewards * episode.actions)[..., None]
        ends = jax.nn.one_hot(episode.beyond, len(logits)).mean(0)
        moved = (
            taken.mean((0, 1)) + 0.1 * ends + 0.01 * notes["sums"].mean() + 0.1 * episode.measures["cooperation"].mean()
        )
        return logits + moved + 0.1 * jax.random.normal(key, logits.shape), jnp.zeros(episode.actions.shape[1])


def learner(seed):
    return Learner(jnp.asarray(np.random.default_rng(seed).normal(size=5), jnp.float32))


def random_table(seed, game=GAME):
    return Memory1(np.random.default_rng(seed).dirichlet(np.ones(2), 5))


def some_episode(batch, rounds=5, seed=0):
    """An episode in one player's view, with numbers that fit nothing."""
    rng = np.random.default_rng(seed)
    shape = (rounds, batch)
    return Episode(
        jnp.asarray(rng.integers(5, size=shape)),
        jnp.asarray(rng.integers(2, size=shape)),
        jnp.asarray(rng.normal(size=shape), jnp.float32),
        {"cooperation": jnp.asarray(rng.random(shape) < 0.5)},
        jnp.asarray(rng.integers(5, size=batch)),
    )


def at_tables(episode, at):
    """The part of an episode at some of its tables."""
    cut = jax.tree.map(lambda leaf: leaf[:, at], episode._replace(beyond=None))
    return cut._replace(beyond=episode.beyond[at])


def equal(one, other):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


# Groups


def test_groups_play_and_learn_as_their_players_do_alone():
    """Every part of the protocol, each group at its own tables and with its own keys."""
    players, sizes = (learner(0), random_table(1), learner(2)), (2, 3, 1)
    groups, cuts = Groups(players, sizes), [slice(0, 2), slice(2, 5), slice(5, 6)]
    state = groups.begin(KEY, 6)
    alone = [player.begin(fold(KEY, i), size) for i, (player, size) in enumerate(zip(players, sizes, strict=True))]
    equal(state, alone)
    seen, notes = jnp.asarray(np.random.default_rng(3).integers(5, size=(4, 6))), []
    for t in range(4):
        state, actions, note = groups.act(state, seen[t], fold(KEY, t))
        notes.append(note)
        acted = [player.act(alone[i], seen[t, cuts[i]], fold(fold(KEY, t), i)) for i, player in enumerate(players)]
        alone = [one[0] for one in acted]
        equal(state, alone)
        np.testing.assert_array_equal(actions, np.concatenate([one[1] for one in acted]))
        equal(note, [one[2] for one in acted])
    notes, episode = jax.tree.map(lambda *leaves: jnp.stack(leaves), *notes), some_episode(6, rounds=4)
    learned = groups.learn(state, episode, notes, KEY)
    for i, player in enumerate(players):
        equal(learned[i], player.learn(alone[i], at_tables(episode, cuts[i]), notes[i], fold(KEY, i)))


def test_groups_take_uniform_numbers_or_a_key_for_each():
    players, sizes = (random_table(0), random_table(1)), (2, 3)
    groups, seen = Groups(players, sizes), jnp.array([0, 4, 2, 1, 3])
    assert groups.takes_uniforms
    numbers = jax.random.uniform(KEY, (5,))
    _, by_numbers, _ = groups.act((None, None), seen, numbers)
    parts = [players[0].act(None, seen[:2], numbers[:2])[1], players[1].act(None, seen[2:], numbers[2:])[1]]
    np.testing.assert_array_equal(by_numbers, np.concatenate(parts))
    keys = (fold(KEY, 5), numbers[2:])
    _, by_each, _ = groups.act((None, None), seen, keys)
    parts = [players[0].act(None, seen[:2], keys[0])[1], parts[1]]
    np.testing.assert_array_equal(by_each, np.concatenate(parts))


def test_groups_of_vectors():
    """Observations with an axis of their own are split by table."""

    class Sum(Player):
        def begin(self, key, batch):
            return jnp.zeros(batch)

        def act(self, state, observation, key):
            return state + observation.sum(-1), (observation.sum(-1) > 0).astype(jnp.int32), None

    groups = Groups((Sum(), Sum()), (1, 3))
    seen = jax.random.normal(KEY, (4, 3))
    state, actions, _ = groups.act(groups.begin(KEY, 4), seen, KEY)
    np.testing.assert_allclose(np.concatenate(state), seen.sum(-1), rtol=1e-6)
    np.testing.assert_array_equal(actions, seen.sum(-1) > 0)
    trajectory = play_match((groups, Sum(), Sum()), Commons(rounds=3), KEY, episodes=4, inner_episodes=2)
    assert trajectory.view(0).observations.shape == (6, 4, 4)


def test_groups_at_a_table_meet_whom_their_players_meet():
    """Deterministic strategies: half of the tables each."""
    strategies = [named_strategy(name) for name in ("tit_for_tat", "always_defect")]
    groups, other = Groups(tuple(strategies), (2, 3)), named_strategy("win_stay_lose_shift")
    joint = play_match((groups, other), GAME, KEY, episodes=5, inner_episodes=2).joint
    for strategy, at in zip(strategies, (slice(0, 2), slice(2, 5)), strict=True):
        alone = play_match((strategy, other), GAME, KEY, inner_episodes=2).joint
        np.testing.assert_array_equal(joint[:, at], np.broadcast_to(alone, joint[:, at].shape))


def test_sizes_that_are_not_the_tables_are_refused():
    groups = Groups((random_table(0), random_table(1)), (2, 3))
    with pytest.raises(CoplayerError, match=r"^groups: have 2 \+ 3 tables, got 6"):
        groups.begin(KEY, 6)


# Replicas


@pytest.mark.parametrize("with_uniforms", [False, True])
def test_replicas_play_and_learn_as_copies_alone(with_uniforms):
    count, batch = 3, 2
    player = learner(0)
    replicas = Replicas(player, count)
    state = replicas.begin(KEY, count * batch)
    alone = [player.begin(key, batch) for key in jax.random.split(KEY, count)]
    cuts = [slice(batch * i, batch * (i + 1)) for i in range(count)]
    seen, notes = jnp.asarray(np.random.default_rng(3).integers(5, size=(4, count * batch))), []
    for t in range(4):
        chance = jax.random.uniform(fold(KEY, t), (count * batch,)) if with_uniforms else fold(KEY, t)
        each = [chance[cut] for cut in cuts] if with_uniforms else jax.random.split(chance, count)
        state, actions, note = replicas.act(state, seen[t], chance)
        notes.append(note)
        acted = [player.act(alone[i], seen[t, cuts[i]], each[i]) for i in range(count)]
        alone = [one[0] for one in acted]
        equal(state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone))
        np.testing.assert_array_equal(actions, np.concatenate([one[1] for one in acted]))
        equal(note, jax.tree.map(lambda *leaves: jnp.stack(leaves), *[one[2] for one in acted]))
    notes, episode = jax.tree.map(lambda *leaves: jnp.stack(leaves), *notes), some_episode(count * batch, rounds=4)
    learned = replicas.learn(state, episode, notes, KEY)
    for i, key in enumerate(jax.random.split(KEY, count)):
        own_notes = jax.tree.map(lambda leaf, i=i: leaf[:, i], notes)
        equal(
            jax.tree.map(lambda leaf, i=i: leaf[i], learned),
            player.learn(alone[i], at_tables(episode, cuts[i]), own_notes, key),
        )
    apart = np.asarray(learned[0])
    assert np.abs(apart[0] - apart[1]).max() > 1e-3  # each has learned from its own episode


def test_replicas_begin_with_a_key_for_each():
    keys, player = jax.random.split(fold(KEY, 1), 3), learner(0)
    state = Replicas(player, 3).begin_each(keys, 2)
    for i in range(3):
        equal(jax.tree.map(lambda leaf, i=i: leaf[i], state), player.begin(keys[i], 2))


def test_replicas_of_vectors_at_a_table():
    class Taker(Player):
        """Takes where the common stock is larger than what it saw first."""

        def begin(self, key, batch):
            return jnp.zeros(batch)

        def act(self, state, observation, key):
            level = jnp.where(state == 0, observation[:, 0], state)
            return level, (observation[:, 0] > level).astype(jnp.int32), None

    one, other = (
        play_match((player, Taker(), Taker()), Commons(rounds=4), KEY, episodes=6, inner_episodes=2)
        for player in (Taker(), Replicas(Taker(), 3))
    )
    for k in range(3):
        np.testing.assert_array_equal(one.view(k).actions, other.view(k).actions)
    assert 0 < one.view(0).actions.mean() < 1


def test_replicas_that_do_not_come_out_in_whole_tables_are_refused():
    with pytest.raises(CoplayerError, match=r"^replicas: 7 tables cannot be shared equally by 3"):
        Replicas(random_table(0), 3).begin(KEY, 7)


# One of a population


def population(count):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *[learner(seed) for seed in range(count)])


def test_one_of_a_population_plays_and_learns_as_that_one_alone():
    one = OneOf(population(4))
    assert one.takes_uniforms
    chosen = set()
    for seed in range(12):
        key = fold(KEY, seed)
        state = one.begin(key, 3)
        member = next(i for i in range(4) if np.array_equal(state.player.logits, learner(i).logits))
        chosen.add(member)
        player, alone = learner(member), learner(member).begin(key, 3)
        equal(state.state, alone)
        seen = jnp.array([0, 3, 1])
        state, actions, notes = one.act(state, seen, key)
        alone, expected, own_notes = player.act(alone, seen, key)
        np.testing.assert_array_equal(actions, expected)
        equal((state.state, notes), (alone, own_notes))
        episode, notes = some_episode(3, rounds=1), jax.tree.map(lambda leaf: leaf[None], own_notes)
        learned = one.learn(state, episode, notes, key)
        equal(learned.state, player.learn(alone, episode, notes, key))
        equal(learned.player, player)  # the same member stays
    assert chosen == {0, 1, 2, 3}


def test_members_are_equally_likely_and_one_may_be_left_out():
    draw = jax.jit(jax.vmap(lambda key, one: one.begin(key, 1).player.logits, in_axes=(0, None)))
    keys = jax.random.split(KEY, 4000)
    members = np.stack([learner(seed).logits for seed in range(4)])

    def counts(one):
        return np.array([(np.asarray(draw(keys, one)) == member).all(-1).mean() for member in members])

    error = np.sqrt(0.25 * 0.75 / 4000)
    assert np.abs(counts(OneOf(population(4))) - 0.25).max() < 5 * error
    for left_out in range(4):
        found = counts(OneOf(population(4), jnp.delete(jnp.arange(4), left_out)))
        assert found[left_out] == 0
        assert np.abs(np.delete(found, left_out) - 1 / 3).max() < 5 * np.sqrt(2 / 9 / 4000)
    found = counts(OneOf(population(4), jnp.array([3, 1, 3])))  # as often as it is named
    assert np.abs(found - [0, 1 / 3, 0, 2 / 3]).max() < 5 * np.sqrt(2 / 9 / 4000)


# Absent


def test_who_is_absent_only_keeps_a_place():
    absent = Absent()
    assert absent.takes_uniforms
    state, actions, notes = absent.act(absent.begin(KEY, 3), jnp.zeros((3, 2)), jnp.zeros(3))
    assert state is None and notes is None and actions.tolist() == [0, 0, 0]
    assert absent.learn(None, some_episode(3), None, KEY) is None


def test_actions_from_elsewhere_take_the_place_of_the_absent():
    """At the first two tables of five."""
    tables, groups = tables_of(GAME), Groups((Absent(), named_strategy("tit_for_tat")), (2, 3))
    players, elsewhere = (named_strategy("always_cooperate"), groups), jnp.array([1, 0])

    def meet(actions):
        own, replies = actions
        return own, jnp.concatenate([elsewhere, replies[2:]])

    played = play_rounds(
        tables,
        players,
        tables.open(table_keys(KEY, 5)),
        begin(players, KEY, 5),
        keys_of_rounds(KEY, jnp.arange(4), 2),
        meet=meet,
    )
    np.testing.assert_array_equal(played.trajectory(tables).joint, [[1, 0, 0, 0, 0]] * 4)


# Opening


@pytest.mark.parametrize("action", [0, 1])
def test_an_opening_is_forced_once_and_the_player_goes_on(action):
    other = named_strategy("always_cooperate")
    joint = play_match(
        (Opening(named_strategy("tit_for_tat"), jnp.asarray(action)), other), GAME, KEY, episodes=2
    ).joint
    np.testing.assert_array_equal(joint[:, 0] // 2, [action, 0, 0, 0, 0])
    forced = Opening(named_strategy("win_stay_lose_shift"), jnp.asarray(action))
    joint = play_match((forced, named_strategy("always_defect")), GAME, KEY, episodes=2, inner_episodes=2).joint
    own = np.asarray(joint[:, 0] // 2).tolist()
    alternating = [0, 1, 0, 1, 0]  # CD, DD, CD, ...
    assert own == ([1, 0, 1, 0, 1] if action else alternating) + alternating


def test_an_opening_sees_draws_and_learns_as_its_player():
    """All but the first action are those of the player alone, who does not know that it was forced."""
    forced, alone = Opening(learner(0), jnp.asarray(1)), learner(0)
    state, own = forced.begin(KEY, 3), alone.begin(KEY, 3)
    seen = jnp.asarray(np.random.default_rng(0).integers(5, size=(8, 3)))
    notes = []
    for t in range(4):
        state, actions, note = forced.act(state, seen[t], fold(KEY, t))
        own, expected, own_note = alone.act(own, seen[t], fold(KEY, t))
        np.testing.assert_array_equal(actions, [1, 1, 1] if t == 0 else expected)
        equal(note, own_note)
        notes.append(note)
    notes, episode = jax.tree.map(lambda *leaves: jnp.stack(leaves), *notes), some_episode(3, rounds=4)
    state, own = forced.learn(state, episode, notes, KEY), alone.learn(own, episode, notes, KEY)
    for t in range(4, 8):  # in the next episode nothing is forced
        state, actions, _ = forced.act(state, seen[t], fold(KEY, t))
        own, expected, _ = alone.act(own, seen[t], fold(KEY, t))
        np.testing.assert_array_equal(actions, expected)


def test_an_opening_in_the_middle_of_a_play():
    forced = Opening(learner(0), jnp.asarray(1))
    own = learner(0).act(learner(0).begin(KEY, 3), jnp.array([0, 1, 2]), KEY)[0]
    equal(forced.with_state(own)[0], own)
    assert forced.act(forced.with_state(own), jnp.array([0, 1, 2]), KEY)[1].tolist() == [1, 1, 1]


# All of them at one table


def test_any_of_them_sit_at_one_table_and_learn():
    """Groups of replicas, of one drawn, and of an opening: as in a meta-trajectory, against a learner."""
    groups = Groups((Replicas(learner(0), 2), OneOf(population(3)), Opening(learner(1), jnp.asarray(0))), (4, 3, 2))
    tables, players = tables_of(GAME), (learner(5), groups)

    def chance(index):
        return keys_of_rounds(KEY, index * GAME.rounds + jnp.arange(GAME.rounds), 2)

    trajectory, notes = play_episodes(tables, players, begin(players, KEY, 9), chance, KEY, batch=9, episodes=3)
    assert trajectory.joint.shape == (15, 9)
    logits = np.asarray(notes[1][0]["logits"])  # [round, replica, symbol]
    np.testing.assert_array_equal(logits[:5], np.broadcast_to(logits[0], (5, 2, 5)))
    assert np.abs(logits[5] - logits[4]).max() > 1e-3 and np.abs(logits[4, 0] - logits[4, 1]).max() > 1e-3


@pytest.mark.parametrize(
    "player",
    [
        Groups((named_strategy("tit_for_tat"),) * 2, (1, 2)),
        Replicas(named_strategy("tit_for_tat"), 2),
        OneOf(Memory1(jnp.stack([named_strategy("tit_for_tat").probabilities] * 2))),
        OneOf(jax.tree.map(lambda leaf: leaf[None], TabularPlayers(jnp.full((5, 2, 3), 0.5)))),
        Opening(named_strategy("tit_for_tat"), jnp.asarray(0)),
    ],
    ids=lambda player: type(player).__name__,
)
def test_a_game_that_the_parts_cannot_play_is_refused(player):
    player.check(GAME)
    for game in (MatrixGame(np.eye(3)), Carousel(), Commons()):
        with pytest.raises(CoplayerError, match=r"^player: "):
            player.check(game)


# Trembling


def test_a_noise_that_is_no_probability_is_refused():
    for noise in (1.5, float("nan")):
        with pytest.raises(CoplayerError, match=f"noise: must be a probability, got {noise}"):
            Trembling(named_strategy("random"), noise, 2).check(prisoners_dilemma(2))
