"""Every experiment and option in conf/ composes, fits the schema, and builds what it names."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from charge3net.cli.settings import conf_folder
from charge3net.cli.train import register_schema, to_config
from charge3net.models.registry import build_model
from charge3net.train.config import TrainConfig
from charge3net.train.losses import build_loss
from charge3net.train.schedule import build_schedule
from charge3net.train.source import with_model_of

CONF = Path(__file__).parents[2] / "conf"
DATA = ["data.store=STORE", "data.split=SPLIT"]
EXPERIMENTS = sorted(
    str(path.relative_to(CONF / "experiment").with_suffix("")) for path in (CONF / "experiment").rglob("*.yaml")
)
MODELS = sorted(str(path.relative_to(CONF / "model").with_suffix("")) for path in (CONF / "model").rglob("*.yaml"))
OPTIONS = sorted(
    f"{path.parent.name}={path.stem}"
    for group in ("data", "optim", "loss", "train", "logger", "runtime", "launcher", "sweep")
    for path in (CONF / group).glob("*.yaml")
)

# ../shared/design/models.md, section 4. lr, β, structures × probes per step (all processes), steps, loss.
PUBLISHED = {
    "charge3net_nmc": (0.01, 1e4, 4 * 8, 200, 750_000, "l1"),
    "charge3net_qm9": (0.01, 1e4, 4 * 8, 200, 1_000_000, "l1"),
    "charge3net_mp": (0.005, 3e3, 4 * 16, 200, 1_000_000, "l1"),
    "deepdft_schnet_nmc": (1e-4, 1e5, 2, 1000, None, "mse"),
    "deepdft_schnet_qm9": (1e-4, 1e5, 2, 1000, None, "mse"),
    "deepdft_painn_nmc": (1e-4, 1e5, 2, 1000, None, "mse"),
    "deepdft_painn_qm9": (1e-4, 1e5, 2, 1000, None, "mse"),
    "deepdft_schnet_mp": (6e-4, 3e3, 16, 500, 1_000_000, "l1"),
    "deepdft_painn_mp": (6e-4, 3e3, 16, 500, 1_000_000, "l1"),
    "deepdft_schnet_nmc_retrained": (4e-4, 6e3, 8, 500, 750_000, "l1"),
    "deepdft_painn_nmc_retrained": (4e-4, 6e3, 8, 500, 750_000, "l1"),
    "deepdft_schnet_qm9_retrained": (4e-4, 6e3, 8, 500, 1_000_000, "l1"),
    "deepdft_painn_qm9_retrained": (4e-4, 6e3, 8, 500, 1_000_000, "l1"),
}


def composed(*overrides: str) -> TrainConfig:
    register_schema()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return to_config(compose("config", overrides=[*DATA, *overrides]))


def model_of(config: TrainConfig) -> tuple[str, dict[str, object]]:
    if config.model["architecture"] == "init":  # of a trained model: here of one of 8 features
        config = with_model_of(config, {"architecture": "schnet", "features": 8})
    hyperparameters = dict(config.model)
    return hyperparameters.pop("architecture"), hyperparameters


def test_every_config_is_packaged() -> None:
    setup = ConfigParser()
    setup.read(CONF.parent / "setup.cfg")
    patterns = setup["options.package_data"]["charge3net.conf"].split(",")
    assert {path for pattern in patterns for path in CONF.glob(pattern.strip())} == set(CONF.rglob("*.yaml"))


def test_folder_is_found() -> None:
    assert conf_folder() == CONF


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment(name: str) -> None:
    config = composed(f"experiment={name}")
    assert config.name == name.rsplit("/", 1)[-1]
    assert config.output == f"runs/{config.name}"
    architecture, hyperparameters = model_of(config)
    model = build_model(architecture, hyperparameters)
    assert {k: v for k, v in model.hyperparameters().items() if k in hyperparameters} == hyperparameters
    build_loss(config.loss.name)
    assert build_schedule(config.optim.schedule, config.train.max_steps)(0) > 0


def test_every_published_recipe_is_there() -> None:
    assert {name for name in EXPERIMENTS if name.startswith("published/")} == {
        f"published/{name}" for name in PUBLISHED
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name: str) -> None:
    config = composed(f"experiment=published/{name}")
    lr, beta, batch, probes, steps, loss = PUBLISHED[name]
    assert config.optim.lr == lr
    assert (config.optim.schedule.name, config.optim.schedule.beta) == ("power", beta)
    assert (config.data.batch_size, config.data.probes) == (batch, probes)
    assert config.loss.name == loss
    assert config.train.max_steps == steps or steps is None
    if steps is None:  # until the error stops falling, on 50 × 5000 probes every 5000 steps
        assert config.train.patience is not None
        assert (config.train.val_every, config.data.val_structures, config.data.val_probes) == (5000, 50, 5000)
    assert config.model["architecture"] == name.replace("deepdft_", "").split("_")[0]


@pytest.mark.parametrize(
    ("name", "parameters"),
    # models.md, sections 2 and 3
    [("schnet", 2.1e6), ("painn", 1.5e6)],
)
def test_published_sizes(name: str, parameters: float) -> None:
    model = build_model(*model_of(composed(f"model={name}")))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    architecture, hyperparameters = model_of(composed(f"model={name}"))
    assert hyperparameters
    assert build_model(architecture, hyperparameters).architecture == architecture


def test_models_for_one_experiment_can_be_swapped() -> None:
    assert composed("experiment=small", "model=small/painn").model["architecture"] == "painn"


@pytest.mark.parametrize("option", OPTIONS)
def test_option(option: str) -> None:
    config = composed(option)
    build_loss(config.loss.name)
    build_schedule(config.optim.schedule, config.train.max_steps)


@pytest.mark.parametrize("path", sorted(CONF.glob("sweep/*.yaml")), ids=lambda p: p.stem)
def test_sweep_members_compose(path: Path) -> None:
    sweeper = OmegaConf.load(path).hydra.sweeper
    params = sweeper.get("params", {})
    assert params or sweeper.n_trials  # a search takes what varies from the command line
    for name, values in params.items():
        for value in values.split(","):
            composed(f"{name}={value}")


@pytest.mark.parametrize("experiment", ["demo", "study/learning_curves"])
def test_models_of_a_comparison_differ_in_model_and_learning_rate_only(experiment: str) -> None:
    base = composed(f"experiment={experiment}")
    rates = {"lmax=0": 0.01, "lmax=1": 0.015, "lmax=2": 0.02, "lmax=3": 0.025, "lmax=4": 0.03}  # docs/training.md
    rates |= {"schnet": 0.002, "painn": 0.0015}
    sizes = set()
    for name, rate in rates.items():
        member = composed(f"experiment={experiment}", f"model.{name}" if "=" in name else f"model=demo/{name}")
        assert member.optim.lr == rate
        architecture = member.model.pop("architecture")
        assert architecture == ("charge3net" if "=" in name else name)
        build_model(architecture, member.model)
        sizes.add(member.model.get("mul"))
        assert (member.data, member.train, member.loss) == (base.data, base.train, base.loss)
        assert member.optim.schedule == base.optim.schedule
    assert sizes == {120, None}  # rotation orders have one representation size


def test_a_model_without_learning_rate_is_named() -> None:
    with pytest.raises(Exception, match=r"no learning rate for model\.lmax=5; add optim\.lr="):
        composed("experiment=demo", "model.lmax=5")
    assert composed("experiment=demo", "model.lmax=5", "optim.lr=0.001").optim.lr == 0.001
