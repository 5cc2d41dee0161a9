"""One tiny model for all tests of the GPU server: importing torch and diffusers takes longer than painting with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.resources.gpu.tiny_sdxl import tiny_pipeline, write_tiny_sdxl

if TYPE_CHECKING:
    from resources.gpu.engine import Engine


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as files; not to be written to."""
    return write_tiny_sdxl(tmp_path_factory.mktemp("sdxl") / "tiny-sdxl")


@pytest.fixture(scope="session")
def sdxl_engine(sdxl_folder: Path) -> "Engine":
    """An engine on those files, on the CPU with one thread, up to four pictures a batch. Whoever loads a LoRA unloads it."""
    from resources.gpu.engine import Engine, EngineOptions

    return Engine.load(sdxl_folder, EngineOptions(device="cpu", max_batch=4, threads=1))


@pytest.fixture(scope="session")
def stock_pipeline(sdxl_folder: Path) -> Any:
    """Diffusers' own pipeline with the same weights, untouched by the engine."""
    return tiny_pipeline()
