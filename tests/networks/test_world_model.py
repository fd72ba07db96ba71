import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.networks.hawk import Hawk
from coplayer.networks.world_model import RoundModel, TokenModel, WorldModel
from oracles import RoundOracle, TokenOracle, as_float64, softmax, with_random_weights

HIDDEN, BATCH = 4, 6
GAMES = {
    "dilemma": prisoners_dilemma(5),
    "three_actions": MatrixGame(np.random.default_rng(3).normal(size=(2, 3, 3)), rounds=4),
}
CASES = [(kind, game) for kind in ("round", "token") for game in GAMES]


def model_and_oracle(kind, game, identity_size=0):
    def build():
        key = jax.random.key(0)
        if kind == "round":
            return RoundModel(game, HIDDEN, identity_size=identity_size, key=key)
        return TokenModel(game, HIDDEN, 3, identity_size=identity_size, key=key)

    model = with_random_weights(build, 0)
    return model, (RoundOracle if kind == "round" else TokenOracle)(model)


def episodes(game, seed=0, batch=BATCH):
    """Random joint actions, and rewards that do not follow from them: the losses must use what they are given."""
    rng = np.random.default_rng(seed)
    joint = rng.integers(game.num_joint, size=(game.rounds, batch))
    return joint, rng.normal(size=joint.shape).astype(np.float32)


@jax.jit
def loss_of(model, joint, reward):
    return model.episode_loss(joint, reward)


@jax.jit
def imagine(model, state, action, uniform):
    return model.imagine(state, action, uniform)


@jax.jit
def see(model, state, observation, reward, identity=None):
    return model.see(state, observation, reward, identity)


def opened(model, batch, identity=None):
    """The state in which the model is about to act for the first time."""
    return see(model, model.initial_state(batch), jnp.full((batch,), START), jnp.zeros((batch,)), identity)


def after(model, state, joint, reward):
    """The state after a round."""
    return see(model, state, 1 + jnp.asarray(joint), jnp.asarray(reward))


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_episode_loss_against_a_loop_over_rounds(kind, name):
    game = GAMES[name]
    model, oracle = model_and_oracle(kind, game)
    joint, reward = episodes(game)
    expected = sum(oracle.losses(joint[:, b], reward[:, b]) for b in range(BATCH)) / joint.size
    loss = loss_of(model, jnp.asarray(joint), jnp.asarray(reward))
    np.testing.assert_allclose([loss.observation, loss.action, loss.reward], expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["round", "token"])
