"""A2C in the mixed pool: who meets whom, what the ablations change, the published setting; stopping and resuming."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import a2c_mixed, mixed_pool, registry, report
from coplayer.experiments.a2c_mixed import PRESETS
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import a2c
from coplayer.players.memory1 import PRISONERS_DILEMMA_STRATEGIES
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from oracles import ActorCriticOracle, softmax, with_random_weights
from stopping import StopAfter, assert_same, outcome
from tiny import TINY_A2C

ONE_SEED = dataclasses.replace(TINY_A2C, seeds=1)
NAMED = dataclasses.replace(ONE_SEED, opponent_identity=True)
PAYOFFS = np.array([1.0, -1.0, 2.0, 0.0])


@pytest.fixture(scope="module", autouse=True)
def compiled_once():
    """A trainer holds no state but its compiled functions: share it among the runs of a config."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(a2c_mixed, "Trainer", functools.cache(a2c_mixed.Trainer))
        yield


def play(config, network=None):
    """One iteration's batch of the first seed, `[learner, ...]`, by both learners."""
    setting = a2c_mixed.make_setting(config)

    def function(key, network):
        own = a2c_mixed.new_network(setting, key) if network is None else network
        payoffs = mixed_pool.own_payoffs(setting.game)
        return a2c_mixed.play(setting, own, payoffs, jax.random.fold_in(key, 1))

    batch = mixed_pool.mapped(config, function, config.learners)(mixed_pool.keys(config, config.learners), network)
    return jax.tree.map(lambda leaf: np.asarray(leaf[:, 0]), batch)


@pytest.fixture(scope="module")
def played():
    return play(ONE_SEED)


