"""What every package shares: records, prompts, settings, releases; no torch, no Gradio."""
