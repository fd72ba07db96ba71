"""The files of fingerprints say what was played."""

import csv

import jax
import numpy as np
import pytest

from coplayer.analysis.fingerprint import ashlock
from coplayer.errors import CoplayerError
from coplayer.experiments.fingerprints import take
from coplayer.experiments.tournaments import players_of
from coplayer.games.matrix import prisoners_dilemma

GAME = prisoners_dilemma(8)


def test_the_table_has_a_row_for_each_player_and_point(tmp_path):
    players = players_of(("tit_for_tat", "Grudger"))
    taken = take(players, GAME, tmp_path / "out", steps=2, matches=3, seed=5)
    assert taken.picture.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(taken.table.open()))
    assert [(row["player"], row["x"], row["y"]) for row in rows[:4]] == [
        ("tit_for_tat", "0", "0"),
        ("tit_for_tat", "0", "0.5"),
        ("tit_for_tat", "0", "1"),
        ("tit_for_tat", "0.5", "0"),
    ]
    key = jax.random.fold_in(jax.random.key(5), 1)
    expected = ashlock(players["Grudger"], GAME, key, steps=2, matches=3)
    np.testing.assert_allclose([float(row["reward"]) for row in rows[9:]], np.ravel(expected), atol=5e-5)


def test_nothing_is_overwritten_and_nobody_is_refused(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(CoplayerError, match="exists already"):
        take(players_of(("tit_for_tat",)), GAME, tmp_path)
    with pytest.raises(CoplayerError, match="exists already"):
        take(players_of(("tit_for_tat",)), GAME, tmp_path / "file")
    with pytest.raises(CoplayerError, match="needs at least one"):
        take({}, GAME, tmp_path / "out")
