"""The recipes of the coin game: the settings of CleanUp-lite in another game, and naive learners alone."""

import pytest

from coplayer.experiments import cleanup, coala_ipd, coin, registry
from coplayer.settings import adjust, flat

GROUPS = {"coin-shaping": cleanup.SHAPING, "coin-mixed": cleanup.MIXED}


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("command", coin.RECIPES)
def test_every_preset_can_be_trained(command, preset):
    settings = registry.preset(command, preset)
    coala_ipd.check(settings)
    assert settings.game == coin.GAME and settings.game.size == 3
    if command in GROUPS:
        segment = {"quick": 0, "paper": 32}[preset]
        assert settings == adjust(GROUPS[command][preset], game=coin.GAME, segment=segment)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_naive_learners_meet_each_other_alone_and_remember_one_episode(preset):
    settings, mixed = coin.NAIVE[preset], flat(coin.MIXED[preset])
    assert settings.with_naive == 0 and settings.with_agents == settings.shaping.replicas
    changed = {name for name, value in flat(settings).items() if value != mixed[name]}
    assert changed <= {"methods", "meta_agents", "naive_share", "inner_episodes", "segment"}
    assert settings.shaping.inner_episodes == 1 and settings.shaping.meta_agents == 2
