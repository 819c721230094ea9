"""Docstrings of the theory's code show the formulas that they implement."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import scoremachines

FOLDERS = ("attention", "calibration", "engines", "machine", "metrics", "theory")
LEAST = 0.5
"""Share of the public names whose docstring shows a formula."""
SECTION = re.compile(r"^(?:Args|Attributes|Returns|Yields|Raises):$", re.M)
RELATION = re.compile(r"[=∝→]")
SYMBOL = re.compile(
    r"[Σ√∏Παᾱφεσλω∈∂‖²⁻₀⟨]|x̂0|softmax|log|exp|mean|argmin|argmax|min|max|median|\b[AEw]_"
)


def shows_formula(docstring: str) -> bool:
    """Return whether a backticked expression or an indented line relates mathematical symbols."""
    inline = re.findall(r"`([^`]+)`", docstring)
    displayed = re.findall(r"^ {4,}.+$", SECTION.split(docstring)[0], re.M)
    return any(RELATION.search(each) and SYMBOL.search(each) for each in (*inline, *displayed))


def public_docstrings() -> Iterator[tuple[str, str]]:
    """Yield the classes and functions in the modules' `__all__`, and their docstrings."""
    root = Path(scoremachines.__file__).parent
    for path in sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        public = {
            name
            for node in body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for name in ast.literal_eval(node.value)
        }
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in public:
                name = f"{path.relative_to(root).as_posix()}: {node.name}"
                yield name, ast.get_docstring(node) or ""


@pytest.mark.parametrize(
    ("docstring", "shown"),
    [
        ("The mean, `x̂0(u) = Σ_i w_u(i) m_u(i)`.", True),
        ("The mean.\n\n    x̂0(u) = Σ_i w_u(i) m_u(i)\n\nof all images.", True),
        ("The mean of `Σ_i w_u(i)`, `[B, C, H, W]`.", False),
        ("The engine, such as `engine=None`.", False),
        ("The mean.\n\nArgs:\n    φ: noisy images, by default = 0.", False),
    ],
)
def test_a_formula_relates_mathematical_symbols(docstring: str, shown: bool) -> None:
    assert shows_formula(docstring) == shown


def test_half_of_the_public_names_show_their_formula() -> None:
    shown = {name: shows_formula(docstring) for name, docstring in public_docstrings()}
    missing = [name for name, found in shown.items() if not found]
    assert sum(shown.values()) >= LEAST * len(shown), "\n".join(missing)
