"""The Axelrod library (https://axelrod.readthedocs.io): our agents as its players, its strategies as our opponents.

    pip install 'coplayer[axelrod]'

An agent as an `axelrod.Player` runs in its matches, tournaments, fingerprints and Moran processes:

    Agent = as_player(coplayer.load("runs/ppi-mixed")[0], "PPI agent")
    axelrod.Tournament([Agent(), axelrod.TitForTat()]).play()
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from coplayer.errors import imported, require, require_key, require_kind, require_whole
from coplayer.games.game import Game
from coplayer.games.matrix import COOPERATE, DEFECT, START, observe
from coplayer.play.actor import act_at_once
from coplayer.play.player import Player
from coplayer.play.trajectory import JointActions
from coplayer.players.memory1 import fits_named_strategies


def library() -> Any:
    """The module `axelrod`. Raises `CoplayerError` where it is not installed."""
    return imported("axelrod", "axelrod")


class _Memory:
    """An agent's state between two rounds, in numpy, so that Axelrod can compare players."""

    def __init__(self, state: Any):
        self.leaves, self.structure = jax.tree.flatten(jax.tree.map(np.asarray, state))

    @property
    def state(self) -> Any:
        return jax.tree.unflatten(self.structure, self.leaves)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Memory) and self.structure == other.structure
        return same and all(map(np.array_equal, self.leaves, other.leaves))

    __hash__ = None


def as_player(agent: Player, name: str) -> type:
    """A class of `axelrod.Player` whose players act as the agent does. Its players are made without arguments, and
    cloned by the class.

    The agent sees what was really played, also where Axelrod's noise changed its move. It does not learn from match to
    match. It draws its random numbers from a seed that Axelrod gives in every round, so a match with a seed can be
    played again. The classifier says that the agent is stochastic and remembers everything.

    Raises `CoplayerError` where Axelrod is not installed.
    """
    axelrod = library()
    require_kind("agent", agent, Player)
    require(isinstance(name, str) and bool(name), f"name: must be a text, got {name!r}")

    class AgentPlayer(axelrod.Player):
        classifier = {  # noqa: RUF012 as all Axelrod's players have it
            "memory_depth": float("inf"),
            "stochastic": True,
            "long_run_time": False,
            "inspects_source": False,
            "manipulates_source": False,
            "manipulates_state": False,
            "makes_use_of": set(),
        }

        def __init__(self) -> None:
            super().__init__()
            self._memory = None

        def strategy(self, opponent: Any) -> Any:
            key = jax.random.key(int(self._random.randint(0, 2**31 - 1)))
            if not self.history:
                begun = agent.begin(jax.random.fold_in(key, 1), 1)
                self._memory, seen = _Memory(begun), START
            else:
                own, other = (move == axelrod.Action.D for move in (self.history[-1], self.history.coplays[-1]))
                seen = 1 + 2 * own + other
            state, action, _ = act_at_once(agent, self._memory.state, jnp.array([seen]), key)
            self._memory = _Memory(state)
            return axelrod.Action.D if int(action[0]) == DEFECT else axelrod.Action.C

        def __repr__(self) -> str:
            return self.name

        def __reduce__(self):  # Axelrod's parallel tournaments send players to other processes
            return _rebuilt, (agent, name, dict(self.__dict__))

    AgentPlayer.name = name
    AgentPlayer.__name__ = AgentPlayer.__qualname__ = "".join(c if c.isalnum() else "_" for c in name)
    return AgentPlayer


def _rebuilt(agent: Player, name: str, attributes: dict[str, Any]) -> Any:
    """A player of a class that `as_player` makes, with these attributes."""
    player = as_player(agent, name)()
    player.__dict__.update(attributes)
    return player


