"""Shares of the reward and the line between both players' rewards."""

import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.extortion import reward_line
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.trajectory import JointActions


def test_against_a_loop_over_episodes_and_polyfit():
    tables = np.array([[[1.0, -1.0], [2.0, 0.0]], [[10.0, -10.0], [20.0, 5.0]]])
    joint = np.random.default_rng(0).integers(4, size=(6, 30))
    own, other = [], []
    for episode in joint.T:
        own.append(np.mean([tables[0, j // 2, j % 2] for j in episode]))
        other.append(np.mean([tables[1, j % 2, j // 2] for j in episode]))
    line = reward_line(JointActions(jnp.asarray(joint), MatrixGame(tables, rounds=6)))
    slope, intercept = np.polyfit(other, own, 1)
    expected = (sum(own) / (sum(own) + sum(other)), slope, intercept, np.corrcoef(own, other)[0, 1])
    np.testing.assert_allclose(line, expected, rtol=1e-4, atol=1e-5)
    line = reward_line(JointActions(jnp.asarray(joint), MatrixGame(tables, rounds=6)), player=1)
    slope, intercept = np.polyfit(own, other, 1)
    expected = (sum(other) / (sum(own) + sum(other)), slope, intercept, np.corrcoef(own, other)[0, 1])
    np.testing.assert_allclose(line, expected, rtol=1e-4, atol=1e-5)


def test_a_line_through_three_episodes_by_hand():
    """Rewards (own, other): (1.5, 0), (1, 1), (0, 0) per round."""
    joint = jnp.array([[0, 0, 3], [2, 0, 3]])
    line = reward_line(JointActions(joint, prisoners_dilemma(2)))
    # covariance: mean of products 1/3 less (5/6)(1/3); variance of the others': 1/3 less 1/9
    assert float(line.slope) == pytest.approx((1 / 18) / (2 / 9))
    assert float(line.share) == pytest.approx(2.5 / 3.5)


def test_what_is_not_defined_is_nan():
    line = reward_line(JointActions(jnp.full((3, 4), 3), prisoners_dilemma(3)))
    assert np.isnan([line.share, line.slope, line.intercept, line.correlation]).all()
