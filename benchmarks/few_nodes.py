"""A thousand services of five instances on 25 nodes: two polls a node tell each change at once."""

from __future__ import annotations

from every_service import many, sentence_of
from ground import Ground, report

with Ground() as ground:
    agent = ground.consul()
    catalog = agent.fill(1000, nodes=25)
    figures = many(ground, agent, catalog, changes=40)
    report("few_nodes", figures, sentence_of("1,000 services × 5 on 25 nodes", figures))
