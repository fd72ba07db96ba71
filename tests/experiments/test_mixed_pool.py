"""Who meets whom in the mixed pool, and at which tables: against one plain Python loop for each table."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import LEARNERS
from coplayer.experiments.mixed_pool import Split
from coplayer.experiments.settings import CoPlayerSettings, RunSettings
from coplayer.games.game import Game, Vector
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.play.player import Player, uniform
from coplayer.play.trajectory import Episode, JointActions

ROUNDS = 4


@dataclass(frozen=True)
class Weather:
    """A game of unlike seats whose state is chance and what was done. The state has the last weather, how often each
    played 1, and how often both did the same.
    """

    rounds: int = ROUNDS

    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("brave", "same")

    @property
    def observation_space(self):
        return Vector(4)

    def reset(self, key):
        return {"weather": jax.random.normal(key), "done": jnp.zeros(2), "same": jnp.zeros(())}

    def step(self, state, actions, key):
        weather = 0.5 * state["weather"] + jax.random.normal(key)
        after = {
            "weather": weather,
            "done": state["done"] + actions,
            "same": state["same"] + (actions[0] == actions[1]),
        }
        return after, jnp.stack([actions[0] * weather - actions[1], 3 * actions[1] * weather - actions[0]])

    def observe(self, state, player):
        own, other = state["done"][player], state["done"][1 - player]
        return jnp.stack([state["weather"], own, other, 1.0 + player])

    def measure(self, before, actions, after, player):
        return {"brave": actions[player] == 1, "same": after["same"] - before["same"]}


class Reader(Player):
    """Plays action 1 where a uniform number is below a probability that depends on what it sees and on who it is."""

    slope: jax.Array

    @property
    def takes_uniforms(self):
        return True

    def begin(self, key, batch):
        return jnp.zeros(batch)

    def act(self, state, observation, key):
        chance = probability(self.slope, observation, jnp)
        return state + 1, (uniform(key, chance.shape) < chance).astype(jnp.int32), chance


def probability(slope, observation, xp):
    values = observation * xp.arange(1, 1 + observation.shape[-1]) if observation.ndim > 1 else 1.3 * observation
    return 0.5 + 0.45 * xp.sin(slope * (values.sum(-1) if observation.ndim > 1 else values) + slope)


SLOPES, OTHER_SLOPE, TABLES_EACH, OTHERS = np.array([0.7, 1.9, 3.1]), 2.3, 3, 5


class Round(NamedTuple):
    """All that was drawn and recorded, `[learner, ...]`."""

    own: Episode
    opposite: Episode
    keys: jax.Array  # of the tables, as raw numbers
    draws: jax.Array  # [rounds, tables]
    replies: jax.Array  # [rounds, tables against others]


def play(game, learners):
    """One batch of each learner, mapped as in training."""
    against = TABLES_EACH * (learners - 1)
    split, run = Split(against + OTHERS, against, OTHERS), RunSettings()

    def function(one, _):
        slope, key = one
        tables = mixed_pool.tables_for(game, split)
        draws, replies = (
            jax.random.uniform(jax.random.fold_in(key, i), (game.rounds, size)) for i, size in ((0, split.size), (1, 5))
        )
        chance = (draws, replies)
        played = mixed_pool.play_batch(tables, Reader(slope), Reader(jnp.asarray(OTHER_SLOPE)), split, chance, key)
        trajectory = played.trajectory(tables)
        keys = jax.random.key_data(mixed_pool.keys_for(tables, split, key))
        return Round(trajectory.view(0), trajectory.view(1), keys, draws, replies)

    given = (jnp.asarray(SLOPES[:learners], jnp.float32)[:, None], mixed_pool.keys(run, learners))
    played = mixed_pool.mapped(run, function, learners)(given, 0)
    return jax.tree.map(lambda leaf: np.asarray(leaf[:, 0]), played)


def by_hand(game, key, slopes, draws):
    """(observations, actions, rewards, measures, beyond) of both seats at one table, round by round."""
    state = game.reset(jax.random.fold_in(key, 0))
    sides = [{"observations": [], "actions": [], "rewards": [], "measures": []} for _ in range(2)]
    for t in range(game.rounds):
        seen = [np.asarray(game.observe(state, seat)) for seat in range(2)]
        chances = [probability(slopes[seat], seen[seat][None], np)[0] for seat in range(2)]
        actions = [int(draws[seat][t] < chances[seat]) for seat in range(2)]
        after, rewards = game.step(state, jnp.asarray(actions), jax.random.fold_in(key, t + 1))
        for seat, side in enumerate(sides):
            measured = game.measure(state, jnp.asarray(actions), after, seat)
            for name, value in (
                ("observations", seen[seat]),
                ("actions", actions[seat]),
                ("rewards", rewards[seat]),
                ("measures", {name: float(value) for name, value in measured.items()}),
            ):
                side[name].append(value)
        state = after
    return [side | {"beyond": np.asarray(game.observe(state, seat))} for seat, side in enumerate(sides)]


def assert_is(view, learner, table, side):
    for name in ("observations", "actions", "rewards"):
        found = getattr(view, name)[learner, :, table]
        np.testing.assert_allclose(found, np.stack(side[name]), rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(view.beyond[learner, table], side["beyond"], rtol=1e-4, atol=1e-5)
    for name, values in view.measures.items():
        np.testing.assert_allclose(values[learner, :, table], [round[name] for round in side["measures"]])


CASES = [
    pytest.param(Weather(), 2, 2, id="with chance, two devices"),
    pytest.param(Weather(), 2, 1, id="with chance, two on one device"),
    pytest.param(Weather(), 3, 2, id="with chance, three"),
    pytest.param(PublicGoods(num_players=2, rounds=ROUNDS), 3, 2, id="symbols, three"),
    pytest.param(MatrixGame((1.0, -1.0, 2.0, 0.0, 5.0, 6.0, 7.0, 8.0), ROUNDS), 2, 2, id="matrix, unlike seats"),
    pytest.param(prisoners_dilemma(ROUNDS), 3, 2, id="matrix, three"),
]


@pytest.mark.parametrize(("game", "learners", "devices"), CASES)
def test_both_learners_at_a_table_see_the_rounds_of_one_plain_loop_each_from_its_seat(
    game, learners, devices, monkeypatch
):
    some = jax.devices()[:devices]
    monkeypatch.setattr(jax, "devices", lambda: some)
    played = play(game, learners)
    keys = [[jax.random.wrap_key_data(jnp.asarray(one)) for one in own] for own in played.keys]
    seats_matter = not isinstance(game, MatrixGame) or learners == 2
    for i in range(learners):
        for step in range(1, learners):  # group of tables
            other = (i + step) % learners
            for number in range(TABLES_EACH):
                mine, theirs = (step - 1) * TABLES_EACH + number, (learners - step - 1) * TABLES_EACH + number
                first = i < other if seats_matter else True
                ids, places = ((i, other), (mine, theirs)) if first else ((other, i), (theirs, mine))
                draws = [played.draws[who][:, at] for who, at in zip(ids, places, strict=True)]
                sides = by_hand(game, keys[i][mine], SLOPES[list(ids)], draws)
                sides = sides if first else sides[::-1]
                assert_is(played.own, i, mine, sides[0])
                assert_is(played.opposite, i, mine, sides[1])
                if not isinstance(game, MatrixGame):
                    np.testing.assert_array_equal(played.keys[i][mine], played.keys[other][theirs])
        for number in range(OTHERS):  # against others, in one's own seat
            table = TABLES_EACH * (learners - 1) + number
            draws, slopes = [played.draws[i][:, table], played.replies[i][:, number]], [SLOPES[i], OTHER_SLOPE]
            turn = -1 if i % 2 else 1
            sides = by_hand(game, keys[i][table], slopes[::turn], draws[::turn])[::turn]
            assert_is(played.own, i, table, sides[0])
            assert_is(played.opposite, i, table, sides[1])


def test_every_table_has_chance_of_its_own():
    played = play(Weather(), 3)
    weather = played.own.observations[:, 0, :, 0]  # as it is when the tables open
    shared = 3 * TABLES_EACH  # each of them is seen by two learners
    assert len(np.unique(weather)) == shared + 3 * OTHERS
    assert len(np.unique(played.keys.reshape(-1, played.keys.shape[-1]), axis=0)) == shared + 3 * OTHERS


# What is measured.


def test_metrics_by_hand():
    payoffs, game = np.array([1.0, -1.0, 2.0, 0.0]), prisoners_dilemma(5)
    joint = np.random.default_rng(0).integers(4, size=(5, 8))
    metrics = mixed_pool.play_metrics(JointActions(jnp.asarray(joint), game), 4)
    for kind, part in (("learner", joint[:, :4]), ("tabular", joint[:, 4:])):
        assert float(metrics[f"cooperation_vs_{kind}"]) == pytest.approx((part < 2).mean())
        assert float(metrics[f"reward_vs_{kind}"]) == pytest.approx(payoffs[part].mean())
    assert float(metrics["late_cooperation_vs_learner"]) == pytest.approx((joint[4:, :4] < 2).mean())
    assert "reward_of_tabular" not in metrics
    alone = mixed_pool.play_metrics(JointActions(jnp.asarray(joint), game), 0, "frozen")
    assert float(alone["reward_vs_frozen"]) == pytest.approx(payoffs[joint].mean())
    assert float(alone["reward_of_frozen"]) == pytest.approx(payoffs[np.array([0, 2, 1, 3])[joint]].mean())
    assert float(alone["cooperation_of_frozen"]) == pytest.approx((joint % 2 == 0).mean())
    assert not any("learner" in name for name in alone)
    together = mixed_pool.play_metrics(JointActions(jnp.asarray(joint), game), 8)
    assert together.keys() == {"reward_vs_learner", "cooperation_vs_learner", "late_cooperation_vs_learner"}


def test_metrics_of_blocks_of_episodes():
    """[rounds, block, episode]: in each block the first are against learners."""
    payoffs, joint = np.array([1.0, -1.0, 2.0, 0.0]), np.random.default_rng(1).integers(4, size=(8, 3, 4))
    metrics = mixed_pool.play_metrics(JointActions(jnp.asarray(joint), prisoners_dilemma(8)), 1)
    assert float(metrics["reward_vs_learner"]) == pytest.approx(payoffs[joint[:, :, :1]].mean())
    assert float(metrics["cooperation_vs_tabular"]) == pytest.approx((joint[:, :, 1:] < 2).mean())
    assert float(metrics["late_cooperation_vs_learner"]) == pytest.approx((joint[6:, :, :1] < 2).mean())


def test_rows_of_metrics():
    values = {"a": np.arange(6.0).reshape(3, 2), "b": jnp.zeros((3, 2))}
    rows = mixed_pool.metric_rows(RunSettings(seed=4, seeds=2), values, phase=3)
    assert rows[:4] == [
        {"phase": 3, "seed": 4, "learner": 0, "a": 0.0, "b": 0.0},
        {"phase": 3, "seed": 4, "learner": 1, "a": 2.0, "b": 0.0},
        {"phase": 3, "seed": 4, "learner": 2, "a": 4.0, "b": 0.0},
        {"phase": 3, "seed": 5, "learner": 0, "a": 1.0, "b": 0.0},
    ]
    assert len(rows) == 6


# Who meets whom, and names.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"learner_share": 0.25}, Split(8, 2, 6)),
        ({"learner_share": 1.0}, Split(8, 8, 0)),
        ({"learner_share": 0.0, "frozen": Path("runs/x")}, Split(8, 0, 0)),
    ],
)
def test_a_batch_is_divided_among_learners_and_others(changes, expected):
    split = Split.of(8, CoPlayerSettings(**changes))
    assert split == expected and split.others == 8 - expected.against_learners


@pytest.mark.parametrize(("count", "pairs"), [(1, []), (2, [(0, 1)]), (3, [(0, 1), (2, 0)]), (4, [(0, 1), (2, 3)])])
def test_each_learner_is_seen_with_one_other(count, pairs):
    assert mixed_pool.pairs_of(count) == pairs


def test_the_keys_of_a_seed_do_not_depend_on_the_others():
    many = mixed_pool.keys(RunSettings(seed=3, seeds=4), 3)
    for seed in range(4):
        alone = mixed_pool.keys(RunSettings(seed=3 + seed), 3)
        np.testing.assert_array_equal(jax.random.key_data(alone)[:, 0], jax.random.key_data(many)[:, seed])
    assert len(np.unique(np.asarray(jax.random.key_data(many)).reshape(12, -1), axis=0)) == 12


def test_contexts_name_tabular_players_and_not_learners():
    tables = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, size=(5, 2, 3)))
    found = np.asarray(mixed_pool.identities(10, 2, tables))
    assert found.shape == (10, 5) and (found[:, :2] == 0).all()
    np.testing.assert_allclose(found[:, 2:].reshape(5, 2, 3), np.log(tables), rtol=1e-5)
    assert mixed_pool.identities(0, 2, tables).shape == (0, 5)


def test_seats_take_turns():
    mapped = jax.vmap(lambda _: mixed_pool.seat(), axis_name=LEARNERS)
    assert mapped(jnp.zeros(5)).tolist() == [0, 1, 0, 1, 0]


def test_learners_of_a_seed_are_those_of_the_agents_file():
    run, rng = RunSettings(seed=2, seeds=3), np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 3)).astype(np.float32)
    agents = {"network['a']": a, "network['b']": b}

    def new():
        return {"a": jnp.zeros(4), "b": jnp.zeros(())}

    for learner, found in enumerate(mixed_pool.learners_of(run, new, agents, "network", 4, 2)):
        np.testing.assert_array_equal(found["a"], a[learner, 2])
        np.testing.assert_array_equal(found["b"], b[learner, 2])
    with pytest.raises(CoplayerError, match="seed: this run has seeds 2 to 4, got 5"):
        mixed_pool.learners_of(run, new, agents, "network", 5, 2)


@pytest.mark.parametrize(
    ("changes", "game", "message"),
    [
        ({}, PublicGoods(), "game: the mixed pool needs a game of two players, this one has 3"),
        ({"learners": 1}, prisoners_dilemma(), "learners: must be at least 2, got 1"),
        ({"learners": 3}, Weather(), "learners: more than 2 need a game whose seats are alike, got 3"),
        ({"frozen": Path("runs/x")}, prisoners_dilemma(), "frozen: needs learner_share = 0, .*; got 0.5"),
    ],
)
def test_co_players_that_do_not_fit_are_refused(changes, game, message):
    assert isinstance(game, Game)
    with pytest.raises(CoplayerError, match=message):
        mixed_pool.check_co_players(CoPlayerSettings(**changes), game)
