"""A gateway to Midjourney on loopback: takes jobs, moves each a step when it is asked about, bills, and makes real grids.

It speaks two dialects, so that a map of field names is put to the test: `proxy`, that of midjourney-proxy, and `task`, with
nested fields, a bearer token, single pictures and credits, as hosted resellers have it. Whatever it does not know is refused.
"""

import base64
import colorsys
import hashlib
import io
import json
import random
import re
import ssl
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image, ImageDraw

from tests.peers.vendor import Asked, Reply, VendorPeer

KEY = "gateway-key-9f27"
BANNED = ("gore", "nude")
STEPS = ("NOT_START", "SUBMITTED", "IN_PROGRESS", "SUCCESS")
CREDITS = 10
_PROXY_FIELDS = {"prompt", "state", "base64Array", "notifyHook"}
_TASK_FIELDS = {"prompt", "seed", "aspect_ratio", "negative_prompt", "image_urls"}


@dataclass
class Job:
    """A job and what will become of it: `ends` after so many looks, well, or with `reason`."""

    id: str
    prompt: str
    reference: str
    seed: int
    hook: str | None = None
    references: tuple[Any, ...] = ()
    looks: int = 0
    state: str = "NOT_START"
    reason: str = ""
    billed: int = 0


@dataclass
class Plan:
    """What befalls jobs that are submitted from now on."""

    looks: int = 3
    """How often a job is asked about before it has ended."""
    reason: str = ""
    """Why it fails; empty for one that does not."""
    is_stuck: bool = False
    """It goes on for ever."""
    can_cancel: bool = True
    queue: int = 10
    size: tuple[int, int] = (512, 512)
    """Of the grid."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Given in the place of pictures, by path."""
    image_url: str = ""
    """Told in the place of the true one."""
    refund: bool = True


