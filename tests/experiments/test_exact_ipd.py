"""The exact experiment: its objective, its stages, its run folder."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coplayer.analysis.exact import discounted_returns
from coplayer.errors import CoplayerError
from coplayer.experiments import exact_ipd, mixed_pool, registry
from coplayer.experiments.exact_ipd import ExactIPD, Trainer, check, values_of
from coplayer.experiments.protocol import Experiment
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import exact_gradients
from coplayer.players.memory1 import cooperation
from coplayer.runs import checkpoint
from coplayer.settings import adjust, each
from stopping import StopAfter, assert_same
from tiny import PLAIN_EXACT, TINY_EXACT

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def unbroken(compiled_once, tmp_path_factory):
    return registry.train(TINY_EXACT, tmp_path_factory.mktemp("exact") / "run")


@pytest.fixture(scope="module")
def side_by_side(compiled_once, tmp_path_factory):
    """Each seed has agents of its own, and naive learners for the measurements."""
    return registry.train(PLAIN_EXACT, tmp_path_factory.mktemp("exact") / "run")


def test_values_are_the_exact_rewards_per_round():
    draws = np.random.default_rng(0)
    own, other = draws.normal(size=(2, 5, 4))
    both = values_of(prisoners_dilemma(), 0.9)(jnp.asarray(own), jnp.asarray(other))
    for k in range(4):
        players = (cooperation(1 / (1 + np.exp(-logits[:, k]))) for logits in (own, other))
        expected = 0.1 * np.asarray(discounted_returns(*players, prisoners_dilemma(), 0.9))
        np.testing.assert_allclose(both[:, k], expected, atol=1e-6)


def one_update(settings: ExactIPD) -> tuple[np.ndarray, np.ndarray]:
    """All agents after the first iteration, and what they should be: the mixture of both gradients, one AdamW step."""
    trainer, agents, naive = Trainer(settings), settings.agents, settings.naive
    state, share = trainer.initial_state(), naive.naive_share
    iterate = jax.jit(partial(trainer._iterate, share=share))
    moved, _ = iterate((state.agents, state.optimiser), jnp.asarray(0), trainer._keys)
    values = values_of(settings.game, agents.gamma)
    keys = exact_ipd.streams(trainer._keys, exact_ipd.TRAINING, jnp.asarray(0))
    length = {"steps": naive.inner_episodes, "rate": naive.naive_rate}
    shaping = jax.jit(partial(exact_gradients.shaping, values, **length))
    length = {"steps": agents.lookaheads, "rate": agents.lookahead_rate}
    lookahead = jax.jit(partial(exact_gradients.lookahead, values, **length))
    directions = []
    for i in range(2):
        own, other = state.agents[i], state.agents[1 - i]
        learners = exact_ipd.naive_logits(keys[i], naive)
        shaped = np.mean([shaping(own, learners[..., k]) for k in range(naive.naive_learners)], axis=0)
        against = agents.method_share * lookahead(own, other)
        against += (1 - agents.method_share) * exact_gradients.naive(values, own, other)
        directions.append(share * shaped + (1 - share) * against)
    optimiser = optax.adamw(settings.optimiser.learning_rate, weight_decay=settings.optimiser.weight_decay)
    updates, _ = optimiser.update(-jnp.stack(directions), optimiser.init(state.agents), state.agents)
    return np.asarray(moved[0]), np.asarray(state.agents + updates)


def test_an_update_is_the_mixture_of_shaping_and_the_method():
    moved, expected = one_update(TINY_EXACT)
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_the_weights_of_the_mixture():
    """Beside the update, of which Adam's first step shows little but the sign."""
    trainer = Trainer(adjust(TINY_EXACT, naive_share=0.3))
    agents, keys = trainer.initial_state().agents, exact_ipd.streams(trainer._keys, exact_ipd.TRAINING, jnp.asarray(0))
    whole, only, none = (trainer._direction(0, agents, keys[0], share) for share in (0.3, 1.0, 0.0))
    np.testing.assert_allclose(whole, 0.3 * only + 0.7 * none, atol=1e-7)
    assert np.abs(only - none).max() > 1e-3


