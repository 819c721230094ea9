"""Record what the product computes, and show later that it still computes the same.

    python tools/record_results.py record /somewhere/results
    python tools/record_results.py compare /somewhere/results

For a change that moves modules and renames options but must not change a number. `compare`
computes everything again, prints a row for each group of cases, and ends with status 1 if a case
is off by more than its group allows. Compare on the machine that recorded, with as many threads:
what is equal to the bit there need not be so on another processor. `--only` and `--skip` choose
sections of the cases, such as demo and quick, which take minutes.

Everything that is called by a name of the package stands in `record_adapter.py`; the keys of the
recording are the recorder's own. Whoever renames something changes that file and no other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from record_cases import Case, all_cases, allowed

Recording = dict[str, np.ndarray]
Cases = Callable[[], Iterator[Case]]
Sections = dict[str, Cases]
REFUSED = np.array("refused")


def computed(section: str, cases: Cases) -> Iterator[tuple[str, Recording]]:
    """Yield the key and the arrays of every case; what the product refuses has one array."""
    for key, thunk in tqdm(list(cases()), desc=section, unit="case", mininterval=5):
        found = thunk()
        named = {f"{section}/{key}#{name}": each for name, each in found.items()}
        yield f"{section}/{key}", named or {f"{section}/{key}": REFUSED}


def record(folder: Path, sections: Sections) -> int:
    """Write a recording, each section when it is done; others that lie there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for section, cases in sections.items():
        arrays: Recording = {}
        refused = count = 0
        for key, found in computed(section, cases):
            count += 1
            refused += key in found
            arrays |= found
        np.savez_compressed(folder / f"{section}.npz", **arrays)  # type: ignore[arg-type]
        print(f"{section}: {count} cases, {refused} refused, {len(arrays)} arrays", flush=True)
    return 0


def compare(folder: Path, sections: Sections) -> int:
    """Compute everything again and print what differs; sections not recorded are left out."""
    print(f"{'group':36}{'cases':>7}{'to the bit':>12}{'largest':>12}{'allowed':>10}{'off':>6}")
    off: list[str] = []
    for section, cases in sections.items():
        path = folder / f"{section}.npz"
        if not path.exists():
            print(f"{section:36}  not recorded")
            continue
        with np.load(path) as file:
            known = {key: file[key] for key in file.files}
        rows: dict[str, Row] = {}
        seen: set[str] = set()
        for key, found in computed(section, cases):
            row = rows.setdefault("/".join(key.split("/")[:2]), Row(allowed(key)))
            seen |= set(found)
            row.add([(name, known.get(name), each) for name, each in found.items()])
        for name in set(known) - seen:
            row = rows.setdefault("/".join(name.split("/")[:2]), Row(allowed(name)))
            row.add([(name, known[name], None)])
        for group, row in rows.items():
            print(
                f"{group:36}{row.cases:7}{row.equal:12}{row.largest:12.2e}{row.allowed:10.0e}"
                f"{len(row.off):6}",
                flush=True,
            )
            off += row.off
    print("\n".join(off[:50] + ([f"… and {len(off) - 50} more"] if len(off) > 50 else [])))
    print("the same" if not off else f"{len(off)} are off")
    return 1 if off else 0


class Row:
    """How a group of cases compares."""

    def __init__(self, allowed: float) -> None:
        self.allowed, self.cases, self.equal, self.largest = allowed, 0, 0, 0.0
        self.off: list[str] = []

    def add(self, pairs: list[tuple[str, Any, Any]]) -> None:
        """Count a case, given its arrays as recorded and as computed now."""
        apart = {name: difference(old, new) for name, old, new in pairs}
        worst = max(apart, key=lambda name: apart[name])
        self.cases += 1
        self.equal += apart[worst] == 0
        self.largest = max(self.largest, apart[worst])
        if apart[worst] > self.allowed:
            told = {name: (old, new) for name, old, new in pairs}[worst]
            self.off.append(f"off: {worst}: {apart[worst]:.2e} {described(*told)}".rstrip())


def described(old: np.ndarray | None, new: np.ndarray | None) -> str:
    """Say why two arrays cannot be compared, if they cannot."""
    if old is None or new is None:
        return "not computed, or refused now" if new is None else "not recorded, or refused then"
    return "" if old.shape == new.shape else f"shapes {old.shape} and {new.shape}"


def difference(old: np.ndarray | None, new: np.ndarray | None) -> float:
    """Return the largest difference, relative where values are above 1; 0 for equal bits.

    Text and whole numbers differ by 0 or by infinity; so do shapes, kinds, and what is infinite or
    no number in one array only.
    """
    if old is None or new is None or old.shape != new.shape or old.dtype.kind != new.dtype.kind:
        return np.inf
    if old.tobytes() == new.tobytes() and old.dtype == new.dtype:
        return 0.0
    if old.dtype.kind != "f" or not (np.isfinite(old) == np.isfinite(new)).all():
        return np.inf
    finite = np.isfinite(old)
    if not np.array_equal(old[~finite], new[~finite], equal_nan=True):
        return np.inf
    a, b = old[finite].astype(float), new[finite].astype(float)
    apart = np.abs(a - b) / np.maximum(1, np.abs(a))
    # Zeros of another sign, or another precision, are not the same bits.
    return float(max(apart.max(initial=0), np.finfo(float).tiny))


def main() -> int:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(description="Record results, or compare with a recording.")
    parser.add_argument("command", choices=["record", "compare"])
    parser.add_argument("folder", type=Path, help="outside of the repository")
    parser.add_argument("--skip", default="", help="sections to leave out, such as demo,quick")
    parser.add_argument("--only", default="", help="sections to carry out; by default all")
    told = parser.parse_args()
    skip, only = (set(filter(None, each.split(","))) for each in (told.skip, told.only))
    with TemporaryDirectory() as scratch:
        sections = all_cases(Path(scratch))
        if unknown := (skip | only) - set(sections):
            parser.error(f"no such sections: {unknown}. There are: {', '.join(sections)}")
        chosen = {
            key: sections[key] for key in sections if key in (only or sections) and key not in skip
        }
        return {"record": record, "compare": compare}[told.command](told.folder, chosen)


if __name__ == "__main__":
    sys.exit(main())
