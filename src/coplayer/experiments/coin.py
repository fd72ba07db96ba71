"""Meta agents in the coin game: do they leave the other player's coins alone? The recipes.

The experiment is that of `coala_ipd`, with the settings of CleanUp-lite (see `experiments.cleanup`). Neither paper has
the coin game; it is the field's usual social dilemma with state.
"""

from coplayer.experiments import cleanup
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.experiments.protocol import Recipe
from coplayer.games.coin import CoinGame
from coplayer.settings import adjust

GAME = CoinGame(rounds=32)
SOURCE = "Foerster et al. 2018, section 5.3 (the game)"


def in_coin_game(presets: dict[str, CoalaIPD]) -> dict[str, CoalaIPD]:
    """Presets of CleanUp-lite in the coin game. Segments are as long as an inner episode, where there are any."""
    return {
        preset: adjust(settings, game=GAME, segment=GAME.rounds if settings.ppo.segment else 0)
        for preset, settings in presets.items()
    }


SHAPING, MIXED = in_coin_game(cleanup.SHAPING), in_coin_game(cleanup.MIXED)
NAIVE = {  # without naive learners and without memory of earlier episodes, agents are naive learners themselves
    preset: adjust(
        settings,
        methods=("batch_unaware",),
        meta_agents=2,
        naive_share=0.0,
        inner_episodes=1,
        segment=0,
    )
    for preset, settings in MIXED.items()
}
RECIPES = {
    "coin-shaping": Recipe(
        "A meta agent among naive learners in the coin game: whose coins are taken?", SOURCE, SHAPING
    ),
    "coin-mixed": Recipe("Meta agents among naive learners and each other in the coin game.", SOURCE, MIXED),
    "coin-naive": Recipe("Two naive learners with each other in the coin game.", SOURCE, NAIVE),
}
