"""Watching runs: which episodes are shown, of whom, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import registry, watch
from coplayer.experiments.archive import archive
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import TINY_A2C, TINY_COALA

ROUNDS = 5


@pytest.fixture(scope="module")
def cleanup(tmp_path_factory):
    changes = {"game": CleanUpLite(ROUNDS), "iterations": 2, "log_every": 1, "phases": 2, "seeds": 1}
    return registry.train(adjust(TINY_COALA, **changes), tmp_path_factory.mktemp("cleanup") / "run")


@pytest.fixture(scope="module")
def coin(tmp_path_factory):
    settings = adjust(TINY_A2C, game=CoinGame(rounds=ROUNDS), seeds=1, learner_share=1.0)
    return registry.train(settings, tmp_path_factory.mktemp("coin") / "run")


@pytest.fixture
def shown(monkeypatch):
    """What is drawn, in place of drawing it."""
    drawn = []
    monkeypatch.setattr(watch, "animate", lambda path, episodes, names: drawn.append((episodes, names)))
    monkeypatch.setattr(watch, "draw_strip", lambda path, episodes, names: None)
    return drawn


def test_an_animation_and_a_strip_from_the_command_line(cleanup, capsys):
    assert cli.main(["watch", str(cleanup.path)]) == 0
    assert f"animation: {cleanup.figures / 'watch.gif'}" in capsys.readouterr().out
    with Image.open(cleanup.figures / "watch.gif") as animation:
        assert animation.n_frames == ROUNDS + 1  # and the rewards at the end
    with Image.open(cleanup.figures / "watch.png") as strip:
        assert strip.format == "PNG" and len(set(np.asarray(strip.convert("L")).ravel())) > 3


@pytest.mark.parametrize(("whom", "names"), [("auto", ("agent", "naive learner")), ("agent", ("agent 1", "agent 2"))])
def test_the_first_the_middle_and_the_last_inner_episode_of_a_meta_trajectory(cleanup, shown, whom, names):
    watch.watch(cleanup, whom=whom)
    ((episodes, called),) = shown
    assert called == names
    assert [each.title for each in episodes] == ["inner episode 1", "inner episode 2", "inner episode 4"]
    for each in episodes:
        assert len(each.scenes) == 1 + len(each.rewards) == 1 + ROUNDS  # and the grid after the last round
        assert list(each.scenes[0].things.values()) == ["dirt"] * 3  # every inner episode begins anew
        for before, after in zip(each.scenes, each.scenes[1:], strict=False):
            assert all(
                abs(a - b) + abs(c - d) <= 1 for (a, c), (b, d) in zip(before.players, after.players, strict=True)
            )


def test_agents_of_one_episode_are_shown_over_training(coin, shown):
    watch.watch(coin)
    watch.watch(coin, phase=2)
    assert [[each.title for each in episodes] for episodes, _ in shown] == [
        ["after phase 1", "after phase 2", "after phase 3"],
        ["after phase 1", "after phase 2"],
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"whom": "naive"}, "whom: .* has no naive learners"),
        ({"whom": "nobody"}, "whom: must be one of auto, naive, agent, got 'nobody'"),
        ({"phase": 9}, "phase: .* has phases 1 to 3, got 9"),
        ({"phase": 0}, "phase: .* has phases 1 to 3, got 0"),
        ({"seed": 5}, "seed: this run has seeds 0 to 0, got 5"),
    ],
)
def test_what_cannot_be_watched_is_one_line(coin, asked, message):
    with pytest.raises(CoplayerError, match=message):
        watch.watch(coin, **asked)


def test_an_archive_stays_as_it_is(coin, tmp_path, capsys):
    kept, out = archive(coin.path, tmp_path / "kept"), tmp_path / "pictures"
    before = sorted(kept.path.rglob("*"))
    assert cli.main(["watch", str(kept.path)]) == 2
    assert f"out: {kept.path} is an archive, which stays as it is" in capsys.readouterr().err
    assert cli.main(["watch", str(kept.path), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["watch.gif", "watch.png"]
    assert sorted(kept.path.rglob("*")) == before


def test_a_game_without_a_scene_is_refused(tmp_path):
    run = registry.train(adjust(TINY_COALA, iterations=2, log_every=1, phases=1, seeds=1), tmp_path / "run")
    with pytest.raises(CoplayerError, match="game: MatrixGame has no scene to be drawn; cleanup-lite, coin have one"):
        watch.watch(RunFolder.open(run.path))
