import signal
from pathlib import Path

import pytest

from ctemplate.errors import ConfigError, RenderError
from ctemplate.model import (
    Answer,
    Failed,
    KeyValue,
    Kind,
    Missing,
    Node,
    NodeServices,
    Query,
    Rendering,
    ServiceName,
    Snapshot,
)
from ctemplate.render import Renderer
from ctemplate.settings import Template

LOOP = "{% for i in service('web') %}server {{ i.endpoint }};\n{% endfor %}"


def key(path):
    return Query(kind=Kind.KEY, name=path)


def test_a_query_without_an_answer_is_missing_not_empty(render):
    assert render(LOOP) == Missing(
        template="/etc/out.conf",
        queries=frozenset({render.service()}),
        keys=frozenset(),
        reads=frozenset({render.service()}),
    )


def test_an_empty_answer_renders(render):
    assert render.text(LOOP, {render.service(): ()}) == ""


def test_all_that_one_pass_misses_is_reported_at_once(render):
    text = "x {{ key('a') }} {{ key('b')|quote }} {{ service('web')|length }} {{ services()|length }};"
    result = render(text)
    assert result.queries == {key("a"), key("b"), render.service(), Query(kind=Kind.SERVICES)}


def test_an_exception_of_a_pass_that_misses_data_is_thrown_away(render):
    result = render("x {{ key('a') }} {{ service('web')[0].address }};")
    assert isinstance(result, Missing)
    assert result.queries == {key("a"), render.service()}


def test_nested_queries_are_found_pass_by_pass(render):
    text = "{% for s in services() %}{% for i in service(s.name) %}server {{ i.endpoint }};{% endfor %}{% endfor %}"
    names = Query(kind=Kind.SERVICES)
    assert render(text).queries == {names}
    answers = {names: (ServiceName("web"), ServiceName("api"))}
    assert render(text, answers).queries == {render.service("web"), render.service("api")}
    answers |= {render.service("web"): (render.instance(),), render.service("api"): ()}
    assert render(text, answers).reads == frozenset(answers)


def test_a_key_that_does_not_exist_is_waited_for(render):
    result = render("x {{ key('a') }};", {key("a"): None})
    assert isinstance(result, Missing)
    assert (result.queries, result.keys) == (frozenset(), {key("a")})


def test_a_key_with_a_default_is_not_waited_for(render):
    assert render.text("x {{ key('a', default='b c') }};", {key("a"): None}) == "x b c;"


def test_a_default_does_not_stand_in_for_an_answer_that_is_not_known_yet(render):
    assert render("x {{ key('a', default='b') }};").queries == {key("a")}


def test_the_template_s_own_text_is_a_query(render):
    template = Template(source=Path("/t/main.j2"), destination=Path("/etc/nginx/x.conf"))
    renderer = Renderer([template], environ={})
    source = render.text_of("/t/main.j2")
    assert renderer.source_queries(template) == {source}
    assert renderer.resolve(template, Snapshot(answers={})).queries == {source}
    assert renderer.resolve(template, Snapshot(answers={source: Answer(None)})).keys == {source}


def test_a_text_that_changes_is_rendered_anew_by_the_same_renderer(render):
    template = Template(source=Path("/t/main.j2"), destination=Path("/etc/nginx/x.conf"), vars={"word": "w"})
    renderer = Renderer([template], environ={})
    for text, expected in [
        ("x {{ word }};", b"x w;"),
        ("{% set v %}y {{ word }};{% endset %}{{ v }}", b"y w;"),
        ("z;", b"z;"),
    ]:
        snapshot = Snapshot(answers={render.text_of("/t/main.j2"): Answer(text)})
        assert renderer.resolve(template, snapshot).content == expected


def test_an_include_is_a_query_and_waited_for(render):
    included = render.text_of("/t/part.j2")
    assert render("{% include 'part.j2' %}", includes={}).queries == {included}
    result = render("{% include 'part.j2' %}", {included: None}, includes={})
    assert isinstance(result, Missing)
    assert result.keys == {included}


