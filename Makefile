# make demo   set up on first use, then a recorded person drives the avatar in your browser
# make test   set up on first use, then linters, types and tests
# make bench  every number that the documentation quotes (ONLY=render for a part)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
ONLY   ?=
AVATAR ?= demo

.PHONY: demo test bench docs setup clean help
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# //p' Makefile | head -3

demo: setup
	@$(BIN)/avatar_ros fetch demo
	@echo "Starting camera, tracker, avatar renderer and the page (all options: $(BIN)/telepresence --help)"
	@$(BIN)/telepresence --avatar $(AVATAR) $(ARGS)

test: setup
	@$(BIN)/avatar_ros fetch all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(ARGS)

bench: setup
	@$(BIN)/avatar_ros fetch all
	$(BIN)/python -m benchmarks $(ONLY)

docs: setup
	$(BIN)/python -m benchmarks.table
	$(BIN)/python tools/document_nodes.py

setup: $(VENV)/.ready

# The messages and the build are the only compiled parts: other sources take effect at once.
$(VENV)/.ready: pyproject.toml constraints.txt setup.py package.xml CMakeLists.txt nodes.txt $(wildcard msg/*.msg)
	@sh tools/check_system.sh $(PYTHON)
	@echo "Setting up $(VENV): about 3 GB, a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q -q --disable-pip-version-check -U 'pip>=24' 'setuptools>=77,<80' wheel
	@echo "[1/3] torch"
	@$(BIN)/pip install --disable-pip-version-check -c constraints.txt torch==2.13.0
	@echo "[2/3] ROS 2 wheels, MediaPipe and the rest; builds the messages"
	@$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[test]'
	@echo "[3/3] compiling the render kernels"
	@$(BIN)/python -m avatar_ros.cli.compile_kernels
	@touch $@

clean:
	rm -rf $(VENV) build avatar_ros/msg avatar_ros/*.so *.egg-info
