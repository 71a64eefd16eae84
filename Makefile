# Everything runs in a virtual environment of the checkout's own, made on first use.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
# One worker per core; each worker's libraries share the cores, so they get one thread.
WORKERS ?= auto

.PHONY: demo test lint bench fuzz valgrind clean

# The main job on the example network: PyTorch -> Caffe -> Darknet, verified, with a table at the end.
demo: $(VENV)/.ready
	$(BIN)/python examples/01-mgn-to-caffe-and-darknet/run.py

# Static checks, then every test. The Darknet engine is built first, with each library that it can convolve with,
# before the workers would all wait for it.
test: lint
	$(BIN)/python -c "from mgn_convert.formats.darknet.build import library; \
	  [library(name) for name in ('onednn', 'openblas', 'builtin')]"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Style, imports and types.
lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Time and memory against plain file operations; prints tables, asserts nothing.
bench: $(VENV)/.ready
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/retrieval.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/darknet

# Looks for faults of the Darknet engine: known inputs under sanitizers, then new ones for FUZZ_SECONDS.
FUZZ_SECONDS ?= 120
fuzz: $(VENV)/.ready
	$(BIN)/python tests/fuzz/fuzz.py replay
	$(BIN)/python tests/fuzz/fuzz.py fuzz --seconds $(FUZZ_SECONDS)

# The known inputs under valgrind, which takes minutes.
valgrind: $(VENV)/.ready
	$(BIN)/python tests/fuzz/fuzz.py valgrind

# The constraints pin every version, torch's CPU build among them.
$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) out dist
