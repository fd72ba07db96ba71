"""Players as a web page's JavaScript takes them (see `mind.js` beside this file): weights and settings as JSON."""

import base64
import dataclasses
from functools import singledispatch
from typing import Any

import equinox as eqx
import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.games.game import Game
from coplayer.networks.core import Core
from coplayer.networks.gru import GRU
from coplayer.networks.hawk import Hawk
from coplayer.networks.world_model import RoundModel, TokenModel, WorldModel
from coplayer.play.player import Player
from coplayer.players.automaton import Automaton
from coplayer.players.memory1 import Memory1
from coplayer.players.planner import PPIPlayer
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.players.walker import Walker

CORES: dict[type[Core], str] = {GRU: "gru", Hawk: "hawk"}
MODELS: dict[type[WorldModel], str] = {RoundModel: "round", TokenModel: "token"}
PLANNING = ("horizon", "temperature", "expected_rewards", "common_random_numbers")


def described(player: Player, game: Game) -> dict[str, Any]:
    """A player of `game` as JSON: its `kind`, and what a page's JavaScript needs to play as it.

    Players who can be told whom they meet are told on a page that they meet a learner. Raises `CoplayerError` for a
    player that does not fit the game, or whose kind the JavaScript does not know.
    """
    player.check(game)
    return _described(player)


@singledispatch
def _described(player: Player) -> dict[str, Any]:
    raise CoplayerError(
        f"player: a page plays PPI, A2C and COALA-PG agents, memory-1 players and automata, not {type(player).__name__}"
    )


@_described.register
def _(player: PPIPlayer) -> dict[str, Any]:
    model, settings = player.model, player.settings
    require(type(model) in MODELS, f"player: a page has no {type(model).__name__}; it has RoundModel and TokenModel")
    return {
        "kind": "planner",
        "model": MODELS[type(model)],
        "planner": {name: getattr(settings, name) for name in PLANNING} | {"rollouts": settings.rollouts_alone},
        "told": bool(model.identity_size),
        **_network(model),
    }


@_described.register
def _(player: RecurrentPlayer) -> dict[str, Any]:
    told = bool(player.network.identity_size)
    return {"kind": "actor-critic", "told": told, "lasting": player.lasting, **_network(player.network)}


@_described.register
def _(player: Memory1) -> dict[str, Any]:
    table = np.asarray(player.probabilities)
    require(table.ndim == 2, f"player: a page plays one memory-1 player, got a batch of shape {table.shape[:-2]}")
    return {"kind": "table", "table": table.tolist()}


@_described.register
def _(player: Automaton) -> dict[str, Any]:
    following, cooperate = np.asarray(player.next), np.asarray(player.p_cooperate)
    require(cooperate.ndim == 1, f"player: a page plays one automaton, got a batch of shape {cooperate.shape[:-1]}")
    return {"kind": "automaton", "next": following.tolist(), "cooperate": cooperate.tolist()}


@_described.register
def _(player: Walker) -> dict[str, Any]:
    return {"kind": "walker", "strategy": player.strategy}


def _network(network: Any) -> dict[str, Any]:
    """A network on a core, with all its weights by the names of its fields."""
    kind = type(network.core)
    require(kind in CORES, f"player: a page has no core {kind.__name__}; it has {', '.join(CORES.values())}")
    return {"core": CORES[kind], "weights": packed(network)}


def packed(weights: Any) -> Any:
    """Arrays as {"shape", "data"}, where data is base64 of little-endian float32; modules as the objects of their
    fields, tuples as lists. Static fields are left out.
    """
    if eqx.is_array(weights):
        data = np.asarray(weights, dtype="<f4")
        return {"shape": list(data.shape), "data": base64.b64encode(data.tobytes()).decode()}
    if isinstance(weights, tuple | list):
        return [packed(item) for item in weights]
    fields = [field.name for field in dataclasses.fields(weights) if not field.metadata.get("static", False)]
    return {name: packed(getattr(weights, name)) for name in fields}


def count(described: dict[str, Any]) -> int:
    """How many numbers the weights of a described player are; 0 for one without weights."""

    def numbers(node: Any) -> int:
        if isinstance(node, dict) and isinstance(node.get("data"), str):
            return int(np.prod(node["shape"]))
        items = node.values() if isinstance(node, dict) else node
        return sum(map(numbers, items))

    return numbers(described.get("weights", {}))
