"""Midjourney through a gateway, against one on loopback that keeps jobs, bills them and misbehaves on demand."""

import io
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from PIL import Image, ImageChops

from resources.images.midjourney import MidjourneyGateway
from resources.images.protocol import (
    Blocked,
    Cancelled,
    Generated,
    ImageRequest,
    Poisoned,
    Refused,
    SwitchedOff,
    Throttled,
    Unavailable,
    Uncertain,
)
from resources.images.registry import Model, read_registry
from tests.peers.midjourney_peer import KEY, MidjourneyPeer, grid, quarter
from tests.peers.vendor import Asked, Fault, Reply

WISH = ImageRequest("a calfskin tote on travertine", width=1080, height=1350, count=4, seed=77)
TASK_MAP: dict[str, Any] = {
    "key_header": "Authorization",
    "key_prefix": "Bearer ",
    "submit": {"method": "POST", "path": "/api/v1/task", "body": {"model": "midjourney", "task_type": "imagine"}},
    "fetch": {"method": "POST", "path": "/api/v1/fetch", "body": {"task_id": "{id}"}},
    "find": {"method": "POST", "path": "/api/v1/task/search", "body": {"ref": "{reference}"}},
    "cancel": None,
    "upload": None,
    "sent": {
        "prompt": "input.prompt",
        "reference": "ref",
        "references": "input.image_urls",
        "webhook": None,
        "seed": "input.seed",
        "ratio": "input.aspect_ratio",
        "negative": "input.negative_prompt",
    },
    "told": {
        "id": "data.task_id",
        "code": None,
        "message": "message",
        "jobs": "data.tasks",
        "job": "data",
        "job_id": "task_id",
        "reference": "ref",
        "status": "status",
        "reason": "error.message",
        "image": None,
        "images": "output.image_urls",
        "seed": "output.seed",
        "credits": "meta.usage.consume",
    },
    "words": {"done": ["completed"], "failed": ["failed"], "cancelled": ["cancelled"]},
    "usd_per_credit": 0.007,
}


class Time:
    """Passes when it is waited for, and only then."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.waits = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def now(self) -> float:
        return self.passed

    def pause(self, waker: threading.Event, seconds: float) -> None:
        self.passed += seconds
        self.waits += 1
        self.meanwhile()


def entry(options: dict[str, Any] | None = None, **changes: Any) -> Model:
    """The registry's entry as somebody has it who took the risk."""
    model = read_registry().by_id["midjourney-gateway"]
    return model.model_copy(update={"disabled": None, "options": options or {}, **changes})


def gateway(peer: MidjourneyPeer, time: Time | None = None, options: dict[str, Any] | None = None) -> MidjourneyGateway:
    time = time or Time()
    given = options or (TASK_MAP if peer.dialect == "task" else {})
    return MidjourneyGateway(entry(given), peer.url, KEY, now=time.now, pause=time.pause)


def submitted(asked: Asked) -> bool:
    return asked.path in ("/mj/submit/imagine", "/api/v1/task")


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and ImageChops.difference(one, other).getbbox() is None


@pytest.fixture
def peer() -> Iterator[MidjourneyPeer]:
    with MidjourneyPeer() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Of a server on 127.0.0.1, which nobody else has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, both = tmp_path_factory.mktemp("tls") / "public.pem", tmp_path_factory.mktemp("tls") / "both.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(secret + made.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    return context, public


# Whether it can be asked at all


def test_it_is_off_until_somebody_takes_the_risk(peer: MidjourneyPeer):
    shipped = MidjourneyGateway(read_registry().by_id["midjourney-gateway"], peer.url, KEY)
    assert "terms of service" in (shipped.unavailable() or "")
    with pytest.raises(SwitchedOff, match="luxauto visuals import"):
        shipped.generate(WISH, "k")
    assert peer.asked == []


def test_without_an_address_or_a_key_it_says_what_to_set():
    assert "MIDJOURNEY_GATEWAY_URL" in (MidjourneyGateway(entry(), None, KEY).unavailable() or "")
    assert "MIDJOURNEY_GATEWAY_KEY" in (MidjourneyGateway(entry(), "https://gateway.example", None).unavailable() or "")
    assert "https://" in (MidjourneyGateway(entry(), "gateway.example", KEY).unavailable() or "")
    assert MidjourneyGateway(entry(), "https://gateway.example", KEY).unavailable() is None


