from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.changes import Command
from ctemplate.engine.grouping import group_templates
from ctemplate.errors import ConfigError
from ctemplate.settings import ReloadGroup, Settings, Template, Wait

NGINX, NGINX_TEST, HAPROXY = Command("nginx -s reload"), Command("nginx -t"), Command("systemctl reload haproxy")


def template(name: str, command: Command | None = None, **settings) -> Template:
    return Template(contents="", destination=Path("/etc") / name, command=command, **settings)


def names(settings: Settings) -> list[list[str]]:
    groups = group_templates(settings, infer_check=lambda _: None)
    return [[t.destination.name for t in group.templates] for group in groups]


def test_templates_of_one_command_form_a_group_in_the_order_of_the_configuration():
    settings = Settings(templates=(template("a", NGINX), template("b", HAPROXY), template("c", NGINX)))
    assert names(settings) == [["a", "c"], ["b"]]


def test_templates_without_any_tie_stand_alone():
    assert names(Settings(templates=(template("a"), template("b")))) == [["a"], ["b"]]


def test_the_same_check_that_was_set_for_them_ties_templates():
    one, two = (template(name, Command(name), check=NGINX_TEST) for name in "ab")
    assert names(Settings(templates=(one, two))) == [["a", "b"]]


def test_a_check_set_for_all_ties_nothing():
    settings = Settings(templates=(template("a", Command("x")), template("b", Command("y"))), check=NGINX_TEST)
    assert names(settings) == [["a"], ["b"]]


def test_a_reload_group_joins_what_has_nothing_else_in_common():
    templates = (template("a", NGINX), template("b", HAPROXY), template("c", NGINX, reload_group="lb"))
    joined = template("d", HAPROXY, reload_group="lb")
    assert names(Settings(templates=(*templates, joined), reload_groups={"lb": ReloadGroup()})) == [list("abcd")]


def test_two_reload_groups_that_share_a_command_are_an_error_that_names_both():
    settings = Settings(templates=(template("a", NGINX, reload_group="x"), template("b", NGINX, reload_group="y")))
    with pytest.raises(ConfigError, match="x and y"):
        names(settings)


def test_a_group_takes_its_largest_wait_and_none_in_once():
    templates = (template("a", NGINX, wait=Wait(1, 4)), template("b", NGINX, wait=Wait(2, 8)))
    (group,) = group_templates(Settings(templates=templates), infer_check=lambda _: None)
    assert group.wait == Wait(2, 8)
    (group,) = group_templates(Settings(templates=templates, once=True), infer_check=lambda _: None)
    assert group.wait is None


def test_what_has_no_command_has_no_cooldown():
    with_command, without = group_templates(
        Settings(templates=(template("a", NGINX), template("b"))), infer_check=lambda _: None
    )
    assert (with_command.cooldown, without.cooldown) == (2.0, 0.0)


def test_the_check_is_the_templates_own_else_the_global_one_else_inferred_and_can_be_turned_off():
    def checks(one: Template, **settings) -> tuple[Command, ...]:
        (group,) = group_templates(Settings(templates=(one,), **settings), infer_check=lambda _: NGINX_TEST)
        return group.checks

    own, everybodys = Command("own"), Command("everybody's")
    assert checks(template("a", NGINX, check=own), check=everybodys) == (own,)
    assert checks(template("a", NGINX), check=everybodys) == (everybodys,)
    assert checks(template("a", NGINX)) == (NGINX_TEST,)
    assert checks(template("a", NGINX, check=Command(""))) == ()
    assert checks(template("a")) == ()
