"""Reading what Weights & Biases keeps of an offline run."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, 7
_FULL, _LAST = 1, 4


def records(path: Path) -> list[Any]:
    """The protocol buffers in a ``.wandb`` file: LevelDB's log format behind a head of 7 bytes.

    Blocks of 32 KiB hold chunks: checksum (4 bytes), length (2), kind (1), data. A record is one whole chunk, or a
    first, middle ones and a last.
    """
    from wandb.proto import wandb_internal_pb2

    content, position, whole, found = path.read_bytes(), _HEADER, b"", []
    assert content[:4] == b":W&B"
    while position + _HEADER <= len(content):
        room = _BLOCK - position % _BLOCK
        if room < _HEADER:
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        start = position + _HEADER
        if start + length > len(content):  # still being written
            break
        whole += content[start : start + length]
        position = start + length
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            found.append(record)
            whole = b""
    return found
