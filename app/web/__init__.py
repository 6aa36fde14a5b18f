"""The public HTTP contract under /v1 and what guards it. Same layer as app.server; no Gradio here.

Every guard is plain ASGI, so that it also covers the page, and streams pass through untouched.
"""
