"""Evaluating the agents of a run folder: over training, and within an episode."""

import json
from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from coplayer.analysis.evaluation import FROZEN, LEARNER, curves, matches_against_fixed
from coplayer.analysis.extortion import reward_line
from coplayer.analysis.signature import signature
from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.experiments.mixed_pool import pairs_of
from coplayer.players.match import play_match
from coplayer.runs.files import jsonable, write_atomically
from coplayer.runs.folder import RunFolder

EVALUATION_SEED = 20_26  # evaluation draws its own numbers, none of a run's


def evaluate(
    folder: RunFolder, phases: list[int], *, episodes: int, told: Callable[[int], None] = lambda phase: None
) -> dict:
    """Play the agents of these phases against the fixed opponents and against each other.

    Returns, and writes to evaluation.json, `[phase][opponent]`: the fields of `Curves` as arrays [seed, learner,
    round], those of `Signature` and `RewardLine` as [seed, learner] or [seed, learner, joint action]; null in the file
    for NaN. A run with a frozen co-player has it among the opponents.
    """
    _, config = registry.config_of(folder)
    known = folder.phases()
    require(set(phases) <= set(known), f"phases: {folder.path} has {known[:1]} to {known[-1:]}, asked for {phases}")
    seeds = range(config.seed, config.seed + config.seeds)
    result = {}
    for phase in phases:
        per_seed = [_one_seed(folder, phase, seed, episodes) for seed in seeds]
        names = per_seed[0][0]
        result[phase] = {
            name: {
                field: np.array([[learner[name][field] for learner in seed] for seed in per_seed])
                for field in per_seed[0][0][name]
            }
            for name in names
        }
        told(phase)
    text = json.dumps(
        {
            "episodes": episodes,
            "seeds": list(seeds),
            "axes": ["seed", "learner", "round or joint action"],
            "phases": jax.tree.map(partial(jsonable, digits=4), result),
        }
    )
    write_atomically(folder.path / "evaluation.json", text.encode())
    return result


def _one_seed(folder: RunFolder, phase: int, seed: int, episodes: int) -> list[dict[str, dict[str, np.ndarray]]]:
    """For each learner, its curves and signature against each opponent. The learners' matches run side by side, a
    device each.
    """
    module, config = registry.config_of(folder)
    players = registry.load(folder.path, phase=phase, seed=seed)
    game = module.make_game(config)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(EVALUATION_SEED), phase), seed)
    devices = jax.local_devices()
    seats = [game.seen_by(i % 2) for i in range(len(players))]
    length = {"episodes": episodes, "inner_episodes": registry.match_episodes(module, config)}
    views = [
        matches_against_fixed(
            jax.device_put(player, devices[i % len(devices)]), seat, jax.random.fold_in(key, 1 + i), **length
        )
        for i, (player, seat) in enumerate(zip(players, seats, strict=True))
    ]  # dispatched, not waited for
    for i, other in pairs_of(len(players)):
        joint = play_match(players[i], players[other], game, jax.random.fold_in(key, i and len(players) + i), **length)
        views[i] = {LEARNER: joint, **views[i]}
        if other > i:
            views[other] = {LEARNER: game.swap(joint), **views[other]}
    if "frozen" in registry.built_on(config):
        for i, frozen in enumerate(registry.frozen_players(module, config, seed)):
            frozen_key = jax.random.fold_in(key, 1 + len(players) + i)
            views[i][FROZEN] = play_match(players[i], frozen, seats[i], frozen_key, episodes=episodes)
    return [
        {
            name: curves(view, seat)._asdict() | signature(view, seat)._asdict() | reward_line(view, seat)._asdict()
            for name, view in of_player.items()
        }
        for of_player, seat in zip(views, seats, strict=True)
    ]
