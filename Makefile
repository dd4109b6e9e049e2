# The two commands of a newcomer:   make demo    make test
# PYTHON=python3.12 picks the interpreter, VENV=path another environment, JOBS=n the number of processes.

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
BIN     = $(VENV)/bin
TORCH  ?= 2.13.0

.PHONY: help install demo test lint scatter gpaw clean

help:
	@echo "make demo      install, train five models on real densities, write demo/report.html (about 10 minutes)"
	@echo "make test      install, run the tests"
	@echo "make lint      ruff and mypy"
	@echo "make install   only make $(VENV)"
	@echo "make scatter   build torch-scatter into $(VENV) (optional, a compiler and some minutes)"
	@echo "make gpaw      environment with GPAW for data_prep/open_dft (optional)"
	@echo "make clean     remove the environment and what make demo wrote"

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml setup.py tools/install.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH="$(TORCH)" sh tools/install.sh
	@touch $@

demo: install
	$(BIN)/python -m charge3net.demo --jobs $(JOBS) --out demo

test: install
	$(BIN)/python -m pytest -n $(JOBS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

scatter: install
	$(BIN)/python -m pip install --no-build-isolation "torch-scatter>=2.1.2"

gpaw:
	sh data_prep/open_dft/install_gpaw.sh

clean:
	rm -rf $(VENV) demo build *.egg-info
