# dltool with what `dltool serve` needs; see docs/guides/deployment.md.
#   docker build -t dltool .
FROM python:3.12-slim

WORKDIR /dltool
# The pinned packages are a layer of their own: a change of the code does not install them again.
COPY requirements-serve.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements-serve.lock
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY src src
RUN pip install --no-cache-dir --no-build-isolation --no-deps .

# Nothing is written but temporary files, so the container may be read-only.
ENV HOME=/tmp PYTHONUNBUFFERED=1
USER 1000:1000
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["dltool"]
CMD ["--help"]
