"""Entry point of the Space: the product, on the address and port that Spaces expects.

The name is not app.py, which would stand beside the package `app` and hide it.
"""

import os

# Read when the libraries below are imported.
os.environ.setdefault("FRONTDESK_HOST", "0.0.0.0")
os.environ.setdefault("FRONTDESK_PORT", os.environ.get("GRADIO_SERVER_PORT", "7860"))
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from app.__main__ import main

if __name__ == "__main__":
    main()
