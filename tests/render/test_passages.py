"""What a loop's body made of a record stands again, and nobody can tell but by the time it takes."""

import collections
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctemplate.model import Answer, Basis, Failed, KeyValue, Kind, Node, Query, Rendering, ServiceName, Snapshot
from ctemplate.render import Renderer
from ctemplate.render.guard import NOTHING, Baseline
from ctemplate.settings import Guard, Template

from .conftest import make_instance, service

SERVICES = Query(kind=Kind.SERVICES)
NODES = Query(kind=Kind.NODES)
TREE = Query(kind=Kind.KEYS, name="t")


class Counted(collections.UserDict):
    """An environment that counts how often it is read: once each time that a body runs."""

    reads = 0

    def get(self, key, default=None):
        self.reads += 1
        return super().get(key, default)


class Run:
    """One template, rendered again and again by one renderer."""

    def __init__(self, text, *, variables=None, **options):
        self.environ = Counted(X="x")
        self.template = Template(
            contents=text, destination=Path("/etc/out.conf"), format="nginx", vars=variables or {}, **options
        )
        self.renderer = Renderer([self.template], environ=self.environ)

    def __call__(self, answers, *, baseline=NOTHING):
        return self.renderer.resolve(self.template, Snapshot(answers=answers), baseline=baseline)

    def bodies(self, answers):
        """How often a body ran in one rendering."""
        before = self.environ.reads
        assert isinstance(self(answers), Rendering)
        return self.environ.reads - before


def some(*names):
    answers = {SERVICES: Answer(tuple(ServiceName(name) for name in names))}
    for number, name in enumerate(names):
        answers[service(name)] = Answer((make_instance(number + 1, name=name),))
    return answers


LOOP = "{% for s in services() %}a {{ env('X') }}; {% for i in service(s.name) %}server {{ i.endpoint }};{% endfor %}{% endfor %}"


def test_the_first_rendering_runs_every_body():
    assert Run(LOOP).bodies(some("a", "b", "c")) == 3


def test_nothing_is_run_again_where_nothing_changed():
    run = Run(LOOP)
    run(some("a"))
    answers = some("a", "b", "c")
    run(answers)
    assert run.bodies(answers) == 0


def test_only_the_changed_service_is_run_again():
    run, answers = Run(LOOP), some("a", "b", "c")
    run(answers)
    answers[service("b")] = Answer((make_instance(9, name="b"),))
    assert run.bodies(answers) == 1
    assert b"10.0.0.9:8009" in run(answers).content


def test_a_listing_that_was_read_anew_runs_only_what_is_new_in_it():
    run, answers = Run(LOOP), some("a", "b")
    run(answers)
    more = some("a", "b", "c")
    assert run.bodies(more | answers | {SERVICES: more[SERVICES]}) == 1


def test_what_was_not_used_is_forgotten():
    run, answers = Run(LOOP), some("a", "b")
    run(answers)
    run(answers | {SERVICES: Answer((ServiceName("a"),))})
    assert run.bodies(answers) == 1


