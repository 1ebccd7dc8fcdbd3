"""HAProxy in master-worker mode: its check, and its master's own word that a reload took."""
