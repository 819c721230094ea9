"""The page as HTML: one document for both uses, served beside a run or complete in a file.

The document loads nothing. Served, its script requests numbers from the server; in a file, they
are part of it. Its Content Security Policy allows this one script, drawing, and requests to the
server that it came from.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from scoremachines._version import __version__
from scoremachines.report.page import CONTROLS

__all__ = ["SCRIPTS", "policy_of", "render_live", "render_problem", "render_static"]

SCRIPTS = (
    "data.js",
    "colours.js",
    "draw.js",
    "words.js",
    "panel.js",
    "timeline.js",
    "lab.js",
    "app.js",
    "main.js",
)
"""Parts of the script, in the order in which they stand in the page."""


def render_live(title: str) -> str:
    """Return the page of a served run; it requests the rest from the server."""
    return _render("explore.html", title=title, data=None)


def render_static(title: str, data: dict[str, Any]) -> str:
    """Return the page of a run, complete in one file.

    Args:
        title: of the run.
        data: `overview`, `traces` and `training`, as the service answers them.

    Returns:
        The document, which UTF-8 can encode.
    """
    return _render("explore.html", title=title, data=data)


def render_problem(text: str) -> str:
    """Return a page about what is wrong."""
    return _render("problem.html", text=text)


def policy_of(html: str) -> str:
    """Return the Content Security Policy that a document states of itself."""
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None  # all our documents state one
    policy = found[1].replace("&#39;", "'")
    return f"{policy}; frame-ancestors 'none'"


def _render(name: str, **values: Any) -> str:
    environment = Environment(
        loader=ChoiceLoader(
            [
                PackageLoader("scoremachines", "explore/page"),
                PackageLoader("scoremachines", "report"),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sources = environment.loader
    assert sources is not None
    parts = [sources.get_source(environment, script)[0] for script in SCRIPTS]
    script = "\n(() => {\n'use strict';\n" + "\n".join(parts) + "})();\n"
    styles = [sources.get_source(environment, each)[0] for each in ("page.css", "explore.css")]
    style = "\n" + "\n".join(styles)
    html = environment.get_template(name).render(
        version=__version__,
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
        **values,
    )
    # The script has no such characters, so its hash stays what it is.
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", html).encode("utf-8", "replace").decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