def play(
    agent: Player,
    opponents: Sequence[Any],
    game: Game,
    key: PRNGKeyArray,
    *,
    matches: int = 5,
    noise: float = 0.0,
) -> JointActions:
    """Matches of an agent with strategies of Axelrod's, each `axelrod.Player` in `matches` matches of `game.rounds`
    rounds. The agent acts at all tables at once, the strategies one after the other beside it. A strategy that draws no
    random numbers acts once for all its matches that have gone alike.

    Returns the rounds in the agent's view, `[rounds, opponents * matches]`, the matches of one opponent in a row.
    `noise`: the probability that a move is changed; all players see what was really played. Strategies that ask for the
    length of a match are told that it is not known. Strategies that ask for the payoffs are told Axelrod's own, for
    which their parameters were chosen: some cannot play with other payoffs. Raises `CoplayerError` for another game
    than one of two actions, of which action 0 cooperates, and where Axelrod is not installed.
    """
    axelrod = library()
    require_kind("agent", agent, Player)
    require(
        bool(opponents) and all(isinstance(opponent, axelrod.Player) for opponent in opponents),
        f"opponents: must be a list of axelrod.Player, got {opponents!r}",
    )
    require(fits_named_strategies(game), "game: Axelrod's strategies need two actions, of which action 0 cooperates")
    require_key(key)
    require_whole("matches", matches, at_least=1)
    require(0 <= noise <= 1, f"noise: must be a probability, got {noise}")
    agent.check(game)
    beginning, acting, seeding = jax.random.split(key, 3)
    draw = np.random.default_rng(np.asarray(jax.random.key_data(seeding)))
    count, seated = len(opponents) * matches, []
    for first, opponent in zip(range(0, count, matches), opponents, strict=True):
        tables, seeds = range(first, first + matches), [int(draw.integers(2**31)) for _ in range(matches)]
        if axelrod.Classifiers["stochastic"](opponent):
            seated += [_Seated(opponent, seed, noise, [table]) for table, seed in zip(tables, seeds, strict=True)]
        else:
            seated.append(_Seated(opponent, seeds[0], noise, list(tables)))
    state, seen = agent.begin(beginning, count), jnp.full(count, START)
    rounds = []
    for round_ in range(game.rounds):
        if rounds:
            seated = [part for one in seated for part in one.parted(rounds)]
        state, chosen, _ = act_at_once(agent, state, seen, jax.random.fold_in(acting, round_))
        own, other = np.asarray(chosen), np.empty(count, int)
        for one in seated:
            other[one.tables] = one.act()
        if noise:
            own, other = (np.where(draw.random(count) < noise, 1 - side, side) for side in (own, other))
        rounds.append((2 * own + other).astype(np.uint8))  # as `MatrixGame.joint`
        seen = observe(jnp.asarray(rounds[-1], jnp.int32))
    return JointActions(jnp.asarray(np.stack(rounds)), game)


class _Seated:
    """A strategy of Axelrod's at tables where all that was played so far is alike. One player then acts for them all:
    of a strategy that draws no random numbers. Another strategy has one table."""

    def __init__(self, opponent: Any, seed: int, noise: float, tables: list[int]):
        self.axelrod, self.tables = library(), tables
        self.made = opponent, seed, noise
        self.player, self.view = opponent.clone(), self.axelrod.MockPlayer([])
        self.player.set_match_attributes(length=float("inf"), game=self.axelrod.Game(), noise=noise)
        self.player.set_seed(seed)

    def act(self) -> int:
        return DEFECT if self.player.strategy(self.view) == self.axelrod.Action.D else COOPERATE

    def parted(self, rounds: list[np.ndarray]) -> list["_Seated"]:
        """The strategy after a further round, once for each way in which the round went at the tables. `rounds`: the
        joint actions of all rounds so far, each `[all tables]`."""
        ways: dict[int, list[int]] = {}
        for table in self.tables:
            ways.setdefault(int(rounds[-1][table]), []).append(table)
        (_, stay), *leave = ways.items()
        new = [_Seated(*self.made, tables) for _, tables in leave]
        for other in new:
            for joint in rounds[:-1]:
                other.act()
                other._record(joint)
            other.act()
        self.tables = stay
        parts = [self, *new]
        for part in parts:
            part._record(rounds[-1])
        return parts

    def _record(self, joint: np.ndarray) -> None:
        """Let the player see a round. `joint`: the joint actions `[all tables]`, the strategy being the second."""
        moves = self.axelrod.Action.C, self.axelrod.Action.D
        agents, own = (moves[side] for side in divmod(int(joint[self.tables[0]]), 2))
        self.player.update_history(own, agents)
        self.view.update_history(agents, own)
