# Every target installs what it lacks (scripts/install-dependencies.sh). Presumed: git, make and the .NET 10 SDK.
.PHONY: up test bench build format

CONFIGURATION ?= Release
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

up: build
	@scripts/up.sh

test:
	@scripts/test.sh

bench:
	@bench/run.sh

build:
	@scripts/check-sdk.sh
	@scripts/install-dependencies.sh run
	@dotnet build Florete.sln -c $(CONFIGURATION) -v quiet --nologo

format:
	@scripts/check-sdk.sh
	@dotnet format Florete.sln
