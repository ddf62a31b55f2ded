# syntax=docker/dockerfile:1

# Releases give the digest that was tested: --build-arg PYTHON_DIGEST=@sha256:...
ARG PYTHON_IMAGE=python:3.14-slim-trixie
ARG PYTHON_DIGEST=

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# The base's pip installs into it, so it needs none of its own.
RUN ["python", "-m", "venv", "--without-pip", "/opt/relevo"]
RUN ["mkdir", "/var/empty-data"]
# The lock changes less often than the source, so its layer is kept.
COPY requirements.lock ./
RUN ["python", "-m", "pip", "--python", "/opt/relevo/bin/python", "install", "--require-hashes", "--requirement", "requirements.lock"]
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
RUN ["python", "-m", "pip", "--python", "/opt/relevo/bin/python", "install", "--no-deps", "--no-build-isolation", "."]
# Nothing can be written when it runs, so everything is compiled now.
RUN ["/opt/relevo/bin/python", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "/opt/relevo/lib"]

FROM ${PYTHON_IMAGE}${PYTHON_DIGEST}
LABEL org.opencontainers.image.title="Relevo" org.opencontainers.image.licenses="MIT"
# PostgreSQL's initdb refuses a user without a name.
RUN ["groupadd", "--gid", "65532", "relevo"]
RUN ["useradd", "--uid", "65532", "--gid", "65532", "--no-create-home", "--home-dir", "/var/lib/relevo", "relevo"]
COPY --from=build /opt/relevo /opt/relevo
# The embedded database's directory, for those who run without one of their own. A named volume takes over its owner.
COPY --from=build --chown=65532:65532 /var/empty-data /var/lib/relevo
ENV PATH=/opt/relevo/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELEVO_DATA_DIR=/var/lib/relevo \
    RELEVO_HOST=0.0.0.0
USER 65532:65532
WORKDIR /var/lib/relevo
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + (os.environ.get('RELEVO_OPS_PORT') or os.environ.get('RELEVO_PORT') or '8000') + '/readyz', timeout=4)"]
ENTRYPOINT ["relevo"]
CMD ["serve"]
