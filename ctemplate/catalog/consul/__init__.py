"""The Consul catalog: its HTTP API, its blocking queries, and how few connections can watch many services."""
