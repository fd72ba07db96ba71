"""Shaping in the sampled prisoner's dilemma: each agent's weights of its own method, what is measured, stopping and
resuming, and what a run shows.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import coala_ipd, registry
from coplayer.experiments.axes import LEARNERS
from coplayer.experiments.coala_ipd import PRESETS
from coplayer.games import names
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.matrix import MatrixGame
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import coala
from coplayer.learning.estimators import BATCH_UNAWARE, ESTIMATORS, Estimator
from coplayer.learning.optimisation import entropy_coefficient, learning_rate
from coplayer.networks.world_model import RoundModel
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import JointActions
from coplayer.players.memory1 import named_strategy
from coplayer.players.naive import RULES
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust, each, flat
from stopping import StopAfter, assert_same
from tiny import TINY_COALA
from vault import Vault

pytestmark = pytest.mark.usefixtures("compiled_once")

ONE_SEED = adjust(TINY_COALA, seeds=1)
MIXED = adjust(ONE_SEED, iterations=2, phases=1)
STILL = adjust(  # one agent that hardly learns, among naive learners who do
    MIXED,
    naive_share=1.0,
    meta_agents=1,
    methods=("coala",),
    replicas=48,
    minibatches=1,
    epochs=1,
    learning_rate=1e-12,
    naive_learning_rate=0.5,
)
PAYOFFS = np.array([1.0, -1.0, 2.0, 0.0])
SWITCHES = {"coala": coala.COALA, "m_fos": coala.M_FOS, "batch_unaware": coala.BATCH_UNAWARE}
ROUNDS = TINY_COALA.game.rounds
STEPS = ROUNDS * TINY_COALA.shaping.inner_episodes


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """A trainer holds no state but its compiled functions: share it among runs of the same settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coala_ipd, "Trainer", functools.cache(coala_ipd.Trainer))
        yield


def example(settings, agents, seed=0):
    """`Played` of random joint actions and values, every leaf with a leading axis of agents; and those two alone."""
    rng, size = np.random.default_rng(seed), settings.shaping
    shape = (agents, STEPS, size.replicas, size.batch)
    joint, values = rng.integers(4, size=shape), jnp.asarray(rng.normal(size=shape), jnp.float32)

    def of(joint, values):
        both = JointActions(joint, settings.game)
        return coala_ipd.AgentPlay(both.view(0), both.view(1), jnp.zeros((2, *values.shape)), values)

    return jax.vmap(of)(jnp.asarray(joint), values), joint, values


def weights_by_replica(settings, joint, values, method):
    """Advantages and targets `[time, replica, game]` of one agent: one replica after the other."""
    weights, targets, loss, batch = [], [], settings.loss, settings.shaping.batch
    for r in range(joint.shape[1]):
        name = method if r < settings.with_naive else "batch_unaware"
        rewards = jnp.asarray(0.05 * PAYOFFS[joint[:, r]], jnp.float32)
        given = rewards, values[:, r], jnp.zeros(batch)
        constants = {"episode_length": ROUNDS, "gamma": loss.gamma, "gae_lambda": loss.gae_lambda}
        scale = batch if name == "coala" else 1
        weights.append(scale * np.asarray(coala.advantages(*given, **constants, switches=SWITCHES[name])))
        targets.append(coala.value_targets(*given, gamma=loss.gamma, td_lambda=loss.td_lambda))
    return np.stack(weights, axis=1), np.stack(targets, axis=1)


def estimated(settings, played, iteration=0):
    return coala_ipd.advantages_and_targets(settings, played, jnp.asarray(iteration))


