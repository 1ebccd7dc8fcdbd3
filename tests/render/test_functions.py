from pathlib import Path

import pytest

from ctemplate.model import CRITICAL, WARNING, Instance, KeyValue, Kind, Missing, Node, NodeServices, Query, ServiceName


def ports(render, call, instances, **options):
    text = f"{{% for i in {call} %}}{{{{ i.port }}}} {{% endfor %}}"
    return render.text(text, {render.service(**options): tuple(instances)}, format="text").split()


@pytest.fixture
def instances(render):
    return [
        render.instance(1, tags=("a", "b")),
        render.instance(2, tags=("a",), status=WARNING),
        render.instance(3, status=CRITICAL),
        render.instance(4),
    ]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("service('web')", "8001 8004"),
        ("service('web', status='any')", "8001 8002 8003 8004"),
        ("service('web', status='passing,warning')", "8001 8002 8004"),
        ("service('web', status=['warning', 'critical'])", "8002 8003"),
        ("service('web', tag='a')", "8001"),
        ("service('web', tag='a', status='any')", "8001 8002"),
        ("service('web', tag=['a', 'b'], status='any')", "8001"),
        ("service('a.web')", "8001"),
        ("service('web|any')", "8001 8002 8003 8004"),
        ("service('web|passing,warning')", "8001 8002 8004"),
        ("service('web', 'any')", "8001 8002 8003 8004"),
        ("service('a.web|warning|critical')", "8002"),
    ],
)
def test_tag_and_status_pick_among_all_instances(render, instances, call, expected):
    assert ports(render, call, instances) == expected.split()


@pytest.mark.parametrize(
    "call",
    [
        "service('web@dc2~_agent')",
        "service('web@dc2|passing~_agent')",
        "service('web@dc2~_agent|passing')",
        "service('web', dc='dc2', near='_agent')",
    ],
)
def test_datacenter_and_nearness_are_part_of_the_query(render, instances, call):
    assert ports(render, call, instances, dc="dc2", near="_agent") == ["8001", "8004"]


def test_a_filter_and_a_catalog_are_part_of_the_query(render, instances):
    text = "{% for i in service('web', filter='Service.Port > 1', catalog='other') %}{{ i.port }} {% endfor %}"
    query = render.service(filter="Service.Port > 1", catalog="other")
    given = render.text(text, {query: tuple(instances)}, format="text", catalogs=("default", "other"))
    assert given.split() == ["8001", "8004"]


def test_the_order_of_the_answer_is_kept(render, instances):
    assert ports(render, "service('web')", reversed(instances)) == ["8004", "8001"]


