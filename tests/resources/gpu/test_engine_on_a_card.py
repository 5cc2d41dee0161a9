"""What only a card runs: streams, bfloat16 kernels, compiled blocks, fp8 products. Skipped where there is none."""

import threading
from typing import Any

import pytest

from resources.gpu import fp8
from resources.gpu.engine import Engine, EngineOptions, Job, Step
from tests.resources.gpu.tiny_sdxl import tiny_pipeline

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 4}
BAGS = [Job("a red bag", 1, "blurred", **SMALL), Job("a silk scarf", 2, **SMALL), Job("a gold ring", 3, **SMALL)]


@pytest.fixture(scope="module")
def card() -> Any:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA card here")
    return torch.device("cuda")


def on_card(**options: Any) -> Engine:
    return Engine.of_pipeline(tiny_pipeline(), EngineOptions(device="cuda", max_batch=4, **options), "tiny")


def off(ours: Any, theirs: Any) -> float:
    """The norm of the difference, for theirs as 1."""
    return float((ours.cpu() - theirs.cpu()).norm() / theirs.cpu().norm())


@pytest.mark.parametrize(
    ("options", "most"), [({"dtype": "float32", "compile": "off"}, 0.01), ({"compile": "off"}, 0.05)]
)
def test_a_card_paints_what_the_cpu_paints(
    card: Any, sdxl_engine: Engine, options: dict[str, Any], most: float
) -> None:
    engine = on_card(**options)
    ours, theirs = engine.paint(BAGS), sdxl_engine.paint(BAGS)
    assert off(ours.values, theirs.values) < most
    for mine, other in zip(engine.decode(ours), sdxl_engine.decode(theirs), strict=True):
        assert mine is not None and other is not None and abs(mine.astype(int) - other.astype(int)).mean() < 4


@pytest.mark.slow
def test_compiled_blocks_paint_the_same_on_a_card(card: Any) -> None:
    plain, compiled = on_card(compile="off"), on_card(compile="regional", batch_sizes=(1, 2, 4))
    assert off(compiled.paint(BAGS).values, plain.paint(BAGS).values) < 0.05


def test_decoding_has_its_own_stream_and_waits_for_what_it_decodes(card: Any) -> None:
    engine = on_card(compile="off")
    expected = engine.decode(engine.paint(BAGS))
    finished = engine.paint(BAGS)
    decoded: list[Any] = []
    decoder = threading.Thread(target=lambda: decoded.extend(engine.decode(finished)))

    def on_step(step: Step) -> None:
        if step.number == 1:
            decoder.start()
        assert step.preview(0)

    engine.paint(BAGS, on_step=on_step)
    decoder.join(60)
    assert len(decoded) == 3
    for ours, theirs in zip(decoded, expected, strict=True):
        assert ours is not None and theirs is not None and abs(ours.astype(int) - theirs.astype(int)).max() <= 2


def test_memory_tells_of_the_card(card: Any) -> None:
    engine = on_card(compile="off")
    engine.decode(engine.paint(BAGS))
    told = engine.memory()
    assert 0 < told["weights"] <= told["allocated"] <= told["peak"] <= told["card"]


def test_an_fp8_layer_answers_as_its_linear_layer_on_a_card(card: Any) -> None:
    import torch

    if reason := fp8.why_not(card):
        pytest.skip(reason)
    linear = torch.nn.Linear(1280, 640, device=card, dtype=torch.bfloat16).requires_grad_(False)
    inputs = torch.randn(2, 77, 1280, device=card, dtype=torch.bfloat16)
    assert 0.001 < off(fp8.layer_class()(linear)(inputs).float(), linear(inputs).float()) < 0.06


def test_cudnn_s_attention_paints_the_same(card: Any) -> None:
    engine, cudnn = on_card(compile="off"), on_card(compile="off", attention="cudnn")
    assert off(cudnn.paint(BAGS).values, engine.paint(BAGS).values) < 0.05