@pytest.mark.parametrize(
    ("methods", "share", "centred"),
    [
        (("coala", "m_fos", "batch_unaware"), 0.5, False),
        (("m_fos", "coala", "coala"), 0.5, True),
        (("coala",), 1.0, True),
        (("coala",), 0.0, False),
    ],
)
def test_each_agents_weights_are_of_its_own_method_and_batch_unaware_against_agents(methods, share, centred):
    settings = adjust(
        TINY_COALA,
        methods=methods,
        meta_agents=3,
        naive_share=share,
        centred=centred,
        gamma=0.9,
        gae_lambda=0.8,
        td_lambda=0.7,
    )
    played, joint, values = example(settings, 3)
    mapped = jax.jit(jax.vmap(lambda played: estimated(settings, played), axis_name=LEARNERS))
    found, found_targets = mapped(played)
    for agent, method in enumerate(methods * (3 // len(methods))):
        weights, targets = weights_by_replica(settings, joint[agent], values[agent], method)
        if centred:
            for kind in (weights[:, : settings.with_naive], weights[:, settings.with_naive :]):
                kind -= kind.mean() if kind.size else 0
        np.testing.assert_allclose(found[agent], weights, atol=1e-5)
        np.testing.assert_allclose(found_targets[agent], targets, atol=1e-5)


@pytest.mark.parametrize(
    ("own_kind", "expected"),
    [
        (True, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]),
        (False, [[3, 3, 3], [3, 3, 3], [3, 3, 3], [0, 1, 2]]),
    ],
)
def test_agents_meet_all_others_or_those_of_other_methods_alone(own_kind, expected):
    methods = ("coala", "coala", "coala", "m_fos")
    settings = adjust(TINY_COALA, meta_agents=4, methods=methods, meets_own_kind=own_kind)
    network = coala_ipd.new_network(settings, jax.random.key(0))
    everyone = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), network)

    def met(own):
        return coala_ipd.groups(settings, everyone, own)[1].co_player.among

    np.testing.assert_array_equal(jax.vmap(met, axis_name=LEARNERS)(everyone), expected)


def test_both_lambdas_rise_to_one():
    settings = adjust(TINY_COALA, gamma=0.9, gae_lambda=0.8, td_lambda=0.6)
    rising, halfway = (
        adjust(settings, lambda_from=2, lambda_iterations=4),
        adjust(settings, gae_lambda=0.9, td_lambda=0.8),
    )
    played = example(settings, 2)[0]
    for at, constant in ((2, settings), (4, halfway)):
        found, expected = (
            jax.jit(jax.vmap(lambda played, of=of, at=at: estimated(of, played, at), axis_name=LEARNERS))(played)
            for of in (rising, constant)
        )
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-6)


def test_what_is_measured_by_hand():
    played, joint, _ = example(TINY_COALA, 1)
    played, joint = jax.tree.map(lambda leaf: leaf[0], played), joint[0]
    means, metrics = coala_ipd.by_inner_episode(TINY_COALA, played), coala_ipd.play_metrics(TINY_COALA, played)
    swapped = np.array([0, 2, 1, 3])[joint]
    sides = {"vs_naive": joint[:, :2], "of_naive": swapped[:, :2], "vs_learner": joint[:, 2:]}
    assert means.keys() == {f"{metric}_{side}" for metric in ("reward", "cooperation") for side in sides}
    for side, part in sides.items():
        rewards = [PAYOFFS[part[m * ROUNDS : (m + 1) * ROUNDS]].mean() for m in range(4)]
        np.testing.assert_allclose(means[f"reward_{side}"], rewards, atol=1e-6)
        cooperation = [(part[m * ROUNDS : (m + 1) * ROUNDS] < 2).mean() for m in range(4)]
        np.testing.assert_allclose(means[f"cooperation_{side}"], cooperation, atol=1e-6)
        assert float(metrics[f"reward_{side}"]) == pytest.approx(np.mean(rewards), abs=1e-6)
        assert float(metrics[f"cooperation_{side}"]) == pytest.approx(np.mean(cooperation), abs=1e-6)
        if side != "vs_learner":
            assert float(metrics[f"early_reward_{side}"]) == pytest.approx(rewards[0], abs=1e-6)
            assert float(metrics[f"late_reward_{side}"]) == pytest.approx(rewards[3], abs=1e-6)


def train(settings, iterations=None, state=None):
    """Every row of a run, from its beginning or from another's state on, and its last state."""
    trainer, rows = coala_ipd.Trainer(settings), []
    state = trainer.initial_state() if state is None else state
    while not trainer.finished(state) and (iterations is None or state.iteration < iterations):
        chunk = trainer.advance(state)
        state, rows = chunk.state, rows + chunk.rows
    return rows, state


