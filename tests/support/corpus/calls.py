"""Every public function, method and constructor, with arguments that are right."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from support.corpus.good import GOOD, OWNERS, USUAL

__all__ = ["Call", "calls"]

MODULES = """
attention attention.building attention.closed_form attention.consensus attention.gain
attention.groups attention.learned calibration.figure calibration.joint calibration.predicted
calibration.strength
calibration.windows data.bundled data.formats.arrays data.formats.datasets data.formats.folder
data.formats.idx data.formats.numpy_files data.formats.safetensors data.formats.shards
data.formats.tars data.formats.zips data.nearest data.open
data.reduction data.sharding.write data.synthetic.judge data.synthetic.shapes
data.synthetic.shapes_config
data.training_set engines experiments.comparison io.pictures io.plots machine.baselines
machine.by_name machine.closed_forms machine.composed machine.denoiser machine.golden
machine.named machine.score_machine metrics.agreement metrics.attribution
metrics.memorisation
metrics.significance metrics.words networks.adapted networks.adapter networks.network
networks.receptive_field networks.settings networks.training.folder networks.training.run
networks.training.settings report.display report.page report.views sampling.provenance
sampling.result sampling.reverse_process sampling.sample theory.locality theory.posterior
theory.proportion theory.schedule theory.specs.attention theory.specs.engine theory.specs.gain
theory.specs.machine
"""
"""Where the public names are: those of the package, and of the modules that the docs name."""
LEFT_OUT = {
    # Protocols' and engines' inner conversations, which no user takes part in.
    *("attention_weights", "plan", "evidence", "answer", "on", "groups_of", "accepts_uint8"),
    # Bound to what pages and the explorer give them.
    *("opened", "with_dtype", "fill_template", "write_html", "Shown", "save_curve"),
    *(
        "fit_beside",
        "pixel_tables",
        "rows_of",
        "contribution_lines",
        "contribution_table",
        "gradients_in",
        "network_seal",
        "predict",
        "Groups",
        "GroupEvidence",
        "GroupTotals",
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
    # Parts of readers, reductions and the grammar, which no user takes part in.
    *("arranged", "as_tensor", "scaled", "classes_of", "spread", "Nearest", "nearer", "read_name"),
    *("DatasetItems", "folder_pictures", "zip_pictures", "tar_pictures", "tars_of", "is_sharded"),
    *("merge_parts", "part_value", "check_executor", "default_executor"),
    *("is_idx", "number_text", "Baseline", "Total", "Centred", "Scatter", "Block"),
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
        elif parameter.name != "self" and single:
            raise LookupError(f"no right value of {parameter.name} in {name}: see good.py")
    return Call(name, make, given)
