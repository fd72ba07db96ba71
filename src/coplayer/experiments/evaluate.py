"""Evaluating the agents of a run folder: over training, and within an episode."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from coplayer.analysis.evaluation import FROZEN, LEARNER, curves, matches_against_fixed
from coplayer.analysis.extortion import reward_line
from coplayer.analysis.signature import signature
from coplayer.errors import CoplayerError, in_short, require
from coplayer.experiments import registry
from coplayer.experiments.mixed_pool import pairs_of
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import JointActions, Trajectory, of_two_players
from coplayer.runs.files import JSON_ERRORS, jsonable, loads, write_atomically
from coplayer.runs.folder import RunFolder

EVALUATION_SEED = 20_26  # evaluation draws its own numbers, none of a run's
Measured = dict[str, np.ndarray]  # what was measured in a match, by name
Results = dict[int, dict[str, Measured]]  # [phase][opponent]


def evaluate(
    folder: RunFolder, phases: list[int], *, episodes: int, on_phase: Callable[[int], None] = lambda phase: None
) -> Results:
    """Play the agents of these phases against the fixed opponents and against each other, in a two-player game.

    Returns, and writes to evaluation.json, results by `[phase][opponent]`. The file keeps other phases that were
    evaluated with as many episodes. NaN is null in the file.

    The fields of `curves` are arrays [seed, learner, round], those of `RewardLine` [seed, learner]. In a matrix game
    there are those of `Signature` too, [seed, learner] or [seed, learner, joint action]. A run with a frozen co-player
    has it among the opponents. `on_phase` is called with each phase that is done.
    """
    experiment, settings = registry.settings_of_folder(folder)
    known = folder.phases()
    require(set(phases) <= set(known), f"phases: {folder.path} has {known[:1]} to {known[-1:]}, asked for {phases}")
    require(
        settings.game.num_players == 2,
        f"game: agents are evaluated in games of two players, this one has {settings.game.num_players}",
    )
    seeds = range(settings.run.seed, settings.run.seed + settings.run.seeds)
    result = {}
    for phase in phases:
        per_seed = []
        for seed in seeds:
            agents = registry.load(folder.path, phase=phase, seed=seed)
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(EVALUATION_SEED), phase), seed)
            inner_episodes = experiment.match_episodes(settings)
            per_seed.append(_one_seed(settings, agents, seed, key, episodes, inner_episodes))
        result[phase] = {
            name: {
                field: np.array([[learner[name][field] for learner in seed] for seed in per_seed])
                for field in per_seed[0][0][name]
            }
            for name in per_seed[0][0]
        }
        on_phase(phase)
    together = dict(sorted((_kept(folder, episodes) | result).items()))
    text = json.dumps(
        {
            "episodes": episodes,
            "seeds": list(seeds),
            "axes": ["seed", "learner", "round or joint action"],
            "phases": jax.tree.map(partial(jsonable, digits=4), together),
        }
    )
    write_atomically(folder.path / "evaluation.json", text.encode())
    return result


def _kept(folder: RunFolder, episodes: int) -> Results:
    """What evaluation.json already holds, if it was measured with as many episodes and can be read."""
    try:
        return stored_results(folder, episodes)
    except CoplayerError:
        return {}


def stored_results(folder: RunFolder, episodes: int | None = None) -> Results:
    """What `evaluate` wrote to evaluation.json; nothing where it has not evaluated the run yet. `episodes`: nothing
    also where the file is of another number of episodes.

    Raises `CoplayerError` where the file does not hold the evaluation of such a run.
    """
    path, (_, settings) = folder.path / "evaluation.json", registry.settings_of_folder(folder)
    if not path.exists():
        return {}
    needed = {f"{whose}{name}" for whose in ("", "other_") for name in ("reward", *settings.game.measures)}
    try:
        stored = loads(path.read_bytes())
        if episodes is not None and stored["episodes"] != episodes:
            return {}
        result = {
            int(phase): {
                name: {field: np.array(values, float) for field, values in fields.items()}
                for name, fields in by_opponent.items()
            }
            for phase, by_opponent in stored["phases"].items()
        }
    except (OSError, *JSON_ERRORS, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise CoplayerError(f"{path}: unreadable ({in_short(error)}); 'coplayer evaluate' writes it anew") from error
    for phase, by_opponent in result.items():
        for name, fields in by_opponent.items():
            sizes = {values.shape[:2] for values in fields.values()}
            whole = needed <= fields.keys() and all(np.ndim(fields[field]) == 3 for field in needed)
            require(
                whole and len(sizes) == 1 and next(iter(sizes))[0] == settings.run.seeds,
                f"{path}: phase {phase} against {name!r} lacks what is measured of every seed; 'coplayer evaluate' "
                "writes it anew",
            )
    return dict(sorted(result.items()))


class Seen(NamedTuple):
    """A match as one of its two players saw it."""

    trajectory: Trajectory
    player: int = 0


def _one_seed(
    settings: Any, agents: list[Player], seed: int, key: jax.Array, episodes: int, inner_episodes: int
) -> list[dict[str, Measured]]:
    """What is measured of each agent of one seed, by opponent. The agents' matches run side by side, a device each."""
    game, devices = settings.game, jax.local_devices()
    seats = [0 if game.symmetric else i % 2 for i in range(len(agents))]
    length = {"episodes": episodes, "inner_episodes": inner_episodes}
    fixed = [
        matches_against_fixed(
            jax.device_put(agent, devices[i % len(devices)]),
            game,
            jax.random.fold_in(key, 1 + i),
            seat=seats[i],
            **length,
        )
        for i, agent in enumerate(agents)
    ]  # dispatched, not waited for
    seen = [{name: Seen(match) for name, match in matches.items()} for matches in fixed]
    for i, other in pairs_of(len(agents)):
        own = jax.random.fold_in(key, i and len(agents) + i)
        match = play_match((agents[i], agents[other]), game, own, **length)
        seen[i] = {LEARNER: Seen(match), **seen[i]}
        if other > i:
            seen[other] = {LEARNER: Seen(match, 1), **seen[other]}
    if "frozen" in registry.built_on(settings):
        for i, frozen in enumerate(registry.frozen_players(settings, seed)):
            own = jax.random.fold_in(key, 1 + len(agents) + i)
            seen[i][FROZEN] = Seen(play_match((agents[i], frozen), game, own, episodes=episodes, turned=seats[i]))
    return [{name: _measured(*match) for name, match in matches.items()} for matches in seen]


def _measured(trajectory: Trajectory, player: int) -> Measured:
    """What is measured of a player in a match."""
    matrix = isinstance(trajectory, JointActions)
    seen = of_two_players(trajectory) if matrix else trajectory
    found = curves(seen, player)
    if matrix:
        game, joint = trajectory.game, trajectory.joint
        found |= signature(joint if player == 0 else game.swap(joint), game)._asdict()
    return found | reward_line(seen, player)._asdict()