def test_agents_have_weights_and_games_of_their_own():
    rows, state = train(TINY_COALA, iterations=2)
    for metric in ("reward_vs_naive", "reward_vs_learner"):
        assert len({row[metric] for row in rows}) == 4  # by agent and seed
    for leaf in jax.tree.leaves(state.learners.learner.network):
        assert (leaf[0] != leaf[1]).any() and (leaf[:, 0] != leaf[:, 1]).any()


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it():
    alone, _ = train(adjust(ONE_SEED, seed=1), iterations=4)
    beside = [row for row in train(TINY_COALA, iterations=4)[0] if row["seed"] == 1]
    for left, right in zip(alone, beside, strict=True):
        assert left.keys() == right.keys()
        np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


@pytest.mark.parametrize("methods", [("coala", "m_fos"), pytest.param(("lola_dice",), marks=pytest.mark.long)])
def test_rate_and_entropy_coefficient_fall_linearly_from_their_iterations_on(methods):
    """An iteration with annealed ones is that with constant ones of its own values."""
    settings = adjust(ONE_SEED, methods=methods, learning_rate=4e-3, entropy_coefficient=0.4)
    falling = adjust(settings, learning_rate_end=0.5, learning_rate_from=4, entropy_end=0.0, entropy_from=8)
    at, iterations = jnp.array([0, 4, 8, 10, 12]), falling.run.iterations

    def bonus_of(settings):
        return entropy_coefficient(settings.loss, settings.optimiser.annealing, iterations)

    rate = learning_rate(falling.optimiser, iterations)
    np.testing.assert_allclose(jax.vmap(rate)(at), [4e-3, 4e-3, 3e-3, 2.5e-3, 2e-3], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(bonus_of(falling))(at), [0.4, 0.4, 0.4, 0.2, 0.0], atol=1e-7)
    sooner = bonus_of(adjust(falling, entropy_from=4, entropy_iterations=5))
    np.testing.assert_allclose(jax.vmap(sooner)(at), [0.4, 0.4, 0.08, 0.0, 0.0], atol=1e-7)
    constant = adjust(settings, learning_rate=2.5e-3, entropy_coefficient=0.2)

    def after(settings):
        """Weights after iteration 10, and after iteration 0 in its place."""

        def iteration(key, at):
            return coala_ipd.iterate(settings, coala_ipd.new_trainee(settings, key), at)[0]

        keys = jax.random.split(jax.random.key(0), 2)
        compiled = jax.jit(jax.vmap(iteration, in_axes=(0, None), axis_name=LEARNERS))
        return [jax.tree.leaves(compiled(keys, jnp.array(at)).learner.network) for at in (10, 0)]

    (found, found_before), (expected, expected_before) = after(falling), after(constant)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    assert any(np.abs(left - right).max() > 1e-3 for left, right in zip(found_before, expected_before, strict=True))


NAIVE_FIRST = adjust(TINY_COALA, naive_iterations=4)
HAWK = adjust(ONE_SEED, core="hawk", inner_episodes=2, iterations=6)


def test_naive_learners_alone_first_and_then_the_mixed_pool():
    """Bit for bit the run among naive learners alone, gone on with in the mixed pool from iteration 4 on."""
    alone, state = train(adjust(TINY_COALA, naive_share=1.0), iterations=4)
    assert "reward_vs_learner" not in alone[0]
    together, state = train(TINY_COALA, state=state)
    assert "reward_vs_learner" in together[-1]
    rows, last = train(NAIVE_FIRST)
    assert rows == alone + together
    found, expected = (jax.tree.leaves(one.learners.learner.network) for one in (last, state))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Runs in folders.


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "unbroken"
    registry.train(TINY_COALA, path)
    return path


