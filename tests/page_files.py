"""What the tests of pages, as files and in a browser, have in common."""

import base64
import hashlib
import re
import zlib


def scripts(page: str) -> list[str]:
    """What the page is given, and its scripts."""
    return re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)


def again(page: str) -> str:
    """The page with a check that holds for its changed data."""
    return re.sub(r'data-check="\w+"', f'data-check="{zlib.crc32(scripts(page)[0].encode()):08x}"', page)


def assert_nothing_else_runs(page: str) -> None:
    """Only the page's own scripts and style may run, and nothing is loaded."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [_hashed(script) for script in scripts(page)[1:]]
    assert rules["style-src"] == _hashed(re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1])
    own = page.replace("http://www.w3.org/2000/svg", "").replace("url(#${clip})", "")
    assert not re.search(r"https?://|\bsrc=|@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket", own)
    assert "{{" not in page


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
