"""The page of a run, read as HTML."""

from __future__ import annotations

import html as escapes
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from scoremachines.data.nearest import nearest_training_image
from scoremachines.data.synthetic.judge import Judge
from scoremachines.data.training_set import TrainingSet
from scoremachines.errors import InputError
from scoremachines.io.pictures import (
    to_bytes,
)
from scoremachines.report import MachineView, Section, page, render, write_page
from scoremachines.report.samples import DETAILED, THUMBNAILS, TRAINING
from scoremachines.sampling.result import Result
from support.documents import Reader, decoded
from support.images import noise
from support.run_pages import HOSTILE, PAGES, judged, page_of, painted, view

each_page = pytest.mark.parametrize("name", PAGES)


@each_page
def test_page_is_well_formed_and_complete_without_anything_else(name: str) -> None:
    document = render(PAGES[name])
    reader = Reader(document)
    assert document.startswith("<!DOCTYPE html>")
    assert reader.all("html") == [{"lang": "en"}]
    assert reader.all("meta")[0] == {"charset": "utf-8"}
    policies = [meta["content"] for meta in reader.all("meta") if "http-equiv" in meta]
    assert [policy.split(";")[0] for policy in policies] == ["default-src 'none'"]
    assert not {"script", "iframe", "object", "base", "form"} & {tag for tag, _ in reader.tags}
    for _, attributes in reader.tags:
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        for attribute in ("src", "href"):
            assert attributes.get(attribute, "#").startswith(("#", "data:"))
    assert not re.search(r"@import|url\(|https?://", document)


@each_page
def test_headings_tables_and_pictures_can_be_read_aloud(name: str) -> None:
    reader = Reader(render(PAGES[name]))
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert len(reader.all("table")) == len(reader.all("caption"))
    for image in reader.all("img"):
        assert image["alt"]
        assert int(image["width"]) > 0
        assert int(image["height"]) > 0
    targets = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    assert {link["href"][1:] for link in reader.all("a")} <= targets


def test_hostile_text_is_shown_as_text() -> None:
    reader = Reader(render(PAGES["hostile"]))
    shown = escapes.unescape(reader.text)
    assert shown.count(HOSTILE) >= 8
    assert "asked for " + HOSTILE in shown
    assert any(image["alt"].endswith(f"{HOSTILE} 0") for image in reader.all("img"))


def test_characters_that_a_document_may_not_hold_are_replaced() -> None:
    names = ["a\x00b", "c\udce9d", "e\x1bf"]
    data = TrainingSet(noise(3, 1, 5, 7), names=names)
    document = render(page_of(view(Result(data.images, data))))
    document.encode()
    assert "a\N{REPLACEMENT CHARACTER}b" in document
    assert "c?d" in document
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", document)


def test_rates_are_those_of_the_verdicts() -> None:
    machines = [judged(True), judged(False)]
    reader = Reader(render(page_of(*machines)))
    bars = [svg["aria-label"] for svg in reader.all("svg")]
    for machine, label in zip(machines, bars, strict=True):
        assert machine.verdicts is not None
        chances = [machine.verdicts.chance(of_all=True), machine.verdicts.chance()]
        for proportion in machine.verdicts.rates().values():
            low, high = (f"{100 * end:.1f}" for end in proportion.interval())
            expected = (
                f"{100 * proportion.rate:.1f} % {low} to {high} % "
                f"{proportion.successes} of {proportion.n}"
            )
            assert expected in reader.text
        for chance in chances:
            assert f"chance {100 * chance:.1f} %" in reader.text
        rate = f"{100 * machine.verdicts.rates()['consistent'].rate:.1f}"
        assert f"{machine.title}: {rate}\xa0% consistent" in label
        assert f"chance {100 * chances[0]:.1f}\xa0%" in label
    rates = [rect["width"] for rect in reader.all("rect") if rect["class"] == "rate"]
    assert 0 < float(rates[0][:-1]) < float(rates[1][:-1]) == 100
    assert "painted in 1 min 23 s" in reader.text


def test_chance_among_no_valid_sample_is_a_dash() -> None:
    data = judged(True).result.data
    assert isinstance(data.judge, Judge)
    empty = torch.full((4, *data.shape), -1.0)
    machine = MachineView("empty", "", Result(empty, data), data.judge(empty))
    reader = Reader(render(page_of(machine)))
    assert "– 0 of 0 chance –" in reader.text
    assert "nan" not in reader.text.lower()
    assert reader.text.count("– not valid") >= 4


