"""The smallest configs that go through every part of an experiment."""

from coplayer.experiments.a2c_mixed import A2CMixed
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.exact_ipd import ExactIPD
from coplayer.experiments.ppi_mixed import PPIMixed
from coplayer.games.matrix import prisoners_dilemma
from coplayer.settings import adjust

TINY = adjust(
    PPIMixed(),
    game=prisoners_dilemma(6),
    phases=3,
    model="round",
    hidden=4,
    tabular_episodes=32,
    fresh_tabular=True,
    episodes=12,
    warm_start=True,
    first_updates=3,
    updates=5,
    fit_batch=16,
    learning_rate=3e-3,
    rollouts=2,
    horizon=3,
    expected_rewards=True,
    play_blocks=2,
    checkpoint_seconds=0.001,  # save after every chunk
)

TINY_TOKEN = adjust(
    TINY,
    model="token",
    fresh_tabular=False,
    warm_start=False,
    expected_rewards=False,
    first_updates=0,
    updates=0,
    fit_epochs=2,
    embedding=3,
    seeds=2,
)

TINY_A2C = adjust(
    A2CMixed(),
    game=prisoners_dilemma(5),
    iterations=12,
    phases=3,
    log_every=2,
    hidden=4,
    episodes=8,
    reward_scale=0.2,
    entropy_end=0.5,
    learning_rate_end=0.5,
    annealing="cosine",
    seeds=2,
    checkpoint_seconds=0.001,
)

TINY_EXACT = adjust(
    ExactIPD(),
    game=prisoners_dilemma(5),
    naive_share=0.5,
    later_naive_shares=(0.0,),
    inner_episodes=2,
    naive_learners=3,
    method="lookahead",
    method_share=0.5,
    iterations=8,
    log_every=2,
    phases=4,
    seeds=3,
    checkpoint_seconds=0.001,
)

PLAIN_EXACT = adjust(TINY_EXACT, naive_share=0.0, later_naive_shares=(), method="naive", method_share=1.0)
"""Compiles in a fraction of the time."""

TINY_COALA = adjust(
    CoalaIPD(),
    game=prisoners_dilemma(3),
    inner_episodes=4,
    batch=2,
    replicas=4,
    naive_share=0.5,
    meta_agents=2,
    naive_population=2,
    methods=("coala", "m_fos"),
    core="gru",
    hidden=4,
    seeds=2,
    seed_batch=2,
    iterations=12,
    phases=3,
    log_every=2,
    epochs=2,
    learning_rate=3e-3,
    entropy_coefficient=0.01,
    naive_learning_rate=0.05,
    checkpoint_seconds=0.001,
)
