"""A page as one file: what is inside, what a browser may run, and that data cannot end its element."""

import base64
import hashlib
import json
import re
import zlib

import pytest

from coplayer.pages import html

HOSTILE = "</script><script>alert(1)</script>&<!--"
FILES = {
    "page.html": '<meta content="{{policy}}"><style>{{style}}</style><h1>{{title}}</h1>'
    '<script type="application/json" id="data" data-check="{{check}}">{{data}}</script>{{scripts}}',
    "a.css": "body { color: red }",
    "b.css": "p { margin: 0 }",
    "a.js": "const one = 1;",
    "b.js": "const two = 2;",
}


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(html, "_file", FILES.__getitem__)

    def made(data):
        return html.one_file("page.html", ["a.css", "b.css"], ["a.js", "b.js"], data, {"title": "A title"})

    return made


def digest(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_has_its_parts_and_lets_only_these_run(page):
    text = page({"a": 1})
    policy = re.search(r'content="(.*?)"', text)[1]
    style, scripts = re.search("<style>(.*?)</style>", text, re.DOTALL)[1], re.findall(r"<script>(.*?)</script>", text)
    assert style == "body { color: red }\np { margin: 0 }" and scripts == ["const one = 1;", "const two = 2;"]
    assert policy.split("; ") == [
        *("default-src 'none'", f"style-src {digest(style)}", f"script-src {' '.join(map(digest, scripts))}"),
        *("base-uri 'none'", "form-action 'none'"),
    ]
    assert "<h1>A title</h1>" in text and "{{" not in text


def test_data_stays_data(page):
    text = page({"name": HOSTILE, "template": "{{style}}"})
    check, data = re.search(r'data-check="(\w+)">(.*?)</script>', text).groups()
    assert json.loads(data) == {"name": HOSTILE, "template": "{{style}}"}
    assert not set("<>&") & set(data) and check == f"{zlib.crc32(data.encode()):08x}"


def test_a_number_that_is_not_finite_is_no_data(page):
    with pytest.raises(ValueError):
        page({"a": float("nan")})
