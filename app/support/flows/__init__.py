"""Flows: what the chat does for a customer step by step, by rules. The model never decides here."""
