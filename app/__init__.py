"""Frontdesk, the product: a help-desk chat, sentiment and recommendations on gated models."""