def test_each_sample_has_its_verdict_in_words() -> None:
    machine = judged(True)
    assert machine.verdicts is not None
    pictures = [image["alt"] for image in Reader(render(page_of(machine))).all("img")]
    for number, consistent in enumerate(machine.verdicts.consistent.tolist()):
        assert f"sample {number}, {'consistent' if consistent else 'not consistent'}" in pictures
    assert "near-copy" in Reader(render(page_of(judged(False)))).text


def test_nearest_training_image_and_number_of_sources_are_named() -> None:
    result = painted(3)
    assert result.source_images is not None
    index, distance = nearest_training_image(result.images, result.data)
    reader = Reader(render(page_of(view(result))))
    for number, (place, far) in enumerate(zip(index.tolist(), distance.tolist(), strict=True)):
        assert f"nearest, at {far:.2f} {HOSTILE} {place}" in reader.text
        count = len(result.source_images[number].unique())
        assert f"from {count} image{'s' if count > 1 else ''}" in reader.text


def test_pictures_hold_the_pixels_of_the_images() -> None:
    result = painted(3)
    shown = {image["alt"]: image for image in Reader(render(page_of(view(result)))).all("img")}
    for number in range(2):
        image = shown[f"sample {number} of ELS"]
        expected = to_bytes(result.images[number]).movedim(0, -1).numpy()
        assert np.array_equal(decoded(image["src"], "RGB"), expected)
        assert (int(image["width"]), int(image["height"])) == (7 * 13, 5 * 13)


def test_of_many_samples_only_the_first_are_shown_in_detail() -> None:
    data = TrainingSet(noise(TRAINING + 1, 1, 5, 7))
    images = noise(THUMBNAILS + 1, 1, 5, 7, seed=1)
    for count, note in ((THUMBNAILS, "64 samples"), (THUMBNAILS + 1, "The first 64 of 65")):
        reader = Reader(render(page_of(view(Result(images[:count], data)))))
        alts = [image["alt"] for image in reader.all("img")]
        assert sum(bool(re.fullmatch(r"sample \d+", alt)) for alt in alts) == THUMBNAILS
        assert sum(alt.startswith("nearest") for alt in alts) == DETAILED
        assert sum(alt.startswith("training image") for alt in alts) == TRAINING
        assert note in reader.text
        assert f"The first {DETAILED} samples of each machine are shown in detail" in reader.text


def test_machines_with_different_numbers_of_samples_share_a_section() -> None:
    few, many = Result(painted(1).images[:1], painted(1).data), painted(1)
    reader = Reader(render(page_of(view(few, "few"), view(many, "many"))))
    alts = [image["alt"] for image in reader.all("img")]
    assert "sample 1 of many" in alts
    assert "sample 1 of few" not in alts


def test_size_is_bounded_where_pictures_cannot_be_compressed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = TrainingSet(noise(5, 3, 50, 70))
    whole = page_of(*[view(Result(data.images, data), str(number)) for number in range(2)])
    assert "reduced" not in Reader(render(whole)).text
    monkeypatch.setattr(page, "PAGE_BYTES", 150_000)
    document = render(whole)
    assert 50_000 < len(document.encode()) <= 150_000
    assert re.search(r"shown reduced to at most \d+ pixels a side", Reader(document).text)


def test_real_bound_is_four_million_bytes() -> None:
    data = TrainingSet(noise(16, 3, 130, 190))
    result = Result(data.images, data)
    document = render(page_of(*[view(result, str(number)) for number in range(3)]))
    assert len(document.encode()) <= page.PAGE_BYTES == 4_000_000


def test_settings_and_command_are_shown_where_there_are_any() -> None:
    with_settings = Reader(render(PAGES["judged"])).text
    assert "This line runs it again: scoremachines x" in with_settings
    assert "All settings n: 2" in with_settings
    assert "runs it again" not in Reader(render(PAGES["grey"])).text


def test_page_is_the_same_each_time_and_written_whole(tmp_path: Path) -> None:
    path = write_page(PAGES["hostile"], tmp_path / "page.html")
    assert path == tmp_path / "page.html"
    assert path.read_text(encoding="utf-8") == render(PAGES["hostile"])
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="output="):
        write_page(PAGES["grey"], tmp_path / "missing" / "page.html")


def test_views_refuse_what_cannot_be_shown() -> None:
    with pytest.raises(InputError, match="machines="):
        Section("Section", "Text.", [])
    machine = judged(True)
    with pytest.raises(InputError, match="verdicts="):
        MachineView(
            "", "", Result(machine.result.images[:1], machine.result.data), machine.verdicts
        )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (30, "30 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert page.duration(seconds) == text
