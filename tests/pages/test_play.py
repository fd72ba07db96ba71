"""The page as a file: nothing from outside, nothing that is executed but its own scripts, colours that can be read."""

import json
import re
import zlib
from importlib import resources

import jax
import numpy as np
import pytest

from coplayer.analysis.zero_determinant import fit_extortion
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.world_model import RoundModel
from coplayer.pages import grid, play
from coplayer.pages.play import Seated, data_of, fixed_players, page_of, write_page
from coplayer.players.memory1 import cooperation
from coplayer.players.planner import PlannerSettings, PPIPlayer
from page_files import assert_nothing_else_runs, scripts

PD = prisoners_dilemma(10)
HOSTILE = "</script><img src=x onerror=\"document.body.dataset.harm='yes'\"><!-- {{data}} & ' \" \\ \u2028"


def agent(game=PD):
    return Seated(PPIPlayer(RoundModel(game, 4, key=jax.random.key(0)), PlannerSettings()), "An agent.")


def test_texts_end_no_element_and_come_back_as_they_were():
    page = page_of(data_of(PD, {HOSTILE: agent()._replace(about=HOSTILE)}))
    assert page.count("<script") == page.count("</script>") == 5 and "<img" not in page and "<!--" not in page
    data = json.loads(scripts(page)[0])
    assert data["players"][0]["name"] == data["players"][0]["about"] == HOSTILE


def test_only_the_pages_own_scripts_and_style_may_run_and_nothing_is_loaded():
    page = page_of(data_of(PD, {"agent": agent()}))
    assert_nothing_else_runs(page)


def test_the_scripts_make_no_code_and_no_elements_of_texts():
    for name in {*play.MATRIX.scripts, *grid.CLEANUP.scripts}:
        script = resources.files(play.__package__).joinpath(name).read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|srcdoc", script
        )
        assert "</script" not in script and "<!--" not in script


def test_the_check_is_of_the_players():
    page = page_of(data_of(PD, {"agent": agent()}))
    assert re.search(r'data-check="(\w+)"', page)[1] == f"{zlib.crc32(scripts(page)[0].encode()):08x}"


def test_named_strategies_and_extortioners_of_a_prisoners_dilemma():
    fixed = fixed_players(PD)
    np.testing.assert_array_equal(fixed["tit for tat"].player.probabilities[:, 0], [1, 1, 0, 1, 0])
    fit = fit_extortion(fixed["extortioner 3"].player, PD)
    assert float(fit.chi) == pytest.approx(3, abs=1e-4) and float(fit.residual) < 1e-6
    kinds = {kind["name"]: kind["probabilities"] for kind in data_of(PD, {})["kinds"]}
    assert kinds["win stay lose shift"] == [1, 0, 0, 1]
    assert set(kinds) == set(fixed)


@pytest.mark.parametrize(
    ("game", "names"),
    [
        (MatrixGame([[4, 0], [3, 2]]), {"tit for tat", "random"}),  # a stag hunt has no extortioners
        (MatrixGame([[3.0, 0.0], [4.0, 1.0]], cooperation=1), {"random"}),
        (MatrixGame(np.eye(3)), {"random"}),
    ],
)
def test_fixed_players_that_have_a_meaning(game, names):
    fixed = fixed_players(game)
    assert names <= set(fixed) and not any("extortioner" in name for name in fixed)
    for name, seated in fixed.items():
        seated.player.check(game)
        assert name == "random" or "random" in fixed


def test_a_name_that_was_asked_for_is_not_there_twice():
    own = Seated(cooperation([1, 1, 0, 1, 0]), "Mine.")
    players = data_of(PD, {"tit for tat": own})["players"]
    assert [each["about"] for each in players if each["name"] == "tit for tat"] == ["Mine."]


def test_refusals_name_the_player_and_leave_what_was_there(tmp_path):
    with pytest.raises(CoplayerError, match=r"^agent: its model is made for 3 actions, this game has 2$"):
        write_page(tmp_path / "play.html", PD, {"agent": agent(MatrixGame(np.eye(3)))})
    write_page(tmp_path / "play.html", PD, {"agent": agent()})
    before = (tmp_path / "play.html").read_bytes()
    with pytest.raises(CoplayerError, match=r"out: .*play\.html exists already; name a new file"):
        write_page(tmp_path / "play.html", PD, {"agent": agent()})
    assert (tmp_path / "play.html").read_bytes() == before


def luminance(colour: str) -> float:
    """Of a colour #rrggbb, by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_all_texts_stand_out_from_the_paper_in_light_and_dark():
    style = resources.files(play.__package__).joinpath("play.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL):
        colours = dict(re.findall(r"--(\w+): (#\w{6});", block))
        assert set(colours) == {"paper", "raised", "ink", "soft", "rule", "yes", "no", "third", "fourth"}
        for paper in ("paper", "raised"):
            for text in ("ink", "soft", "yes", "no", "third", "fourth"):
                assert contrast(colours[paper], colours[text]) >= 4.5, (paper, text)


def test_things_stand_out_from_the_ground_of_a_grid_in_light_and_dark():
    """By 3 to 1, which WCAG 2 asks of pictures."""
    styles = [resources.files(play.__package__).joinpath(name).read_text() for name in grid.STYLES]
    for blocks in zip(*(re.findall(r":root \{(.*?)\}", style, re.DOTALL) for style in styles), strict=True):
        colours = dict(re.findall(r"--(\w+): (#\w{6});", "".join(blocks)))
        for ground, things in {
            "orchard": ("fruit", "yes", "no"),
            "river": ("mud", "yes", "no", "flash"),
            "meadow": ("yes", "no", "flash", "mud"),
            "raised": ("ice", "yes", "no"),
        }.items():
            for thing in things:
                assert contrast(colours[ground], colours[thing]) >= 3, (ground, thing)
        assert contrast(colours["paper"], colours["ice"]) >= 4.5  # of a text
