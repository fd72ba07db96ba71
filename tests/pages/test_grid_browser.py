"""The page of a game on a grid in headless Chromium: an episode by keys and by clicks, a replay by its slider."""

import re

import equinox as eqx
import jax
import numpy as np
import pytest

from coplayer.games.cleanup import ZAP, CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.grid import Scene
from coplayer.networks.actor_critic import ActorCritic
from coplayer.pages.grid import Replay, write_grid_page
from coplayer.pages.play import Seated
from coplayer.players.recurrent import RecurrentPlayer

driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; make browser installs it")
GAME = CleanUpLite(4)
HOSTILE = "</script><img src=x onerror=\"document.body.dataset.harm='yes'\">"
TABLE = {(0, 3): "apple", (4, 0): "dirt"}
PLAYED = Replay(
    ("agent 0", "a naive learner"),
    "inner episode 1 of 2",
    [
        Scene((5, 4), [(0, 3), (1, 3)], [False, False], TABLE),
        Scene((5, 4), [(0, 2), (1, 3)], [False, True], {(4, 0): "dirt"}),
        Scene((5, 4), [(0, 1), (4, 0)], [False, False], {(4, 0): "dirt"}),
        Scene((5, 4), [(0, 2), (4, 0)], [False, False], {}),
    ],
    np.array([[4, 0], [2, 1], [3, 5]]),
    np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]),
    {
        "cleaning": np.array([[False, False], [False, False], [False, True]]),
        "zapped": np.array([[False, True], [False, False], [False, False]]),
    },
)


def agent(game, key=0, lasting=False):
    """An agent who never zaps, so that a person can always do what the person chooses."""
    network = ActorCritic(game, 16, key=jax.random.key(key))
    if game == GAME:
        network = eqx.tree_at(lambda each: each.head_bias, network, network.head_bias.at[ZAP].set(-100.0))
    return RecurrentPlayer(network, lasting=lasting)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "play.html"
    players = {
        "short": Seated(agent(GAME), "It forgets.", None, 4),
        "shaper": Seated(agent(GAME, 1, lasting=True), "It remembers.", None, 4, 2),
    }
    write_grid_page(path, GAME, players, [PLAYED, PLAYED._replace(title="inner episode 2 of 2")])
    return path


def begin(page, name, **counts):
    page.get_by_label("You meet", exact=True).select_option(label=name)
    for label, value in counts.items():
        page.get_by_label(label, exact=True).fill(str(value))
    page.get_by_role("button", name="Begin").click()


def title(page):
    return page.locator("#title").inner_text()


def cells(page, table):
    rows = page.locator(f"#{table} tbody tr")
    return [rows.nth(i).locator("th, td").all_inner_texts() for i in range(rows.count())]


def where(page):
    """Where the person stands, as the picture is described."""
    label = page.locator("#grid svg").get_attribute("aria-label")
    return tuple(map(int, re.search(r"You: column (\d), row (\d)", label).groups()))


def test_an_episode_by_keys_alone(view, made):
    page = view(made)
    while page.evaluate("document.activeElement.id") != "begin":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "grid" and title(page) == "Round 1 of 4"
    for key, step in (("ArrowLeft", (-1, 0)), ("ArrowDown", (0, 1))):
        before = where(page)
        page.keyboard.press(key)
        assert where(page) == (max(1, before[0] + step[0]), min(4, before[1] + step[1]))
        way = key.removeprefix("Arrow").lower()
        assert re.match(rf"Round \d: You .*went {way}\.", page.locator("#live").inner_text())
    page.keyboard.press("z")
    assert re.search(r"You [^.]*zapped", page.locator("#live").inner_text())
    page.keyboard.press(" ")
    assert title(page) == "The match is over" and page.evaluate("document.activeElement.id") == "title"
    numbers = cells(page, "numbers")
    assert [row[0] for row in numbers] == ["You", "short"] and all(len(row) == 5 for row in numbers)


def test_an_episode_by_clicks_after_which_space_does_nothing(view, made):
    page = view(made)
    begin(page, "short")
    for name in ("Up", "Right"):
        page.get_by_role("button", name=name, exact=True).click()
    assert title(page) == "Round 3 of 4"
    page.keyboard.press(" ")
    assert re.search(r"You [^.]*did nothing\.", page.locator("#live").inner_text())
    page.get_by_role("button", name="Zap", exact=True).click()
    assert title(page) == "The match is over"
    page.get_by_role("button", name="Once more").click()
    assert title(page) == "Round 1 of 4"


def test_space_on_a_button_presses_it_and_keys_can_be_turned_off(view, made):
    page = view(made)
    page.get_by_label(re.compile("^The arrow keys")).uncheck()
    begin(page, "short")
    page.get_by_role("button", name="Left", exact=True).focus()
    page.keyboard.press("ArrowUp")
    assert title(page) == "Round 1 of 4"
    page.keyboard.press(" ")
    assert title(page) == "Round 2 of 4" and "went left" in page.locator("#live").inner_text().split(".")[0]
    page.locator("#grid").focus()
    page.keyboard.press("ArrowUp")
    assert title(page) == "Round 3 of 4"


