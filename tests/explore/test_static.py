"""The page in one file: complete, small enough, and the same each time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scoremachines.cli.main import main
from scoremachines.errors import InputError
from scoremachines.explore import Service, write_static
from scoremachines.explore.encoding import unpack
from scoremachines.explore.html import SCRIPTS, render_static


def embedded(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_file_holds_all_and_loads_nothing(service: Service, tmp_path: Path) -> None:
    path = write_static(service, tmp_path / "page.html")
    html = path.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)""", html.partition("<script>")[0])
    assert not re.search(r"@import|url\(|https?://", html)
    assert "connect-src &#39;none&#39;" in html
    content = embedded(html)
    assert set(content["traces"]) == {f"{n}/{i}" for n in ("run", "tiled") for i in range(3)}
    for key, trace in content["traces"].items():
        name, _, number = key.partition("/")
        assert trace == service.finished(name, int(number))
    named = set(content["training"]["index"])
    for trace in content["traces"].values():
        assert set(np.unique(unpack(trace["sources"]["image"])).tolist()) - {-1} <= named
    assert list(tmp_path.iterdir()) == [path]
    again = write_static(service, tmp_path / "again.html")
    assert again.read_bytes() == path.read_bytes()


def test_machines_and_samples_can_be_chosen(painted_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    words = ["explore", str(painted_run), "-o", str(path), "-n", "1"]
    assert main([*words, "--machine", "top1", "--machine", "ideal"]) == 0
    content = embedded(path.read_text(encoding="utf-8"))
    assert set(content["traces"]) == {"run/0", "top1/0", "ideal/0"}
    assert content["overview"]["beside"] == "top1"
    assert content["overview"]["live"] is None


def test_what_is_needed_least_is_left_out_first(service: Service, tmp_path: Path) -> None:
    whole = write_static(service, tmp_path / "whole.html").stat().st_size
    limit = whole - 2000
    smaller = write_static(service, tmp_path / "smaller.html", limit=limit)
    assert smaller.stat().st_size <= limit
    content = embedded(smaller.read_text(encoding="utf-8"))
    for key, trace in content["traces"].items():
        name, _, number = key.partition("/")
        before = service.finished(name, int(number))
        one, other = (unpack(each["sources"]["image"]) for each in (before, trace))
        assert (one[:, 0] == other[:, 0]).all()
        assert ((other == one) | (other == -1)).all()
        for part in ("weight", "entropy"):
            exact, found = (
                unpack(packed) * packed["scale"]
                for packed in (
                    each["sources"]["weight"] if part == "weight" else each["entropy"]
                    for each in (before, trace)
                )
            )
            kept = np.ones(exact.shape, dtype=bool) if part == "entropy" else other >= 0
            assert np.abs(exact - found)[kept].max() <= max(exact.max(), 1) / 255
    fewer = write_static(service, tmp_path / "fewer.html", limit=whole - whole // 5)
    assert fewer.stat().st_size <= whole - whole // 5
    with pytest.raises(InputError, match="samples="):
        write_static(service, tmp_path / "none.html", limit=1000)
    with pytest.raises(InputError, match="samples="):
        write_static(service, tmp_path / "none.html", samples=0)
    assert not (tmp_path / "none.html").exists()


def test_what_cannot_be_written_or_answered_is_refused(service: Service, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="output="):
        write_static(service, tmp_path / "missing" / "page.html", samples=1)
    with pytest.raises(InputError, match="machine="):
        write_static(service, tmp_path / "page.html", machines=["nobody"])


def test_data_cannot_end_the_script_that_holds_it() -> None:
    html = render_static("</script><b>", {"overview": "</script><script>alert(1)</script>"})
    assert "alert(1)</script>" not in html
    assert embedded(html)["overview"] == "</script><script>alert(1)</script>"
    assert "&lt;/script&gt;&lt;b&gt;" in html
    assert len(SCRIPTS) == len(set(SCRIPTS))
