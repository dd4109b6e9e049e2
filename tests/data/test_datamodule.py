from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from charge3net.errors import InputError
from charge3net.graph.types import DensityBatch
from charge3net.train.datamodule import DensityDataModule

Paths = tuple[Path, Path]


def make(paths: Paths, **changes: Any) -> DensityDataModule:
    settings: dict[str, Any] = {"cutoff": 3.0, "batch_size": 2, "probes": 10, "validation_probes": 12, "seed": 3}
    return DensityDataModule(*paths, **{**settings, **changes})


def fingerprint(batch: DensityBatch) -> tuple:
    return batch.keys, batch.target.flatten().tolist(), batch.probes.points.flatten().tolist()


def stream(data: DensityDataModule, steps: int, **place: int) -> list[tuple]:
    return [fingerprint(batch) for batch in islice(data.train_loader(**place), steps)]


def test_batches_do_not_depend_on_workers(store_and_split: Paths) -> None:
    alone = stream(make(store_and_split), 9)
    assert stream(make(store_and_split, workers=1), 9) == alone
    assert stream(make(store_and_split, workers=2), 9) == alone
    assert stream(make(store_and_split, workers=2), 4, start_step=5) == alone[5:]
    assert stream(make(store_and_split, seed=4), 9) != alone


def test_epochs_advance(store_and_split: Paths) -> None:
    """7 structures, batches of 7: each is a whole pass; the same structure gets new probes in each."""
    batches = stream(make(store_and_split, batch_size=7, workers=1), 4)
    assert all(sorted(keys) == [f"m0{i}" for i in range(7)] for keys, _, _ in batches)
    assert len({keys for keys, _, _ in batches}) == 4
    of_m00 = {tuple(points[30 * keys.index("m00") :][:30]) for keys, _, points in batches}
    assert len(of_m00) == 4


def test_two_ranks_share_the_batch_of_one(store_and_split: Paths) -> None:
    one = stream(make(store_and_split, batch_size=4), 6)
    ranks = [stream(make(store_and_split, batch_size=2), 6, rank=rank, world_size=2) for rank in range(2)]
    for step in range(6):
        assert tuple(a + b for a, b in zip(ranks[0][step], ranks[1][step], strict=True)) == one[step]


def test_ranks_validate_disjoint_materials(store_and_split: Paths) -> None:
    data = make(store_and_split)
    ranks = [[batch.keys for batch in data.validation_loader(rank, 2)] for rank in range(2)]
    assert ranks == [[("m07",)], [("m08",)]]
    assert [fingerprint(b) for b in data.validation_loader()] == [fingerprint(b) for b in data.validation_loader()]
    with pytest.raises(InputError, match="2 validation materials cannot be shared by 3"):
        data.validation_loader(0, 3)


def test_every_seed_validates_on_the_same_probes(store_and_split: Paths) -> None:
    one, other = (make(store_and_split, seed=seed, validation_structures=1) for seed in (1, 2))
    assert [fingerprint(b) for b in one.validation_loader()] == [fingerprint(b) for b in other.validation_loader()]


def test_subsets_are_nested(store_and_split: Paths) -> None:
    small, large = (set(make(store_and_split, train_size=size).train_keys) for size in (2, 5))
    assert len(small) == 2
    assert len(large) == 5
    assert small < large
    assert len(make(store_and_split, validation_structures=1).validation_keys) == 1
    assert sorted(make(store_and_split, validation_structures=50).validation_keys) == ["m07", "m08"]
    assert make(store_and_split).elements == (3, 8, 9, 11, 12, 14, 17)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_size": 8}, "has 7 materials"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"probes": 0}, "at least one probe"),
        ({"channels": 2}, "no magnetisation"),
        ({"workers": -1}, "workers=-1"),
        ({"validation_structures": 0}, "validation_structures=0"),
    ],
)
def test_bad_settings(store_and_split: Paths, changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(store_and_split, **changes)


def test_split_of_another_store(store_and_split: Paths, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"train": ["m00"], "validation": ["x"]}))
    with pytest.raises(InputError, match="'x'"):
        make((store_and_split[0], tmp_path / "other.json"))
    (tmp_path / "other.json").write_text(json.dumps({"train": ["m00"]}))
    with pytest.raises(InputError, match="validation part of the split is empty"):
        make((store_and_split[0], tmp_path / "other.json"))