def test_learners_play_the_same_games_among_them_each_in_its_own_view(played):
    mine, yours = played.joint[..., : ONE_SEED.episodes // 2]
    np.testing.assert_array_equal(mine // 2, yours % 2)
    np.testing.assert_array_equal(mine % 2, yours // 2)
    others = played.joint[..., ONE_SEED.episodes // 2 :]
    assert (others[0] != others[1]).any()  # each meets tabular players of its own
    np.testing.assert_array_equal(played.rewards, PAYOFFS[played.joint])


@pytest.mark.parametrize("learners", [3, 4])
def test_of_more_learners_each_meets_every_other_one_equally_often(learners):
    config = dataclasses.replace(ONE_SEED, learners=learners, episodes=24)
    joint = play(config).joint[..., : config.episodes // 2]
    groups = np.split(joint, learners - 1, axis=-1)
    for k in range(1, learners):
        for i in range(learners):
            mine, yours = groups[k - 1][i], groups[learners - k - 1][(i + k) % learners]
            np.testing.assert_array_equal(mine // 2, yours % 2)
            np.testing.assert_array_equal(mine % 2, yours // 2)
    assert len({joint[i].tobytes() for i in range(learners)}) == learners


def test_what_a_learner_saw_is_what_was_played(played):
    observations = played.trace.observation
    assert (observations[:, 0] == 0).all()
    np.testing.assert_array_equal(observations[:, 1:], 1 + played.joint[:, :-1])


def test_each_seat_has_its_own_payoffs():
    batch = play(dataclasses.replace(ONE_SEED, payoffs=(1.0, -1.0, 2.0, 0.0, 5.0, 6.0, 7.0, 8.0)))
    np.testing.assert_array_equal(batch.rewards[0], PAYOFFS[batch.joint[0]])
    np.testing.assert_array_equal(batch.rewards[1], np.array([5.0, 6.0, 7.0, 8.0])[batch.joint[1]])


def test_both_learners_draw_from_the_same_pool():
    """The tables are read from what names the players: a third each is tit-for-tat, always-defect and uniform."""
    config = dataclasses.replace(NAMED, episodes=12_000, rounds=1, pool=("uniform", "tit_for_tat", "always_defect"))
    tables = np.exp(play(config).context[:, :, 6_000:].reshape(2, 5, 2, 6_000))
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
    batch = play(dataclasses.replace(ONE_SEED, pool=("0,1,1,1,1",)))
    against = batch.joint[..., ONE_SEED.episodes // 2 :]
    assert (against[:, 0] % 2 == 1).all() and (against[:, 1:] % 2 == 0).all()


def test_opponent_identity_adds_a_vector_to_the_first_round_and_nothing_else():
    """With the same weights, zero for the vector, the same games are played; with others, only the games against
    tabular players differ, for learners are named by zeros.
    """
    plain = a2c_mixed.new_network(a2c_mixed.make_setting(ONE_SEED), jax.random.key(5))
    named = a2c_mixed.new_network(a2c_mixed.make_setting(NAMED), jax.random.key(6))
    assert named.gru.input_weights.shape[0] == plain.gru.input_weights.shape[0] + 10
    assert [leaf.shape for leaf in jax.tree.leaves(named)[1:]] == [leaf.shape for leaf in jax.tree.leaves(plain)[1:]]

    def with_context_weights(scale):
        own = scale * np.random.default_rng(0).normal(size=(10, 12))
        weights = jnp.concatenate([plain.gru.input_weights, jnp.asarray(own, jnp.float32)])
        copied = eqx.tree_at(lambda n: n.gru, named, eqx.tree_at(lambda g: g.input_weights, plain.gru, weights))
        heads = (plain.head_weights, plain.head_bias)
        return eqx.tree_at(lambda n: (n.head_weights, n.head_bias), copied, heads)

    before, blind, seeing = (
        play(config, network)
        for config, network in ((ONE_SEED, plain), (NAMED, with_context_weights(0)), (NAMED, with_context_weights(3)))
    )
    split = ONE_SEED.episodes // 2
    np.testing.assert_array_equal(blind.joint, before.joint)
    np.testing.assert_array_equal(seeing.joint[..., :split], before.joint[..., :split])
    assert (np.abs(seeing.trace.outputs - before.trace.outputs)[..., split:] > 1e-3).any()
    assert (seeing.context[..., :split] == 0).all() and (seeing.context[..., split:] < 0).all()
    assert before.context.shape[1] == 0


def test_what_is_kept_of_playing_is_what_the_network_says_of_it():
    """Against numpy: the co-player's name in the first round alone, then the rounds played."""
    network = with_random_weights(lambda: a2c_mixed.new_network(a2c_mixed.make_setting(NAMED), jax.random.key(0)), 1)
    batch, oracle = play(NAMED, network), ActorCriticOracle(network)
    for learner, episode in ((0, 0), (0, NAMED.episodes - 1), (1, NAMED.episodes // 2)):
        state = oracle.start(batch.context[learner, :, episode])
        for t in range(NAMED.rounds):
            outputs = batch.trace.outputs[learner, t, :, episode]
            np.testing.assert_allclose(softmax(outputs[:2]), oracle.policy(state), atol=1e-4)
            assert outputs[2] == pytest.approx(oracle.value(state), abs=1e-3)
            state = oracle.after(state, *divmod(int(batch.joint[learner, t, episode]), 2))


def train(config, iterations=None):
    """Every row of a run, and its last state."""
    trainer = a2c_mixed.Trainer(config)
    state, rows = trainer.initial_state(), []
    while not trainer.finished(state) and (iterations is None or state.iteration < iterations):
        chunk = trainer.advance(state)
        state, rows = chunk.state, rows + chunk.rows
    return rows, state


def test_without_tabular_players_all_episodes_are_among_learners():
    config = dataclasses.replace(ONE_SEED, learner_share=1.0)
    mine, yours = play(config).joint
    np.testing.assert_array_equal(mine, np.array([0, 2, 1, 3])[yours])


def test_a_row_is_the_mean_of_its_iterations():
    """A row of two is the mean of two rows of one, which are of episodes of their own."""
    single, _ = train(dataclasses.replace(ONE_SEED, log_every=1), iterations=2)
    double, _ = train(ONE_SEED, iterations=2)
    for learner in (0, 1):
        first, second = (row for row in single if row["learner"] == learner)
        assert first["reward_vs_tabular"] != second["reward_vs_tabular"]
        assert first["reward_vs_learner"] != second["reward_vs_learner"]
        both = next(row for row in double if row["learner"] == learner)
        assert both["iteration"] == 2 and both["phase"] == 1
        for name in both.keys() - {"iteration"}:
            assert both[name] == pytest.approx((first[name] + second[name]) / 2, abs=1e-5), name


def test_metrics_by_hand():
    joint = jnp.asarray(np.random.default_rng(0).integers(4, size=(5, 8)))
    metrics = mixed_pool.play_metrics(joint, jnp.asarray(PAYOFFS), prisoners_dilemma(5), 4)
    joint = np.asarray(joint)
    for kind, part in (("learner", joint[:, :4]), ("tabular", joint[:, 4:])):
        assert float(metrics[f"cooperation_vs_{kind}"]) == pytest.approx((part < 2).mean())
        assert float(metrics[f"reward_vs_{kind}"]) == pytest.approx(PAYOFFS[part].mean())
    assert float(metrics["late_cooperation_vs_learner"]) == pytest.approx((joint[4:, :4] < 2).mean())


@pytest.mark.parametrize(("core", "rate"), [("gru", 0.05), ("hawk", 0.02)])
def test_learning_finds_the_best_response_to_who_always_cooperates(core, rate):
    config = dataclasses.replace(
        ONE_SEED, core=core, pool=("1,1,1,1,1",), episodes=64, iterations=60, phases=1, log_every=20, learning_rate=rate
    )
    rows, _ = train(config)
    assert all(row["reward_vs_tabular"] < 1.8 for row in rows[:2])
    assert all(row["reward_vs_tabular"] > 1.9 for row in rows[-2:])


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it():
    alone, _ = train(dataclasses.replace(ONE_SEED, seed=1), iterations=4)
    for config in (TINY_A2C, dataclasses.replace(TINY_A2C, seed_batch=2)):
        rows, _ = train(config, iterations=4)
        beside = [row for row in rows if row["seed"] == 1]
        for left, right in zip(alone, beside, strict=True):
            assert left.keys() == right.keys()
            np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


def test_learners_have_weights_of_their_own():
    _, state = train(TINY_A2C, iterations=2)
    for leaf in jax.tree.leaves(state.learners.network):
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


AMONG_TABULAR = dataclasses.replace(
    TINY_A2C, tabular_iterations=4, tabular_learning_rate=0.02, tabular_entropy_coefficient=0.05
)


@pytest.fixture(scope="module")
def among_tabular_first(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tabular-first"
    registry.train(AMONG_TABULAR, path)
    return path


def test_among_tabular_players_first_is_step_one_and_the_mixed_pool_started_from_it(among_tabular_first, tmp_path):
    step_one = dataclasses.replace(
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
    registry.train(dataclasses.replace(TINY_A2C, start=tmp_path / "one", iterations=8, phases=2), tmp_path / "two")
    whole, one, two = (RunFolder.open(path) for path in (among_tabular_first, tmp_path / "one", tmp_path / "two"))
    for name, array in checkpoint.load(two.agents_file(2))[1].items():
        np.testing.assert_array_equal(checkpoint.load(whole.agents_file(3))[1][name], array)
    parts = one.metrics() + [row | {"iteration": row["iteration"] + 4} for row in two.metrics()]
    assert [row | {"phase": 0} for row in whole.metrics()] == [row | {"phase": 0} for row in parts]
    assert "cooperation_vs_learner" not in parts[0] and "cooperation_vs_learner" in parts[-1]
    assert report.sides(whole) == ["vs_learner", "vs_tabular"]  # without the tabular players' own, of step 1
    other = dataclasses.replace(TINY_A2C, tabular_iterations=4, tabular_learning_rate=0.01)
    assert train(other, iterations=4)[0] != one.metrics()


def test_a_shared_start_is_the_first_learners_where_they_meet(among_tabular_first, tmp_path):
    """Against a run from the first learner's weights, set by hand for both."""
    shared = dataclasses.replace(AMONG_TABULAR, shared_start=True)
    registry.train(shared, tmp_path / "shared")
    head, agents = checkpoint.load(RunFolder.open(among_tabular_first).agents_file(1))
    doubled = {name: np.stack([array[0], array[0]]) for name, array in agents.items()}
    by_hand = shutil.copytree(among_tabular_first, tmp_path / "by-hand")
    RunFolder.open(by_hand).agents_file(AMONG_TABULAR.phases).write_bytes(checkpoint.dump(doubled, head))
    registry.train(dataclasses.replace(TINY_A2C, start=by_hand, iterations=8, phases=2), tmp_path / "rest")
    expected = checkpoint.load(RunFolder.open(tmp_path / "rest").agents_file(2))[1]
    for name, array in checkpoint.load(RunFolder.open(tmp_path / "shared").agents_file(3))[1].items():
        np.testing.assert_array_equal(array, expected[name])
        assert (array[0] != array[1]).any(), name  # each learns from its own episodes


@pytest.mark.parametrize(
    ("whole", "config", "chunks"),
    [
        *(("unbroken", TINY_A2C, chunks) for chunks in (1, 2, 5)),
        *(("among_tabular_first", AMONG_TABULAR, chunks) for chunks in (1, 2, 3)),  # the learners meet after two
    ],
)
def test_a_stopped_run_resumes_bit_for_bit(request, tmp_path, whole, config, chunks):
    with pytest.raises(KeyboardInterrupt):
        registry.train(config, tmp_path / "run", reporter=StopAfter(chunks))
    registry.resume(tmp_path / "run")
    assert_same(request.getfixturevalue(whole), tmp_path / "run")


@pytest.mark.parametrize("without", [{"learner_share": 1.0}, {"frozen": Path("a run"), "learner_share": 0.0}])
def test_where_there_are_no_tabular_players_none_come_first(without):
    assert a2c_mixed.meeting_from(AMONG_TABULAR) == 4
    config = dataclasses.replace(AMONG_TABULAR, **without)
    assert a2c_mixed.meeting_from(config) == 0
    assert a2c_mixed.make_setting(config).updating.learning_rate.iterations == config.iterations


def test_another_seed_gives_another_run(unbroken, tmp_path):
    registry.train(dataclasses.replace(TINY_A2C, seed=7), tmp_path / "run")
    assert outcome(tmp_path / "run")[0] != outcome(unbroken)[0]


def test_loaded_players_are_the_learners_of_their_phase_and_seed(unbroken):
    _, state = train(TINY_A2C)
    for seed in (0, 1):
        for learner, player in enumerate(registry.load(unbroken, seed=seed)):
            expected = jax.tree.map(
                functools.partial(lambda leaf, at: leaf[at], at=(learner, seed)), state.learners.network
            )
            for one, other in zip(jax.tree.leaves(player.network), jax.tree.leaves(expected), strict=True):
                np.testing.assert_array_equal(one, other)
    early = registry.load(unbroken, phase=1)[0].network
    assert (early.head_weights != registry.load(unbroken)[0].network.head_weights).any()
    with pytest.raises(CoplayerError, match="seed: this run has seeds 0 to 1, got 2"):
        registry.load(unbroken, seed=2)


def test_a_run_with_a_hawk_is_kept_and_loaded(tmp_path):
    config = dataclasses.replace(ONE_SEED, core="hawk", iterations=2, phases=1)
    registry.train(config, tmp_path / "run")
    for player in registry.load(tmp_path / "run"):
        assert player.network.gru is None
        state = player.update(player.initial_state(3), jnp.array([0, 1, 2]), jnp.zeros(3))
        assert np.isfinite(state.logits).all()


def test_a_run_from_before_there_was_a_choice_of_core_has_grus(unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "old")
    described = json.loads((tmp_path / "old" / "config.json").read_text())
    assert described["settings"].pop("core") == "gru"
    (tmp_path / "old" / "config.json").write_text(json.dumps(described))
    for old, new in zip(registry.load(tmp_path / "old"), registry.load(unbroken), strict=True):
        for one, other in zip(jax.tree.leaves(old.network), jax.tree.leaves(new.network), strict=True):
            np.testing.assert_array_equal(one, other)
    names = checkpoint.load(RunFolder.open(unbroken).agents_file(1))[1].keys()  # as they always were
    gru = ("input_weights", "hidden_weights", "bias", "candidate_bias")
    assert names == {*(f"network.gru.{name}" for name in gru), "network.head_weights", "network.head_bias"}


def test_a_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    config = dataclasses.replace(ONE_SEED, learning_rate=1e38)
    with pytest.raises(CoplayerError, match="not a finite number in phase 1: stopped"):
        registry.train(config, tmp_path / "run")
    assert checkpoint.newest(tmp_path / "run" / "checkpoints") is None


def flags_of(config):
    """The command line's form of what differs from the quick preset."""
    quick = dataclasses.asdict(PRESETS["quick"])
    different = {name: value for name, value in dataclasses.asdict(config).items() if value != quick[name]}
    flags = [(name.replace("_", "-"), value) for name, value in different.items()]
    return [
        f"--{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"--{name}={value}" for name, value in flags
    ]


@pytest.mark.parametrize("ablation", ["--opponent-identity", "--learner-share=1"])
def test_train_and_evaluate_from_the_command_line(tmp_path, capsys, ablation):
    out, config = tmp_path / "run", dataclasses.replace(ONE_SEED, iterations=2, phases=1)
    assert cli.main(["train", "a2c-mixed", *flags_of(config), ablation, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "phase 1" in printed and f"table: {out}/summary.md" in printed
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
        (["--gamma=1.5"], "gamma: must be at most 1, got 1.5"),
        (["--gae-lambda=-0.5"], "gae_lambda: must be a finite number of at least 0, got -0.5"),
        (["--learner-share=-1"], "learner_share: must be a finite number of at least 0, got -1.0"),
        (["--learner-share=1.5"], "learner_share: must be at most 1, got 1.5"),
        (
            ["--episodes=6", "--learners=3"],
            "episodes: 6 with learner_share = 0.5 against the other learners, 2 of them, must come out in whole "
            "episodes",
        ),
        (["--learners=1"], "learners: must be at least 2, got 1"),
        (
            ["--learners=3", "--episodes=8", "--payoffs", *"1 -1 2 0 5 6 7 8".split()],
            "learners: more than 2 need the same payoffs for both players of the game, got 3",
        ),
        (
            ["--tabular-iterations=3"],
            "tabular_iterations: must be a multiple of log_every = 2 below iterations = 12, got 3",
        ),
        (["--tabular-iterations=12"], "tabular_iterations: must be a multiple of log_every = 2 below iterations = 12"),
        (["--tabular-learning-rate=0"], "tabular_learning_rate: must be a finite number above 0, got 0"),
        (["--iterations=13"], "iterations: must be a multiple of phases * log_every = 6, got 13"),
        (["--pool=tit_for_two_tats"], "pool: 'tit_for_two_tats' is not uniform, always_cooperate"),
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
    config = dataclasses.replace(TINY_A2C, bootstrap=bootstrap)
    assert a2c_mixed.make_setting(config).updating.bootstrap is bootstrap


def test_lambdas_rise_only_where_iterations_for_it_are_given():
    constant = a2c_mixed.make_setting(TINY_A2C).updating
    assert constant.lambda_gap == a2c.constant(1.0)
    config = dataclasses.replace(TINY_A2C, lambda_iterations=8, annealing="linear", gae_lambda=0.5, td_lambda=0.0)
    halfway = a2c_mixed.make_setting(config).updating.at(jnp.asarray(4))
    np.testing.assert_allclose((halfway.gae_lambda, halfway.td_lambda), (0.75, 0.5))


def test_annealing_is_linear_or_cosine():
    config = dataclasses.replace(TINY_A2C)
    object.__setattr__(config, "annealing", "steps")  # past the tests' check of types
    with pytest.raises(CoplayerError, match="annealing: must be linear or cosine, got 'steps'"):
        a2c_mixed.check(config)


def test_the_paper_preset_is_the_published_setting():
    published = {
        "payoffs": (1, -1, 2, 0),
        "rounds": 100,
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
    assert {name: getattr(PRESETS["paper"], name) for name in published} == published
    for preset in PRESETS.values():
        a2c_mixed.check(preset)