def test_a_map_with_a_wrong_name_is_said_by_field():
    wrong = MidjourneyGateway(entry({"told": {"imgurl": "x"}}), "https://gateway.example", KEY)
    assert "options.told.imgurl" in (wrong.unavailable() or "")


def test_the_example_of_the_documentation_switches_it_on(tmp_path: Path):
    page = (Path(__file__).parents[3] / "docs" / "visuals.md").read_text(encoding="utf-8")
    example = re.search(r"### A gateway\n.*?```yaml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    (tmp_path / "image_models.yaml").write_text(example[1])
    model = read_registry(tmp_path).by_id["midjourney-gateway"]
    assert MidjourneyGateway(model, "https://gateway.example", KEY).unavailable() is None


# A job that goes well


def test_a_grid_becomes_four_pictures_exactly(peer: MidjourneyPeer):
    made = gateway(peer).generate(WISH, "order-1")
    (job,) = peer.jobs.values()
    assert made.call_id == job.id
    assert [image.details["place"] for image in made.images] == [0, 1, 2, 3]
    for place, image in enumerate(made.images):
        assert (image.media_type, image.width, image.height, image.seed) == ("image/png", 256, 256, 77)
        assert same(opened(image.content), quarter(job.prompt, 77, place, 256, 256))


def test_ratio_seed_and_negative_are_written_into_the_prompt(peer: MidjourneyPeer):
    wish = ImageRequest("a silk scarf,\nfolded", negative="text, watermark", width=1080, height=1350, seed=5)
    gateway(peer, options={"suffix": "--v 7 --style raw"}).generate(wish, "k")
    (job,) = peer.jobs.values()
    assert job.prompt == "a silk scarf, folded --ar 4:5 --seed 5 --no text, watermark --v 7 --style raw"


def test_another_gateway_is_only_another_map():
    with MidjourneyPeer("task") as peer:
        made = gateway(peer).generate(WISH, "order-1")
        asked = next(one for one in peer.asked if submitted(one)).json()
        assert asked["input"] == {
            "prompt": "a calfskin tote on travertine",
            "seed": 77,
            "aspect_ratio": "4:5",
            "negative_prompt": "",
        }
        assert (asked["model"], asked["task_type"]) == ("midjourney", "imagine")
        assert len(made.images) == 4
        assert same(opened(made.images[2].content), quarter(asked["input"]["prompt"], 77, 2, 256, 256))
        assert made.cost == 70_000, "ten credits at 0.007 dollars"
        assert peer.count("POST", "/api/v1/fetch") == 3


def test_without_a_seed_one_is_drawn_from_the_key_and_known(peer: MidjourneyPeer):
    wish = ImageRequest("a tote", count=1)
    first = gateway(peer).generate(wish, "a").images[0].seed
    assert first is not None and f"--seed {first}" in next(iter(peer.jobs.values())).prompt
    assert gateway(peer).generate(wish, "b").images[0].seed != first


def test_fewer_pictures_cost_the_whole_job_and_it_is_said(peer: MidjourneyPeer):
    provider = gateway(peer)
    one = ImageRequest("a tote", count=1, quality="high")
    made = provider.generate(one, "k")
    assert len(made.images) == 1
    assert made.cost == provider.estimate(one) == provider.estimate(WISH) == 80_000
    assert made.notes == ("the job made 4 pictures, of which 1 were wanted",)


def test_references_go_as_data_or_are_put_there_and_named_by_url(peer: MidjourneyPeer):
    out = io.BytesIO()
    quarter("reference", 1, 0, 64, 64).save(out, "WEBP")
    wish = ImageRequest("like this", references=(out.getvalue(),))
    gateway(peer).generate(wish, "a")
    (data,) = next(iter(peer.jobs.values())).references
    assert data.startswith("data:image/webp;base64,")
    gateway(peer, options={"references": "upload"}).generate(wish, "b")
    assert peer.uploads == [out.getvalue()]
    assert list(peer.jobs.values())[1].prompt.startswith("https://cdn.example/0.png like this")


# What is never sent


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prompt": " "}, "no prompt"),
        ({"prompt": "a tote --repeat 40"}, "parameters"),
        ({"prompt": "a tote —v 5"}, "parameters"),
        ({"negative": "text --fast"}, "parameters"),
        ({"prompt": "a {red, green, blue} tote"}, "braces"),
        ({"prompt": "x" * 5000}, "4000 characters"),
        ({"count": 5}, "5 pictures"),
        ({"count": 0}, "0 pictures"),
        ({"references": (b"x",) * 5}, "5 references"),
        ({"format": "svg"}, "format svg"),
        ({"transparent": True}, "transparent"),
        ({"seed": 2**32}, "seed"),
        ({"references": (b"no picture",)}, "a reference cannot be read"),
    ],
)
def test_what_no_job_can_be_is_refused_unsent(peer: MidjourneyPeer, changes: dict[str, Any], why: str):
    with pytest.raises(Refused, match=why):
        gateway(peer).generate(ImageRequest(**{"prompt": "a tote", **changes}), "k")
    assert peer.jobs == {}


