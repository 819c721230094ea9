"""Attentions as data, and the grammar of their names.

MAP[@WINDOWS][-class | -consensus][:GAIN]      tiled-class:1.3     maps.npy:0:1,0.5:2
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from scoremachines.errors import InputError, whole
from scoremachines.io.plugins import ATTENTIONS, names
from scoremachines.theory.specs.gain import CALIBRATED, Gain, checked, gain_text, read_gain

__all__ = ["MAPS", "AttentionSpec", "attention_names", "known_maps", "maps_names", "read_name"]

MAPS = {
    "none": "No attention",
    "identity": "Identity attention",
    "top1": "Top-1 attention",
    "tiled": "Tiled attention",
    "full": "Full attention",
    "multiscale": "Multi-scale attention",
    "measured": "The network's own attention",
    "matrix": "Attention by a matrix",
}
"""Attention maps a, with their titles (theory §4.2)."""
NONE, MULTISCALE, NETWORK, MATRIX = "none", "multiscale", "measured", "matrix"
OVER = {
    "image": ("", ""),
    "group": ("-class", ", class-level evidence"),
    "consensus": ("-consensus", ", consensus on the class"),
}
"""What evidence is about, and its ending in a name and in a title (theory §4.1, §4.6, §4.7)."""
FORMER = "-agreed"
"""How older runs write a consensus."""
SYNONYMS = {"top-1": "top1", "multi-scale": "multiscale"}
"""Other names, in small letters, under which documents and pages know maps."""
FILE = ".npy"
"""Ending of a file with a matrix."""


@dataclass(frozen=True)
class AttentionSpec:
    """An attention: its map a, what its evidence is about, and its gain λ (theory §4.2).

        A_uy = λ a_uy

    Args:
        map: a key of `known_maps()`.
        over: `"image"`: evidence of single images; `"group"`: of groups of images, by default
            the classes (theory §4.6); `"consensus"`: pixels agree on a group first (theory §4.7).
        gain: λ ≥ 0; λ(t); `"perplexity"`: one for each row (theory §4.8); or `"calibrated"`:
            λ(t) as it was found for a network.
        windows: κ of a multi-scale attention, odd, pixels; None for doublings of k.
        path: the .npy file of a matrix `[H·W, H·W]`, where it comes from one.

    Raises:
        InputError: a choice that does not exist, or does not go together with the map.
    """

    map: str = NONE
    over: str = "image"
    gain: Gain = 1.0
    windows: tuple[int, ...] | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if self.map not in known_maps():
            raise InputError("attention", self.map, _accepted())
        if self.over not in OVER or (self.map == NONE and self.over != "image"):
            raise InputError("over", self.over, f"{', '.join(OVER)}; without attention: image")
        object.__setattr__(self, "gain", checked(self.gain))
        if self.windows is not None:
            if self.map != MULTISCALE or not self.windows:
                raise InputError("windows", self.windows, f"at least one, of {MULTISCALE}")
            odd = tuple(whole("windows", each, 1, odd=True) for each in self.windows)
            object.__setattr__(self, "windows", odd)
        if self.path is not None and self.map != MATRIX:
            raise InputError("path", self.path, f"a file of the map {MATRIX}")

    @classmethod
    def parse(cls, text: str | AttentionSpec) -> AttentionSpec:
        """Return the attention that a text stands for.

        Capitals, hyphens (`top-1`) and titles of pages are understood, and a network in
        parentheses, as in `measured (soft)`, is left out.

        Args:
            text: a name, or a spec, which is returned as it is.

        Returns:
            The attention.

        Raises:
            InputError: it stands for none.
        """
        if isinstance(text, AttentionSpec):
            return text
        found = cls.read(text) if isinstance(text, str) else None
        if found is None:
            raise InputError("attention", text, _accepted())
        return found

    @classmethod
    def read(cls, text: str) -> AttentionSpec | None:
        """Return what `parse` does, but None where the text stands for no attention.

        Args:
            text: any text.

        Returns:
            The attention, or None.

        Raises:
            InputError: a window or a gain is out of range.
        """
        text = re.sub(r" \([\w-]+\)(?=$|:| ×)", "", text.strip())
        file = re.fullmatch(rf"(?is)(.+{re.escape(FILE)})(.*)", text)
        path, rest = (None, text) if file is None else file.groups()
        name, colon, gain_part = re.sub(r"\s*×\s*", ":", rest).partition(":")
        name, over = _split_ending(name)
        name, at, windows_part = name.partition("@")
        chosen = (
            MATRIX if path is not None and not name else read_name(name, known_maps(), SYNONYMS)
        )
        gain = read_gain(gain_part) if colon else 1.0
        windows = _read_windows(windows_part) if at else None
        if chosen is None or gain is None or (path is not None and chosen != MATRIX):
            return None
        if (at and windows is None) or (chosen == NONE and (colon or over != "image")):
            return None
        return cls(chosen, over, gain, windows, path)

    def __str__(self) -> str:
        windows = "" if self.windows is None else "@" + ",".join(map(str, self.windows))
        return (self.path or self.map) + windows + OVER[self.over][0] + self._gain(":")

    @property
    def title(self) -> str:
        """What pages call it."""
        windows = "" if self.windows is None else " @ " + ",".join(map(str, self.windows))
        return (
            (self.path or known_maps()[self.map])
            + windows
            + OVER[self.over][1]
            + self._gain(" × ")
        )

    def _gain(self, before: str) -> str:
        return "" if self.gain == 1 else before + gain_text(self.gain)

    @property
    def needs_classes(self) -> bool:
        """Whether it needs a training set with classes, unless it is given groups."""
        return self.over != "image"

    @property
    def needs_network(self) -> bool:
        """Whether a network has to bring its maps or its calibrated gain."""
        return self.map == NETWORK or self.gain == CALIBRATED

    @property
    def plain(self) -> AttentionSpec:
        """The same map about single images, with gain 1."""
        return replace(self, over="image", gain=1.0)


def known_maps() -> dict[str, str]:
    """Return the attention maps with their titles, those of other packages at the end."""
    others = {name: f"{name[0].upper()}{name[1:]} attention" for name in names(ATTENTIONS)}
    return MAPS | {name: title for name, title in others.items() if name not in MAPS}


def attention_names() -> list[str]:
    """Return the names of the attentions that need neither a network nor a matrix."""
    return _names([name for name in known_maps() if name not in (NETWORK, MATRIX)])


def maps_names() -> list[str]:
    """Return the names of the attentions with the maps of a network."""
    return _names([NETWORK])


def read_name(text: str, titles: dict[str, str], synonyms: dict[str, str]) -> str | None:
    """Return the name that a text in any spelling stands for.

    Args:
        text: a name, a title or a synonym, in small letters or capitals.
        titles: titles by name.
        synonyms: names by other names in small letters.

    Returns:
        The name; None for none.
    """
    small = text.strip().lower()
    by_title = {title.lower(): name for name, title in titles.items()}
    name = synonyms.get(small, by_title.get(small, small))
    return name if name in titles else None


def _names(maps: list[str]) -> list[str]:
    specs = [AttentionSpec(name, over) for over in OVER for name in maps if name != NONE]
    return [*(name for name in maps if name == NONE), *map(str, specs)]


def _accepted() -> str:
    names = ", ".join(attention_names())
    return f"{names}, or a matrix in an {FILE} file; each with a gain, as in tiled:1.3"


def _split_ending(name: str) -> tuple[str, str]:
    """Return a name without its ending, and what that ending makes evidence be about."""
    if name.endswith(FORMER):
        return name.removesuffix(FORMER), "consensus"
    for over, endings in OVER.items():
        for ending in filter(None, endings):
            if name.lower().endswith(ending):
                return name[: -len(ending)], over
    return name, "image"


def _read_windows(text: str) -> tuple[int, ...] | None:
    parts = [part.strip() for part in text.split(",")]
    return (
        tuple(map(int, parts)) if all(re.fullmatch(r"\d{1,6}", each) for each in parts) else None
    )
