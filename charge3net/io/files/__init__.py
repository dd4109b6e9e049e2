"""Files as streams: compression by suffix, whole-or-nothing writing, errors in one sentence."""

from charge3net.io.files.alarm import time_limit
from charge3net.io.files.compression import split_compression
from charge3net.io.files.messages import guarded, printable, reason
from charge3net.io.files.output import atomic_output, write_whole
from charge3net.io.files.source import BLANK_LINES, FREE_BYTES, LARGEST_RATIO, Source, open_source

__all__ = [
    "BLANK_LINES",
    "FREE_BYTES",
    "LARGEST_RATIO",
    "Source",
    "atomic_output",
    "guarded",
    "open_source",
    "printable",
    "reason",
    "split_compression",
    "time_limit",
    "write_whole",
]
