"""A transformers sequence classifier that scores documents."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...lm.io.errors import InputError, in_one_line

MAX_TOKENS = 512  # of a document that are read, as by FineWeb-Edu's classifier
BATCH_DOCUMENTS = 32  # documents of one forward pass


class SequenceClassifier:
    """The model and tokenizer in a folder, or under a name on the hub. No code from there is run, nothing unpickled."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would break the lines of this program's
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model: Any = AutoModelForSequenceClassification.from_pretrained(
                name, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"no sequence classifier can be read from '{name}': {in_one_line(error)}") from None
        self.model = model.eval().to(self.device)
        limit = getattr(model.config, "max_position_embeddings", MAX_TOKENS)
        self.max_tokens = min(MAX_TOKENS, limit if limit > 0 else MAX_TOKENS)

    @torch.no_grad()
    def scores(self, texts: list[str]) -> NDArray[np.float64]:
        """One score a text, (D,): the output, where the model has one; else the expectation of its ordered classes."""
        order = np.argsort([len(text) for text in texts], kind="stable")  # like lengths together: little padding
        scores = np.zeros(len(texts))
        for batch in np.array_split(order, max(1, -(-len(texts) // BATCH_DOCUMENTS))):
            inputs = self.tokenizer(
                [texts[index] for index in batch],
                truncation=True,
                max_length=self.max_tokens,
                padding=True,
                return_tensors="pt",
            ).to(self.device)
            logits = self.model(**inputs).logits.float()
            if logits.shape[1] == 1:
                scores[batch] = logits[:, 0].cpu().numpy()
            else:
                classes = torch.arange(logits.shape[1], device=logits.device, dtype=logits.dtype)
                scores[batch] = (logits.softmax(1) @ classes).cpu().numpy()
        return scores
