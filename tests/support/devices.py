"""Where the GPU engine runs, and whether it can."""

from __future__ import annotations

import pytest
import torch

from scoremachines.engines.triton.engine import obstacle

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
runs_here = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
