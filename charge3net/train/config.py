"""Settings of a training run: dataclasses, the schema of ``conf/`` and of ``config.json`` in a run folder.

Nothing here imports Hydra: in Python, fill :class:`TrainConfig` and call :func:`charge3net.train.run.train`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MISSING: Any = "???"
"""A value that the user must give (OmegaConf's spelling)."""


@dataclass
class DataConfig:
    """The densities and how they are sampled.

    Attributes:
        store: folder made by ``charge3net data build``.
        split: JSON file made by ``charge3net data split``.
        train_size: train on the first n materials of the training part (nested subsets); None takes all.
        batch_size: structures per optimiser step, over all processes together.
        probes: probes per structure and step, drawn uniformly with replacement.
        val_structures: materials to validate on; None takes the whole validation part.
        val_probes: fixed probes per validation material; None takes every voxel.
        workers: processes that prepare batches; 0 prepares them in the training process.
        isolated_atoms: .npz table of isolated atoms, for models that hold fitted atoms: where the fit starts, and what
            an element keeps that is rare. None: from superposed atoms in the store where it has them, else from none.
    """

    store: str = MISSING
    split: str = MISSING
    train_size: int | None = None
    batch_size: int = 8
    probes: int = 200
    val_structures: int | None = None
    val_probes: int | None = 1000
    workers: int = 0
    isolated_atoms: str | None = None


@dataclass
class ScheduleConfig:
    """Schedule of the learning rate; see :mod:`charge3net.train.schedule`.

    Attributes:
        name: ``power``, ``cosine`` or ``constant``.
        beta: steps in which ``power`` multiplies the rate by 0.96.
        warmup: fraction of the run in which ``cosine`` rises first.
        warmup_steps: ``cosine`` rises for at least so many steps, but not for more than half of the run.
    """

    name: str = "power"
    beta: float = 1e4
    warmup: float = 0.0
    warmup_steps: int = 0


@dataclass
class OptimConfig:
    """The optimiser.

    Attributes:
        name: ``adam`` or ``adamw``; see :mod:`charge3net.train.optimisers`.
        lr: learning rate of step 0 (``cosine``: at its top).
        betas, eps, weight_decay: as in ``torch.optim.Adam`` and ``torch.optim.AdamW``.
        schedule: of the learning rate.
    """

    name: str = "adam"
    lr: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)


@dataclass
class LossConfig:
    """Which loss is minimised: ``l1``, ``mse``, ``normalised_l1``, ``unsigned_l1``, ``nmae``, or another package's.

    See :mod:`charge3net.train.losses`.
    """

    name: str = "l1"


@dataclass
class LoopConfig:
    """Length of the run; how often it is validated, logged and saved.

    Attributes:
        max_steps: optimiser steps.
        val_every: steps between validations; there is always one at the end.
        patience: stop after this many validations without a better ε_mae; None never stops early.
        log_every: steps between lines of the log.
        save_every: steps between resume checkpoints, besides those after every validation; None writes only those.
        clip: largest norm of the gradient; None does not clip.
        ema: decay of a running average of the weights, which is validated and saved instead; None: no average.
        freeze: layers whose weights stay those of ``init``: ``head``, ``atom_layers``, ``atom_layers.0``, ….
        fresh: layers that are not taken from ``init`` but start anew; ``atoms``: fitted atoms are fitted again.
    """

    max_steps: int = 1000
    val_every: int = 500
    patience: int | None = None
    log_every: int = 50
    save_every: int | None = None
    clip: float | None = None
    ema: float | None = None
    freeze: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)


@dataclass
class LoggerConfig:
    """Logs in addition to ``metrics.csv``, which is always written.

    Attributes:
        tensorboard: write TensorBoard events into the run folder.
        wandb: log to Weights & Biases.
        project: W&B project.
        group: W&B group; in a sweep None takes the name of the sweep.
        tags: W&B tags.
        offline: store the W&B run on disk, for ``wandb sync``.
    """

    tensorboard: bool = False
    wandb: bool = False
    project: str = "charge3net"
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    offline: bool = False


@dataclass
class RuntimeConfig:
    """Hardware; nothing here changes the result beyond rounding.

    Attributes:
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        devices: processes per node, one for each device.
        nodes: number of nodes.
        threads: CPU threads per process; None takes OMP_NUM_THREADS, else the free cores, 4 at most.
        precision: ``float32`` or ``float64``, of the weights and of all that is computed with them; on a GPU also
            ``tf32`` (float32, products rounded to TF32) and ``bf16`` (weights in float32, products in bfloat16).
        progress: draw a progress bar when standard error is a terminal.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    threads: int | None = None
    precision: str = "float32"
    progress: bool = True


@dataclass
class TrainConfig:
    """A training run.

    Attributes:
        name: of the run, for logs and folders.
        output: run folder.
        resume: False starts from the beginning; True resumes ``output/resume.ckpt`` if there is one; a path resumes
            that run folder or checkpoint file.
        init: start from the weights of this model: a run or checkpoint folder, released weights, or a name that
            ``charge3net models`` lists (``NAME#MEMBER`` for one of an ensemble); None: from fresh weights.
        seed: of the initial weights and of the sampling of the data.
        model: ``architecture`` and its hyper-parameters; with ``init`` those of that model where they are not given.
    """

    name: str = "run"
    output: str = "runs/run"
    resume: bool | str = False
    init: str | None = None
    seed: int = 0
    model: dict[str, Any] = field(default_factory=lambda: {"architecture": MISSING})
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: LoopConfig = field(default_factory=LoopConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