# What the gateway says


@pytest.mark.parametrize("dialect", ["proxy", "task"])
def test_a_banned_prompt_is_blocked_and_not_billed(dialect: Any):
    with MidjourneyPeer(dialect) as peer:
        with pytest.raises(Blocked) as caught:
            gateway(peer).generate(ImageRequest("gore on silk"), "k")
        assert caught.value.stage == "input"
        assert peer.credits_billed == 0


def test_a_job_that_moderation_stops_is_blocked_and_stays_so(peer: MidjourneyPeer):
    peer.plan.reason = "Our AI moderators feel your prompt might be against our community standards"
    for _ in range(2):
        with pytest.raises(Blocked) as caught:
            gateway(peer).generate(WISH, "k")
        assert caught.value.stage == "output"
    assert len(peer.jobs) == 1, "what was blocked is not submitted again under the same key"


@pytest.mark.parametrize(("dialect", "retry_after"), [("proxy", None), ("task", 20.0)])
def test_a_full_queue_is_throttling(dialect: Any, retry_after: float | None):
    with MidjourneyPeer(dialect) as peer:
        peer.plan.queue = 0
        with pytest.raises(Throttled) as caught:
            gateway(peer).generate(WISH, "k")
        assert caught.value.retry_after == retry_after
        assert peer.jobs == {}


def test_a_wrong_key_switches_off_and_is_not_repeated(peer: MidjourneyPeer):
    peer.key = "another"
    with pytest.raises(SwitchedOff) as caught:
        gateway(peer).generate(WISH, "k")
    assert caught.value.code == "key_refused"
    assert KEY not in str(caught.value)


def test_a_wrong_path_says_which(peer: MidjourneyPeer):
    with pytest.raises(SwitchedOff, match=r"options\.submit\.path"):
        gateway(peer, options={"submit": {"method": "POST", "path": "/imagine"}}).generate(WISH, "k")


def test_a_field_that_the_gateway_does_not_know_is_refused(peer: MidjourneyPeer):
    with pytest.raises(Refused, match="unknown fields --no-such") as caught:
        gateway(peer, options={"sent": {"ratio": "--no-such"}}).generate(WISH, "k")
    assert caught.value.code == "4"


@pytest.mark.parametrize("status", [402, 429, 413])
def test_statuses_at_the_door_have_their_own_errors(peer: MidjourneyPeer, status: int):
    peer.faults.append(Fault("reply", matches=submitted, reply=Reply(status, {"description": "no"})))
    expected = {402: SwitchedOff, 429: Throttled, 413: Refused}[status]
    with pytest.raises(expected):
        gateway(peer).generate(WISH, "k")


def test_a_gateway_that_is_not_there_is_unavailable():
    with MidjourneyPeer() as gone:
        url = gone.url
    with pytest.raises(Unavailable, match="does not answer"):
        MidjourneyGateway(entry(), url, KEY).generate(WISH, "k")


def test_a_job_that_failed_is_unavailable_and_may_be_made_again(peer: MidjourneyPeer):
    peer.plan.reason = "Internal error of the bot"
    with pytest.raises(Unavailable, match="Internal error of the bot"):
        gateway(peer).generate(WISH, "k")
    assert peer.credits_billed == 0
    peer.plan.reason = ""
    assert len(gateway(peer).generate(WISH, "k").images) == 4
    assert len(peer.jobs) == 2


