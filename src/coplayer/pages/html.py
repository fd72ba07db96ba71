"""A web page as one file: its own style, scripts and data inside, and nothing else that a browser would run."""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType
from typing import Any


def one_file(
    template: str,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Mapping[str, Any],
    words: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The page of a template as text. `template`, `styles` and `scripts` are files of this folder. `words`: texts of
    ours for further places of the template.

    Only the page's own scripts can run: the browser is told their hashes. Every text in `data` is kept from ending the
    element that it stands in.
    """
    style, sources = "\n".join(map(_file, styles)), list(map(_file, scripts))
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).translate(
        {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}
    )
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {' '.join(map(_hash, sources))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    parts = {
        **words,
        "policy": policy,
        "style": style,
        "data": text,
        "check": f"{zlib.crc32(text.encode()):08x}",
        "scripts": "\n".join(f"<script>{source}</script>" for source in sources),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file(template))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The hash of an element's text, as a content security policy has it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