def test_an_include_that_may_be_missing_is_left_out(render):
    included = render.text_of("/t/part.j2")
    assert render.text("x;{% include 'part.j2' ignore missing %}", {included: None}, includes={}) == "x;"


def test_the_first_include_of_a_list_that_exists_is_taken(render):
    answers = {render.text_of("/t/a.j2"): None}
    assert render.text("{% include ['a.j2', 'b.j2'] %}", answers, includes={"b.j2": "b;"}) == "b;"
    answers[render.text_of("/t/b.j2")] = None
    assert render("{% include ['a.j2', 'b.j2'] %}", answers, includes={}).keys == frozenset(answers)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", ""])
def test_an_include_stays_below_the_template_s_directory(render, name):
    assert "below the template's directory" in render.reason(f"{{% include '{name}' %}}", includes={})


def test_an_inline_template_includes_nothing(render):
    assert "use `source`" in render.reason("{% include 'a.j2' %}")


def test_an_imported_template_reads_the_snapshot_anew_each_time(render):
    template = Template(source=Path("/t/main.j2"), destination=Path("/x"), format="nginx")
    renderer = Renderer([template], environ={})
    texts = {
        render.text_of("/t/main.j2"): Answer("{% import 'lib.j2' as lib %}x {{ lib.count }};"),
        render.text_of("/t/lib.j2"): Answer("{% set count = service('web')|length %}"),
    }
    for count in (1, 2):
        answer = Answer(tuple(render.instance(n) for n in range(1, count + 1)))
        result = renderer.resolve(template, Snapshot(answers={**texts, render.service(): answer}))
        assert result.content == f"x {count};".encode()
        assert render.service() in result.reads


def test_the_same_snapshot_gives_the_same_bytes(render):
    answers = {render.service(): tuple(render.instance(n, meta={"b": "2", "a": "1"}) for n in (3, 1, 2))}
    text = "{% for i in service('web') %}server {{ i.endpoint }} {{ i.meta|dictsort }};{% endfor %}"
    assert render(text, answers, format="text") == render(text, answers, format="text")


@pytest.mark.parametrize("text", ["{{ [1, 2]|random }}", "{{ lipsum() }}"])
def test_nothing_random_can_be_asked_for(render, text):
    assert isinstance(render(text), Failed)


def test_instances_are_counted_once(render):
    instances = (render.instance(1), render.instance(2, status="critical"))
    text = "x {{ service('web')|length }} {{ service('web')|length }} {{ service('web', status='any')|length }};"
    result = render(text, {render.service(): instances})
    assert (result.content, result.instances) == (b"x 1 1 2;", 2)


def test_an_instance_with_a_refused_value_is_left_out_and_the_others_stay(render):
    bad = render.instance(2, meta={"path": "/a; include /etc/passwd"})
    answers = {render.service(): (render.instance(1, meta={"path": "/ok"}), bad)}
    result = render("{% for i in service('web') %}l {{ i.meta.path }};{% endfor %}", answers)
    assert result.content == b"l /ok;"
    (entry,) = result.left_out
    assert (entry.service, entry.node, entry.id) == ("web", "n2", "web-2")
    assert entry.reason == "meta: nginx refuses punctuation (character 3 of 23)"


def test_a_refused_value_that_is_not_printed_leaves_nobody_out(render):
    answers = {render.service(): (render.instance(1, meta={"path": "a; b"}),)}
    assert render(LOOP, answers).left_out == ()


def test_an_instance_is_left_out_for_a_value_that_is_part_of_what_is_printed(render):
    answers = {render.service(): (render.instance(1), render.instance(2, node="N; X"))}
    text = "{% for i in service('web') %}s {{ i.node|lower ~ '.local' }};{% endfor %}"
    result = render(text, answers)
    assert (result.content, len(result.left_out)) == (b"s n1.local;", 1)


