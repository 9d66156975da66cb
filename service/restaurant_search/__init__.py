"""Restaurant search: one model, loaded once, behind a small HTTP API."""
