# Thin: every target is one or two commands that README shows in full. Debian's make and python3 are all that is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test run check lint unit peers browser faults training docs systemd bench soak sbom messages configuration site viewer clean

demo: $(VENV)/.demo  ## play films through a whole node and show the result
	$(BIN)/cxr-node demo

test: $(VENV)/.test  ## install what the tests need, and run them all
	tests/run.sh

run: $(VENV)/.demo  ## the node in the foreground, with config/cxr-node.toml
	$(BIN)/cxr-node serve -c config/cxr-node.toml

check: $(VENV)/.demo  ## look over this machine and the configuration
	$(BIN)/cxr-node check -c config/cxr-node.toml

lint unit peers browser faults training docs: $(VENV)/.test  ## one part of the tests
	tests/run.sh $@

systemd: $(VENV)/.test  ## minutes, as root: the installed service under a systemd of its own
	tools/systemd.sh

bench: $(VENV)/.test  ## the figures of docs/benchmarks.md, and dist/benchmarks/index.html
	$(BIN)/python -m tests.benchmarks

soak: $(VENV)/.test  ## hours: the long runs of docs/reliability.md
	$(BIN)/python -m tests.soak

sbom: $(VENV)/.test  ## the bill of materials of a release (CycloneDX)
	mkdir -p dist && $(BIN)/python tools/sbom.py > dist/cxr-node.cdx.json

messages: $(VENV)/.test  ## bring the catalogue of translations in step with the source
	$(BIN)/python tools/messages.py

configuration: $(VENV)/.test  ## docs/configuration.md, from config/cxr-node.toml
	$(BIN)/python tools/configuration.py

site: $(VENV)/.test  ## the documentation as pages, in build/site; every warning is an error
	$(BIN)/sphinx-build -q -b html -W --keep-going -c docs -d build/doctrees . build/site

viewer: $(VENV)/.test  ## the pictures of docs/documents.md: what readers see in OHIF
	$(BIN)/python -m tests.viewer --ohif $(OHIF) --positive $(POSITIVE) --negative $(NEGATIVE) --out $(OUT) --docs

# torch first and pinned: asked for without a pin, it brings gigabytes of CUDA libraries.
$(VENV)/.demo: pyproject.toml constraints.txt
	tools/venv.sh $(PYTHON) $(VENV) demo
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	tools/venv.sh $(PYTHON) $(VENV) test
	touch $@

clean:
	rm -rf $(VENV) build dist
