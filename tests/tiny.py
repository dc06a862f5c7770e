"A bundle of the smallest model that has everything, for tests that need any model at all."

import torch

from mapperatorinator.config import LanguageConfig
from mapperatorinator.model.hub import Bundle, new_bundle
from mapperatorinator.model.mapper import tiny_model


def tiny_bundle(language: LanguageConfig, seed: int = 0, **sizes) -> Bundle:
    "A fresh model for a language."
    torch.manual_seed(seed)
    return new_bundle(tiny_model(**sizes), language)
