"""What a Space leaves behind: the articles that were ingested, which only the database holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from app.core.files import ROOT


def left_behind(settings: Path | None = None) -> str | None:
    """The sentence on ingested articles that no Space holds, and what to do; None without any.

    settings: those of the server, which name its database. A database that cannot be read is told
    of and stops nothing: the Space rests on none.
    """
    # A process of its own, as the layers want it: `deploy` opens no store.
    command = [sys.executable, "-m", "app", "data", "articles", "--json"]
    command += ["--settings", str(settings.resolve())] if settings else []
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        return f"whether articles were ingested is not known: {run.stderr.strip()[-500:]}"
    count = sum(json.loads(run.stdout).values())
    if not count:
        return None
    which = "1 ingested article is" if count == 1 else f"{count} ingested articles are"
    return (
        f"{which} not in this Space, which answers from the demo shop's articles: set DATABASE_URL "
        "there, as a secret, to a PostgreSQL database that has yours, or bring them into that "
        "database from here (DATABASE_URL=... python -m app ingest FOLDER)"
    )
