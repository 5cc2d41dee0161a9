"""Words as the UNet takes them: both text encoders' states, remembered by their words.

The encoders are asked once for each text. What is remembered is what was computed, so a remembered prompt gives the
same picture, bit for bit, as the one that it was remembered from.

Belongs here: tokens, embeddings and their cache. Does not belong here: what is done with them.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from resources.gpu.loading import Model


@dataclass(frozen=True)
class Embedding:
    """Of one text: `tokens` (1, 77, features of both encoders) and `pooled` (1, features of the second)."""

    tokens: Any
    pooled: Any


class PromptCache:
    """The embeddings of the last `capacity` texts, the least recently used one forgotten first; `hits` and `misses` are
    counted.
    """

    def __init__(self, model: Model, capacity: int) -> None:
        self._model = model
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, tuple[str, float] | None], Embedding] = OrderedDict()
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def embeddings(self, texts: Iterable[str], weights: tuple[str, float] | None = None) -> dict[str, Embedding]:
        """Of each text. `weights` is the LoRA that changes the encoders, and its scale."""
        wanted = list(dict.fromkeys(texts))
        found = {text: self._known[text, weights] for text in wanted if (text, weights) in self._known}
        missing = [text for text in wanted if text not in found]
        self.hits += len(found)
        self.misses += len(missing)
        if missing:
            found |= dict(zip(missing, encode(self._model, missing), strict=True))
        for text in wanted:
            self._known[text, weights] = found[text]
            self._known.move_to_end((text, weights))
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return found

    def forget(self, lora: str) -> None:
        """Forget what was computed with a LoRA, at any scale."""
        for key in [key for key in self._known if key[1] is not None and key[1][0] == lora]:
            del self._known[key]


def nothing_like(embedding: Embedding) -> Embedding:
    """What stands for an empty negative, where the model was trained with zeros for it."""
    import torch

    return Embedding(torch.zeros_like(embedding.tokens), torch.zeros_like(embedding.pooled))


def encode(model: Model, texts: list[str]) -> list[Embedding]:
    """The embedding of each text, one after the other, so that none depends on what it was asked with."""
    return [_encode_one(model, text) for text in texts]


def _encode_one(model: Model, text: str) -> Embedding:
    import torch

    states: list[Any] = []
    pooled: Any = None
    for tokenizer, encoder in zip(model.tokenizers, model.text_encoders, strict=True):
        tokens = tokenizer(
            [text], padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
        )
        answer = encoder(tokens.input_ids.to(model.device), output_hidden_states=True)
        # The layer before the last, of both; the pooled state is the second encoder's.
        states.append(answer.hidden_states[-2])
        pooled = answer[0]
    return Embedding(torch.cat(states, dim=-1).to(model.dtype), pooled.to(model.dtype))
