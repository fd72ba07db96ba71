"""Every paper preset is lowered for accelerators that this machine need not have: all its operations exist there."""

import jax
import jax.numpy as jnp
import pytest

import coplayer
from coplayer.experiments import mixed_pool, registry
from coplayer.experiments.exact_ipd import ExactIPD
from coplayer.experiments.ppi_mixed import PPIMixed
from coplayer.runs import memory

PLATFORMS = ("cuda", "tpu")
ALONE = [name for name in registry.RECIPES if not registry.built_on(coplayer.preset(name, "paper"))]


@pytest.fixture
def lowered(monkeypatch):
    """A compiled function that is lowered when it is called, and how often that was. It gives shapes alone, or, if
    `filled`, zeros.
    """
    counted, compiled = dict.fromkeys(PLATFORMS, 0), mixed_pool.mapped

    def lowering(function, *, filled=False):
        def call(*given):
            for platform in PLATFORMS:
                text = function.trace(*given).lower(lowering_platforms=(platform,)).as_text()
                assert "stablehlo" in text
                counted[platform] += 1
            shapes = function.eval_shape(*given)
            return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes) if filled else shapes

        return call

    monkeypatch.setattr(mixed_pool, "mapped", lambda *given, **named: lowering(compiled(*given, **named)))
    monkeypatch.setattr(mixed_pool, "metric_rows", lambda *given, **named: [])
    monkeypatch.setattr(memory, "require_fit", lambda *given: None)  # of the machine that would train it
    return lowering, counted


@pytest.mark.long
@pytest.mark.parametrize("name", ALONE)
def test_a_paper_preset_is_lowered_for_accelerators(name, lowered):
    lowering, counted = lowered
    settings = coplayer.preset(name, "paper")
    trainer = registry.trainer_of(settings)
    if isinstance(settings, ExactIPD):
        trainer._train = lowering(trainer._train, filled=True)
    state = trainer.initial_state()
    trainer.advance(state)
    if isinstance(settings, PPIMixed):  # the fit to data; now the play after it
        trainer.advance(state._replace(update=trainer.updates(state.phase)))
    assert min(counted.values()) >= (1 if isinstance(settings, ExactIPD) else 2)


def test_what_is_left_out_builds_on_another_run():
    assert set(registry.RECIPES) - set(ALONE) == {"ppi-step2", "ppi-step3", "a2c-step2", "a2c-step3"}
