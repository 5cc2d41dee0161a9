"""Which jobs share a batch, in which order batches are painted, and what becomes of a job that is cancelled or broken."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from resources.gpu.batching import Batcher, JobCancelled, QueueClosed, QueueFull, Ticket
from resources.gpu.encoding import encode
from resources.gpu.jobs import InvalidJob, Job
from resources.gpu.metrics import Metrics
from tests.resources.gpu.served import eventually

if TYPE_CHECKING:
    from resources.gpu.engine import Engine

SECONDS = 60


class Watched:
    """The engine, with a record of its batches, and gates before it paints and decodes."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self.batches: list[list[Job]] = []
        self.painting, self.decoding = threading.Event(), threading.Event()
        self.painting.set()
        self.decoding.set()
        self.lost_card = False

    def paint(
        self,
        jobs: Sequence[Job],
        on_step: Callable[[Any], None] | None = None,
        is_cancelled: Callable[[int], bool] | None = None,
    ) -> Any:
        self.batches.append(list(jobs))
        assert self.painting.wait(SECONDS)
        if self.lost_card:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return self._engine.paint(jobs, on_step, is_cancelled)

    def decode(self, latents: Any) -> list[np.ndarray | None]:
        assert self.decoding.wait(SECONDS)
        return self._engine.decode(latents)


@pytest.fixture
def engine(sdxl_engine: "Engine") -> Watched:
    return Watched(sdxl_engine)


@contextmanager
def batcher_of(engine: Watched, window: float = 0.02, capacity: int = 64) -> Iterator[tuple[Batcher, Metrics]]:
    metrics = Metrics()
    batcher = Batcher(engine, metrics, max_batch=4, window=window, capacity=capacity)
    try:
        yield batcher, metrics
    finally:
        engine.painting.set()
        engine.decoding.set()
        batcher.close()


def ticket_for(seed: int, steps: int = 2, **fields: Any) -> Ticket:
    job = Job("a bag", seed, width=64, height=64, steps=steps, **fields)
    return Ticket(job, lambda picture: encode(picture, "png", {}))


def files_of(tickets: Sequence[Ticket]) -> list[bytes]:
    return [ticket.future.result(SECONDS) for ticket in tickets]


def pixels(file: bytes) -> np.ndarray:
    with Image.open(BytesIO(file)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.int16)


def hold(engine: Watched, batcher: Batcher) -> Ticket:
    """A job that keeps the engine until it is let go: what is submitted meanwhile waits."""
    engine.painting.clear()
    first = ticket_for(999, steps=3)
    batcher.submit([first])
    eventually(lambda: engine.batches)
    return first


def test_jobs_that_wait_for_the_engine_are_painted_together(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, metrics):
        hold(engine, batcher)
        tickets = [ticket_for(seed) for seed in range(10)]
        for ticket in tickets:
            batcher.submit([ticket])
        assert batcher.waiting == 10
        engine.painting.set()
        files_of(tickets)
        assert [len(batch) for batch in engine.batches] == [1, 4, 4, 2]
        assert [job.seed for batch in engine.batches[1:] for job in batch] == list(range(10))
        text = metrics.text().decode()
        assert "luxauto_gpu_batch_size_sum 11.0" in text
        assert "luxauto_gpu_batch_size_count 4.0" in text
        assert batcher.seconds_per_image > 0