NOT_AGAIN = {
    "a name that was set around it": "{% set y = 1 %}{% for s in services() %}x {{ env('X') }} {{ y }};{% endfor %}",
    "a name that is set after it": "{% for s in services() %}x {{ env('X') }} {{ y is defined and 1 or 2 }};{% endfor %}"
    "{% set y = 1 %}",
    "a namespace around it": "{% set n = namespace(i=0) %}{% for s in services() %}{% set n.i = n.i + 1 %}"
    "x {{ env('X') }} {{ n.i }};{% endfor %}",
    "where the loop stands": "{% for s in services() %}x {{ env('X') }} {{ loop.index }};{% endfor %}",
    "a loop around it": "{% for n in nodes() %}{% for s in services() %}x {{ env('X') }} {{ n.name }};{% endfor %}{% endfor %}",
    "a function that was replaced": "{% set service = key %}{% for s in services() %}x {{ env('X') }} "
    "{{ service('k') }};{% endfor %}",
    "a macro with a name around it": "{% set y = 1 %}{% macro m(s) %}x {{ env('X') }} {{ y }};{% endmacro %}"
    "{% for s in services() %}{{ m(s) }}{% endfor %}",
    "a macro that is defined twice": "{% macro m(s) %}x {{ env('X') }};{% endmacro %}{% if key('k') %}"
    "{% macro m(s) %}y {{ env('X') }};{% endmacro %}{% endif %}{% for s in services() %}{{ m(s) }}{% endfor %}",
    "a loop's name that is a macro's, too": "{% macro m(x) %}x;{% endmacro %}{% for m in ['1'] %}{% for s in services() %}"
    "x {{ env('X') }} {{ m }};{% endfor %}{% endfor %}",
    "a macro that was made around it": "{% for n in nodes() %}{% macro service(x) %}{{ n.name }}{% endmacro %}"
    "{% for s in services() %}x {{ env('X') }} {{ service(s.name) }};{% endfor %}{% endfor %}",
    "a global that it hides in one branch": "{% for s in services() %}x {{ env('X') }};{% if s.name == 'z' %}"
    "{% set names = ['m'] %}{% endif %}x {{ names[0] }};{% endfor %}",
    "a list that others may change": "{% for s in services() %}x {{ env('X') }} {{ names[0] }};{% endfor %}",
    "the end of its loop": "{% for s in services() %}x {{ env('X') }};{% if s.name == 'b' %}{% break %}{% endif %}{% endfor %}",
    "the listing, which is guarded": "{% for s in services() %}x {{ env('X') }} {{ services()|length }};{% endfor %}",
    "an undefined name": "{% for s in services() %}x {{ env('X') }}{{ 1 if y is defined }};{% endfor %}",
}


@pytest.mark.parametrize("text", NOT_AGAIN.values(), ids=NOT_AGAIN)
def test_a_body_that_reads_more_than_its_record_is_run_each_time(text):
    run = Run(text, variables={"names": ["n"]})
    answers = some("a", "b", "c") | {Query(kind=Kind.KEY, name="k"): Answer("v"), NODES: Answer((Node(name="n"),))}
    run(answers)
    assert run.bodies(answers) == (2 if "break" in text else 3)


AGAIN = {
    "names of its own": "{% for s in services() %}{% set y = s.name %}x {{ env('X') }} {{ y }};{% endfor %}",
    "a loop in it": "{% for s in services() %}x {{ env('X') }};{% for i in service(s.name) %}y {{ loop.index }};"
    "{% if loop.first %}{% continue %}{% endif %}{% endfor %}{% endfor %}",
    "a macro": "{% macro line(i, word='x') %}{{ word }} {{ env('X') }} {{ i.port }};{% endmacro %}{% for s in services() %}"
    "{% for i in service(s.name) %}{{ line(i) }}{% endfor %}{% endfor %}",
    "a condition": "{% if services() %}{% for s in services() if s.name != 'z' %}x {{ env('X') }};{% endfor %}{% endif %}",
    "a setting": "{% for s in services() %}x {{ env('X') }} {{ zone }};{% endfor %}",
    "the same names elsewhere": "{% for i in service('a') %}{% set y = 1 %}{% endfor %}{% for s in services() %}"
    "{% set y = 2 %}x {{ env('X') }} {{ y }};{% for i in service(s.name) %}y {{ i.port }};{% endfor %}{% endfor %}",
    "other records": "{% for s in services()|map(attribute='name') %}x {{ env('X') }} {{ s }};{% endfor %}",
}


@pytest.mark.parametrize("text", AGAIN.values(), ids=AGAIN)
def test_a_body_that_reads_only_its_record_is_not_run_again(text):
    run, answers = Run(text, variables={"zone": "eu"}), some("a", "b")
    assert run.bodies(answers) == 2
    assert run.bodies(answers) == 0


