# The two commands of a newcomer:   make demo    make test
# PYTHON=python3.12 picks the interpreter, VENV=path another environment, JOBS=n the number of processes;
# SETTINGS="train.max_steps=100" shortens the trainings of the demo.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
BIN     = $(VENV)/bin
TORCH  ?= 2.13.0
TRITON ?= 3.7.1

.PHONY: help install demo docs test lint fuzz scatter gpaw restart-qe clean

help:
	@echo "make demo      install, train five models on real densities, write demo/report.html (about 10 minutes)"
	@echo "make test      install, run the tests"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the documentation as pages, docs/_build/html; runs the tutorials (about two minutes)"
	@echo "make fuzz      read 100 000 damaged files (about half an hour)"
	@echo "make install   only make $(VENV)"
	@echo "make scatter   build torch-scatter into $(VENV) (optional, a compiler and some minutes)"
	@echo "make triton    Triton, whose interpreter runs the GPU kernels on a CPU (optional, for their tests)"
	@echo "make gpaw      environment with GPAW for data_prep/open_dft (optional)"
	@echo "make restart-qe  pw.x starts from densities written here (Debian: quantum-espresso quantum-espresso-data cp2k-data)"
	@echo "make clean     remove the environment and what make demo wrote"

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml setup.py tools/install.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH="$(TORCH)" sh tools/install.sh
	@touch $@

# The held-out structure whose density is predicted to a CHGCAR beside the DFT one, and settings of every training.
DEMO_KEY = mol-C3H7N-00-0
DEMO_TRAIN = $(BIN)/charge3net train --multirun experiment=demo launcher=joblib hydra.launcher.n_jobs=$(JOBS) \
    data.store=demo/data/store data.split=demo/data/split.json output=demo/runs $(SETTINGS)

demo: install
	$(BIN)/python -m data_prep.bundles.unpack demo_set -o demo/data
	$(DEMO_TRAIN) model.lmax=4,2,0
	$(DEMO_TRAIN) model=demo/schnet,demo/painn
	$(BIN)/charge3net evaluate --model demo/runs/*/ --data demo/data/store --split demo/data/split.json -o demo/evaluation
	$(BIN)/charge3net data export demo/data/store $(DEMO_KEY) -o demo/CHGCAR.true
	$(BIN)/charge3net predict demo/CHGCAR.true --model demo/runs/lmax=4 --like demo/CHGCAR.true \
	    --overwrite -o demo/CHGCAR.predicted
	$(BIN)/charge3net report --runs demo/runs --data demo/data/store --split demo/data/split.json \
	    --evaluation demo/evaluation -o demo/report.html
	@echo "The report: demo/report.html. A predicted density beside the true one: demo/CHGCAR.predicted, demo/CHGCAR.true"

test: install
	$(BIN)/python -m pytest -n $(JOBS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fuzz: install
	$(BIN)/python -m tests.helpers.fuzz --cases 100000

docs: $(VENV)/.docs
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx -q -W --keep-going -j auto -b html docs docs/_build/html
	@echo "The pages: docs/_build/html/index.html"

$(VENV)/.docs: $(VENV)/.installed setup.cfg
	$(BIN)/python -c "from configparser import ConfigParser as C; c = C(); c.read('setup.cfg'); \
	    print(c['options.extras_require']['docs'].strip())" > $@.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -r $@.txt
	@touch $@

scatter: install
	$(BIN)/python -m pip install --no-build-isolation "torch-scatter>=2.1.2"

triton: install
	$(BIN)/python -m pip install -q --no-deps "triton==$(TRITON)"

gpaw:
	sh data_prep/open_dft/install_gpaw.sh

restart-qe: install
	$(BIN)/python -m benchmarks.restart_qe

clean:
	rm -rf $(VENV) demo build docs/_build docs/made *.egg-info
