"""What the peers of OpenAI and Anthropic share: faults by name, queued or at a rate, and a bill that outlives the process.

Belongs here: what befalls requests whatever they ask for. Does not belong here: what a vendor answers.
"""

import json
import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

from tests.peers.vendor import Asked, Fault, Reply, VendorPeer

_TRUNCATED = "x-cut-off"
_GATEWAY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Line:
    """A line of the bill. `micros` are exact millionths of a US dollar, in decimals."""

    what: str
    model: str
    quality: str
    micros: str
    batch: bool = False


@dataclass(frozen=True)
class Error:
    """An error as a vendor says it."""

    status: int
    code: str
    message: str
    kind: str = "invalid_request_error"
    details: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class SdkPeer(VendorPeer):
    """`queue` lays out a fault by its name, `rates` makes each request meet one by chance (`seed` decides which).

    Faults that need an answer to spoil it are `TWISTS` of the subclass: it asks `_twist` for one when it answers.
    `state`: a file to which the bill is written line by line, and from which it is read again.
    """

    TWISTS: ClassVar[frozenset[str]] = frozenset()
    FAULTS: ClassVar[Mapping[str, Callable[[], Fault]]] = {}

    def __init__(self, state: Path | None = None, seed: int = 0) -> None:
        self.bill: list[Line] = []
        self.crashes: list[str] = []
        self.rates: dict[str, float] = {}
        self.met: Counter[str] = Counter()
        self._state, self._chance = state, random.Random(seed)
        self._twists: list[str] = []
        if state is not None and state.exists():
            self.bill = [Line(**json.loads(line)) for line in state.read_text().splitlines()]
        super().__init__()
        self.weather = self._by_chance

    @property
    def billed(self) -> Decimal:
        """Millionths of a US dollar, exact."""
        with self._lock:
            return sum((Decimal(line.micros) for line in self.bill), Decimal(0))

    @property
    def cents(self) -> Decimal:
        """The bill in cents, as it is sent at the end of a month."""
        return (self.billed / 10_000).quantize(Decimal(1), rounding=ROUND_HALF_UP)

    def queue(self, name: str, times: int = 1) -> None:
        """The next `times` paid requests meet this fault."""
        with self._lock:
            if name in self.TWISTS:
                self._twists += [name] * times
                return
            if name not in self.FAULTS:
                raise ValueError(f"no fault {name!r}; there are {', '.join(sorted({*self.FAULTS, *self.TWISTS}))}")
            fault = self.FAULTS[name]()
            fault.times, fault.matches = times, self.is_paid
            self.faults.append(fault)

    def is_paid(self, asked: Asked) -> bool:
        raise NotImplementedError

    def error(self, error: Error) -> Reply:
        raise NotImplementedError

    def reply_to(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def answer(self, asked: Asked) -> Reply:
        try:
            return self.reply_to(asked)
        except Exception:
            # Else a fault of the peer would look like a connection that broke.
            self.crashes.append(f"{asked}: {traceback.format_exc()}")
            raise

    def close(self) -> None:
        super().close()
        if self.crashes:
            raise AssertionError("the peer itself failed:\n" + "\n".join(self.crashes))

    def _charge(self, line: Line) -> None:
        self.bill.append(line)
        if self._state is not None:
            with self._state.open("a") as out:
                out.write(json.dumps(asdict(line)) + "\n")

    def _twist(self) -> str:
        return self._twists.pop(0) if self._twists else ""

    def _by_chance(self, asked: Asked) -> Fault | None:
        if not self.rates or not self.is_paid(asked):
            return None
        drawn = self._chance.random()
        for name, rate in self.rates.items():
            if drawn < rate:
                self.met[name] += 1
                if name in self.TWISTS:
                    self._twists.append(name)
                    return None
                return self.FAULTS[name]()
            drawn -= rate
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        class Handler(super()._handler()):
            _is_cut_off = False

            def send_header(self, keyword: str, value: str) -> None:
                if keyword == _TRUNCATED:
                    self._is_cut_off = self.close_connection = True
                    return
                if keyword == "content-length" and self._is_cut_off:
                    value = str(int(value) + 4096)
                super().send_header(keyword, value)

        return Handler


def wire_faults(said: Callable[[Error], Reply]) -> dict[str, Callable[[], Fault]]:
    """Those that befall any request. `said` puts an error into a vendor's words."""

    def reply(error: Error) -> Callable[[], Fault]:
        return lambda: Fault("reply", reply=said(error))

    def raw(kind: str, status: int, body: bytes, content_type: str, **headers: str) -> Callable[[], Fault]:
        return lambda: Fault(kind, reply=Reply(status, body, {"content-type": content_type, **headers}))

    busy = "Too many requests"
    return {
        "rate_limited_ms": reply(
            Error(429, "rate_limit_exceeded", busy, "rate_limit_error", headers=(("retry-after-ms", "120"),))
        ),
        "rate_limited": reply(
            Error(429, "rate_limit_exceeded", busy, "rate_limit_error", headers=(("retry-after", "2"),))
        ),
        "rate_limited_long": reply(
            Error(429, "rate_limit_exceeded", busy, "rate_limit_error", headers=(("retry-after", "600"),))
        ),
        "rate_limited_silent": reply(Error(429, "rate_limit_exceeded", busy, "rate_limit_error")),
        "server_error": reply(Error(500, "server_error", "The server had an error", "api_error")),
        "overloaded": reply(Error(503, "server_is_overloaded", "The engine is overloaded", "overloaded_error")),
        "overloaded_529": reply(Error(529, "overloaded_error", "Overloaded", "overloaded_error")),
        "gateway_timeout": reply(Error(504, "gateway_timeout", "Gateway timeout", "timeout_error")),
        "unauthorised": reply(Error(401, "invalid_api_key", "Incorrect API key provided", "authentication_error")),
        "forbidden": reply(Error(403, "permission_denied", "No access to this model", "permission_error")),
        "payment_required": reply(Error(402, "billing_error", "Payment required", "billing_error")),
        "bad_gateway_page": raw("reply", 502, _GATEWAY_PAGE, "text/html"),
        "page_instead_of_json": raw("reply_after", 200, b"<html>Please log in to the network</html>", "text/html"),
        "broken_json": raw("reply_after", 200, b'{"created": 17, "data": [{"b64_json": "iVBO', "application/json"),
        "cut_off": raw("reply_after", 200, b'{"created": 17, "data": [', "application/json", **{_TRUNCATED: "1"}),
        "reset_before": lambda: Fault("reset_before"),
        "reset_after": lambda: Fault("reset_after"),
        "withheld": lambda: Fault("hang_after"),
    }


def multipart(asked: Asked) -> Iterator[tuple[str, str | None, str, bytes]]:
    """The parts of a form: name, file's name (None for a field), media type, content."""
    from email.parser import BytesParser
    from email.policy import HTTP

    head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + asked.body)
    for part in form.iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        yield name, part.get_filename(), part.get_content_type(), content
