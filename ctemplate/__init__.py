"""Renders templates from a service catalog and makes a load balancer agree with them, provably."""

__version__ = "0.1.0"
