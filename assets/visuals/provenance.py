"""Content credentials (C2PA): who made a picture or a film, from what, and that nobody changed it since.

Belongs here: keys and certificates of a brand, signing and verifying the bytes of a picture or a film. Does not
belong here: where keys lie on disk.

A picture is signed last: any change after it, a new size or a new format included, breaks or loses the credentials. The signer
is the brand's own authority, so a stranger's program finds the signature valid and its signer unknown; whoever is given the
brand's certificate (`anchor`) finds it trusted. Nothing is fetched, and there is no timestamp of a third party: a signature can
be verified until its certificate ends.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from assets.visuals.errors import VisualsError

State = Literal["trusted", "untrusted", "invalid", "absent", "unreadable"]
Source = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia", "composite"]
"""IPTC's digital source types: painted by a model, partly so, by a program from rules, or put together from parts."""

ASSERTION = "org.luxauto.picture"
_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_FILM_BRANDS = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ")
_AUTHORITY_DAYS, _SIGNER_DAYS, _RENEWED_BEFORE_DAYS = 20 * 365, 5 * 365, 90


class ProvenanceError(VisualsError):
    """A picture cannot be signed."""


@dataclass(frozen=True)
class Credentials:
    """A brand's keys as PEM. `anchor` is what others need to trust it; both keys are secret."""

    anchor: bytes
    anchor_key: bytes
    certificates: bytes
    key: bytes


@dataclass(frozen=True)
class Verdict:
    """What a picture's credentials say. Only `trusted` and `untrusted` pictures are as their signer left them."""

    state: State
    message: str
    signer: str | None = None
    signed_with: str | None = None
    actions: tuple[str, ...] = ()
    source: str | None = None
    said: Mapping[str, Any] | None = None
    ingredients: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        return self.state in ("trusted", "untrusted")


def new_credentials(brand: str, now: datetime) -> Credentials:
    """A brand's own authority, and a signer under it (ECDSA, P-256)."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    anchor = _certificate(f"{brand} content authority", brand, key.public_key(), None, key, now, _AUTHORITY_DAYS)
    return _with_signer(brand, anchor, key, now)


def renewed(credentials: Credentials, brand: str, now: datetime) -> Credentials | None:
    """The same authority with a new signer where the old one ends within 90 days; None where it does not."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    signer = x509.load_pem_x509_certificates(credentials.certificates)[0]
    if signer.not_valid_after_utc - now > timedelta(days=_RENEWED_BEFORE_DAYS):
        return None
    key = load_pem_private_key(credentials.anchor_key, None)
    return _with_signer(brand, x509.load_pem_x509_certificate(credentials.anchor), key, now)


def sign(
    content: bytes,
    credentials: Credentials,
    *,
    title: str,
    software: str,
    source: Source,
    said: Mapping[str, Any],
    original: bytes | None = None,
) -> bytes:
    """The picture with credentials in it. `said` is kept as an assertion: hashes and versions, never a prompt's words.

    Credentials that the picture brings, as a provider's, become an ingredient; those of `original`, where it was made from one
    that lost them on its way to another size or format. Raises ProvenanceError for other formats than PNG, JPEG, WebP and MP4,
    or where it cannot be signed.
    """
    import c2pa

    kind = _format(content)
    parent = content if original is None else original
    before = verify(parent)
    if before.state == "invalid":
        raise ProvenanceError(
            "the picture brings credentials that are broken: find out who changed it before signing it"
        )
    created: dict[str, Any] = {
        "action": "c2pa.created",
        "digitalSourceType": _SOURCES + source,
        "softwareAgent": software,
    }
    edited: list[dict[str, Any]] = [
        {"action": "c2pa.opened"},
        {"action": "c2pa.edited", "digitalSourceType": _SOURCES + source, "softwareAgent": software},
    ]
    actions = edited if before.is_intact else [created]
    manifest = {
        "claim_generator_info": [{"name": "luxauto", "version": "1"}],
        "title": title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": ASSERTION, "data": dict(said)},
        ],
    }
    told = {"title": title, "relationship": "parentOf", "label": "parent"}
    if before.is_intact:
        edited[0]["parameters"] = {"ingredientIds": ["parent"]}
    out = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(b"es256", credentials.certificates, credentials.key, None)
        with (
            c2pa.Context(c2pa.Settings.from_dict(_settings(credentials.anchor))) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder(manifest, context) as builder,
        ):
            if before.is_intact:
                builder.add_ingredient(json.dumps(told), _format(parent), io.BytesIO(parent))
            builder.sign(signer, kind, io.BytesIO(content), out)
    except c2pa.C2paError as error:
        raise ProvenanceError(f"the picture cannot be signed: {error}") from error
    return out.getvalue()