def test_a_thousand_bad_registrations_cost_a_few_passes(render):
    instances = tuple(render.instance(n, id=f"i{n}", meta={"p": f"{n};x"}) for n in range(1, 1001))
    result = render("{% for i in service('web') %}s {{ i.meta.p }};{% endfor %}", {render.service(): instances})
    assert (result.content, len(result.left_out)) == (b"", 1000)


def test_a_service_with_a_refused_name_is_left_out_of_the_list(render):
    answers = {Query(kind=Kind.SERVICES): (ServiceName("web"), ServiceName("x;y"))}
    result = render("{% for s in services() %}u {{ s.name }};{% endfor %}", answers)
    assert (result.content, [e.service for e in result.left_out]) == (b"u web;", ["x;y"])


def test_an_instance_that_a_node_gave_is_left_out_too(render):
    services = (render.instance(1), render.instance(2, tags=("a;b",)))
    answers = {Query(kind=Kind.NODE, name="n"): NodeServices(Node(name="n"), services)}
    text = "{% for i in node('n').services %}s {{ i.id }}{% for t in i.tags %} {{ t }}{% endfor %};{% endfor %}"
    assert render.text(text, answers) == "s web-1;"


@pytest.mark.parametrize("after", ["{{ key('app/' ~ k) }}", "{{ {'a': 1}[k] }}", "{{ missing.name if k != 'a' }}"])
def test_what_follows_from_a_refused_value_keeps_nobody_waiting(render, after):
    answers = {render.service(): (render.instance(1, id="a"), render.instance(2, id="b\0"))}
    text = "{% for i in service('web') %}{% set k %}{{ i.id }}{% endset %}" + after + "{% endfor %}"
    result = render(text, answers | {key("app/a"): "1"}, format="text")
    assert [left.id for left in result.left_out] == ["b\0"]


def test_what_interrupts_a_rendering_does_so_after_a_refused_value_too(render):
    class Interrupted(BaseException):
        """As the time limit and SIGTERM raise it."""

    class Environ(dict):
        def get(self, name):
            if self.pop("once", None):
                raise Interrupted
            return self[name]

    text = "{% for i in service('web') %}x {{ i.id }};{% endfor %}x {{ env('A') }};"
    with pytest.raises(Interrupted):
        render(text, {render.service(): (render.instance(1, id="a;b"),)}, environ=Environ(A="x", once=True))


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in service('web') %}{% set k %}{{ i.id }}{% endset %}{% do seen.append(k) %}{% endfor %}{{ seen|join(' ') }}",
        "{% macro m(v) %}{{ v }}{% endmacro %}{% do seen.append(m) %}{% for i in service('web') %}{{ seen[0](i.id) }}{% endfor %}",
    ],
)
def test_what_outlives_a_rendering_is_checked_before(render, text):
    """A list of `vars` that a trusted template changes: what it does to itself harms nobody else."""
    answers = {render.service(): (render.instance(1, id="b\0"), render.instance(2, id="a"))}
    result = render(text, answers, format="text", sandbox=False, vars={"seen": []})
    assert b"\0" not in result.content
    assert [left.id for left in result.left_out] == ["b\0"]


def test_a_refused_value_that_no_instance_carries_fails_the_template(render):
    result = render("x {{ key('a') }};", {key("a"): "p; q"})
    assert isinstance(result, Failed)
    assert "p; q" not in result.reason
    assert result.reason.endswith(":1: nginx refuses punctuation (character 2 of 4): {{ key('a') }}")


