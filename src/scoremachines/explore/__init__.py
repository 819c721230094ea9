"""The explorer: samples of a run and the sources of every pixel (theory §6.3).

One page for two uses: served on this machine, where it follows trajectories and answers questions
as they come, or written into one file that needs no server.
"""

from __future__ import annotations

from scoremachines.explore.opened_run import Subject as Subject
from scoremachines.explore.server import Desk as Desk
from scoremachines.explore.server import Server as Server
from scoremachines.explore.service import Service as Service
from scoremachines.explore.static import write_static as write_static
from scoremachines.explore.trace import Course as Course
from scoremachines.explore.trace import Trace as Trace
from scoremachines.explore.trace import follow as follow

__all__ = ["Course", "Desk", "Server", "Service", "Subject", "Trace", "follow", "write_static"]