@pytest.fixture(scope="module")
def naive_first(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "naive-first"
    registry.train(NAIVE_FIRST, path)
    return path


@pytest.fixture(scope="module")
def of_hawk(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "hawk"
    registry.train(HAWK, path)
    return path


@pytest.mark.parametrize(
    ("whole", "settings", "chunks"),
    [
        *(("unbroken", TINY_COALA, chunks) for chunks in (1, 2, 5)),
        *(("naive_first", NAIVE_FIRST, chunks) for chunks in (1, 2, 3)),  # before they meet, as they do, and after
        pytest.param("of_hawk", HAWK, 2, marks=pytest.mark.long),
    ],
)
def test_a_stopped_run_resumes_bit_for_bit(request, tmp_path, whole, settings, chunks):
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "run", reporter=StopAfter(chunks))
    registry.resume(tmp_path / "run")
    assert_same(request.getfixturevalue(whole), tmp_path / "run")


def test_hawks_learn_and_are_loaded_as_they_are(of_hawk):
    first, last = coala_ipd.Trainer(HAWK).initial_state(), train(HAWK)[1]
    before, after = (jax.tree.leaves(state.learners.learner.network) for state in (first, last))
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    for agent, player in enumerate(registry.load(of_hawk)):
        for one, other in zip(jax.tree.leaves(player.network), after, strict=True):
            np.testing.assert_array_equal(one, other[agent, 0])


def test_what_agents_make_of_each_other_is_shown_from_where_they_meet(naive_first):
    x, values = RunFolder.open(naive_first).over_training("reward_vs_learner", "iteration")
    assert x.tolist() == [6, 8, 10, 12] and values.shape == (2, 4)


def test_a_row_for_every_interval_seed_and_agent(unbroken):
    folder = RunFolder.open(unbroken)
    assert folder.phases() == [1, 2, 3] and registry.settings_of_folder(folder)[1] == TINY_COALA
    assert [(row["phase"], row["iteration"], row["seed"], row["learner"]) for row in folder.metrics()] == [
        (1 + (iteration - 1) // 4, iteration, seed, learner)
        for iteration in range(2, 13, 2)
        for seed in (0, 1)
        for learner in (0, 1)
    ]


def test_loaded_players_are_the_agents_of_their_seed_and_play_matches_of_many_episodes(unbroken):
    _, state = train(TINY_COALA)
    for agent, player in enumerate(registry.load(unbroken, seed=1)):
        expected = jax.tree.leaves(state.learners.learner.network)
        for one, other in zip(jax.tree.leaves(player.network), expected, strict=True):
            np.testing.assert_array_equal(one, other[agent, 1])
    game = TINY_COALA.game
    model = RoundModel(game, 4, key=jax.random.key(0))
    planner = PPIPlayer(model, PlannerSettings(2, 2, 1.0, expected_rewards=True, common_random_numbers=False))
    assert player.lasting
    for other in (planner, named_strategy("tit_for_tat")):
        joint = play_match((player, other), game, jax.random.key(0), episodes=5, inner_episodes=4).joint
        joint = np.asarray(joint)
        assert joint.shape == (STEPS, 5) and len(np.unique(joint)) == 4
    assert (joint[::ROUNDS] % 2 == 0).all()  # tit-for-tat begins each inner episode by cooperating
    later = np.arange(STEPS) % ROUNDS != 0
    np.testing.assert_array_equal(joint[later] % 2, joint[np.flatnonzero(later) - 1] // 2)


def flags_of(settings):
    """The command line's form of what differs from the quick preset."""
    quick, flags = flat(PRESETS["quick"]), [f"--game.rounds={settings.game.rounds}"]
    for _, field, value in each(settings):
        if value != quick[field.name]:
            words = map(str, value) if isinstance(value, tuple) else [str(value)]
            flags += [f"--{field.name.replace('_', '-')}", *words]
    return flags


def check_what_a_run_shows(settings, out, printed):
    """The run's table, evaluation and figures."""
    assert "phase 1" in printed and f"table: {out / 'summary.md'}" in printed
    table, agents = (out / "summary.md").read_text(), settings.shaping.meta_agents
    for text in ("reward against naive learners", "cooperation of the naive learners", "late cooperation with tit"):
        assert text in table
    assert ("learner against learner" in table) == (agents == 2)
    assert "tabular players" not in table
    evaluated = json.loads((out / "evaluation.json").read_text())["phases"]["1"]
    assert ("learner" in evaluated) == (agents == 2)
    assert np.shape(evaluated["tit_for_tat"]["reward"]) == (1, agents, STEPS)
    first = np.array(evaluated["tit_for_tat"]["other_cooperation"])[..., ::ROUNDS]
    np.testing.assert_array_equal(first, 1)  # it begins every inner episode anew
    if agents == 2:
        own, other = (np.array(evaluated["learner"][side])[0] for side in ("reward", "other_reward"))
        np.testing.assert_allclose(own[0], other[1], atol=1e-4)  # one match, from both sides
    for name in ("training", "within_episode", "signature"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_two_agents_in_the_mixed_pool_from_the_command_line(tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["train", "coala-ipd", *flags_of(MIXED), "--out", str(out)]) == 0
    check_what_a_run_shows(MIXED, out, capsys.readouterr().out)


def test_one_agent_among_naive_learners_from_the_command_line(tmp_path, capsys):
    """And within meta-trajectories it does what it did in training: it stays as it is."""
    out = tmp_path / "run"
    assert cli.main(["train", "coala-ipd", *flags_of(STILL), "--out", str(out)]) == 0
    check_what_a_run_shows(STILL, out, capsys.readouterr().out)
    folder = RunFolder.open(out)
    (row,) = folder.metrics()
    settings = adjust(STILL, replicas=96)
    agents = checkpoint.load(folder.agents_file(1))[1]
    found = coala_ipd.within_meta_trajectory(settings, agents, jax.random.key(7))
    sides = ("vs_naive", "of_naive")
    assert found.keys() == {f"{metric}_{side}" for metric in ("reward", "cooperation") for side in sides}
    for name, values in found.items():
        assert values.shape == (1, 1, 4)
        # Both are means over 96 learners, whose games may all go the same way.
        error = (0.5 if name.startswith("cooperation") else np.sqrt(1.25)) * np.sqrt(2 / 96)
        assert values.mean() == pytest.approx(row[name], abs=4 * error)
    for side in sides:
        for when, episode in (("early", 0), ("late", 3)):
            value = found[f"reward_{side}"][0, 0, episode]
            assert value == pytest.approx(row[f"{when}_reward_{side}"], abs=4 * np.sqrt(1.25 * 2 / 96))
    first, *_, last = found["cooperation_of_naive"][0, 0]
    assert first == pytest.approx(0.5, abs=0.15) and last < first - 0.15  # they learn to defect


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ("dqn",)}, "methods: must be of coala, .*, got dqn"),
        ({"methods": ()}, "methods: must be of coala, .*, got none"),
        ({"methods": ("coala",) * 3}, "methods: needs one, or one for each of the 2 meta agents, got 3"),
        ({"replicas": 5}, "replicas: 5 with naive_share = 0.5 must come out in whole co-players"),
        ({"meta_agents": 1, "methods": ("coala",)}, "meta_agents: must be at least 2 where naive_share is below 1"),
        ({"minibatches": 3}, "minibatches: must divide the 4 replicas, got 3"),
        ({"segment": 5}, "segment: must divide the 12 rounds of a meta-trajectory, or be 0, got 5"),
        (
            {"meets_own_kind": False, "methods": ("coala",)},
            "meets_own_kind: with one method, coala, agents meet only their own kind",
        ),
        ({"segment": -1}, "segment: must be a finite number of at least 0, got -1"),
        ({"iterations": 13}, "iterations: must be a multiple of phases \\* log_every = 6, got 13"),
        ({"game": MatrixGame((1.0, -1.0, 2.0, 0.0, 1.0, -1.0, 2.0, 1.0))}, "game: its two seats must be alike"),
        ({"game": PublicGoods()}, "game: shaping needs a game of two players, this one has 3"),
        ({"naive_share": 1.5}, "naive_share: must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"gae_lambda": 1.5}, "gae_lambda: must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"naive_gamma": -0.5}, "naive_gamma: must be a finite number of at least 0 and at most 1, got -0.5"),
        ({"naive_rule": "newton"}, "naive_rule: must be one of a2c, got 'newton'"),
        ({"naive_learning_rate": 0.0}, "naive_learning_rate: must be a finite number above 0, got 0.0"),
        ({"core": "hawk", "hidden": 5}, "hidden: must be a multiple of 2, the heads of a Hawk, got 5"),
        ({"naive_iterations": 3}, "naive_iterations: must be a multiple of log_every = 2 below iterations = 12, got 3"),
        ({"naive_iterations": 12}, "naive_iterations: must be a multiple of log_every = 2 below iterations = 12, got"),
        ({"entropy_from": 12}, "entropy_from: must be below iterations = 12, got 12"),
        ({"entropy_iterations": -1}, "entropy_iterations: must be a finite number of at least 0, got -1"),
        ({"learning_rate_from": 20}, "learning_rate_from: must be below iterations = 12, got 20"),
        ({"learning_rate_end": 1.5}, "learning_rate_end: must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"batch": 0}, "batch: must be a finite number above 0, got 0"),
    ],
)
def test_bad_settings_are_refused(changed, message):
    with pytest.raises(CoplayerError, match=f"^{message}"):
        coala_ipd.check(adjust(TINY_COALA, **changed))


