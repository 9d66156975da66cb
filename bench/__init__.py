"""Measured comparisons of ways to change a release, on one lab host and in one run; `make bench`."""
