"""The mixed pool: who meets whom, what is stored, and the published setting."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.evaluation import Informed
from coplayer.errors import CoplayerError
from coplayer.experiments import ppi_mixed, registry
from coplayer.experiments.ppi_mixed import PRESETS, DataSet, Trainer, memory_bytes
from coplayer.games.matrix import START, MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.learning import ppi
from coplayer.networks.hawk import Hawk
from coplayer.players.memory1 import cooperation
from coplayer.players.planner import PPIPlayer
from coplayer.reproduce.report import report
from coplayer.runs import checkpoint, packing
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust, each, flat
from oracles import RoundOracle, TokenOracle, with_random_weights
from stopping import StopAfter, assert_same
from tiny import TINY, TINY_TOKEN

pytestmark = pytest.mark.usefixtures("compiled_once")

DATA, ROUNDS = TINY.data, TINY.game.rounds
FIXED = ("tit_for_tat", "always_defect", "0,1,1,1,1")
NAMED = adjust(TINY, opponent_identity=True, pool=FIXED)
THREE = adjust(TINY, learners=3, episodes=16)
NAMED_TOKEN = adjust(TINY_TOKEN, opponent_identity=True, pool=FIXED, seeds=1)


@pytest.fixture(scope="module")
def played(compiled_once):
    """A trainer and its state after the first phase."""
    trainer = ppi_mixed.Trainer(TINY)
    state = trainer.initial_state()
    while state.phase == 1:
        state = trainer.advance(state).state
    return trainer, state


def test_both_learners_store_the_same_games_among_them_each_in_its_own_view(played):
    _, state = played
    episodes = np.asarray(state.learners.learner.episodes)[:, 0, : DATA.episodes]
    blocks = episodes.reshape(2, DATA.play_blocks, -1, ROUNDS)
    half = blocks.shape[2] // 2
    mine, yours = blocks[0, :, :half], blocks[1, :, :half]
    np.testing.assert_array_equal(mine // 2, yours % 2)
    np.testing.assert_array_equal(mine % 2, yours // 2)
    assert (blocks[0, :, half:] != blocks[1, :, half:]).any()  # each meets tabular players of its own


def test_learners_have_weights_of_their_own(played):
    for leaf in jax.tree.leaves(played[1].learners.learner.model):
        assert (leaf[0] != leaf[1]).any()


def test_the_metrics_are_those_of_the_stored_episodes():
    trainer = ppi_mixed.Trainer(TINY)
    state, rows = trainer.initial_state(), []
    while state.phase == 1:
        chunk = trainer.advance(state)
        state, rows = chunk.state, chunk.rows
    payoff = np.array([1.0, -1.0, 2.0, 0.0])
    for row in rows:
        episodes = np.asarray(state.learners.learner.episodes)[row["learner"], 0, : DATA.episodes]
        blocks = episodes.reshape(DATA.play_blocks, -1, ROUNDS)
        half = blocks.shape[1] // 2
        for kind, part in (("learner", blocks[:, :half]), ("tabular", blocks[:, half:])):
            assert row[f"cooperation_vs_{kind}"] == pytest.approx((part // 2 == 0).mean(), abs=1e-6)
            assert row[f"reward_vs_{kind}"] == pytest.approx(payoff[part].mean(), abs=1e-6)


def test_a_seed_gives_the_same_whatever_seeds_are_beside_it():
    def first_rows(settings):
        trainer = ppi_mixed.Trainer(settings)
        state, rows = trainer.initial_state(), []
        while state.phase == 1:
            chunk = trainer.advance(state)
            state, rows = chunk.state, rows + chunk.rows
        return [row for row in rows if row["seed"] == 1]

    alone = first_rows(adjust(TINY, seed=1))
    for seed_batch in (1, 2):
        beside = first_rows(adjust(TINY, seeds=2, seed_batch=seed_batch))
        for left, right in zip(alone, beside, strict=True):
            assert left.keys() == right.keys()
            np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


def test_without_warm_start_the_weights_are_drawn_anew_each_phase():
    trainer = ppi_mixed.Trainer(TINY_TOKEN)
    state = trainer.initial_state()
    first = np.asarray(state.learners.learner.model.core.hidden_weights)
    again = np.asarray(trainer._restart(state.learners, 2).learner.model.core.hidden_weights)
    bound = TINY_TOKEN.network.hidden**-0.5
    assert (np.abs(again) <= bound).all() and (again != first).all()


@pytest.mark.parametrize("settings", [TINY, TINY_TOKEN, NAMED, NAMED_TOKEN], ids=["round", "token", "named", "both"])
def test_unpack_inverts_pack(settings):
    trainer = ppi_mixed.Trainer(settings)
    state = trainer.initial_state()
    while state.phase <= 2:
        state = trainer.advance(state).state
    leaves = [np.asarray(_raw(leaf)) for leaf in jax.tree.leaves(state)]
    loaded = trainer.unpack(trainer.pack(state))
    for before, after in zip(leaves, jax.tree.leaves(loaded), strict=True):
        np.testing.assert_array_equal(before, np.asarray(_raw(after)))


def _raw(leaf):
    is_key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def test_a_hawk_learns_to_predict_and_is_loaded_as_a_player():
    """Against always-cooperate nothing about the co-player is uncertain, once it is learned."""
    settings = adjust(TINY, core="hawk", pool=("1,1,1,1,1",), phases=1, first_updates=40, learning_rate=0.03)
    trainer = ppi_mixed.Trainer(settings)
    state, losses = trainer.initial_state(), []
    while not trainer.finished(state):
        chunk = trainer.advance(state)
        state = chunk.state
        losses += [row["loss_observation"] for row in chunk.rows if "loss_observation" in row]
    assert all(loss > 0.5 for loss in losses[:2]) and all(loss < 0.01 for loss in losses[-2:])
    for player in ppi_mixed.players(settings, chunk.agents, phase=1, seed=0):
        assert isinstance(player.model.core, Hawk)
        state = player.see(player.begin(jax.random.key(0), 2), jnp.full((2,), START))
        assert player.act(state, jnp.array([1, 4]), jax.random.key(0))[1].shape == (2,)


def test_a_pool_of_one_fixed_player_is_what_the_learners_meet():
    settings = adjust(TINY, pool=("1,1,1,1,1",))
    trainer = ppi_mixed.Trainer(settings)
    state = trainer.initial_state()
    while state.phase == 1:
        state = trainer.advance(state).state
    blocks = np.asarray(state.learners.learner.episodes)[:, 0, : DATA.episodes].reshape(2, DATA.play_blocks, -1, ROUNDS)
    assert (blocks[:, :, blocks.shape[2] // 2 :] % 2 == 0).all()  # they always cooperate


@pytest.mark.parametrize("settings", [NAMED, NAMED_TOKEN], ids=["round", "token"])
def test_every_episode_is_stored_with_the_name_of_whom_it_was_against(settings):
    """Zeros for the learner; the others' tables are of fixed ways, and each plays by the table that names it."""
    trainer = ppi_mixed.Trainer(settings)
    state = trainer.initial_state()
    while state.phase <= 2:
        state = trainer.advance(state).state
    stored = 0 if settings.data.fresh_tabular else settings.data.tabular_episodes
    filled = stored + 2 * settings.data.episodes
    data = state.learners.learner
    episodes, names = np.asarray(data.episodes)[:, 0], np.asarray(data.identities)[:, 0]
    assert names.shape == (*episodes.shape[:2], 10) and (names[:, filled:] == 0).all()
    blocks = np.arange(filled - stored).reshape(2 * settings.data.play_blocks, -1)
    half = blocks.shape[1] // 2
    assert (names[:, stored + blocks[:, :half]] == 0).all()
    tabular_rows = [*range(stored), *(stored + blocks[:, half:]).reshape(-1)]
    for learner in range(2):
        for row in tabular_rows:
            joint = episodes[learner, row]
            cooperate = np.exp(names[learner, row].reshape(5, 2))[:, 0].round(3)
            seen = np.concatenate([[0], 1 + joint[:-1] % 2 * 2 + joint[:-1] // 2])
            np.testing.assert_array_equal(joint % 2, 1 - cooperate[seen])
    assert len(np.unique(names[0, tabular_rows], axis=0)) == len(FIXED)


@pytest.mark.parametrize("kind", ["round", "token"])
def test_a_learner_who_is_told_begins_with_the_name_and_one_who_is_not_with_zeros(kind):
    settings = NAMED if kind == "round" else NAMED_TOKEN
    model = with_random_weights(lambda: ppi_mixed.new_model(settings, jax.random.key(0)), 3)
    planner = settings.planner.in_phase(1)
    player, oracle = PPIPlayer(model, planner), (RoundOracle if kind == "round" else TokenOracle)(model)
    tables = np.random.default_rng(2).uniform(0.1, 0.9, size=(4, 5))
    names = np.log(np.stack([tables, 1 - tables], axis=-1)).reshape(4, 10)
    told = player.told(cooperation(tables).probabilities)

    def begins(player, batch):
        return player.see(player.begin(jax.random.key(0), batch), jnp.full((batch,), START))

    np.testing.assert_allclose(begins(told, 4), [oracle.start(name) for name in names], atol=1e-5)
    np.testing.assert_allclose(begins(player, 2), [oracle.start()] * 2, atol=1e-5)
    blind = PPIPlayer(ppi_mixed.new_model(TINY, jax.random.key(0)), planner)
    assert blind.told(cooperation(tables).probabilities) is blind
    assert isinstance(told, Informed)


def test_from_a_phase_on_the_learners_plan_otherwise():
    """The planner of each phase, and that the episodes of that phase, and of no earlier one, are played with it."""
    more = adjust(TINY, later_rollouts=3, later_open_rollouts=4, later_from=3)
    settings = adjust(more, later_temperature=1e3, later_temperature_from=2)
    plans = [settings.planner.in_phase(phase) for phase in (1, 2, 3)]
    assert [(plan.rollouts, plan.temperature) for plan in plans] == [(2, 0.01), (2, 1e3), (3, 1e3)]
    assert [plan.open_rollouts for plan in plans] == [0, 0, 4]
    episodes = []
    for planned in (more, settings):
        trainer = ppi_mixed.Trainer(planned)
        state = trainer.initial_state()
        while not trainer.finished(state):
            state = trainer.advance(state).state
        episodes.append(np.asarray(state.learners.learner.episodes)[:, 0])
    same = (episodes[0] == episodes[1]).all((0, 2))
    assert same[: DATA.episodes].all() and not same[DATA.episodes : 2 * DATA.episodes].all()
    agents = checkpoint.flatten(state.learners.learner.model, "model")
    assert [ppi_mixed.players(settings, agents, phase=phase, seed=0)[0].settings for phase in (2, 3)] == plans[1:]


def test_careful_learners_have_the_papers_temperature_throughout():
    paper, careful = ppi_mixed.PRESETS["paper"].planner, ppi_mixed.CAREFUL
    plans = [careful.planner.in_phase(phase) for phase in range(1, careful.run.phases + 1)]
    assert {plan.temperature for plan in plans} == {paper.temperature}
    assert [plan.rollouts_alone for plan in plans] == [4] * 8 + [36] * 10


def assert_resumes(settings, tmp_path, chunks):
    """A run stopped after some chunks and resumed is the run that was not stopped."""
    registry.train(settings, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        registry.train(settings, tmp_path / "broken", reporter=StopAfter(chunks))
    registry.resume(tmp_path / "broken")
    assert_same(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.long
def test_three_learners_meet_each_other_resume_bit_for_bit_and_are_evaluated(tmp_path):
    """The first half of a block is with the next learner, then the one before it."""
    assert_resumes(THREE, tmp_path, chunks=4)
    folder = RunFolder.open(tmp_path / "broken")
    saved = checkpoint.newest(folder.checkpoints).arrays
    episodes = np.asarray(ppi_mixed.Trainer(THREE).unpack(saved).learners.learner.episodes)[:, 0]
    groups = episodes.reshape(3, -1, 4, THREE.data.episodes // THREE.data.play_blocks // 4, THREE.game.rounds)
    for i in range(3):
        mine, yours = groups[i, :, 0], groups[(i + 1) % 3, :, 1]
        np.testing.assert_array_equal(mine // 2, yours % 2)
        np.testing.assert_array_equal(mine % 2, yours // 2)
    assert len(registry.load(folder.path)) == 3
    report(folder, phases="last", episodes=4)
    evaluated = json.loads((folder.path / "evaluation.json").read_text())["phases"]["3"]
    assert np.shape(evaluated["learner"]["reward"]) == (1, 3, THREE.game.rounds)


@pytest.mark.parametrize(
    "settings", [pytest.param(NAMED, id="round", marks=pytest.mark.long), pytest.param(NAMED_TOKEN, id="token")]
)
def test_with_opponent_identity_a_stopped_run_resumes_bit_for_bit_and_is_evaluated(settings, tmp_path):
    assert_resumes(settings, tmp_path, chunks=4 if settings is NAMED else 7)
    assert registry.load(tmp_path / "broken")[0].model.identity_size == 10
    report(RunFolder.open(tmp_path / "broken"), phases="last", episodes=4)


def test_further_rollouts_count_as_work_and_as_memory():
    plain, open_ = (adjust(TINY, rollouts=4, open_rollouts=count) for count in (0, 400))
    assert memory_bytes(plain, 1) < memory_bytes(open_, 1) == memory_bytes(adjust(TINY, rollouts=100), 1)
    ways = [Trainer(settings).imagined_rounds(1) for settings in (plain, open_, adjust(TINY, rollouts=104))]
    assert ways[0] < ways[1] == ways[2]


def test_a_co_players_name_reaches_the_fitted_model():
    """Without rounds to look back on, only the name can tell always-cooperate from always-defect."""
    ends = {}
    for named in (True, False):
        settings = adjust(
            TINY, game=prisoners_dilemma(1), pool=("1,1,1,1,1", "0,0,0,0,0"), opponent_identity=named,
            first_updates=200, fit_batch=32, learning_rate=0.03,
        )  # fmt: skip
        trainer = ppi_mixed.Trainer(settings)
        state = trainer.initial_state()
        while state.update < 200:
            state = trainer.advance(state).state
        again = jax.tree.map(lambda leaf: leaf[0, 0], state.learners)
        joint, identity = ppi.take_batch(
            again.learner,
            jnp.zeros(64, int),
            again.key,
            fresh=functools.partial(ppi_mixed.tabular_episodes, settings),
            fresh_count=settings.fresh_count,
        )
        reward = settings.game.reward(joint)
        ends[named] = float(again.learner.model.episode_loss(joint, reward, identity).observation)
    assert ends[True] < 0.1 and ends[False] > 0.6


def test_without_tabular_players_learners_meet_each_other_alone_from_random_actions_on():
    settings = adjust(TINY_TOKEN, learner_share=1.0, seeds=1, tabular_episodes=600, fit_epochs=1)
    trainer = ppi_mixed.Trainer(settings)
    state = trainer.initial_state()
    first = np.asarray(state.learners.learner.episodes)[:, 0, :600]
    for before in range(4):
        after = first[:, :, 1:][first[:, :, :-1] == before]
        shares = np.bincount(after, minlength=4) / after.size
        assert np.abs(shares - 1 / 4).max() < 5 * np.sqrt(1 / 4 / after.size)
    while state.phase == 1:
        chunk = trainer.advance(state)
        state = chunk.state
    mine, yours = np.asarray(state.learners.learner.episodes)[:, 0, 600 : 600 + settings.data.episodes]
    np.testing.assert_array_equal(mine, np.array([0, 2, 1, 3])[yours])
    assert "reward_vs_tabular" not in chunk.rows[0] and "reward_vs_learner" in chunk.rows[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"game": PublicGoods()},
            "game: PPI needs a matrix game, because its data set holds one joint action per round",
        ),
        ({"model": "rounds"}, "model: must be one of round, token, got 'rounds'"),
        ({"model": "token"}, "expected_rewards: needs --model round"),
        ({"beta2": 1.0}, "beta2: must be a finite number of at least 0 and below 1, got 1.0"),
        ({"learning_rate_end": 1.5}, "learning_rate_end: must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"play_blocks": 5}, "episodes: 12 in play_blocks = 5 blocks"),
        ({"tabular_episodes": 15}, "tabular_episodes: must be at least one batch, 16, got 15"),
        ({"start": Path("run"), "opponent_identity": True}, "opponent_identity: not with start"),
    ],
)
def test_settings_that_cannot_be_trained_are_refused_by_name(changes, message):
    with pytest.raises(CoplayerError) as refused:
        ppi_mixed.Trainer(adjust(TINY, **changes))
    assert str(refused.value).startswith(message) and "\n" not in str(refused.value)


def test_every_setting_has_a_name_of_its_own():
    names = [field.name for _, field, _ in each(TINY)]
    assert len(set(names)) == len(names)
    flags = "model embedding tabular_episodes play_blocks first_updates rollouts temperature later_from warm_start"
    assert set(flags.split()) <= set(names)


def test_where_episodes_are_in_the_data_set():
    """Stored tabular ones, those of another run, then those of each phase."""
    rows = DataSet(stored=5, carried=7, per_phase=10, phases=3)
    assert [rows.first_of(phase) for phase in (1, 2, 3)] == [12, 22, 32] and rows.capacity == 42
    assert rows.played_before(1) == slice(5, 12) and rows.played_before(3) == slice(5, 32)
    assert DataSet.of(TINY_TOKEN, carried=2) == DataSet(TINY_TOKEN.data.tabular_episodes, 2, DATA.episodes, 3)
    assert DataSet.of(TINY).stored == 0 and TINY.fresh_count == DATA.tabular_episodes


def test_each_learner_is_told_the_rewards_of_its_own_seat():
    """In training, by the loss on rewards, and as players."""
    settings = adjust(TINY, game=MatrixGame((1.0, -1.0, 2.0, 0.0, 50.0, 60.0, 70.0, 80.0), 6), phases=1)
    trainer = ppi_mixed.Trainer(settings)
    state, losses, chunk = trainer.initial_state(), [], None
    while not trainer.finished(state):
        chunk = trainer.advance(state)
        state = chunk.state
        losses += [(row["learner"], row["loss_reward"]) for row in chunk.rows if "loss_reward" in row]
    assert all(loss > 1000 if learner else loss < 10 for learner, loss in losses) and len(losses) == 4
    first, second = ppi_mixed.players(settings, chunk.agents, phase=1, seed=0)
    seen = jnp.arange(5)
    np.testing.assert_array_equal(first.rewards(seen), [0, 1, -1, 2, 0])
    np.testing.assert_array_equal(second.rewards(seen), [0, 50, 60, 70, 80])


def test_the_paper_preset_is_the_published_setting():
    paper = PRESETS["paper"]
    published = {
        "game": MatrixGame((1, -1, 2, 0), 100),
        "phases": 30,
        "model": "token",
        "hidden": 128,
        "embedding": 32,
        "tabular_episodes": 200_000,
        "episodes": 20_000,
        "warm_start": False,
        "fit_epochs": 10,
        "fit_batch": 256,
        "learning_rate": 1e-4,
        "weight_decay": 1e-2,
        "beta1": 0.9,
        "beta2": 0.98,
        "max_gradient_norm": 1.0,
        "horizon": 15,
        "temperature": 0.01,
        "learner_share": 0.5,
    }
    assert {name: flat(paper)[name] for name in published} == published
    for preset in PRESETS.values():
        ppi_mixed.check(preset)


def test_the_paper_presets_last_checkpoint_is_at_most_15_megabytes_a_learner():
    """Measured on a tenth of the data, as it is after 30 phases. Half of it is cooperation of learners who err one time
    in ten. The other half is near-defection against players who cooperate with a random probability of their own after
    each outcome.
    """
    paper = PRESETS["paper"]
    rounds = paper.game.rounds
    model = ppi_mixed.new_model(paper, jax.random.key(0))
    seat = ppi_mixed.Trainee(
        ppi.new_state(model, paper.optimiser, jnp.zeros((0, rounds), jnp.uint8)), jax.random.key(0)
    )
    weights = len(checkpoint.dump(checkpoint.flatten(ppi_mixed.without_data(seat), "learners"), {}))
    draws = np.random.default_rng(0)
    count = paper.run.phases * paper.data.episodes // 20
    among_learners = 2 * (draws.random((count, rounds)) < 0.1) + (draws.random((count, rounds)) < 0.1)
    own, table = draws.random((count, rounds)) < 0.92, draws.random((count, 2))
    joint = np.zeros((count, rounds), dtype=np.uint8)
    for t in range(rounds):
        chance = table[np.arange(count), own[:, t - 1].astype(int)]
        joint[:, t] = 2 * own[:, t] + (draws.random(count) > chance)
    tenth = packing.pack(np.concatenate([among_learners.astype(np.uint8), joint]), 4)
    episodes = 10 * len(checkpoint.dump({"episodes": tenth}, {}))
    assert 5e6 < episodes and episodes + weights <= 15e6
