"""Settings of the restart study. Defaults: ``conf/study/restart.yaml``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Network:
    """A model and its trainings.

    Attributes:
        settings: beside those of the experiment, ``model=…``.
        seeds: of the initial weights and the order of the data; the ensemble is all of them, the model alone the first.
    """

    settings: list[str]
    seeds: list[int]


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: what the models are trained on: densities of pw.x with ``ecutwfc_Ry``, ``k_mesh`` and
            ``potentials`` in their meta data.
        tests: name of a set → split whose test part it is.
        largest: of each set at most so many structures, one of every composition before the second of any.
        isolated_atoms: of the pseudopotentials; SAD, and where fitted atoms start.
        pseudo_dir: folder of the pseudopotentials.
        experiment: of conf/experiment.
        networks: name → model.
        threshold: conv_thr of the runs, Ry.
        thresholds: conv_thr at which steps are counted; below ``threshold`` from SAD and from the last model only.
        diago_thr_init: of the runs that start from a prediction or from the exact density.
        limit: s of processor time of one run.
        published: share of the steps that the published work saved, %.
        overrides: further settings of every training, e.g. ``train.max_steps=1000``.
    """

    store: str
    split: str
    tests: dict[str, str]
    largest: int
    isolated_atoms: str
    pseudo_dir: str
    experiment: str
    networks: dict[str, Network]
    threshold: float
    thresholds: list[float]
    diago_thr_init: float
    limit: float
    published: float
    overrides: list[str]
