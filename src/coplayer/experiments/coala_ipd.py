"""Meta agents that shape learning co-players (Meulemans et al. 2025, figure 5), in any two-player game whose seats are
alike.

Each meta agent plays meta-trajectories with naive learners, with other meta agents, or with both, and is trained by PPO
through whole meta-trajectories. The estimators of the gradient differ in the advantages alone.

LOLA-DiCE agents are one more method. They see one inner episode at a time, and their policy climbs the gradient of
`pools.lookahead`. They play the same meta-trajectories, which measure them and which their values are fitted on.
"""

import math
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from coplayer import settings as setting_groups
from coplayer.errors import CoplayerError, in_short, require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import LEARNERS, of_all_learners, one_by_one
from coplayer.experiments.iterations import IterationTrainer, one_row
from coplayer.experiments.mixed_pool import Trainee
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.settings import (
    IterationSettings,
    MetaTrajectorySettings,
    NaiveShareSettings,
    NetworkSettings,
    check_annealing,
    check_first,
    check_iterations,
    check_seeds,
)
from coplayer.figures.published import Panel
from coplayer.games.game import Game
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import a2c, coala, ppo
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.estimators import ESTIMATORS, Advantages, Estimator, Outcome
from coplayer.learning.optimisation import (
    UPDATE_RULES,
    LossSettings,
    OptimiserSettings,
    TrainState,
    bounded,
    descend,
    entropy_coefficient,
    lambdas,
    learning_rate,
    new_state,
)
from coplayer.learning.ppo import PPOSettings
from coplayer.learning.returns import Number, lambda_returns
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import check_core
from coplayer.networks.layers import pick
from coplayer.play.player import Player
from coplayer.play.seating import OneOf
from coplayer.play.trajectory import Episode
from coplayer.players.naive import RULES
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import lookahead, shaping
from coplayer.pools.lookahead import DiceSettings
from coplayer.pools.tabular import has_tables
from coplayer.runs import memory
from coplayer.settings import adjust, setting

NAME = "coala-ipd"
SOURCE = "Meulemans et al. 2025, figure 5C"
LENDS_AGENTS = False
JOINABLE = True
WEIGHTS, PLAY, ORDER, POPULATION, LOOKAHEAD = range(5)  # streams of random numbers
LOLA_DICE = "lola_dice"
AGENT_METHODS = ChainMap({LOLA_DICE: None}, ESTIMATORS)
"""How an agent may learn: by an estimator of the policy gradient, or by LOLA-DiCE."""


@dataclass(frozen=True)
class ShapingSettings(MetaTrajectorySettings):
    """Shaping game"""

    batch: int = setting(16)
    """Games side by side with one co-player, from all of which a naive co-player learns (B)."""
    replicas: int = setting(128)
    """Co-players each agent meets in an iteration (R)."""
    meta_agents: int = setting(4)
    """Meta agents that are trained, each with its own weights."""
    methods: tuple[str, ...] = setting(("coala",), among=AGENT_METHODS)
    """Estimators of the policy gradient: one for all agents, or one for each agent. lola_dice cannot be mixed with
    other methods. A lola_dice agent sees one inner episode at a time, and differentiates through its co-players'
    learning steps. lola_dice has no use for --gae-lambda, --centred and the settings of PPO. Start from "coplayer train
    lola-ipd" for lola_dice."""
    meets_own_kind: bool = setting(True)
    """Meet other agents of one's own method too, and not those of other methods alone."""


@dataclass(frozen=True)
class NaiveLearnerSettings(NaiveShareSettings):
    """Naive learners"""

    naive_iterations: int = setting(0, at_least=0)
    """First iterations, in which agents meet naive learners alone: agents learn to shape before they meet agents."""
    naive_rule: str = setting("a2c", among=RULES)
    """Rule by which the naive learners learn."""
    naive_population: int = setting(10)
    """Number of random networks that naive learners begin as. Has no effect with --naive-start agents."""
    naive_start: str = setting("random", among=("random", "agents"))
    """What a naive learner begins each meta-trajectory as. random: one of --naive-population random networks, always
    the same ones. agents: one of the meta agents, with the weights that it has by then."""
    naive_update_rule: str = setting("adam", among=UPDATE_RULES)
    """How the naive learners' gradient becomes a step: by Adam, or by plain stochastic gradient descent."""
    naive_learning_rate: float = setting(5e-3)
    """Learning rate of the naive learners."""
    naive_gamma: float = setting(0.99, at_least=0, at_most=1)
    """Discount per round of the naive learners."""
    naive_reward_scale: float = setting(0.05)
    """Factor on the rewards in the naive learners' loss."""