def test_a_context_joins_the_first_round_alone(kind):
    """Loss and first state against the oracle, which is fed zeros in all later rounds; no identity is a zero one."""
    game = GAMES["dilemma"]
    model, oracle = model_and_oracle(kind, game, identity_size=3)
    joint, reward = episodes(game)
    identity = np.random.default_rng(1).normal(size=(3, BATCH)).astype(np.float32)
    given = (jnp.asarray(joint), jnp.asarray(reward))
    for named in (identity, np.zeros_like(identity)):
        expected = sum(oracle.losses(joint[:, b], reward[:, b], named[:, b]) for b in range(BATCH)) / joint.size
        loss = model.episode_loss(*given, jnp.asarray(named))
        np.testing.assert_allclose([loss.observation, loss.action, loss.reward], expected, rtol=1e-5)
    np.testing.assert_allclose(model.episode_loss(*given), expected, rtol=1e-5)
    starts = [oracle.start(identity[:, b]) for b in range(BATCH)]
    named = opened(model, BATCH, jnp.asarray(identity))
    np.testing.assert_allclose(named, starts, atol=1e-5)
    np.testing.assert_allclose(opened(model, BATCH), [oracle.start()] * BATCH, atol=1e-5)
    later = see(model, named, 1 + jnp.asarray(joint[0]), jnp.asarray(reward[0]), jnp.asarray(identity))
    expected = [oracle.after(start, *divmod(j, 2), r) for start, j, r in zip(starts, joint[0], reward[0], strict=True)]
    np.testing.assert_allclose(later, expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_loss_is_a_mean_over_episodes(kind, name):
    game = GAMES[name]
    model, _ = model_and_oracle(kind, game)
    joint, reward = (jnp.asarray(x) for x in episodes(game))
    alone = [loss_of(model, joint[:, b : b + 1], reward[:, b : b + 1]) for b in range(BATCH)]
    np.testing.assert_allclose(loss_of(model, joint, reward), np.mean(alone, axis=0), rtol=1e-5)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_seen_states_are_those_inside_the_loss(kind, name):
    """Round by round: the states of the oracle, whose prior gives the action loss of the whole episode."""
    game = GAMES[name]
    model, oracle = model_and_oracle(kind, game)
    joint, reward = episodes(game)
    n = game.num_actions
    state, losses = opened(model, BATCH), []
    states = [oracle.start() for _ in range(BATCH)]
    for t in range(game.rounds):
        np.testing.assert_allclose(state, states, atol=1e-5)
        logits = np.asarray(model.action_logits(state))
        assert logits.shape == (n, BATCH)
        for b in range(BATCH):
            prior = softmax(logits[:, b])
            np.testing.assert_allclose(prior, oracle.prior(states[b]), atol=1e-5)
            own, other = divmod(joint[t, b], n)
            losses.append(-np.log(prior[own]))
            states[b] = oracle.after(states[b], own, other, reward[t, b])
        state = after(model, state, joint[t], reward[t])
    loss = loss_of(model, jnp.asarray(joint), jnp.asarray(reward))
    np.testing.assert_allclose(loss.action, np.mean(losses), rtol=1e-5)


def test_the_replies_and_rewards_of_seen_states_give_the_other_losses():
    game = GAMES["dilemma"]
    model, _ = model_and_oracle("round", game)
    joint, reward = episodes(game)
    state, observation, squares = opened(model, BATCH), [], []
    for t in range(game.rounds):
        _, replies, rewards = (np.asarray(x) for x in model.heads(state))
        for b in range(BATCH):
            own, other = divmod(joint[t, b], 2)
            observation.append(-np.log(softmax(replies[own, :, b])[other]))
            squares.append((rewards[own, other, b] - reward[t, b]) ** 2)
        state = after(model, state, joint[t], reward[t])
    loss = loss_of(model, jnp.asarray(joint), jnp.asarray(reward))
    np.testing.assert_allclose(loss.observation, np.mean(observation), rtol=1e-5)
    np.testing.assert_allclose(loss.reward, np.mean(squares) / 2, rtol=1e-5)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_imagined_rounds_follow_the_heads(kind, name):
    """One imagined round at each of many evenly spaced uniforms: the share of each outcome is its probability."""
    game = GAMES[name]
    model, oracle = model_and_oracle(kind, game)
    count = 2000
    start = oracle.after(oracle.start(), 1, 0, 0.5)
    state = jnp.broadcast_to(jnp.asarray(start, jnp.float32), (count, HIDDEN))
    uniform = (jnp.arange(count) + 0.5) / count
    for action in range(game.num_actions):
        following, reward = imagine(model, state, jnp.full((count,), action), uniform)
        probabilities, rewards, states = zip(*oracle.branches(start, action), strict=True)
        distance = np.abs(np.asarray(following)[:, None] - np.array(states)).max(-1)
        outcome = distance.argmin(1)
        assert distance.min(1).max() < 1e-5  # each is one of the outcomes, and these are told apart
        assert min(np.abs(a - b).max() for i, a in enumerate(states) for b in states[:i]) > 1e-4
        np.testing.assert_allclose(reward, np.array(rewards)[outcome], atol=1e-5)
        share = np.bincount(outcome, minlength=len(states)) / count
        np.testing.assert_allclose(share, probabilities, atol=1.5 / count)
        assert max(probabilities) < 0.99


@pytest.mark.parametrize("name", GAMES)
def test_expected_reward_is_the_sum_over_replies(name):
    game = GAMES[name]
    model, oracle = model_and_oracle("round", game)
    states = [oracle.start(), oracle.after(oracle.start(), 0, 1, None), oracle.after(oracle.start(), 1, 1, None)]
    expected = [
        [sum(p * r for p, r, _ in oracle.branches(state, own)) for state in states] for own in range(game.num_actions)
    ]
    np.testing.assert_allclose(model.expected_reward(jnp.asarray(states, jnp.float32)), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["round", "token"])
def test_tables_of_one_batch_may_open_at_different_times(kind):
    """Episodes that open and episodes that go on, side by side, a name given to all: each as if it were alone."""
    game = GAMES["dilemma"]
    model, oracle = model_and_oracle(kind, game, identity_size=3)
    identity = np.random.default_rng(1).normal(size=(3, BATCH)).astype(np.float32)
    opens = np.arange(BATCH) % 2 == 0
    before = np.where(opens[:, None], model.initial_state(BATCH), opened(model, BATCH, jnp.asarray(identity)))
    observation, reward = jnp.asarray(np.where(opens, START, 3)), jnp.asarray(np.where(opens, 0.0, 2.0), jnp.float32)
    now = see(model, jnp.asarray(before), observation, reward, jnp.asarray(identity))
    starts = [oracle.start(identity[:, b]) for b in range(BATCH)]
    expected = [start if first else oracle.after(start, 1, 0, 2.0) for start, first in zip(starts, opens, strict=True)]
    np.testing.assert_allclose(now, expected, atol=1e-5)


def test_both_models_meet_the_protocol_and_tell_whether_they_give_expected_rewards():
    models = [model_and_oracle(kind, GAMES["dilemma"])[0] for kind in ("round", "token")]
    assert all(isinstance(model, WorldModel) for model in models)
    assert [model.gives_expected_rewards for model in models] == [True, False]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_every_weight_has_a_gradient(kind, name):
    """Every head and embedding takes part in the sum of the three losses."""
    game = GAMES[name]
    model, _ = model_and_oracle(kind, game)
    joint, reward = (jnp.asarray(x) for x in episodes(game, batch=30))
    gradient = jax.jit(jax.grad(lambda m: sum(m.episode_loss(joint, reward))))(model)
    for leaf in jax.tree.leaves(gradient):
        assert np.isfinite(as_float64(leaf)).all()
        assert np.abs(leaf).max() > 1e-4


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_reply_logs_against_the_imagined_branches(kind, name):
    game = GAMES[name]
    model, oracle = model_and_oracle(kind, game)
    n = game.num_actions
    states = [oracle.start(), oracle.after(oracle.start(), 1, 0, 0.5)]
    for own in range(n):
        logs = model.reply_logs(jnp.asarray(states, jnp.float32), jnp.full((2,), own))
        for b, state in enumerate(states):
            chances = [probability for probability, _, _ in oracle.branches(state, own)]
            replies = chances if kind == "round" else chances[1 + own * n : 1 + own * n + n]
            np.testing.assert_allclose(np.exp(logs[:, b]), replies, rtol=1e-4)


@pytest.mark.parametrize("kind", ["round", pytest.param("token", marks=pytest.mark.long)])
def test_a_model_on_a_hawk_predicts_in_play_as_in_its_loss(kind):
    """The action loss of whole episodes, by the priors of the states that playing them goes through."""
    game = GAMES["dilemma"]

    def build():
        sizes = (HIDDEN,) if kind == "round" else (HIDDEN, 3)
        return (RoundModel if kind == "round" else TokenModel)(game, *sizes, core="hawk", key=jax.random.key(0))

    model = with_random_weights(build, 0)
    assert isinstance(model.core, Hawk)
    joint, reward = (jnp.asarray(x) for x in episodes(game))
    state, losses = opened(model, BATCH), []
    logits = jax.jit(lambda model, state: model.action_logits(state))
    for t in range(game.rounds):
        priors = np.asarray(logits(model, state), dtype=np.float64).T
        losses += [-np.log(softmax(prior)[own]) for prior, own in zip(priors, joint[t] // 2, strict=True)]
        state = after(model, state, joint[t], reward[t])
    assert np.std(losses) > 0.1
    assert float(loss_of(model, joint, reward).action) == pytest.approx(np.mean(losses), rel=1e-4)
