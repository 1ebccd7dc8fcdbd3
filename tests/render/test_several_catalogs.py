"""One call that asks several catalogs: a query each, one list."""

import pytest

from ctemplate.model import CRITICAL, Kind, Missing, Query, ServiceName

CATALOGS = ("dc1", "legacy")
PORTS = "{%% for i in %s %%}{{ i.endpoint }} {%% endfor %%}"
BOTH = "service('web', catalog=['dc1', 'legacy'])"


@pytest.fixture
def endpoints(render):
    """`endpoints(call, dc1, legacy)`: what a template gets of two catalogs' instances."""

    def get(call, dc1, legacy):
        answers = {render.service(catalog="dc1"): tuple(dc1), render.service(catalog="legacy"): tuple(legacy)}
        return render.text(PORTS % call, answers, format="text", catalogs=CATALOGS).split()

    return get


@pytest.mark.parametrize(
    "call", ["service('web')", "service('web', catalog='default')", "service('web', catalog='dc1')"]
)
def test_the_first_catalog_is_the_default_and_one_query_by_each_of_its_names(render, call):
    assert render(PORTS % call, catalogs=CATALOGS).queries == {render.service(catalog="dc1")}


def test_several_catalogs_are_a_query_each_and_unknown_until_all_are_known(render):
    both = {render.service(catalog="dc1"), render.service(catalog="legacy")}
    assert render(PORTS % BOTH, catalogs=CATALOGS).queries == both
    result = render(PORTS % BOTH, {render.service(catalog="dc1"): (render.instance(),)}, catalogs=CATALOGS)
    assert isinstance(result, Missing)
    assert result.queries == {render.service(catalog="legacy")}
    assert result.reads == both


def test_their_instances_are_sorted_by_node_then_id(render, endpoints):
    dc1 = [render.instance(3), render.instance(4)]
    assert endpoints(BOTH, dc1, [render.instance(1), render.instance(5)]) == [
        "10.0.0.1:8001", "10.0.0.3:8003", "10.0.0.4:8004", "10.0.0.5:8005",
    ]  # fmt: skip


def test_an_instance_of_both_is_there_once_and_the_first_catalog_says_how_it_is(render, endpoints):
    ours, theirs = render.instance(1, id="a", status=CRITICAL), render.instance(1, id="b")
    assert endpoints(BOTH, [ours], [theirs]) == []
    assert endpoints("service('web', catalog=['legacy', 'dc1'])", [ours], [theirs]) == ["10.0.0.1:8001"]
    text = "{% for i in " + BOTH[:-1] + ", status='any') %}{{ i.id }}{% endfor %}"
    answers = {render.service(catalog="dc1"): (ours,), render.service(catalog="legacy"): (theirs,)}
    assert render.text(text, answers, format="text", catalogs=CATALOGS) == "a"


def test_an_address_is_the_same_however_it_is_written(render, endpoints):
    short, long = render.instance(1, address="::1"), render.instance(1, address="0:0:0:0:0:0:0:1")
    assert endpoints(BOTH, [short], [long]) == ["[::1]:8001"]
    upper, lower = render.instance(1, address="Web.example"), render.instance(1, address="web.example")
    assert endpoints(BOTH, [upper], [lower]) == ["Web.example:8001"]


def test_two_instances_at_one_place_in_one_catalog_are_one_of_several(render, endpoints):
    down, up = render.instance(1, id="a", status=CRITICAL), render.instance(1, id="b")
    assert endpoints(BOTH, [down, up, render.instance(1, id="c")], []) == ["10.0.0.1:8001"]


def test_merging_with_a_catalog_that_knows_none_changes_nothing(render, endpoints):
    assert endpoints(BOTH, [render.instance(2)], []) == endpoints(BOTH, [], [render.instance(2)]) == ["10.0.0.2:8002"]


def test_options_hold_for_each_of_them(render):
    call = "service('web', dc='d', near='n', tag='a', catalog=['dc1', 'legacy'])"
    answers = {
        render.service(catalog="dc1", dc="d", near="n"): (render.instance(9, tags=("a",)), render.instance(3)),
        render.service(catalog="legacy", dc="d", near="n"): (render.instance(1, tags=("a",)),),
    }
    assert render.text(PORTS % call, answers, format="text", catalogs=CATALOGS) == "10.0.0.9:8009 10.0.0.1:8001 "


def test_a_name_that_is_given_twice_is_asked_once(render, endpoints):
    assert endpoints("service('web', catalog=['legacy', 'default', 'legacy'])", [], [render.instance(1)]) == [
        "10.0.0.1:8001"
    ]


def test_listings_of_services_are_merged_with_their_tags(render):
    text = "x{% for s in services(catalog=['dc1', 'legacy']) %} {{ s.name }}={{ s.tags | join('+') }}{% endfor %};"
    here, there = Query(kind=Kind.SERVICES, catalog="dc1"), Query(kind=Kind.SERVICES, catalog="legacy")
    answers = {
        here: (ServiceName("api", ("x",)), ServiceName("web", ("http",))),
        there: (ServiceName("db", ("t",)), ServiceName("web", ("blue", "http"))),
    }
    assert render.text(text, answers, catalogs=CATALOGS) == "x api=x db=t web=blue+http;"
    assert render(text, {here: ()}, catalogs=CATALOGS).queries == {there}


def test_a_refused_value_leaves_its_instance_out_of_the_merged_list(render):
    bad = render.instance(1, address="evil", node="x; y")
    answers = {
        render.service(catalog="dc1"): (bad,),
        render.service(catalog="legacy"): (render.instance(2),),
    }
    text = "upstream web {{% for i in {} %}}server {{{{ i.endpoint }}}} {{{{ i.node }}}};{{% endfor %}}}}"
    assert render.text(text.format(BOTH), answers, catalogs=CATALOGS).count("server") == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "service('web', catalog='legasy')",
            "no catalog has this name; did you mean 'legacy'?; configured: dc1, legacy",
        ),
        ("service('web', catalog=['dc1', 'x'])", "no catalog has this name; configured: dc1, legacy"),
        ("service('web', catalog=[])", "the list of catalogs is empty"),
        ("services(catalog='legasy')", "did you mean 'legacy'"),
        ("key('a', catalog='legasy')", "did you mean 'legacy'"),
        ("key('a', catalog=['dc1'])", "asks one catalog"),
        ("nodes(catalog=7)", "asks one catalog"),
        ("service('web', catalog=7)", "wrong type"),
    ],
)
def test_a_catalog_that_is_none_is_an_error_at_once(render, call, message):
    assert message in render.reason(f"x {{{{ {call}|length }}}};", catalogs=CATALOGS)


def test_a_name_that_is_data_is_not_told(render):
    assert "s3cret" not in render.reason("x {{ service('web', catalog=name)|length }};", vars={"name": "s3cret"})


def test_an_instance_that_is_asked_for_alone_and_together_with_others_is_counted_once(render):
    answers = {render.service(catalog="dc1"): (render.instance(),), render.service(catalog="legacy"): ()}
    assert render(PORTS % "service('web')" + PORTS % BOTH, answers, format="text", catalogs=CATALOGS).instances == 1
