"""From pixels to a file: PNG, WebP or JPEG, with what it was painted from in its metadata.

Belongs here: formats, their cost, and metadata. Does not belong here: content credentials, which whoever publishes signs.

The prompt itself is never written, only its SHA-256: it may name a product that is not announced.
"""

import hashlib
import json
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from resources.gpu.jobs import Job

if TYPE_CHECKING:
    import numpy as np

# Level 6 takes three times as long and saves a tenth; it would want three cores at ten images a second.
_PNG_LEVEL = 1
_QUALITY = 90


def encode(picture: "np.ndarray", format: str, facts: dict[str, str], quality: int | None = None) -> bytes:
    """The file of an image (height, width, 3; 0 to 255). `quality` is that of WebP and JPEG, 0 to 100.

    `facts` are a PNG's text, and JSON in the image description (EXIF) of the others.
    """
    image, file = Image.fromarray(picture), BytesIO()
    if format == "png":
        text = PngInfo()
        for name, value in facts.items():
            text.add_text(name, value)
        image.save(file, "PNG", compress_level=_PNG_LEVEL, pnginfo=text)
        return file.getvalue()
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = json.dumps(facts)
    quality = _QUALITY if quality is None else quality
    if format == "webp":
        image.save(file, "WEBP", quality=quality, method=0, exif=exif)
    else:
        image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def facts_of(job: Job, model: str) -> dict[str, str]:
    """What paints the image again, with the prompt's hash in the place of the prompt."""
    facts = {
        "model": model,
        "seed": str(job.seed),
        "prompt_sha256": hashlib.sha256(job.prompt.encode()).hexdigest(),
        "steps": str(job.steps),
        "guidance": str(job.guidance),
        "sampler": job.sampler,
    }
    if job.lora is not None:
        facts |= {"lora": job.lora, "lora_scale": str(job.lora_scale)}
    if job.image is not None:
        facts["strength"] = str(job.strength)
    return facts
