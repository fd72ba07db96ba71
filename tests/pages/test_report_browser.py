"""The report in a real browser, headless Chromium: charts by pointer and by keys, choices, hostile and broken files."""

import json
import re

import pytest

import made_up
from coplayer.pages.report import write_page
from coplayer.reproduce.run_page import described, write_report
from page_files import again

driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed; make browser installs it")
HOSTILE = "</script><img src=x onerror=\"document.body.dataset.harm='yes'\">"


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A PPI run of three seeds: cooperation between learners is .1005 to .4205 over phases 1 to 4."""
    folder = tmp_path_factory.mktemp("report")
    run = made_up.run(folder / "run", "ppi-mixed", evaluated=[2, 4], hidden=9)
    return write_report([run.path], folder / "report.html")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    runs = [made_up.run(folder / name, seed=seed, hidden=hidden) for name, seed, hidden in (("a", 0, 8), ("b", 3, 9))]
    return write_report([run.path for run in runs], folder / "report.html")


def chart(page, name):
    return page.locator("figure.chart").filter(has=page.locator("figcaption", has_text=re.compile(f"^{name}$"))).first


def legend(figure):
    rows = figure.locator(".legend tbody tr")
    return {
        rows.nth(i).locator("th").inner_text().split("\n")[-1]: rows.nth(i).locator("td").all_inner_texts()
        for i in range(rows.count())
    }


def x_labels(figure):
    return figure.locator(".plot svg text[text-anchor=middle]").all_text_contents()[:-1]


def test_a_run_is_told_with_its_curves_and_their_values(view, one):
    page = view(one)
    assert page.title() == "run: report of training" and page.locator("h1").inner_text() == "run"
    facts = page.locator("#trained").inner_text()
    assert (
        "ppi-mixed, preset quick" in facts and "Weis et al. 2026, figure 1A" in facts and "Finished: 4 phases" in facts
    )
    assert "agents of phases 2, 4" in facts
    assert "coplayer train ppi-mixed --preset quick --seeds 3 --phases 4 --hidden 9" in " ".join(facts.split())
    assert page.locator("#training figcaption").all_inner_texts() == ["Cooperation", "Reward"]
    figure = chart(page, "Cooperation")
    assert figure.locator("caption").first.inner_text() == "At the end"
    assert figure.locator(".legend td").all_inner_texts() == ["0.411", "0.401 to 0.420", "3"]
    assert figure.locator("path.mean").count() > 1 and figure.locator("path.each").count() == 3
    assert figure.locator("path.band").count() == 1 and figure.locator("circle.published").count() > 5
    assert "published points (Weis et al. 2026)" in figure.locator(".note").inner_text()


def test_values_at_the_pointer_and_by_keys(view, one):
    page = view(one)
    figure = chart(page, "Cooperation")
    plot = figure.locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 55, box["y"] + 60)
    assert figure.locator("caption").first.inner_text() == "At phase 1"
    assert figure.locator(".legend td").first.inner_text() == "0.111"
    assert chart(page, "Reward").locator("caption").first.inner_text() == "At phase 1"  # the same cursor
    page.mouse.move(5, 5)
    assert figure.locator("caption").first.inner_text() == "At the end"
    plot.focus()
    for key, phase in (
        ("ArrowLeft", 3),
        ("ArrowLeft", 2),
        ("ArrowRight", 3),
        ("Home", 1),
        ("ArrowLeft", 1),
        ("End", 4),
    ):
        page.keyboard.press(key)
        assert plot.get_attribute("aria-valuenow") == str(phase)
        assert plot.get_attribute("aria-valuetext").startswith(f"Phase {phase}: learner against learner 0.{phase}1")
    assert plot.get_attribute("role") == "slider" and plot.get_attribute("aria-label") == "Cooperation by phase"


def test_zoom_by_drag_by_keys_and_by_buttons(view, two):
    page = view(two)
    figure = chart(page, "Cooperation, learner against learner")
    plot, whole = figure.locator(".plot"), x_labels(figure)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    part = page.locator("#training")
    assert part.get_by_role("button", name="Whole").is_disabled()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 70, steps=3)
    page.mouse.up()
    assert float(x_labels(figure)[-1]) < float(whole[-1])
    assert x_labels(chart(page, "Reward, learner against learner")) == x_labels(figure)  # all charts of the part
    part.get_by_role("button", name="Whole").click()
    assert x_labels(figure) == whole
    part.get_by_role("button", name="Zoom in").click()
    zoomed = x_labels(figure)
    assert zoomed != whole
    part.get_by_role("button", name="Zoom out").click()
    assert x_labels(figure) == whole
    plot.focus()
    page.keyboard.press("+")
    assert x_labels(figure) != whole and part.locator("[role=status]").inner_text().startswith("Iteration ")
    page.keyboard.press("0")
    assert x_labels(figure) == whole
    page.keyboard.press("+")
    plot.dblclick()
    assert x_labels(figure) == whole


def test_charts_curves_seeds_and_intervals_are_chosen(view, one):
    page = view(one)
    part = page.locator("#training")
    part.get_by_text("Choose among").click()
    part.get_by_label("Loss value").check()
    assert part.locator("figcaption").all_inner_texts() == ["Cooperation", "Reward", "Loss value"]
    part.get_by_label("Cooperation", exact=True).uncheck()
    assert part.locator("figcaption").all_inner_texts() == ["Reward", "Loss value"]
    figure = chart(page, "Reward")
    means = figure.locator(".plot path.mean").count()
    figure.get_by_label("Show of the naive learners").uncheck()
    assert figure.locator(".plot path.mean").count() == means - 1
    part.get_by_label("Each seed").uncheck()
    part.get_by_label("95% intervals").uncheck()
    assert part.locator("path.each").count() == part.locator("path.band").count() == 0
    figure.get_by_text("All numbers").click()
    numbers = figure.locator("table.numbers tbody tr")
    numbers.first.wait_for()
    assert numbers.count() == 4 and numbers.first.locator("td").first.inner_text() == "111 (101 to 121)"


def test_the_evaluated_play_by_phase_its_signatures_the_table_and_the_settings(view, one):
    page = view(one)
    within = page.locator("#within")
    assert legend(chart(page, "Cooperation").locator("xpath=.")) and within.locator(".legend").count() == 2
    last = within.locator(".legend td").first.inner_text()
    within.get_by_label("Agents of").select_option(label="phase 2")
    assert float(within.locator(".legend td").first.inner_text()) == pytest.approx(float(last) - 0.02)
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    rows = page.locator("#signatures tbody tr")
    assert rows.nth(2).inner_text().split() == [
        "tit",
        "for",
        "tat",
        *"1.00 1.00 0.00 – 0.50 1.00 0.00 – 0.50 0.00 –".split(),
    ]
    page.locator("#signatures").get_by_label("Rows").select_option(label="each agent against tit for tat")
    assert rows.count() == 6 and rows.nth(5).locator("th").inner_text() == "seed 2, learner 1"
    table = page.locator("#numbers tbody tr").first.inner_text()
    assert table.startswith("cooperation, learner against learner\t0.90\t0.310 ± 0.010")
    settings = page.locator("#settings")
    assert "changed; preset 32" in settings.locator("tr", has_text="hidden").first.inner_text()
    every = settings.locator("tbody tr").count()
    settings.get_by_label("Only settings changed").check()
    assert 0 < settings.locator("tbody tr").count() < every
    settings.get_by_label("What each setting means").check()
    assert "Width of the recurrent core." in settings.inner_text()
    assert "Seconds per phase" in page.locator("#origin").inner_text()


def test_runs_side_by_side_tell_what_differs(view, two):
    page = view(two)
    assert page.locator("h1").inner_text() == "2 runs side by side"
    figure = chart(page, "Cooperation, learner against learner")
    assert list(legend(figure)) == ["a", "b"]
    assert figure.locator(".legend td").first.inner_text() == "0.411"
    settings = page.locator("#settings")
    names = settings.locator("tbody .setting").all_inner_texts()
    assert names == ["seed", "hidden"] and settings.locator(".unlike").count() == 0
    settings.get_by_label("Only settings that differ").uncheck()
    assert settings.locator("tbody .setting").count() > 20
    assert settings.locator(".unlike").all_inner_texts() == ["≠ differs between runs"] * 2
    page.locator("#training").get_by_label("Each chart shows").select_option(label="all sides, of one run")
    assert page.locator("#training figcaption").all_inner_texts() == ["a: Cooperation", "a: Reward"]
    assert "not yet; “coplayer evaluate FOLDER” adds play" in page.locator("#trained").inner_text()


def test_twenty_runs_of_five_seeds_open_quickly_and_all_lines_look_different(view, tmp_path):
    run = made_up.run(tmp_path / "run", phases=10, per_phase=10, seeds=5, evaluated=[10])
    about = described(run.path, "run")
    write_page(tmp_path / "report.html", [about | {"name": f"run {i}"} for i in range(20)])
    (tmp_path / "blank.html").write_text("")
    page = view(tmp_path / "blank.html")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # whatever else the machine does
    page.goto((tmp_path / "report.html").as_uri())
    worked = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    assert worked["TaskDuration"] < 1, worked
    figure = chart(page, "Cooperation, learner against learner")
    assert figure.locator(".legend tbody tr").count() == 20
    styles = figure.locator(".plot g[clip-path] > g[class]").evaluate_all(
        "all => all.map((one) => one.getAttribute('class'))"
    )
    assert len(set(styles)) == len(styles) == 20  # in colour or dashes
    assert figure.locator("text.letter").last.text_content() == "t"
    last = page.locator("#within figure.chart").last
    assert last.locator(".legend .value").first.inner_text() != "" and last.locator(".plot svg").count() == 0
    last.scroll_into_view_if_needed()
    driver.expect(last.locator(".plot svg")).to_be_visible()


def test_a_run_that_has_only_begun(view, tmp_path):
    run = made_up.run(tmp_path / "run", done=0)
    page = view(write_report([run.path], tmp_path / "report.html"))
    assert "Not finished: 0 of 4 phases done" in page.locator("#trained").inner_text()
    assert page.locator("figure").count() == 0 and not page.locator("#trouble").is_visible()


def test_hostile_texts_are_shown_as_they_are_and_never_run(view, tmp_path):
    run = made_up.run(tmp_path / "run", more={HOSTILE: 1.0})
    run.config_file.write_text(json.dumps(run.config() | {"device": HOSTILE}))
    about = described(run.path, HOSTILE)
    write_page(tmp_path / "report.html", [about, about | {"name": "other"}])
    page = view(tmp_path / "report.html")
    assert HOSTILE in page.locator("#origin").inner_text() and HOSTILE in page.locator("#lead").inner_text()
    page.locator("#training").get_by_text("Choose among").click()
    page.locator("#training .choices").get_by_label("onerror").check()
    assert page.locator("#training figcaption").last.inner_text() == HOSTILE[0] + HOSTILE[1:].replace("_", " ")
    assert page.locator("img").count() == 0 and page.evaluate("document.body.dataset.harm") is None


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (
            lambda text: text.replace('"seeds":3', '"seeds":4', 1),
            "its runs were changed or cut short after it was made",
        ),
        (lambda text: text[: text.index("</script>")], "This page has not started"),
        (lambda text: text.replace("const COLOURS", "alert(1); const COLOURS", 1), "This page has not started"),
        (lambda text: again(text.replace('"format":1', '"format":9', 1)), "its form 9 is not the one"),
        (lambda text: again(text.replace('"curves":', '"curve":', 1)), "This page is damaged"),
    ],
)
def test_a_broken_page_says_what_is_wrong(view, one, tmp_path, harm, says):
    broken = tmp_path / "report.html"
    broken.write_text(harm(one.read_text()))
    page = view(broken)
    assert says in page.locator("#trouble").inner_text()
    assert page.locator("#trouble").is_visible() and not page.locator("#app").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone_nothing_sticks_out_and_a_finger_reads_values(view, one, scheme):
    page = view(one, width=390, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    figure = chart(page, "Cooperation")
    figure.locator(".plot").tap(position={"x": 60, "y": 50})
    assert figure.locator("caption").first.inner_text() == "At phase 2"  # of 4, beside 30 published ones
    for button in page.locator("#training button").all():
        assert button.bounding_box()["height"] >= 44
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(248, 245, 239)", "dark": "rgb(21, 20, 18)"}[scheme]


def test_every_control_has_a_name_and_every_chart_a_table(view, two):
    page = view(two)
    unnamed = """() => [...document.querySelectorAll("input, select, button, [role=slider], [role=region]")].filter(
        (node) => !node.getAttribute("aria-label") && !node.labels?.length && !node.textContent.trim()).length"""
    assert page.evaluate(unnamed) == 0
    assert page.locator("figure.chart").count() == page.locator("figure.chart .legend caption").count() > 0
    assert page.locator("figure.chart svg:not([aria-hidden=true])").count() == 0
    ids = page.locator("[id]").evaluate_all("all => all.map((one) => one.id)")
    assert len(set(ids)) == len(ids)


def test_a_turned_telephone_draws_anew(view, one):
    page = view(one, width=390)
    before = page.locator(".plot svg").first.get_attribute("width")
    page.set_viewport_size({"width": 844, "height": 390})
    page.locator(".plot").first.scroll_into_view_if_needed()
    driver.expect(page.locator(".plot svg").first).not_to_have_attribute("width", before)
