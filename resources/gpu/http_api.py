"""The GPU server's HTTP: OpenAI's Images API, jobs with their progress, health and metrics.

Belongs here: paths, headers, status codes. Does not belong here: what the fields mean (`wire`), who waits for what (`tasks`).

POST answers in one of three ways: with the pictures; at once with 202 and a job, where the header Prefer says respond-async; or
with a stream of events that ends in the pictures, where Accept says text/event-stream. Whoever hangs up on the first or the
third cancels the job.
"""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from resources.gpu import wire
from resources.gpu.batching import QueueFull
from resources.gpu.jobs import InvalidJob
from resources.gpu.metrics import CONTENT_TYPE
from resources.gpu.multipart import InvalidForm, read_form
from resources.gpu.service import Service
from resources.gpu.tasks import Task
from resources.gpu.wire import Asked, WireError

MOST_JSON_BYTES = 2**20
MOST_FORM_BYTES = 32 * 2**20
LONGEST_KEY = 255
LONGEST_WAIT_SECONDS = 30.0
KEEP_ALIVE_SECONDS = 1.0
_ENDS = ("done", "failed", "cancelled")


def build_app(service: Service) -> FastAPI:
    """The application of one server."""
    app = FastAPI(title="luxauto GPU server", openapi_url=None)
    app.add_exception_handler(WireError, _tell_wire_error)
    app.add_exception_handler(HTTPException, _tell_http_error)
    app.add_exception_handler(RequestValidationError, _tell_wrong_query)
    app.add_exception_handler(Exception, _tell_crash)
    _add_probes(app, service)
    _add_images(app, service)
    _add_jobs(app, service)
    return app