@dataclass(frozen=True)
class CoalaIPD:
    """Meta agents that see their co-players learn, among naive learners and each other."""

    game: Game = prisoners_dilemma(10)
    run: IterationSettings = IterationSettings()
    shaping: ShapingSettings = ShapingSettings()
    naive: NaiveLearnerSettings = NaiveLearnerSettings()
    network: NetworkSettings = NetworkSettings(core="hawk", hidden=32)
    loss: LossSettings = LossSettings(gamma=1.0, reward_scale=0.05, centred=False)
    ppo: PPOSettings = PPOSettings()
    lookahead: DiceSettings = DiceSettings()
    optimiser: OptimiserSettings = OptimiserSettings(learning_rate=3e-4)

    @property
    def with_naive(self) -> int:
        """Replicas with naive learners."""
        return round(self.shaping.replicas * self.naive.naive_share)

    @property
    def with_agents(self) -> int:
        """Replicas with other meta agents."""
        return self.shaping.replicas - self.with_naive

    @property
    def by_agent(self) -> tuple[str, ...]:
        """The method of each agent."""
        methods = self.shaping.methods
        return methods * (self.shaping.meta_agents // len(methods))

    def meet(self, agent: int, other: int) -> bool:
        """Whether these agents meet, by their numbers."""
        methods = self.by_agent
        return agent != other and (self.shaping.meets_own_kind or methods[agent] != methods[other])

    @property
    def by_lookahead(self) -> bool:
        """Whether the agents learn by LOLA-DiCE."""
        return LOLA_DICE in self.shaping.methods

    @property
    def naive_updating(self) -> a2c.Updating:
        """How naive learners learn."""
        loss = A2CSettings(gamma=self.naive.naive_gamma, reward_scale=self.naive.naive_reward_scale)
        naive = self.naive
        optimiser = OptimiserSettings(learning_rate=naive.naive_learning_rate, update_rule=naive.naive_update_rule)
        return a2c.Updating(loss, optimiser, iterations=1)


PRESETS: dict[str, CoalaIPD] = {
    "paper": CoalaIPD(),
    "quick": adjust(
        CoalaIPD(),
        replicas=16,
        naive_share=0.5,
        core="gru",
        iterations=1400,
        value_coefficient=0.15,
        entropy_coefficient=0.03,
        entropy_end=0.0,
        entropy_from=800,
        learning_rate=1e-3,
        naive_learning_rate=0.05,
    ),
}

SHAPING = {
    "paper": adjust(PRESETS["paper"], naive_share=1.0, meta_agents=1),
    "quick": adjust(
        PRESETS["quick"],
        naive_share=1.0,
        meta_agents=1,
        replicas=32,
        iterations=1000,
        entropy_coefficient=0.05,
        entropy_from=700,
        entropy_iterations=200,
        learning_rate=2e-3,
    ),
}
LOLA = {  # a GRU's small features learn to defect before they tell rounds apart; its gradient is of a reward per round
    "paper": adjust(PRESETS["paper"], methods=(LOLA_DICE,), learning_rate=3e-3),
    "quick": adjust(
        PRESETS["quick"],
        methods=(LOLA_DICE,),
        core="hawk",
        learning_rate=3e-3,
        naive_learning_rate=5e-3,
        replicas=32,
        iterations=300,
        phases=30,
        value_coefficient=0.5,
        entropy_coefficient=0.0,
        entropy_from=0,
    ),
}
RIVALRY = {  # where naive learners are few, agents come to cooperate before they extort
    "paper": adjust(PRESETS["paper"], methods=("coala", "coala", "m_fos", "m_fos"), meets_own_kind=False),
    "quick": adjust(
        PRESETS["quick"],
        methods=("coala", "coala", "coala", "m_fos"),
        batch=4,
        replicas=32,
        naive_share=0.25,
        iterations=1600,
        value_coefficient=0.5,
        entropy_from=600,
        entropy_iterations=400,
    ),
}
RECIPES = {
    NAME: Recipe(CoalaIPD.__doc__, SOURCE, PRESETS),
    "coala-shaping": Recipe(
        "A meta agent among naive learners alone: it shapes them, then exploits them.",
        "Meulemans et al. 2025, figure 5A-B",
        SHAPING,
    ),
    "lola-ipd": Recipe(
        "LOLA-DiCE agents among naive learners and each other.",
        "Meulemans et al. 2025, figure 5C",
        LOLA,
    ),
    "coala-vs-mfos": Recipe(
        "Meta agents of COALA-PG and of M-FOS, among naive learners and each other.",
        "Meulemans et al. 2025, appendix H.3",
        RIVALRY,
    ),
}


def panel(settings: CoalaIPD) -> Panel:
    """What the training curves of a run are drawn as."""
    return Panel("5", "meta agent", "iteration")


def check(settings: CoalaIPD) -> None:
    """Refuse settings that cannot be trained, naming the setting and what is allowed."""
    setting_groups.check_limits(settings)
    check_seeds(settings.run)
    check_core(settings.network.core, settings.network.hidden)
    methods, agents = settings.shaping.methods, settings.shaping.meta_agents
    replicas, naive_share = settings.shaping.replicas, settings.naive.naive_share
    require(
        len(methods) in (1, agents),
        f"methods: needs one, or one for each of the {agents} meta agents, got {len(methods)}",
    )
    require(
        not settings.by_lookahead or set(methods) == {LOLA_DICE},
        f"methods: {LOLA_DICE} cannot be mixed with others, got {', '.join(methods)}",
    )
    require(
        settings.shaping.meets_own_kind or len(set(methods)) > 1,
        f"meets_own_kind: with one method, {methods[0]}, agents meet only their own kind",
    )
    naive = replicas * naive_share
    require(
        abs(naive - round(naive)) < 1e-6,
        f"replicas: {replicas} with naive_share = {naive_share} must come out in whole co-players",
    )
    require(naive_share == 1 or agents > 1, "meta_agents: must be at least 2 where naive_share is below 1")
    require(
        replicas % settings.ppo.minibatches == 0,
        f"minibatches: must divide the {replicas} replicas, got {settings.ppo.minibatches}",
    )
    steps, segment = settings.game.rounds * settings.shaping.inner_episodes, settings.ppo.segment
    require(
        segment == 0 or steps % segment == 0,
        f"segment: must divide the {steps} rounds of a meta-trajectory, or be 0, got {segment}",
    )
    rule = settings.naive.naive_rule
    require(
        rule == "a2c" or not settings.by_lookahead,
        f"naive_rule: {LOLA_DICE} looks ahead of a policy gradient of networks; needs a2c, got {rule}",
    )
    require(callable(RULES[rule]), f"naive_rule: {rule} is no function that makes a player, but {RULES[rule]!r}")
    require(LOLA_DICE not in ESTIMATORS, f"methods: the name {LOLA_DICE} is taken, and no estimator can have it")
    for method in set(methods) - {LOLA_DICE}:
        check_estimator(method)
    check_iterations(settings.run)
    check_first("naive_iterations", settings.naive.naive_iterations, settings.run)
    check_annealing(settings)
    game = settings.game
    require(game.num_players == 2, f"game: shaping needs a game of two players, this one has {game.num_players}")
    require(game.symmetric, "game: its two seats must be alike (payoffs: one table, the same for both players)")


def check_estimator(method: str) -> None:
    """Refuse an entry of `ESTIMATORS` that gives no advantages, without computing any."""
    found, shape = ESTIMATORS[method], (6, 2)  # 2 inner episodes of 3 rounds, in 2 games
    require(isinstance(found, Estimator), f"methods: {method} is no coplayer.Estimator, but {found!r}")
    outcome = Outcome(*(jax.ShapeDtypeStruct(size, jnp.float32) for size in (shape, shape, shape[1:], shape)))
    for function in (found.against_naive, found.against_agents):
        try:
            made = jax.eval_shape(partial(function, episode_length=3, gamma=1.0, gae_lambda=1.0), outcome)
        except Exception as error:
            raise CoplayerError(f"methods: {method} cannot be computed ({in_short(error)})") from error
        given = getattr(made, "shape", made)
        require(
            given == shape and jnp.issubdtype(made.dtype, jnp.floating),
            f"methods: {method} must give real numbers [time, batch], here {shape}, gave {given}",
        )


def check_rule(settings: CoalaIPD) -> None:
    """Refuse a rule of one's own whose player cannot play and learn, by two inner episodes."""
    name = settings.naive.naive_rule
    alone = adjust(settings, naive_share=1.0, naive_start="random", naive_population=2, replicas=1)
    if name == "a2c":
        return
    try:
        network, key = new_network(settings, jax.random.key(0)), jax.random.key(0)
        met = groups(alone, naive_population(alone, key), network)
        length = {"batch": settings.shaping.batch, "inner_episodes": 2}
        shaping.play(settings.game, RecurrentPlayer(network), met, key, **length)
    except Exception as error:
        raise CoplayerError(f"naive_rule: {name} cannot play and learn ({in_short(error)})") from error


def new_network(settings: CoalaIPD, key: PRNGKeyArray) -> ActorCritic:
    network = settings.network
    return ActorCritic(settings.game, network.hidden, core=network.core, zero_heads=True, key=key)


def new_trainee(settings: CoalaIPD, key: PRNGKeyArray) -> Trainee:
    """A meta agent before its first iteration, and the population of naive learners that it meets."""
    first = jax.random.fold_in(key, WEIGHTS)
    naive = population_keys(settings, jax.random.fold_in(key, POPULATION))
    networks = new_networks(settings, jnp.concatenate([first[None], naive]))  # all at once: a smaller program
    network, population = (jax.tree.map(lambda leaf, at=at: leaf[at], networks) for at in (0, slice(1, None)))
    return Trainee(new_state(network, settings.optimiser), key, population)


class AgentPlay(NamedTuple):
    """One iteration's meta-trajectories of an agent, `[M * T, R, B]`. Naive co-players come first."""

    own: Episode
    others: Episode
    logits: Float[Array, "actions time replicas batch"]
    values: Float[Array, "time replicas batch"]


def advantages_and_targets(
    settings: CoalaIPD, played: AgentPlay, iteration: Int[Array, ""]
) -> tuple[Float[Array, "time replicas batch"], ...]:
    """Advantages, for a policy loss that is a mean over all; and the value's targets. In a function mapped over the
    agents.
    """
    loss, scale, values = settings.loss, settings.loss.reward_scale, played.values
    gae_lambda, td_lambda = lambdas(loss, settings.optimiser.annealing, iteration)
    rewards, other_rewards = scale * played.own.rewards, scale * played.others.rewards
    split = settings.with_naive

    def estimate(function: Advantages, at: slice) -> Array:
        of_replica = partial(function, episode_length=settings.game.rounds, gamma=loss.gamma, gae_lambda=gae_lambda)
        outcome = Outcome(rewards[:, at], values[:, at], jnp.zeros(settings.shaping.batch), other_rewards[:, at])
        axes = Outcome(1, 1, None, 1)
        return jax.vmap(of_replica, in_axes=(axes,), out_axes=1)(outcome)

    def by_agent(function: Callable[[str], Advantages], at: slice) -> Array:
        """Every agent's own estimate: each that occurs is made for all, and every agent takes its own."""
        known = list(dict.fromkeys(function(method) for method in sorted(set(settings.by_agent))))
        own = jnp.asarray([known.index(function(method)) for method in settings.by_agent])
        return jnp.stack([estimate(one, at) for one in known])[own[jax.lax.axis_index(LEARNERS)]]

    groups = []
    if settings.with_naive:
        groups.append(by_agent(lambda method: ESTIMATORS[method].against_naive, slice(0, split)))
    if settings.with_agents:
        groups.append(by_agent(lambda method: ESTIMATORS[method].against_agents, slice(split, None)))
    if loss.centred:
        groups = [group - group.mean() for group in groups]
    end = jnp.zeros(values.shape[1:])
    targets = coala.value_targets(rewards, values, end, gamma=loss.gamma, td_lambda=td_lambda)
    return jnp.concatenate(groups, axis=1), targets


def naive_learner(settings: CoalaIPD, first: ActorCritic) -> Any:
    """A player who begins as one of these networks and learns by the rule of the settings. Every leaf of `first` has a
    leading axis of networks. That a rule of one's own gives a player is checked where the player plays.
    """
    return RULES[settings.naive.naive_rule](settings.game, first, settings.naive_updating)


def met_agents(settings: CoalaIPD) -> Int[np.ndarray, "agents choices"]:
    """Numbers of the other agents that each agent meets. Where these are fewer, they are repeated equally often."""
    methods = settings.by_agent
    rows = [[other for other in range(len(methods)) if settings.meet(agent, other)] for agent in range(len(methods))]
    choices = math.lcm(*map(len, rows))
    return np.array([row * (choices // len(row)) for row in rows])


def groups(settings: CoalaIPD, population: ActorCritic, network: ActorCritic) -> list[shaping.Group]:
    """Whom an agent meets, naive learners first. In a function mapped over the agents, who lend each other their
    networks.
    """
    groups = []
    if settings.with_naive:
        first = of_all_learners(network) if settings.naive.naive_start == "agents" else population
        groups.append(shaping.Group(naive_learner(settings, first), settings.with_naive))
    if settings.with_agents:
        agents = RecurrentPlayer(of_all_learners(network), lasting=not settings.by_lookahead)
        met = jnp.asarray(met_agents(settings))[jax.lax.axis_index(LEARNERS)]
        groups.append(shaping.Group(OneOf(agents, met), settings.with_agents))
    return groups


def play(settings: CoalaIPD, population: ActorCritic, network: ActorCritic, key: PRNGKeyArray) -> AgentPlay:
    """One iteration's meta-trajectories. In a function mapped over the agents."""
    size = settings.shaping
    played = shaping.play(
        settings.game,
        RecurrentPlayer(network, lasting=not settings.by_lookahead),
        groups(settings, population, network),
        key,
        batch=size.batch,
        inner_episodes=size.inner_episodes,
    )
    outputs = played.notes.outputs.reshape(*played.notes.outputs.shape[:2], size.replicas, size.batch)
    return AgentPlay(played.own, played.others, jnp.moveaxis(outputs[:, :-1], 1, 0), outputs[:, -1])


def by_inner_episode(settings: CoalaIPD, played: AgentPlay) -> dict[str, Float[Array, " episodes"]]:
    """Means in each inner episode: rewards per round, what the game measures, and the discrepancies of what it
    compares. With naive learners, the means of both sides; with other meta agents, the agent's own means only.
    """
    split, episodes = settings.with_naive, settings.shaping.inner_episodes

    def side(name: str, view: Episode, at: slice) -> dict[str, Array]:
        def mean(values: Array) -> Array:
            return values[:, at].astype(jnp.float32).reshape(episodes, -1).mean(1)

        measures = {f"{measure}_{name}": mean(values) for measure, values in view.measures.items()}
        return {f"reward_{name}": mean(view.rewards)} | measures

    def discrepancies(name: str, at: slice) -> dict[str, Array]:
        """Mean over the games of the absolute difference of the two players' means in an inner episode."""

        def by_game(values: Array) -> Array:
            return values[:, at].astype(jnp.float32).reshape(episodes, settings.game.rounds, -1).mean(1)

        own, others = played.own.measures, played.others.measures
        return {
            f"{measure}_discrepancy_{name}": jnp.abs(by_game(own[measure]) - by_game(others[measure])).mean(1)
            for measure in getattr(settings.game, "compared", ())
        }

    means = {}
    if settings.with_agents:
        met = slice(split, None)
        means |= side("vs_learner", played.own, met) | discrepancies("vs_learner", met)
    if settings.with_naive:
        met = slice(split)
        means |= side("vs_naive", played.own, met) | side("of_naive", played.others, met)
        means |= discrepancies("vs_naive", met)
    return means


def play_metrics(settings: CoalaIPD, played: AgentPlay) -> dict[str, Array]:
    """Means over the whole meta-trajectories; rewards with naive learners also over the first and the last quarter of
    the inner episodes.
    """
    means = by_inner_episode(settings, played)
    metrics = {name: values.mean() for name, values in means.items()}
    if settings.with_naive:
        quarter = max(1, settings.shaping.inner_episodes // 4)
        for side in ("vs_naive", "of_naive"):
            metrics[f"early_reward_{side}"] = means[f"reward_{side}"][:quarter].mean()
            metrics[f"late_reward_{side}"] = means[f"reward_{side}"][-quarter:].mean()
    return metrics


def scheduled(settings: CoalaIPD, iteration: Int[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The weight of the entropy and the learning rate in an iteration."""
    iterations = settings.run.iterations
    bonus = entropy_coefficient(settings.loss, settings.optimiser.annealing, iterations)
    return bonus(iteration), learning_rate(settings.optimiser, iterations)(iteration)


class Improved(NamedTuple):
    """An agent after an iteration's updates."""

    learner: TrainState
    measured: dict[str, Array]


def improve_by_ppo(
    settings: CoalaIPD,
    learner: TrainState,
    played: AgentPlay,
    key: PRNGKeyArray,
    iteration: Int[Array, ""],
) -> Improved:
    """PPO's updates on the meta-trajectories just played."""
    advantages, targets = advantages_and_targets(settings, played, iteration)
    bonus, rate = scheduled(settings, iteration)
    experience = ppo.Experience(
        observations=played.own.observations,
        actions=played.own.actions,
        log_probabilities=pick(jax.nn.log_softmax(played.logits, axis=0), played.own.actions),
        values=played.values,
        advantages=advantages,
        targets=targets,
    )

    @one_by_one
    def improve(learner: TrainState, experience: ppo.Experience, key: PRNGKeyArray, bonus: Array, rate: Array):
        return ppo.improve(
            *learner,
            experience,
            settings.ppo,
            key,
            value_coefficient=settings.loss.value_coefficient,
            optimiser=settings.optimiser,
            entropy_coefficient=bonus,
            learning_rate=rate,
        )

    network, optimiser, losses, norm = improve(learner, experience, key, bonus, rate)
    measured = {
        "loss_policy": losses.policy,
        "loss_value": losses.value,
        "entropy": losses.entropy,
        "gradient_norm": norm,
    }
    return Improved(TrainState(network, optimiser), measured)


def co_players(settings: CoalaIPD, population: ActorCritic, network: ActorCritic, key: PRNGKeyArray) -> ActorCritic:
    """The networks of R co-players as they begin a meta-trajectory, each leaf with a leading axis of these. In a
    function mapped over the agents.
    """
    drawn = []
    for index, group in enumerate(groups(settings, population, network)):
        keys = jax.random.split(jax.random.fold_in(key, index), group.replicas)
        begin = partial(group.co_player.begin, batch=settings.shaping.batch)
        drawn.append(jax.vmap(lambda key, begin=begin: begin(key).player.network)(keys))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)


def fit_gradient(
    settings: CoalaIPD, network: ActorCritic, played: AgentPlay, bonus: Float[Array, ""], td_lambda: Number
) -> tuple[ActorCritic, dict[str, Array]]:
    """Gradient of the losses beside the policy's, for an agent who sees one inner episode at a time. The losses are the
    value's squared error on all inner episodes just played, and the entropy there.
    """
    rounds = settings.game.rounds

    def inner_episodes(leaf: Array) -> Array:  # [M * T, R, B, ...] -> [T, M * R * B, ...]
        rest = leaf.shape[3:]
        by_episode = leaf.reshape(settings.shaping.inner_episodes, rounds, -1, *rest)
        return jnp.moveaxis(by_episode, 1, 0).reshape(rounds, -1, *rest)

    observations, values = inner_episodes(played.own.observations), inner_episodes(played.values)
    targets = lambda_returns(
        settings.loss.reward_scale * inner_episodes(played.own.rewards),
        values,
        jnp.zeros(values.shape[1]),
        gamma=settings.loss.gamma,
        lambda_=td_lambda,
    )

    def loss_of(network: ActorCritic):
        logits, values = network.unroll(observations)
        logs = jax.nn.log_softmax(logits, axis=0)
        error, entropy = ((values - targets) ** 2).mean(), -(jnp.exp(logs) * logs).sum(0).mean()
        total = settings.loss.value_coefficient * error - bonus * entropy
        return total, {"loss_value": error, "entropy": entropy}

    return jax.grad(loss_of, has_aux=True)(network)


def improve_by_lookahead(
    settings: CoalaIPD,
    learner: TrainState,
    population: ActorCritic,
    played: AgentPlay,
    key: PRNGKeyArray,
    iteration: Int[Array, ""],
) -> Improved:
    """One step: up the look-ahead's gradient, of scaled rewards as in the other methods, and down those of the
    value's error. In a function mapped over the agents.
    """
    meeting, looking = jax.random.split(key)
    network, scale = learner.network, settings.loss.reward_scale
    bonus, rate = scheduled(settings, iteration)
    _, td_lambda = lambdas(settings.loss, settings.optimiser.annealing, iteration)
    others = co_players(settings, population, network, meeting)
    ahead = lookahead.gradient(
        settings.game,
        network,
        others,
        looking,
        batch=settings.shaping.batch,
        lookahead=settings.lookahead,
        gamma=settings.loss.gamma,
        learner_gamma=settings.naive.naive_gamma,
        reward_scale=scale,
    )
    fit, measured = fit_gradient(settings, network, played, bonus, td_lambda)
    slope = jax.tree.map(lambda fit, ahead: fit - scale * ahead, fit, ahead)
    steps, optimiser = bounded(settings.optimiser).update(slope, learner.optimiser, network)
    learner = TrainState(descend(network, steps, rate), optimiser)
    return Improved(learner, measured | {"gradient_norm": optax.tree.norm(slope)})


def iterate(settings: CoalaIPD, trainee: Trainee, iteration: Int[Array, ""]) -> tuple[Trainee, dict[str, Array]]:
    """Play meta-trajectories and learn from them. Returns the metrics beside."""
    learner, population = trainee.learner, trainee.frozen
    streams = jnp.array([PLAY, LOOKAHEAD if settings.by_lookahead else ORDER])
    of_streams = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(trainee.key, streams)
    playing, learning = jax.vmap(jax.random.fold_in, in_axes=(0, None))(of_streams, iteration)
    played = play(settings, population, learner.network, playing)
    if settings.by_lookahead:
        improved = improve_by_lookahead(settings, learner, population, played, learning, iteration)
    else:
        improved = improve_by_ppo(settings, learner, played, learning, iteration)
    return trainee._replace(learner=improved.learner), play_metrics(settings, played) | improved.measured


def population_keys(settings: CoalaIPD, key: PRNGKeyArray) -> Key[Array, " members"]:
    """Keys of the initial networks of naive learners."""
    return jax.random.split(key, settings.naive.naive_population)


def new_networks(settings: CoalaIPD, keys: Key[Array, " members"]) -> ActorCritic:
    """Networks from these keys, every leaf with a leading axis of members."""
    return jax.vmap(lambda key: new_network(settings, key))(keys)


def naive_population(settings: CoalaIPD, key: PRNGKeyArray) -> ActorCritic:
    """The initial networks of naive learners, every leaf with a leading axis of members."""
    return new_networks(settings, population_keys(settings, key))


def train_interval(settings: CoalaIPD, trainee: Trainee, start: Int[Array, ""]) -> tuple[Trainee, dict[str, Array]]:
    """The iterations of one row of metrics, from number `start` on."""
    return one_row(partial(iterate, settings), trainee, start, settings.run)


class Trainer(IterationTrainer):
    """The experiment as the host runs it."""

    def __init__(self, settings: CoalaIPD):
        check(settings)
        check_rule(settings)
        run, size = settings.run, settings.shaping
        agents, alone = size.meta_agents, adjust(settings, naive_share=1.0)
        share = mixed_pool.share_of_process(settings)
        memory.require_fit(
            memory_bytes(share, mixed_pool.seed_batch(share.run)),
            "lower --seed-batch, --replicas, --batch, --inner-episodes, --hidden or --segment",
        )
        initial = mixed_pool.mapped(run, lambda key, _: new_trainee(settings, key), agents, once=True)

        def mapped(settings: CoalaIPD) -> Callable:
            return mixed_pool.mapped(run, lambda trainee, start: train_interval(settings, trainee, start), agents)

        meeting, among_naive = mapped(settings), mapped(alone)

        def train(trainees: Trainee, iteration: int):
            return (among_naive if iteration < settings.naive.naive_iterations else meeting)(trainees, iteration)

        steps = agents * run.seeds * size.replicas * size.batch * size.inner_episodes * settings.game.rounds
        super().__init__(
            settings,
            initial=lambda: initial(mixed_pool.keys(run, agents), 0),
            train=train,
            steps=lambda iteration: steps,
            rate="meta_steps_per_second",
        )


KEPT_TWICE = 6  # what differentiating both networks twice keeps of a round, in that of one network once


def memory_bytes(settings: CoalaIPD, seed_batch: int) -> int:
    """About how much memory a run takes, in bytes: what backpropagation through a minibatch of whole meta-trajectories
    keeps. lola_dice backpropagates through all inner episodes at once, and twice through those of the look-ahead.
    """
    size, minibatches, segment = settings.shaping, settings.ppo.minibatches, settings.ppo.segment
    episodes = size.inner_episodes
    if settings.by_lookahead:
        episodes, minibatches, segment = episodes + KEPT_TWICE * (1 + settings.lookahead.lookaheads), 1, 0
    rounds, tables = settings.game.rounds * episodes, size.replicas * size.batch / minibatches
    at_once = segment + rounds / segment if segment else rounds  # rounds of a segment, and the states between segments
    inputs = 0 if has_tables(settings.game) else settings.game.observation_space.size
    kept = 30 * settings.network.hidden * at_once + 2 * inputs * rounds
    return round(size.meta_agents * seed_batch * 4 * tables * kept)


def within_meta_trajectory(
    settings: CoalaIPD, agents: dict[str, np.ndarray], key: PRNGKeyArray
) -> dict[str, Float[np.ndarray, "seeds agents episodes"]]:
    """What `by_inner_episode` measures, with the agents of an agents file and R new co-players each."""
    check(settings)
    run, count = settings.run, settings.shaping.meta_agents

    def one(network: ActorCritic, key: PRNGKeyArray):
        population = naive_population(settings, jax.random.fold_in(key, POPULATION))
        return by_inner_episode(settings, play(settings, population, network, key))

    new = partial(new_network, settings, jax.random.key(0))
    networks = mixed_pool.weights_of(run, new, agents, "network", count)
    keys = jax.random.split(key, (count, run.seeds))
    over_agents = jax.jit(jax.vmap(one, axis_name=LEARNERS))
    by_seed = [
        jax.tree.map(np.asarray, over_agents(jax.tree.map(lambda leaf, i=i: leaf[:, i], networks), keys[:, i]))
        for i in range(run.seeds)
    ]
    return {name: np.stack([means[name] for means in by_seed]) for name in by_seed[0]}


def naive_co_player(settings: CoalaIPD, agents: list[RecurrentPlayer], key: PRNGKeyArray) -> Player:
    """The naive learners of a run as one player, who begins each match as one of them."""
    if settings.naive.naive_start == "agents":
        first = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[agent.network for agent in agents])
    else:
        first = naive_population(settings, key)
    return naive_learner(settings, first)


def match_episodes(settings: CoalaIPD) -> int:
    """Episodes in a row of a match, a meta-trajectory: what most agents remember."""
    return settings.shaping.inner_episodes


def players(settings: CoalaIPD, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[RecurrentPlayer]:
    """The meta agents of one seed as players, who remember a whole meta-trajectory, or, of lola_dice, one inner episode
    at a time.
    """
    check(settings)
    new, count = partial(new_network, settings, jax.random.key(0)), settings.shaping.meta_agents
    networks = mixed_pool.learners_of(settings.run, new, agents, "network", seed, count)
    return [RecurrentPlayer(network, lasting=not settings.by_lookahead) for network in networks]
