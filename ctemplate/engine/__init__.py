"""The loop that ties every part together, and the only package that knows them all."""
