"""moto as AWS: what it lacks put right, what a region always has seeded, and the server."""
