"""What the product keeps: conversations, feedback, orders (SQLAlchemy; SQLite or PostgreSQL)."""
