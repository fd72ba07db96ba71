"""CleanUp-lite against rules written again in plain Python, cases made by hand, and frequencies of what is random."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.cleanup import NOTHING, ZAP, Chance, CleanUpLite, CleanUpState, advance
from coplayer.games.game import check_game
from coplayer.games.grid import DOWN, LEFT, RIGHT, UP
from oracles import assert_as_frequent

GAME = CleanUpLite()
ADVANCE = jax.jit(jax.vmap(advance))
NEVER = (1.0, 0.0, 1.0, 0.0, (1.0, 1.0))  # neither dirt nor apples, and no zap succeeds


class Table:
    """The rules for one table in plain Python. Cells are (column, row)."""

    def __init__(self, players, frozen=(0, 0), apples=(), dirt=()):
        self.players, self.frozen = list(map(tuple, players)), list(frozen)
        self.apples, self.dirt = set(apples), set(dirt)  # rows
        self.cleaned = [False, False]

    def play(self, actions, dirt, dirt_place, apple, apple_place, zaps):
        free_rows = [row for row in range(4) if row not in self.dirt]
        if free_rows and dirt < 0.35:
            self.dirt.add(free_rows[int(dirt_place * len(free_rows))])
        free_rows = [row for row in range(4) if row not in self.apples]
        if free_rows and apple < 1 - min(1, len(self.dirt) / 3):
            self.apples.add(free_rows[int(apple_place * len(free_rows))])
        rewards, awake = [0.0, 0.0], [left == 0 for left in self.frozen]
        eaten, scrubbed, self.cleaned = set(), set(), [False, False]
        for player in (0, 1):
            column, row = self.players[player]
            if awake[player] and column == 0 and row in self.apples:
                rewards[player] = 1.0
                eaten.add(row)
            if awake[player] and column == 4 and row in self.dirt:
                self.cleaned[player] = True
                scrubbed.add(row)
        self.apples -= eaten
        self.dirt -= scrubbed
        (x, y), (u, v) = self.players
        near = abs(x - u) + abs(y - v) <= 2
        hit = [False, False]
        for player in (0, 1):
            if near and awake[0] and awake[1] and actions[player] == ZAP and zaps[player] < 0.9:
                hit[1 - player] = True
        for player in (0, 1):
            if hit[player]:
                self.frozen[player] = 5
            elif not awake[player]:
                self.frozen[player] -= 1
            else:
                column, row = self.players[player]
                step = {RIGHT: (1, 0), LEFT: (-1, 0), UP: (0, -1), DOWN: (0, 1)}.get(int(actions[player]), (0, 0))
                self.players[player] = (min(4, max(0, column + step[0])), min(3, max(0, row + step[1])))
        return rewards

    def seen_by(self, player):
        where = []
        for who in (player, 1 - player):
            column, row = self.players[who]
            where += [float((x, y) == (column, row)) for y in range(4) for x in range(5)]
        grid = []
        for y in range(4):
            for x in range(5):
                apple, dirt = x == 0 and y in self.apples, x == 4 and y in self.dirt
                grid += [float(apple), float(dirt), float(not apple and not dirt)]
        return where + grid + [float(self.frozen[who] > 0) for who in (player, 1 - player)]

    def state(self):
        """As numpy arrays."""

        def rows(chosen):
            return np.array([row in chosen for row in range(4)])

        return CleanUpState(
            np.array(self.players), np.array(self.frozen), rows(self.apples), rows(self.dirt), np.array(self.cleaned)
        )


def arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


def stacked(trees):
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *trees)


def chance_of(numbers):
    return Chance(*(np.asarray(number, np.float32) for number in numbers))


def test_it_is_a_game_that_can_be_played():
    check_game(GAME)
    with pytest.raises(CoplayerError, match="rounds"):
        CleanUpLite(rounds=0)


def test_thousands_of_rounds_are_those_of_the_rules_in_plain_python():
    draws, table = np.random.default_rng(0), None
    rounds, met = [], set()
    for turn in range(4_000):
        if turn % 40 == 0:
            table = Table(draws.integers([5, 4], size=(2, 2)).tolist(), dirt=draws.permutation(4)[:3].tolist())
        actions = draws.choice(6, 2, p=(0.15, 0.15, 0.15, 0.15, 0.3, 0.1))
        before, chance = table.state(), chance_of((*draws.random(4), draws.random(2)))
        pollution, rewards = len(table.dirt), table.play(actions, *chance)
        things = (len(table.dirt), len(table.apples))
        measures = [(table.cleaned[player], table.frozen[player] == 5, *things) for player in (0, 1)]
        seen = [table.seen_by(player) for player in (0, 1)]
        rounds.append((before, actions, chance, table.state(), *map(np.array, (rewards, seen, measures))))
        met |= {("reward", max(rewards)), ("cleaned", max(table.cleaned)), ("more dirt", len(table.dirt) > pollution)}
        met |= {("frozen", table.frozen[0]), ("dirt", things[0]), ("apples", things[1])}
        met |= {("cells", len(set(table.players)))}
    every = {("reward", 1.0), ("cleaned", True), ("cells", 1), ("more dirt", True)}
    every |= {("frozen", left) for left in range(6)} | {(what, n) for what in ("dirt", "apples") for n in range(5)}
    assert every <= met
    before, actions, chance, expected, rewards, seen, measures = stacked(rounds)
    after, found = jax.vmap(advance)(before, actions, chance)
    np.testing.assert_array_equal(found, rewards)
    for leaf, of_oracle in zip(after, expected, strict=True):
        np.testing.assert_array_equal(leaf, of_oracle)
    for player in (0, 1):
        observe, measure = (partial(jax.vmap, in_axes=axes) for axes in ((0, None), (0, 0, 0, None)))
        np.testing.assert_array_equal(observe(GAME.observe)(after, player), seen[:, player])
        measured = measure(GAME.measure)(before, actions, after, player)
        by_name = np.stack([measured[name] for name in GAME.measures], axis=1)
        np.testing.assert_array_equal(by_name, measures[:, player])


def test_a_scene_is_what_an_observation_shows():
    draws = np.random.default_rng(2)
    for _ in range(50):
        table = Table(
            draws.integers([5, 4], size=(2, 2)).tolist(),
            frozen=draws.choice([0, 3], 2).tolist(),
            apples=draws.permutation(4)[: draws.integers(5)].tolist(),
            dirt=draws.permutation(4)[: draws.integers(5)].tolist(),
        )
        things = {(0, row): "apple" for row in table.apples} | {(4, row): "dirt" for row in table.dirt}
        for player in (0, 1):
            scene = GAME.scene(np.array(table.seen_by(player)))
            order = [player, 1 - player]
            assert scene.size == (5, 4) and scene.things == things
            assert scene.players == [table.players[who] for who in order]
            assert scene.frozen == [table.frozen[who] > 0 for who in order]


def after_one(table, actions, chance=NEVER):
    """The state and the rewards after one round."""
    state, rewards = ADVANCE(*stacked([(table.state(), np.array(actions), chance_of(chance))]))
    return jax.tree.map(lambda leaf: leaf[0], state), rewards[0].tolist()


def test_dirt_comes_before_apples_and_apples_before_the_harvest():
    """With two patches an apple may grow; the third, of the same round, forbids it. What grows is harvested at once."""
    still = (NOTHING, NOTHING)
    two = Table([(0, 2), (2, 2)], dirt=(0, 1))
    state, rewards = after_one(two, still, (1.0, 0.0, 0.3, 0.5, (1, 1)))  # chance 1/3; the third of the free cells
    assert rewards == [1.0, 0.0] and not state.apples.any() and state.dirt.sum() == 2
    state, rewards = after_one(two, still, (0.3, 0.0, 0.3, 0.5, (1, 1)))
    assert rewards == [0.0, 0.0] and not state.apples.any() and state.dirt.tolist() == [True, True, True, False]


def test_dirt_of_this_round_is_cleaned_in_this_round_and_forbids_apples_before():
    cleaner = Table([(4, 0), (2, 2)], dirt=(1, 2))
    state, _ = after_one(cleaner, (NOTHING, NOTHING), (0.0, 0.0, 0.0, 0.0, (1, 1)))
    assert state.cleaned.tolist() == [True, False] and state.dirt.tolist() == [False, True, True, False]
    assert not state.apples.any()


def test_two_players_on_one_apple_both_take_it_and_on_one_patch_both_clean_it():
    state, rewards = after_one(Table([(0, 1), (0, 1)], apples=(1, 3)), (NOTHING, NOTHING))
    assert rewards == [1.0, 1.0] and state.apples.tolist() == [False, False, False, True]
    state, rewards = after_one(Table([(4, 1), (4, 1)], dirt=(1,)), (NOTHING, NOTHING))
    assert rewards == [0.0, 0.0] and state.cleaned.all() and not state.dirt.any()


@pytest.mark.parametrize(("other", "reached"), [((2, 1), True), ((3, 2), True), ((2, 3), True), ((3, 3), False)])
def test_a_zap_reaches_two_cells_along_rows_and_columns(other, reached):
    state, _ = after_one(Table([(2, 1), other]), (ZAP, NOTHING), (1, 0, 1, 0, (0.89, 1)))
    assert state.frozen.tolist() == [0, 5 if reached else 0]


def test_a_zap_can_fail():
    state, _ = after_one(Table([(2, 1), (2, 2)]), (ZAP, NOTHING), (1, 0, 1, 0, (0.91, 0)))
    assert state.frozen.tolist() == [0, 0]


def test_a_zap_comes_before_the_moves_and_after_the_harvest():
    sure = (1, 0, 1, 0, (0, 0))
    state, rewards = after_one(Table([(1, 0), (0, 0)], apples=(0,)), (ZAP, RIGHT), sure)
    assert rewards == [0.0, 1.0] and state.positions[1].tolist() == [0, 0]
    state, _ = after_one(Table([(1, 0), (1, 1)]), (ZAP, ZAP), sure)
    assert state.frozen.tolist() == [5, 5]  # at the same time


def test_a_frozen_player_does_nothing_for_five_rounds_and_is_not_zapped():
    """It stands on a cell where apples grow and tries to zap or to move in every round; the other one zaps it."""
    table = Table([(0, 0), (1, 0)])
    state, sure = arrays((table.state(), chance_of((1, 0, 0, 0, (0, 0)))))  # apples grow in the first free cell
    play = jax.jit(lambda state, *actions: advance(state, jnp.array(actions), sure))
    state, rewards = play(state, RIGHT, ZAP)
    assert rewards.tolist() == [1.0, 0.0] and state.frozen.tolist() == [5, 0]
    for left in (4, 3, 2, 1, 0):
        state, rewards = play(state, ZAP if left % 2 else RIGHT, ZAP)
        assert rewards.tolist() == [0.0, 0.0] and state.frozen.tolist() == [left, 0]
        assert state.positions[0].tolist() == [0, 0] and state.apples[0]
    state, rewards = play(state, RIGHT, NOTHING)
    assert rewards.tolist() == [1.0, 0.0] and state.positions[0].tolist() == [1, 0]
    dirty = Table([(4, 0), (1, 0)], frozen=(2, 0), dirt=(0,))
    state, _ = after_one(dirty, (NOTHING, NOTHING))
    assert state.dirt[0] and not state.cleaned.any()


def test_players_stop_at_the_edges_and_may_share_a_cell():
    state, _ = after_one(Table([(0, 0), (4, 3)]), (LEFT, RIGHT))
    assert state.positions.tolist() == [[0, 0], [4, 3]]
    state, _ = after_one(Table([(0, 0), (4, 3)]), (UP, DOWN))
    assert state.positions.tolist() == [[0, 0], [4, 3]]
    state, _ = after_one(Table([(1, 1), (3, 1)]), (RIGHT, LEFT))
    assert state.positions.tolist() == [[2, 1], [2, 1]]


def test_with_the_seats_swapped_everything_is_swapped():
    draws, rounds, turned = np.random.default_rng(1), [], []
    for _ in range(300):
        table = Table(
            draws.integers([5, 4], size=(2, 2)).tolist(),
            frozen=draws.choice([0, 0, 3], 2).tolist(),
            apples=draws.permutation(4)[: draws.integers(5)].tolist(),
            dirt=draws.permutation(4)[: draws.integers(5)].tolist(),
        )
        other = Table(table.players[::-1], table.frozen[::-1], table.apples, table.dirt)
        actions, numbers = draws.integers(6, size=2), [*draws.random(4), draws.random(2)]
        rounds.append((table.state(), actions, chance_of(numbers)))
        turned.append((other.state(), actions[::-1], chance_of([*numbers[:4], numbers[4][::-1]])))
    (state, rewards), (other, swapped) = (ADVANCE(*stacked(each)) for each in (rounds, turned))
    np.testing.assert_array_equal(rewards, swapped[:, ::-1])

    def told(after, player):
        return GAME.observe(after, player), GAME.measure(None, None, after, player)

    for player in (0, 1):
        mine, yours = (
            jax.vmap(partial(told, player=seat))(after) for after, seat in ((state, player), (other, 1 - player))
        )
        assert jax.tree.all(jax.tree.map(lambda one, two: (one == two).all(), mine, yours))


def test_what_is_random_at_the_start_and_in_a_round_is_as_frequent_as_it_should_be():
    keys = jax.random.split(jax.random.key(0), 20_000)
    start = jax.vmap(GAME.reset)(keys)
    cells = start.positions[..., 1] * 5 + start.positions[..., 0]
    assert_as_frequent(cells[:, 0] * 20 + cells[:, 1], np.full(400, 1 / 400))
    assert (start.dirt.sum(1) == 3).all() and not start.apples.any() and not start.frozen.any()
    assert_as_frequent(jnp.argmin(start.dirt, 1), np.full(4, 1 / 4))
    step = jax.vmap(lambda state, actions, key: GAME.step(state, actions, key)[0], in_axes=(None, None, 0))
    table = Table([(2, 1), (2, 2)], dirt=(1,), apples=(3,))  # 2 patches or 1: apples with 1/3 or 2/3
    after = step(arrays(table.state()), jnp.array([ZAP, ZAP]), keys)
    rows = jnp.arange(4)
    fresh_dirt = jnp.where(after.dirt.sum(1) == 2, (after.dirt * rows).sum(1) - 1, 1)  # its row; 1: none
    assert_as_frequent(fresh_dirt, [0.35 / 3, 0.65, 0.35 / 3, 0.35 / 3])
    fresh_apple = jnp.where(after.apples.sum(1) == 2, (after.apples * rows).sum(1) - 3, 3)
    dirtier = after.dirt.sum(1) == 2
    for patches, chosen in ((2, dirtier), (1, ~dirtier)):
        grows = 1 - patches / 3
        assert_as_frequent(fresh_apple[chosen], [grows / 3] * 3 + [1 - grows])
    hits = (after.frozen > 0) @ jnp.array([1, 2])
    assert_as_frequent(hits, [0.01, 0.09, 0.09, 0.81])  # independent of one another


def test_full_columns_take_nothing_more_and_a_dirty_river_lets_nothing_grow():
    full = Table([(2, 1), (2, 2)], dirt=range(4), apples=range(4))
    keys = jax.random.split(jax.random.key(1), 200)
    step = jax.vmap(lambda state, key: GAME.step(state, jnp.array([NOTHING, NOTHING]), key)[0], in_axes=(None, 0))
    after = step(arrays(full.state()), keys)
    assert after.dirt.all() and after.apples.all()
    dirty = step(arrays(Table([(2, 1), (2, 2)], dirt=(0, 1, 3)).state()), keys)
    assert not dirty.apples.any()


def test_the_same_key_gives_the_same_round():
    for play in (lambda key: GAME.reset(key), lambda key: GAME.step(GAME.reset(key), jnp.array([ZAP, LEFT]), key)):
        one, other = play(jax.random.key(5)), play(jax.random.key(5))
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), one, other))
