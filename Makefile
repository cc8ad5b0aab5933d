# make help lists the targets. Only Go and make are needed for build, demo and test.
GO        ?= go
FUZZTIME  ?= 30s
FUZZJOBS  ?= 2
BENCHTIME ?= 1s
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The linter and benchstat have a module of their own, so that their dependencies are not smelt's.
TOOL   := $(GO) tool -modfile=tools/go.mod
STORIES := testdata/stories260K/stories260K.pt

.PHONY: mutations help build demo test race emulate fuzz bench bench-quantize bench-infer target-table paths golden vet lint cover check interop e2e-openwebui clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## a static binary at bin/smelt
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/smelt ./cmd/smelt

demo: build ## convert the bundled model: the plan, the conversion, the result
	bin/smelt convert $(STORIES) bin/stories260K.gguf --force --dry-run
	bin/smelt convert $(STORIES) bin/stories260K.gguf --force
	bin/smelt inspect bin/stories260K.gguf

test: ## all tests that need nothing but the repository
	$(GO) test ./...
	$(GO) test -tags plantedfault -run Planted ./verify

race: ## the same with the race detector, without models of more than a few MB (needs a C compiler)
	$(GO) test -race -short ./...

emulate: ## the tests of the AVX-512 kernels on an emulated processor (Debian; builds Bochs once)
	.ci/emulate-avx512 ./quantize -test.v -test.short -test.run 'Test(Vector|BytesEqual).*/avx512'
	.ci/emulate-avx512 ./infer/cpu -test.v -test.run 'TestKernels.*/avx512'

fuzz: ## every fuzz target for FUZZTIME (30s), FUZZJOBS (2) at a time
	@set -e; for pkg in $$($(GO) list ./...); do \
		listed=$$($(GO) test -list '^Fuzz' $$pkg); \
		for target in $$(echo "$$listed" | grep '^Fuzz' || true); do echo "$$pkg $$target"; done; \
	done | xargs -P $(FUZZJOBS) -L 1 sh -c 'echo "== $$0 $$1"; \
		$(GO) test -run "^$$" -fuzz "^$$1$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 1 $$0 || exit 255'

bench: build ## Go benchmarks, then conversions of 3 GB side by side with cp (needs .ci/setup)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	python3 interop/bench/bench.py

bench-quantize: build ## quantizing beside llama.cpp's libraries, written into docs/performance.md (needs .ci/setup)
	python3 interop/bench/bench_quantize.py --write docs/performance.md

bench-infer: build ## running models beside llama.cpp and whisper.cpp, written into docs/performance.md (needs .ci/setup)
	python3 interop/bench/bench_infer.py --write docs/performance.md

target-table: build ## the errors of types that are chosen for a size, written into docs/quantization.md (needs .ci/setup)
	python3 interop/bench/target_table.py --write docs/quantization.md

paths: build ## the tests of quantize and convert with the kernels of every instruction set that this machine has
	@set -e; for cpu in scalar avx2 avx512; do \
		SMELT_CPU=$$cpu bin/smelt convert $(STORIES) bin/paths.gguf --dry-run >/dev/null || { echo "== $$cpu left out"; continue; }; \
		echo "== $$cpu"; SMELT_CPU=$$cpu $(GO) test ./quantize ./convert; \
	done

golden: ## write the golden files anew; read the diff before committing
	@set -e; for dir in $$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -n1 dirname | sort -u); do \
		$(GO) test $$dir -update; \
	done

mutations: ## plant faults in conversions and write what verify finds into docs/verification.md (needs .ci/setup)
	$(GO) run ./verify/mutation/gen docs/verification.md

vet: ## go vet, the interop tests included
	$(GO) vet ./...
	$(GO) vet -tags interop ./interop/...

lint: ## golangci-lint with the layering rules
	$(TOOL) golangci-lint run

cover: ## test coverage by function in coverage.out
	$(GO) test -coverprofile coverage.out ./...
	$(GO) tool cover -func coverage.out | tail -1

check: build vet lint test race ## what has to hold before a change lands

interop: build ## against llama.cpp, whisper.cpp, PyTorch, Ollama's layout and the gguf package (.ci/setup installs them)
	$(GO) test -tags interop -count 1 -timeout 30m ./interop/...

e2e-openwebui: build ## chat in Open WebUI with a model that smelt put into Ollama's store (needs .ci/setup and .ci/setup openwebui)
	"$${SMELT_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/smelt}/openwebui/bin/python" interop/e2e/openwebui.py

clean: ## remove what make made
	rm -rf bin coverage.out