def verify(content: bytes, anchors: bytes = b"") -> Verdict:
    """What a picture's credentials say; `anchors` holds certificates (PEM) of signers that are trusted. Never raises."""
    import c2pa

    try:
        kind = _format(content)
    except ProvenanceError as error:
        return Verdict("unreadable", str(error))
    try:
        with (
            c2pa.Context(c2pa.Settings.from_dict(_settings(anchors))) as context,
            c2pa.Reader(kind, io.BytesIO(content), context=context) as reader,
        ):
            store = json.loads(reader.json())
    except Exception as error:
        if "ManifestNotFound" in f"{type(error).__name__} {error}":
            return Verdict("absent", "it brings no content credentials")
        return Verdict("invalid", f"its content credentials cannot be read: {error}"[:300], problems=("unreadable",))
    return _verdict(store)


def _verdict(store: Mapping[str, Any]) -> Verdict:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    assertions = {entry["label"]: entry.get("data", {}) for entry in manifest.get("assertions", ())}
    actions = next(
        (data.get("actions", []) for label, data in assertions.items() if label.startswith("c2pa.actions")), []
    )
    sources = [entry["digitalSourceType"] for entry in actions if "digitalSourceType" in entry]
    results = store.get("validation_results", {}).get("activeManifest", {})
    problems = [entry["code"] for entry in results.get("failure", ()) if entry["code"] != "signingCredential.untrusted"]
    signature = manifest.get("signature_info", {})
    states: dict[str, State] = {"Trusted": "trusted", "Valid": "untrusted"}
    state = states.get(store.get("validation_state", ""), "invalid")
    messages = {
        "trusted": "it is as its signer left it, and the signer is trusted",
        "untrusted": "it is as its signer left it; the signer is not known here",
        "invalid": "it was changed after it was signed, or its signature is broken",
    }
    return Verdict(
        state,
        messages[state],
        signer=signature.get("common_name") or signature.get("issuer"),
        signed_with=signature.get("alg"),
        actions=tuple(entry.get("action", "") for entry in actions),
        source=sources[0].removeprefix(_SOURCES) if sources else None,
        said=assertions.get(ASSERTION),
        ingredients=tuple(entry.get("title", "") for entry in manifest.get("ingredients", ())),
        problems=tuple(problems),
    )


def _settings(anchors: bytes) -> dict[str, Any]:
    trust = {"trust": {"trust_anchors": anchors.decode("ascii")}} if anchors else {}
    return {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {
            "verify_trust": True,
            "verify_after_sign": True,
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        **trust,
    }


def _format(content: bytes) -> str:
    from PIL import Image

    # The first box of an MP4 says what it is; an AVIF has the same box with another brand.
    if content[4:8] == b"ftyp" and content[8:12] in _FILM_BRANDS:
        return "video/mp4"
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_FORMATS)) as picture:
            return _FORMATS[picture.format or ""]
    except Exception as error:
        raise ProvenanceError("it is no PNG, JPEG, WebP or MP4 that can be read") from error


def _with_signer(brand: str, anchor: Any, anchor_key: Any, now: datetime) -> Credentials:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    signer = _certificate(brand, brand, key.public_key(), anchor, anchor_key, now, _SIGNER_DAYS)
    pem = anchor.public_bytes(Encoding.PEM)
    return Credentials(pem, _pem(anchor_key), signer.public_bytes(Encoding.PEM) + pem, _pem(key))


def _certificate(name: str, brand: str, public: Any, issuer: Any, issuer_key: Any, now: datetime, days: int) -> Any:
    """With the extensions that C2PA 2.2 asks for in section 14.5; self-signed as an authority where there is no issuer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    parts = [
        x509.NameAttribute(NameOID.COMMON_NAME, _short(name)),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, _short(brand)),
    ]
    subject = x509.Name(parts)
    authority = issuer is None
    until = now + timedelta(days=days)
    if issuer is not None:
        until = min(until, issuer.not_valid_after_utc)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _short(name: str) -> str:
    """X.509 allows 64 bytes in a name."""
    return name.encode()[:64].decode(errors="ignore").strip() or "brand"


def _pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