def test_a_failed_job_that_was_billed_is_charged():
    with MidjourneyPeer("task") as peer:
        peer.plan.reason, peer.plan.refund = "no result", False
        with pytest.raises(Poisoned) as caught:
            gateway(peer).generate(WISH, "k")
        assert caught.value.cost == 70_000


# Answers that are lost


@pytest.mark.parametrize("kind", ["reset_after", "reply_after"])
@pytest.mark.parametrize("dialect", ["proxy", "task"])
def test_a_job_whose_answer_was_lost_is_found_and_not_submitted_again(dialect: Any, kind: str):
    with MidjourneyPeer(dialect) as peer:
        peer.faults.append(Fault(kind, matches=submitted, reply=Reply(502, b"<html>bad gateway</html>")))
        made = gateway(peer).generate(WISH, "k")
        assert len(made.images) == 4
        assert len(peer.jobs) == 1
        assert sum(submitted(asked) for asked in peer.asked) == 1


def test_an_answer_that_names_no_job_is_read_back(peer: MidjourneyPeer):
    peer.faults.append(Fault("reply_after", matches=submitted, reply=Reply(200, {"code": 1, "description": "ok"})))
    assert gateway(peer).generate(WISH, "k").call_id in peer.jobs
    assert len(peer.jobs) == 1


def test_a_job_that_is_not_found_is_uncertain_and_one_that_came_late_is_taken_up(peer: MidjourneyPeer):
    peer.faults.append(Fault("late", matches=submitted))
    impatient = {"answer_seconds": 0.3}
    with pytest.raises(Uncertain, match="luxauto-") as caught:
        gateway(peer, options=impatient).generate(WISH, "k")
    assert caught.value.code == "answer_lost"
    peer.settle()
    made = gateway(peer).generate(WISH, "k")
    assert made.notes == ("the job of an earlier call with the same key was taken up",)
    assert len(peer.jobs) == 1
    assert sum(submitted(asked) for asked in peer.asked) == 1
    assert made.images[0].seed == 77


def test_a_reset_before_anything_was_done_is_uncertain_too(peer: MidjourneyPeer):
    peer.faults.append(Fault("reset_before", matches=submitted))
    with pytest.raises(Uncertain):
        gateway(peer).generate(WISH, "k")


def test_a_server_error_after_which_there_is_no_job_is_unavailable(peer: MidjourneyPeer):
    peer.faults.append(Fault("reply", matches=submitted, reply=Reply(500, {"description": "oops"})))
    with pytest.raises(Unavailable, match="there is no job"):
        gateway(peer).generate(WISH, "k")


def test_a_proxy_s_error_after_which_there_is_no_job_is_uncertain(peer: MidjourneyPeer):
    peer.faults.append(Fault("reply", matches=submitted, reply=Reply(502, b"<html>bad gateway</html>")))
    with pytest.raises(Uncertain, match="HTTP 502"):
        gateway(peer).generate(WISH, "k")


def test_a_server_error_is_uncertain_while_the_list_cannot_be_read(peer: MidjourneyPeer):
    def listed_after(asked: Asked) -> bool:
        return asked.path.endswith("/list") and peer.count("POST", "imagine") > 0

    peer.faults.append(Fault("reply", matches=submitted, reply=Reply(500, {"description": "oops"})))
    peer.faults.append(Fault("reply", times=3, matches=listed_after))
    with pytest.raises(Uncertain):
        gateway(peer).generate(WISH, "k")


def test_a_job_that_failed_before_is_not_taken_for_one_whose_answer_was_lost(peer: MidjourneyPeer):
    peer.plan.reason = "Internal error of the bot"
    with pytest.raises(Unavailable):
        gateway(peer).generate(WISH, "k")
    peer.faults.append(Fault("reset_before", matches=submitted))
    with pytest.raises(Uncertain):
        gateway(peer).generate(WISH, "k")


def test_where_jobs_cannot_be_listed_a_lost_answer_is_uncertain(peer: MidjourneyPeer):
    peer.faults.append(Fault("reply", matches=submitted, reply=Reply(500, {"description": "oops"})))
    with pytest.raises(Uncertain):
        gateway(peer, options={"find": None}).generate(WISH, "k")


