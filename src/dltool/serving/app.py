"""The routes of `dltool serve`: predictions by row, the two protocols of model servers, and a page for people."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from dltool import __version__
from dltool.errors import DltoolError
from dltool.exporting.export_options import Engine
from dltool.runs.files import encode_json
from dltool.serving import protocol_v1, protocol_v2, uploads
from dltool.serving.counters import Counters
from dltool.serving.hosting import Host, follow
from dltool.serving.limits import Guard, Limits, Refused
from dltool.serving.row_schema import ROW, parsed
from dltool.serving.served import Answer, Query, Served
from dltool.text import joined, quoted

PAGE = Path(__file__).with_name("page")
PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
OPEN_PATHS = frozenset({*PAGE_FILES, "/health", "/v2/health/live", "/v2/health/ready"})
"""The paths that need no key: what a load balancer asks, and the page, which asks for the key."""
JSON_TYPES = ("", "application/json")
PROBLEM = {
    "type": "object",
    "properties": {"row": {"type": ["integer", "null"]}, "field": {"type": ["string", "null"]}},
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "problems": {"type": "array", "items": PROBLEM}},
}
FORM = {
    "type": "object",
    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
}
STATUSES = {
    400: "The body is no request",
    401: "The key is missing or wrong",
    404: "There is no such model",
    408: "The request came too slowly",
    413: "Too many bytes or rows",
    415: "Another content type",
    422: "The rows are not what the model takes",
    503: "Too many requests wait",
    504: "No answer in time",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/json": {"schema": ERROR}}}
    for status, words in STATUSES.items()
}


class Service:
    """The models that a server hosts, by name, and whether it takes requests."""

    def __init__(
        self,
        paths: Sequence[Path],
        limits: Limits,
        engine: Engine = "auto",
        *,
        follows: bool,
        note: Callable[[str], None],
    ) -> None:
        """Load the models, whose names differ. Raises as :class:`Host`."""
        self.limits, self.follows, self.note, self.counters = limits, follows, note, Counters()
        hosts = [Host(path, limits, self.counters, engine, is_beside=path != paths[0]) for path in paths]
        self.hosts: Mapping[str, Host] = {host.model.name: host for host in hosts}
        self.is_ready = False
        self.when_ready: Callable[[], None] = lambda: None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(follow([*self.hosts.values()], self.note)) if self.follows else None
        self.is_ready = True
        self.when_ready()
        yield
        self.is_ready = False
        if following is not None:
            following.cancel()

    def host(self, name: str, version: str | None = None) -> Host:
        """Return the host of a model. Raises Refused: there is none of that name, or it is another version."""
        host = self.hosts.get(name)
        if host is None:
            raise Refused(404, f"there is no model {quoted(name)}; there is {joined(list(self.hosts), 'and')}")
        if version is not None and version != host.model.version:
            raise Refused(404, f"the version of {name} is {host.model.version}")
        return host

    def described(self) -> list[dict[str, Any]]:
        """Return what each model takes and gives, for the page and other clients."""
        return [
            {
                "name": host.model.name,
                "version": host.model.version,
                "engine": host.model.predictor.engine,
                "rows": request_schema(host.model)["properties"]["rows"],
                "files": uploads.kind_of(host.model),
                "outputs": [
                    {"name": each.name, "kind": each.kind, "classes": each.classes}
                    for each in host.model.predictor.outputs
                ],
            }
            for host in self.hosts.values()
        ]


def application(service: Service, key: str | None = None) -> Guard:
    """Return the ASGI application. `key` must come with every request but those for health and page."""
    app = FastAPI(
        title="dltool serve",
        version=__version__,
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
        responses=REFUSALS,
    )

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return plain(error.content, error.status, {"Retry-After": "1"} if error.status == 503 else None)

    @app.exception_handler(HTTPException)
    async def unrouted(_: Request, error: HTTPException) -> Response:
        return plain({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(DltoolError)
    async def failed(_: Request, error: DltoolError) -> Response:
        return plain({"error": str(error)}, 503)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> Response:
        return plain({"error": "the server has an error of its own; its log has the details"}, 500)

    add_page(app, service)
    for name in service.hosts:
        add_rows(app, service, name, f"/models/{name}/predict")
    if len(service.hosts) == 1:
        add_rows(app, service, next(iter(service.hosts)), "/predict")
    add_v2(app, service)
    add_v1(app, service)
    return Guard(app, limits=service.limits, counters=service.counters, key=key, open_paths=OPEN_PATHS)


def plain(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return Response(body, status, headers, "application/json")


def readiness(service: Service, content: Any) -> Response:
    """Return the content with the status by which load balancers know whether the server takes requests."""
    return plain(content, 200 if service.is_ready else 503)


def body_of(schema: Mapping[str, Any], content_type: str = "application/json") -> dict[str, Any]:
    """Return the part of the OpenAPI document for a request's body."""
    return {"requestBody": {"required": True, "content": {content_type: {"schema": schema}}}}


