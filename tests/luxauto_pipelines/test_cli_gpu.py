"""`luxauto gpu …` as processes: a server that cannot start says why, and `models` says what is served."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import typer

from tests.resources.gpu.served import ROOT, Served
from tests.resources.gpu.tiny_sdxl import write_tiny_sdxl


def luxauto(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "luxauto_pipelines.cli", "gpu", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def said(ran: subprocess.CompletedProcess[str]) -> str:
    return " ".join((ran.stdout + ran.stderr).split())


def test_models_says_what_each_server_serves_and_which_is_away(tmp_path: Path) -> None:
    server = Served(write_tiny_sdxl(tmp_path / "brand-xl"), "--max-batch", "6", key="k")
    try:
        server.ready()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            away = f"http://127.0.0.1:{taken.getsockname()[1]}"
        both = luxauto("models", "--format", "json", LUXAUTO_GPU_URLS=f"{server.url}, {away}", LUXAUTO_GPU_KEY="k")
        first, second = json.loads(both.stdout)
        assert (first["server"], first["state"], first["model"]) == (server.url, "ready", "brand-xl")
        assert (first["waiting"], first["running"], first["max_batch"]) == (0, 0, 6)
        assert (second["server"], second["state"], second["model"]) == (away, "unreachable", None)
        assert both.returncode == 1
        one = luxauto("models", "--url", server.url, LUXAUTO_GPU_KEY="k")
        assert one.returncode == 0
        assert "brand-xl" in one.stdout
        stranger = luxauto("models", "--url", server.url, "--format", "json", LUXAUTO_GPU_KEY="another")
        assert "key is missing or wrong" in json.loads(stranger.stdout)[0]["state"]
        server.terminate()
        assert server.wait() == 0
    finally:
        server.kill()


def test_what_cannot_be_served_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    began = time.monotonic()
    empty = luxauto("serve", "--model", str(tmp_path), "--port", "0")
    assert (empty.returncode, "model_index.json" in said(empty)) == (1, True), said(empty)
    (tmp_path / "model_index.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = luxauto("serve", "--model", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert (port.returncode, "cannot be used" in said(port)) == (1, True), said(port)
    for given in ("house", "house=missing.safetensors"):
        lora = luxauto("serve", "--model", str(tmp_path), "--lora", given)
        assert (lora.returncode, "--lora" in said(lora)) == (2, True), said(lora)
    assert time.monotonic() - began < 60


def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    server = Served(tmp_path)
    assert server.wait() == 1
    server.line(re.compile(f"cannot serve {re.escape(str(tmp_path))}").search)


def test_bench_is_the_benchmark_of_the_sources() -> None:
    ran = luxauto("bench", "--help", COLUMNS="200")
    assert ran.returncode == 0, said(ran)
    assert "--end-to-end" in said(ran)
    assert "luxauto gpu bench" in said(ran)


def test_other_machines_are_served_only_with_a_key(tmp_path: Path) -> None:
    ran = luxauto("serve", "--model", str(tmp_path), "--host", "0.0.0.0", "--port", "0", LUXAUTO_GPU_KEY="")
    assert ran.returncode == 1
    assert "LUXAUTO_GPU_KEY" in said(ran)


def test_without_a_server_models_says_how_to_name_one() -> None:
    ran = luxauto("models", LUXAUTO_GPU_URLS="")
    assert ran.returncode == 1
    assert "LUXAUTO_GPU_URLS" in said(ran)


def test_without_torch_serve_says_what_to_install(tmp_path: Path) -> None:
    installed, without = Path(typer.__file__).parents[1], tmp_path / "packages"
    without.mkdir()
    for entry in installed.iterdir():
        if not entry.name.startswith("torch"):
            (without / entry.name).symlink_to(entry)
    # -S: the installed packages are not looked at, but those that were just laid out.
    command = [sys.executable, "-S", "-m", "luxauto_pipelines.cli", "gpu", "serve", "--model", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(without)}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    assert "torch cannot be imported" in said(ran)
    assert "requirements-gpu.lock" in said(ran)


def test_the_clients_side_loads_neither_torch_nor_a_web_framework() -> None:
    program = (
        "import sys, resources.gpu.client, resources.gpu.fleet, resources.gpu.resource, luxauto_pipelines.cli_gpu\n"
        "print([name for name in ('torch', 'diffusers', 'transformers', 'fastapi', 'uvicorn') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip() == "[]", ran.stderr
