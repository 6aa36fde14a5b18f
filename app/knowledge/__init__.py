"""Help articles: cut into passages, indexed, searched, with a confidence; no Gradio."""
