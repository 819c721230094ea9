"""Try a wheel in an environment of its own: `python tests/support/try_wheel.py dist`.

The environment sees this one's libraries, but the package comes from the wheel alone. Where the
wheel was built with a compiler, its native engine answers, too.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ASK = """
import sys
from pathlib import Path

import scoremachines as sm
from scoremachines.engines.native.engine import native_instructions

assert Path(sm.__file__).is_relative_to(sys.prefix), sm.__file__
data = sm.shapes(n=20)
noisy = sm.starting_noise(0, range(1), data.shape)
answer = sm.els(data, 5).denoise(noisy, 0.5)
known = sm.els(data, 5, engine="torch").denoise(noisy, 0.5)
assert (answer - known).abs().max() < 1e-4
print(f"the wheel answers; native instruction sets: {', '.join(native_instructions()) or 'none'}")
"""


def main(folder: str) -> None:
    wheels = sorted(Path(folder).glob("scoremachines-*.whl"))
    assert len(wheels) == 1, f"one wheel is wanted in {folder}: {wheels}"
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=False)
        binaries = Path(place) / ("Scripts" if sys.platform == "win32" else "bin")
        python = binaries / Path(sys.executable).name
        site = sysconfig.get_path("purelib", vars={"base": place})
        install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", site]
        subprocess.run([*install, "--quiet", str(wheels[0])], check=True)
        # Ours come last, so that what was installed from the wheel wins.
        ours = sysconfig.get_path("purelib")
        Path(site, "libraries.pth").write_text(f"{ours}\n", encoding="utf-8")
        if not python.exists():
            python = binaries / "python"
        subprocess.run([str(python), "-c", ASK], check=True, cwd=place)


if __name__ == "__main__":
    main(sys.argv[1])