def test_a_name_that_is_data_is_no_query_form(render):
    answers = {Query(kind=Kind.SERVICES): (ServiceName("x@evil|any"),)}
    result = render("{% for s in services() %}{{ service(s.name)|length }}{% endfor %}", answers)
    assert isinstance(result, Missing)
    assert result.queries == {render.service("x@evil|any")}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("service('web', status='passsing')", "did you mean 'passing'"),
        ("service('web?ns=a')", "not supported"),
        ("service('web@@')", "not of the form"),
        ("service('')", "the name is empty"),
        ("service(7)", "type int"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(render, call, message):
    assert message in render.reason(f"x {{{{ {call}|length }}}};")


def test_listings_are_given_as_they_are(render):
    answers = {
        Query(kind=Kind.SERVICES, dc="d"): (ServiceName("a", ("t",)),),
        Query(kind=Kind.NODES): (Node(name="n", address="10.0.0.1"),),
        Query(kind=Kind.DATACENTERS): ("d1", "d2"),
        Query(kind=Kind.NODE, name="n"): NodeServices(Node(name="n"), (render.instance(),)),
        Query(kind=Kind.NODE, name="none"): None,
    }
    text = (
        "x {{ services(dc='d')[0].tags[0] }} {{ nodes()[0].address }} {{ datacenters()|join(' ') }} "
        "{{ node('n').services[0].port }} {{ 'no' if node('none') is none }};"
    )
    assert render.text(text, answers) == "x t 10.0.0.1 d1 d2 8001 no;"


def test_ls_gives_direct_children_and_tree_all_without_folder_markers(render):
    pairs = (KeyValue("", ""), KeyValue("a", "1"), KeyValue("b/", ""), KeyValue("b/c", "2"))
    answers = {Query(kind=Kind.KEYS, name="app/x"): pairs}
    assert render.text("x {{ ls('/app/x/')|map(attribute='path')|join(' ') }};", answers) == "x a;"
    assert render.text("x {{ tree('app/x')|map(attribute='path')|join(' ') }};", answers) == "x a b/c;"


def test_key_exists_tells(render):
    answers = {Query(kind=Kind.KEY, name="a"): "1", Query(kind=Kind.KEY, name="b"): None}
    assert render.text("{{ 'a;' if key_exists('a') }}{{ 'b;' if key_exists('/b') }}", answers) == "a;"


def test_env_reads_the_environment_that_was_given(render):
    assert render.text("x {{ env('A') }} {{ env('B', 'c d') }};", environ={"A": "1"}) == "x 1 c d;"
    assert "did you mean 'HOME'" in render.reason("x {{ env('HOMME') }};", environ={"HOME": "/"})


def test_file_is_a_text_query_and_waited_for(render):
    path = render.text_of("/etc/motd")
    assert render.text("x {{ file('/etc/motd')|trim }};", {path: "hi\n"}) == "x hi;"
    assert render("{{ file('/etc/motd') }}").queries == {path}
    assert render("{{ file('/etc/motd') }}", {path: None}).keys == {path}


def test_a_relative_file_is_beside_the_template(render):
    assert render("{{ file('a/../b') }}", includes={}).queries == {render.text_of("/t/b")}
    assert "must be absolute" in render.reason("{{ file('b') }}")


@pytest.mark.parametrize("path", ["/etc/passwd", "/srv/../etc/passwd", "/srv-other/x", "/srv"])
def test_file_stays_in_the_directories_it_may_read(render, path):
    assert "outside" in render.reason(f"{{{{ file('{path}') }}}}", file_roots=(Path("/srv"),))
    assert isinstance(render("{{ file('/srv/x') }}", file_roots=(Path("/srv"),)), Missing)


def test_file_in_the_sandbox_reads_beside_the_template_and_below_the_roots_only(render):
    settings = {"includes": {}, "sandbox": True, "file_roots": (Path("/srv"),)}
    beside, below = render.text_of("/t/a", "/t", "/srv"), render.text_of("/srv/b", "/t", "/srv")
    answers = {beside: "a", below: "b"}
    assert render.text("{{ file('a') }}{{ file('/srv/b') }}", answers, format="text", **settings) == "ab"
    assert "outside" in render.reason("{{ file('/etc/passwd') }}", **settings)
    assert "outside" in render.reason("{{ file('../etc/passwd') }}", **settings)
    assert "outside" in render.reason("{{ file('/srv/b') }}", includes={}, sandbox=True)


def test_file_in_the_sandbox_of_an_inline_template_reads_below_the_roots_only(render):
    assert "outside" in render.reason("{{ file('/srv/x') }}", sandbox=True)
    assert isinstance(render("{{ file('/srv/x') }}", sandbox=True, file_roots=(Path("/srv"),)), Missing)


@pytest.mark.parametrize("path", ["name", "'/srv/' ~ name", "'/srv/%s/x' % name", "'/srv/../etc/' ~ word"])
def test_a_value_cannot_lead_file_up_the_tree(render, path):
    variables = {"name": "../etc/passwd", "word": "x"}
    assert "`..`" in render.reason(f"{{{{ file({path}) }}}}", vars=variables)


def test_the_author_may_lead_file_up_the_tree(render):
    assert isinstance(render("{{ file('/srv/../etc/motd') }}"), Missing)


@pytest.mark.parametrize("call", ["env('TOKEN')", "env('TOKEN', default='')", "env('OTHER', 'x')"])
def test_the_sandbox_sees_no_environment(render, call):
    reason = render.reason(f"{{{{ {call} }}}}", environ={"TOKEN": "s3cr3t"}, sandbox=True, format="text")
    assert "by `vars`" in reason
    assert "s3cr3t" not in reason


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize("field", [*Instance.__struct_encode_fields__, "host", "endpoint"])
def test_every_field_of_an_instance_is_what_the_model_says(render, field, sandbox):
    instance = render.instance(address="2001:db8::1", tags=("a",), meta={"k": "v"}, dc="dc1", node_address="10.0.0.9")
    text = f"{{% for i in service('web') %}}{{{{ [i.{field}] }}}}{{% endfor %}}"
    answers = {render.service(): (instance,)}
    assert render.text(text, answers, format="text", sandbox=sandbox) == str([getattr(instance, field)])


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
def test_what_only_instances_have_is_missed_elsewhere_by_its_name(render, sandbox):
    reason = render.reason(
        "{% for n in nodes() %}{{ n.port }}{% endfor %}",
        {Query(kind=Kind.NODES): (Node(name="n1"),)},
        format="text",
        sandbox=sandbox,
    )
    assert "Node has no element 'port'" in reason


@pytest.mark.parametrize("sandbox", [False, True], ids=["plain", "sandbox"])
@pytest.mark.parametrize(
    "call",
    [
        r"service('we\udcffb')",
        r"service('\udcff.web')",
        r"service('web', tag='\udcff')",
        r"service('web', dc='\udcff')",
        r"key('\udcff')",
        r"nodes(near='\udcff')",
        r"file('/t/\udcff')",
    ],
)
def test_what_no_log_can_say_is_asked_of_no_catalog(render, call, sandbox):
    reason = render.reason(f"{{{{ {call} }}}}", format="text", sandbox=sandbox, file_roots=(Path("/t"),))
    assert "lone surrogate" in reason
    reason.encode()
