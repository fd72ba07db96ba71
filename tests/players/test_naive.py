"""A naive learner against A2C's update of what it played; which learner of a population a rule gives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.learning import a2c
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.optimisation import OptimiserSettings
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.trajectory import Episode
from coplayer.players.naive import RULES, NaiveLearner, a2c_rule
from oracles import ActorCriticOracle, with_random_weights

ROUNDS, BATCH = 4, 3
GAME = prisoners_dilemma(ROUNDS)
UPDATING = a2c.Updating(
    A2CSettings(gamma=0.9),
    OptimiserSettings(learning_rate=0.3, learning_rate_end=0.5),  # falls, which tells the episodes apart
    iterations=2,
)


def network(seed):
    return with_random_weights(lambda: ActorCritic(GAME, 3, key=jax.random.key(0)), seed)


def stacked(networks):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


def episode_of(joint):
    """An episode in the learner's view, from its joint actions."""
    observations = jnp.concatenate([jnp.full((1, joint.shape[1]), START), 1 + joint[:-1]])
    measures = {"cooperation": joint < 2}
    return Episode(observations, joint // 2, jnp.array([1.0, -1.0, 2.0, 0.0])[joint], measures, 1 + joint[-1])


@jax.jit
def updated(learner, joint, episode):
    """`a2c.update` on an episode, with the trace made step by step."""
    played, none = episode_of(joint), jnp.zeros((0, joint.shape[1]))
    memory, rounds = learner.network.initial_state(joint.shape[1]), []
    for observation in played.observations:
        rounds.append(learner.network.step(memory, observation, none))
        memory = rounds[-1].state
    batch = a2c.Batch(played.actions, played.rewards, played.beyond, none, stacked(rounds))
    return a2c.update(learner, batch, joint.shape[1], UPDATING, episode)[0]


def test_learning_is_a2c_on_the_episode_and_forgets_it():
    naive, rng = NaiveLearner(network(13), UPDATING), np.random.default_rng(0)
    state = naive.begin(jax.random.key(0), BATCH)
    learner, act = state.learner, eqx.filter_jit(naive.act)
    for episode in range(2):
        joint, notes = jnp.asarray(rng.integers(4, size=(ROUNDS, BATCH))), []
        played = episode_of(joint)
        for observation in played.observations:
            state, _, note = act(state, observation, jnp.full((BATCH,), 0.5))
            notes.append(note)
        assert np.abs(state.memory.state).max() > 0.01
        state = eqx.filter_jit(naive.learn)(state, played, stacked(notes), jax.random.key(1))
        before, learner = learner, updated(learner, joint, jnp.asarray(episode))
        for one, other in zip(jax.tree.leaves(state.learner), jax.tree.leaves(learner), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
        assert np.abs(learner.network.head_bias - before.network.head_bias).max() > 0.05
        assert not np.any(state.memory.state) and state.memory.opens and state.episode == episode + 1


def test_actions_follow_the_policy_that_was_learned():
    """Each action by a uniform number and the oracle's probability, with the weights after learning."""
    naive, rng = NaiveLearner(network(13), UPDATING), np.random.default_rng(1)
    state = naive.begin(jax.random.key(0), BATCH)
    joint, act = jnp.asarray(rng.integers(4, size=(ROUNDS, BATCH))), eqx.filter_jit(naive.act)
    first = [act(state, observation, jnp.zeros(BATCH))[2] for observation in episode_of(joint).observations]
    state = naive.learn(state, episode_of(joint), stacked(first), jax.random.key(0))
    oracle, old = ActorCriticOracle(state.learner.network), ActorCriticOracle(naive.network)
    memories, old_memory, apart = [oracle.start()] * BATCH, old.start(), 0.0
    for t, observation in enumerate(episode_of(joint).observations):
        uniforms = rng.random(BATCH)
        state, actions, _ = act(state, observation, jnp.asarray(uniforms, jnp.float32))
        chances = [oracle.policy(memory)[0] for memory in memories]
        assert actions.tolist() == [int(u >= chance) for u, chance in zip(uniforms, chances, strict=True)]
        apart = max(apart, abs(chances[0] - old.policy(old_memory)[0]))
        before = [divmod(int(j), 2) for j in joint[t]]
        memories = [oracle.after(memory, *both) for memory, both in zip(memories, before, strict=True)]
        old_memory = old.after(old_memory, *before[0])
    assert apart > 0.1


def test_the_rule_gives_each_member_of_the_population_equally_often():
    population, count = [network(seed) for seed in range(3)], 3000
    player = a2c_rule(GAME, stacked(population), UPDATING)
    keys = jax.random.split(jax.random.key(2), count)
    drawn = jax.vmap(lambda key: player.begin(key, BATCH).state.learner.network.head_bias)(keys)
    shares = [(np.asarray(drawn) == np.asarray(one.head_bias)).all(1).mean() for one in population]
    assert sum(shares) == pytest.approx(1)
    assert all(abs(share - 1 / 3) < 5 * np.sqrt(2 / 9 / count) for share in shares)
    assert RULES["a2c"] is a2c_rule


def test_a_game_that_the_network_is_not_made_for_is_refused():
    NaiveLearner(network(0), UPDATING).check(prisoners_dilemma(7))
    with pytest.raises(CoplayerError, match="player: its network is made for 2 actions, this game has 3"):
        NaiveLearner(network(0), UPDATING).check(MatrixGame(np.eye(3)))