def _add_probes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def health() -> JSONResponse:
        if service.is_broken:
            return JSONResponse({"status": "broken"}, 500)
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def ready() -> JSONResponse:
        return JSONResponse({"state": service.state}, 200 if service.state == "ready" else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(await asyncio.to_thread(service.metrics.text), headers={"Content-Type": CONTENT_TYPE})


def _add_images(app: FastAPI, service: Service) -> None:
    admitted = [Depends(_key_checker(service))]

    @app.post("/v1/images/generations", dependencies=admitted)
    async def generations(request: Request) -> Response:
        async def read() -> Asked:
            body = wire.read_generation(await _content(request, MOST_JSON_BYTES))
            service.check_model(body.model)
            return wire.jobs_of(body, service.options.defaults)

        return await _paint(service, request, read)

    @app.post("/v1/images/edits", dependencies=admitted)
    async def edits(request: Request) -> Response:
        async def read() -> Asked:
            content = await _content(request, MOST_FORM_BYTES)
            try:
                form = read_form(request.headers.get("Content-Type", ""), content)
            except InvalidForm as error:
                raise WireError(400, str(error), "invalid_form") from error
            for name in form.files.keys() - {"image", "mask"}:
                raise WireError(400, f"{name}: is not known here", "unknown_parameter", name)
            body = wire.read_edit(form.fields)
            service.check_model(body.model)
            if "image" not in form.files:
                raise WireError(400, "image: is missing; send the file", "missing_required_parameter", "image")
            # Masks are decoded.
            return await asyncio.to_thread(
                wire.jobs_of, body, service.options.defaults, form.files["image"], form.files.get("mask")
            )

        return await _paint(service, request, read)

    @app.get("/v1/models", dependencies=admitted)
    async def models() -> dict[str, Any]:
        engine, defaults = service.engine, service.options.defaults
        served = {
            "id": engine.model,
            "object": "model",
            "created": service.began,
            "owned_by": "luxauto",
            "aliases": [wire.MODEL_ALIAS],
            "samplers": list(engine.samplers),
            "loras": engine.lora_names(),
            "max_batch": engine.max_batch,
            "defaults": {"steps": defaults.steps, "guidance": defaults.guidance, "sampler": defaults.sampler},
            "device": engine.device,
            "dtype": engine.dtype,
            "compiled": engine.compiled,
        }
        return {"object": "list", "data": [served]}

    @app.get("/v1/queue", dependencies=admitted)
    async def queue() -> dict[str, Any]:
        batcher = service.batcher
        return {
            "state": service.state,
            "waiting": batcher.waiting,
            "running": batcher.running,
            "capacity": batcher.capacity,
            "seconds_per_image": round(batcher.seconds_per_image, 4),
        }


def _add_jobs(app: FastAPI, service: Service) -> None:
    admitted = [Depends(_key_checker(service))]

    def known(id: str) -> Task:
        task = service.tasks.find(id)
        if task is None:
            raise WireError(404, f"there is no job {id}, or it is forgotten", "job_not_found", "id")
        return task

    @app.get("/v1/jobs", dependencies=admitted)
    async def jobs() -> dict[str, Any]:
        return {"object": "list", "data": [_summary(task) for task in service.tasks]}

    @app.get("/v1/jobs/{id}", dependencies=admitted)
    async def job(id: str, wait: float = 0.0) -> Response:
        task = known(id)
        if wait > 0 and task.outcome is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(task.ends(), min(wait, LONGEST_WAIT_SECONDS))
        return await _progress(service, task)

    @app.get("/v1/jobs/{id}/events", dependencies=admitted)
    async def events(request: Request, id: str, previews: bool = False) -> Response:
        task = known(id)
        seen = request.headers.get("Last-Event-ID", "0")
        return _stream(service, task, previews, int(seen) if seen.isdecimal() else 0)

    @app.delete("/v1/jobs/{id}", dependencies=admitted)
    async def cancel(id: str) -> dict[str, Any]:
        task = known(id)
        if task.outcome is None:
            service.tasks.cancel(task)
            await task.ends()
        return _summary(task)


async def _paint(service: Service, request: Request, read: Callable[[], Awaitable[Asked]]) -> Response:
    """Take a request and answer it as its headers ask."""
    refusals = service.metrics.refusals
    try:
        service.take_requests()
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= LONGEST_KEY:
            raise WireError(
                400, f"an idempotency key has 1 to {LONGEST_KEY} characters", "invalid_value", "Idempotency-Key"
            )
        asked = await read()
        try:
            for job in asked.jobs:
                service.engine.check(job)
        except InvalidJob as error:
            raise wire.refusal(error) from error
        # While the body came in, the server may have begun to stop.
        service.take_requests()
        is_detached = "respond-async" in request.headers.get("Prefer", "")
        task = service.tasks.begin(asked, key, is_detached)
    except QueueFull as error:
        refusals.labels("queue_full").inc()
        raise WireError(429, str(error), "queue_full", headers={"Retry-After": str(error.retry_after)}) from error
    except WireError as error:
        refusals.labels(error.code if error.status == 503 else "invalid").inc()
        raise
    if is_detached:
        headers = {"Location": f"/v1/jobs/{task.id}", "Preference-Applied": "respond-async", "X-Job-Id": task.id}
        return JSONResponse(_summary(task), 202, headers)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return _stream(service, task, previews=False, seen=0)
    return await _answer(service, request, task)


async def _answer(service: Service, request: Request, task: Task) -> Response:
    """The pictures, once they are there; the job is given up where the client hangs up."""
    service.tasks.enter(task)
    ended, gone = asyncio.ensure_future(task.ends()), asyncio.ensure_future(_hangs_up(request))
    try:
        await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.outcome is None:
            return Response(status_code=499)
        if task.error is not None:
            task.error.headers["X-Job-Id"] = task.id
            raise task.error
        content = await asyncio.to_thread(lambda: json.dumps(_result(service, task)).encode())
        task.is_fetched = True
        return Response(content, media_type="application/json", headers={"X-Job-Id": task.id})
    finally:
        ended.cancel()
        gone.cancel()
        service.tasks.leave(task)


async def _hangs_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _stream(service: Service, task: Task, previews: bool, seen: int) -> StreamingResponse:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Job-Id": task.id}
    return StreamingResponse(_events(service, task, previews, seen), media_type="text/event-stream", headers=headers)


async def _events(service: Service, task: Task, previews: bool, seen: int) -> AsyncIterator[bytes]:
    """Server-sent events from the one after `seen` to the last; a comment every second in which nothing happens."""
    service.tasks.enter(task)
    seen = min(seen, len(task.events))
    try:
        while True:
            if seen == len(task.events):
                if task.events[-1].name in _ENDS:
                    return
                await task.changes(KEEP_ALIVE_SECONDS)
                if seen == len(task.events):
                    yield b": alive\n\n"
                    continue
            event = task.events[seen]
            seen += 1
            data = event.data
            if event.name == "done":
                data = {**data, "result": await asyncio.to_thread(_result, service, task)}
                task.is_fetched = True
            elif event.name == "step" and previews:
                data = {**data, "preview": await _preview(task, data["image"], data["step"])}
            # Pictures in base64 are megabytes, and others are waiting.
            told = await asyncio.to_thread(json.dumps, data) if event.name == "done" else json.dumps(data)
            yield f"id: {seen}\nevent: {event.name}\ndata: {told}\n\n".encode()
    finally:
        service.tasks.leave(task)


async def _progress(service: Service, task: Task) -> Response:
    """A job as GET shows it: with previews while it runs, with its result afterwards."""
    told = _summary(task)
    if task.outcome == "done":
        told["result"] = await asyncio.to_thread(_result, service, task)
        task.is_fetched = True
    elif task.error is not None:
        told |= task.error.body()
    else:
        for image in told["images"]:
            image["preview"] = await _preview(task, image["index"])
    return Response(await asyncio.to_thread(json.dumps, told), media_type="application/json")


def _summary(task: Task) -> dict[str, Any]:
    images = []
    for number, ticket in enumerate(task.tickets):
        step, of = task.progress.get(number, (0, ticket.job.steps))
        images.append({"index": number, "seed": ticket.job.seed, "step": step, "of": of})
    return {
        "id": task.id,
        "object": "image_job",
        "status": task.state,
        "created": int(task.created),
        "size": task.asked.size,
        "images": images,
    }


async def _preview(task: Task, number: int, of_step: int | None = None) -> str | None:
    """The newest preview of an image as base64 (WebP), where it is that of the step; None where there is none."""
    newest = task.steps.get(number)
    if newest is None or (of_step is not None and newest[0].number != of_step):
        return None
    step, place = newest
    content = await asyncio.to_thread(step.preview, place)
    return None if content is None else base64.b64encode(content).decode()


def _result(service: Service, task: Task) -> dict[str, Any]:
    """The answer in OpenAI's shape, with what else is known beside it."""
    asked = task.asked
    return {
        "created": int(task.created),
        "background": "opaque",
        "data": [
            {"b64_json": base64.b64encode(content).decode(), "seed": job.seed}
            for content, job in zip(task.files, asked.jobs, strict=True)
        ],
        "output_format": asked.body.output_format,
        "quality": None if asked.body.quality == "auto" else asked.body.quality,
        "size": asked.size,
        "usage": wire.usage_of(asked),
        "model": service.engine.model,
        "job_id": task.id,
        "timing": task.timing(),
    }


async def _content(request: Request, most: int) -> bytes:
    """The whole body. Raises WireError 413 as soon as it is too large."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise WireError(413, f"the body is larger than {most} bytes", "request_too_large")
    return bytes(content)


def _key_checker(service: Service) -> Callable[[Request], Awaitable[None]]:
    key = service.options.key

    async def check(request: Request) -> None:
        if key is None:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), key.encode()):
            service.metrics.refusals.labels("unauthorized").inc()
            raise WireError(
                401, "the key is missing or wrong", "invalid_api_key", headers={"WWW-Authenticate": "Bearer"}
            )

    return check


async def _tell_wire_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, WireError)
    return JSONResponse(error.body(), error.status, error.headers)


async def _tell_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code == 404 else "invalid_request"
    return JSONResponse(
        wire.error_body(str(error.detail), code, kind="invalid_request_error"), error.status_code, error.headers
    )


async def _tell_wrong_query(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return JSONResponse(WireError(400, f"{name}: {first['msg']}", "invalid_value", name).body(), 400)


async def _tell_crash(_: Request, error: Exception) -> Response:
    return JSONResponse(wire.error_body("the server failed at this request; its log says why", "internal_error"), 500)