def test_bad_settings_are_one_line_and_make_no_folder(tmp_path, capsys):
    for flags, message in ((["--minibatches=3"], "minibatches: must divide"), (["--hidden=100000000"], "GB are free")):
        arguments = ["train", "coala-ipd", *flags_of(TINY_COALA), *flags, "--out", str(tmp_path / "run")]
        assert cli.main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith("coplayer: ") and error.count("\n") == 1
        assert not (tmp_path / "run").exists()


# A new rule of learning, a new estimator: one entry in a registry.


class Turncoat(Player):
    """A co-player whose lesson from an inner episode is to do the other thing in the next one."""

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return jnp.zeros((), jnp.int32)

    def act(self, state, observation, key):
        return state, jnp.full(len(observation), state), observation

    def learn(self, state, episode, notes, key):
        seen = (episode.observations == notes).all() & (episode.actions == state).all()
        return jnp.where(seen, 1 - state, 7)


@pytest.fixture
def turncoats(monkeypatch):
    asked = []

    def rule(game, population, updating):
        asked.append((game, jax.tree.leaves(population)[0].shape[0], updating))
        return Turncoat()

    monkeypatch.setitem(RULES, "turncoat", rule)
    return asked


TURNCOATS = adjust(TINY_COALA, naive_rule="turncoat", iterations=6)


