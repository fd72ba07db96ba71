"""The page in a real browser, headless Chromium: whole matches by clicks and by keys, and what is shown."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.world_model import RoundModel
from coplayer.pages.play import Seated, write_page
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.players.recurrent import RecurrentPlayer
from page_files import again

driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; make browser installs it")
PD = prisoners_dilemma(100)
QUICK = PlannerSettings(rollouts=12, horizon=15, temperature=0.6, expected_rewards=True)
HOSTILE = "</script><img src=x onerror=\"document.body.dataset.harm='yes'\">"


def planner(game=PD, key=0):
    return PPIPlayer(RoundModel(game, 32, key=jax.random.key(key)), QUICK)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "play.html"
    lasting = RecurrentPlayer(ActorCritic(PD, 6, core="hawk", key=jax.random.key(2)), lasting=True)
    players = {
        "mind": Seated(planner(), "A planner.", None, 100),
        "shaper": Seated(lasting, "It remembers.", None, 12, 3),
    }
    write_page(path, PD, players)
    return path


def begin(page, name, rounds, **chosen):
    page.get_by_label("You meet", exact=True).select_option(label=name)
    page.get_by_label("Rounds").fill(str(rounds))
    for label, value in chosen.items():
        page.get_by_label(label.replace("_", " ")).select_option(label=value)
    page.get_by_role("button", name="Begin").click()


def watch(page, rounds, second, first=None):
    page.get_by_label("Watch").check()
    if first is not None:
        page.get_by_label("First player").select_option(label=first)
    page.get_by_label("Second player").select_option(label=second)
    page.get_by_label("Rounds").fill(str(rounds))
    page.get_by_role("button", name="Begin").click()


def cells(page, table):
    rows = page.locator(f"#{table} tbody tr")
    return [rows.nth(i).locator("th, td").all_inner_texts() for i in range(rows.count())]


def test_a_whole_match_by_clicks_and_its_numbers(view, made):
    page = view(made)
    begin(page, "tit for tat", 6)
    for word in ("Cooperate", "Defect", "Defect", "Cooperate", "Cooperate"):
        page.get_by_role("button", name=word, exact=True).click()
    assert page.locator("#live").inner_text() == (
        "Round 5: You cooperated, tit for tat cooperated. You 1, tit for tat 1."
    )
    assert page.locator("#title").inner_text() == "Round 6 of 6"
    page.get_by_role("button", name="Defect", exact=True).click()
    assert page.locator("#title").inner_text() == "The match is over"
    # CC 1 1, DC 2 -1, DD 0 0, CD -1 2, CC 1 1, DC 2 -1
    assert cells(page, "numbers") == [["You", "5", "0.83", "0.50"], ["tit for tat", "2", "0.33", "0.67"]]
    mine, theirs = cells(page, "signature")
    assert mine == ["You", "0.00 of 2", "1.00 of 1", "0.00 of 1", "1.00 of 1"]
    assert theirs == ["tit for tat", "1.00 of 2", "0.00 of 1", "1.00 of 1", "0.00 of 1"]


def test_a_whole_match_by_keys_alone(view, made):
    page = view(made)
    for _ in range(20):  # from the top to the list of players
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "field-you-meet":
            break
    page.keyboard.type("always d")
    page.keyboard.press("Tab")
    page.keyboard.type("3")
    while page.evaluate("document.activeElement.id") != "begin":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "title"
    page.keyboard.press("c")
    page.keyboard.press("d")
    page.keyboard.press("Tab")  # to the first button
    page.keyboard.press("Enter")
    assert cells(page, "numbers") == [["You", "−2", "−0.67", "0.67"], ["always defect", "4", "1.33", "0.00"]]
    assert page.evaluate("document.activeElement.id") == "title"


def test_single_keys_can_be_turned_off(view, made):
    page = view(made)
    page.get_by_label("Single keys play").uncheck()
    begin(page, "tit for tat", 3)
    page.keyboard.press("c")
    assert page.locator("#title").inner_text() == "Round 1 of 3"


def test_a_reload_keeps_the_match(view, made):
    page = view(made)
    begin(page, "mind", 9)
    for key in "cdcc":
        page.keyboard.press(key)
    board = page.locator(".board").inner_text()
    page.reload()
    assert page.locator(".board").inner_text() == board
    page.keyboard.press("d")
    assert page.locator("#title").inner_text() == "Round 6 of 9"
    page.get_by_role("button", name="Choose another match").click()
    page.reload()
    assert page.get_by_role("button", name="Begin").is_visible()


def test_a_kept_match_that_is_damaged_is_left(view, made):
    page = view(made)
    begin(page, "tit for tat", 3)
    page.evaluate("""() => {
        const kept = JSON.parse(sessionStorage.getItem("coplayer-match"));
        sessionStorage.setItem("coplayer-match", JSON.stringify({ ...kept, moves: [7, "x"] }));
    }""")
    page.reload()
    assert page.get_by_role("button", name="Begin").is_visible()
    assert not page.locator("#trouble").is_visible()


def test_what_it_believes_is_what_its_model_says(view, made):
    page = view(made)
    begin(page, "mind", 9)
    page.keyboard.press("c")
    model = planner().model
    state = model.see(model.initial_state(1), jnp.array([0]), jnp.zeros(1))
    replies = [float(jnp.exp(model.reply_logs(state, jnp.array([own])))[0, 0]) for own in range(2)]
    shown = page.locator(".mind table").first.locator(".number").all_inner_texts()
    assert shown == [f"{reply:.2f}" for reply in replies]
    prior = np.asarray(jax.nn.softmax(model.action_logits(state)[:, 0]))
    numbers = page.locator(".mind table").nth(1).locator("tbody tr").first.locator(".number").all_inner_texts()
    assert numbers[0] == f"{prior[0]:.2f}"
    q = page.locator(".fan strong").all_inner_texts()
    assert len(q) == 2 and all(re.fullmatch(r"Q = −?\d+\.\d\d", each) for each in q)
    assert page.locator(".fan path.future").count() == 2 * QUICK.rollouts
    told = page.locator(".fan > svg").first.get_attribute("aria-label")
    assert told.startswith("12 imagined futures if it would cooperate: over 15 rounds they add up to ")


def test_thoughts_of_each_round_by_click_and_by_arrow_keys(view, made):
    page = view(made)
    begin(page, "mind", 9)
    for key in "ccd":
        page.keyboard.press(key)
    heading = page.locator(".mind h3")
    assert heading.inner_text().startswith("Before round 3, in which it ")
    page.locator("#round-0").click()
    assert heading.inner_text().startswith("Before round 1, in which it ")
    page.keyboard.press("ArrowRight")
    assert heading.inner_text().startswith("Before round 2, in which it ")
    assert page.locator("#round-1").get_attribute("aria-current") == "true"


@pytest.mark.parametrize(("when", "first"), [("before each round, its move included", True), ("not at all", False)])
def test_thoughts_before_the_move_or_not_at_all(view, made, when, first):
    page = view(made)
    begin(page, "mind", 9, Show_what_it_thinks=when)
    assert page.locator(".mind").count() == first
    if first:
        assert page.locator(".mind h3").inner_text() == "Before round 1, which is to come"


def test_a_move_is_answered_in_less_than_50_milliseconds(view, made):
    page = view(made)
    begin(page, "mind", 40)
    times = []
    for key in "cdcdccddcdcdccdd":
        page.keyboard.press(key)
        times.append(float(page.evaluate("document.body.dataset.milliseconds")))
    assert np.median(times) < 50, times


def test_guessing_tells_nothing_until_the_guess(view, made):
    page = view(made)
    page.get_by_label("Guess").check()
    page.get_by_label("Rounds").fill("4")
    page.get_by_role("button", name="Begin").click()
    page.keyboard.press("c")
    told = r"Round 1: You cooperated, the other (cooperated|defected)\. You (−1|1), the other [12]\."
    assert re.fullmatch(told, page.locator("#live").inner_text())
    for key in "dcd":
        page.keyboard.press(key)
    assert page.locator(".mind").count() == 0 and page.locator("#numbers").count() == 0
    assert page.locator(".who").all_inner_texts() == ["You", "The other"]
    page.get_by_label("Your guess").select_option(label="random")
    page.get_by_role("button", name="Tell me").click()
    verdict, name = page.locator("#verdict").inner_text(), page.locator(".who").nth(1).inner_text()
    assert verdict == ("Right: it was random." if name == "random" else f"It was {name}. You guessed random.")
    assert cells(page, "numbers")[1][0] == name


def test_two_players_are_watched(view, made):
    page = view(made)
    watch(page, 8, "tit for tat", first="mind")
    page.get_by_role("button", name="Next round").click()
    assert page.locator("#title").inner_text() == "Round 2 of 8"
    assert "It follows a rule" in page.locator(".mind").inner_text()
    page.get_by_label("Whose mind").select_option(label="mind")
    assert "tit for tat will cooperate" in page.locator(".mind").inner_text()
    page.get_by_role("button", name="Play on").click()
    assert page.locator("#live").inner_text() == "The rounds go on by themselves."
    driver.expect(page.locator("#title")).to_have_text("Round 3 of 8")
    page.get_by_role("button", name="Pause").click()
    assert page.locator("#live").inner_text() == "Paused. Round 3 of 8."
    page.locator("#pays").focus()
    page.evaluate("document.getElementById('next').click()")
    assert page.evaluate("document.activeElement.id") == "pays"
    page.get_by_role("button", name="To the end").click()
    assert page.evaluate("document.activeElement.id") == "title"
    assert [row[0] for row in cells(page, "numbers")] == ["mind", "tit for tat"]


def ends_of_lines(page):
    return [re.sub(r" [−\d.]+$", "", text) for text in page.locator(".charts .name").all_text_contents()]


def test_two_of_one_name_are_told_apart(view, made):
    page = view(made)
    watch(page, 2, "mind")
    page.get_by_role("button", name="To the end").click()
    names = ["mind (first)", "mind (second)"]
    assert page.locator(".who").all_inner_texts() == names
    assert [row[0] for row in cells(page, "numbers")] == [row[0] for row in cells(page, "signature")] == names
    assert page.get_by_label("Whose mind").locator("option").all_inner_texts() == names
    assert ends_of_lines(page) == ["mind (fi…", "mind (se…"] * 2


def test_long_names_are_cut_where_they_are_the_same(view, tmp_path):
    write_page(tmp_path / "play.html", PD, {f"ppi-mixed {i}": Seated(planner(key=i), "A planner.") for i in range(2)})
    page = view(tmp_path / "play.html")
    for other, cut in (("ppi-mixed 1", ["…-mixed 0", "…-mixed 1"]), ("tit for tat", ["ppi-mixe…", "tit for …"])):
        watch(page, 2, other)
        page.get_by_role("button", name="To the end").click()
        assert ends_of_lines(page) == cut * 2
        page.get_by_role("button", name="Choose another match").click()


def test_a_match_that_is_watched_to_its_end_is_worked_out_and_played_once_more(view, made):
    page = view(made)
    watch(page, 2, "grim trigger")
    page.get_by_role("button", name="Play on").click()
    driver.expect(page.locator("#title")).to_have_text("The match is over")
    assert page.evaluate("document.activeElement.id") == "title"  # the button that had the focus is gone
    page.locator("#worth-progress", has_text="Each pair with a trained player").wait_for(timeout=60_000)
    page.get_by_role("button", name="Once more").click()
    assert page.locator("#title").inner_text() == "Round 1 of 2"
    assert page.locator("#worth").count() == 0 and page.locator("#live").inner_text() == ""


def test_rounds_and_episodes_suit_who_is_met_unless_others_are_asked_for(view, made):
    page = view(made)
    met = page.get_by_label("You meet", exact=True)

    def told():
        episodes = page.get_by_label("Episodes")
        return page.get_by_label("Rounds").input_value(), episodes.is_visible() and episodes.input_value()

    assert told() == ("30", False)
    met.select_option(label="shaper")
    assert told() == ("12", "3")
    assert "Trained in episodes of 12." in page.locator(".fields").inner_text()
    page.get_by_label("Rounds").fill("7")
    met.select_option(label="mind")
    assert told() == ("7", False)
    page.get_by_label("Rounds").fill("1000")
    page.get_by_label("Rounds").blur()
    assert told() == ("300", False)


def test_episodes_in_a_row_against_a_player_who_remembers_them(view, made):
    page = view(made)
    begin(page, "shaper", 2)
    assert page.locator("#title").inner_text() == "Episode 1 of 3. Round 1 of 2"
    for _ in range(2):
        page.keyboard.press("c")
    assert page.locator("#live").inner_text().endswith("Episode 2 begins.")
    for _ in range(4):
        page.keyboard.press("c")
    rows = page.get_by_role("table", name="Episode by episode").locator("tbody tr")
    assert rows.count() == 3 and rows.first.locator("td").nth(1).inner_text() == "1.00"


def test_everybody_meets_everybody_and_the_sure_pairs_earn_what_they_must(view, made):
    page = view(made)
    begin(page, "always defect", 3)
    for _ in range(3):
        page.keyboard.press("d")
    page.locator("#worth-progress", has_text="Each pair with a trained player").wait_for(timeout=60_000)
    head = page.locator("#worth thead th").all_inner_texts()
    rewards = {row[0]: dict(zip(head[2:], row[2:], strict=True)) for row in cells(page, "worth")}
    assert rewards["always cooperate"]["always defect"] == "−1.00"
    assert rewards["tit for tat"]["always defect"] == "−0.33"
    assert rewards["You, imitated"]["always defect"] == "0.00"
    assert rewards["always defect"]["always cooperate"] == "2.00"
    means = [float(row[1].replace("−", "-")) for row in cells(page, "worth")]
    assert means == sorted(means, reverse=True)
    assert "mind" in rewards and all(re.fullmatch(r"−?\d\.\d\d", each) for each in rewards["mind"].values())


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda text: text.replace('"rounds":100', '"rounds":101', 1), "were changed or cut short after it was made"),
        (lambda text: text[: text.index("</script>")], "This page has not started"),
        (lambda text: text.replace("const SLICE", "alert(1); const SLICE", 1), "This page has not started"),
        (lambda text: again(text.replace('"format":1', '"format":9', 1)), "its form 9 is not the one"),
        (lambda text: again(re.sub(r'"data":"[^"]{8}', '"data":"', text, count=1)), "mind, core, input_weights has"),
    ],
)
def test_a_broken_page_says_what_is_wrong(view, made, tmp_path, harm, says):
    broken = tmp_path / "play.html"
    broken.write_text(harm(made.read_text()))
    page = view(broken)
    assert says in page.locator("#trouble").inner_text()
    assert page.locator("#trouble").is_visible() and not page.locator("#app").is_visible()


def test_hostile_names_are_shown_as_they_are_and_never_run(view, tmp_path):
    write_page(tmp_path / "play.html", PD, {HOSTILE: Seated(planner(), HOSTILE)})
    page = view(tmp_path / "play.html")
    assert page.locator(".about").inner_text() == f"{HOSTILE} Its mind is 4,010 numbers."
    begin(page, HOSTILE, 2)
    for key in "cd":
        page.keyboard.press(key)
    assert page.locator(".who").nth(1).inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.evaluate("document.body.dataset.harm") is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_sticks_out_and_fingers_find_the_buttons(view, made, scheme):
    page = view(made, width=390, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    begin(page, "mind", 8)
    for key in "ccddccd":
        page.keyboard.press(key)
    for button in page.locator(".moves button").all():
        assert button.bounding_box()["height"] >= 44
    page.keyboard.press("c")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(248, 245, 239)", "dark": "rgb(21, 20, 18)"}[scheme]


def test_numbers_that_round_to_nothing_have_no_sign_and_labels_of_an_axis_keep_apart(view, made):
    page = view(made)
    assert page.evaluate("[-0.004, -0.006, 0.004, -2].map((value) => Draw.signed(value))") == [
        "0.00",
        "−0.01",
        "0.00",
        "−2.00",
    ]
    labels = """(low) => [...Draw.fan(300, [[1, 2], [low, 3]], { low, high: 15, style: "", word: "defect" })
        .querySelectorAll("text")].map((node) => node.textContent)"""
    assert page.evaluate(labels, -1) == ["−1", "15", "2 imagined rounds"]
    assert page.evaluate(labels, -9) == ["−9", "0", "15", "2 imagined rounds"]
    assert page.evaluate(labels, 0) == ["0", "15", "2 imagined rounds"]


def test_every_control_and_picture_has_a_name(view, made):
    page = view(made)
    unnamed = """() => [...document.querySelectorAll("input, select, button, svg")].filter((node) =>
        !node.closest("[aria-hidden=true]") && !node.getAttribute("aria-label") && !node.labels?.length
        && !node.textContent.trim()).length"""
    assert page.evaluate(unnamed) == 0
    begin(page, "mind", 3)
    for key in "cdc":
        assert page.evaluate(unnamed) == 0
        page.keyboard.press(key)
    assert page.evaluate(unnamed) == 0
    assert page.locator("svg[role=img]").count() > 5


def test_a_game_of_three_actions_in_two_seats(view, tmp_path):
    game = MatrixGame([[[3, 0, 1], [5, 1, 0], [0, 2, 2]], [[1, 0, 2], [4, 1, 1], [0, 3, 2]]], rounds=20, cooperation=1)
    write_page(tmp_path / "play.html", game, {"mind": Seated(planner(game).in_seat(1), "Seat 1.", 1)})
    page = view(tmp_path / "play.html")
    begin(page, "mind", 3)
    for key in "123":
        page.keyboard.press(key)
    total = float(cells(page, "numbers")[0][1].replace("−", "-"))
    others = page.locator(".history button").evaluate_all("all => all.map((one) => one.getAttribute('aria-label'))")
    moves = [int(re.search(r"mind took action (\d)", label)[1]) - 1 for label in others]
    assert total == sum(game.tables[0][own][other] for own, other in enumerate(moves))


def test_a_turned_telephone_draws_anew_and_keeps_what_was_worked_out(view, made):
    page = view(made, width=390)
    begin(page, "tit for tat", 3)
    for key in "cdc":
        page.keyboard.press(key)
    page.locator("#worth-progress", has_text="Each pair with a trained player").wait_for(timeout=60_000)
    narrow = page.locator(".charts svg").first.bounding_box()["width"]
    page.set_viewport_size({"width": 844, "height": 390})
    driver.expect(page.locator(".charts svg").first).not_to_have_attribute("width", f"{narrow:g}")
    assert page.locator(".charts svg").first.bounding_box()["width"] != narrow
    assert page.locator("#worth-progress").inner_text().startswith("Each pair")
