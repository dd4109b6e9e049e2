"""Data module of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader

from charge3net.data.dataset import FixedProbeDataset, ProbeDataset
from charge3net.data.sampling import StepSampler
from charge3net.data.splits import Split, nested_subset, read_split
from charge3net.data.store import Store
from charge3net.errors import InputError
from charge3net.graph.collate import collate
from charge3net.graph.types import DensityBatch

#: The one entry of the state that depends on the number of processes, which is known once the training has started.
PER_STEP = "structures per step over all processes"

#: Validation does not depend on the run's seed, so that runs with different seeds can be compared.
_VALIDATION_SEED = 0


class DensityDataModule(pl.LightningDataModule):
    """Training and validation batches from a store and a split.

    Training is counted in steps, not in epochs. The training loader is endless: passes over the data, each in its own
    order with its own probes, end to end (:class:`~charge3net.data.sampling.StepSampler`). What step n holds is a
    function of the seed and n. To resume, the loader starts at the number of batches the trainer's progress says are
    done (Lightning restores it before it asks for the loader), so a resumed run sees exactly what the uninterrupted one
    saw, wherever it stopped, with any number of workers. Give the trainer ``max_steps``, an integer
    ``val_check_interval`` with ``check_val_every_n_epoch=None``, and ``use_distributed_sampler=False``.

    With several processes each takes ``batch_size`` structures of a step; together they see what one process with the
    sum of them would see. For validation each takes every n-th material, so add up numerators and denominators.

    Args:
        store: folder of the store.
        split: JSON file with the names of the parts.
        cutoff: radius in Å of the model.
        batch_size: structures per step and process.
        probes: random probes per structure in training.
        validation_structures: at most this many materials validate, the same for every seed; None for all.
        validation_probes: fixed probes per material, the same for every seed; None for every voxel.
        workers: processes that prepare batches; 0 for none.
        seed: of order, training probes and subset.
        train_size: train on a nested subset of this size (learning curves); None for all.
        channels: 1 for the total density, 2 for total and magnetisation.
        ignore_pbc: build graphs without periodic images.
        pin_memory: page-locked batches, for a GPU.

    Raises:
        InputError: for a store or split that is wrong, a material without magnetisation where channels is 2.
    """

    def __init__(
        self,
        store: str | Path,
        split: str | Path,
        cutoff: float,
        batch_size: int = 2,
        probes: int = 200,
        validation_structures: int | None = None,
        validation_probes: int | None = 1000,
        workers: int = 0,
        seed: int = 0,
        train_size: int | None = None,
        channels: int = 1,
        ignore_pbc: bool = False,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.store = Store(store)
        self.split: Split = read_split(split)
        self.split.check(self.store.keys())
        self.train_keys = self._train_keys(train_size, seed)
        self.validation_keys = self._validation_keys(validation_structures)
        self.batch_size, self.workers, self.seed, self.pin_memory = batch_size, workers, seed, pin_memory
        if workers < 0:
            raise InputError(f"the number of workers cannot be negative, found workers={workers}")
        StepSampler(len(self.train_keys), batch_size)
        self.train_data = ProbeDataset(self.store, self.train_keys, cutoff, probes, seed, channels, ignore_pbc)
        self.validation_data = FixedProbeDataset(
            self.store, self.validation_keys, cutoff, validation_probes, _VALIDATION_SEED, channels, ignore_pbc
        )

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur in the training structures."""
        return tuple(sorted({int(z) for key in self.train_keys for z in self.store[key].geometry.numbers}))

    @property
    def potentials(self) -> dict[str, list[dict[str, Any]]]:
        """Element → the pseudopotentials in the training data, as far as its files say (runs of pw.x and ABINIT do)."""
        found: dict[str, list[dict[str, Any]]] = {}
        for key in self.train_keys:
            for element, record in (self.store[key].meta.get("potentials") or {}).items():
                if record not in found.setdefault(element, []):
                    found[element].append(record)
        return found

    @property
    def codes(self) -> list[str]:
        """The DFT codes that the training densities are of, as far as the store says."""
        return sorted({str(code) for key in self.train_keys if (code := self.store[key].meta.get("code"))})

    def train_loader(self, start_step: int = 0, rank: int = 0, world_size: int = 1) -> DataLoader[DensityBatch]:
        """The endless training batches of one process from a step on."""
        sampler = StepSampler(len(self.train_keys), self.batch_size, self.seed, start_step, rank, world_size)
        return DataLoader(self.train_data, batch_sampler=sampler, **self._loading())

    def validation_loader(self, rank: int = 0, world_size: int = 1) -> DataLoader[DensityBatch]:
        """The validation materials of one process, one in each batch.

        Raises:
            InputError: if there are fewer materials than processes.
        """
        if len(self.validation_keys) < world_size:
            raise InputError(
                f"{len(self.validation_keys)} validation materials cannot be shared by {world_size} processes"
            )
        own = [[position] for position in range(rank, len(self.validation_keys), world_size)]
        return DataLoader(self.validation_data, batch_sampler=own, **self._loading())

    def train_dataloader(self) -> DataLoader[DensityBatch]:
        """Called by Lightning: the batches that come after those already done."""
        rank, world_size = self._place()
        return self.train_loader(self._steps_done(), rank, world_size)

    def val_dataloader(self) -> DataLoader[DensityBatch]:
        """Called by Lightning."""
        return self.validation_loader(*self._place())

    def state_dict(self) -> dict[str, Any]:
        """What must be the same for a resumed run to repeat the uninterrupted one."""
        return {
            "seed": self.seed,
            "training materials (hash)": Split(tuple(self.train_keys), ()).hash,
            "validation materials (hash)": Split(tuple(self.validation_keys), ()).hash,
            "probes per structure": self.train_data.n_probes,
            "store (hash)": self.store.hash(),
            PER_STEP: self.batch_size * self._place()[1],
            "pseudo-random order of voxels": self.store.shuffled,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Called by Lightning on resume: see :meth:`check`."""
        self.check(state_dict)

    def check(self, state_dict: dict[str, Any]) -> None:
        """Compare the data with those of the run that is resumed; entries that are missing are not compared.

        Raises:
            InputError: if they differ.
        """
        for name, now in self.state_dict().items():
            before = state_dict.get(name, now)
            if before != now:
                raise InputError(
                    f"cannot resume: {name} was {before} and is now {now}; "
                    "resume with the same data settings, or start a new run from the weights"
                )

    def _train_keys(self, size: int | None, seed: int) -> tuple[str, ...]:
        keys = self.split.part("train")
        return keys if size is None else nested_subset(keys, size, seed)

    def _validation_keys(self, size: int | None) -> tuple[str, ...]:
        keys = self.split.part("validation")
        if size is not None and size < 1:
            raise InputError(f"validation needs at least one material, found validation_structures={size}")
        return keys if size is None else nested_subset(keys, min(size, len(keys)), _VALIDATION_SEED)

    def _loading(self) -> dict[str, Any]:
        return {
            "collate_fn": collate,
            "num_workers": self.workers,
            "worker_init_fn": _one_thread,
            "persistent_workers": self.workers > 0,
            "pin_memory": self.pin_memory,
        }

    def _place(self) -> tuple[int, int]:
        """(rank, number of processes); (0, 1) outside a trainer."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _steps_done(self) -> int:
        """Batches whose step was finished. ``processed`` is the one counter that is right wherever a run stopped."""
        if self.trainer is None:
            return 0
        total: Any = self.trainer.fit_loop.epoch_loop.batch_progress.total
        return int(total.processed)


def _one_thread(worker: int) -> None:
    """The libraries of linear algebra in a data worker: torch limits its own threads only."""
    threadpool_limits(1)