def test_a_picture_is_the_same_alone_and_in_a_batch(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        together = [ticket_for(seed, steps=4) for seed in (3, 1, 4, 5)]
        batcher.submit(together)
        files = files_of(together)
        alone = []
        for ticket in together:
            single = ticket_for(ticket.job.seed, steps=4)
            batcher.submit([single])
            alone += files_of([single])
        assert [len(batch) for batch in engine.batches] == [4, 1, 1, 1, 1]
        for one, other in zip(files, alone, strict=True):
            assert np.abs(pixels(one) - pixels(other)).max() <= 1
        assert np.abs(pixels(files[0]) - pixels(files[1])).max() > 1, "seeds make no difference"


def test_a_lone_odd_shape_is_painted_in_its_turn_however_many_others_come(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        hold(engine, batcher)
        before = [ticket_for(seed) for seed in range(4)]
        odd = ticket_for(100, steps=5)
        after = [ticket_for(seed) for seed in range(10, 30)]
        for tickets in (before, [odd], after):
            batcher.submit(tickets)
        engine.painting.set()
        files_of([*before, odd, *after])
        assert [batch[0].steps for batch in engine.batches[:3]] == [3, 2, 5]
        assert len(engine.batches) == 8


def test_jobs_that_differ_in_what_a_batch_shares_are_painted_apart(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        hold(engine, batcher)
        tickets = [ticket_for(1), ticket_for(2, sampler="dpmpp_2m"), ticket_for(3, guidance=1.0), ticket_for(4)]
        batcher.submit(tickets)
        engine.painting.set()
        files_of(tickets)
        assert [[job.seed for job in batch] for batch in engine.batches[1:]] == [[1, 4], [2], [3]]


def test_a_job_waits_for_others_for_the_window_and_no_longer(engine: Watched) -> None:
    with batcher_of(engine, window=0.2) as (batcher, _):
        first, second = ticket_for(1), ticket_for(2)
        batcher.submit([first])
        batcher.submit([second])
        files_of([first, second])
        assert len(engine.batches) == 1
        assert 0.2 <= first.started - first.entered < 2


def test_a_full_batch_begins_at_once(engine: Watched) -> None:
    with batcher_of(engine, window=SECONDS) as (batcher, _):
        tickets = [ticket_for(seed) for seed in range(4)]
        batcher.submit(tickets)
        files_of(tickets)
        assert tickets[0].started - tickets[0].entered < SECONDS / 2


def test_while_the_oldest_job_is_in_its_window_the_engine_paints_a_full_batch(engine: Watched) -> None:
    with batcher_of(engine, window=0.5) as (batcher, _):
        odd = ticket_for(1, steps=5)
        batcher.submit([odd])
        tickets = [ticket_for(seed) for seed in range(4)]
        batcher.submit(tickets)
        files_of([odd, *tickets])
        assert [batch[0].steps for batch in engine.batches] == [2, 5]


def test_a_queue_that_is_full_takes_all_of_a_request_or_nothing(engine: Watched) -> None:
    with batcher_of(engine, capacity=5) as (batcher, _):
        held = hold(engine, batcher)
        tickets = [ticket_for(seed) for seed in range(4)]
        batcher.submit(tickets)
        with pytest.raises(QueueFull, match="4 of 5 places") as caught:
            batcher.submit([ticket_for(8), ticket_for(9)])
        assert batcher.waiting == 4
        assert 1 <= caught.value.retry_after <= 120
        last = ticket_for(7)
        batcher.submit([last])
        engine.painting.set()
        files_of([held, *tickets, last])


def test_the_time_to_wait_follows_from_the_queue_and_from_what_an_image_took(engine: Watched) -> None:
    with batcher_of(engine, capacity=4) as (batcher, _):
        hold(engine, batcher)
        batcher.submit([ticket_for(seed) for seed in range(4)])
        batcher.seconds_per_image = 2.5
        with pytest.raises(QueueFull) as caught:
            batcher.submit([ticket_for(9)])
        assert caught.value.retry_after == 5, "one that runs and one that waits have to be painted first"


def test_a_waiting_job_that_is_cancelled_is_never_begun(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, metrics):
        held = hold(engine, batcher)
        gone, stays = ticket_for(1), ticket_for(2)
        batcher.submit([gone, stays])
        assert batcher.cancel(gone)
        assert not batcher.cancel(gone), "it was cancelled before"
        with pytest.raises(JobCancelled):
            gone.future.result(0)
        engine.painting.set()
        files_of([held, stays])
        assert [[job.seed for job in batch] for batch in engine.batches] == [[999], [2]]
        assert 'luxauto_gpu_cancellations_total{stage="waiting"} 1.0' in metrics.text().decode()


def test_a_job_that_is_cancelled_while_it_is_painted_leaves_the_batch_and_its_neighbour_as_it_was(
    engine: Watched,
) -> None:
    steps: dict[int, list[int]] = {1: [], 2: []}
    with batcher_of(engine) as (batcher, metrics):
        gone, stays = ticket_for(1, steps=12), ticket_for(2, steps=12)

        def on_step(step: Any, place: int) -> None:
            steps[1].append(step.number)
            if step.number == 3:
                batcher.cancel(gone)

        gone.on_step = on_step
        stays.on_step = lambda step, place: steps[2].append(step.number)
        batcher.submit([gone, stays])
        with pytest.raises(JobCancelled):
            gone.future.result(SECONDS)
        (file,) = files_of([stays])
        alone = ticket_for(2, steps=12)
        batcher.submit([alone])
        assert np.abs(pixels(file) - pixels(files_of([alone])[0])).max() <= 1
        assert steps == {1: [1, 2, 3], 2: list(range(1, 13))}
        assert batcher.running == 0
        assert 'luxauto_gpu_cancellations_total{stage="running"} 1.0' in metrics.text().decode()


def test_a_job_that_cannot_be_painted_falls_alone(engine: Watched) -> None:
    with BytesIO() as file:
        Image.linear_gradient("L").convert("RGB").resize((64, 64)).save(file, "PNG")
        whole = file.getvalue()
    with batcher_of(engine) as (batcher, metrics):
        tickets = [ticket_for(seed, steps=4, image=whole) for seed in range(3)]
        # Its header can be read, its pixels cannot.
        broken = ticket_for(7, steps=4, image=whole[: len(whole) // 2])
        batcher.submit([*tickets[:2], broken, tickets[2]])
        files_of(tickets)
        with pytest.raises(InvalidJob, match="image"):
            broken.future.result(SECONDS)
        assert "luxauto_gpu_failures_total 1.0" in metrics.text().decode()


def test_an_engine_that_fails_again_and_again_is_broken_until_it_paints(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, metrics):
        engine.lost_card = True
        tickets = [ticket_for(seed) for seed in range(4)]
        batcher.submit(tickets)
        for ticket in tickets:
            with pytest.raises(RuntimeError, match="illegal memory access"):
                ticket.future.result(SECONDS)
        assert [len(batch) for batch in engine.batches] == [4, 2, 1, 1, 2, 1, 1], (
            "a batch is halved until it gets through"
        )
        assert not batcher.is_broken
        last = ticket_for(9)
        batcher.submit([last])
        with pytest.raises(RuntimeError):
            last.future.result(SECONDS)
        assert batcher.is_broken
        assert "luxauto_gpu_failures_total 5.0" in metrics.text().decode()
        engine.lost_card = False
        again = ticket_for(9)
        batcher.submit([again])
        files_of([again])
        assert not batcher.is_broken


def test_a_batch_is_decoded_while_the_next_is_painted(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        engine.decoding.clear()
        tickets = [ticket_for(seed) for seed in range(8)]
        batcher.submit(tickets)
        eventually(lambda: tickets[7].painted)
        assert not any(ticket.future.done() for ticket in tickets)
        engine.decoding.set()
        files_of(tickets)


def test_no_more_than_three_batches_of_latents_wait_for_the_decoder(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        engine.decoding.clear()
        tickets = [ticket_for(seed) for seed in range(20)]
        batcher.submit(tickets)
        eventually(lambda: tickets[11].painted)
        assert not wait([tickets[16].future], 0.2).done
        assert len(engine.batches) == 3
        engine.decoding.set()
        files_of(tickets)


def test_closing_gives_up_what_waits_and_what_runs(engine: Watched) -> None:
    with batcher_of(engine) as (batcher, _):
        held = hold(engine, batcher)
        waiting = ticket_for(1)
        batcher.submit([waiting])
        closing = threading.Thread(target=batcher.close)
        closing.start()
        for ticket in (held, waiting):
            with pytest.raises(QueueClosed):
                ticket.future.result(SECONDS)
        engine.painting.set()
        closing.join(SECONDS)
        assert not closing.is_alive()
        with pytest.raises(QueueFull):
            batcher.submit([ticket_for(3)])
