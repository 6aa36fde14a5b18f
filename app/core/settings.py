"""Settings of the running product: defaults < settings file (YAML) < FRONTDESK_* < flags."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import Field, SecretStr

from app.core.config import Strict, parse, read_yaml
from app.core.files import atomic_path, var_dir

ENVIRONMENT = {
    "FRONTDESK_HOST": "host",
    "FRONTDESK_PORT": "port",
    "FRONTDESK_MODEL": "model",
    "FRONTDESK_SECRET": "secret",
    "DATABASE_URL": "database_url",
}


class Settings(Strict):
    """What a deployment may set. `python -m app --settings FILE` reads it from YAML."""

    host: str = "127.0.0.1"
    """Address to bind; 0.0.0.0 in a container."""
    port: int = Field(7860, ge=0, le=65535)
    model: str | None = None
    """Model reference for the chat; none takes the released system."""
    database_url: str | None = None
    """SQLAlchemy URL; none is SQLite in FRONTDESK_VAR."""
    secret: SecretStr | None = None
    """Signs the cookies; none makes one and keeps it in FRONTDESK_VAR."""
    allowed_origins: list[str] = Field(default_factory=list)
    """Other origins whose pages may call /v1 from a browser."""
    secure_cookies: bool = False
    """Send the cookie over https only; set it wherever the page has https."""
    messages_per_minute: int = Field(20, ge=1)
    """For each visitor; then 429 with Retry-After."""
    max_message_chars: int = Field(2000, ge=1)
    max_text_chars: int = Field(5000, ge=1)
    """For one text of the sentiment classifier."""
    max_body_bytes: int = Field(256_000, ge=1000)
    """For one HTTP request."""
    max_new_tokens: int = Field(160, ge=1, le=4096)
    deadline_s: float = Field(30.0, gt=0)
    """Wall clock for one answer; what was said until then is kept."""
    runs_dir: str = "runs"
    """Folder of runs whose reports admins see, from the root of the checkout where relative."""
    keep_demo_articles: bool = False
    """Answer from the demo shop's articles too when others were ingested."""
    catalogue: str = "demo:orders"
    """Reference of the goods that are recommended, such as file:FOLDER."""
    commerce: str | None = None
    """`module:name` of your shop's system (app.core.commerce); none is the database's orders."""
    threads: int | None = Field(None, ge=1)
    """Processor threads of the model; none leaves it to torch."""

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in effect."""
        return self.database_url or f"sqlite:///{var_dir() / 'frontdesk.db'}"


def load(path: Path | None = None, **flags: object) -> Settings:
    """Settings from file, environment and flags (None flags are ignored).

    Raises ConfigError naming key, expected and found.
    """
    tree = read_yaml(path) if path else {}
    tree |= {key: os.environ[name] for name, key in ENVIRONMENT.items() if os.environ.get(name)}
    tree |= {key: value for key, value in flags.items() if value is not None}
    return parse(Settings, tree, str(path or "settings"))


def signing_secret(settings: Settings) -> str:
    """The secret that signs visitor cookies; made once and kept (mode 600) where none is set."""
    if settings.secret:
        return settings.secret.get_secret_value()
    path = var_dir() / "secret"
    if not path.is_file():
        with atomic_path(path, mode=0o600) as temporary:
            temporary.write_text(secrets.token_urlsafe(32))
    return path.read_text().strip()
