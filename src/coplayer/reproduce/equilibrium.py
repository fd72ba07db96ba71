"""How far a PPI run's learners are from a predictive equilibrium, phase by phase (Weis et al. 2026, appendix C)."""

import json
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.analysis.evaluation import LEARNER, TABULAR
from coplayer.analysis.prediction import of_strangers
from coplayer.analysis.predictive_equilibrium import (
    Probe,
    divergence,
    entropy,
    excess_loss,
    mean_policy_entropy,
    policy_gap,
    probe,
    spread_rounds,
    subjective_gap,
    take,
)
from coplayer.analysis.price_of_defection import Price, price_of_defection
from coplayer.errors import require
from coplayer.experiments import mixed_pool, ppi_mixed, registry
from coplayer.figures.panels import Band, BandPanel, draw_row
from coplayer.figures.parity import Quantity, table
from coplayer.games.matrix import MatrixGame
from coplayer.play.player import Player
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import Memory1, TabularPlayers
from coplayer.players.planner import PPIPlayer
from coplayer.pools import tabular
from coplayer.reproduce.report import Report, choose_phases
from coplayer.runs.files import jsonable, write_atomically
from coplayer.runs.folder import RunFolder

MEASURING_SEED = 20_27  # the episodes are fresh: none of a run's numbers, none of its evaluation's
Measures = dict[str, Float[Array, ""]]  # by the names below

MEANING = {  # of each measure, and its unit
    "excess_action": ("excess loss on own actions", "nats per round"),
    "excess_observation": ("excess loss on the co-player's actions", "nats per round"),
    "excess_reward": ("loss on rewards", "half squared units per round"),
    "policy_gap": ("KL(improved policy, prior)", "nats"),
    "subjective_gap": ("subjective optimality gap", "reward over the horizon"),
    "entropy_action": ("entropy of own actions", "nats per round"),
    "entropy_observation": ("entropy of the co-player's actions", "nats per round"),
    "inference": ("excess loss of Bayes' rule over being told", "nats per round"),
    "believed_price": ("believed price of a defection amid mutual cooperation", "reward over the horizon"),
    "actual_price": ("actual price of a defection amid mutual cooperation", "reward over the horizon"),
    "peace": ("mutual cooperation in both rounds before the middle", "share of episodes"),
}
DRAWN = ("excess_action", "excess_observation", "policy_gap", "subjective_gap")
PRICES = {"believed_price": "as it believes", "actual_price": "in fact"}
KINDS = {LEARNER: "against the other learner", TABULAR: "against tabular players"}
Result = dict[int, dict[str, dict[str, Float[np.ndarray, "seeds learners"]]]]  # [phase][kind of co-player][measure]


@jax.jit
def own_measures(probed: Probe) -> Measures:
    """What takes only the player itself, as means over its path."""
    return _means(
        excess_action=excess_loss(probed.policies, probed.prior),
        excess_reward=probed.reward_loss,
        policy_gap=policy_gap(probed.policies, probed.prior),
        subjective_gap=subjective_gap(probed.policies, probed.q),
        entropy_action=mean_policy_entropy(probed.policies),
    )


@jax.jit
def against_learner(probed: Probe, other: Probe) -> Measures:
    """How well the co-player's actions are predicted where it is a learner, asked at the same histories. What it does
    there is the mean of its own improved policies.
    """
    return _means(
        excess_observation=excess_loss(other.policies, probed.replies),
        entropy_observation=mean_policy_entropy(other.policies),
    )


@jax.jit
def against_tabular(
    probed: Probe, guess: Float[Array, "actions histories"], own: Float[Array, "actions histories"]
) -> Measures:
    """How well the co-player's actions are predicted where it is a tabular player: exact. `guess`: the prediction of
    Bayes' rule by an observer who knows the pool. `own`: the tabular player's own probabilities.
    """
    return _means(
        excess_observation=divergence(guess, probed.replies),
        entropy_observation=entropy(guess),
        inference=divergence(own, jnp.log(guess)),
    )


