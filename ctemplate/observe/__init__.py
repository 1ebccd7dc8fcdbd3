"""Telling people and the service manager what happened: log lines, status, systemd."""
