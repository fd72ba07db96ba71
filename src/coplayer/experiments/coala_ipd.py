"""Meta agents that shape learning co-players, on the sampled iterated prisoner's dilemma (Meulemans et al. 2025,
figure 5; spec section 7).

Each meta agent plays meta-trajectories with naive learners, with other meta agents, or with both, and is trained by PPO
through whole meta-trajectories. The three estimators of the gradient differ in the advantages alone.

LOLA-DiCE agents are the fourth method: they see one inner episode at a time, and their policy climbs the gradient of
`pools.lookahead`. They play the same meta-trajectories, which measure them and which their values are fitted on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from coplayer.errors import require
from coplayer.experiments import mixed_pool
from coplayer.experiments.axes import LEARNERS, of_all_learners
from coplayer.experiments.iterations import IterationTrainer, check_first, check_iterations
from coplayer.experiments.mixed_pool import make_game
from coplayer.experiments.recipes import Recipe
from coplayer.figures.published import Panel
from coplayer.games.matrix import COOPERATE, MatrixGame
from coplayer.learning import a2c, coala, ppo
from coplayer.learning.returns import lambda_returns
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.core import CoreKind, check_core
from coplayer.networks.layers import pick
from coplayer.players.recurrent import RecurrentPlayer
from coplayer.pools import lookahead, shaping
from coplayer.pools.lookahead import Lookahead
from coplayer.runs import memory

NAME = "coala-ipd"
SOURCE = "Meulemans et al. 2025, figure 5C"
WEIGHTS, PLAY, ORDER, POPULATION, LOOKAHEAD = range(5)  # streams of random numbers


@dataclass(frozen=True)
class CoalaIPD:
    """Meta agents that see their co-players learn, among naive learners and each other."""

    payoffs: tuple[float, ...] = (1.0, -1.0, 2.0, 0.0)
    """One's own reward for each own action (rows) and co-player's action (columns), row by row: n * n numbers, the same
    for both players. Action 0 counts as cooperation."""
    rounds: int = 10
    """Rounds of an inner episode (T)."""
    inner_episodes: int = 20
    """Inner episodes of a meta-trajectory (M)."""
    batch: int = 16
    """Games side by side with one co-player, from which a naive one learns (B)."""
    replicas: int = 128
    """Co-players each agent meets in an iteration (R)."""
    naive_share: float = 0.75
    """Share of these that are naive learners (p_naive); the others are other meta agents."""
    naive_iterations: int = 0
    """First iterations, with naive learners alone: agents learn to shape these before they meet each other."""
    meta_agents: int = 4
    """Meta agents that are trained, each with its own weights."""
    naive_population: int = 10
    """Initial networks that naive learners begin a meta-trajectory with."""
    methods: tuple[str, ...] = ("coala",)
    """Estimator of the policy gradient: coala, m_fos or batch_unaware; one for all agents, or one an agent. Or
    lola_dice, for all: agents who see one inner episode at a time and differentiate through their co-players' steps;
    gae_lambda, centred and PPO's settings do nothing then. It needs other settings: see "coplayer train lola-ipd"."""
    lookaheads: int = 1
    """Steps of a co-player that lola_dice looks ahead, each on B new inner episodes."""
    lookahead_rate: float = 1.0
    """Step size that it takes the co-player for, on its reward a round; a Hawk's large features ask for a small one."""
    lookahead_share: float = 1.0
    """Weight of the look-ahead's gradient in lola_dice; the rest is the plain gradient's."""
    core: CoreKind = "hawk"
    """Recurrent core of all networks: hawk or gru."""
    hidden: int = 32
    """Its width."""
    seeds: int = 1
    """Independent repetitions, numbered from --seed."""
    seed: int = 0
    """The first seed."""
    iterations: int = 3000
    """Iterations of playing R meta-trajectories and learning from them."""
    phases: int = 20
    """Equal parts of the training; the agents at the end of each are kept."""
    log_every: int = 10
    """Iterations that a row of metrics is the mean of; a killed run loses whole intervals."""
    epochs: int = 4
    """PPO's passes over the meta-trajectories of an iteration; with 1 epoch of 1 minibatch the update is A2C's."""
    minibatches: int = 2
    """Minibatches of a pass, each of whole replicas."""
    clip: float = 0.2
    """PPO's bound on the ratio of probabilities, and on the change of a value."""
    gamma: float = 1.0
    """Discount a round. With gamma * gae_lambda below 1 the shaping signal is lost over the inner episodes."""
    gae_lambda: float = 1.0
    """Lambda of the advantages."""
    td_lambda: float = 1.0
    """Lambda of the returns that the value is fitted to."""
    reward_scale: float = 0.05
    """Factor on the rewards in the losses; never in what is reported."""
    centred: bool = False
    """Centre the advantages, separately for naive and for meta co-players."""
    value_coefficient: float = 0.5
    """Weight of the value's squared error."""
    entropy_coefficient: float = 0.0
    """Weight of the policy's entropy."""
    entropy_end: float = 1.0
    """Share of it left at the end of its annealing."""
    entropy_from: int = 0
    """Iteration from which it falls to that, linearly."""
    entropy_iterations: int = 0
    """Iterations in which it falls; 0: all from there on."""
    learning_rate: float = 3e-4
    """Adam's learning rate."""
    learning_rate_end: float = 1.0
    """Share of it left at the end of training."""
    learning_rate_from: int = 0
    """Iteration from which it falls to that, linearly."""
    max_gradient_norm: float = 1.0
    """Bound on the gradient's norm."""
    naive_learning_rate: float = 5e-3
    """Adam's learning rate of the naive learners."""
    naive_gamma: float = 0.99
    """Their discount a round."""
    naive_reward_scale: float = 0.05
    """Their factor on the rewards."""
    seed_batch: int = 0
    """Seeds trained side by side by vmap; 0: all on a GPU, one at a time on a CPU."""
    checkpoint_seconds: float = 60.0
    """Save the state at the end of each phase, and when this much time has passed since the last save."""


