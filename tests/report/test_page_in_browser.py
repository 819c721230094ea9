"""The page of a run as a browser shows it."""

from __future__ import annotations

import html as escapes
import subprocess
from pathlib import Path

import pytest

from scoremachines.report import render
from support.browser import ARGUMENTS, CHROMIUM, needs_browser
from support.run_pages import PAGES


def browsed(document: str, folder: Path) -> tuple[str, list[str]]:
    """Return the document as the browser has it in the end, and what its console says."""
    path = folder / "shown.html"
    path.write_text(document, encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--hide-scrollbars", *ARGUMENTS]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [*command, path.as_uri()], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@needs_browser
def test_browser_has_nothing_to_complain_about(tmp_path: Path) -> None:
    document = render(PAGES["judged"])
    _, complaints = browsed(document, tmp_path)
    assert complaints == []
    outside = document.replace("</main>", '<img src="https://example.org/a.png"></main>')
    _, complaints = browsed(outside, tmp_path)
    assert "Content Security Policy" in complaints[0]


@needs_browser
@pytest.mark.parametrize("name", ["judged", "many machines", "alpha", "hostile"])
def test_page_fits_a_telephone(name: str, tmp_path: Path) -> None:
    frame = (
        '<!DOCTYPE html><iframe width="360" height="600" style="border:0" srcdoc="{}"></iframe>'
        "<script>onload = () => document.title ="
        " 'width ' + frames[0].document.documentElement.scrollWidth</script>"
    )
    shown, _ = browsed(frame.format(escapes.escape(render(PAGES[name]))), tmp_path)
    assert "<title>width 360</title>" in shown
