# Two stages: the SDK image builds, and a small Debian with the QUIC library runs. trixie has that library in its own archive.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /src
COPY . .
# What compose.yaml starts, compiled ahead. Without analyzers and the audit: those are matters for continuous integration, not for an image.
RUN for program in edge/proxy cli; do \
      dotnet publish "$program" -c Release -o /out --use-current-runtime --self-contained false --nologo -v quiet \
        -p:PublishReadyToRun=true -p:RunAnalyzers=false -p:NuGetAudit=false || exit; \
    done

FROM debian:trixie-slim
COPY scripts/install-dependencies.sh /usr/local/lib/florete/
RUN /usr/local/lib/florete/install-dependencies.sh image && rm -rf /var/lib/apt/lists/*
# The shared runtime alone, not the SDK beside it.
COPY --from=build /usr/share/dotnet/dotnet /usr/share/dotnet/
COPY --from=build /usr/share/dotnet/host /usr/share/dotnet/host
COPY --from=build /usr/share/dotnet/shared /usr/share/dotnet/shared
COPY --from=build /out /usr/local/lib/florete
COPY scripts/compose-init.sh /usr/local/lib/florete/
RUN ln -s /usr/local/lib/florete/flor /usr/local/lib/florete/florctl /usr/local/bin/
ENV DOTNET_ROOT=/usr/share/dotnet
