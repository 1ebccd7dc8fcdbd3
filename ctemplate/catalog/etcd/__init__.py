"""etcd as a catalog: its keys, and the services that others wrote there."""
