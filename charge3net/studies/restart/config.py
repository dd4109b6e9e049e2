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
class TestSet:
    """Structures that the models have not seen.

    Attributes:
        split: whose test part it is.
        largest: at most so many of them, one of every composition before the second of any, else in an order by hash.
    """

    split: str
    largest: int


@dataclass
class Config:
    """Settings.

    Attributes:
        store, split: what the models are trained on: densities of pw.x with ``ecutwfc_Ry``, ``k_mesh`` and
            ``potentials`` in their meta data.
        tests: by name.
        isolated_atoms: of the pseudopotentials; SAD, and where fitted atoms start.
        pseudo_dir, extension: folder and ending of the pseudopotentials' files: ``.upf`` with the orbitals of the atom,
            that the first wavefunctions are made of, or ``.gth`` without.
        experiment: of conf/experiment.
        networks: name → model.
        threshold: conv_thr of the runs, Ry.
        thresholds: conv_thr at which steps are counted; below ``threshold`` from SAD and from the last model only.
        diago_thr_inits, diago_david_ndims: thresholds of the first diagonalisation, and sizes of Davidson's basis. The
            pair with the least work on validation structures is taken, for the first seed of the last network (all
            predictions take it over), and for SAD.
        tuning, tuned_on: the split of these structures, and how many of them.
        limit: s of processor time of one run.
        published: share of the steps that the published work saved, %.
        overrides: further settings of every training, e.g. ``train.max_steps=1000``.
    """

    store: str
    split: str
    tests: dict[str, TestSet]
    isolated_atoms: str
    pseudo_dir: str
    extension: str
    experiment: str
    networks: dict[str, Network]
    threshold: float
    thresholds: list[float]
    diago_thr_inits: list[float]
    diago_david_ndims: list[int]
    tuning: str
    tuned_on: int
    limit: float
    published: float
    overrides: list[str]
