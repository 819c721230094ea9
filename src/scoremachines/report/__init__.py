"""One self-contained HTML page for a run: samples, their sources, their consistency."""

from __future__ import annotations

from scoremachines.report.page import fill_template as fill_template
from scoremachines.report.page import render as render
from scoremachines.report.page import write_html as write_html
from scoremachines.report.page import write_page as write_page
from scoremachines.report.views import MachineView as MachineView
from scoremachines.report.views import Page as Page
from scoremachines.report.views import Section as Section

__all__ = ["MachineView", "Page", "Section", "fill_template", "render", "write_html", "write_page"]
