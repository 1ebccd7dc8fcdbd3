from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctemplate.cli.arguments import spelled_out, unknown_command
from ctemplate.errors import ConfigError

FLAGS = {"template": True, "wait": True, "check": True, "consul-addr": True, "config": True, "catalog": True}
FLAGS |= {"once": False, "dry": False, "consul-ssl": False, "help": False}


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        ([], []),
        (["-once"], ["--once=true"]),
        (["--once"], ["--once=true"]),
        (["-once=false"], ["--once=false"]),
        (["--once=0"], ["--once=false"]),
        (["-once=T"], ["--once=true"]),
        (["-wait", "5s"], ["--wait=5s"]),
        (["--wait", "5s"], ["--wait=5s"]),
        (["-wait=5s"], ["--wait=5s"]),
        (["--wait=5s"], ["--wait=5s"]),
        (["-check", ""], ["--check="]),
        (["-check="], ["--check="]),
        (["-template", "a:b:x=y -z"], ["--template=a:b:x=y -z"]),
        (["-template=a:b:x=y"], ["--template=a:b:x=y"]),
        (["-check", "-once"], ["--check=-once"]),
        (["-once", "-dry", "-wait", "1s"], ["--once=true", "--dry=true", "--wait=1s"]),
        (["-once", "status", "-json"], ["--once=true", "status", "-json"]),
    ],
)
def test_flags_are_spelled_out(words, spelled):
    assert spelled_out(words, FLAGS) == spelled


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-tempalte", "x"], "unknown flag -tempalte: did you mean -template?"),
        (["--tempalte=x"], "unknown flag --tempalte: did you mean -template?"),
        (["-consul-adr=x"], "unknown flag -consul-adr: did you mean -consul-addr?"),
        (["-zzz"], "unknown flag -zzz: ctemplate -help lists them"),
        (["-o"], "unknown flag -o: ctemplate -help lists them"),
        (["---once"], "unknown flag ---once: did you mean -once?"),
        (["-wait"], "-wait: a value is missing after it"),
        (["-once=maybe"], '-once: expected true or false, not "maybe"'),
        (["-once", "false"], "-once: takes no word after it: write -once=false"),
    ],
)
def test_a_wrong_word_is_told_with_what_was_meant(words, message):
    with pytest.raises(ConfigError) as caught:
        spelled_out(words, FLAGS)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("flag", "advice"),
    [
        ("-consul-retry", "tried again for as long as it takes"),
        ("-consul-retry-attempts=5", "tried again for as long as it takes"),
        ("-consul-transport-dial-timeout", "-max-connections"),
        ("-consul-ssl-ca-cert=x", "use -consul-ca-file"),
        ("-consul-ssl-cert", "use -consul-client-cert"),
        ("-consul-ssl-key", "use -consul-client-key"),
        ("-consul-ssl-server-name", "use -consul-tls-server-name"),
        ("-vault-addr", "does not read Vault"),
        ("-nomad-addr", "does not read Nomad"),
        ("-exec", "a unit of its own"),
        ("-exec-splay=1s", "a unit of its own"),
        ("-dedup", "leave it out"),
        ("-kill-signal=SIGTERM", "SIGTERM and SIGINT end ctemplate"),
        ("-syslog", "the journal"),
        ("-log-file", "the journal"),
        ("-parse-only", "use -dry"),
        ("-onetime", "use -once"),
        ("-confdir", "use -config"),
    ],
)
def test_another_tools_flag_is_answered_with_what_to_do_instead(flag, advice):
    with pytest.raises(ConfigError) as caught:
        spelled_out([flag], FLAGS)
    assert str(caught.value).startswith(f"unknown flag {flag.partition('=')[0]}: ")
    assert advice in str(caught.value)


def test_a_command_line_that_is_still_being_typed_is_taken_as_it_is():
    assert spelled_out(["-tempalte", "-once=x", "-dry", "-wait"], FLAGS, lenient=True) == ["--dry=true"]


@given(
    st.lists(st.sampled_from(["-", "--", "-=", "-once", "-wait", "x", "", "-wait=", "--once=1", "status"]) | st.text())
)
def test_any_words_are_spelled_out_or_refused(words):
    try:
        spelled = spelled_out(words, FLAGS)
    except ConfigError:
        return
    assert len(spelled) <= len(words)


@given(st.text(), st.sampled_from(["-", "--"]))
def test_a_value_arrives_as_it_was_typed_in_either_form(value, dashes):
    assert spelled_out([f"{dashes}check", value], FLAGS) == [f"--check={value}"]
    assert spelled_out([f"{dashes}check={value}"], FLAGS) == [f"--check={value}"]


def test_an_unknown_command_is_told_with_what_was_meant():
    assert unknown_command("statsu", ["status"]) == "unknown command statsu: did you mean status?"
    assert unknown_command("a.j2:b", ["status"]) == "unknown command a.j2:b: did you mean -template a.j2:b?"
    assert unknown_command("xyz", ["status"]) == "unknown command xyz: there is status; flags begin with a dash"
