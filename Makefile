# make              both programs, runnable, under bin/
# make demo         the main job on this host: a random walk and a quicksort in a quarter of the memory they need
# make test         every test
# make test-vm      in virtual machines with Debian's kernels: what this host's cannot show (cgroup v2, older kernels, two hosts, verbs); CHECKS='...': only these
# make compare-vm   perftest, swap on a network block device and heca with the same work in such a machine: a table
# make soak         programs that know every page of theirs, while sponsors, pagers and the network fail: ten minutes, SECONDS=n; SEED=n replays a schedule
# make fuzz         malformed frames at every listener of both daemons, FRAMES=n at each (a million) while a program verifies its pages; SEED=n replays them
# make check        formatting
# make man          manual pages, shell completion and configuration files under deploy/, from the help texts and heca.h
# make deb          Debian packages of both programs, under deb/
# make bench        heca beside local memory, the floor and the kernel's swap: a report in bench-report/; takes over an hour
# make bench-check  has heca become slower? its ratios to the floor against those in tests/bench/ratios.json; two minutes
# make clean        what the others made

SHELL := /bin/bash
CONFIGURATION ?= Release
DOTNET ?= dotnet
RUNTIME := linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)
PUBLISH := $(DOTNET) publish --nologo --verbosity quiet --configuration $(CONFIGURATION) --runtime $(RUNTIME) --self-contained false --output bin
NATIVE_SOURCES = $(shell find native samples/c -name build -prune -o -name '*.[ch]' -print)

export DOTNET_CLI_TELEMETRY_OPTOUT := 1
export DOTNET_NOLOGO := 1

.PHONY: all host demo test test-vm compare-vm soak fuzz check man deb bench bench-check clean

all: host
	$(PUBLISH) src/Sponsor/Hecatonchire.Sponsor.csproj
	$(PUBLISH) src/Demander/Hecatonchire.Demander.csproj

host:
	@scripts/ensure-host.sh build

demo:
	@scripts/ensure-host.sh demo
	@$(MAKE) --no-print-directory all
	bin/heca bench demo

test:
	@scripts/ensure-host.sh test
	@$(MAKE) --no-print-directory all
	@HECA_BIN=$(CURDIR)/bin tests/run-tests.sh $(CONFIGURATION)

test-vm compare-vm:
	@scripts/ensure-host.sh $@
	@$(MAKE) --no-print-directory all
	cmake -S native -B native/build -DCMAKE_BUILD_TYPE=Release >/dev/null
	cmake --build native/build >/dev/null
	$(DOTNET) build --nologo --verbosity quiet --configuration Release tests/EndToEnd.Tests
	tests/vm/run $(if $(filter compare-vm,$@),compare,$(CHECKS))

soak:
	@scripts/ensure-host.sh test
	$(DOTNET) build --nologo --verbosity quiet --configuration $(CONFIGURATION) tests/EndToEnd.Tests
	HECA_SOAK=$(or $(SECONDS),600) HECA_SEED=$(SEED) tests/EndToEnd.Tests/bin/$(CONFIGURATION)/net10.0/EndToEnd.Tests -class '*.ConsistencyTests' -noLogo -noColor

fuzz:
	@scripts/ensure-host.sh test
	$(DOTNET) build --nologo --verbosity quiet --configuration $(CONFIGURATION) tests/EndToEnd.Tests
	HECA_FRAMES=$(or $(FRAMES),1000000) HECA_SEED=$(SEED) tests/EndToEnd.Tests/bin/$(CONFIGURATION)/net10.0/EndToEnd.Tests -class '*.FuzzTests' -noLogo -noColor -showLiveOutput

check:
	@scripts/ensure-host.sh check
	$(DOTNET) format Hecatonchire.sln --verify-no-changes
	clang-format --dry-run -Werror $(NATIVE_SOURCES)

man: host
	$(DOTNET) run --project src/Manual --configuration $(CONFIGURATION) -- .

deb: all
	deploy/deb/build deb

bench: all
	bin/heca bench suite $(BENCH)

bench-check: all
	bin/heca bench check $(BENCH)

clean:
	rm -rf bin deb native/build
	find src tests samples -type d \( -name bin -o -name obj \) -prune -exec rm -rf {} +
