"""Meta agents in CleanUp-lite (Meulemans et al. 2025, figures 6, 7, 13 and 14): the recipes.

The experiment is that of `coala_ipd`, in a game with state. Two things differ from the iterated prisoner's dilemma. An
agent's advantages are centred, separately for naive and for meta co-players. In the mixed pool naive learners begin as
the meta agents of the moment. Nobody learns this game from nothing in a few inner episodes.
"""

from typing import Any

from coplayer.experiments.coala_ipd import LOLA_DICE, CoalaIPD
from coplayer.experiments.protocol import Recipe
from coplayer.games.cleanup import CleanUpLite
from coplayer.settings import adjust

A2C = {"epochs": 1, "minibatches": 1}  # PPO with one update per iteration is A2C
SMALL = {  # for two CPU cores, with the reasons in docs/deviations.md
    "replicas": 16,
    "batch": 8,
    "iterations": 400,
    "core": "gru",
    "hidden": 16,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "td_lambda": 0.95,
    "lambda_from": 80,
    "lambda_iterations": 100,
    "entropy_coefficient": 1e-3,
    "epochs": 4,
    "minibatches": 4,
    "segment": 0,
    "update_rule": "adam",
    "learning_rate": 3e-3,
}
DYNAMIC = {  # naive learners who begin as the agents of the moment
    "naive_start": "agents",
    "naive_population": 3,
    "naive_gamma": 1.0,
    "naive_update_rule": "sgd",
    "naive_learning_rate": 1.0,
}
OF_METHOD: dict[str, dict[str, dict[str, Any]]] = {
    "shaping": {
        "m_fos": {"reward_scale": 1.0, "learning_rate": 3e-3},
        "batch_unaware": {"reward_scale": 1.0},
        LOLA_DICE: {"reward_scale": 1.0},
    },
    "mixed": {},
}
"""What another method than COALA-PG changes in the published settings of a pool. In `quick` they are all alike."""

SHAPING = {
    "paper": adjust(
        CoalaIPD(),
        game=CleanUpLite(64),
        iterations=3000,
        replicas=512,
        batch=32,
        inner_episodes=100,
        naive_share=1.0,
        meta_agents=1,
        centred=True,
        reward_scale=0.1,
        segment=64,  # without segments backpropagation through 6400 rounds keeps 230 GiB
        learning_rate=1e-3,
        naive_reward_scale=0.1,
    )
}
MIXED = {
    "paper": adjust(
        SHAPING["paper"],
        **A2C,
        **DYNAMIC,
        iterations=30000,
        batch=64,
        inner_episodes=5,
        naive_share=0.75,
        meta_agents=3,
        update_rule="sgd",
        learning_rate=0.1,
    )
}
SHAPING["quick"] = adjust(
    adjust(SHAPING["paper"], **SMALL, **DYNAMIC, inner_episodes=10),
    naive_update_rule="adam",
    naive_learning_rate=0.02,  # who learns in 10 inner episodes must learn fast
)
MIXED["quick"] = adjust(MIXED["paper"], **SMALL)
PRESETS = {"shaping": SHAPING, "mixed": MIXED}
RECIPES = {
    "cleanup-shaping": Recipe(
        "A meta agent among naive learners in CleanUp-lite: who cleans the river?",
        "Meulemans et al. 2025, figures 6 and 13",
        SHAPING,
    ),
    "cleanup-mixed": Recipe(
        "Meta agents among naive learners and each other in CleanUp-lite.",
        "Meulemans et al. 2025, figures 7 and 14",
        MIXED,
    ),
}


def of_method(pool: str, preset: str, method: str) -> CoalaIPD:
    """The settings of a method of `coala_ipd.AGENT_METHODS` in a pool, "shaping" or "mixed"."""
    changes = OF_METHOD[pool].get(method, {}) if preset == "paper" else {}
    return adjust(PRESETS[pool][preset], methods=(method,), **changes)