def add_page(app: FastAPI, service: Service) -> None:
    """Add the page for people, and what tells how the server is."""
    for path, (file, media_type) in PAGE_FILES.items():
        content = (PAGE / file).read_bytes()
        page = Response(content, media_type=f"{media_type}; charset=utf-8", headers=SAFE)
        app.add_api_route(path, constant(page), include_in_schema=False)

    @app.get("/health")
    async def health() -> Response:
        models = {name: host.model.version for name, host in service.hosts.items()}
        engines = {name: host.model.predictor.engine for name, host in service.hosts.items()}
        status = "ready" if service.is_ready else "ending"
        return readiness(service, {"status": status, "models": models, "engines": engines})

    @app.get("/models")
    async def models() -> Response:
        return plain({"models": service.described()})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def constant(page: Response) -> Callable[[], Any]:
    async def give() -> Response:
        return page

    return give


def add_rows(app: FastAPI, service: Service, name: str, path: str) -> None:
    """Add the predictions of one model by row at `path`, of files below it, and the explanations of both."""
    host = service.hosts[name]
    body = body_of(request_schema(host.model))

    @app.post(path, openapi_extra=body)
    async def predict(request: Request) -> Response:
        return answered(await host.ask(await rows_in(request, host.model)))

    @app.post(f"{path}/explain", openapi_extra=body)
    async def explain(request: Request) -> Response:
        return explained(await host.explain(await rows_in(request, host.model)))

    if uploads.kind_of(host.model) is not None:
        body = body_of(FORM, "multipart/form-data")

        @app.post(f"{path}/files", openapi_extra=body)
        async def predict_files(request: Request) -> Response:
            return answered(await host.ask(await files_in(request, host.model)))

        @app.post(f"{path}/explain/files", openapi_extra=body)
        async def explain_files(request: Request) -> Response:
            return explained(await host.explain(await files_in(request, host.model)))


async def rows_in(request: Request, model: Served) -> Query:
    """Return the question of a request with rows. Raises Refused."""
    refuse_other_type(request, *JSON_TYPES)
    rows = parsed(model.request, await request.body())["rows"]
    # Cells wait for their batch; arrays and windows are read at once, which may take a while.
    return model.question(rows) if model.can_merge else await asyncio.to_thread(model.question, rows)


async def files_in(request: Request, model: Served) -> Query:
    """Return the question of a request with files. Raises Refused."""
    refuse_other_type(request, "multipart/form-data")
    async with request.form(max_files=uploads.MOST_FILES, max_fields=8) as sent:
        found = [(each.filename or "file", each) for each in sent.getlist("files") if isinstance(each, UploadFile)]
        files = [uploads.Upload(name, await each.read()) for name, each in found]
    return await asyncio.to_thread(uploads.question, model, files)


def request_schema(model: Served) -> dict[str, Any]:
    """Return the JSON Schema of a request, with that of a row in its place: a document has other definitions."""
    schema = model.request.json_schema()
    rows = schema["properties"]["rows"]
    if (row := schema.pop("$defs", {}).get(ROW)) is not None:
        rows["items"] = row
    return schema


def refuse_other_type(request: Request, *allowed: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise Refused(415, f"the content type is {given or 'missing'}; {allowed[-1]} is expected")


def answered(answer: Answer) -> Response:
    return plain({"predictions": answer.predictions} | ({"warnings": answer.warnings} if answer.warnings else {}))


def explained(found: list[dict[str, Any]]) -> Response:
    """Return the answer, in which numbers that are none are null."""
    return Response(encode_json({"explanations": found}), media_type="application/json")


def add_v2(app: FastAPI, service: Service) -> None:
    """Add the Open Inference Protocol."""

    @app.get("/v2")
    async def server() -> Response:
        return plain({"name": "dltool", "version": __version__, "extensions": ["binary_tensor_data"]})

    @app.get("/v2/health/live")
    async def live() -> Response:
        return plain({"live": True})

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return readiness(service, {"ready": service.is_ready})

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str | None = None) -> Response:
        return plain(protocol_v2.metadata(service.host(model, version).model))

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{version}/ready")
    async def model_ready(model: str, version: str | None = None) -> Response:
        return readiness(service, {"name": service.host(model, version).model.name, "ready": service.is_ready})

    extra = body_of(protocol_v2.REQUEST.json_schema())

    @app.post("/v2/models/{model}/infer", openapi_extra=extra)
    @app.post("/v2/models/{model}/versions/{version}/infer", openapi_extra=extra)
    async def infer(model: str, request: Request, version: str | None = None) -> Response:
        host = service.host(model, version)
        asked, question = protocol_v2.question(
            host.model, await request.body(), request.headers.get(protocol_v2.LENGTH)
        )
        answer = await host.ask(question)
        content, length = protocol_v2.response(host.model, asked, answer)
        if length is None:
            return Response(content, media_type="application/json")
        return Response(content, media_type="application/octet-stream", headers={protocol_v2.LENGTH: str(length)})


def add_v1(app: FastAPI, service: Service) -> None:
    """Add TensorFlow Serving's REST interface."""

    @app.get("/v1/models/{model}")
    async def status(model: str) -> Response:
        version = {"version": service.host(model).model.version, "state": "AVAILABLE", "status": {"error_code": "OK"}}
        return plain({"model_version_status": [version]})

    extra = body_of(protocol_v1.REQUEST.json_schema())

    @app.post("/v1/models/{model}:predict", openapi_extra=extra)
    @app.post("/v1/models/{model}/versions/{version}:predict", openapi_extra=extra)
    async def predict(model: str, request: Request, version: str | None = None) -> Response:
        host = service.host(model, version)
        by_row, question = protocol_v1.question(host.model, await request.body())
        return plain(protocol_v1.response(by_row, await host.ask(question)))
