from __future__ import annotations

from pathlib import Path

import pytest

from ctemplate.changes import Command, OnFailure
from ctemplate.config import Flags, load
from ctemplate.errors import ConfigError
from ctemplate.settings import Template, Wait


@pytest.fixture
def templates(tmp_path):
    """`templates(text, *flags)`: the templates of a file that says `text`, and of `-template` flags."""

    def read(text, *flags):
        (tmp_path / "c.toml").write_text(text)
        return load(Flags(config=("c.toml",), template=flags), environ={}, cwd=tmp_path).templates

    return read


@pytest.fixture
def refusal(templates):
    """`refusal(text, *flags)`: the lines of the error."""

    def read(text, *flags):
        with pytest.raises(ConfigError) as caught:
            templates(text, *flags)
        return str(caught.value).split("\n")

    return read


def test_every_key_of_a_template_is_read(templates, tmp_path):
    (template,) = templates(
        """
        [[template]]
        source = "a.j2"
        destination = "/etc/nginx/a.conf"
        command = ["nginx", "-s", "reload"]
        command_timeout = "1m"
        on_failure = "keep"
        check = "nginx -t"
        reload_group = "lb"
        mode = "0640"
        user = "www-data"
        group = 33
        backup = true
        create_dirs = true
        wait = "1s:2s"
        format = "nginx"
        sensitive = true
        sandbox = true
        trim_blocks = false
        lstrip_blocks = false
        [template.vars]
        colour = "red"
        list = [1, 2]
        """
    )
    assert template == Template(
        source=tmp_path / "a.j2",
        destination=Path("/etc/nginx/a.conf"),
        command=Command(("nginx", "-s", "reload"), timeout=60.0, on_failure=OnFailure.KEEP),
        check=Command("nginx -t", timeout=60.0),
        reload_group="lb",
        mode=0o640,
        user="www-data",
        group=33,
        backup=True,
        create_dirs=True,
        wait=Wait(1.0, 2.0),
        format="nginx",
        sensitive=True,
        sandbox=True,
        trim_blocks=False,
        lstrip_blocks=False,
        vars={"colour": "red", "list": [1, 2]},
    )


def test_contents_may_stand_in_the_file(templates):
    (template,) = templates('[[template]]\ncontents = "x"\ndestination = "b"')
    assert (template.source, template.contents) == (None, "x")


def test_an_empty_check_is_no_check_and_an_empty_command_no_command(templates):
    (template,) = templates('[[template]]\nsource = "a"\ndestination = "b"\ncheck = ""\ncommand = " "')
    assert template.check == Command("")
    assert template.command is None


@pytest.mark.parametrize(("written", "mode"), [("0640", 0o640), ("640", 0o640), ("0o600", 0o600), ("000", 0)])
def test_a_mode_is_octal_text(templates, written, mode):
    (template,) = templates(f'[[template]]\nsource = "a"\ndestination = "b"\nmode = "{written}"')
    assert template.mode == mode


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mode = 640", "mode: expected permission bits as octal text in quotes"),
        ("mode = 0o640", "mode: expected permission bits as octal text in quotes"),
        ('mode = "rw-r"', 'mode: expected three octal digits of permission bits such as "0640", not "rw-r"'),
        ('mode = "4755"', "mode: expected three octal digits"),
        ('mode = "0888"', "mode: expected three octal digits"),
        ("user = -1", "user: expected a name, or a number of 0 or more"),
        ("user = 4294967295", "user: expected a name, or a number"),
        ("user = true", "user: expected a name, or a number"),
        ('group = ""', "group: expected a name, or a number"),
        ('on_failure = "ignore"', "on_failure: expected one of rollback, keep"),
        ('format = "apache"', "format: expected one of nginx, haproxy"),
        ("vars = 1", "vars: expected a table of values, not an integer"),
        ("vars = {a-b = 1}", 'vars: expected names that a template can say (letters, digits, "_"), not "a-b"'),
        ("command = 5", "command: expected a string for the shell, or a list of strings, not an integer"),
        ('command_timeout = "0s"', "command_timeout: expected a duration above 0"),
        ("wait = '4s:1s'", "wait: expected MIN[:MAX]"),
        ('perms = "0640"', "perms: unknown key: use mode"),
        ('sorce = "x"', "sorce: unknown key: did you mean source?"),
        ('contents = "x"', "expected one of source and contents, not both"),
    ],
)
def test_a_wrong_key_of_a_template_is_named(refusal, line, message):
    lines = refusal(f'[[template]]\nsource = "a"\ndestination = "b"\n{line}\n')
    assert len(lines) == 1
    where = "c.toml:1: [[template]] 1: " if message.startswith("expected") else "c.toml:4: [[template]] 1: "
    assert lines[0].startswith(where + message)


def test_a_template_without_source_or_destination_is_named(refusal):
    assert refusal("once = true\n[[template]]\n") == [
        "c.toml:2: [[template]] 1: destination is missing",
        "c.toml:2: [[template]] 1: expected one of source and contents",
    ]


def test_two_templates_with_one_destination_are_an_error_that_names_both(refusal, tmp_path):
    assert refusal('[[template]]\nsource = "a"\ndestination = "x"', f"b:./y/../{'x'}") == [
        f"-template b:./y/../x: two templates write {tmp_path}/y/../x: also c.toml:1: [[template]] 1"
    ]


def test_two_flags_that_say_the_same_are_two_templates(refusal, tmp_path):
    assert refusal("", "a:b", "a:b") == [f"-template a:b: two templates write {tmp_path}/b: also -template a:b"]


def test_one_destination_by_way_of_a_symbolic_link_is_found(refusal, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file-link").symlink_to("real/x")
    assert "two templates write" in refusal("", "a:real/x", "b:link/x")[0]
    assert "two templates write" in refusal("", "a:real/x", "b:file-link")[0]


def test_a_destination_that_is_a_directory_is_an_error(refusal, tmp_path):
    assert refusal("", "a:.") == [f"-template a:.: expected a file, but {tmp_path} is a directory"]


@pytest.mark.parametrize("said", ["a\udcff:b", "a:b\udcff"])
def test_a_path_that_no_log_can_name_is_an_error(refusal, said):
    (problem,) = refusal("", said)
    assert "expected a path in UTF-8" in problem


def test_a_destination_that_is_written_as_a_directory_is_an_error(refusal):
    assert refusal("", "a:new/") == ["-template a:new/: expected a file, not a directory"]


def test_a_template_that_would_overwrite_itself_is_an_error(refusal):
    assert refusal("", "a:./a") == ["-template a:./a: the template would be overwritten by what it renders"]


def test_a_source_that_does_not_exist_is_not_the_configurations_business(templates):
    assert templates("", "nowhere/a:b")[0].source.name == "a"


def test_a_command_does_not_show_in_messages(refusal):
    assert "hunter2" not in "".join(refusal("", "a:b:curl -H hunter2", "a:b:hunter2"))