PRESETS: dict[str, CoalaIPD] = {
    "paper": CoalaIPD(),
    "quick": CoalaIPD(
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
    "paper": replace(PRESETS["paper"], naive_share=1.0, meta_agents=1),
    "quick": replace(
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
LOLA = {  # a GRU's small features learn to defect before they tell rounds apart; its gradient is of a reward a round
    "paper": replace(PRESETS["paper"], methods=("lola_dice",), learning_rate=3e-3),
    "quick": replace(
        PRESETS["quick"],
        methods=("lola_dice",),
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
GROUP = ("coala", "coala", "coala", "m_fos")
RIVALRY = {  # where naive learners are few, agents come to cooperate before they extort
    "paper": replace(PRESETS["paper"], methods=GROUP),
    "quick": replace(
        PRESETS["quick"],
        methods=GROUP,
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
        "Three meta agents of COALA-PG and one of M-FOS, among naive learners and each other.",
        "Meulemans et al. 2025, section 5",
        RIVALRY,
    ),
}


def panel(config: CoalaIPD) -> Panel:
    """What the training curves of a run are drawn as."""
    return Panel("5", "meta agent", "iteration")


MAY_BE_ZERO = {
    *("seed", "seed_batch", "naive_share", "gamma", "gae_lambda", "td_lambda", "value_coefficient"),
    *("entropy_coefficient", "entropy_end", "entropy_from", "entropy_iterations", "naive_gamma"),
    *("lookahead_rate", "lookahead_share", "learning_rate_end", "learning_rate_from", "naive_iterations"),
}
SHARES = (
    *("naive_share", "gamma", "gae_lambda", "td_lambda", "naive_gamma", "lookahead_share"),
    *("entropy_end", "learning_rate_end"),
)


def check(config: CoalaIPD) -> None:
    """Refuse a config that cannot be trained, naming the setting and what is allowed."""
    mixed_pool.check_numbers(config, MAY_BE_ZERO)
    for name in SHARES:
        require(getattr(config, name) <= 1, f"{name}: must be at most 1, got {getattr(config, name)}")
    check_core(config.core, config.hidden)
    require(
        bool(config.methods) and set(config.methods) <= set(METHODS),
        f"methods: must be of {', '.join(METHODS)}, got {', '.join(config.methods) or 'none'}",
    )
    require(
        len(config.methods) in (1, config.meta_agents),
        f"methods: needs one, or one for each of the {config.meta_agents} meta agents, got {len(config.methods)}",
    )
    require(
        LOLA_DICE not in config.methods or set(config.methods) == {LOLA_DICE},
        f"methods: {LOLA_DICE} cannot be mixed with others, got {', '.join(config.methods)}",
    )
    naive = config.replicas * config.naive_share
    require(
        abs(naive - round(naive)) < 1e-6,
        f"replicas: {config.replicas} with naive_share = {config.naive_share} must come out in whole co-players",
    )
    require(
        config.naive_share == 1 or config.meta_agents > 1,
        "meta_agents: must be at least 2 where naive_share is below 1",
    )
    require(
        config.replicas % config.minibatches == 0,
        f"minibatches: must divide the {config.replicas} replicas, got {config.minibatches}",
    )
    check_iterations(config)
    check_first(config, "naive_iterations")
    for name in ("entropy_from", "learning_rate_from"):
        begin = getattr(config, name)
        require(begin < config.iterations, f"{name}: must be below iterations = {config.iterations}, got {begin}")
    require(make_game(config).symmetric, "payoffs: must be one table, the same for both players")


ESTIMATORS = {"coala": coala.COALA, "m_fos": coala.M_FOS, "batch_unaware": coala.BATCH_UNAWARE}
LOLA_DICE = "lola_dice"
METHODS = (*ESTIMATORS, LOLA_DICE)


class Setting(NamedTuple):
    """What the numerical code needs to know of a config; constants under `jit`."""

    game: MatrixGame  # its rounds are T
    core: CoreKind
    hidden: int
    inner_episodes: int
    batch: int
    naive: int  # replicas with naive learners
    meta: int  # replicas with other meta agents
    naive_population: int
    naive_updating: a2c.Updating
    methods: tuple[str, ...]  # by agent
    lookahead: Lookahead | None  # where the method is lola_dice
    updating: ppo.Updating
    entropy: a2c.Schedule
    learning_rate: a2c.Schedule
    gamma: float
    gae_lambda: float
    td_lambda: float
    reward_scale: float
    centred: bool
    log_every: int


def make_setting(config: CoalaIPD) -> Setting:
    """The numerical side of a config."""
    game = make_game(config)
    naive = round(config.replicas * config.naive_share)

    def schedule(start: float, end: float, begin: int, iterations: int = 0) -> a2c.Schedule:
        return a2c.Schedule(start, end, iterations or config.iterations - begin, "linear", begin)

    return Setting(
        game=game,
        core=config.core,
        hidden=config.hidden,
        inner_episodes=config.inner_episodes,
        batch=config.batch,
        naive=naive,
        meta=config.replicas - naive,
        naive_population=config.naive_population,
        naive_updating=a2c.Updating(
            gamma=config.naive_gamma,
            gae_lambda=1.0,
            td_lambda=1.0,
            reward_scale=config.naive_reward_scale,
            centred=True,
            value_coefficient=0.5,
            entropy=a2c.constant(0.0),
            learning_rate=a2c.constant(config.naive_learning_rate),
            max_gradient_norm=1.0,
        ),
        methods=config.methods * (config.meta_agents // len(config.methods)),
        lookahead=Lookahead(
            steps=config.lookaheads,
            rate=config.lookahead_rate,
            share=config.lookahead_share,
            gamma=config.gamma,
            learner_gamma=config.naive_gamma,
            reward_scale=config.reward_scale,
        )
        if LOLA_DICE in config.methods
        else None,
        updating=ppo.Updating(
            epochs=config.epochs,
            minibatches=config.minibatches,
            clip=config.clip,
            value_coefficient=config.value_coefficient,
            max_gradient_norm=config.max_gradient_norm,
        ),
        entropy=schedule(
            config.entropy_coefficient, config.entropy_end, config.entropy_from, config.entropy_iterations
        ),
        learning_rate=schedule(config.learning_rate, config.learning_rate_end, config.learning_rate_from),
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        td_lambda=config.td_lambda,
        reward_scale=config.reward_scale,
        centred=config.centred,
        log_every=config.log_every,
    )


def new_network(setting: Setting, key: PRNGKeyArray) -> ActorCritic:
    return ActorCritic(setting.game, setting.hidden, core=setting.core, zero_heads=True, key=key)


def new_learner(setting: Setting, key: PRNGKeyArray) -> a2c.LearnerState:
    """A meta agent before its first iteration."""
    network = new_network(setting, jax.random.fold_in(key, WEIGHTS))
    return a2c.LearnerState(network, a2c.optimiser(setting.updating.max_gradient_norm).init(network), key)


def estimated(
    function: Callable,
    setting: Setting,
    method: str,
    rewards: Float[Array, "time replicas batch"],
    values: Float[Array, "time replicas batch"],
) -> Any:
    """`coala.advantages` or `coala.advantage_parts` as a method takes them, of every replica by itself, for a loss
    that is a mean over all.
    """
    estimator = ESTIMATORS[method]
    of_replica = partial(
        function,
        episode_length=setting.game.rounds,
        gamma=setting.gamma,
        gae_lambda=setting.gae_lambda,
        estimator=estimator,
    )
    parts = jax.vmap(of_replica, in_axes=(1, 1, None), out_axes=1)(rewards, values, jnp.zeros(setting.batch))
    return jax.tree.map(lambda part: coala.policy_scale(estimator, setting.batch) * part, parts)


def weights(
    setting: Setting, joint: Int[Array, "time replicas batch"], values: Float[Array, "time replicas batch"]
) -> tuple[Float[Array, "time replicas batch"], Float[Array, "time replicas batch"]]:
    """Advantages as the policy loss takes them, a mean over all, and value targets. In a function mapped over the
    agents. Naive co-players come first; with other meta agents every method is batch-unaware, which is exact there.
    """
    rewards = setting.reward_scale * setting.game.reward(joint)

    def estimate(method: str, at: slice) -> Array:
        return estimated(coala.advantages, setting, method, rewards[:, at], values[:, at])

    naive, meta = slice(0, setting.naive), slice(setting.naive, None)
    known = sorted(set(setting.methods))
    own = jnp.asarray([known.index(method) for method in setting.methods])[jax.lax.axis_index(LEARNERS)]
    groups = []
    if setting.naive:
        groups.append(jnp.stack([estimate(method, naive) for method in known])[own])
    if setting.meta:
        groups.append(estimate("batch_unaware", meta))
    if setting.centred:
        groups = [group - group.mean() for group in groups]
    end = jnp.zeros(values.shape[1:])
    targets = coala.value_targets(rewards, values, end, gamma=setting.gamma, td_lambda=setting.td_lambda)
    return jnp.concatenate(groups, axis=1), targets


def groups(setting: Setting, population: ActorCritic, network: ActorCritic) -> list[shaping.Group]:
    """Whom an agent meets, naive learners first. In a function mapped over the agents, who lend each other their
    networks.
    """
    groups = []
    if setting.naive:
        groups.append(shaping.Group(shaping.NaiveLearner(population, setting.naive_updating), setting.naive))
    if setting.meta:
        kind = shaping.ForgetfulAgent if setting.lookahead else shaping.LastingAgent
        groups.append(shaping.Group(kind(of_all_learners(network), jax.lax.axis_index(LEARNERS)), setting.meta))
    return groups


def play(
    setting: Setting, population: ActorCritic, network: ActorCritic, key: PRNGKeyArray
) -> shaping.MetaTrajectories:
    """One iteration's meta-trajectories. In a function mapped over the agents."""
    return shaping.play(
        setting.game,
        network,
        groups(setting, population, network),
        key,
        batch=setting.batch,
        inner_episodes=setting.inner_episodes,
        lasting=setting.lookahead is None,
    )


def by_inner_episode(
    setting: Setting, joint: Int[Array, "time replicas batch"]
) -> dict[str, Float[Array, " episodes"]]:
    """Mean rewards a round and rates of action 0 in each inner episode, of both sides; of other meta agents one's own
    alone.
    """
    game, split = setting.game, setting.naive

    def mean(values: Array) -> Array:
        return values.reshape(setting.inner_episodes, -1).mean(1)

    def side(name: str, joint: Array) -> dict[str, Array]:
        cooperates = (game.own_action(joint) == COOPERATE).astype(jnp.float32)
        return {f"reward_{name}": mean(game.reward(joint)), f"cooperation_{name}": mean(cooperates)}

    means = {}
    if setting.meta:
        means |= side("vs_learner", joint[:, split:])
    if setting.naive:
        means |= side("vs_naive", joint[:, :split]) | side("of_naive", game.swap(joint[:, :split]))
    return means


def play_metrics(setting: Setting, joint: Int[Array, "time replicas batch"]) -> dict[str, Array]:
    """Means over the whole meta-trajectories; rewards with naive learners also over the first and the last quarter of
    the inner episodes.
    """
    means = by_inner_episode(setting, joint)
    metrics = {name: values.mean() for name, values in means.items()}
    if setting.naive:
        quarter = max(1, setting.inner_episodes // 4)
        for side in ("vs_naive", "of_naive"):
            metrics[f"early_reward_{side}"] = means[f"reward_{side}"][:quarter].mean()
            metrics[f"late_reward_{side}"] = means[f"reward_{side}"][-quarter:].mean()
    return metrics


class Improved(NamedTuple):
    """An agent after an iteration's updates."""

    learner: a2c.LearnerState
    measured: dict[str, Array]


def improve_by_ppo(
    setting: Setting,
    learner: a2c.LearnerState,
    played: shaping.MetaTrajectories,
    key: PRNGKeyArray,
    entropy_coefficient: Float[Array, ""],
    learning_rate: Float[Array, ""],
) -> Improved:
    """PPO's updates on the meta-trajectories just played."""
    advantages, targets = weights(setting, played.joint, played.values)
    actions = setting.game.own_action(played.joint)
    experience = ppo.Experience(
        observations=shaping.observations(played.joint, setting.game.rounds),
        actions=actions,
        log_probabilities=pick(jax.nn.log_softmax(played.logits, axis=0), actions),
        values=played.values,
        advantages=advantages,
        targets=targets,
    )
    network, optimiser, losses, norm = ppo.improve(
        learner.network,
        learner.optimiser,
        experience,
        setting.updating,
        key,
        entropy_coefficient=entropy_coefficient,
        learning_rate=learning_rate,
    )
    measured = {
        "loss_policy": losses.policy,
        "loss_value": losses.value,
        "entropy": losses.entropy,
        "gradient_norm": norm,
    }
    return Improved(learner._replace(network=network, optimiser=optimiser), measured)


def co_players(setting: Setting, population: ActorCritic, network: ActorCritic, key: PRNGKeyArray) -> ActorCritic:
    """The networks of R co-players as they begin a meta-trajectory, each leaf with a leading axis of these. In a
    function mapped over the agents.
    """
    drawn = []
    for index, group in enumerate(groups(setting, population, network)):
        keys = jax.random.split(jax.random.fold_in(key, index), group.replicas)
        drawn.append(jax.vmap(lambda key, group=group: group.co_player.begin(key, setting.batch).network)(keys))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *drawn)


def fit_gradient(
    setting: Setting, network: ActorCritic, played: shaping.MetaTrajectories, entropy_coefficient: Float[Array, ""]
) -> tuple[ActorCritic, dict[str, Array]]:
    """Gradient of the losses beside the policy's, for an agent who sees one inner episode at a time: of the value's
    squared error on all inner episodes just played, and of the entropy there.
    """

    def inner_episodes(leaf: Array) -> Array:  # [M * T, R, B] -> [T, M * R * B]
        return jnp.moveaxis(leaf.reshape(setting.inner_episodes, setting.game.rounds, -1), 1, 0).reshape(
            setting.game.rounds, -1
        )

    joint, values = inner_episodes(played.joint), inner_episodes(played.values)
    targets = lambda_returns(
        setting.reward_scale * setting.game.reward(joint),
        values,
        jnp.zeros(values.shape[1]),
        gamma=setting.gamma,
        lambda_=setting.td_lambda,
    )

    def loss_of(network: ActorCritic):
        logits, values = network.unroll(shaping.observations(joint, setting.game.rounds))
        logs = jax.nn.log_softmax(logits, axis=0)
        error, entropy = ((values - targets) ** 2).mean(), -(jnp.exp(logs) * logs).sum(0).mean()
        total = setting.updating.value_coefficient * error - entropy_coefficient * entropy
        return total, {"loss_value": error, "entropy": entropy}

    return jax.grad(loss_of, has_aux=True)(network)


def improve_by_lookahead(
    setting: Setting,
    learner: a2c.LearnerState,
    population: ActorCritic,
    played: shaping.MetaTrajectories,
    key: PRNGKeyArray,
    entropy_coefficient: Float[Array, ""],
    learning_rate: Float[Array, ""],
) -> Improved:
    """One step of Adam: up the look-ahead's gradient, of scaled rewards as in the other methods, and down those of the
    value's error. In a function mapped over the agents.
    """
    meeting, looking = jax.random.split(key)
    network = learner.network
    others = co_players(setting, population, network, meeting)
    ahead = lookahead.gradient(network, others, looking, batch=setting.batch, lookahead=setting.lookahead)
    fit, measured = fit_gradient(setting, network, played, entropy_coefficient)
    slope = jax.tree.map(lambda fit, ahead: fit - setting.reward_scale * ahead, fit, ahead)
    steps, optimiser = a2c.optimiser(setting.updating.max_gradient_norm).update(slope, learner.optimiser, network)
    learner = learner._replace(network=a2c.descend(network, steps, learning_rate), optimiser=optimiser)
    return Improved(learner, measured | {"gradient_norm": optax.tree.norm(slope)})


def iterate(
    setting: Setting, learner: a2c.LearnerState, population: ActorCritic, iteration: Int[Array, ""]
) -> tuple[a2c.LearnerState, dict[str, Array]]:
    """Play meta-trajectories and learn from them. Returns the metrics beside."""

    def key(stream: int) -> PRNGKeyArray:
        return jax.random.fold_in(jax.random.fold_in(learner.key, stream), iteration)

    played = play(setting, population, learner.network, key(PLAY))
    annealed = setting.entropy.at(iteration), setting.learning_rate.at(iteration)
    if setting.lookahead:
        learner, measured = improve_by_lookahead(setting, learner, population, played, key(LOOKAHEAD), *annealed)
    else:
        learner, measured = improve_by_ppo(setting, learner, played, key(ORDER), *annealed)
    return learner, play_metrics(setting, played.joint) | measured


def naive_population(setting: Setting, key: PRNGKeyArray) -> ActorCritic:
    """The initial networks of naive learners, every leaf with a leading axis of members."""
    return jax.vmap(lambda key: new_network(setting, key))(jax.random.split(key, setting.naive_population))


def train_interval(
    setting: Setting, learner: a2c.LearnerState, start: Int[Array, ""]
) -> tuple[a2c.LearnerState, dict[str, Array]]:
    """The iterations of one row of metrics, from number `start` on."""
    population = naive_population(setting, jax.random.fold_in(learner.key, POPULATION))
    iterations = start + jnp.arange(setting.log_every)
    learner, metrics = jax.lax.scan(lambda learner, at: iterate(setting, learner, population, at), learner, iterations)
    return learner, jax.tree.map(lambda values: values.mean(), metrics)


class Trainer(IterationTrainer):
    """The experiment as the host runs it."""

    def __init__(self, config: CoalaIPD):
        check(config)
        setting, agents = make_setting(config), config.meta_agents
        alone = make_setting(replace(config, naive_share=1.0))
        memory.require_fit(
            memory_bytes(config, mixed_pool.seed_batch(config)),
            "lower --seed-batch, --replicas, --batch, --inner-episodes or --hidden",
        )
        initial = mixed_pool.mapped(config, lambda key, _: new_learner(setting, key), agents)
        length = config.inner_episodes * config.rounds

        def mapped(setting: Setting) -> Callable:
            return mixed_pool.mapped(config, lambda learner, start: train_interval(setting, learner, start), agents)

        meeting, among_naive = mapped(setting), mapped(alone)

        def train(learners: a2c.LearnerState, iteration: int):
            return (among_naive if iteration < config.naive_iterations else meeting)(learners, iteration)

        super().__init__(
            config,
            initial=lambda: initial(mixed_pool.keys(config, agents), 0),
            train=train,
            steps=lambda iteration: agents * config.seeds * config.replicas * config.batch * length,
            rate="meta_steps_per_second",
        )


KEPT_TWICE = 6  # what differentiating both networks twice keeps of a round, in that of one network once


def memory_bytes(config: CoalaIPD, seed_batch: int) -> int:
    """About how much memory a run takes, in bytes: what backpropagation through a minibatch of whole meta-trajectories
    keeps; of lola_dice, through all inner episodes at once, and twice through those of the look-ahead.
    """
    episodes, minibatches = config.inner_episodes, config.minibatches
    if LOLA_DICE in config.methods:
        episodes, minibatches = config.inner_episodes + KEPT_TWICE * (1 + config.lookaheads), 1
    kept = 4 * config.rounds * episodes * config.replicas * config.batch / minibatches * 30 * config.hidden
    return round(config.meta_agents * seed_batch * kept)


def within_meta_trajectory(
    config: CoalaIPD, agents: dict[str, np.ndarray], key: PRNGKeyArray
) -> dict[str, Float[np.ndarray, "seeds agents episodes"]]:
    """What `by_inner_episode` measures, with the agents of an agents file and `config.replicas` new co-players each."""
    check(config)
    setting = make_setting(config)

    def one(network: ActorCritic, key: PRNGKeyArray):
        population = naive_population(setting, jax.random.fold_in(key, POPULATION))
        return by_inner_episode(setting, play(setting, population, network, key).joint)

    networks = mixed_pool.weights_of(
        config, lambda: new_network(setting, jax.random.key(0)), agents, "network", config.meta_agents
    )
    keys = jax.random.split(key, (config.meta_agents, config.seeds))
    over_agents = jax.jit(jax.vmap(one, axis_name=LEARNERS))
    by_seed = [
        jax.tree.map(np.asarray, over_agents(jax.tree.map(lambda leaf, i=i: leaf[:, i], networks), keys[:, i]))
        for i in range(config.seeds)
    ]
    return {name: np.stack([means[name] for means in by_seed]) for name in by_seed[0]}


def match_episodes(config: CoalaIPD) -> int:
    """Episodes in a row of a match, a meta-trajectory: what most agents remember."""
    return config.inner_episodes


def players(config: CoalaIPD, agents: dict[str, np.ndarray], *, phase: int, seed: int) -> list[RecurrentPlayer]:
    """The meta agents of one seed as players, who remember a whole meta-trajectory, or, of lola_dice, one inner episode
    at a time.
    """
    check(config)
    setting = make_setting(config)
    networks = mixed_pool.learners_of(
        config, lambda: new_network(setting, jax.random.key(0)), agents, "network", seed, config.meta_agents
    )
    return [RecurrentPlayer(network, lasting=setting.lookahead is None) for network in networks]
