"""The report as a file: nothing is executed but its own scripts, colours can be read, numbers have few digits."""

import json
import re
from importlib import resources

import numpy as np
import pytest

from coplayer.analysis.statistics import interval
from coplayer.errors import CoplayerError
from coplayer.pages import report
from coplayer.pages.report import Curve, numbers, thinned, write_page
from page_files import assert_nothing_else_runs, scripts


def test_only_the_pages_own_scripts_and_style_may_run_and_nothing_is_loaded(tmp_path):
    write_page(tmp_path / "report.html", [])
    page = (tmp_path / "report.html").read_text()
    assert_nothing_else_runs(page)
    assert json.loads(scripts(page)[0])["runs"] == []


def test_the_script_makes_no_code_and_no_elements_of_texts():
    script = resources.files(report.__package__).joinpath("report.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\(|srcdoc", script)
    assert "</script" not in script and "<!--" not in script


def luminance(colour: str) -> float:
    """Of a colour #rrggbb, by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_the_colours_of_lines_and_their_letters_stand_out_from_the_paper():
    blocks = [
        [
            dict(re.findall(r"--(\w+): (#\w{6});", block))
            for block in re.findall(
                r":root \{(.*?)\}", resources.files(report.__package__).joinpath(name).read_text(), re.S
            )
        ]
        for name in report.STYLES
    ]
    for shared, own in zip(*blocks, strict=True):
        assert len(own) == 6
        for colour in own.values():
            low, high = sorted([luminance(colour), luminance(shared["paper"])])
            assert (high + 0.05) / (low + 0.05) >= 4.5, colour


def test_a_short_curve_stays_as_it_is_and_its_intervals_are_those_of_the_mean():
    values = np.array([[0.1, 0.5], [0.2, 0.7], [0.6, 0.9]])
    shown = thinned(Curve("cooperation", "against naive learners", np.array([1, 2]), values))
    assert shown["values"] == values.tolist() and shown["every"] == 1 and shown["x"] == [1, 2]
    assert (shown["low"][0], shown["high"][0]) == pytest.approx(interval(values[:, 0]), abs=5e-5)


@pytest.mark.parametrize(
    ("points", "repetitions", "most"), [(1001, 1, 200), (999, 5, 200), (400, 10, 150), (90, 100, 50)]
)
def test_a_long_curve_is_thinned_to_means_of_as_many_points_each(points, repetitions, most):
    values = np.arange(points) + np.zeros((repetitions, 1))
    shown = thinned(Curve("x", "", np.arange(1, points + 1), values))
    every = shown["every"]
    assert len(shown["x"]) <= most and every == -(-points // most)
    assert shown["values"][0][0] == (every - 1) / 2 and shown["x"][0] == every and shown["x"][-1] == points


def test_missing_values_are_left_out_of_means_and_have_no_interval():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    shown = thinned(Curve("x", "", np.arange(3), values))
    assert shown["values"] == [[1, None, None], [3, 2, None]] and shown["low"] == [1, None, None]


def test_numbers_have_four_digits_and_no_point_where_they_are_whole():
    values = [0.123456, -12345.678, 3.0, np.nan, np.inf, 0.0, 1e-9, 2.5e30, 1e-310, 99999]
    assert numbers(np.array(values)) == [0.1235, -12350, 3, None, None, 0, 1e-9, pytest.approx(2.5e30), 0, 100000]
    assert json.dumps(numbers(np.array([0.1 + 0.2, 1 / 3, 5e-7 / 3]))) == "[0.3, 0.3333, 1.667e-07]"


def test_what_is_no_report_is_never_replaced(tmp_path):
    page = tmp_path / "report.html"
    write_page(page, [])
    write_page(page, [])
    for other in (tmp_path, tmp_path / "text"):
        if other != tmp_path:
            other.write_text("mine")
        with pytest.raises(CoplayerError, match="exists already and is no report; name another file"):
            write_page(other, [])
