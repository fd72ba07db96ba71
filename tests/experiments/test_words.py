"""What a word for a player means, where folders have names of strategies too."""

import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments.tournaments import players_of
from coplayer.experiments.words import is_name, run_of

NAMES = ("tit_for_tat", "Tit For Tat", "axelrod", "ppi-mixed")


def test_a_run_that_has_a_name_of_a_player_is_meant_by_its_path_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        assert is_name(name)
        (tmp_path / name).mkdir()
        assert run_of(name, "players") is None  # a folder that is no run hides nothing
        (tmp_path / name / "config.json").write_text("{}")
        with pytest.raises(CoplayerError) as refused:
            run_of(name, "players")
        assert str(refused.value).startswith(f"players: {name} is a name and the folder of a run; write ")
        assert run_of(f"./{name}", "players").path.resolve() == tmp_path / name
    with pytest.raises(CoplayerError, match="players: tit_for_tat is a name and the folder of a run"):
        players_of(["tit_for_tat"])


def test_paths_and_other_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for word in ("mine", "./tit_for_tat", "runs/mixd"):
        with pytest.raises(CoplayerError, match=f"agents: {word} is not the folder of a run"):
            run_of(word, "agents")
    assert run_of("nobody", "agents") is None and not is_name("nobody")
    (tmp_path / "mine" / "config.json").write_text("{}")
    assert run_of("mine", "agents").path.name == "mine"
