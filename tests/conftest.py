"""Settings that all tests share."""

from __future__ import annotations

import torch
from hypothesis import settings

settings.register_profile("scoremachines", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("scoremachines")
torch.set_num_threads(1)
