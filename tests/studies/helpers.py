"""What the tests of studies that train share: settings of a network that is trained in a second."""

from __future__ import annotations

TINY = (
    "model.mul=4",
    "model.hidden=4",
    "model.num_basis=4",
    "data.batch_size=1",
    "data.probes=8",
    "data.val_probes=20",
    "train.max_steps=2",
    "train.val_every=2",
    "train.log_every=1",
    "runtime=cpu",
    "runtime.threads=1",
    "runtime.progress=false",
)
