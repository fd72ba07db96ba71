"""The batched co-player shaping game (Meulemans et al. 2025, section 3): co-players that learn are part of the world.

Four axes, with one meaning everywhere:

    T  rounds of an inner episode
    M  inner episodes of a meta-trajectory; the agent's memory runs through all M * T rounds
    B  games played side by side with one co-player, who learns from all B of them after each inner episode
    R  replicas: independent co-players, each with B games of its own

Any player can be the agent or a co-player, and any two-player game the game (see examples/your_own_learning_rule.py).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from coplayer.errors import require, require_key, require_whole
from coplayer.games.game import Game
from coplayer.play.player import Player
from coplayer.play.rollout import check_actions, check_players, keys_of_rounds, play_episodes
from coplayer.play.seating import Groups, Replicas, Watched
from coplayer.play.tables import tables_of
from coplayer.play.trajectory import Episode


class Group(NamedTuple):
    """Some replicas of one kind of co-player. Each replica begins with a key of its own."""

    co_player: Player
    replicas: int


def _check_groups(groups: Any) -> None:
    """Refuse what is no sequence of groups of co-players."""
    require(
        isinstance(groups, Sequence) and not isinstance(groups, Group) and bool(groups),
        f"groups: must be one or more of pools.shaping.Group in a list, got {groups!r}",
    )
    for group in groups:
        require(isinstance(group, Group), f"groups: must be pools.shaping.Group, got {group!r}")
        co_player = group.co_player
        require(isinstance(co_player, Player), f"groups: {type(co_player).__name__} is not a coplayer.Player")
        require_whole("replicas", group.replicas, at_least=1)


class MetaTrajectories(NamedTuple):
    """What the agent and its co-players went through, `[M * T, R, B]`; the replicas of all groups in a row."""

    own: Episode
    others: Episode
    notes: Any  # the agent's, with the tables of all replicas in a row: `[M * T, ..., R * B]`


def play(
    game: Game,
    agent: Player,
    groups: Sequence[Group],
    key: PRNGKeyArray,
    *,
    batch: int,
    inner_episodes: int,
) -> MetaTrajectories:
    """Meta-trajectories of one agent, in seat 0, with all the groups' co-players. `game.rounds` is T.

    The agent remembers earlier inner episodes if its `learn` lets it, as that of a lasting `RecurrentPlayer` does.
    Raises `CoplayerError` where the players do not fit the game, and for actions that the game does not have. Inside a
    traced function such actions are not searched for.
    """
    require_key(key)
    _check_groups(groups)
    for name, count in (("batch", batch), ("inner_episodes", inner_episodes)):
        require_whole(name, count, at_least=1)
    groups = tuple(groups)
    check_players((agent, _opposite(groups, batch)), game)
    if isinstance(key, jax.core.Tracer):
        return _play(game, agent, groups, key, batch, inner_episodes)[0]
    watched = tuple(group._replace(co_player=Watched(group.co_player)) for group in groups)
    played, others = _play_compiled(game, Watched(agent), watched, key, batch, inner_episodes)
    own, actions = played.notes
    check_actions(0, actions, game)
    for _, actions in others:
        check_actions(1, actions, game)
    return played._replace(notes=own)


def _opposite(groups: tuple[Group, ...], batch: int) -> Groups:
    """All co-players, as one player at the tables of all replicas in a row."""
    return Groups(
        tuple(Replicas(group.co_player, group.replicas) for group in groups),
        tuple(group.replicas * batch for group in groups),
    )


def _play(
    game: Game, agent: Player, groups: tuple[Group, ...], key: PRNGKeyArray, batch: int, inner_episodes: int
) -> tuple[MetaTrajectories, Any]:
    """The meta-trajectories, and the co-players' notes by group."""
    replicas = sum(group.replicas for group in groups)
    draws, begin = jax.random.split(key)
    keys = jax.random.split(begin, replicas)
    opposite = _opposite(groups, batch)
    states, first = [], 0
    for player in opposite.players:
        states.append(player.begin_each(keys[first : first + player.count], batch))
        first += player.count

    def chance(index: Int[Array, ""]) -> tuple[Any, Any]:
        own = jax.random.fold_in(draws, index)
        uniforms = jax.random.uniform(own, (game.rounds, 2, replicas * batch))
        if agent.takes_uniforms and opposite.takes_uniforms:
            return uniforms[:, 0], uniforms[:, 1]
        by_key = keys_of_rounds(own, jnp.arange(game.rounds), 2)
        players = (agent, opposite)
        return tuple(uniforms[:, i] if player.takes_uniforms else by_key[i] for i, player in enumerate(players))

    trajectory, notes = play_episodes(
        tables_of(game),
        (agent, opposite),
        (agent.begin(begin, replicas * batch), tuple(states)),
        chance,
        draws,
        batch=replicas * batch,
        episodes=inner_episodes,
    )

    def by_replica(view: Episode) -> Episode:
        within = jax.tree.map(
            lambda leaf: leaf.reshape(leaf.shape[0], replicas, batch, *leaf.shape[2:]), view._replace(beyond=None)
        )
        return within._replace(beyond=view.beyond.reshape(replicas, batch, *view.beyond.shape[1:]))

    return MetaTrajectories(by_replica(trajectory.view(0)), by_replica(trajectory.view(1)), notes[0]), notes[1]


_play_compiled = eqx.filter_jit(_play)
