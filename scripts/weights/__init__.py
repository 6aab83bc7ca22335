"""Fetching model weights into MODEL_DIR: `ensure` for models, `fixture` for the recordings that tests use."""

from scripts.weights.fixtures import default_model_dir, fixture
from scripts.weights.store import ensure

__all__ = ["default_model_dir", "ensure", "fixture"]
