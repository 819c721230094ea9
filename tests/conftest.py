"""Settings that all tests share."""

from __future__ import annotations

import os

import torch
from hypothesis import settings

settings.register_profile("scoremachines", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("scoremachines")
torch.set_num_threads(1)
if not torch.cuda.is_available():
    # The GPU engine's kernel runs on the CPU then. Triton reads this when it is imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")
