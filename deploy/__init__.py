"""Frontdesk ships: promote a gated run, roll back, stage a Space folder and check that it boots."""
