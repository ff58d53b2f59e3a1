# Pawl in a container. No container engine runs where this is developed: tests/it/deploy.rs takes the
# command lines from this file and from docker-compose.yml and runs them in a plain shell.

FROM rust:1.95-bookworm AS build
# The image's own toolchain; rust-toolchain.toml would add rustfmt and clippy to it.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/pawl

# Makes certificates, once, for `docker compose up`.
FROM debian:bookworm-slim AS certificate
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
COPY scripts/make-certificate /usr/local/bin/make-certificate
ENTRYPOINT ["make-certificate"]

FROM debian:bookworm-slim AS pawl
# The system's authorities, for targets whose certificates they signed.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 7171 --no-create-home --shell /usr/sbin/nologin pawl \
    && install -d -o pawl -m 0700 /var/lib/pawl
COPY --from=build /src/target/release/pawl /usr/local/bin/pawl
USER pawl
ENV PAWL_DATA=/var/lib/pawl PAWL_ENDPOINT_URL=https://localhost:7171 AWS_CA_BUNDLE=/tls/ca.crt
VOLUME /var/lib/pawl
EXPOSE 7171
ENTRYPOINT ["pawl"]
# Beyond loopback only with TLS: mount a folder with ca.crt and pawl/server.crt, pawl/server.key at /tls.
CMD ["serve", "--listen", "0.0.0.0:7171", "--tls-cert", "/tls/pawl/server.crt", "--tls-key", "/tls/pawl/server.key"]
# Signed, over TLS, by the image's only program: the same way every client comes.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["pawl", "health"]
