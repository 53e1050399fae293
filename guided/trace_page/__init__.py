"""A trace as one HTML page that needs nothing else: no server, no network, no further file."""

from guided.trace_page.page import render_trace, trace_page
from guided.trace_page.sections import read_sections

__all__ = ["read_sections", "render_trace", "trace_page"]
