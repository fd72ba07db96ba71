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


def test_rewards_so_far_are_those_before_the_round():
    shown = watching.Shown("", [], np.array([[1.0, 0.0], [0.0, -2.0], [5.0, 5.0]]))
    assert [watching.so_far(shown, at) for at in (0, 2)] == ["round 1: rewards 0 and 0", "round 3: rewards 1 and -2"]
