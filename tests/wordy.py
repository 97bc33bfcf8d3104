"""A tiny model drawn by words, for tests of what looks at words: random weights and random features."""

import zlib
from pathlib import Path

import torch
from models import tiny_folder

from zigdemo.pipeline import Pipeline, Request
from zigdemo.zoo import ModelFolder

TEXT_WIDTH, TOKENS = 12, 9


def wordy_folder(path: Path, family: str = "zigma", **changes: object) -> ModelFolder:
    """A tiny model folder with text in place of labels."""
    return tiny_folder(path, family, labels=0, text_width=TEXT_WIDTH, **changes)


class WordyPipeline(Pipeline):
    """Reads a prompt as a start token, a token for every four letters of a word, an end token, and padding."""

    def words(self, prompt: str) -> list[tuple[str, list[int]]]:
        found, at = [("<start>", [0])], 1
        for word in prompt.split():
            count = -(-len(word) // 4)
            found.append((word, list(range(at, at + count))))
            at += count
        return [*found, ("<end>", [at])]

    def _condition(self, request: Request) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.network.config.text_width:
            return super()._condition(request)

        def features(text: str) -> torch.Tensor:
            return torch.randn(
                1, TOKENS, TEXT_WIDTH, generator=torch.Generator().manual_seed(zlib.crc32(text.encode()))
            )

        return features(request.prompt), features("")
