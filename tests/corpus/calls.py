"""Every public function, method and constructor, with arguments that are right."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from corpus.good import GOOD, OWNERS, USUAL

__all__ = ["Call", "calls"]

MODULES = """
agreement attention attention.agreed attention.measured attention.scaled attention.shared
attention.closed_form attribution baselines calibration.predicted calibration.strength
calibration.windows calibration.figure data.bundled data.judge data.shapes data.readers
data.shapes_config data.source data.training_set denoiser display engine experiment.comparison
locality machine measures memorisation named nets.adapted nets.adapter nets.network
nets.receptive nets.settings pictures plots posterior provenance report.page report.views
result sampling schedule significance training.folder training.run training.settings trajectory
"""
"""Where the public names are: those of the package, and of the modules that the docs name."""
LEFT_OUT = {
    # Protocols' and engines' inner conversations, which no user takes part in.
    *("weighings", "plan", "evidence", "answer", "on", "groups_of", "reads_bytes"),
    # Bound to what pages and the explorer give them.
    *("opened", "with_dtype", "fill_template", "write_html", "Shown", "save_curve"),
    *(
        "fit_beside",
        "pixel_tables",
        "rows_of",
        "owed_lines",
        "owed_table",
        "gradients_in",
        "network_seal",
        "predict",
        "Groups",
    ),
    # Records of what was found, which users read and do not make.
    *(
        "Explained",
        "Moments",
        "MemorisationTest",
        "KindTest",
        "Prototype",
        "Row",
        "Sources",
        "Step",
    ),
    *("Verdicts", "WholeMatch", "wrong_pixels"),
}


@dataclass(frozen=True)
class Call:
    """A call that works.

    Args:
        name: of what is called, with its module.
        function: what is called, with everything bound that is not an argument.
        given: its right arguments, by name, each made anew.
    """

    name: str
    function: Callable[..., Any]
    given: dict[str, Callable[[], Any]]


def calls() -> Iterator[Call]:
    """Yield every public call.

    Yields:
        The calls, in the order of their modules.
    """
    for module in MODULES.split():
        home = importlib.import_module(f"scoremachines.{module}")
        for name in home.__all__:
            found = getattr(home, name)
            if name in LEFT_OUT or getattr(found, "__module__", "") != home.__name__:
                continue
            if inspect.isfunction(found):
                yield _call(f"{module}.{name}", lambda found=found: found, found)
            elif inspect.isclass(found) and not getattr(found, "_is_protocol", False):
                yield from _of_class(module, found)


def _of_class(module: str, found: type) -> Iterator[Call]:
    if not inspect.isabstract(found) and "__init__" in vars(found):
        yield _call(f"{module}.{found.__name__}", lambda: found, found)
    for name, member in vars(found).items():
        if name.startswith("_") or name in LEFT_OUT:
            continue
        place = f"{module}.{found.__name__}.{name}"
        if isinstance(member, classmethod | staticmethod):
            yield _call(place, lambda name=name: getattr(found, name), getattr(found, name))
        elif inspect.isfunction(member) and found.__name__ in OWNERS:
            owner = OWNERS[found.__name__]
            method = lambda name=name, owner=owner: getattr(owner(), name)  # noqa: E731
            yield _call(place, method, member)


def _call(name: str, make: Callable[[], Any], like: Callable[..., Any]) -> Call:
    """Return a call with the arguments that have a right value."""
    short = name.rpartition(".")[2]
    given = {}
    for parameter in inspect.signature(like).parameters.values():
        known = GOOD.get(parameter.name) if short not in USUAL else None
        known = USUAL.get(short, {}).get(parameter.name, known or GOOD.get(parameter.name))
        single = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.name != "self" and single and known is not None:
            given[parameter.name] = known
        elif parameter.name != "self" and single and parameter.default is not parameter.empty:
            given[parameter.name] = lambda parameter=parameter: parameter.default
    return Call(name, make, given)