def test_a_refused_key_beside_a_refused_instance_still_fails(render):
    answers = {render.service(): (render.instance(1, node="a;b"),), key("k"): "c;d"}
    text = "{% for i in service('web') %}x {{ i.node }};{% endfor %}\ny {{ key('k') }};"
    assert ":2: nginx refuses" in render.reason(text, answers)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x\n{{ sevice('web') }}", ":2: 'sevice' is undefined; did you mean 'service'?"),
        ("x\n{{ word.adress }}", ":2: str has no element 'adress'"),
        ("x {{ {}[secret] }};", "dict has no element of that name or index: {{ {}[secret] }}"),
        ("x {{ 1 / 0 }};", ":1: a division by zero"),
        ("x {{ secret|int / word }};", ":1: a value of the wrong type, or wrong arguments (TypeError)"),
        ("x {{ secret|from_json }};", "the text is no JSON at line 1, column 1"),
        ("x {{ secret.nope() }};", "has no element 'nope'"),
        ("x {{ env('NOPE') }};", "there is no environment variable 'NOPE'"),
        ("x {{ none }};", "nginx output would hold None"),
        ("x {{ true }};", "nginx output would hold True"),
        ("x {{ [] }};", "a value of type list"),
        ("x {{ '' if false else empty }};", "nginx refuses an empty value"),
        ("x {{ range(3)|join(secret) }};", "nginx refuses"),
        ("x {{ word }} {{ secret }};", ": {{ secret }}"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "calls itself without end"),
        ("{% if %}", "Expected an expression"),
        ("{% break %}", "'break' outside loop"),
        ("{{ word|nope }}", "No filter named 'nope'"),
    ],
)
def test_an_error_names_line_and_expression_and_never_a_value(render, text, message):
    reason = render.reason(text, vars={"word": "word", "secret": "s3cret value", "empty": ""})
    assert message in reason
    assert "s3cret" not in reason


def test_a_misspelt_field_gets_a_suggestion(render):
    reason = render.reason("x {{ service('web')[0].adress }};", {render.service(): (render.instance(),)})
    assert "Instance has no element 'adress'; did you mean 'address'?" in reason


def test_an_error_in_an_include_names_the_include(render):
    reason = render.reason("x;\n{% include 'part.j2' %}", includes={"part.j2": "\n\n{{ nope }}"})
    assert reason.startswith("/t/part.j2:3: 'nope' is undefined")


def test_a_syntax_error_is_raised_by_check_syntax():
    template = Template(source=Path("/t/main.j2"), destination=Path("/x"))
    renderer = Renderer([template], environ={})
    renderer.check_syntax(template, "x {{ 1 }}")
    with pytest.raises(RenderError, match=r"/t/main\.j2:2: "):
        renderer.check_syntax(template, "x\n{% endfor %}")


def test_an_unknown_format_is_a_configuration_error():
    with pytest.raises(ConfigError, match="did you mean 'nginx'"):
        Renderer([Template(contents="", destination=Path("/x"), format="ngnix")], environ={})


def test_a_variable_named_like_a_function_is_a_configuration_error():
    with pytest.raises(ConfigError, match="'service' is the name of a function"):
        Renderer([Template(contents="", destination=Path("/x"), vars={"service": 1})], environ={})


def test_blocks_are_trimmed_as_set(render):
    text = "  {% if true %}\nx;\n  {% endif %}\n"
    assert render.text(text) == "x;\n"
    assert render.text(text, trim_blocks=False, lstrip_blocks=False) == "  \nx;\n  \n"


def test_a_signal_s_exception_ends_a_template_that_runs_away(render):
    class Ended(BaseException):
        pass

    def end(*_):
        raise Ended

    before = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Ended):
            render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_sandbox_forbids_private_attributes(render):
    text = "x {{ service.__globals__ }};"
    assert isinstance(render(text, sandbox=True), Failed)
    assert isinstance(render("x {{ '{0.__class__}'.format(word) }};", vars={"word": "w"}, sandbox=True), Failed)


