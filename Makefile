# Copyright The Gatehouse Authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

# Needs Go and make; `make generate` and `make verify` also want protoc and install it.
# Scripts in hack/ do the work, and each can be run by itself.

SHELL := bash
.SHELLFLAGS := -o errexit -o nounset -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# One set of flags for every Go command, or each would fill the build cache for itself. The
# version comes from hack/version.sh and not from Go's own stamp of git.
export CGO_ENABLED := 0
export GOFLAGS := $(filter-out -trimpath -buildvcs=%,$(shell go env GOFLAGS)) -trimpath -buildvcs=false

# Programs have neither symbols nor DWARF, so that they are a third smaller and link faster. Stack
# traces and profiles need none, debuggers do: make build DEBUG=1.
STRIP := $(if $(DEBUG),,-s -w)

# Black-box tests use real kubectl.
export GATEHOUSE_KUBECTL ?= $(CURDIR)/bin/kubectl

# Variables that are passed on: make up ARGS='--listen 127.0.0.1:0', make test TESTFLAGS='-run Binding -v'.
ARGS ?=
TESTFLAGS ?=

# Modules of tests that may not raise the product's versions. test/clients wants the programs of
# others, from npm and Debian: make test-clients.
TEST_MODULES := $(filter-out test/clients,$(patsubst %/go.mod,%,$(wildcard test/*/go.mod)))
CLIENT_MODULES := test/clients $(patsubst %/go.mod,%,$(wildcard test/clients/*/go.mod))

VERIFY := $(sort $(patsubst hack/%.sh,%,$(wildcard hack/verify-*.sh)))
UPDATE := $(sort $(patsubst hack/%.sh,%,$(wildcard hack/update-*.sh)))

##@ Use

.PHONY: help
help: ## List the targets (the default)
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nOne by one: %s\n' '$(VERIFY) $(UPDATE)' | fold -s -w 100

.PHONY: build
build: bin/gatehouse bin/gatehouse-agent bin/hello.tar bin/kubectl-gatehouse bin/kubectl_complete-gatehouse bin/kubectl ## Build the programs in bin/, and the image bin/hello.tar; with symbols for debuggers by DEBUG=1

# kubectl and its plugin are built while the server starts already.
.PHONY: up
up: first-build bin/gatehouse ## Build and start a server with three simulated hosts, with flags in ARGS='...'
	@mkdir -p _output
	@{ make bin/kubectl-gatehouse bin/kubectl_complete-gatehouse bin/kubectl >_output/kubectl.log 2>&1 || \
	  echo "kubectl was not built: see _output/kubectl.log" >&2; } & \
	exec bin/gatehouse up --simulate-hosts 3 $(ARGS)

# With -v, go test passes on what the program prints while it runs.
.PHONY: up-aggregated
up-aggregated: build controlplane ## Start Gatehouse behind a real kube-apiserver with three simulated hosts
	@go test -tags e2e -count=1 -timeout 0 -v ./test/e2e/ -args -serve

.PHONY: first-build
first-build:
	@if [ ! -e bin/gatehouse ]; then \
	  echo "The first build compiles the libraries of Kubernetes and etcd: 5 to 15 minutes on two cores. Later ones take seconds."; \
	fi

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin _output

##@ Check

# A module of tests runs whatever happened in those before it.
.PHONY: test
test: build ## Run all tests, with more flags in TESTFLAGS='...'
	@failed=; \
	for dir in . $(TEST_MODULES); do \
	  echo "cd $$dir && go test $(TESTFLAGS) ./..."; \
	  (cd $$dir && go test -timeout 25m $(TESTFLAGS) ./...) || failed+=" $$dir"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: test-clients
test-clients: build ## Run the clients of others: JavaScript, Python, Helm, kubectl, kustomize, Prometheus; needs npm, python3-kubernetes and prometheus
	@failed=; \
	for dir in $(CLIENT_MODULES); do \
	  echo "cd $$dir && go test $(TESTFLAGS) ./..."; \
	  (cd $$dir && go test -count=1 -timeout 15m $(TESTFLAGS) ./...) || failed+=" $$dir"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

# VersityGW stores objects in files, and verifies signatures as AWS does.
.PHONY: test-s3
test-s3: build ## Run the tests of backups in a bucket against a real server of S3, which is built first
	@mkdir -p _output
	cd hack/tools/s3server && go build -o $(CURDIR)/_output/versitygw github.com/versity/versitygw/cmd/versitygw
	GATEHOUSE_S3_SERVER=$(CURDIR)/_output/versitygw go test -count=1 ./test/integration/backup -run Bucket $(TESTFLAGS)

.PHONY: e2e
e2e: build controlplane ## Run the tests behind a real kube-apiserver, then make test-page and make conformance
	@failed=; \
	echo "go test -tags e2e $(TESTFLAGS) ./test/e2e/"; \
	go test -tags e2e -count=1 -timeout 40m $(TESTFLAGS) ./test/e2e/ || failed+=" test/e2e"; \
	make test-page || failed+=" test-page"; \
	make conformance || failed+=" conformance"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

# Needs Debian's chromium, and npm for axe-core.
.PHONY: test-page
test-page: build etcd ## Run the tests of the page in Chromium without a window, with more flags in TESTFLAGS='...'
	cd test/e2e/page && go test -count=1 -timeout 20m $(TESTFLAGS) ./...

.PHONY: pictures
pictures: build etcd ## Take the pictures of docs/ui.md again
	@mkdir -p docs/img
	cd test/e2e/page && go test -count=1 -timeout 20m ./... -args -pictures $(CURDIR)/docs/img

# The program is kept out of the tree; the first build compiles Kubernetes' test framework.
.PHONY: conformance
conformance: build ## Run Kubernetes' own end-to-end tests on a standalone server, with more flags in ARGS='...'
	@mkdir -p _output/e2e
	cd test/e2e/conformance && go test -c -o $(CURDIR)/_output/e2e/conformance.test .
	_output/e2e/conformance.test --gatehouse bin/gatehouse --kubectl-path $(GATEHOUSE_KUBECTL) $(ARGS)

# kube-apiserver, kube-controller-manager and etcd from their Go modules: about six minutes
# the first time, then Go's build cache has them.
.PHONY: controlplane
controlplane: etcd
	cd test/e2e/controlplane && go build -ldflags "$$(../../../hack/version.sh controlplane)" -o $(CURDIR)/_output/e2e/ \
	  k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager

.PHONY: etcd
etcd:
	@mkdir -p _output/e2e
	cd test/e2e/controlplane && go build -o $(CURDIR)/_output/e2e/etcd go.etcd.io/etcd/server/v3

# Debian's containerd, or the program in GATEHOUSE_CONTAINERD.
.PHONY: e2e-agent
e2e-agent: build ## Run instances of gatehouse-agent in a real container runtime; as root, on Linux
	go test -tags e2e -count=1 -timeout 20m $(TESTFLAGS) ./test/e2e/agent/

.PHONY: e2e-node
e2e-node: build controlplane ## Follow docs/install.md on a cluster with a real node; as root, on Linux
	cd test/e2e/controlplane && go build -ldflags "$$(../../../hack/version.sh controlplane)" -o $(CURDIR)/_output/e2e/ \
	  k8s.io/kubernetes/cmd/kubelet k8s.io/kubernetes/cmd/kube-proxy k8s.io/kubernetes/cmd/kube-scheduler
	test/e2e/node/run.sh

# The programs with failpoints are a second build of the packages that import etcd's server.
.PHONY: test-faults
test-faults: bin/gatehouse etcd ## Check what clients see while processes, disks and networks fail, with more runs by ARGS='-runs 200'; as root, on Linux
	test/robustness/failpoints.sh _output/failpoints
	@mkdir -p _output/robustness
	cd test/robustness && go build -o $(CURDIR)/_output/robustness/robustness .
	_output/robustness/robustness $(ARGS)

.PHONY: verify
verify: ## Run every check of the tree; each failing one names its cure
	@failed=; \
	for check in $(VERIFY); do \
	  echo "$$check"; \
	  hack/$$check.sh || failed+=" $$check"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: $(VERIFY)
$(VERIFY):
	@hack/$@.sh

##@ Change

.PHONY: update
update: ## Cure what verify finds: generated code, headers, formatting
	@for change in $(UPDATE); do \
	  echo "$$change"; \
	  hack/$$change.sh; \
	done

.PHONY: $(UPDATE)
$(UPDATE):
	@hack/$@.sh

.PHONY: generate
generate: update-codegen ## Generate code from the API types

##@ Release

.PHONY: release
release: ## Build programs, packages, image, manuals and SBOMs into _output/release, for fewer PLATFORMS='linux/amd64'
	hack/release.sh

.PHONY: release-check
release-check: ## Build a release twice and compare every byte
	hack/release-check.sh

# In a copy of this machine's file system that is thrown away.
.PHONY: e2e-packages
e2e-packages: ## Install, upgrade, remove and purge the Debian packages in _output/release; as root, on Debian
	go test -tags e2e -count=1 -timeout 10m $(TESTFLAGS) ./test/e2e/packages/

##@ Measure

.PHONY: bench-start
bench-start: build ## Time from exec to ready and to the first object
	go run ./test/bench start $(ARGS)

.PHONY: bench-write
bench-write: build ## Creates per second and their latency, beside raw etcd
	go run ./test/bench write $(ARGS)

.PHONY: bench-watch
bench-watch: build ## What an event costs with thousands of watches
	go run ./test/bench watch $(ARGS)

.PHONY: bench-aggregated
bench-aggregated: build controlplane ## What the way through a kube-apiserver costs
	go run ./test/bench aggregated $(ARGS)

.PHONY: bench-peers
bench-peers: build controlplane ## The same load on Gatehouse and on a kube-apiserver with etcd, by ratios
	go run ./test/bench peers $(ARGS)

.PHONY: bench-admission
bench-admission: build ## What each admission plugin costs a write, and the chain as a whole
	go run ./test/bench admission $(ARGS)

.PHONY: bench-traces
bench-traces: build ## What request traces cost gets, creates and events, and the memory of full rings
	go run ./test/bench traces $(ARGS)

.PHONY: bench-siege
bench-siege: build ## What an ordinary user waits while every kind of attack is played at once
	go test -count=1 ./test/integration/security -run DuringASiege -v -args -siege=1m $(ARGS)

.PHONY: bench-fleet
bench-fleet: build ## Ten thousand instances on a thousand simulated hosts
	go run ./test/bench fleet $(ARGS)

.PHONY: bench-faults
bench-faults: build ## What clients see while disks fail or fill up; proves that no write is lost; as root, on Linux
	go run ./test/faults $(ARGS)

.PHONY: bench-restore
bench-restore: ## Make a backup of 20,000 objects (82 MB) and restore it, with every object decoded
	go test ./pkg/storage/backup -run '^$$' -bench . -benchtime 3x

.PHONY: bench-authz
bench-authz: build ## What a decision by roles costs, beside Kubernetes' own and in a whole request
	cd test/upstream && go test ./rbac -run '^$$' -bench Decision
	go run ./test/bench authz $(ARGS)

.PHONY: bench-authn
bench-authn: build ## What each authenticator costs a get and a create
	go run ./test/bench authn $(ARGS)

# Go knows best what has changed, so this one is always asked.
.PHONY: bin/gatehouse bin/gatehouse-agent bin/kubectl-gatehouse
bin/gatehouse bin/gatehouse-agent bin/kubectl-gatehouse:
	@mkdir -p bin
	go build -ldflags "$(STRIP) $$(hack/version.sh gatehouse)" -o $@ ./cmd/$(@F)

# A script: how kubectl has the plugin's commands completed.
# The first image for a real host, which runs offline: with the image of sandboxes that containerd
# 1.6 names by default.
PAUSE_IMAGE ?= registry.k8s.io/pause:3.6
bin/hello.tar: artifacts/examples/hello/main.go $(wildcard hack/tools/oci-image/*.go)
	@mkdir -p bin
	go build -ldflags '-s -w' -o bin/hello ./artifacts/examples/hello
	go run ./hack/tools/oci-image $@ bin/hello $(PAUSE_IMAGE) docker.io/library/hello:1 docker.io/library/hello:2

bin/kubectl_complete-gatehouse: cmd/kubectl-gatehouse/kubectl_complete-gatehouse
	@mkdir -p bin
	install -m 755 $< $@

bin/kubectl: hack/tools/kubectl/main.go hack/tools/kubectl/go.mod hack/tools/kubectl/go.sum hack/version.sh
	@mkdir -p bin
	cd hack/tools/kubectl && go build -ldflags "$(STRIP) $$(../../version.sh kubectl)" -o $(CURDIR)/$@ .
