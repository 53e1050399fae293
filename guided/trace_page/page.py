"""The page: template, style and scripts of the folder `assets/`, and the trace, in one text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from guided.errors import InputError
from guided.trace_page.sections import read_sections

#: In the order in which they build on each other.
_SCRIPTS = ("model.js", "layout.js", "canvas.js", "charts.js", "details.js", "main.js")


def trace_page(path: str | Path, output: str | Path | None = None) -> Path:
    """Writes the page of a trace file; the path of the page.

    Args:
        output: where to; beside the trace, with the ending `.html`, if not given.

    Raises:
        InputError: the file is no trace, or would be overwritten by its page.
        OSError: it cannot be read, or the page cannot be written.
    """
    path = Path(path)
    output = Path(output) if output is not None else path.with_suffix(".html")
    if output.absolute() == path.absolute():
        raise InputError(f"{path}: the page would overwrite the trace; say where it goes (-o)")
    output.write_text(render_trace(read_sections(path), path.name), encoding="utf-8")
    return output


def render_trace(sections: dict[str, Any], title: str) -> str:
    """The page of what `read_sections` has read.

    The texts of a trace are data, never markup: they stand in a block that no browser executes,
    scripts put them into the page as text, and a policy lets nothing run but those scripts.
    """
    assets = files("guided.trace_page") / "assets"
    style = (assets / "style.css").read_text("utf-8")
    script = "".join((assets / name).read_text("utf-8") for name in _SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}}})();\n'
    return Template((assets / "page.html").read_text("utf-8")).substitute(
        policy=html.escape(_policy(style, script)),
        title=html.escape(title),
        style=style,
        data=_data({"title": title, **sections}),
        script=script,
    )


def _policy(style: str, script: str) -> str:
    """Nothing is loaded; one style and one script, known by their hashes, take effect."""
    return f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}"


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data(value: Any) -> str:
    """JSON in which nothing can end the script element that it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # Half of a surrogate pair has no UTF-8.
    return "".join(f"\\u{ord(c):04x}" if 0xD800 <= ord(c) < 0xE000 else c for c in text)


__all__ = ["render_trace", "trace_page"]
