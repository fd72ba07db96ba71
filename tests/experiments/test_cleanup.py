"""The recipes of CleanUp-lite: the published settings, and what another method than COALA-PG changes."""

import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import cleanup, coala_ipd, registry
from coplayer.experiments.protocol import Recipe
from coplayer.settings import flat

BOTH = {
    "replicas": 512,
    "core": "hawk",
    "hidden": 32,
    "gamma": 1.0,
    "gae_lambda": 1.0,
    "td_lambda": 1.0,
    "centred": True,
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.0,
    "reward_scale": 0.1,
    "max_gradient_norm": 1.0,
    "naive_reward_scale": 0.1,
}
PUBLISHED = {
    "shaping": {
        "iterations": 3000,
        "batch": 32,
        "inner_episodes": 100,
        "naive_share": 1.0,
        "meta_agents": 1,
        "naive_population": 10,
        "naive_start": "random",
        "epochs": 4,
        "minibatches": 2,
        "clip": 0.2,
        "update_rule": "adam",
        "learning_rate": 1e-3,
        "naive_gamma": 0.99,
        "naive_update_rule": "adam",
        "naive_learning_rate": 5e-3,
    },
    "mixed": {
        "iterations": 30000,
        "batch": 64,
        "inner_episodes": 5,
        "naive_share": 0.75,
        "meta_agents": 3,
        "naive_population": 3,
        "naive_start": "agents",
        "epochs": 1,
        "minibatches": 1,
        "update_rule": "sgd",
        "learning_rate": 0.1,
        "naive_gamma": 1.0,
        "naive_update_rule": "sgd",
        "naive_learning_rate": 1.0,
    },
}


@pytest.mark.parametrize("pool", PUBLISHED)
def test_the_paper_presets_are_the_published_settings(pool):
    published, settings = BOTH | PUBLISHED[pool], cleanup.PRESETS[pool]["paper"]
    assert {name: flat(settings)[name] for name in published} == published
    assert settings.game.rounds == 64


@pytest.mark.parametrize("method", coala_ipd.AGENT_METHODS)
@pytest.mark.parametrize("pool", cleanup.PRESETS)
def test_every_preset_can_be_trained_by_every_method(pool, method):
    for preset in cleanup.PRESETS[pool]:
        own = cleanup.of_method(pool, preset, method)
        coala_ipd.check(own)
        assert own.shaping.methods == (method,)


def test_what_other_methods_change_when_they_shape():
    for preset, more in (("paper", {"reward_scale": 1.0, "learning_rate": 3e-3}), ("quick", {})):
        before, after = flat(cleanup.SHAPING[preset]), flat(cleanup.of_method("shaping", preset, "m_fos"))
        changed = {name: after[name] for name in before if before[name] != after[name]}
        assert changed == {"methods": ("m_fos",)} | more


@pytest.mark.parametrize(
    ("command", "presets", "message"),
    [
        ("cleanup-mixed", cleanup.SHAPING, "the command cleanup-mixed of coala-ipd is taken"),
        ("third", {"quick": cleanup.SHAPING["quick"]}, "the recipe third of coala-ipd has no preset paper"),
    ],
)
def test_recipes_beside_an_experiment_are_checked_as_its_own(command, presets, message):
    before = dict(registry.RECIPES)
    with pytest.raises(CoplayerError, match=message):
        registry.register_recipes({command: Recipe("", "", presets)})
    assert before == registry.RECIPES
