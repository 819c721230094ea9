"""Runs: their record, and an estimate of their time."""
