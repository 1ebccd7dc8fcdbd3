import pytest

from ctemplate.render.gotemplate import recognise


@pytest.mark.parametrize(
    ("go", "jinja"),
    [
        ('{{ range service "web" }}', '{% for i in service("web") %}'),
        ("{{range services}}", "{% for i in services() %}"),
        ('{{- range $i, $s := service "web|any" -}}', '{% for s in service("web|any") %}'),
        ('{{ range ls "app/x" }}', '{% for i in ls("app/x") %}'),
        ('{{ key "x" }}', '{{ key("x") }}'),
        ('{{ keyOrDefault "x" "d" }}', '{{ key("x", default="d") }}'),
        ('{{ key "x" | parseJSON }}', '{{ key("x") | from_json }}'),
        ('{{ env "HOME" }}', '{{ env("HOME") }}'),
        ("{{ .Address }}", "{{ i.address }}"),
        ("{{ $s.Port }}", "{{ s.port }}"),
        ("{{ . }}", "{{ i }}"),
        ("{{ .Name | toUpper }}", "{{ i.name | upper }}"),
        ("{{ end }}", "{% endfor %}"),
        ("{{ else }}", "{% else %}"),
        ('{{ if keyExists "x" }}', '{% if key_exists("x") %}'),
        ('{{ if eq .Status "passing" }}', '{% if i.status == "passing" %}'),
        ('{{ with node "n" }}', '{% if node("n") %}'),
        ('{{getv "/x"}}', '{{ key("/x") }}'),
        ('{{range getvs "/x/*"}}', '{% for i in tree("/x/*") %}'),
        ("{{/* note */}}", "{# note #}"),
        ('{{ $x := key "a" }}', '{% set x = key("a") %}'),
        ('{{ template "other" }}', '{% include "other" %}'),
        ('{{ printf "%s-%d" .Node .Port }}', '{{ "%s-%d" | format(i.node, i.port) }}'),
    ],
)
def test_a_go_action_is_named_with_its_jinja_form(go, jinja):
    found = recognise(f"upstream {{\n{go}\n}}")
    assert (found.line, found.jinja) == (2, jinja)
    assert found.source in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "{{ service('web') }}",
        "{{ key }}",
        "{{ i.address }}:{{ i.port }}",
        "{{ 'a' if x else 'b' }}",
        "{{ not x }}",
        "{{ x is defined }}",
        "{{ env('A')|default('b') }}",
        "{{ range(3)|join }}",
        "{{ (a or b) }}",
        "{% for i in service('web') %}{% endfor %}",
        "plain",
    ],
)
def test_jinja_is_not_taken_for_go(text):
    assert recognise(text) is None


def test_a_go_template_is_named_in_the_error(render):
    reason = render.reason('upstream w {\n{{range service "web"}}\n  server {{.Address}}:{{.Port}};\n{{end}}\n}\n')
    assert ":2: this is a Go template" in reason
    assert '{% for i in service("web") %}' in reason