def test_a_new_rule_of_learning_is_an_entry_of_its_registry(turncoats, tmp_path):
    settings = TURNCOATS
    whole = registry.train(settings, tmp_path / "whole")
    game, members, updating = turncoats[0]
    assert (game, members) == (settings.game, settings.naive.naive_population)
    assert updating.optimiser.learning_rate == settings.naive.naive_learning_rate
    rows = whole.metrics()
    assert all(np.isfinite(list(row.values())).all() and row["gradient_norm"] > 0 for row in rows)
    assert {row["cooperation_of_naive"] for row in rows} == {0.5}
    agents = checkpoint.load(whole.agents_file(3))[1]
    means = coala_ipd.within_meta_trajectory(settings, agents, jax.random.key(0))
    np.testing.assert_array_equal(means["cooperation_of_naive"], np.broadcast_to([1.0, 0.0, 1.0, 0.0], (2, 2, 4)))
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "broken", reporter=StopAfter(2))
    registry.resume(tmp_path / "broken")
    assert_same(whole.path, tmp_path / "broken")


@pytest.mark.parametrize(
    ("registry_", "changes", "message"),
    [
        (RULES, {"naive_rule": "odd"}, "naive_rule: odd is no function that makes a player, but 3"),
        (ESTIMATORS, {"methods": ("odd",)}, "methods: odd is no coplayer.Estimator, but 3"),
    ],
)
def test_what_a_registry_should_not_hold_is_one_line(registry_, changes, message, monkeypatch):
    monkeypatch.setitem(registry_, "odd", 3)
    with pytest.raises(CoplayerError, match=f"^{message}$"):
        coala_ipd.check(adjust(TINY_COALA, **changes))