def test_what_is_reported_is_what_the_kept_agents_give(unbroken):
    """Each phase's last row, measured inside the compiled training, against the agents file, measured apart."""
    run, naive = TINY_EXACT.run, TINY_EXACT.naive
    values = jax.jit(values_of(TINY_EXACT.game, TINY_EXACT.agents.gamma))
    slope = jax.jit(partial(exact_gradients.naive, exact_gradients.swapped(values)))
    for phase in unbroken.phases():
        logits = exact_ipd.logits_of(TINY_EXACT, checkpoint.load(unbroken.agents_file(phase))[1])
        iteration = phase * run.iterations // run.phases
        rows = [row for row in unbroken.metrics() if row["iteration"] == iteration]
        keys = exact_ipd.streams(mixed_pool.keys(run, 2), exact_ipd.MEASURING, jnp.asarray(iteration))
        assert len(rows) == 2 * run.seeds
        for row in rows:
            learner, seed = row["learner"], row["seed"]
            own, other = (jnp.asarray(logits[i, :, seed]) for i in (learner, 1 - learner))
            assert row["reward_vs_learner"] == pytest.approx(float(values(own, other)[0]), abs=2e-5)
            assert row["p_cd"] == pytest.approx(1 / (1 + np.exp(-own[2])), abs=1e-6)
            learners = exact_ipd.naive_logits(keys[learner], naive)[:, seed]
            met = np.zeros((2, 2))  # [episode, player]
            for k in range(naive.naive_learners):
                logit = learners[:, k]
                for episode in range(2):
                    met[episode] += np.asarray(values(own, logit)) / naive.naive_learners
                    logit = logit + naive.naive_rate * slope(logit, own)
            assert row["reward_vs_naive"] == pytest.approx(met[:, 0].mean(), abs=2e-5)
            assert row["late_reward_of_naive"] == pytest.approx(met[1, 1], abs=2e-5)


def test_a_row_for_every_interval_and_agents_for_every_phase(unbroken):
    assert unbroken.phases() == [1, 2, 3, 4]
    iterations, values = unbroken.over_training("cooperation_vs_learner", "iteration")
    assert iterations.tolist() == [0, 2, 4, 6, 8] and values.shape == (3, 5)


def test_a_stopped_run_goes_on_to_the_same_numbers(unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY_EXACT, tmp_path / "run", reporter=StopAfter(3))
    folder = registry.resume(tmp_path / "run")
    assert_same(folder.path, unbroken.path)


