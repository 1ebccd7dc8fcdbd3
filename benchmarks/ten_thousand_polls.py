"""Ten thousand services, the limit of the agent raised and a poll a service, as consul-template does it."""

from __future__ import annotations

from every_service import many, sentence_of
from ground import Ground, report

with Ground() as ground:
    agent = ground.consul(connections=11000)
    catalog = agent.fill(10000)
    figures = many(ground, agent, catalog, "-max-connections", 10500, changes=20)
    report("ten_thousand_polls", figures, sentence_of("10,000 services × 5, a poll each", figures))
