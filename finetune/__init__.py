"""Makes weights for the product: LoRA adapters from data references, one run folder a run."""
