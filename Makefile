# make demo: a song becomes a beatmap.  make test: everything is checked.  Both build .venv when it is missing.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
TORCHAUDIO := $(shell sed -n 's/^torchaudio==/torchaudio==/p' constraints.txt)
WORKERS ?= 2
test: export OMP_NUM_THREADS = 1# toy models are as fast on one thread, and two jobs do not wait for each other
INSTALL := $(PY) -m pip install -qq --constraint constraints.txt

.PHONY: help demo test fuzz check format matrix lab app readme docs pin clean

help:
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile

# The environment. PyTorch comes first and alone, so that the wheel meant for this machine is the one that is kept.
.venv/made:
	@$(PYTHON) -c "import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and f'Python {v} is too old: give 3.11 or newer, as in make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	touch .venv/made

.venv/run: settings.ini setup.py constraints.txt | .venv/made
	@echo "Installing into .venv: one to three minutes, most of it PyTorch."
	$(PY) -m pip install -qq "$(TORCH)"
	$(INSTALL) --editable .
	touch .venv/run

.venv/dev: settings.ini setup.py constraints.txt | .venv/run
	@echo "Adding the tools of a developer: one to two minutes."
	$(PY) -m pip install -qq --no-deps "$(TORCHAUDIO)"
	$(INSTALL) --editable ".[dev]"
	touch .venv/dev

demo: .venv/run ## turn the bundled song into a beatmap in runs/demo, and play it in the browser
	$(BIN)/mapperatorinator generate audio_path="$$($(PY) -c 'from mapperatorinator.core import demo_song; print(demo_song())')" output_path=runs/demo difficulty=3.5 seed=1 export_osz=true plot=true
	$(BIN)/mapperatorinator preview "$$(ls -t runs/demo/*.osz | head -1)" output=runs/demo/preview.html open_browser=true

test: .venv/dev ## check notebooks and package, run every notebook and every test
	$(PY) tools/check.py
	MPLBACKEND=agg $(BIN)/nbdev_test --n_workers $(WORKERS) --timing
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

minutes ?= 5
fuzz: .venv/dev ## try made-up files with new seeds: make fuzz minutes=20
	MPLBACKEND=agg $(PY) tests/fuzz.py --minutes $(minutes)

check: .venv/dev ## only: notebooks clean, package in sync
	$(PY) tools/check.py

format: .venv/dev ## lay out notebooks, tests and tools: one thing a line
	$(BIN)/ruff format nbs colab tests tools setup.py

matrix: ## the wheel and the suite with the oldest, the newest and Colab's versions, on every Python that is here (hours)
	$(PYTHON) tools/matrix.py $(MATRIX)

lab: .venv/dev ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs/index.ipynb

.venv/app: settings.ini setup.py constraints.txt | .venv/run
	$(INSTALL) --editable ".[app]"
	touch .venv/app

app: .venv/app ## the form in a browser: make app APP="port=9000"
	$(BIN)/mapperatorinator app $(APP)

readme: .venv/dev ## write README.md from nbs/index.ipynb
	$(PY) tools/readme.py

docs: .venv/dev ## make the pages of site/ from notebooks and texts, with a search
	$(PY) tools/docs.py

pin: ## write constraints.txt from the versions in .venv
	$(PY) tools/pin.py

clean: ## remove the environment, caches and builds; runs/ stays
	rm -rf .venv .matrix build dist site *.egg-info .pytest_cache .hypothesis _proc _docs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
