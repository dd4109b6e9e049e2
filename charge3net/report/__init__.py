"""One self-contained HTML page about a set of training runs: what was trained, how well it predicts, what is open."""

from charge3net.report.page import write_report

__all__ = ["write_report"]