class Wild(Turncoat):
    """Takes an action that there is not."""

    def act(self, state, observation, key):
        state, action, notes = super().act(state, observation, key)
        return state, action + 2, notes


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda game, population, updating: 3, "groups: int is not a coplayer.Player"),
        (lambda game: Turncoat(), "TypeError: .*"),
        (lambda game, population, updating: Wild(), r"player 2: this game has the actions 0 to 1, the player took \d+"),
    ],
)
def test_a_rule_that_cannot_play_is_refused_before_there_is_a_folder(rule, message, monkeypatch, tmp_path):
    monkeypatch.setitem(RULES, "odd", rule)
    with pytest.raises(CoplayerError, match=rf"^naive_rule: odd cannot play and learn \({message}\)"):
        registry.train(adjust(TINY_COALA, naive_rule="odd"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (Estimator("odd", None, None), r"odd cannot be computed \(TypeError: .*"),
        (Estimator("odd", lambda outcome: 0, BATCH_UNAWARE), r"odd cannot be computed \(TypeError: .*"),
        (Estimator("odd", BATCH_UNAWARE, lambda outcome, **how: outcome.rewards[:1]), "odd must give real numbers"),
        (Estimator("odd", lambda outcome, **how: 0.0, BATCH_UNAWARE), "odd must give real numbers .*, gave"),
    ],
)
def test_an_estimator_of_another_form_is_one_line(estimator, message, monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "odd", estimator)
    with pytest.raises(CoplayerError, match=f"^methods: {message}"):
        coala_ipd.check(adjust(TINY_COALA, methods=("odd",)))


def test_no_estimator_takes_the_name_of_lola_dice(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "lola_dice", ESTIMATORS["coala"])
    with pytest.raises(CoplayerError, match=r"^methods: the name lola_dice is taken"):
        coala_ipd.check(TINY_COALA)


def test_lola_dice_refuses_rules_that_it_cannot_look_ahead_of(turncoats):
    with pytest.raises(CoplayerError, match=r"naive_rule: lola_dice looks ahead .* needs a2c, got turncoat"):
        coala_ipd.check(adjust(TURNCOATS, methods=("lola_dice",)))


def welfare(outcome, *, episode_length, gamma, gae_lambda):
    """Weights that count the co-player's rewards as one's own."""
    both = outcome._replace(rewards=outcome.rewards + outcome.other_rewards)
    return BATCH_UNAWARE(both, episode_length=episode_length, gamma=gamma, gae_lambda=gae_lambda)


@pytest.fixture
def welfare_known(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "welfare", Estimator("welfare", welfare, BATCH_UNAWARE))


def test_a_new_estimator_is_an_entry_of_its_registry(welfare_known, tmp_path):
    """Its agents learn, and its weights are its own among naive learners; the other agent's are as without it."""
    settings = adjust(TINY_COALA, methods=("coala", "welfare"), iterations=6, gamma=0.9)
    rows = registry.train(settings, tmp_path / "run").metrics()
    assert all(np.isfinite(list(row.values())).all() and row["gradient_norm"] > 0 for row in rows)
    played, joint, values = example(settings, 2)
    mapped = jax.jit(jax.vmap(lambda played: estimated(settings, played), axis_name=LEARNERS))
    found = np.asarray(mapped(played)[0])
    coala_ones, _ = weights_by_replica(settings, joint[0], values[0], "coala")
    np.testing.assert_allclose(found[0], coala_ones, atol=1e-5)
    for r in range(settings.shaping.replicas):
        sums = PAYOFFS + PAYOFFS[[0, 2, 1, 3]] * (r < settings.with_naive)
        rewards, following = 0.05 * sums[joint[1, :, r]], 0.0
        for t in reversed(range(STEPS)):
            ahead = np.asarray(values[1, t + 1, r]) if t + 1 < STEPS else 0.0
            following = rewards[t] + 0.9 * ahead - np.asarray(values[1, t, r]) + 0.9 * following
            np.testing.assert_allclose(found[1, t, r], following, atol=1e-5)


# A game with state and chance in it, whose observations are symbols or vectors.


@pytest.fixture
def vault_known(monkeypatch):
    monkeypatch.setitem(names.GAMES, "vault", Vault())