def test_a_template_that_includes_itself_or_others_gives_them_their_own_names(render):
    part = "{% for s in services() %}x {{ service(s.name) }};{% endfor %}"
    text = "{% set service = key_exists %}{% include 'part.j2' %}"
    answers = {SERVICES: (ServiceName("a"),), Query(kind=Kind.KEY, name="a"): "v"}
    assert "True" in render.reason(text, answers, includes={"part.j2": part})


def test_a_name_that_hides_a_macro_is_no_macro(render):
    text = "{% macro m(x) %}x;{% endmacro %}{% for m in ['1', '2'] %}{% for s in services() %}x {{ m }};{% endfor %}{% endfor %}"
    assert render.text(text, {SERVICES: (ServiceName("a"),)}) == "x 1;x 2;"


def test_an_edited_text_forgets_what_the_old_one_made():
    source = Query(catalog="disk", kind=Kind.TEXT, name="/t/main.j2")
    template = Template(source=Path("/t/main.j2"), destination=Path("/etc/out.conf"), format="nginx")
    renderer = Renderer([template], environ={})
    answers = some("a")
    for word in (b"x", b"y"):
        text = "{% for s in services() %}" + word.decode() + " {{ s.name }};{% endfor %}"
        found = renderer.resolve(template, Snapshot(answers=answers | {source: Answer(text)}))
        assert found.content == word + b" a;"


def test_what_the_guard_held_is_not_kept():
    """A held answer is the guard's, not the record's: once it is released, the body runs on what there is."""
    run, answers = Run(LOOP), some("a")
    answers[service("a")] = Answer(tuple(make_instance(n) for n in range(1, 6)))
    basis = run(answers).basis
    answers = {**answers, service("a"): Answer((make_instance(1),))}
    held = run(answers, baseline=Baseline(basis, limits=lambda _: Guard()))
    assert held.shrinks
    assert held.content.count(b"server") == 5
    assert run(answers).content.count(b"server") == 1


def test_what_was_rendered_while_an_earlier_rendering_was_committed_is_held_against_that():
    run, answers = Run(LOOP), some("a")
    answers[service("a")] = Answer(tuple(make_instance(n) for n in range(1, 6)))
    committing = run(answers).basis
    answers = {**answers, service("a"): Answer((make_instance(1),))}
    assert run(answers).content.count(b"server") == 1
    held = run(answers, baseline=Baseline(committing, limits=lambda _: Guard()))
    assert held.content.count(b"server") == 5


def test_an_instance_that_is_left_out_in_one_loop_is_left_out_in_all():
    loop = "{% for s in services() %}{% for i in service(s.name) %}x {{ i.FIELD }};{% endfor %}{% endfor %}"
    run, answers = Run(loop.replace("FIELD", "port") + loop.replace("FIELD", "id")), some("a")
    answers[service("a")] = Answer((make_instance(1), make_instance(2, id="a;b")))
    assert run(answers).content == b"x 8001;x web-1;"
    assert run(answers).content == b"x 8001;x web-1;"


V = Query(kind=Kind.KEY, name="v")
TURNED = {
    "a literal": ("{% for x in ['a;b' if key('k') == 'v' else key('v')] %}x {{ x }};{% endfor %}", "a;b"),
    "what the author vouched for": (
        "{% for x in [key('v')|safe if key('k') == 'v' else key('v')] %}x {{ x }};{% endfor %}", "a;b",
    ),
    "what was quoted": (
        "{% for x in ['\"a b\"' if key('k') == 'v' else key('v')] %}x {{ x }};{% endfor %}", '"a b"',
    ),
    "a name of the author's own": (
        "{% for x in ['a@dc2' if key('k') == 'v' else key('v')] %}{% for i in service(x) %}x {{ i.port }};{% endfor %}"
        "x;{% endfor %}", "a@dc2",
    ),
    "a float": ("{% for x in [1.0 if key('k') == 'v' else 1] %}x {{ x }};{% endfor %}", "a"),
    "a truth value": ("{% for x in [key_exists('k') if key('k') == 'w' else 1] %}x {{ x }};{% endfor %}", "a"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), TURNED.values(), ids=TURNED)