class MidjourneyPeer(VendorPeer):
    """`jobs` are all that were ever taken; `plan` may be changed at any time, `lose` forgets a job."""

    def __init__(self, dialect: Literal["proxy", "task"] = "proxy", tls: ssl.SSLContext | None = None) -> None:
        self.dialect = dialect
        self.jobs: dict[str, Job] = {}
        self.lost: set[str] = set()
        self.plan = Plan()
        self.credits_billed = 0
        self.key = KEY
        self.uploads: list[bytes] = []
        super().__init__(tls)

    def lose(self, job: str) -> None:
        """Nobody knows it any more, though it was billed."""
        self.lost.add(job)

    def finish(self, job: str) -> None:
        """It ends now, and the webhook is told."""
        ending = self.jobs[job]
        while ending.state not in ("SUCCESS", "FAILURE", "CANCEL"):
            self._step(ending)
        self.tell(ending)

    def tell(self, job: Job) -> None:
        """Post the job to its webhook."""
        assert job.hook is not None
        body = json.dumps(self._shown(job)).encode()
        request = urllib.request.Request(job.hook, body, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()

    def answer(self, asked: Asked) -> Reply:
        if asked.path.startswith("/images/") or asked.path in self.plan.files:
            return self._picture(asked)
        header = "mj-api-secret" if self.dialect == "proxy" else "authorization"
        wanted = self.key if self.dialect == "proxy" else f"Bearer {self.key}"
        if asked.headers.get(header) != wanted:
            return Reply(401, {"description": f"the key {asked.headers.get(header)} is not known"})
        return self._proxy(asked) if self.dialect == "proxy" else self._task(asked)

    # midjourney-proxy's dialect

    def _proxy(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("POST", "/mj/submit/imagine"):
            said = asked.json()
            if fault := _fault(said, _PROXY_FIELDS):
                return Reply(200, {"code": 4, "description": fault})
            if any(word in said["prompt"] for word in BANNED):
                return Reply(200, {"code": 24, "description": "banned prompt", "properties": {"bannedWord": "…"}})
            if self._running() >= self.plan.queue:
                return Reply(200, {"code": 23, "description": "queue full, try later"})
            seed = re.search(r"--seed (\d+)", said["prompt"])
            job = self._take(said["prompt"], said["state"], int(seed[1]) if seed else 7, said.get("notifyHook"))
            job.references = tuple(said.get("base64Array", ()))
            return Reply(200, {"code": 1, "description": "Submit success", "result": job.id, "properties": {}})
        if (asked.method, asked.path) == ("GET", "/mj/task/list"):
            return Reply(200, [self._shown(job) for job in self._known()])
        if (asked.method, asked.path) == ("POST", "/mj/submit/upload-discord-images"):
            for text in asked.json()["base64Array"]:
                self.uploads.append(base64.b64decode(text.partition("base64,")[2], validate=True))
            urls = [f"https://cdn.example/{n}.png" for n in range(len(self.uploads))]
            return Reply(200, {"code": 1, "description": "success", "result": urls})
        if found := re.fullmatch(r"/mj/task/([^/]+)/(fetch|cancel)", asked.path):
            job = self._find(found[1])
            if job is None:
                return Reply(404, {"description": "no such task"})
            if found[2] == "cancel":
                return self._cancel(job)
            self._step(job)
            return Reply(200, self._shown(job))
        return Reply(404, {"description": "no such path"})

    # The other dialect

    def _task(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) == ("POST", "/api/v1/task"):
            said = asked.json()
            if set(said) - {"model", "task_type", "input", "ref"} or said.get("model") != "midjourney":
                return Reply(400, {"message": f"unknown fields in {sorted(said)}"})
            if fault := _fault(said["input"], _TASK_FIELDS):
                return Reply(400, {"message": fault})
            if any(word in said["input"]["prompt"] for word in BANNED):
                return Reply(400, {"message": "The prompt goes against our content policy"})
            if self._running() >= self.plan.queue:
                return Reply(429, {"message": "too many tasks"}, {"Retry-After": "20"})
            job = self._take(said["input"]["prompt"], said["ref"], said["input"]["seed"], None)
            return Reply(200, {"data": {"task_id": job.id, "status": "pending"}})
        if (asked.method, asked.path) == ("POST", "/api/v1/task/search"):
            found = [job for job in self._known() if job.reference == asked.json()["ref"]]
            return Reply(200, {"data": {"tasks": [self._shown(job) for job in found]}})
        if (asked.method, asked.path) == ("POST", "/api/v1/fetch"):
            job = self._find(asked.json()["task_id"])
            if job is None:
                return Reply(404, {"message": "task not found"})
            self._step(job)
            return Reply(200, {"data": self._shown(job)})
        return Reply(404, {"message": "no such path"})

    # Jobs

    def _take(self, prompt: str, reference: str, seed: int, hook: str | None) -> Job:
        job = Job(f"{1_700_000_000_000 + len(self.jobs)}", prompt, reference, seed, hook)
        self.jobs[job.id] = job
        self._bill(job, CREDITS)
        return job

    def _known(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.id not in self.lost]

    def _find(self, job: str) -> Job | None:
        return None if job in self.lost else self.jobs.get(job)

    def _running(self) -> int:
        return sum(job.state not in ("SUCCESS", "FAILURE", "CANCEL") for job in self.jobs.values())

    def _bill(self, job: Job, credits: int) -> None:
        job.billed += credits
        self.credits_billed += credits

    def _step(self, job: Job) -> None:
        if job.state in ("SUCCESS", "FAILURE", "CANCEL"):
            return
        job.looks += 1
        share = min(job.looks / max(self.plan.looks, 1), 1.0)
        job.state = STEPS[min(int(share * 3), 2 if self.plan.is_stuck else 3)]
        if job.state == "SUCCESS" and self.plan.reason:
            job.state, job.reason = "FAILURE", self.plan.reason
            if self.plan.refund:
                self._bill(job, -CREDITS)

    def _cancel(self, job: Job) -> Reply:
        if not self.plan.can_cancel or job.state == "SUCCESS":
            return Reply(200, {"code": 4, "description": "this task cannot be cancelled"})
        job.state = "CANCEL"
        self._bill(job, -CREDITS)
        return Reply(200, {"code": 1, "description": "success"})

    def _shown(self, job: Job) -> dict[str, Any]:
        is_done = job.state == "SUCCESS"
        url = self.plan.image_url or f"{self.url}/images/{job.id}/grid_0.png"
        if self.dialect == "proxy":
            shown = {"id": job.id, "action": "IMAGINE", "prompt": job.prompt, "state": job.reference}
            shown |= {"status": job.state, "progress": f"{job.looks * 30}%", "failReason": job.reason or None}
            return shown | {"imageUrl": url if is_done else ""}
        words = {"NOT_START": "pending", "SUBMITTED": "pending", "IN_PROGRESS": "processing", "SUCCESS": "completed"}
        output = (
            {"image_urls": [f"/images/{job.id}/{n}.png" for n in range(4)], "seed": str(job.seed)} if is_done else {}
        )
        shown = {"task_id": job.id, "ref": job.reference, "status": words.get(job.state, "failed"), "output": output}
        return shown | {"meta": {"usage": {"consume": job.billed}}, "error": {"message": job.reason}}

    # Pictures

    def _picture(self, asked: Asked) -> Reply:
        if asked.path in self.plan.files:
            return Reply(200, self.plan.files[asked.path], {"Content-Type": "image/png"})
        _, _, number, name = asked.path.split("/")
        job = self._find(number)
        if job is None or job.state != "SUCCESS":
            return Reply(404, {"description": "no such picture"})
        width, height = self.plan.size
        if name.startswith("grid"):
            return Reply(200, grid(job.prompt, job.seed, width, height), {"Content-Type": "image/png"})
        content = _png(quarter(job.prompt, job.seed, int(name[0]), width // 2, height // 2))
        return Reply(200, content, {"Content-Type": "image/png"})


def quarter(prompt: str, seed: int, place: int, width: int, height: int) -> Image.Image:
    """One of the four pictures: the same for the same words, seed and place."""
    dice = random.Random(hashlib.sha256(f"{prompt}|{seed}|{place}".encode()).digest())
    picture = Image.new("RGB", (width, height), _colour(dice))
    draw = ImageDraw.Draw(picture)
    for _ in range(25):
        x, y = dice.randrange(width), dice.randrange(height)
        draw.ellipse(
            (x, y, x + dice.randrange(10, width // 2), y + dice.randrange(10, height // 2)), fill=_colour(dice)
        )
    return picture


def grid(prompt: str, seed: int, width: int, height: int) -> bytes:
    """PNG of all four; of an odd size the last column or row is black."""
    whole = Image.new("RGB", (width, height))
    for place in range(4):
        tile = quarter(prompt, seed, place, width // 2, height // 2)
        whole.paste(tile, (place % 2 * (width // 2), place // 2 * (height // 2)))
    return _png(whole)


def _colour(dice: random.Random) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(dice.random(), 0.5 * dice.random(), 0.3 + 0.7 * dice.random())
    return int(red * 255), int(green * 255), int(blue * 255)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _fault(said: Any, known: set[str]) -> str | None:
    if not isinstance(said, dict) or not isinstance(said.get("prompt"), str) or not said["prompt"].strip():
        return "prompt must not be empty"
    if strange := sorted(set(said) - known):
        return f"unknown fields {', '.join(strange)}"
    return None
