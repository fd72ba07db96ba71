"""Pictures of scenes: who is where, and who is frozen."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgba

from coplayer.figures import watching
from coplayer.games.grid import Scene


def test_everything_of_a_scene_is_drawn_in_its_cell():
    scene = Scene((5, 4), [(1, 2), (4, 3)], [False, True], {(0, 1): "apple", (4, 0): "dirt"})
    figure, axis = plt.subplots()
    watching.draw_scene(axis, scene)
    centres = [patch.get_path().transformed(patch.get_patch_transform()).get_extents() for patch in axis.patches]
    cells = [(int((box.x0 + box.x1) / 2), int((box.y0 + box.y1) / 2)) for box in centres]
    assert cells == [(0, 1), (4, 0), (1, 2), (4, 3)]
    faces = [patch.get_facecolor() for patch in axis.patches[2:]]
    assert faces == [to_rgba(watching.OWN), to_rgba(watching.FROZEN)]
    plt.close(figure)


SCENES = [Scene((3, 2), [(at, 0), (at, 1)], [False, False], {}) for at in range(3)]
SHOWN = watching.Shown("title", SCENES, np.array([[1.0, 0.0], [4.0, -2.0]]))
MOMENTS = ["round 1: rewards 0 and 0", "round 2: rewards 1 and 0", "after round 2: rewards 5 and -2"]


def test_grid_and_rewards_are_those_before_the_round_and_at_last_those_after_the_episode(monkeypatch):
    drawn, (figure, axis) = [], plt.subplots()
    monkeypatch.setattr(watching, "draw_scene", lambda axis, scene: drawn.append(scene))
    assert [watching.draw_moment(axis, SHOWN, at) for at in range(3)] == MOMENTS
    assert drawn == SCENES
    plt.close(figure)


def test_the_animation_and_the_strip_end_with_the_rewards_of_the_last_round(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(plt.Axes, "set_title", lambda axis, label, **options: told.append(label))
    longer = SHOWN._replace(scenes=[*SCENES, SCENES[2]], rewards=np.array([[1.0, 0.0]] * 3))
    watching.animate(tmp_path / "a.gif", [SHOWN, longer], ("one", "other"))
    assert told[::2] == [f"title\n{moment}" for moment in (*MOMENTS, MOMENTS[-1])]
    assert told[-1] == "title\nafter round 3: rewards 3 and 0"
    told.clear()
    watching.draw_strip(tmp_path / "a.png", [SHOWN], ("one", "other"))
    assert list(dict.fromkeys(told)) == MOMENTS and len(told) == watching.STRIP