@pytest.mark.parametrize("order", [("v", "w"), ("w", "v")])
def test_an_equal_record_of_another_kind_is_rendered_by_its_own_rules(text, value, order):
    """Trusted text equals a datum of the same characters, and is checked by none of its rules."""
    k = Query(kind=Kind.KEY, name="k")
    names = {service("a@dc2"): Answer(()), service("a", dc="dc2"): Answer((make_instance(1),))}
    run, answers = Run(text), {V: Answer(value), **names}
    for said in order:
        now = answers | {k: Answer(said)}
        assert run(now) == Run(text)(now)


@pytest.mark.parametrize("records", ["(key('v')|from_json)|map(attribute='port')", "services()|map(attribute='foo')"])
def test_a_record_that_cannot_be_compared_is_rendered_again(records):
    text = "{% for p in " + records + " %}x {{ p if p is defined else 80 }};{% endfor %}"
    run, answers = Run(text), some("a") | {V: Answer('[{"port": 1}, {}]')}
    assert isinstance(run(answers), Rendering)
    assert run(answers) == Run(text)(answers)


@pytest.mark.parametrize("body", ["{{ loop.length }}", "{{ loop.index }}"])
def test_a_setting_that_is_called_as_jinja_s_own_names_is_no_constant(body):
    text = "{% for s in services() %}x " + body + ";{% endfor %}"
    run = Run(text, variables={"loop": "x"})
    for names in ("ab", "abc", "bc", "c"):
        assert run(some(*names)) == Run(text, variables={"loop": "x"})(some(*names))


def test_a_record_of_another_type_is_another_record():
    run, k = (
        Run("{% for x in [key_exists('k') if key('k') == 'v' else 1] %}x {{ x }};{% endfor %}"),
        Query(kind=Kind.KEY, name="k"),
    )
    assert run({k: Answer("w")}).content == b"x 1;"
    assert "True" in run({k: Answer("v")}).reason


def test_what_was_refused_is_not_kept():
    run, answers = (
        Run("{% for s in services() %}{% for i in service(s.name) %}x {{ i.id }};{% endfor %}{% endfor %}"),
        some("a"),
    )
    answers[service("a")] = Answer((make_instance(1), make_instance(2, id="a;b")))
    first = run(answers)
    assert [left.id for left in first.left_out] == ["a;b"]
    assert run(answers) == first


@pytest.mark.parametrize("body", ["x {{ s.tags[0] }};", "{% for i in service(s.name) %}x {{ i.id }};{% endfor %}"])
def test_what_was_refused_is_not_kept_for_the_same_loop_in_the_same_rendering(body):
    run = Run("{% for n in [1, 2] %}{% for s in services() %}" + body + "{% endfor %}{% endfor %}")
    answers = {SERVICES: Answer((ServiceName("a", tags=("p",)), ServiceName("b", tags=("a;b",))))}
    answers |= {service("a"): Answer((make_instance(1),)), service("b"): Answer((make_instance(2, id="a;b"),))}
    for _ in range(2):
        found = run(answers)
        assert b"a;b" not in found.content
        assert len(found.left_out) == 1


def test_a_refused_value_that_nobody_can_be_left_out_for_is_refused_again():
    run = Run("{% for s in services() %}x a{{ key('k') }};{% endfor %}")
    answers = some("a", "b") | {Query(kind=Kind.KEY, name="k"): Answer("a;b")}
    assert isinstance(run(answers), Failed)
    assert isinstance(run(answers), Failed)


def test_the_others_are_not_run_again_where_an_instance_is_left_out():
    run, answers = (
        Run(
            "{% for s in services() %}x {{ env('X') }};{% for i in service(s.name) %}x {{ i.id }};{% endfor %}{% endfor %}"
        ),
        some("a", "b", "c"),
    )
    run(answers)
    answers[service("b")] = Answer((make_instance(1, id="a;b"), make_instance(2)))
    run(answers)
    passes = run.bodies(answers)
    answers = some(*"abcdefgh") | answers | {SERVICES: some(*"abcdefgh")[SERVICES]}
    run(answers)
    assert run.bodies(answers) == passes


