"""Aligned sampling: exact laws of small languages, distances to them, costs beside others."""
