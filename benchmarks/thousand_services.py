"""A thousand services of five instances on 500 nodes, an agent with default limits: five sentinels."""

from __future__ import annotations

from every_service import many, sentence_of
from ground import Ground, report

with Ground() as ground:
    agent = ground.consul()
    catalog = agent.fill(1000, nodes=500)
    figures = many(ground, agent, catalog, changes=40, starts=5)
    report("thousand_services", figures, sentence_of("1,000 services × 5", figures))