def test_nothing_is_submitted_while_the_list_cannot_be_read(peer: MidjourneyPeer):
    peer.faults.append(Fault("reply", matches=lambda asked: asked.path.endswith("/list")))
    with pytest.raises(Unavailable):
        gateway(peer).generate(WISH, "k")
    assert peer.count("POST") == 0


def test_the_same_key_is_painted_once_and_another_key_anew(peer: MidjourneyPeer):
    first = gateway(peer).generate(WISH, "k")
    again = gateway(peer).generate(WISH, "k")
    assert [image.content for image in first.images] == [image.content for image in again.images]
    assert len(peer.jobs) == 1
    gateway(peer).generate(WISH, "another")
    assert len(peer.jobs) == 2


# While it is under way


def test_a_job_that_nobody_knows_any_more_is_uncertain(peer: MidjourneyPeer):
    time = Time()
    time.meanwhile = lambda: [peer.lose(job) for job in list(peer.jobs)]
    with pytest.raises(Uncertain, match="does not know it any more") as caught:
        gateway(peer, time).generate(WISH, "k")
    assert caught.value.code == "job_lost"


def test_a_job_that_is_not_yet_to_be_seen_is_waited_for(peer: MidjourneyPeer):
    hidden = Fault("reply", times=2, matches=lambda asked: asked.path.endswith("/fetch"), reply=Reply(404, {}))
    peer.faults.append(hidden)
    assert len(gateway(peer).generate(WISH, "k").images) == 4


def test_troubles_between_polls_are_borne(peer: MidjourneyPeer):
    def fetched(asked: Asked) -> bool:
        return asked.path.endswith("/fetch")

    peer.faults += [
        Fault("reset_before", matches=fetched),
        Fault("reply", times=4, matches=fetched, reply=Reply(503, {})),
        Fault("reply", matches=fetched, reply=Reply(429, {}, {"Retry-After": "25"})),
    ]
    time = Time()
    assert len(gateway(peer, time).generate(WISH, "k").images) == 4
    assert 40 <= time.passed <= 60, "five pauses of three seconds, one of 25, and those of the job"


def test_a_key_that_is_withdrawn_meanwhile_leaves_the_job_uncertain(peer: MidjourneyPeer):
    time = Time()
    time.meanwhile = lambda: setattr(peer, "key", "another")
    with pytest.raises(Uncertain) as caught:
        gateway(peer, time).generate(WISH, "k")
    assert caught.value.code == "key_refused"


def test_a_job_that_does_not_end_is_uncertain_and_is_taken_up_when_it_has(peer: MidjourneyPeer):
    peer.plan.is_stuck = True
    time = Time()
    with pytest.raises(Uncertain, match="taken up") as caught:
        gateway(peer, time).generate(WISH, "k")
    assert caught.value.code == "timed_out"
    assert time.passed == pytest.approx(600)
    peer.plan.is_stuck = False
    assert len(gateway(peer).generate(WISH, "k").images) == 4
    assert len(peer.jobs) == 1


def test_what_is_not_wanted_any_more_is_cancelled_at_the_gateway(peer: MidjourneyPeer):
    peer.plan.is_stuck = True
    time = Time()
    with pytest.raises(Cancelled):
        gateway(peer, time).generate(WISH, "k", lambda: time.passed >= 4)
    (job,) = peer.jobs.values()
    assert (job.state, peer.credits_billed) == ("CANCEL", 0)
    assert time.passed < 5


def test_a_job_that_cannot_be_stopped_is_uncertain_and_one_that_was_done_is_delivered(peer: MidjourneyPeer):
    peer.plan.is_stuck, peer.plan.can_cancel = True, False
    time = Time()
    with pytest.raises(Uncertain) as caught:
        gateway(peer, time).generate(WISH, "k", lambda: time.passed >= 4)
    assert caught.value.code == "cancel_failed"
    peer.plan.is_stuck = False
    time = Time()
    made = gateway(peer, time).generate(WISH, "l", lambda: time.passed > 0)
    assert isinstance(made, Generated) and made.cost == 80_000


def test_what_was_cancelled_before_is_not_even_looked_for(peer: MidjourneyPeer):
    with pytest.raises(Cancelled):
        gateway(peer).generate(WISH, "k", lambda: True)
    assert peer.asked == []