SGD = {"update_rule": "sgd", "naive_update_rule": "sgd", "naive_start": "agents", "centred": True}


@pytest.mark.parametrize(
    ("game", "changes"),
    [
        (Vault(told="symbol", rounds=4), {}),
        (Vault(told="vector", rounds=4), {}),
        pytest.param(
            *(Vault(told="vector", rounds=4), {"core": "hawk", "meta_agents": 3, "methods": ("coala",)}),
            marks=pytest.mark.long,
        ),
        pytest.param(CoinGame(3), {"methods": ("lola_dice",), "learning_rate": 0.01}, marks=pytest.mark.long),
        (CleanUpLite(3), {"epochs": 1, "minibatches": 1} | SGD),
    ],
    ids=[
        "symbols",
        "vectors",
        "vectors, hawk, three agents",
        "coin, lola_dice",
        "cleanup-lite, A2C and SGD, naive learners that begin as agents",
    ],
)
def test_a_game_with_state_is_trained_stopped_and_resumed_bit_for_bit(vault_known, tmp_path, game, changes):
    settings = adjust(TINY_COALA, game=game, iterations=3, log_every=1, inner_episodes=2, seeds=1, **changes)
    whole = registry.train(settings, tmp_path / "whole")
    rows = whole.metrics()
    sides = [f"{what}_{side}" for what in ("reward", *game.measures) for side in ("vs_naive", "of_naive", "vs_learner")]
    assert {*sides, "late_reward_of_naive", "entropy"} <= rows[0].keys()
    assert all(np.isfinite(list(row.values())).all() and row["gradient_norm"] > 0 for row in rows)
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "broken", reporter=StopAfter(2))
    registry.resume(tmp_path / "broken")
    assert_same(whole.path, tmp_path / "broken")
    first = coala_ipd.Trainer(settings).initial_state().learners.learner.network
    for agent, player in enumerate(registry.load(tmp_path / "broken")):
        player.check(game)
        weights = zip(jax.tree.leaves(player.network), jax.tree.leaves(first), strict=True)
        assert any((one != before[agent, 0]).any() for one, before in weights)


def test_naive_learners_may_begin_as_the_agents_of_the_moment():
    """Each of them is one of the three agents, and every agent occurs, in every agent's own play."""
    settings = adjust(ONE_SEED, meta_agents=3, methods=("coala",), replicas=24, naive_share=1.0, naive_start="agents")
    networks = jax.vmap(lambda key: coala_ipd.new_network(settings, key))(jax.random.split(jax.random.key(0), 3))

    def met(network, key):
        return coala_ipd.co_players(settings, network, network, key)

    keys = jax.random.split(jax.random.key(1), 3)
    found = jax.vmap(met, axis_name=LEARNERS)(networks, keys).core.hidden_weights  # [agent, replica, ...]
    same = (np.asarray(found)[:, :, None] == np.asarray(networks.core.hidden_weights)).all((-2, -1))
    assert (same.sum(-1) == 1).all() and same.any(1).all()


def test_the_paper_preset_is_the_published_setting():
    published = {
        "game": MatrixGame((1, -1, 2, 0), rounds=10),
        "inner_episodes": 20,
        "batch": 16,
        "replicas": 128,
        "naive_share": 0.75,
        "meta_agents": 4,
        "naive_population": 10,
        "core": "hawk",
        "hidden": 32,
        "iterations": 3000,
        "epochs": 4,
        "minibatches": 2,
        "clip": 0.2,
        "gamma": 1.0,
        "gae_lambda": 1.0,
        "td_lambda": 1.0,
        "reward_scale": 0.05,
        "centred": False,
        "value_coefficient": 0.5,
        "entropy_coefficient": 0.0,
        "learning_rate": 3e-4,
        "max_gradient_norm": 1.0,
        "naive_learning_rate": 5e-3,
        "naive_gamma": 0.99,
        "naive_reward_scale": 0.05,
    }
    assert {name: flat(PRESETS["paper"])[name] for name in published} == published
    for preset in PRESETS.values():
        coala_ipd.check(preset)
