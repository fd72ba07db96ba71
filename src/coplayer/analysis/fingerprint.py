"""Ashlock's fingerprint of a player of the prisoner's dilemma (Ashlock & Kim 2008, "Fingerprinting: visualization and
automatic analysis of prisoner's dilemma strategies").

The player meets a family of probes, one for each point (x, y) of the unit square. The probe is tit-for-tat disturbed:
it cooperates with probability x, defects with probability y, and else plays tit-for-tat. Above the line x + y = 1
tit-for-tat would have a negative probability. There the probe is the dual of the probe of (1 - x, 1 - y), and does the
opposite. The fingerprint is the player's mean reward per round at each point. Two players with unlike fingerprints are
unlike.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from coplayer.errors import require, require_key, require_kind, require_whole
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.players.automaton import Automaton, Members, of_memory1
from coplayer.players.memory1 import named_strategy

OWN_MOVE_CHANGED = np.array([2, 3, 0, 1])  # CC, CD, DC, DD as DC, DD, CC, CD


def probes(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], probe: Automaton | None = None
) -> Automaton:
    """The probe of each point, made from an automaton: by default tit-for-tat.

    With s = 1 - x - y >= 0 the probe cooperates with probability x + s p, where the automaton has p. Below 0 the probe
    cooperates with probability x - |s| p, and its automaton takes each own move for the other one.
    """
    probe = of_memory1(named_strategy("tit_for_tat")) if probe is None else probe
    require(probe.p_cooperate.ndim == 1, f"probe: must be one automaton, got a batch {probe.p_cooperate.shape}")
    spread = (1 - np.asarray(x) - np.asarray(y))[:, None]
    dual = spread <= 0
    chance = np.asarray(x)[:, None] + spread * np.asarray(probe.p_cooperate)
    following = np.asarray(probe.next)
    nexts = np.where(dual[:, :, None], following[:, OWN_MOVE_CHANGED], following)
    return Automaton(nexts, np.clip(chance, 0, 1))


def ashlock(
    player: Player,
    game: MatrixGame,
    key: PRNGKeyArray,
    *,
    steps: int = 20,
    matches: int = 10,
    inner_episodes: int = 1,
    probe: Automaton | None = None,
) -> Float[Array, "points points"]:
    """Mean reward per round of a player against the probe of each point: `[x, y]`, both from 0 to 1 in `steps` steps.

    `matches`: matches of `game.rounds` rounds at each point. `inner_episodes`: how many such matches follow one another
    in each of them, for players with a longer memory. Raises `CoplayerError` for another game than one of two actions,
    of which action 0 cooperates.
    """
    require_kind("player", player, Player)
    require_key(key)
    for name, value in (("steps", steps), ("matches", matches)):
        require_whole(name, value, at_least=1)
    at = np.linspace(0, 1, steps + 1)
    x, y = (side.reshape(-1) for side in np.meshgrid(at, at, indexing="ij"))
    seats = Members(probes(x, y, probe), jnp.repeat(jnp.arange(len(x)), matches))
    played = play_match((player, seats), game, key, episodes=len(x) * matches, inner_episodes=inner_episodes)
    rewards = played.view(0).rewards.mean(0)
    return rewards.reshape(steps + 1, steps + 1, matches).mean(-1)
