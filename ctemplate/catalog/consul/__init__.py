"""Consul as a catalog: its HTTP API, its blocking queries and its records. It renders nothing and retries nothing."""
