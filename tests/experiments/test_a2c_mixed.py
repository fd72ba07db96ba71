"""A2C in the mixed pool: who meets whom, what the ablations change, the published setting; stopping and resuming."""

import functools
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import a2c_mixed, mixed_pool, registry
from coplayer.experiments.a2c_mixed import PRESETS
from coplayer.games import names
from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import a2c
from coplayer.learning.optimisation import lambdas
from coplayer.networks.hawk import Hawk
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES
from coplayer.reproduce import report
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust, each, flat
from oracles import ActorCriticOracle, softmax, with_random_weights
from stopping import StopAfter, assert_same, outcome
from tiny import TINY_A2C
from vault import Vault

pytestmark = pytest.mark.usefixtures("compiled_once")

ONE_SEED = adjust(TINY_A2C, seeds=1)
NAMED = adjust(ONE_SEED, opponent_identity=True)
PAYOFFS, EPISODES, ROUNDS = np.array([1.0, -1.0, 2.0, 0.0]), TINY_A2C.data.episodes, TINY_A2C.game.rounds


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """A trainer holds no state but its compiled functions: share it among runs of the same settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(a2c_mixed, "Trainer", functools.cache(a2c_mixed.Trainer))
        yield


class Played(NamedTuple):
    """One iteration of the first seed, `[learner, ...]`."""

    joint: np.ndarray  # in the learner's view
    batch: a2c.Batch


def play(settings, network=None):
    """One iteration's episodes by all learners."""
    run, learners = settings.run, settings.co_players.learners

    def function(key, network):
        own = a2c_mixed.new_network(settings, key) if network is None else network
        trajectory, batch = a2c_mixed.play(settings, settings.split, own, jax.random.fold_in(key, 1))
        return Played(trajectory.joint, batch)

    played = mixed_pool.mapped(run, function, learners)(mixed_pool.keys(run, learners), network)
    return jax.tree.map(lambda leaf: np.asarray(leaf[:, 0]), played)


@pytest.fixture(scope="module")
def played():
    return play(ONE_SEED)