def test_two_templates_do_not_share_what_they_read(render):
    first = Template(contents="x {{ key('a') }};", destination=Path("/1"), format="nginx")
    second = Template(contents="x {{ key('b') }};", destination=Path("/2"), format="nginx")
    renderer = Renderer([first, second], environ={})
    snapshot = Snapshot(answers={key("a"): Answer("1"), key("b"): Answer("2")})
    results = [renderer.resolve(template, snapshot) for template in (first, second)]
    assert [result.reads for result in results] == [{key("a")}, {key("b")}]
    assert all(isinstance(result, Rendering) for result in results)


def test_key_values_are_data_like_any_other(render):
    query = Query(kind=Kind.KEYS, name="app")
    answers = {query: (KeyValue("a", "1"), KeyValue("b/c", "2;"))}
    assert render.text("{% for k in ls('app') %}x {{ k.path }} {{ k.value }};{% endfor %}", answers) == "x a 1;"
    assert isinstance(render("{% for k in tree('app') %}x {{ k.value }};{% endfor %}", answers), Failed)


PRINTS = "{% for i in service('web') %}server {{ i.endpoint }} {{ i.meta.zone }};\n{% endfor %}"


def left_out(result):
    assert hasattr(result, "left_out"), result
    return [entry.id for entry in result.left_out]


@pytest.mark.parametrize("printed", ["i.meta.zone", "i.meta.zone|lower", "i.meta.zone|trim", "i.meta.zone ~ ''"])
def test_an_empty_value_leaves_out_who_printed_it_and_not_all_who_have_an_empty_field(render, printed):
    instances = [render.instance(n, node="", meta={"zone": "z", "note": ""}) for n in (1, 2, 3)]
    instances[1] = render.instance(2, node="", meta={"zone": ""})
    result = render(PRINTS.replace("i.meta.zone", printed), {render.service(): tuple(instances)})
    if printed.endswith("''"):  # a new text: nobody can be told, and nobody is left out for it
        assert "nothing" in result.reason
    else:
        assert left_out(result) == ["web-2"]
        assert result.content == b"server 10.0.0.1:8001 z;\nserver 10.0.0.3:8003 z;\n"


@pytest.mark.parametrize("printed", ["i.meta.zone", "i.meta.zone|upper", "'x-' ~ i.meta.zone", "i.meta.zone|quote"])
def test_who_copies_what_others_carry_but_do_not_print_is_left_out_alone(render, printed):
    note = "the $main web server; of all"
    victims = [render.instance(n, meta={"zone": "z", "note": note}, tags=(note,)) for n in range(1, 50)]
    attacker = render.instance(50, meta={"zone": note, "note": note}, tags=(note,))
    result = render(PRINTS.replace("i.meta.zone", printed), {render.service(): (*victims, attacker)})
    assert left_out(result) == ["web-50"]
    assert result.instances == 49


def test_nobody_can_register_somebody_elses_mark(render):
    note = "a b"
    victims = [render.instance(n, meta={"zone": "z", "note": note}) for n in range(1, 5)]
    forged = "".join(f"\ue003{'0' * 16}.{n}\ue003\ue003{n}\ue003" for n in range(9))
    attacker = render.instance(9, meta={"zone": note + forged, "note": note})
    assert left_out(render(PRINTS, {render.service(): (*victims, attacker)})) == ["web-9"]


def test_a_refused_service_name_that_is_asked_for_again_leaves_out_that_service(render):
    bad = "a b"
    answers = {
        Query(kind=Kind.SERVICES): (ServiceName("web", ("x y",)), ServiceName(bad, ("x y",))),
        render.service(): (render.instance(1, tags=("x y",)),),
        render.service(bad): (render.instance(2, name=bad, tags=("x y",)),),
    }
    text = "{% for s in services() %}{% for i in service(s.name) %}x {{ i.port }} {{ s.name }};{% endfor %}{% endfor %}"
    result = render(text, answers)
    assert [entry.service for entry in result.left_out] == [bad]
    assert result.content == b"x 8001 web;"
