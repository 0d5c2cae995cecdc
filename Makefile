# make demo | make test | make lint | make slow | make docs | make clean; PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
RUN := runs/demo/$(shell date +%Y-%m-%d_%H-%M-%S)

# Bytecode is kept, whatever the shell says: uv compiles none, so that each process would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test slow lint types format docs clean

# uv reads UV_FIND_LINKS where pip reads PIP_FIND_LINKS. Torch goes first and alone: with it in place nothing
# else pulls another build of it. HEBO, hpbandster and tianshou go last and alone: they pin an old numpy or pandas
# that they do not need.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"netmend needs Python 3.11 or newer, not {sys.version.split()[0]}; try make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt uv
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt torch
	UV_FIND_LINKS="$${PIP_FIND_LINKS:-}" $(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev,peers,clients,report,docs,ray,postgresql]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -c constraints.txt HEBO hpbandster Pyro4 serpent tianshou
	@touch $@

demo: $(INSTALLED)
	$(BIN)/netmend train experiment=demo hydra.run.dir=$(RUN)
	$(BIN)/netmend evaluate policy=$(RUN)+default hydra.run.dir=$(RUN)/evaluation

test: $(INSTALLED)
	$(BIN)/pytest

slow: $(INSTALLED)
	$(BIN)/pytest -m slow -n 0 --timeout 3600

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The houses lie at the root and are imported as netmend.*: this link shows them to the type checker.
types: $(INSTALLED)
	@mkdir -p .types && ln -sfn .. .types/netmend
	$(BIN)/mypy -m netmend -m netmend.__main__ -p netmend.env -p netmend.repair_actions -p netmend.agents
	$(BIN)/mypy docs examples

# The pages that are made of the code, and the site in build/site. `python docs/tutorial.py` runs the tutorial anew,
# `python docs/pictures.py` draws the pictures.
docs: $(INSTALLED)
	$(BIN)/python docs/reference.py
	$(BIN)/mkdocs build

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .types build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
