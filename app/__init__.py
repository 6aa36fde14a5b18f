"""Frontdesk, the product: a customer-service chat, sentiment and recommendations on gated models."""
