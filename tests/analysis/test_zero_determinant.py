"""Zero-determinant strategies: the line they enforce, to 1e-10, and fits against brute force."""

import jax
import numpy as np
import pytest

from coplayer.analysis.exact import discounted_returns, stationary_rewards
from coplayer.analysis.zero_determinant import enforced_relation, extortion, fit_extortion
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import Memory1, cooperation, named_strategy

GAMES = {
    "ours": prisoners_dilemma(),
    "axelrod": MatrixGame([[3.0, 0.0], [5.0, 1.0]]),
}


def random_players(count: int, seed: int = 0) -> Memory1:
    return cooperation(np.random.default_rng(seed).uniform(0.05, 0.95, (count, 5)))


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize(("chi", "share"), [(1.0, 1.0), (1.0, 0.3), (2.0, 0.7), (3.5, 1.0), (10.0, 0.5)])
def test_extortion_claims_chi_times_the_surplus_of_whoever_it_meets(name, chi, share):
    game = GAMES[name]
    (_, sucker), (temptation, punishment) = game.tables[0].tolist()
    phi = share * (punishment - sucker) / ((punishment - sucker) + chi * (temptation - punishment))
    with jax.enable_x64(True):
        both = np.asarray(stationary_rewards(extortion(game, chi, phi), random_players(50), game))
    np.testing.assert_allclose(both[:, 0] - punishment, chi * (both[:, 1] - punishment), atol=1e-10)
    assert both[:, 1].std() > 0.01


def test_extortion_by_hand():
    """T, R, P, S are 2, 1, 0, -1. So (R - P) / (P - S) = 1 and (T - P) / (P - S) = 2."""
    player = extortion(prisoners_dilemma(), chi=3.0, phi=0.1)
    np.testing.assert_allclose(player.probabilities[:, 0], [0, 0.8, 0.3, 0.5, 0], atol=1e-6)


@pytest.mark.parametrize("discount", [0.7, 0.95])
def test_a_relation_enforced_in_a_discounted_game(discount):
    """A player built from chosen coefficients, by the formula of Hilbe et al., and what it then enforces."""
    game = prisoners_dilemma()
    own, other, constant = -0.1, -0.4, 0.2
    start = 0.4
    line = own * np.array([1, -1, 2, 0]) + other * np.array([1, 2, -1, 0]) + constant
    p = (line - (1 - discount) * start + [1, 1, 0, 0]) / discount
    assert (p >= 0).all() and (p <= 1).all()
    with jax.enable_x64(True):
        player = cooperation([start, *p])
        found = enforced_relation(player, game, discount=discount)
        both = (1 - discount) * np.asarray(discounted_returns(player, random_players(50), game, discount))
        assert float(found.residual) < 1e-12
        np.testing.assert_allclose(
            [found.own, found.other, found.constant], np.array([own, other, constant]) / 0.4, atol=1e-10
        )
        np.testing.assert_allclose(found.own * both[:, 0] + found.other * both[:, 1] + found.constant, 0, atol=1e-10)


def test_who_enforces_a_relation_and_who_does_not():
    game = prisoners_dilemma()
    assert float(enforced_relation(named_strategy("tit_for_tat"), game).residual) < 1e-6
    found = enforced_relation(named_strategy("tit_for_tat"), game)
    np.testing.assert_allclose([found.own + found.other, found.constant], 0, atol=1e-6)  # equal rewards
    assert float(enforced_relation(named_strategy("win_stay_lose_shift"), game).residual) > 0.1
    repeating = enforced_relation(cooperation([0.5, 1, 1, 0, 0]), game)
    np.testing.assert_allclose(repeating, 0, atol=1e-6)


@pytest.mark.parametrize("name", GAMES)
def test_fitting_gives_back_what_was_built(name):
    game = GAMES[name]
    fit = fit_extortion(extortion(game, 2.5, 0.06, start=0.3), game)
    np.testing.assert_allclose([fit.chi, fit.phi, fit.residual], [2.5, 0.06, 0], atol=1e-5)


def test_fits_of_random_players_against_a_grid():
    game, players = prisoners_dilemma(), random_players(20, seed=4)
    fit = fit_extortion(players, game)
    phi, psi = np.meshgrid(np.linspace(0, 1 / 3, 301), np.linspace(0, 0.5, 301), indexing="ij")
    allowed = (psi >= phi) & (phi + 2 * psi <= 1 + 1e-9)
    phi, psi = phi[allowed], psi[allowed]
    family = np.stack([1 - (psi - phi), 1 - (phi + 2 * psi), psi + 2 * phi, 0 * phi], axis=-1)
    for k in range(20):
        errors = np.sqrt(((family - np.asarray(players.probabilities[k, 1:, 0])) ** 2).mean(-1))
        assert fit.residual[k] <= errors.min() + 1e-6
        assert fit.residual[k] == pytest.approx(errors.min(), abs=3e-3)
        assert fit.phi[k] == pytest.approx(phi[errors.argmin()], abs=0.05)


def test_bad_input_is_refused():
    game = prisoners_dilemma()
    with pytest.raises(CoplayerError, match="chi: must be a finite number of at least 1"):
        extortion(game, 0.5, 0.1)
    with pytest.raises(CoplayerError, match="phi: must lie in"):
        extortion(game, 2.0, 0.5)
    with pytest.raises(CoplayerError, match="start: must be a probability, got 5"):
        extortion(game, 2.0, 0.1, start=5.0)
    with pytest.raises(CoplayerError, match=r"discount: must be in \(0, 1\], got 5"):
        enforced_relation(named_strategy("random"), game, discount=5.0)
    with pytest.raises(CoplayerError, match="prisoner's dilemma"):
        extortion(MatrixGame([[4, 0], [3, 2]]), 2.0, 0.1)
    with pytest.raises(CoplayerError, match="2 actions"):
        enforced_relation(named_strategy("random"), MatrixGame(np.zeros((3, 3))))
