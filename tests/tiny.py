"The smallest model that has everything, for tests that need any model at all."

import torch

from mapperatorinator.config import LanguageConfig, ModelConfig
from mapperatorinator.model.hub import Bundle, new_bundle


def tiny_model(**sizes) -> ModelConfig:
    "Its sizes, but for those given."
    return ModelConfig(
        **dict(d_model=32, n_heads=2, d_ff=64, encoder_layers=1, decoder_layers=1, local_attention=16) | sizes
    )


def tiny_bundle(language: LanguageConfig, seed: int = 0, **sizes) -> Bundle:
    "A fresh model for a language."
    torch.manual_seed(seed)
    return new_bundle(tiny_model(**sizes), language)