def test_a_seed_is_the_same_whoever_runs_beside(side_by_side, tmp_path):
    alone = registry.train(adjust(PLAIN_EXACT, seed=1, seeds=1), tmp_path / "run")
    beside = [row for row in side_by_side.metrics() if row["seed"] == 1]
    for one, other in zip(alone.metrics(), beside, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_seeds_that_do_not_fit_side_by_side_are_trained_in_blocks(side_by_side, tmp_path, monkeypatch):
    monkeypatch.setattr(exact_ipd, "MOST_AT_ONCE", 2)  # of three seeds: one after the other
    monkeypatch.setattr(exact_ipd, "Trainer", Trainer)  # compiled anew
    blocks = registry.train(PLAIN_EXACT, tmp_path / "run")
    for one, other in zip(blocks.metrics(), side_by_side.metrics(), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_loaded_agents_are_players(unbroken):
    one, other = registry.load(unbroken.path, seed=2)
    logits = exact_ipd.logits_of(TINY_EXACT, checkpoint.load(unbroken.agents_file(4))[1])
    for player, mine in zip((one, other), logits[:, :, 2], strict=True):
        np.testing.assert_allclose(player.probabilities[:, 0], 1 / (1 + np.exp(-mine)), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": MatrixGame((1.0,) * 9)}, "game: exact values need a matrix game of 2 actions: 4 payoffs, or 8"),
        ({"game": PublicGoods(2)}, "game: exact values need a matrix game"),
        ({"gamma": -0.1}, "gamma: must be a finite number of at least 0 and at most 1"),
        ({"naive_share": 1.5}, "naive_share: must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"later_naive_shares": (1.5,)}, "later_naive_shares: must be numbers in"),
        ({"gamma": 1.0}, "gamma: must be below 1"),
        ({"game": MatrixGame((1, -1, 2, 0), 5, 1), "first_policy": "tit_for_tat"}, "first_policy: tit_for_tat needs a"),
        ({"later_naive_shares": (0.5, 0.5)}, "phases: must be a multiple of the 3 stages"),
        ({"method": "pola"}, "method: must be one of naive, lookahead, lola, sos, got 'pola'"),
        ({"first_policy": "grim"}, "first_policy: must be one of random"),
        ({"iterations": 9}, "iterations: must be a multiple"),
        ({"method_share": 2.0}, "method_share: must be a finite number of at least 0 and at most 1, got 2"),
        ({"later_naive_shares": (float("nan"),)}, "later_naive_shares: must be numbers in"),
        ({"seed": 2**31}, "seed: must be at most 2147483645 with 3"),
        ({"learning_rate": 0.0}, "learning_rate: must be a finite number above 0"),
    ],
)
def test_bad_settings_are_refused_with_one_line(change, message):
    with pytest.raises(CoplayerError, match=message) as caught:
        settings = adjust(TINY_EXACT, **change)
        check(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["naive", "lola", "sos"])
def test_every_method_moves_the_agents(method):
    trainer = Trainer(adjust(TINY_EXACT, method=method, naive_share=0.0, method_share=1.0))
    agents = trainer.initial_state().agents
    direction = trainer._direction(0, agents, None, 0.0)
    assert bool(jnp.isfinite(direction).all()) and float(jnp.abs(direction).max()) > 1e-4


def test_a_new_stage_begins_with_a_fresh_optimiser():
    trainer = exact_ipd.Trainer(TINY_EXACT)
    state = trainer.initial_state()
    counts = []
    for _ in range(4):
        state = trainer.advance(state).state
        counts.append(int(jax.tree.leaves(state.optimiser)[0]))
    assert counts == [2, 4, 2, 4]


def test_a_new_method_is_one_entry(monkeypatch):
    monkeypatch.setitem(exact_ipd.METHODS, "still", lambda agents: lambda values, own, other: agents.gamma + 0 * own)
    trainer = Trainer(adjust(TINY_EXACT, method="still", naive_share=0.0, method_share=1.0))
    direction = trainer._direction(0, trainer.initial_state().agents, None, 0.0)
    np.testing.assert_allclose(direction, TINY_EXACT.agents.gamma)


def mixed(logits):
    """The memory-1 player of five logits of action 0."""
    return cooperation(jax.nn.sigmoid(logits))


@pytest.mark.parametrize("action", [0, 1])
def test_cooperation_is_the_action_that_the_game_names(action):
    game = MatrixGame((1.0, -1.0, 2.0, 0.0), cooperation=action)
    joint = jnp.arange(4)
    np.testing.assert_array_equal(
        exact_ipd.cooperation_game(game).reward(joint), game.cooperates(game.own_action(joint))
    )
    trainer = Trainer(adjust(TINY_EXACT, game=game))
    agents = trainer.initial_state().agents
    measured = trainer._measure(agents, jnp.asarray(0), trainer._keys)["cooperation_vs_learner"]
    pays_for_0 = MatrixGame([[1.0, 1.0], [0.0, 0.0]])
    of_action_0 = 0.01 * discounted_returns(*map(mixed, agents[:, :, 0]), pays_for_0, 0.99)
    np.testing.assert_allclose(measured[:, 0], of_action_0 if action == 0 else 1 - of_action_0, atol=1e-5)
    assert np.abs(of_action_0 - 0.5).max() > 0.01


def test_each_agent_has_its_own_seat():
    """In a game whose tables differ: rewards, and the naive gradient by finite differences of one's own reward."""
    game = MatrixGame([[[1.0, -1.0], [2.0, 0.0]], [[0.5, -2.0], [1.5, 0.3]]])
    trainer = Trainer(adjust(TINY_EXACT, game=game, gamma=0.9, method="naive", naive_share=0.0))
    agents = trainer.initial_state().agents
    measured = trainer._measure(agents, jnp.asarray(0), trainer._keys)["reward_vs_learner"]
    directions = np.stack([trainer._direction(learner, agents, None, 0.0) for learner in range(2)])

    @jax.jit
    def rewards(pair):
        return 0.1 * discounted_returns(*map(mixed, pair), game, 0.9)

    with jax.enable_x64(True):
        for seed in range(TINY_EXACT.run.seeds):
            pair = np.asarray(agents[:, :, seed], dtype=float)
            np.testing.assert_allclose(measured[:, seed], rewards(pair), atol=1e-5)
            for learner, k in np.ndindex(2, 5):
                step = np.zeros((2, 5))
                step[learner, k] = 1e-5
                slope = (rewards(pair + step) - rewards(pair - step))[learner] / 2e-5
                assert directions[learner, k, seed] == pytest.approx(float(slope), abs=1e-5)


def test_seed_batch_bounds_the_seeds_side_by_side(monkeypatch):
    sizes, train_block = [], Trainer._train_block

    def look(self, agents, *rest):
        sizes.append(agents.shape[-1])
        return train_block(self, agents, *rest)

    monkeypatch.setattr(Trainer, "_train_block", look)
    for seed_batch in (0, 1, 2, 3):
        trainer = Trainer(adjust(PLAIN_EXACT, seeds=4, seed_batch=seed_batch))
        agents, optimiser, _ = trainer.initial_state()
        trained = partial(trainer._train_phase, share=0.0)
        jax.eval_shape(trained, agents, optimiser, trainer._keys, start=jnp.asarray(0))
    assert sizes == [4, 1, 2, 2]


def test_it_meets_the_protocol_and_every_setting_has_one_home():
    assert isinstance(exact_ipd, Experiment)
    names = [field.name for _, field, _ in each(ExactIPD())]
    assert len(names) == len(set(names))
    for settings in exact_ipd.PRESETS.values():
        check(settings)