@jax.jit
def prices(price: Price) -> Measures:
    """Means over the episodes in which both cooperate; NaN where they do in none."""
    share = price.peace.mean()

    def mean(values: Float[Array, " episodes"]) -> Float[Array, ""]:
        return (values * price.peace).mean() / share

    return {"believed_price": mean(price.believed), "actual_price": mean(price.actual), "peace": share}


def _means(**values: Array) -> Measures:
    return {name: value.mean() for name, value in values.items()}


def measure_pair(
    players: list[PPIPlayer],
    game: MatrixGame,
    pool: tabular.TabularPool,
    key: PRNGKeyArray,
    *,
    episodes: int,
    histories: int,
    plans: int,
) -> list[dict[str, Measures]]:
    """The measures of two learners on fresh episodes, against each other and against tabular players of the pool: by
    learner and kind of co-player. Each is asked for `plans` plans at `histories` rounds of each of `episodes` episodes
    of both kinds. They are asked side by side, a device each.
    """
    devices = jax.local_devices()
    players = [player.in_seat(seat) for seat, player in enumerate(players)]
    seats = [game, game.seen_by(1)]
    at = spread_rounds(jax.random.fold_in(key, 0), game.rounds, episodes, histories)

    def ask(seat: int, view: Int[Array, "rounds episodes"], stream: int) -> Probe:
        """Dispatched, not waited for."""
        given = (players[seat], view, at, jax.random.fold_in(key, stream))
        return probe(*jax.device_put(given, devices[seat % len(devices)]), plans=plans)

    def play(seat: int, other: Player, stream: int) -> Int[Array, "rounds episodes"]:
        """The joint actions of a match, in the view of the learner of this seat."""
        match = play_match((players[seat], other), seats[seat], jax.random.fold_in(key, stream), episodes=episodes)
        return match.joint.astype(jnp.int32)

    joint = play(0, players[1], 1)
    tables = [tabular.draw_tables(jax.random.fold_in(key, 2 + seat), game, episodes, pool) for seat in range(2)]
    views = [play(seat, Memory1(jnp.moveaxis(tables[seat], -1, 0)), 4 + seat) for seat in range(2)]
    probes = {
        LEARNER: [ask(seat, view, 6 + seat) for seat, view in enumerate([joint, game.swap(joint)])],
        TABULAR: [ask(seat, view, 8 + seat) for seat, view in enumerate(views)],
    }
    priced = [
        price_of_defection(
            *jax.device_put((players[seat], players[1 - seat]), devices[seat % len(devices)]),
            seats[seat],
            jax.random.fold_in(key, 10 + seat),
            episodes=episodes,
            plans=plans,
        )
        for seat in range(2)
    ]
    probes, priced = jax.device_put((probes, priced), devices[0])

    def measures(seat: int) -> dict[str, Measures]:
        met, alone = probes[LEARNER][seat], probes[TABULAR][seat]
        guess = tabular.predictive(views[seat], game, pool)
        known = of_strangers(TabularPlayers(tables[seat]), views[seat], game)
        guess, known = (take(jnp.moveaxis(values, 1, -1), at).T for values in (guess, known))
        return {
            LEARNER: own_measures(met) | against_learner(met, probes[LEARNER][1 - seat]) | prices(priced[seat]),
            TABULAR: own_measures(alone) | against_tabular(alone, guess, known),
        }

    return [measures(seat) for seat in range(2)]


def measure_all(
    players: list[PPIPlayer], game: MatrixGame, pool: tabular.TabularPool, key: PRNGKeyArray, **size: int
) -> list[dict[str, Measures]]:
    """The measures of all learners, in pairs. `size`: see `measure_pair`."""
    learners = []
    for i, other in mixed_pool.pairs_of(len(players)):
        pair_key = jax.random.fold_in(key, 20 + i) if i else key
        measures = measure_pair([players[i], players[other]], game, pool, pair_key, **size)
        learners += measures if other > i else measures[:1]
    return learners