BODIES = (
    "x {{ s.name }};",
    "x {{ service(s.name)|length }};",
    "{% for i in service(s.name) %}x {{ i.port }};{% endfor %}",
    "{% for i in service(s.name) %}server {{ i.endpoint }} {{ i.id }};{% endfor %}",
    "{% for i in service(s.name, status='any') %}{% if i.status == 'passing' %}server {{ i.id }};{% endif %}{% endfor %}",
    "{% for i in service(s.name) %}{{ m(i) }}{% else %}x none;{% endfor %}",
    "x {{ key('k', 'none') }} {{ key_exists('k') }} {{ tree('t')|length }};",
    "{% set y = s.tags|length %}x {{ y }};",
    "{% for o in services() %}{% for i in service(o.name) %}x {{ i.port }};{% endfor %}{% endfor %}",
    "{% for t in s.tags %}x {{ t }} {{ service(s.name, tag=t)|length }};{% endfor %}",
    "x {{ loop.index }};",
    "{% for p in tree('t') %}x {{ p.value }};{% endfor %}",
)
MACRO = "{% macro m(i) %}x {{ i.port }} {{ i.id }};{% endmacro %}"

NAMES = st.sampled_from(("a", "b", "c"))
IDS = st.sampled_from(("web-1", "web-2", "web-3", "web;4"))
INSTANCES = st.lists(
    st.builds(
        lambda id, port, status, tags: make_instance(1, id=id, port=port, status=status, tags=tags),
        IDS,
        st.sampled_from((80, 81)),
        st.sampled_from(("passing", "critical")),
        st.sampled_from(((), ("u",), ("u", "v"))),
    ),
    max_size=4,
    unique_by=lambda instance: instance.id,
).map(tuple)
CHANGES = st.one_of(
    st.tuples(NAMES.map(service), INSTANCES),
    st.tuples(
        st.just(SERVICES),
        st.dictionaries(NAMES, st.sampled_from(((), ("u",)))).map(
            lambda found: tuple(ServiceName(name, tags) for name, tags in sorted(found.items()))
        ),
    ),
    st.tuples(st.just(Query(kind=Kind.KEY, name="k")), st.sampled_from((None, "v", "w;x"))),
    st.tuples(st.just(TREE), st.sampled_from(((), (KeyValue("p", "v"),), (KeyValue("p", "w"), KeyValue("q", "v"))))),
)
GONE = st.tuples(NAMES.map(service), st.just(Ellipsis))


@pytest.mark.timeout(300)  # 20 s on an idle machine
@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(BODIES), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.lists(st.one_of(CHANGES, CHANGES, GONE), max_size=4), st.integers(0, 3)), min_size=1, max_size=8
    ),
)
def test_whoever_renders_for_the_first_time_gets_the_same(bodies, steps):
    """Any changes, answers that are not there, values that are refused, instances that are held, commits that lag."""
    text = MACRO + "".join("{% for s in services() %}" + body + "{% endfor %}" for body in bodies)
    run, basis, rendered = Run(text), Basis(), []
    answers = some("a", "b", "c") | {Query(kind=Kind.KEY, name="k"): Answer(None), TREE: Answer(())}
    for changes, committed in steps:
        for query, value in changes:
            if value is Ellipsis:
                answers.pop(query, None)
            else:
                answers[query] = Answer(value)
        baseline = Baseline(basis, limits=lambda _: Guard(max_removed=0.4))
        found = run(dict(answers), baseline=baseline)
        assert found == Run(text)(dict(answers), baseline=baseline)
        rendered += [found.basis] if isinstance(found, Rendering) else []
        if 0 < committed <= len(rendered):
            basis = rendered[-committed]
