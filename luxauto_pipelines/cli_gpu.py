"""`luxauto gpu …`: the GPU server is started, measured, and asked what it serves.

Belongs here: arguments, the key from the environment, and what people are told. Does not belong here: the server
(`resources/gpu`).
"""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from luxauto_pipelines.cli_stock import FormatOption
from luxauto_pipelines.console import Format, fail, out, print_json, print_table

app = typer.Typer(help="Our own GPU server for SDXL. See docs/gpu.md.", no_args_is_help=True)

URLS_VARIABLE = "LUXAUTO_GPU_URLS"
KEY_VARIABLE = "LUXAUTO_GPU_KEY"
INSTALL = (
    "In the project's sources make setup-gpu installs them; elsewhere pip install --no-deps -r requirements-gpu.lock, "
    "and pip install torch as its card needs it"
)
_NEEDED = ("torch", "diffusers", "transformers", "accelerate")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@app.command()
def serve(
    model: Annotated[Path, typer.Option(help="Folder of an SDXL model, as diffusers saves one.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address of the server.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the server; 0 for any that is free.")] = 8200,
    max_batch: Annotated[int, typer.Option(min=1, max=32, help="Images painted at once.")] = 16,
    window_ms: Annotated[
        float, typer.Option(min=0, max=1000, help="How long an image waits for others to be painted with.")
    ] = 30.0,
    queue: Annotated[int, typer.Option(min=10, help="Images that may wait; more are refused with 429.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Steps, where a request does not say.")] = 30,
    guidance: Annotated[float, typer.Option(help="Guidance, where a request does not say.")] = 5.0,
    sampler: Annotated[str, typer.Option(help="Sampler, where a request does not say.")] = "euler",
    size: Annotated[str, typer.Option(help="Size, where a request does not say.")] = "1024x1024",
    lora: Annotated[
        list[str] | None, typer.Option(help="A LoRA as NAME=FILE; may be repeated.", show_default=False)
    ] = None,
    warm_up: Annotated[
        list[str] | None,
        typer.Option(help="A size, as 1024x1024, that is compiled before requests are taken; may be repeated."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, cuda:1, cpu, …")] = "auto",
    compile: Annotated[
        Literal["auto", "off", "regional", "full"], typer.Option(help="What is compiled; auto: regional on a card.")
    ] = "auto",
    compile_cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps what was compiled, for the next start.", show_default=False)
    ] = None,
    fp8: Annotated[bool, typer.Option("--fp8", help="Linear layers in 8 bits (Hopper or later).")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of torch on a CPU.", show_default=False)] = None,
    open_to_all: Annotated[
        bool, typer.Option("--without-key", help=f"Serve other machines though {KEY_VARIABLE} is not set.")
    ] = False,
) -> None:
    """Serve one SDXL model on one GPU, in the shape of OpenAI's Images API. SIGTERM finishes what was taken, then stops.

    One line says the address, another that the model is loaded. Clients give the key in the variable LUXAUTO_GPU_KEY.
    """
    key = os.environ.get(KEY_VARIABLE) or None
    if key is None and host not in _LOOPBACK and not open_to_all:
        _stop(f"{host} can be reached by other machines: set {KEY_VARIABLE}, or say --without-key")
    _need_engine()
    _need_model(model)
    from resources.gpu.loading import EngineOptions
    from resources.gpu.server import CannotServe, serve
    from resources.gpu.service import ServiceOptions
    from resources.gpu.wire import Defaults

    engine = EngineOptions(
        device=device,
        max_batch=max_batch,
        compile=compile,
        compile_cache=compile_cache,
        fp8=fp8,
        threads=threads,
    )
    options = ServiceOptions(
        source=model,
        engine=engine,
        defaults=Defaults(steps=steps, guidance=guidance, sampler=sampler, size=size),
        key=key,
        window=window_ms / 1000,
        capacity=queue,
        loras=tuple(_lora(each) for each in lora or ()),
        warm_up=tuple(_size(each) for each in warm_up or ()),
    )
    try:
        code = serve(options, host, port, _print_line)
    except CannotServe as error:
        _stop(str(error))
    raise typer.Exit(code)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Pictures an hour that this machine paints, by size of batch and by each lever; --help tells the options.

    The benchmark stands in the project's sources; see docs/gpu.md.
    """
    _need_engine()
    try:
        module = import_module("benchmarks.gpu")
    except ModuleNotFoundError as error:
        _stop(f"{error.name} is not here: the benchmark is no part of the package. Run it in the project's sources")
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(module.main)
    command(args=context.args, prog_name="luxauto gpu bench")


@app.command()
def models(
    url: Annotated[
        list[str] | None,
        typer.Option(help=f"Address of a server; may be repeated. Default: ${URLS_VARIABLE}.", show_default=False),
    ] = None,
    format: FormatOption = Format.table,
) -> None:
    """Each server's state, queue and model. Exit code 1 where one does not take requests."""
    from resources.gpu.client import Client, GpuError

    urls = url or [each.strip() for each in os.environ.get(URLS_VARIABLE, "").split(",") if each.strip()]
    if not urls:
        _stop(f"no GPU server is named: give --url, or set {URLS_VARIABLE} (several with commas between)")
    rows: list[dict[str, Any]] = []
    for each in urls:
        with Client(each, os.environ.get(KEY_VARIABLE), silence_seconds=5) as client:
            state = client.health().state
            row: dict[str, Any] = {"server": each, "state": state, "model": None, "waiting": None, "running": None}
            try:
                if state == "ready":
                    told, queue = client.models()[0], client.queue()
                    row |= {"model": told.id, "waiting": queue.waiting, "running": queue.running}
                    row |= {"max_batch": told.max_batch, "device": told.details.get("device")}
                    row |= {"samplers": list(told.samplers), "loras": told.details.get("loras", [])}
            except GpuError as error:
                row["state"] = str(error)
            rows.append(row)
    if format is Format.json:
        print_json(rows)
    else:
        columns = ("server", "state", "model", "waiting", "running", "max_batch", "device")
        print_table("GPU servers", columns, [[row.get(name) for name in columns] for row in rows])
    raise typer.Exit(0 if all(row["state"] == "ready" for row in rows) else 1)


def _need_engine() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        _stop(f"{', '.join(missing)} cannot be imported here. {INSTALL}")


def _need_model(folder: Path) -> None:
    """Said before torch is loaded, which takes seconds."""
    if not (folder / "model_index.json").is_file():
        _stop(
            f"{folder} holds no model: there is no model_index.json. Give a folder as diffusers' save_pretrained writes it"
        )


def _lora(given: str) -> tuple[str, Path]:
    name, separator, file = given.partition("=")
    if not (name and separator and file):
        raise typer.BadParameter(f"{given!r} is not NAME=FILE", param_hint="--lora")
    if not Path(file).is_file():
        raise typer.BadParameter(f"{file} is not a file", param_hint="--lora")
    return name, Path(file)


def _size(given: str) -> tuple[int, int]:
    width, _, height = given.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{given!r} is not a size such as 1024x1024", param_hint="--warm-up")
    return int(width), int(height)


def _print_line(line: str) -> None:
    out.print(line, highlight=False, soft_wrap=True)
    out.file.flush()


def _stop(message: str) -> NoReturn:
    fail(message)
    raise typer.Exit(1)
