"""Zero-determinant strategies of two-action games: memory-1 players that force a line on the two players' rewards.

Press and Dyson 2012; with a discount, Hilbe, Traulsen and Sigmund 2015. Payoffs are named as usual: T, R, P, S are
one's own rewards at DC, CC, DD, CD (action 0 is C). A player cooperates with probability p_0 at the start, and with
the four probabilities p after CC, CD, DC, DD. Against any co-player, the discounted weights v of the four joint actions
then satisfy

    v . (discount p + (1 - discount) p_0 - (1, 1, 0, 0)) = 0.

Let S_own and S_other be both players' payoffs at the four joint actions. A player whose bracket equals
alpha S_own + beta S_other + constant therefore forces

    alpha reward_own + beta reward_other + constant = 0

on the rewards per round: of the discounted game, or of the long run where the discount is 1.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from coplayer.analysis.exact import payoffs_by_joint
from coplayer.errors import require, require_kind
from coplayer.games.matrix import MatrixGame
from coplayer.players.memory1 import Memory1, cooperation

REPEAT = np.array([1.0, 1.0, 0.0, 0.0])  # the player that repeats its last action


class LinearRelation(NamedTuple):
    """own * reward_own + other * reward_other + constant = 0, held up to `residual`."""

    own: Float[Array, "..."]
    other: Float[Array, "..."]
    constant: Float[Array, "..."]
    residual: Float[Array, "..."]  # root mean square over the four joint actions; 0: the relation is enforced


class ExtortionFit(NamedTuple):
    """The member of the extortion family nearest to a player."""

    chi: Float[Array, "..."]  # the player's surplus over mutual defection is chi times the co-player's; may be inf
    phi: Float[Array, "..."]
    residual: Float[Array, "..."]  # root mean square over the probabilities after CC, CD, DC, DD


def extortion(game: MatrixGame, chi: float, phi: float, *, start: float = 0.0) -> Memory1:
    """The strategy that claims chi times the co-player's surplus over mutual defection.

        p_CC = 1 - phi (chi - 1) (R - P) / (P - S)           p_DC = phi (chi + (T - P) / (P - S))
        p_CD = 1 - phi (1 + chi (T - P) / (P - S))           p_DD = 0

        chi >= 1                                             0 < phi <= (P - S) / ((P - S) + chi (T - P))

    The formulas and their limits are those of Meulemans et al. 2025, appendix C. The relation holds in the long run,
    for any probability `start` of cooperating first. The strategy never ends mutual defection itself. Raises
    `CoplayerError` for a chi or phi outside the limits, or a game that is no prisoner's dilemma.
    """
    r, t = _ratios(game)
    largest = largest_phi(game, chi)
    require(np.isfinite(chi) and chi >= 1, f"chi: must be a finite number of at least 1, got {chi:g}")
    require(0 <= start <= 1, f"start: must be a probability, got {start}")
    require(0 < phi <= largest * (1 + 1e-12), f"phi: must lie in (0, {largest:g}] for chi = {chi:g}, got {phi:g}")
    row = [start, 1 - phi * (chi - 1) * r, 1 - phi * (1 + chi * t), phi * (chi + t), 0.0]
    return cooperation(np.clip(row, 0, 1))


def largest_phi(game: MatrixGame, chi: float) -> float:
    """The largest phi of the extortion strategies of this chi."""
    return 1 / (1 + chi * _ratios(game)[1])


def family_corners(game: MatrixGame) -> Float[np.ndarray, "3 2"]:
    """Corners of the extortion family, the triangle of all (phi, phi chi) with phi >= 0, chi >= 1, phi <= largest."""
    _, t = _ratios(game)
    return np.array([[0.0, 0.0], [0.0, 1 / t], [1 / (1 + t), 1 / (1 + t)]])


def enforced_relation(player: Memory1, game: MatrixGame, *, discount: float = 1.0) -> LinearRelation:
    """The linear relation nearest to what a player enforces, by least squares. It is enforced if its residual is 0.

    The coefficients are scaled so that the larger of `own` and `other`, in absolute value, is 1. The residual is that
    of the player's probabilities, before scaling. Three coefficients of 0 mean a player that repeats its last action
    and enforces nothing. Raises `CoplayerError` for a game of more than two actions.
    """
    _require_two_actions(game)
    require_kind("player", player, Memory1)
    require(0 < discount <= 1, f"discount: must be in (0, 1], got {discount}")
    p = player.probabilities[..., 0]
    bracket = discount * p[..., 1:] + (1 - discount) * p[..., :1] - REPEAT
    columns = np.stack([*payoffs_by_joint(game), np.ones(4)], axis=1)
    coefficients = bracket @ np.linalg.pinv(columns).T
    residual = jnp.sqrt(((coefficients @ columns.T - bracket) ** 2).mean(-1))
    scale = jnp.abs(coefficients[..., :2]).max(-1, keepdims=True)
    own, other, constant = jnp.moveaxis(coefficients / jnp.where(scale > 0, scale, 1), -1, 0)
    return LinearRelation(own, other, constant, residual)


def fit_extortion(player: Memory1, game: MatrixGame) -> ExtortionFit:
    """The (chi, phi) whose strategy is nearest to a player's probabilities after CC, CD, DC, DD, by least squares.

    The family is linear in x = (phi, phi chi), so it is a triangle. Where the free minimum lies inside the triangle, it
    is the nearest point. Otherwise the nearest point is the best of the nearest points on the three sides.
    """
    require_kind("player", player, Memory1)
    r, t = _ratios(game)
    matrix = np.array([[r, -r], [-1.0, -t], [t, 1.0], [0.0, 0.0]])
    target = player.probabilities[..., 0][..., 1:] - REPEAT
    corners = family_corners(game)
    free = target @ np.linalg.pinv(matrix).T
    phi, psi = free[..., 0], free[..., 1]
    inside = (phi >= 0) & (psi >= phi) & (phi + t * psi <= 1)

    candidates = []
    for one, other in ((0, 1), (1, 2), (2, 0)):
        side = matrix @ (corners[other] - corners[one])
        share = jnp.clip((target - matrix @ corners[one]) @ side / (side @ side), 0, 1)
        candidates.append(corners[one] + share[..., None] * (corners[other] - corners[one]))
    candidates = jnp.stack([free, *candidates])
    errors = jnp.sqrt(((candidates @ matrix.T - target) ** 2).mean(-1))
    errors = errors.at[0].set(jnp.where(inside, errors[0], jnp.inf))
    best = errors.argmin(0)
    phi, psi = jnp.moveaxis(jnp.take_along_axis(candidates, best[None, ..., None], axis=0)[0], -1, 0)
    chi = jnp.where(phi > 0, psi / jnp.where(phi > 0, phi, 1), jnp.inf)
    return ExtortionFit(chi, phi, errors.min(0))


def _require_two_actions(game: MatrixGame) -> None:
    require(game.num_actions == 2, f"game: zero-determinant strategies need 2 actions, got {game.num_actions}")


def _ratios(game: MatrixGame) -> tuple[float, float]:
    """(R - P) / (P - S) and (T - P) / (P - S)."""
    _require_two_actions(game)
    require(game.symmetric, "game: the extortion family needs a game with the same payoffs for both players")
    (reward, sucker), (temptation, punishment) = game.tables[0].tolist()
    require(
        temptation > reward > punishment > sucker,
        f"game: must be a prisoner's dilemma with T > R > P > S, got {game.payoffs}",
    )
    return (reward - punishment) / (punishment - sucker), (temptation - punishment) / (punishment - sucker)
