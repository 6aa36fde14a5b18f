"""The page: Gradio lives here (and in app.server, which mounts it); handlers stay thin."""
