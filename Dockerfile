# The program alone, static, as an unprivileged user. The root file system may
# be read-only: everything that changes is in the volume. For other platforms:
# docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7 .

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETARCH
ARG TARGETVARIANT
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} make build
RUN install -d -m 0700 /data

FROM scratch
LABEL org.opencontainers.image.title="Muster" \
      org.opencontainers.image.description="An MQTT broker that registers devices the first time they connect" \
      org.opencontainers.image.licenses="Apache-2.0"
# For OCSP responders with https addresses.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/muster /muster
COPY --from=build --chown=65532:65532 /data /var/lib/muster
USER 65532:65532
VOLUME /var/lib/muster
# MQTT and the API. Metrics and probes, on 8080, are not for strangers.
EXPOSE 8883 8443
# Keys of the configuration can be set by more such variables, or these changed.
ENV MUSTER_CONFIG=/var/lib/muster/server/muster.yaml \
    MUSTER_MQTT_ADDRESS=0.0.0.0:8883 \
    MUSTER_API_ADDRESS=0.0.0.0:8443 \
    MUSTER_HTTP_ADDRESS=0.0.0.0:8080
ENTRYPOINT ["/muster"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/muster", "health"]
STOPSIGNAL SIGTERM
