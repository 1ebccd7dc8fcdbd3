"""What is recognised as a reload or a check that we know, and what is left alone."""

from __future__ import annotations

import threading

import pytest

from ctemplate.changes import Command, Proof, Step
from ctemplate.commit.events import CommandFailed, CommandRan
from ctemplate.commit.reload.known import infer_check, is_known_local_check, reloader_for, unknown_command_warning
from ctemplate.errors import CommitError
from ctemplate.events import Event

Line = str | tuple[str, ...]

NGINX = ("nginx", "-t")
HAPROXY = ("haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg")

KNOWN: list[tuple[Line, Line]] = [
    ("nginx -s reload", NGINX),
    ("  nginx   -s  reload ", NGINX),
    ("nginx -sreload", NGINX),
    ("nginx -qs reload", NGINX),
    (("nginx", "-s", "reload"), NGINX),
    ("/usr/sbin/nginx -s reload", ("/usr/sbin/nginx", "-t")),
    ("nginx -c /x/n.conf -s reload", ("nginx", "-t", "-c", "/x/n.conf")),
    ("nginx -s reload -c/x/n.conf -p /p", ("nginx", "-t", "-c", "/x/n.conf", "-p", "/p")),
    ("nginx -g 'daemon on; master_process on;' -s reload", ("nginx", "-t", "-g", "daemon on; master_process on;")),
    ("nginx -e /x/e.log -s reload", ("nginx", "-t", "-e", "/x/e.log")),
    ("sudo nginx -s reload", ("sudo", *NGINX)),
    ("sudo -n /usr/sbin/nginx -s reload", ("sudo", "-n", "/usr/sbin/nginx", "-t")),
    ("sudo -u root -- nginx -s reload", ("sudo", "-u", "root", "--", *NGINX)),
    ("/usr/bin/sudo systemctl reload nginx", ("/usr/bin/sudo", *NGINX)),
    ("systemctl reload nginx", NGINX),
    ("/bin/systemctl reload nginx.service", NGINX),
    ("service nginx reload", NGINX),
    ("/etc/init.d/nginx reload", NGINX),
    ("kill -HUP $(cat /run/nginx.pid)", NGINX),
    ('kill -HUP "$(cat /run/nginx.pid)"', NGINX),
    ("kill -HUP `cat /var/run/nginx.pid`", NGINX),
    ("kill -1 $(< /run/nginx.pid)", NGINX),
    ("kill -s SIGHUP $( cat /usr/local/nginx/logs/nginx.pid )", NGINX),
    ("sudo kill -HUP $(cat /run/nginx.pid)", ("sudo", *NGINX)),
    ("systemctl reload haproxy", HAPROXY),
    ("sudo service haproxy reload", ("sudo", *HAPROXY)),
    ("kill -USR2 $(cat /run/haproxy.pid)", HAPROXY),
]

UNKNOWN: list[Line] = [
    "nginx -t && nginx -s reload",
    "nginx -s reload; true",
    "nginx -s reload | logger",
    "nginx -s reload &",
    "nginx -s reload\ntrue",
    "nginx -s reload # now",
    "nginx -s reload >/dev/null",
    "nginx -c $CONF -s reload",
    "nginx -c ~/n.conf -s reload",
    "nginx -s 'reload",
    "nginx -s reopen",
    "nginx -s stop",
    "nginx -t -s reload",
    "nginx -s reload extra",
    "nginx",
    "nginx -s",
    "nginx --reload",
    "systemctl restart nginx",
    "systemctl reload nginx haproxy",
    "systemctl reload apache2",
    "service nginx restart",
    "kill -HUP $(cat /run/other.pid)",
    "kill -HUP $(cat /run/nginx.pid); true",
    "kill -HUP $(cat /run/nginx.pid) $(cat /run/x.pid)",
    "kill -QUIT $(cat /run/nginx.pid)",
    "kill -USR2 $(cat /run/nginx.pid)",
    "kill -HUP 1234",
    "docker exec lb nginx -s reload",
    "ssh lb nginx -s reload",
    "sudo -i nginx -s reload",
    "sudo",
    "curl -d x http://chat/",
    ("sh", "-c", "nginx -s reload"),
    "",
]


@pytest.mark.parametrize(("line", "check"), KNOWN)
def test_the_check_of_a_known_reload_is_for_the_same_instance_by_the_same_means(line: Line, check: Line) -> None:
    command = Command(line=line, timeout=7.0)
    assert infer_check(command) == Command(line=check, timeout=7.0)
    assert reloader_for(command).check() == infer_check(command)
    assert unknown_command_warning(command) == ""


@pytest.mark.parametrize(("line", "check"), KNOWN)
def test_an_inferred_check_is_one_that_reads_the_files_of_this_machine(line: Line, check: Line) -> None:
    del line
    assert is_known_local_check(Command(line=check))


@pytest.mark.parametrize("line", UNKNOWN)
def test_nothing_is_inferred_from_what_is_not_exactly_a_known_reload(line: Line) -> None:
    command = Command(line=line)
    assert infer_check(command) is None
    assert reloader_for(command).check() is None
    assert "-check" in unknown_command_warning(command)


@pytest.mark.parametrize(
    "line", ["nginx -t", "/usr/sbin/nginx -tq -c /x", "sudo nginx -T", "haproxy -c -q -f /x", "haproxy -f a -f b -c"]
)
def test_a_local_checker_is_known_by_its_arguments(line: str) -> None:
    assert is_known_local_check(Command(line=line))


@pytest.mark.parametrize(
    "line",
    [
        "docker exec lb nginx -t",
        "ssh lb nginx -t",
        "nginx -t && true",
        "nginx -s reload",
        "haproxy -f /x",
        "haproxy -c",
        "haproxy -c -f /x -db",
        "true",
    ],
)
def test_anything_else_may_look_elsewhere(line: str) -> None:
    assert not is_known_local_check(Command(line=line))


def test_an_unknown_command_that_ends_well_proves_nothing() -> None:
    events: list[Event] = []
    reloader = reloader_for(Command(line="echo hello"), emit=events.append)
    reloader.verify_setup()
    assert reloader.reload(check_seconds=0.0, cancel=threading.Event()) is Proof.NONE
    assert [type(event) for event in events] == [CommandRan]
    assert "hello" in events[0].text()


def test_an_unknown_command_that_fails_says_so_with_its_words() -> None:
    events: list[Event] = []
    reloader = reloader_for(Command(line="echo no luck; exit 4"), emit=events.append)
    with pytest.raises(CommitError, match="exit 4: no luck") as error:
        reloader.reload(check_seconds=0.0, cancel=threading.Event())
    assert error.value.step is Step.RELOAD
    assert [type(event) for event in events] == [CommandFailed]


def test_a_program_that_is_missing_is_found_out_before_anything_is_touched() -> None:
    with pytest.raises(CommitError, match="no-such-program was not found") as error:
        reloader_for(Command(line=("no-such-program", "reload"))).verify_setup()
    assert error.value.step is Step.STAGE


def test_commands_that_reload_no_known_server_wait_for_nobody() -> None:
    assert reloader_for(Command(line="true")).turn == ""
