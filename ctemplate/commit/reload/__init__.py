"""How a server is told to load its new files, and what proves that it did."""
