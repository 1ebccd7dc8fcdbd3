"""Eureka, Netflix's registry as Spring Cloud ships it: its JSON, its lease, and the peers that may disagree."""