def test_inner_episodes_in_a_row_stopped_early_and_looked_at_again(view, made):
    page = view(made)
    begin(page, "shaper", Rounds=2, Episodes=3)
    assert title(page) == "Episode 1 of 3. Round 1 of 2"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "Episode 2 begins, on a fresh grid." in page.locator("#live").inner_text()
    page.keyboard.press("ArrowDown")
    page.get_by_role("button", name="Stop here").click()
    assert title(page) == "The match is over" and [row[0] for row in cells(page, "by-episode")] == ["1", "2"]
    page.get_by_label("Episode to look at").select_option(label="episode 2")
    assert page.locator(".round-title").inner_text() == "Round 1 of 1"
    assert re.search(r"You [^.]*went down\.", page.locator(".viewer .said").inner_text())


def test_a_reload_keeps_the_match_and_the_replay(view, made):
    page = view(made)
    begin(page, "shaper")
    for key in ("ArrowLeft", "z", "ArrowUp"):
        page.keyboard.press(key)
    board, seen = page.locator(".board").inner_text(), where(page)
    page.reload()
    assert page.locator(".board").inner_text() == board and where(page) == seen
    page.get_by_role("button", name="Choose something else").click()
    assert page.locator("#live").inner_text() == ""
    page.get_by_label("Replay").check()
    page.get_by_label("Episode", exact=True).select_option(label="inner episode 2 of 2")
    page.get_by_role("button", name="Look").click()
    page.keyboard.press("ArrowRight")
    page.reload()
    assert page.locator(".round-title").inner_text() == "Round 2 of 3" and "inner episode 2 of 2" in title(page)


def test_a_replay_by_slider_keys_and_buttons(view, made):
    page = view(made)
    page.get_by_label("Replay").check()
    page.get_by_role("button", name="Look").click()
    assert title(page) == "agent 0 and a naive learner: inner episode 1 of 2"
    said, rounds = page.locator(".said"), page.locator(".round-title")
    assert said.inner_text() == "agent 0 took an apple and zapped a naive learner. A naive learner was hit."
    assert page.locator(".big").all_inner_texts() == ["1", "0"] and page.locator(".bolt").count() == 1
    assert page.locator(".viewer .apple").count() == 1 and page.locator(".viewer .frozen").count() == 0
    page.keyboard.press("ArrowRight")
    assert said.inner_text() == "agent 0 went up. A naive learner stood still, frozen."
    assert page.locator(".viewer .frozen.side-1").count() == 1 and page.locator(".board-picture .arrow").count() == 1
    slider = page.get_by_label("Round", exact=True)
    slider.fill("3")
    assert rounds.inner_text() == "Round 3 of 3"
    assert said.inner_text() == "agent 0 went down. A naive learner cleaned a patch of the river and did nothing."
    assert slider.get_attribute("aria-valuetext").startswith("Round 3. agent 0 went down.")
    slider.focus()
    page.keyboard.press("Home")
    assert rounds.inner_text() == "Round 1 of 3"
    page.get_by_role("button", name="One round on").click()
    page.get_by_role("button", name="Play").click()
    driver.expect(rounds).to_have_text("After round 3, the last")
    driver.expect(page.locator("#play")).to_have_text("Play")
    page.get_by_label("Episode", exact=True).select_option(label="inner episode 2 of 2")
    assert title(page).endswith("inner episode 2 of 2") and rounds.inner_text() == "Round 1 of 3"
    slider.fill("4")
    assert rounds.inner_text() == "After round 3, the last" and page.locator("#on").is_disabled()
    assert page.locator(".viewer .dirt").count() == 0 and page.locator(".big").all_inner_texts() == ["1", "0"]
    assert slider.get_attribute("aria-valuetext") == "After round 3, the last"
    page.get_by_role("button", name="One round back").click()
    assert rounds.inner_text() == "Round 3 of 3" and page.locator(".viewer .dirt").count() > 0