class Recorder(pl.LightningModule):
    """A model of one number that remembers what it saw."""

    def __init__(self, fail_at: int = -1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))
        self.fail_at = fail_at
        self.seen: list[tuple] = []

    def training_step(self, batch: DensityBatch, batch_idx: int) -> torch.Tensor:
        if len(self.seen) == self.fail_at:
            raise RuntimeError("power cut")
        self.seen.append(fingerprint(batch))
        return (batch.target - self.weight).square().mean()

    def validation_step(self, batch: DensityBatch, batch_idx: int) -> None:
        self.log("error", (batch.target - self.weight).abs().mean(), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def trainer(folder: Path, steps: int, save: ModelCheckpoint) -> pl.Trainer:
    return pl.Trainer(
        default_root_dir=folder,
        max_steps=steps,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        use_distributed_sampler=False,
        callbacks=[save],
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.parametrize(
    ("stop", "workers"), [("after a step", 0), ("after validation", 0), ("in a step", 0), ("after a step", 2)]
)
@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_sees_what_the_uninterrupted_one_saw(
    store_and_split: Paths, tmp_path: Path, stop: str, workers: int
) -> None:
    def every(n: int) -> ModelCheckpoint:
        return ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=n, save_top_k=-1)

    straight = Recorder()
    trainer(tmp_path, 10, every(100)).fit(straight, datamodule=make(store_and_split, workers=workers))
    assert len(straight.seen) == 10
    done = {"after a step": 4, "after validation": 6, "in a step": 5}[stop]
    first = Recorder(fail_at=done if stop == "in a step" else -1)
    save: Callable[[], ModelCheckpoint] = {
        "after a step": lambda: every(4),
        "after validation": lambda: ModelCheckpoint(tmp_path, filename="{step}", monitor="error", save_top_k=-1),
        "in a step": lambda: ModelCheckpoint(tmp_path, filename="{step}", save_on_exception=True),
    }[stop]
    run = trainer(tmp_path, done + 1 if stop == "in a step" else done, save())
    if stop == "in a step":
        with pytest.raises(RuntimeError, match="power cut"):
            run.fit(first, datamodule=make(store_and_split, workers=workers))
    else:
        run.fit(first, datamodule=make(store_and_split, workers=workers))
    checkpoint = max(tmp_path.glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    second = Recorder()
    trainer(tmp_path, 10, every(100)).fit(
        second, datamodule=make(store_and_split, workers=workers), ckpt_path=checkpoint, weights_only=True
    )
    assert first.seen + second.seen == straight.seen
    assert float(second.weight) == float(straight.weight)


@pytest.mark.filterwarnings("ignore")
def test_resuming_with_other_data_is_refused(store_and_split: Paths, tmp_path: Path) -> None:
    save = ModelCheckpoint(tmp_path, filename="last", every_n_train_steps=2)
    trainer(tmp_path, 2, save).fit(Recorder(), datamodule=make(store_and_split))
    for changes, message in (
        ({"seed": 4}, "seed was 3 and is now 4"),
        ({"batch_size": 4}, "structures per step"),
        ({"probes": 11}, "probes per structure was 10"),
        ({"train_size": 5}, "training materials"),
    ):
        with pytest.raises(InputError, match=message):
            trainer(tmp_path, 4, save).fit(
                Recorder(), datamodule=make(store_and_split, **changes), ckpt_path=tmp_path / "last.ckpt"
            )
