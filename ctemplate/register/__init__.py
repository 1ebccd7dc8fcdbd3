"""Registrator's successor: keeps the registry of this machine equal to its Docker engine. It renders nothing.

It stands beside the engine of templates, over the same catalogs and the same hub.
"""
