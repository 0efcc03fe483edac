# Two commands do everything: `make demo` and `make test`. Each makes .venv first if it is not there.
#
#   PYTHON=python3.12   the Python to use (3.11 or later; the newest found otherwise)
#   BLAS=no             Linux: do not install OpenBLAS
#   PYTEST='-n 0'       other options for the tests than all cores, e.g. --random-order

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
OUT := demo-output
PYTEST ?= -n auto --dist worksteal
comma := ,
LIBRARY := $(OUT)/library.db
PYTHON ?= $(shell for python in python3.15 python3.14 python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
# MLX's Linux wheel has a BLAS many times too slow; on a Mac nothing is needed.
BLAS ?= $(if $(filter Linux,$(shell uname -s)),yes,no)

.PHONY: help demo test page lint types parity examples accuracy demo-checkpoint clean

help:
	@echo 'make demo      an album embedded, labelled, indexed, searched, tagged'
	@echo 'make test      the tests; make page: those of the page in a browser (needs Chromium or Chrome)'
	@echo 'make lint      ruff; make types: mypy; make parity: the tests against transformers and timm'
	@echo 'make examples  the example for a cluster engine, run on this machine'
	@echo 'make accuracy  how exact the port is: the figures in the README'

# One stamp per set of extras: installed again when pyproject.toml changes.
$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is needed and none was found.'; \
		echo 'Mac: brew install python    Debian: apt install python3 python3-venv'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	@touch $@

$(VENV)/.installed-%: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install -qq -e '.[$*$(if $(filter yes,$(BLAS)),$(comma)openblas)]'
	@$(if $(filter yes,$(BLAS)),$(BIN)/python -m mlx_aimv2.cpu.openblas)
	@# pip compiles what it copies, not what stays here: the command starts 10 ms sooner so.
	@$(BIN)/python -m compileall -q mlx_aimv2 cli
	@touch $@

demo: $(VENV)/.installed-demo$(comma)web
	@rm -rf $(OUT) && mkdir -p $(OUT)
	@echo '==> 24 held-out drawings, drawn now'
	$(BIN)/python -m mlx_aimv2.training.drawings.album $(OUT)/album --count 24
	@echo; echo '==> aimv2 embed: pictures to vectors'
	$(BIN)/aimv2 embed $(OUT)/album --model demo --out $(OUT)/album.npz
	@echo; echo '==> aimv2 embed: texts to vectors in the same space'
	$(BIN)/aimv2 embed --text 'a red bicycle' --text 'two dogs on a beach' --model demo --out $(OUT)/texts.npz
	@echo; echo '==> aimv2 classify: which word fits which picture'
	$(BIN)/aimv2 classify $(OUT)/album --model demo --templates drawing --top 1 \
		--labels-from $(OUT)/album/labels.txt
	@echo; echo '==> aimv2 embed: real photographs (no labels: the demo checkpoint knows drawings only)'
	cd "$$($(BIN)/python -c 'import pathlib, skimage; print(pathlib.Path(skimage.__file__).parent / "data")')" && \
		"$(CURDIR)/$(BIN)/aimv2" embed astronaut.png chelsea.png coffee.png motorcycle_left.png retina.jpg \
		rocket.jpg --model demo --out "$(CURDIR)/$(OUT)/photographs.npz"
	@echo; echo '==> aimv2 index: a photo library, here of 200 drawings and small copies of 8'
	$(BIN)/python -m mlx_aimv2.training.drawings.album $(OUT)/photos --count 200 --copies 8 --dated
	$(BIN)/aimv2 index $(OUT)/photos --model demo --library $(LIBRARY)
	@echo; echo '==> aimv2 search: by words, by likeness, and what is not there'
	$(BIN)/aimv2 search a red car --library $(LIBRARY) -n 5
	$(BIN)/aimv2 search house + night --library $(LIBRARY) -n 3
	$(BIN)/aimv2 search --like "$$(ls $(OUT)/photos/*bicycle*.jpg | head -n 1)" --library $(LIBRARY) -n 3
	$(BIN)/aimv2 search a shopping list --library $(LIBRARY)
	@echo; echo '==> aimv2 tag: several tags a picture'
	$(BIN)/aimv2 tag --dry-run --in '$(OUT)/photos/000*' --library $(LIBRARY)
	$(BIN)/aimv2 tag --library $(LIBRARY)
	$(BIN)/aimv2 search --tag Bicycle --library $(LIBRARY) -n 3
	@echo; echo '==> aimv2 duplicates'
	$(BIN)/aimv2 duplicates --library $(LIBRARY)
	@echo; echo '==> sheets to look at'
	$(BIN)/aimv2 search bicycle --library $(LIBRARY) --html $(OUT)/bicycles.html
	$(BIN)/aimv2 duplicates --library $(LIBRARY) --html $(OUT)/duplicates.html
	@echo; echo "All of it is in $(OUT)/. With Apple's LiT checkpoint (1.75 GB, research licence), on your photos:"
	@echo; echo '    $(BIN)/aimv2 index ~/Pictures'
	@echo '    $(BIN)/aimv2 search red bicycle in snow'
	@echo '    $(BIN)/aimv2 classify ~/Pictures --labels "dog, cat, beach, birthday cake"'
	@echo; echo 'Look at the library of the demo as a page:'
	@echo; echo '    $(BIN)/aimv2 browse --library $(LIBRARY)'; echo

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests --ignore=tests/parity --ignore=tests/browser \
		--ignore=tests/documents/test_ray_example.py $(PYTEST)

page: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/browser $(PYTEST)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m benchmarks.readme_table --check

types: $(VENV)/.installed-lint
	$(BIN)/mypy

parity: $(VENV)/.installed-parity $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/parity

examples: $(VENV)/.installed-ray $(VENV)/.installed-test
	$(BIN)/python -m pytest tests/documents/test_ray_example.py

accuracy: $(VENV)/.installed-parity
	$(BIN)/python -m benchmarks.accuracy

demo-checkpoint: $(VENV)/.installed-test
	$(BIN)/python -m mlx_aimv2.training.demo --out $(OUT)/demo-checkpoint

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info