def measure(
    folder: RunFolder,
    *,
    phases: str,
    episodes: int,
    histories: int,
    plans: int,
    on_phase: Callable[[int], None] = lambda phase: None,
) -> Result:
    """The measures of the agents of these phases (see `choose_phases`). Writes them to equilibrium.json."""
    experiment, settings = registry.settings_of_folder(folder)
    require(
        experiment is ppi_mixed,
        f"{folder.path}: {experiment.NAME} learners have no model of their co-player, so no predictive equilibrium; "
        f"only runs of {ppi_mixed.NAME} have these measures",
    )
    co_players, game = settings.co_players, settings.game
    require(
        0 < co_players.learner_share < 1 and not co_players.opponent_identity,
        f"{folder.path}: measured are runs of the mixed pool without opponent identity; this one has learner_share = "
        f"{co_players.learner_share:g}, opponent_identity = {co_players.opponent_identity}",
    )
    require(
        1 <= histories <= game.rounds,
        f"histories: must be 1 to {game.rounds}, the rounds of an episode, got {histories}",
    )
    require(episodes >= 1, f"episodes: must be at least 1, got {episodes}")
    require(plans >= 2, f"plans: must be at least 2, got {plans}")
    pool = mixed_pool.pool_of(co_players, game)
    require(
        isinstance(pool, tabular.TabularPool) and not pool.noise,
        "pool: what strangers will do is known of memory-1 players without noise alone, got "
        f"{', '.join(co_players.pool)} with pool_noise = {pool.noise:g}",
    )
    seeds = range(settings.run.seed, settings.run.seed + settings.run.seeds)
    result = {}
    for phase in choose_phases(folder, phases):
        learners = []  # of all seeds
        for seed in seeds:
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(MEASURING_SEED), phase), seed)
            players = registry.load(folder.path, phase=phase, seed=seed)
            learners += measure_all(players, game, pool, key, episodes=episodes, histories=histories, plans=plans)
        result[phase] = {
            kind: {
                name: np.reshape([float(learner[kind][name]) for learner in learners], (len(seeds), -1))
                for name in MEANING
                if name in learners[0][kind]
            }
            for kind in KINDS
        }
        on_phase(phase)
    written = {
        "episodes": episodes,
        "histories": histories,
        "plans": plans,
        "seeds": list(seeds),
        "axes": ["seed", "learner"],
        "units": {name: unit for name, (_, unit) in MEANING.items()},
        "phases": jax.tree.map(partial(jsonable, digits=6), result),
    }
    write_atomically(folder.path / "equilibrium.json", json.dumps(written).encode())
    return result


def panels(result: Result) -> list[BandPanel]:
    """One panel per measure over the phases, with one curve per kind of co-player, and one panel of both prices of a
    defection. Curves are means over the learners.
    """
    phases = np.array(list(result))

    def band(kind: str, name: str, label: str) -> Band:
        return Band(label, phases, np.stack([result[phase][kind][name].mean(1) for phase in result], axis=1))

    def panel(title: str, unit: str, bands: list[Band]) -> BandPanel:
        return BandPanel(title, "phase", unit, bands, "deviation")

    measures = [panel(*MEANING[name], [band(kind, name, KINDS[kind]) for kind in KINDS]) for name in DRAWN]
    prices = [band(LEARNER, name, label) for name, label in PRICES.items()]
    return [*measures, panel("price of a defection amid cooperation", "reward over the horizon", prices)]


def report_equilibrium(
    folder: RunFolder,
    *,
    phases: str,
    episodes: int,
    histories: int,
    plans: int,
    on_phase: Callable[[int], None] = lambda phase: None,
) -> Report:
    """Measure a run, draw the measures over its phases, and write those of the last one to equilibrium.md."""
    result = measure(folder, phases=phases, episodes=episodes, histories=histories, plans=plans, on_phase=on_phase)
    last = max(result)
    title = f"{folder.path.name}: mean and one standard deviation over seeds, the learners' mean"
    figure = folder.figures / "equilibrium"
    draw_row(figure, panels(result), title)
    quantities = [
        Quantity(f"{MEANING[name][0]} {KINDS[kind]}, {MEANING[name][1]}", None, values.mean(1))
        for kind in KINDS
        for name, values in result[last][kind].items()
    ]
    text = f"Phase {last}.\n\n{table(quantities)}"
    write_atomically(folder.path / "equilibrium.md", text.encode())
    return Report(str(figure.with_suffix(".png")), str(folder.path / "equilibrium.md"), text)
