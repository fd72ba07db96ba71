"""Figures of one exact run: its rewards and policy over training, and where its agents lie in the extortion family."""

from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from coplayer.analysis.zero_determinant import ExtortionFit, family_corners, fit_extortion, largest_phi
from coplayer.errors import CoplayerError
from coplayer.experiments import exact_ipd
from coplayer.experiments.exact_ipd import ExactIPD
from coplayer.figures.panels import Band, BandPanel, row_of, save
from coplayer.games.matrix import MatrixGame
from coplayer.players.memory1 import Memory1
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder

REWARD = "reward per round"
ITERATION = "iteration"


def metric(folder: RunFolder, name: str) -> tuple[np.ndarray, Float[np.ndarray, "seeds points"]]:
    """The iterations that a metric is known at, and its values there, the mean over the two agents."""
    return folder.over_training(name, "iteration")


def band(folder: RunFolder, name: str, label: str, *, since: int = 0, until: int | None = None) -> Band:
    """A metric from iteration `since` to `until` (None: to the end). Iteration `since` is 0 on the axis."""
    x, values = metric(folder, name)
    chosen = (x >= since) & (x <= (x[-1] if until is None else until))
    return Band(label, x[chosen] - since, values[:, chosen])


def final(folder: RunFolder, name: str) -> Float[np.ndarray, " seeds"]:
    """A metric at the end of training, by seed."""
    return metric(folder, name)[1][:, -1]


def final_logits(folder: RunFolder, settings: ExactIPD) -> Float[np.ndarray, "2 params seeds"]:
    """The logits of all agents at the end of training."""
    return exact_ipd.logits_of(settings, checkpoint.load_agents(folder.agents_file(folder.phases()[-1])))


def final_policies(folder: RunFolder, settings: ExactIPD) -> Memory1:
    """Both agents of every seed at the end of training, as a batch of players `[learner, seed]`."""
    logits = jnp.asarray(final_logits(folder, settings)).swapaxes(0, 1)
    tables = exact_ipd.table(logits)  # [5, 2 actions, learner, seed]
    return Memory1(np.asarray(jnp.moveaxis(tables, (0, 1), (-2, -1))))


def draw_family(axis: plt.Axes, fits: dict[str, ExtortionFit], game: MatrixGame) -> None:
    """Draw where the fitted strategies lie in the extortion family, the triangle of all (phi, phi chi)."""
    axis.fill(*family_corners(game).T, facecolor="0.92", edgecolor="0.6", linewidth=1)
    for chi in (1.0, 2.0, 4.0, 8.0):
        phi = largest_phi(game, chi)
        axis.plot([0, phi], [0, phi * chi], color="0.75", linewidth=0.8)
        axis.annotate(f"chi {chi:g}", (phi, phi * chi), fontsize=7, color="0.4")
    for index, (label, fit) in enumerate(fits.items()):
        phi, residual, chi = (np.ravel(values) for values in (fit.phi, fit.residual, fit.chi))
        psi = np.where(phi > 0, phi * np.where(phi > 0, chi, 0), np.nan)
        axis.scatter(phi, psi, s=8 + 60 * residual, color=f"C{index}", alpha=0.6, label=label)
    axis.set(xlabel="phi", ylabel="phi chi", title="the family; larger dots fit worse")
    axis.title.set_fontsize(9)
    axis.legend(frameon=False, fontsize=7.5)


def training_panels(folder: RunFolder) -> list[BandPanel]:
    """Rewards and the agents' policy over training."""
    return [
        BandPanel(
            "rewards",
            ITERATION,
            REWARD,
            [
                band(folder, "reward_vs_learner", "agent against agent"),
                band(folder, "reward_vs_naive", "agent against naive"),
                band(folder, "reward_of_naive", "naive against agent"),
            ],
        ),
        BandPanel(
            "the agents' policy",
            ITERATION,
            "P(cooperate)",
            [band(folder, f"p_{state}", state.upper()) for state in exact_ipd.OBSERVATIONS],
        ),
    ]


def draw_run(folder: RunFolder, settings: ExactIPD, path: Path) -> None:
    """Draw rewards and policy over training, and the agents of the last phase in the extortion family. The last panel
    stays empty where the game is no prisoner's dilemma.
    """
    game = settings.game
    figure, axes = row_of(training_panels(folder), more=1)
    try:
        draw_family(axes[-1], {"agents": fit_extortion(final_policies(folder, settings), game)}, game)
    except CoplayerError:  # a game without such a family
        axes[-1].set_axis_off()
    figure.suptitle(f"{folder.path.name}: median and quartiles over seeds", fontsize=10)
    save(figure, path)