def test_learners_play_the_same_games_among_them_each_in_its_own_view(played):
    mine, yours = played.joint[..., : EPISODES // 2]
    np.testing.assert_array_equal(mine // 2, yours % 2)
    np.testing.assert_array_equal(mine % 2, yours // 2)
    others = played.joint[..., EPISODES // 2 :]
    assert (others[0] != others[1]).any()  # each meets tabular players of its own
    np.testing.assert_array_equal(played.batch.rewards, PAYOFFS[played.joint])
    np.testing.assert_array_equal(played.batch.actions, played.joint // 2)


@pytest.mark.parametrize("learners", [3, 4])
def test_of_more_learners_each_meets_every_other_one_equally_often(learners):
    settings = adjust(ONE_SEED, learners=learners, episodes=24)
    joint = play(settings).joint[..., : settings.data.episodes // 2]
    groups = np.split(joint, learners - 1, axis=-1)
    for k in range(1, learners):
        for i in range(learners):
            mine, yours = groups[k - 1][i], groups[learners - k - 1][(i + k) % learners]
            np.testing.assert_array_equal(mine // 2, yours % 2)
            np.testing.assert_array_equal(mine % 2, yours // 2)
    assert len({joint[i].tobytes() for i in range(learners)}) == learners


def test_what_a_learner_saw_is_what_was_played(played):
    observations = played.batch.trace.observation
    assert (observations[:, 0] == START).all()
    np.testing.assert_array_equal(observations[:, 1:], 1 + played.joint[:, :-1])
    np.testing.assert_array_equal(played.batch.beyond, 1 + played.joint[:, -1])


UNLIKE = MatrixGame((1.0, -1.0, 2.0, 0.0, 5.0, 6.0, 7.0, 8.0), ROUNDS)


def test_each_seat_has_its_own_payoffs():
    joint, batch = play(adjust(ONE_SEED, game=UNLIKE))
    np.testing.assert_array_equal(batch.rewards[0], PAYOFFS[joint[0]])
    np.testing.assert_array_equal(batch.rewards[1], np.array([5.0, 6.0, 7.0, 8.0])[joint[1]])


def test_both_learners_draw_from_the_same_pool():
    """The tables are read from what names the players: a third each is tit-for-tat, always-defect and uniform."""
    pool = ("uniform", "tit_for_tat", "always_defect")
    settings = adjust(NAMED, episodes=12_000, game=prisoners_dilemma(1), pool=pool)
    tables = np.exp(play(settings).batch.identity[:, :, 6_000:].reshape(2, 5, 2, 6_000))
    for own in tables:
        np.testing.assert_allclose(own.sum(1), 1, atol=2e-4)
        cooperate = own[:, 0]
        fixed = [
            np.abs(cooperate.T - PRISONERS_DILEMMA_STRATEGIES[name]).max(1) < 2e-4
            for name in ("tit_for_tat", "always_defect")
        ]
        for kind in (*fixed, ~(fixed[0] | fixed[1])):
            assert abs(kind.mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / 6_000)
        fresh = cooperate[:, ~(fixed[0] | fixed[1])]
        for row in fresh:  # Kolmogorov and Smirnov's distance from the uniform distribution
            assert np.abs(np.sort(row) - (np.arange(row.size) + 0.5) / row.size).max() < 2 / np.sqrt(row.size)
    assert (tables[0] != tables[1]).any()


def test_a_pool_of_one_fixed_player_is_what_both_learners_meet():
    against = play(adjust(ONE_SEED, pool=("0,1,1,1,1",))).joint[..., EPISODES // 2 :]
    assert (against[:, 0] % 2 == 1).all() and (against[:, 1:] % 2 == 0).all()


def test_opponent_identity_adds_a_vector_to_the_first_round_and_nothing_else():
    """With the same weights, zero for the vector, the same games are played. With other weights only the games against
    tabular players differ, for learners are named by zeros.
    """
    plain = a2c_mixed.new_network(ONE_SEED, jax.random.key(5))
    named = a2c_mixed.new_network(NAMED, jax.random.key(6))
    assert named.core.input_weights.shape[0] == plain.core.input_weights.shape[0] + 10
    assert [leaf.shape for leaf in jax.tree.leaves(named)[1:]] == [leaf.shape for leaf in jax.tree.leaves(plain)[1:]]

    def with_context_weights(scale):
        own = scale * np.random.default_rng(0).normal(size=(10, 12))
        weights = jnp.concatenate([plain.core.input_weights, jnp.asarray(own, jnp.float32)])
        copied = eqx.tree_at(lambda n: n.core, named, eqx.tree_at(lambda g: g.input_weights, plain.core, weights))
        heads = (plain.head_weights, plain.head_bias)
        return eqx.tree_at(lambda n: (n.head_weights, n.head_bias), copied, heads)

    before, blind, seeing = (
        play(settings, network)
        for settings, network in ((ONE_SEED, plain), (NAMED, with_context_weights(0)), (NAMED, with_context_weights(3)))
    )
    split = EPISODES // 2
    np.testing.assert_array_equal(blind.joint, before.joint)
    np.testing.assert_array_equal(seeing.joint[..., :split], before.joint[..., :split])
    assert (np.abs(seeing.batch.trace.outputs - before.batch.trace.outputs)[..., split:] > 1e-3).any()
    identity = seeing.batch.identity
    assert (identity[..., :split] == 0).all() and (identity[..., split:] < 0).all()
    assert before.batch.identity.shape[1] == 0


def test_what_is_kept_of_playing_is_what_the_network_says_of_it():
    """Against numpy: the co-player's name in the first round alone, then the rounds played."""
    network = with_random_weights(lambda: a2c_mixed.new_network(NAMED, jax.random.key(0)), 1)
    (joint, batch), oracle = play(NAMED, network), ActorCriticOracle(network)
    for learner, episode in ((0, 0), (0, EPISODES - 1), (1, EPISODES // 2)):
        state = oracle.start(batch.identity[learner, :, episode])
        for t in range(ROUNDS):
            outputs = batch.trace.outputs[learner, t, :, episode]
            np.testing.assert_allclose(softmax(outputs[:2]), oracle.policy(state), atol=1e-4)
            assert outputs[2] == pytest.approx(oracle.value(state), abs=1e-3)
            state = oracle.after(state, *divmod(int(joint[learner, t, episode]), 2))


def train(settings, iterations=None):
    """Every row of a run, and its last state."""
    trainer = a2c_mixed.Trainer(settings)
    state, rows = trainer.initial_state(), []
    while not trainer.finished(state) and (iterations is None or state.iteration < iterations):
        chunk = trainer.advance(state)
        state, rows = chunk.state, rows + chunk.rows
    return rows, state


def test_without_tabular_players_all_episodes_are_among_learners():
    settings = adjust(ONE_SEED, learner_share=1.0)
    mine, yours = play(settings).joint
    np.testing.assert_array_equal(mine, np.array([0, 2, 1, 3])[yours])


def test_a_row_is_the_mean_of_its_iterations():
    """A row of two is the mean of two rows of one, which are of episodes of their own."""
    single, _ = train(adjust(ONE_SEED, log_every=1), iterations=2)
    double, _ = train(ONE_SEED, iterations=2)
    for learner in (0, 1):
        first, second = (row for row in single if row["learner"] == learner)
        assert first["reward_vs_tabular"] != second["reward_vs_tabular"]
        assert first["reward_vs_learner"] != second["reward_vs_learner"]
        both = next(row for row in double if row["learner"] == learner)
        assert both["iteration"] == 2 and both["phase"] == 1
        for name in both.keys() - {"iteration"}:
            assert both[name] == pytest.approx((first[name] + second[name]) / 2, abs=1e-5), name


@pytest.mark.parametrize(("core", "rate"), [("gru", 0.05), ("hawk", 0.02)])
def test_learning_finds_the_best_response_to_who_always_cooperates(core, rate):
    settings = adjust(
        ONE_SEED, core=core, pool=("1,1,1,1,1",), episodes=64, iterations=60, phases=1, log_every=20, learning_rate=rate
    )
    rows, _ = train(settings)
    assert all(row["reward_vs_tabular"] < 1.8 for row in rows[:2])
    assert all(row["reward_vs_tabular"] > 1.9 for row in rows[-2:])


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it():
    alone, _ = train(adjust(ONE_SEED, seed=1), iterations=4)
    for settings in (TINY_A2C, adjust(TINY_A2C, seed_batch=2)):
        rows, _ = train(settings, iterations=4)
        beside = [row for row in rows if row["seed"] == 1]
        for left, right in zip(alone, beside, strict=True):
            assert left.keys() == right.keys()
            np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


def test_learners_have_weights_of_their_own():
    _, state = train(TINY_A2C, iterations=2)
    for leaf in jax.tree.leaves(state.learners.learner.network):
        assert (leaf[0] != leaf[1]).any() and (leaf[:, 0] != leaf[:, 1]).any()


# Runs in folders.


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "unbroken"
    registry.train(TINY_A2C, path)
    return path


def test_agents_are_kept_at_the_end_of_every_phase_and_rows_for_every_interval(unbroken):
    folder = RunFolder.open(unbroken)
    assert folder.phases() == [1, 2, 3]
    assert [(row["phase"], row["iteration"], row["seed"], row["learner"]) for row in folder.metrics()] == [
        (1 + (iteration - 1) // 4, iteration, seed, learner)
        for iteration in range(2, 13, 2)
        for seed in (0, 1)
        for learner in (0, 1)
    ]


def test_first_iterations_among_tabular_players_have_no_effect_where_none_are_met():
    a2c_mixed.check(adjust(TINY_A2C, learner_share=1.0, tabular_iterations=10_000))


AMONG_TABULAR = adjust(TINY_A2C, tabular_iterations=4, tabular_learning_rate=0.02, tabular_entropy_coefficient=0.05)


@pytest.fixture(scope="module")
def among_tabular_first(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tabular-first"
    registry.train(AMONG_TABULAR, path)
    return path


def test_among_tabular_players_first_is_step_one_and_the_mixed_pool_started_from_it(among_tabular_first, tmp_path):
    step_one = adjust(
        TINY_A2C,
        learner_share=0.0,
        episodes=4,  # those of the eight that are against tabular players
        iterations=4,
        phases=2,
        learning_rate=0.02,
        learning_rate_end=0.1,
        entropy_coefficient=0.05,
        entropy_end=0.1,
    )
    registry.train(step_one, tmp_path / "one")
    registry.train(adjust(TINY_A2C, start=tmp_path / "one", iterations=8, phases=2), tmp_path / "two")
    whole, one, two = (RunFolder.open(path) for path in (among_tabular_first, tmp_path / "one", tmp_path / "two"))
    for name, array in checkpoint.load(two.agents_file(2))[1].items():
        np.testing.assert_array_equal(checkpoint.load(whole.agents_file(3))[1][name], array)
    parts = one.metrics() + [row | {"iteration": row["iteration"] + 4} for row in two.metrics()]
    assert [row | {"phase": 0} for row in whole.metrics()] == [row | {"phase": 0} for row in parts]
    assert "cooperation_vs_learner" not in parts[0] and "cooperation_vs_learner" in parts[-1]
    assert report.sides(whole) == ["vs_learner", "vs_tabular"]  # without the tabular players' own, of step 1
    other = adjust(TINY_A2C, tabular_iterations=4, tabular_learning_rate=0.01)
    assert train(other, iterations=4)[0] != one.metrics()


def test_a_shared_start_is_the_first_learners_where_they_meet(among_tabular_first, tmp_path):
    """Against a run from the first learner's weights, set by hand for both."""
    shared = adjust(AMONG_TABULAR, shared_start=True)
    registry.train(shared, tmp_path / "shared")
    head, agents = checkpoint.load(RunFolder.open(among_tabular_first).agents_file(1))
    doubled = {name: np.stack([array[0], array[0]]) for name, array in agents.items()}
    by_hand = shutil.copytree(among_tabular_first, tmp_path / "by-hand")
    RunFolder.open(by_hand).agents_file(AMONG_TABULAR.run.phases).write_bytes(checkpoint.dump(doubled, head))
    registry.train(adjust(TINY_A2C, start=by_hand, iterations=8, phases=2), tmp_path / "rest")
    expected = checkpoint.load(RunFolder.open(tmp_path / "rest").agents_file(2))[1]
    for name, array in checkpoint.load(RunFolder.open(tmp_path / "shared").agents_file(3))[1].items():
        np.testing.assert_array_equal(array, expected[name])
        assert (array[0] != array[1]).any(), name  # each learns from its own episodes


@pytest.mark.parametrize(
    ("whole", "settings", "chunks"),
    [
        *(("unbroken", TINY_A2C, chunks) for chunks in (1, 2, 5)),
        *(("among_tabular_first", AMONG_TABULAR, chunks) for chunks in (1, 2, 3)),  # the learners meet after two
    ],
)
def test_a_stopped_run_resumes_bit_for_bit(request, tmp_path, whole, settings, chunks):
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "run", reporter=StopAfter(chunks))
    registry.resume(tmp_path / "run")
    assert_same(request.getfixturevalue(whole), tmp_path / "run")


@pytest.mark.parametrize("without", [{"learner_share": 1.0}, {"frozen": Path("a run"), "learner_share": 0.0}])
def test_where_there_are_no_tabular_players_none_come_first(without):
    assert AMONG_TABULAR.meeting_from == 4
    settings = adjust(AMONG_TABULAR, **without)
    assert settings.meeting_from == 0
    assert a2c_mixed.main_part(settings).updating.iterations == settings.run.iterations


def test_another_seed_gives_another_run(unbroken, tmp_path):
    registry.train(adjust(TINY_A2C, seed=7), tmp_path / "run")
    assert outcome(tmp_path / "run")[0] != outcome(unbroken)[0]


def test_loaded_players_are_the_learners_of_their_phase_and_seed(unbroken):
    _, state = train(TINY_A2C)
    for seed in (0, 1):
        for learner, player in enumerate(registry.load(unbroken, seed=seed)):
            expected = jax.tree.map(
                functools.partial(lambda leaf, at: leaf[at], at=(learner, seed)), state.learners.learner.network
            )
            for one, other in zip(jax.tree.leaves(player.network), jax.tree.leaves(expected), strict=True):
                np.testing.assert_array_equal(one, other)
    early = registry.load(unbroken, phase=1)[0].network
    assert (early.head_weights != registry.load(unbroken)[0].network.head_weights).any()
    with pytest.raises(CoplayerError, match="seed: this run has seeds 0 to 1, got 2"):
        registry.load(unbroken, seed=2)


def test_a_run_with_a_hawk_is_kept_and_loaded(tmp_path):
    settings = adjust(ONE_SEED, core="hawk", iterations=2, phases=1)
    registry.train(settings, tmp_path / "run")
    for player in registry.load(tmp_path / "run"):
        assert isinstance(player.network.core, Hawk)
        state = player.begin(jax.random.key(0), 3)
        for seen in ([0, 0, 0], [1, 2, 3]):
            state, _, trace = player.act(state, jnp.array(seen), jax.random.key(1))
        assert np.isfinite(trace.outputs).all()


def test_a_run_that_does_not_tell_its_core_has_grus(unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "old")
    described = json.loads((tmp_path / "old" / "config.json").read_text())
    assert described["settings"]["network"].pop("core") == "gru"
    (tmp_path / "old" / "config.json").write_text(json.dumps(described))
    for old, new in zip(registry.load(tmp_path / "old"), registry.load(unbroken), strict=True):
        for one, other in zip(jax.tree.leaves(old.network), jax.tree.leaves(new.network), strict=True):
            np.testing.assert_array_equal(one, other)
    arrays = checkpoint.load(RunFolder.open(unbroken).agents_file(1))[1].keys()
    gru = ("input_weights", "hidden_weights", "bias", "candidate_bias")
    assert arrays == {*(f"network.core.{name}" for name in gru), "network.head_weights", "network.head_bias"}


def test_a_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    settings = adjust(ONE_SEED, learning_rate=1e38)
    with pytest.raises(CoplayerError, match="not a finite number in phase 1: stopped"):
        registry.train(settings, tmp_path / "run")
    assert checkpoint.newest(tmp_path / "run" / "checkpoints") is None


def flags_of(settings):
    """The command line's form of what differs from the quick preset."""
    quick, flags = flat(PRESETS["quick"]), [f"--game.rounds={settings.game.rounds}"]
    for _, field, value in each(settings):
        if value != quick[field.name]:
            name = field.name.replace("_", "-")
            flags.append(f"--{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"--{name}={value}")
    return flags


@pytest.mark.parametrize("ablation", ["--opponent-identity", "--learner-share=1"])
def test_train_and_evaluate_from_the_command_line(tmp_path, capsys, ablation):
    out, settings = tmp_path / "run", adjust(ONE_SEED, iterations=2, phases=1)
    assert cli.main(["train", "a2c-mixed", *flags_of(settings), ablation, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "phase 1" in printed and f"table: {out / 'summary.md'}" in printed
    table = (out / "summary.md").read_text()
    assert "| cooperation, learner against learner |  |" in table and "at most 0.1" in table
    measured = set(RunFolder.open(out).metrics()[0])
    assert {"reward_vs_learner", "cooperation_vs_learner", "entropy"} <= measured
    for text in ("cooperation against tabular", "reward against tabular"):
        assert (text in table) == (text.replace(" against ", "_vs_") in measured) == (ablation != "--learner-share=1")
    assert (out / "figures" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert set(json.loads((out / "evaluation.json").read_text())["phases"]) == {"1"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--core=hawk", "--hidden=5"], "hidden: must be a multiple of 2, the heads of a Hawk, got 5"),
        (["--hidden=0"], "hidden: must be a finite number above 0, got 0"),
        (["--learning-rate=nan"], "learning_rate: must be a finite number above 0, got nan"),
        (["--gamma=1.5"], "gamma: must be a finite number of at least 0 and at most 1, got 1.5"),
        (["--gae-lambda=-0.5"], "gae_lambda: must be a finite number of at least 0 and at most 1, got -0.5"),
        (["--learner-share=-1"], "learner_share: must be a finite number of at least 0 and at most 1, got -1.0"),
        (["--learner-share=1.5"], "learner_share: must be a finite number of at least 0 and at most 1, got 1.5"),
        (
            ["--episodes=6", "--learners=3"],
            "episodes: 6 with learner_share = 0.5 against the other learners, 2 of them, must come out in whole "
            "episodes",
        ),
        (["--learners=1"], "learners: must be at least 2, got 1"),
        (
            ["--learners=3", "--episodes=8", "--game.payoffs", *"1 -1 2 0 5 6 7 8".split()],
            "learners: more than 2 need a game whose seats are alike, got 3",
        ),
        (
            ["--tabular-iterations=3"],
            "tabular_iterations: must be a multiple of log_every = 2 below iterations = 12, got 3",
        ),
        (["--tabular-iterations=12"], "tabular_iterations: must be a multiple of log_every = 2 below iterations = 12"),
        (["--tabular-learning-rate=0"], "tabular_learning_rate: must be a finite number above 0, got 0"),
        (["--iterations=13"], "iterations: must be a multiple of phases * log_every = 6, got 13"),
        (["--pool=tit_for_two_tats"], "pool: 'tit_for_two_tats' is not uniform, memory2, automata, mutants, axelrod"),
        (["--hidden=10000000"], "GB are free: lower --seed-batch, --episodes"),
    ],
)
def test_bad_settings_are_one_line_and_make_no_folder(flags, message, tmp_path, capsys):
    assert cli.main(["train", "a2c-mixed", *flags_of(TINY_A2C), *flags, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("coplayer: ") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bootstrap", [True, False])
def test_bootstrap_is_a_setting_of_the_update(bootstrap):
    settings = adjust(AMONG_TABULAR, bootstrap=bootstrap)
    for part in (a2c_mixed.main_part(settings), a2c_mixed.among_tabular_players(settings)):
        assert part.updating.loss.bootstrap is bootstrap


def test_lambdas_rise_only_where_iterations_for_it_are_given():
    constant = a2c_mixed.main_part(adjust(TINY_A2C, gae_lambda=0.5, td_lambda=0.0)).updating
    assert [lambdas(constant.loss, constant.optimiser.annealing, jnp.asarray(at)) for at in (0, 4, 8)] == [
        (0.5, 0.0)
    ] * 3
    settings = adjust(TINY_A2C, lambda_iterations=8, annealing="linear", gae_lambda=0.5, td_lambda=0.0)
    rising = a2c_mixed.main_part(settings).updating
    np.testing.assert_allclose(lambdas(rising.loss, rising.optimiser.annealing, jnp.asarray(4)), (0.75, 0.5))


def test_annealing_is_linear_or_cosine():
    with pytest.raises(CoplayerError, match="annealing: must be one of linear, cosine, got 'steps'"):
        a2c_mixed.check(adjust(TINY_A2C, annealing="steps"))


# A game with state and chance in it, whose observations are symbols or vectors.


@pytest.fixture
def vault_known(monkeypatch):
    monkeypatch.setitem(names.GAMES, "vault", Vault())


AMONG_LEARNERS = {"learner_share": 1.0}
VAULTS = [
    pytest.param(Vault(), {}, id="symbols, some tabular"),
    pytest.param(Vault(), {"opponent_identity": True}, id="symbols, told"),
    pytest.param(Vault(), AMONG_LEARNERS, id="symbols, learners alone"),
    pytest.param(Vault(told="vector"), AMONG_LEARNERS, id="vectors"),
    pytest.param(
        Vault(told="vector"),
        AMONG_LEARNERS | {"core": "hawk", "bootstrap": True},
        id="vectors, hawk",
        marks=pytest.mark.long,
    ),
    pytest.param(Vault(told="vector"), AMONG_LEARNERS | {"learners": 3}, id="vectors, three", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("game", "changes"), VAULTS)
def test_a_game_with_state_is_trained_stopped_and_resumed_bit_for_bit(vault_known, tmp_path, game, changes):
    settings = adjust(TINY_A2C, game=game, iterations=6, **changes)
    whole = registry.train(settings, tmp_path / "whole")
    rows, first = whole.metrics(), train(settings, iterations=0)[1].learners.learner.network
    assert len(rows) == 3 * 2 * settings.co_players.learners
    measured = {"reward_vs_learner", "saving_vs_learner", "late_saving_vs_learner", "entropy", "gradient_norm"}
    assert measured <= rows[0].keys() and ("saving_vs_tabular" in rows[0]) == (changes.get("learner_share") != 1)
    assert all(np.isfinite(list(row.values())).all() and row["gradient_norm"] > 0 for row in rows)
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "broken", reporter=StopAfter(2))
    registry.resume(tmp_path / "broken")
    assert_same(whole.path, tmp_path / "broken")
    for learner, player in enumerate(registry.load(tmp_path / "broken", seed=1)):
        player.check(game)
        weights = zip(jax.tree.leaves(player.network), jax.tree.leaves(first), strict=True)
        assert any((one != before[learner, 1]).any() for one, before in weights)


def test_learners_share_what_happens_by_chance_at_their_tables(vault_known):
    """Rewards of a learner and of whom it meets are those of one vault, which nobody but the table could have drawn."""
    settings = adjust(ONE_SEED, game=Vault(), episodes=64)

    def function(key, _):
        network = a2c_mixed.new_network(settings, key)
        trajectory, batch = a2c_mixed.play(settings, settings.split, network, jax.random.fold_in(key, 1))
        return trajectory.view(0), trajectory.view(1), batch

    mapped = mixed_pool.mapped(settings.run, function, 2)
    own, other, batch = jax.tree.map(lambda leaf: np.asarray(leaf[:, 0]), mapped(mixed_pool.keys(settings.run, 2), 0))
    for field in ("observations", "actions", "rewards"):
        mine, theirs = getattr(own, field)[..., :32], getattr(other, field)[..., :32]
        np.testing.assert_array_equal(mine, theirs[::-1])
    np.testing.assert_array_equal(batch.rewards, own.rewards)
    both_saved = (own.actions[:, :-1, :32] + other.actions[:, :-1, :32]) == 0
    grown = (own.observations[:, 1:, :32] > own.observations[:, :-1, :32])[both_saved]
    assert 0 < grown.mean() < 1


def test_learning_finds_the_best_response_in_a_game_with_state():
    """A vault that never grows holds 1 coin. To take it is best, whatever the others do."""
    settings = adjust(
        ONE_SEED,
        game=Vault(growth=0.0),
        learner_share=0.0,
        episodes=64,
        iterations=80,
        phases=1,
        log_every=20,
        learning_rate=0.05,
        entropy_coefficient=0.0,
        reward_scale=1.0,
    )
    rows, _ = train(settings)
    assert all(row["saving_vs_tabular"] > 0.1 for row in rows[:2])
    assert all(row["saving_vs_tabular"] < 0.05 for row in rows[-2:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game": PublicGoods()}, "game: the mixed pool needs a game of two players, this one has 3"),
        (
            {"game": Vault(told="vector")},
            "pool: strangers need a game whose observations are symbols, those of this game are vectors; use "
            "learner_share = 1",
        ),
        (
            {"game": Vault(told="vector"), "opponent_identity": True, "learner_share": 1.0},
            "opponent_identity: needs a game whose observations are symbols, in which co-players are tables",
        ),
        (
            {"game": Vault(), "pool": ("uniform", "tit_for_tat")},
            "pool: 'tit_for_tat' needs a matrix game of two actions, of which action 0 cooperates; this game allows "
            "uniform and random",
        ),
    ],
)
def test_games_that_do_not_fit_are_refused_with_the_reason(changes, message):
    with pytest.raises(CoplayerError) as refused:
        a2c_mixed.check(adjust(TINY_A2C, **changes))
    assert str(refused.value) == message


def test_the_paper_preset_is_the_published_setting():
    published = {
        "game": MatrixGame((1, -1, 2, 0), rounds=100),
        "hidden": 128,
        "learner_share": 0.5,
        "opponent_identity": False,
        "iterations": 200_000,
        "episodes": 4096,
        "centred": True,
        "reward_scale": 0.02,
        "gamma": 0.99,
        "gae_lambda": 1.0,
        "td_lambda": 1.0,
        "value_coefficient": 0.5,
        "entropy_coefficient": 0.01,
        "entropy_end": 1.0,
        "learning_rate": 1e-3,
        "learning_rate_end": 1.0,
        "max_gradient_norm": 1.0,
    }
    assert {name: flat(PRESETS["paper"])[name] for name in published} == published
    for preset in PRESETS.values():
        a2c_mixed.check(preset)
