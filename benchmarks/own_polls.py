"""A thousand services, the limit of the agent raised and a poll a service, as consul-template does it."""

from __future__ import annotations

from every_service import many, sentence_of
from ground import Ground, report

with Ground() as ground:
    agent = ground.consul(connections=4000)
    catalog = agent.fill(1000, nodes=500)
    figures = many(ground, agent, catalog, "-max-connections", 1100, changes=40)
    report("own_polls", figures, sentence_of("1,000 services × 5, a poll each", figures))
