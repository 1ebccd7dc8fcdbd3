"""ZooKeeper as a catalog: its nodes, and the services that others wrote there."""
