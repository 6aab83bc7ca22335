# The gateway and the migrations: no torch, no models. Workers are in Dockerfile.worker.

ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY --chmod=0755 requirements/ requirements/
RUN pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --require-hashes --only-binary=:all: \
      -r requirements/locks/api.txt \
    # of AWS's services: S3, and those that credentials may come from; the other 400 take 20 MB
    && find /opt/venv/lib/python3.11/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} +

FROM ${PYTHON_IMAGE} AS api
# tini takes the signals and collects what orphans leave; it passes SIGTERM to one process, not to the group.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini=0.19.0-* \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 parley \
    && useradd --uid 10001 --gid parley --no-create-home --home-dir /tmp parley
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --chmod=0755 LICENSE NOTICE bills/ /usr/share/doc/parley/
COPY --chmod=0755 shared/ shared/
COPY --chmod=0755 tasks/__init__.py tasks/app.py tasks/logs.py tasks/
COPY --chmod=0755 api/ api/
COPY --chmod=0755 scripts/__init__.py scripts/health_check.py scripts/create_api_key.py scripts/copy_bucket.py scripts/
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "api.server", "--host=0.0.0.0", "--port=8000"]
