"""Many listings changed by one JSON_LISTINGS_FEED: document, upload, creation, waiting, report.

Belongs here: the life of a feed. Does not belong here: what a change of stock or price looks like (`amazon.py`).
"""

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from resources.channels.amazon_api import Api, encoded, parsed
from resources.channels.protocol import ChannelError, Outcome, OutcomeUnknown, WriteResult

FEED_TYPE = "JSON_LISTINGS_FEED"
MOST_MESSAGES = 25_000
_CONTENT_TYPE = "application/json; charset=UTF-8"
_FEEDS = "/feeds/2021-06-30/feeds"
_DOCUMENTS = "/feeds/2021-06-30/documents"
_ENDED = frozenset({"DONE", "FATAL", "CANCELLED"})
_CLOCKS_DIFFER_BY = timedelta(minutes=2)
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Change:
    """What is to change at one listing: one operation of JSON Patch on a top-level attribute."""

    key: str
    sku: str
    product_type: str
    patch: Mapping[str, Any]


@dataclass
class Feeds:
    """Sends changes by feed to one seller's marketplace; waits for each feed at most `wait_seconds`."""

    api: Api
    seller_id: str
    marketplace_id: str
    poll_seconds: float = 30.0
    wait_seconds: float = 600.0
    _known: set[str] = field(default_factory=set)

    def submit(self, changes: Sequence[Change]) -> list[WriteResult]:
        """What became of each of up to 25,000 changes. An error that is raised means that nothing was sent.

        A feed that is still at work after the wait has its changes `accepted`.
        """
        document_id = self._upload(changes)
        started = self.api.clock.now()
        try:
            feed_id = self._create(document_id)
        except OutcomeUnknown as lost:
            feed_id = self._found_since(started)
            if feed_id is None:
                return _all(changes, Outcome.unknown, str(lost))
        self._known.add(feed_id)
        try:
            feed = self._ended(feed_id)
        except ChannelError as error:
            return _all(changes, Outcome.accepted, f"feed {feed_id} was created and could not be followed: {error}")
        if feed is None:
            return _all(changes, Outcome.accepted, f"feed {feed_id} is still being processed")
        if feed["processingStatus"] != "DONE":
            detail = f"feed {feed_id} ended as {feed['processingStatus']}: some of it, none or all may have been done"
            return _all(changes, Outcome.unknown, detail)
        return self._judged(changes, feed_id, feed.get("resultFeedDocumentId"))

    def _upload(self, changes: Sequence[Change]) -> str:
        # A document by itself changes nothing, so that asking for another one after a lost answer does no harm.
        told = self.api.read("createFeedDocument", _DOCUMENTS, method="POST", json={"contentType": _CONTENT_TYPE})
        self.api.upload(told["url"], encoded(self._document(changes)), _CONTENT_TYPE)
        return told["feedDocumentId"]

    def _document(self, changes: Sequence[Change]) -> dict[str, Any]:
        return {
            "header": {"sellerId": self.seller_id, "version": "2.0"},
            "messages": [
                {
                    "messageId": number,
                    "sku": change.sku,
                    "operationType": "PATCH",
                    "productType": change.product_type,
                    "patches": [change.patch],
                }
                for number, change in enumerate(changes, start=1)
            ],
        }

    def _create(self, document_id: str) -> str:
        body = {"feedType": FEED_TYPE, "marketplaceIds": [self.marketplace_id], "inputFeedDocumentId": document_id}
        told = self.api.write("createFeed", "POST", _FEEDS, body)
        if not isinstance(told, dict) or "feedId" not in told:
            raise OutcomeUnknown(f"{self.api.name}: createFeed was answered without a feed's id")
        return told["feedId"]

    def _found_since(self, started: datetime) -> str | None:
        """The feed whose creation was not answered, if it is the only one that can be it.

        A feed does not tell its document's id; with none or several in question nothing is assumed, and never is a second
        one made: the listings are read back later.
        """
        since = (started - _CLOCKS_DIFFER_BY).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        asked = {
            "feedTypes": FEED_TYPE,
            "marketplaceIds": self.marketplace_id,
            "createdSince": since,
            "pageSize": 100,
        }
        try:
            feeds = self.api.read("getFeeds", _FEEDS, params=asked)["feeds"]
        except ChannelError:
            return None
        possible = [feed["feedId"] for feed in feeds if feed["feedId"] not in self._known]
        return possible[0] if len(possible) == 1 else None

    def _ended(self, feed_id: str) -> Mapping[str, Any] | None:
        until = self.api.clock.now() + timedelta(seconds=self.wait_seconds)
        while True:
            feed = self.api.read("getFeed", f"{_FEEDS}/{quote(feed_id, safe='')}")
            if feed["processingStatus"] in _ENDED:
                return feed
            if self.api.clock.now() + timedelta(seconds=self.poll_seconds) > until:
                return None
            self.api.clock.sleep(self.poll_seconds)

    def _judged(self, changes: Sequence[Change], feed_id: str, report_id: str | None) -> list[WriteResult]:
        if report_id is None:
            return _all(changes, Outcome.accepted, f"feed {feed_id} is done and has no report")
        try:
            report = self._report(report_id)
        except (ChannelError, ValueError, KeyError, OSError, EOFError) as error:
            return _all(changes, Outcome.accepted, f"feed {feed_id} is done; its report could not be read: {error}")
        errors: dict[int | None, list[str]] = {}
        for issue in report.get("issues") or ():
            if issue["severity"] == "ERROR":
                errors.setdefault(issue.get("messageId"), []).append(
                    f"{issue.get('code', '')} {issue['message']}".strip()
                )
        if None in errors and not report.get("summary", {}).get("messagesAccepted"):
            return _all(changes, Outcome.refused, f"feed {feed_id}: {'; '.join(errors[None])}")
        return [
            WriteResult(change.key, Outcome.refused, detail="; ".join(errors[number]))
            if number in errors
            else WriteResult(change.key, Outcome.accepted, detail=f"feed {feed_id}")
            for number, change in enumerate(changes, start=1)
        ]

    def _report(self, report_id: str) -> Mapping[str, Any]:
        where = self.api.read("getFeedDocument", f"{_DOCUMENTS}/{quote(report_id, safe='')}")
        content = self.api.download(where["url"])
        # The client may have unpacked it already, when the store declared it as an encoding.
        return parsed(gzip.decompress(content) if content.startswith(_GZIP) else content)


def _all(changes: Sequence[Change], outcome: Outcome, detail: str) -> list[WriteResult]:
    return [WriteResult(change.key, outcome, detail=detail) for change in changes]
