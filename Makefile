# `make demo` and `make test` are all that a fresh Debian or Ubuntu machine needs; they set up the rest.
.DEFAULT_GOAL := help
.PHONY: help demo test boots boards sweep lint setup docs wheel fuzz bench clean

BIN := $(CURDIR)/.venv/bin
# Programs that are used from an unpacked package instead of an installed one; see tools/setup.sh.
export PATH := $(PATH):$(CURDIR)/.cache/peers/usr/bin

help: ## show this text
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: setup ## set up, build, sign and refuse artifacts; boot a machine, update it, roll back
	@tools/demo.sh
	@$(BIN)/python -m bistable.qemu.story

test: setup ## set up, then run all tests
	@$(BIN)/pytest -n auto

boots: setup ## run all tests that boot machines, the slow ones too (an hour)
	@$(BIN)/pytest qemu-tests tools/tests -m 'boots or slow'

boards: setup ## run the conformance suite on all boards that QEMU has (an hour)
	@$(BIN)/pytest qemu-tests/test_boards.py -m 'boots or slow'

sweep: setup ## cut the power of updates in a thousand places (an hour)
	@$(BIN)/python -m bistable.qemu.sweep

lint: setup ## check form, types and layers
	@tools/lint.sh

setup: ## install what is needed: packages (after saying which) and .venv
	@tools/setup.sh

docs: setup ## write the reference of commands, and manual pages in build/man
	@$(BIN)/python tools/make_reference.py
	@$(BIN)/python tools/make_reference.py --man build/man
	@$(BIN)/python tools/make_client_reference.py
	@$(BIN)/python tools/make_client_reference.py --man build/man
	@$(BIN)/python tools/make_layer_reference.py
	@$(BIN)/python tools/make_board_reference.py
	@$(BIN)/bistable board render --all

wheel: setup ## build wheel and source distribution in dist/
	@$(BIN)/python -m build --no-isolation --outdir dist .

fuzz: setup ## let the fuzzer loose on the reader, for a bounded time
	@$(BIN)/python artifact/tests/fuzz/fuzz_reader.py --seconds 300

bench: setup ## measure, side by side with the peers' programs
	@$(BIN)/python -m pip install --quiet --group bench
	@$(BIN)/python benchmarks/run.py

clean: ## remove what the other targets made
	@rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
