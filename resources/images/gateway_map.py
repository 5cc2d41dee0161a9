"""How a Midjourney-like gateway is spoken to: its paths, the names of its fields, and its words for what became of a job.

Belongs here: reading and checking the `options` of such an entry of the registry, and finding a field by its dotted name. Does
not belong here: when which call is made (`midjourney`).

What is not given is as in midjourney-proxy, the protocol that most self-hosted gateways speak.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Form = Literal["data_uri", "base64", "upload"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Part):
    """One call. `{id}` and `{reference}` in path and body stand for the job's; `body` has dotted names."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"
    path: str = Field(pattern=r"^/")
    body: dict[str, Any] = Field(default_factory=dict)


class Sent(_Part):
    """Dotted names of what is sent with a new job. Where one is None, seed, ratio and negative are written into the prompt."""

    prompt: str = "prompt"
    reference: str = "state"
    references: str | None = "base64Array"
    webhook: str | None = "notifyHook"
    seed: str | None = None
    ratio: str | None = None
    negative: str | None = None


class Told(_Part):
    """Dotted names of what is told. `image` is the grid's URL; `images` those of single pictures, where there are such."""

    id: str = "result"
    code: str | None = "code"
    message: str = "description"
    jobs: str = Field(default="", description="The list in the answer of `find`; empty where the answer is the list")
    job: str = Field(default="", description="The job in the answer of `fetch`; empty where the answer is the job")
    job_id: str = "id"
    reference: str = "state"
    status: str = "status"
    reason: str = "failReason"
    image: str | None = "imageUrl"
    images: str | None = None
    seed: str | None = None
    credits: str | None = None
    uploaded: str = Field(default="result", description="The list of URLs in the answer of `upload`")


class Words(_Part):
    """What the gateway says, in any case of letters; `moderation` are parts of a message."""

    accepted: tuple[str, ...] = ("1", "21", "22")
    full: tuple[str, ...] = ("23",)
    banned: tuple[str, ...] = ("24",)
    broken: tuple[str, ...] = ("3", "9")
    done: tuple[str, ...] = ("success",)
    failed: tuple[str, ...] = ("failure",)
    cancelled: tuple[str, ...] = ("cancel", "cancelled")
    moderation: tuple[str, ...] = (
        "banned prompt",
        "banned word",
        "sensitive word",
        "moderation",
        "moderator",
        "content policy",
        "community guidelines",
        "community standards",
    )


class GatewayMap(_Part):
    """The whole map. By `find`, a list of jobs, one is found whose answer was lost. It, `cancel`, `upload` may be None."""

    key_header: str = "mj-api-secret"
    key_prefix: str = ""
    submit: Call = Call(method="POST", path="/mj/submit/imagine")
    fetch: Call = Call(path="/mj/task/{id}/fetch")
    find: Call | None = Call(path="/mj/task/list")
    cancel: Call | None = Call(method="POST", path="/mj/task/{id}/cancel")
    upload: Call | None = Call(
        method="POST", path="/mj/submit/upload-discord-images", body={"base64Array": "{references}"}
    )
    sent: Sent = Sent()
    told: Told = Told()
    words: Words = Words()
    references: Form = Field(
        default="data_uri", description="`upload`: put there first, and named by URL before the prompt"
    )
    suffix: str = Field(default="", description="Midjourney's own parameters for each job, such as --v 7 --style raw")
    webhook: str | None = Field(default=None, description="Where the gateway tells that a job has ended")
    ca_file: str | None = Field(default=None, description="Certificates (PEM) of whoever signed the gateway's own")
    image_hosts: tuple[str, ...] = ("cdn.midjourney.com", "cdn.discordapp.com", "media.discordapp.net")
    usd_per_credit: float | None = Field(default=None, ge=0, description="For gateways that tell a job's credits")
    poll_seconds: float = Field(default=3.0, gt=0)
    answer_seconds: float = Field(default=30.0, gt=0)
    job_seconds: float = Field(default=600.0, gt=0)


def at(document: Any, name: str | None) -> Any:
    """What lies under a dotted name, None where nothing does; a number counts in a list, an empty name is the whole."""
    if name is None:
        return None
    for part in name.split(".") if name else ():
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, Sequence) and not isinstance(document, str) and part.isdigit():
            document = document[int(part)] if int(part) < len(document) else None
        else:
            return None
    return document


def put(document: dict[str, Any], name: str, value: Any) -> None:
    """Set what lies under a dotted name, with the objects on the way to it."""
    *way, last = name.split(".")
    for part in way:
        document = document.setdefault(part, {})
    document[last] = value


def body_of(call: Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """A call's fixed body. A text that is one placeholder becomes the value itself, lists included."""
    body: dict[str, Any] = {}
    for name, value in call.body.items():
        is_placeholder = isinstance(value, str) and value[:1] == "{" and value[-1:] == "}"
        put(body, name, values.get(value[1:-1], value) if is_placeholder else value)
    return body


def means(said: Any, words: tuple[str, ...]) -> bool:
    """Whether what the gateway said is one of the words; numbers count by their digits."""
    return said is not None and str(said).strip().casefold() in {word.casefold() for word in words}