def test_a_webhook_ends_the_waiting_and_is_not_believed(peer: MidjourneyPeer):
    holder: list[MidjourneyGateway] = []
    heard: list[bool] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append(holder[0].notice(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, args=(0.02,), daemon=True).start()
    try:
        peer.plan.is_stuck = True
        address = f"http://127.0.0.1:{hook.server_port}/hook"
        # In real time: an hour between polls, which the webhook cuts short.
        waiting = {"webhook": address, "poll_seconds": 3600, "job_seconds": 7200}
        holder.append(MidjourneyGateway(entry(waiting), peer.url, KEY))
        looked = threading.Event()
        peer.faults.append(Fault("meanwhile", matches=lambda asked: "/fetch" in asked.path, act=looked.set))
        made: list[Generated] = []
        worker = threading.Thread(target=lambda: made.append(holder[0].generate(WISH, "k")), daemon=True)
        worker.start()
        assert looked.wait(20)
        (job,) = peer.jobs.values()
        peer.plan.is_stuck = False
        peer.finish(job.id)
        worker.join(20)
        assert len(made) == 1 and len(made[0].images) == 4
        assert heard == [True]
        assert holder[0].notice(b"no json") is False
        assert holder[0].notice(b'{"state": "luxauto-unknown", "status": "SUCCESS"}') is False
    finally:
        hook.shutdown()
        hook.server_close()


# What it brings


@pytest.mark.parametrize("size", [(511, 512), (512, 511)])
def test_a_grid_of_odd_size_is_refused_and_charged(peer: MidjourneyPeer, size: tuple[int, int]):
    peer.plan.size = size
    with pytest.raises(Poisoned, match="no grid of four") as caught:
        gateway(peer).generate(WISH, "k")
    assert (caught.value.code, caught.value.cost) == ("unusable_grid", 80_000)


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n broken"])
def test_a_picture_that_is_none_is_poisoned(peer: MidjourneyPeer, content: bytes):
    peer.plan.files = {"/images/1700000000000/grid_0.png": content}
    with pytest.raises(Poisoned, match="cannot be read") as caught:
        gateway(peer).generate(WISH, "k")
    assert caught.value.cost == 80_000


def test_pictures_are_fetched_from_known_hosts_alone_and_the_key_stays_at_home(peer: MidjourneyPeer):
    with MidjourneyPeer() as stranger:
        peer.plan.image_url = f"{stranger.url}/images/1/grid_0.png"
        with pytest.raises(Poisoned, match="image_hosts"):
            gateway(peer, options={"image_hosts": ["127.0.0.1"]}).generate(WISH, "k")
        assert stranger.asked == [], "not even from a known host without TLS"


def test_from_a_known_host_they_are_fetched_without_the_key(
    peer: MidjourneyPeer, certificate: tuple[ssl.SSLContext, Path]
):
    context, file = certificate
    with MidjourneyPeer(tls=context) as host:
        host.plan.files = {"/grid.png": grid("elsewhere", 1, 64, 64)}
        peer.plan.image_url = f"{host.url}/grid.png"
        options = {"image_hosts": ["127.0.0.1"], "ca_file": str(file)}
        made = gateway(peer, options=options).generate(WISH, "k")
        assert same(opened(made.images[3].content), quarter("elsewhere", 1, 3, 32, 32))
        (asked,) = host.asked
        assert KEY not in str(asked.headers)
        with pytest.raises(Uncertain, match="cannot be fetched"):
            gateway(peer, options={"image_hosts": ["127.0.0.1"]}).generate(WISH, "k")
        gone = gateway(peer, options={"ca_file": "/no/such.pem"})
        assert "options.ca_file" in (gone.unavailable() or "")


def test_a_download_that_fails_is_tried_again_and_then_uncertain(peer: MidjourneyPeer):
    def picture(asked: Asked) -> bool:
        return asked.path.startswith("/images/")

    peer.faults.append(Fault("reply", times=2, matches=picture))
    assert len(gateway(peer).generate(WISH, "k").images) == 4
    peer.faults.append(Fault("reset_before", times=3, matches=picture))
    with pytest.raises(Uncertain) as caught:
        gateway(peer).generate(WISH, "k")
    assert caught.value.code == "download_failed"
    assert len(gateway(peer).generate(WISH, "k").images) == 4
    assert len(peer.jobs) == 1
