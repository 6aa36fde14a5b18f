"""What a customer may like next, and why: popularity, neighbours, EASE, texts, and their blend."""