def test_guessing_tells_nothing_until_the_guess(view, made):
    page = view(made)
    page.get_by_label("Guess").check()
    assert page.locator(".about").inner_text() == "It will be one of 5: short, shaper, random, greedy, cleaner."
    page.get_by_label("Rounds").fill("2")
    page.get_by_role("button", name="Begin").click()
    assert page.locator(".board .who").all_inner_texts() == ["Y\nYou", "A\nThe other"]
    assert page.locator(".mind").count() == 0 and page.locator("#toggle").count() == 0
    for key in ("ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        assert re.search(r"\. Points: you \d, the other \d\.", page.locator("#live").inner_text())
    assert title(page) == "The match is over" and page.locator("#numbers").count() == 0
    page.get_by_label("Your guess").select_option(label="shaper")
    page.get_by_role("button", name="Tell me").click()
    name, verdict = page.locator(".board .who span").nth(1).inner_text(), page.locator("#verdict").inner_text()
    assert verdict == ("Right: it was shaper." if name == "shaper" else f"It was {name}. You guessed shaper.")
    assert page.locator("#live").inner_text() == verdict and cells(page, "numbers")[1][0] == name
    assert page.locator("#toggle").count() == 1


def test_simple_strategies_are_met_and_watched(view, made):
    page = view(made)
    groups = page.get_by_label("You meet", exact=True).locator("optgroup")
    told = [(group.get_attribute("label"), group.locator("option").all_inner_texts()) for group in groups.all()]
    assert told == [
        ("Trained players", ["short", "shaper"]),
        ("Players who follow a rule", ["random", "greedy", "cleaner"]),
    ]
    page.get_by_label("You meet", exact=True).select_option(label="cleaner")
    assert page.locator(".about").inner_text().startswith("Goes to the nearest patch of dirt")
    assert page.locator("#field-rounds-help").inner_text() == ""
    assert page.get_by_label("Rounds", exact=True).input_value() == "4"  # of the game
    page.get_by_label("Watch").check()
    page.get_by_label("First player").select_option(label="greedy")
    page.get_by_label("Second player").select_option(label="cleaner")
    page.get_by_label("Rounds", exact=True).fill("40")
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Next round").click()
    assert page.locator(".mind .quiet").inner_text() == "It follows a rule, and rates no prospects."
    assert sorted(page.locator(".thought .number").all_inner_texts()) == ["0.00"] * 5 + ["1.00"]
    page.get_by_role("button", name="To the end").click()
    (greedy, apples, _, few, _), (cleaner, fewer, _, many, _) = cells(page, "numbers")
    assert (greedy, cleaner) == ("greedy", "cleaner")
    assert float(apples) > float(fewer) and int(many) > int(few)  # on its way each may meet the other thing


def test_two_agents_are_watched(view, made):
    page = view(made)
    page.get_by_label("Watch").check()
    page.get_by_label("Second player").select_option(label="short")
    page.get_by_role("button", name="Begin").click()
    assert page.locator(".board .who").all_inner_texts() == ["1\nshort (first)", "2\nshort (second)"]
    page.get_by_role("button", name="Next round").click()
    page.get_by_label("Whose mind").select_option(label="short (first)")
    shares = [float(each) for each in page.locator(".thought .number").all_inner_texts()]
    assert len(shares) == 6 and sum(shares) == pytest.approx(1, abs=0.03)
    page.get_by_role("button", name="Play on").click()
    driver.expect(page.locator("#title")).to_have_text("Round 3 of 4")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="To the end").click()
    assert title(page) == "The match is over"


def test_the_page_opens_in_a_second_and_a_move_takes_less_than_50_milliseconds(view, made):
    page = view(made)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") < 1000
    begin(page, "shaper", Rounds=60)
    times = []
    for key in ("ArrowLeft", "ArrowUp", "z", " ") * 5:
        page.keyboard.press(key)
        times.append(float(page.evaluate("document.body.dataset.milliseconds")))
    assert np.median(times) < 50, times


def test_hostile_names_are_shown_as_they_are_and_never_run(view, tmp_path):
    replay = PLAYED._replace(names=(HOSTILE, HOSTILE), title=HOSTILE)
    write_grid_page(tmp_path / "play.html", GAME, {HOSTILE: Seated(agent(GAME), HOSTILE, None, 4)}, [replay])
    page = view(tmp_path / "play.html")
    begin(page, HOSTILE)
    page.keyboard.press("ArrowLeft")
    assert page.locator(".board .who span").nth(1).inner_text() == HOSTILE
    page.get_by_role("button", name="Choose something else").click()
    page.get_by_label("Replay").check()
    page.get_by_role("button", name="Look").click()
    assert title(page) == f"{HOSTILE} and {HOSTILE}: {HOSTILE}"
    assert page.locator("img").count() == 0 and page.evaluate("document.body.dataset.harm") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_sticks_out_and_everything_has_a_name(view, tmp_path, scheme):
    game = CoinGame(rounds=3)
    write_grid_page(
        tmp_path / "play.html", game, {"agent with a rather long name": Seated(agent(game), "", None, 3)}, []
    )
    page = view(tmp_path / "play.html", width=390, color_scheme=scheme)
    unnamed = """() => [...document.querySelectorAll("input, select, button, svg, [tabindex='0']")].filter((node) =>
        !node.closest("[aria-hidden=true]") && !node.getAttribute("aria-label") && !node.labels?.length
        && !node.textContent.trim()).length"""
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(unnamed) == 0 and page.evaluate(wide) <= 390
    assert page.get_by_label("Replay").count() == 0
    page.get_by_role("button", name="Begin").click()
    for button in page.locator(".pads button").all():
        assert button.bounding_box()["height"] >= 44
    for _ in range(3):
        assert page.evaluate(unnamed) == 0 and page.evaluate(wide) <= 390
        page.keyboard.press("ArrowRight")
    assert page.evaluate(unnamed) == 0 and page.evaluate(wide) <= 390
    coins = [sum(map(int, row[3:])) for row in cells(page, "numbers")]
    points = [float(row[1].replace("−", "-")) for row in cells(page, "numbers")]
    others = [int(row[4]) for row in cells(page, "numbers")]
    assert points == [coins[k] - 2 * others[1 - k] for k in range(2)]
