"""Every instance of the fake AWS as a real host: a systemd container behind its public address."""
