"""Episodes of games on a grid to look at: an animation, and a strip of pictures for a document."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from coplayer.games.grid import Scene
from coplayer.runs.files import write_atomically

OWN, OTHER, FROZEN = "C0", "C1", "lightgray"
THINGS = {  # marker, colour and size
    "apple": ("o", "crimson", 0.2),
    "dirt": ("s", "saddlebrown", 0.34),
    "own coin": ("o", OWN, 0.2),
    "other coin": ("o", OTHER, 0.2),
}
FRAME_MILLISECONDS, LAST_MILLISECONDS = 250, 1500
ANIMATION_DPI, STRIP_DPI = 80, 130
STRIP = 6  # pictures of an episode in the strip


class Shown(NamedTuple):
    """One episode at one table."""

    title: str
    scenes: list[Scene]  # before each round, and after the last
    rewards: np.ndarray  # [round, 2], of both players


def draw_scene(axis: plt.Axes, scene: Scene) -> None:
    """Draw a table: the grid, what lies on it, and the players; who is frozen is gray."""
    columns, rows = scene.size
    axis.set(xlim=(0, columns), ylim=(rows, 0), xticks=range(columns + 1), yticks=range(rows + 1), aspect="equal")
    axis.tick_params(length=0, labelbottom=False, labelleft=False)
    axis.grid(color="lightgray", linewidth=0.6)
    for (column, row), kind in scene.things.items():
        marker, colour, size = THINGS[kind]
        if marker == "o":
            patch = plt.Circle((column + 0.5, row + 0.5), size, color=colour)
        else:
            patch = plt.Rectangle((column + 0.5 - size, row + 0.5 - size), 2 * size, 2 * size, color=colour)
        axis.add_patch(patch)
    for (column, row), frozen, colour, shift in zip(
        scene.players, scene.frozen, (OWN, OTHER), (-0.2, 0.2), strict=True
    ):
        corners = [(column + 0.5 + shift + dx, row + 0.5 + dy) for dx, dy in ((-0.16, 0.28), (0.16, 0.28), (0, -0.28))]
        axis.add_patch(plt.Polygon(corners, facecolor=FROZEN if frozen else colour, edgecolor=colour, linewidth=1.5))


def draw_moment(axis: plt.Axes, shown: Shown, at: int) -> str:
    """Draw the table before round `at`, from 0, or after the last round. Returns the round and the rewards of both
    players until then.
    """
    rounds = len(shown.rewards)
    own, other = shown.rewards[:at].sum(0)
    draw_scene(axis, shown.scenes[at])
    rewards = f"{own:g} and {other:g}"
    return f"round {at + 1}: rewards {rewards}" if at < rounds else f"after round {rounds}: rewards {rewards}"


def animate(path: Path, episodes: Sequence[Shown], names: tuple[str, str]) -> None:
    """Write the episodes side by side as an animated GIF: a frame for each round, and one for the end.
    `names`: of the two players.
    """
    frames, rounds = [], max(len(shown.rewards) for shown in episodes)
    figure, axes = plt.subplots(
        1, len(episodes), figsize=(3.2 * len(episodes), 3.5), squeeze=False, layout="constrained", dpi=ANIMATION_DPI
    )
    _name(figure, names)
    for at in range(rounds + 1):
        for axis, shown in zip(axes[0], episodes, strict=True):
            axis.clear()
            moment = draw_moment(axis, shown, min(at, len(shown.rewards)))
            axis.set_title(f"{shown.title}\n{moment}", fontsize=9)
        figure.canvas.draw()
        frames.append(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").quantize(64))
    plt.close(figure)
    buffer = io.BytesIO()
    seconds = [FRAME_MILLISECONDS] * rounds + [LAST_MILLISECONDS]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=seconds, loop=0, disposal=1)
    write_atomically(path, buffer.getvalue())


def draw_strip(path: Path, episodes: Sequence[Shown], names: tuple[str, str]) -> None:
    """Write a row of pictures for each episode, at equal distances from its beginning to its end, as a PNG."""
    figure, axes = plt.subplots(
        len(episodes), STRIP, figsize=(2.2 * STRIP, 2.2 * len(episodes)), squeeze=False, layout="constrained"
    )
    for row, shown in zip(axes, episodes, strict=True):
        for axis, at in zip(row, np.linspace(0, len(shown.rewards), STRIP).round().astype(int), strict=True):
            axis.set_title(draw_moment(axis, shown, int(at)), fontsize=7.5)
        row[0].set_ylabel(shown.title, fontsize=9)
    _name(figure, names)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=STRIP_DPI)
    plt.close(figure)
    write_atomically(path, buffer.getvalue())


def _name(figure: plt.Figure, names: tuple[str, str]) -> None:
    """Say below which player is which."""
    handles = [
        plt.Line2D([], [], marker="^", linestyle="", color=colour, label=name)
        for colour, name in zip((OWN, OTHER), names, strict=True)
    ]
    handles.append(plt.Line2D([], [], marker="^", linestyle="", color="gray", markerfacecolor=FROZEN, label="frozen"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
