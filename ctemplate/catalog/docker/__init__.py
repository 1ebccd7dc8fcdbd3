"""The Docker engine as a catalog: containers are instances, by rules that are values. It starts no container."""
