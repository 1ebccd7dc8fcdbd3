"""nginx: which instance a command means, what it says of itself, and what proves that it reloaded."""
