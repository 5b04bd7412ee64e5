"""Simulated scans: ``protocol`` and ``physiology`` plan what ``scan`` writes; ``scenes`` name some."""
