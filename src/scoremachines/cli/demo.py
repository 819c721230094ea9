"""`scoremachines demo`: real images and the crafted set, without and with attention."""

from __future__ import annotations

from scoremachines.experiments.in_folder.demo import demo_in_folder

__all__ = ["demo"]


def demo(output: str, *, resume: bool = False) -> None:
    """Carry out `demo_in_folder`, and print how consistent the crafted images are."""
    views, page = demo_in_folder(output, resume=resume)
    for shown in views:
        if shown.verdicts is not None:
            rates = shown.verdicts.rates()
            chance = 100 * shown.verdicts.chance(of_all=True)
            print(f"{shown.title}: consistent {rates['consistent']}, chance {chance:.1f} %")
    print(f"page: {page}")
