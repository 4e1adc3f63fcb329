# syntax=docker/dockerfile:1
# One image for all controllers. Paths in RUN are relative to WORKDIR, so that .ci/dockerfile-steps can walk through these
# steps in a temporary directory where there is no Docker.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml README.md LICENSE src/
COPY controllers src/controllers
COPY kustomize src/kustomize
RUN python -m pip wheel --no-deps --wheel-dir wheels ./src
RUN python -m venv opt/inhaul && opt/inhaul/bin/python -m pip install "$(ls wheels/inhaul-*.whl)[tools]"
RUN opt/inhaul/bin/python -m compileall -q opt/inhaul/lib && opt/inhaul/bin/python -m pip uninstall --yes pip

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="inhaul" org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /
# git and ssh fetch and push, gpg opens PGP data keys; ssh wants a passwd entry for the user it runs as.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git gnupg openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 65532 --user-group --home-dir /tmp --no-create-home --shell /usr/sbin/nologin inhaul
COPY --from=build /opt/inhaul /opt/inhaul
ENV PATH=/opt/inhaul/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["inhaul"]
CMD ["--help"]
