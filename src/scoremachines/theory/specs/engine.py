"""Engines as data, and the grammar of their names: `NAME[:OPTION=VALUE,…]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scoremachines.errors import InputError, real, whole
from scoremachines.io.plugins import ENGINES as GROUP
from scoremachines.io.plugins import names

__all__ = ["ENGINES", "EngineSpec", "known_engines"]

ENGINES: dict[str, dict[str, type]] = {
    "auto": {},
    "native": {"threads": int, "instructions": str},
    "torch": {},
    "reference": {},
    "adaptive": {"tolerance": float, "threads": int},
    "cuda": {},
}
"""Engines, with the options that each has besides its memory."""
EXAMPLE = "adaptive:tolerance=0.001"


@dataclass(frozen=True, init=False)
class EngineSpec:
    """An engine, with its options.

    Args:
        name: a key of `known_engines()`.
        **options: of that engine; None for its default.

    Raises:
        InputError: there is no such engine or option, or its value is of another kind.
    """

    name: str
    options: tuple[tuple[str, Any], ...]

    def __init__(self, name: str = "auto", **options: Any) -> None:
        engines = known_engines()
        if name not in engines:
            raise InputError("engine", name, f"{', '.join(engines)}; with options: {EXAMPLE}")
        for key in options:
            if key not in engines[name]:
                accepted = f"{', '.join(engines[name]) or 'no options'}, of the engine {name}"
                raise InputError("engine", f"{name}:{key}", accepted)
        given = sorted((key, value) for key, value in options.items() if value is not None)
        values = tuple((key, _value(key, value, engines[name][key])) for key, value in given)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", values)

    @classmethod
    def parse(cls, text: str | EngineSpec) -> EngineSpec:
        """Return the engine that a text stands for.

        Args:
            text: such as `native` or `adaptive:tolerance=0.001`; or a spec, which is returned as
                it is.

        Returns:
            The engine.

        Raises:
            InputError: it stands for none.
        """
        if isinstance(text, EngineSpec):
            return text
        name, colon, rest = text.strip().partition(":") if isinstance(text, str) else ("", "", "")
        pairs = [pair.partition("=") for pair in rest.split(",")] if colon else []
        if not name or not all(key and equals for key, equals, _ in pairs):
            raise InputError(
                "engine", text, f"{', '.join(known_engines())}; with options: {EXAMPLE}"
            )
        return cls(name, **{key.strip(): value.strip() for key, _, value in pairs})

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}:{pairs}" if pairs else self.name

    @property
    def exact(self) -> bool:
        """Whether its answers differ from those of other exact engines by rounding alone."""
        return self.name != "adaptive"


def known_engines() -> dict[str, dict[str, type]]:
    """Return the engines with their options; those of other packages have none."""
    return {name: {} for name in names(GROUP)} | ENGINES


def _value(key: str, value: Any, kind: type) -> Any:
    """Return an option's value, of the kind that the engine takes; texts are read."""
    try:
        if kind is int:
            return whole(key, int(value) if isinstance(value, str) else value, 1)
        return real(key, float(value), 0) if kind is float else str(value)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        accepted = "a whole number" if kind is int else "a number"
        raise InputError(key, value, accepted) from None
