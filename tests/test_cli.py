"""The command as a process, as a shell starts it. What a run does is tested elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ctemplate import __version__

DEADLINE_SECONDS = 30


@pytest.fixture
def ctemplate(tmp_path):
    """`ctemplate(*words, **environ)`: the process, ended, with its output as text."""

    def run(*words, **environ):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
        return subprocess.run(
            [sys.executable, "-m", "ctemplate", *words],
            cwd=tmp_path,
            env=inherited | environ,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )

    return run


@pytest.mark.parametrize("words", [["-version"], ["--version"], ["-v"], ["-once", "-version"], ["-version=true"]])
def test_the_version_is_printed(ctemplate, words):
    done = ctemplate(*words)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ctemplate {__version__}\n", "")


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_run_with_a_closed_output_ends_as_it_would_have(tmp_path, closed):
    (tmp_path / "s.yaml").write_text("services: {web: [{address: 10.0.0.1, port: 80}]}\n")
    (tmp_path / "t.j2").write_text("{{ service('web')|length }}\n")
    line = f"{sys.executable} -m ctemplate -catalog file:s.yaml -state-dir st -once -template t.j2:out.txt {closed}"
    done = subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, timeout=DEADLINE_SECONDS, check=False)
    assert done.returncode == 0
    assert (tmp_path / "out.txt").read_text() == "1\n"


def test_the_version_alone_loads_nothing_heavy(tmp_path):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ctemplate", "-version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ctemplate.cli" in loaded
    assert not loaded & {"click", "msgspec", "httpx", "jinja2", "asyncio", "ctemplate.settings"}


@pytest.mark.parametrize("word", ["-help", "--help", "-h"])
def test_help_lists_every_flag_with_one_dash(ctemplate, word):
    done = ctemplate(word)
    assert (done.returncode, done.stderr) == (0, "")
    shown = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  -")}
    assert {"-template", "-config", "-catalog", "-consul-token-file", "-once", "-wait", "-version", "-help"} <= shown
    assert "--" not in done.stdout
    assert "status" in done.stdout


def test_help_is_plain_ascii(ctemplate):
    assert ctemplate("-help").stdout.isascii()
    assert ctemplate().stderr.isascii()


def test_a_command_has_help_of_its_own(ctemplate):
    done = ctemplate("status", "-help")
    assert done.returncode == 0
    assert "-json" in done.stdout


@pytest.mark.parametrize("words", [[], ["-once"], ["-dry", "-log-level", "debug"]])
def test_without_template_and_configuration_usage_is_told_on_stderr(ctemplate, words):
    done = ctemplate(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ctemplate -template SRC:DEST[:COMMAND]")
    assert done.stderr.endswith("ctemplate: error: there is no template: give -template or -config\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["-tempalte", "a:b"], "unknown flag -tempalte: did you mean -template?"),
        (["--tempalte=a:b"], "unknown flag --tempalte: did you mean -template?"),
        (["statsu"], "unknown command statsu: did you mean status?"),
        (["a.j2:b"], "unknown command a.j2:b: did you mean -template a.j2:b?"),
        (["-once", "false"], "-once: takes no word after it: write -once=false"),
        (["-template"], "-template: a value is missing after it"),
        (["status", "-jsn"], "unknown flag -jsn: did you mean -json?"),
        (["status", "now"], "status takes no word now: ctemplate status -help lists its flags"),
        (["-config", "nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
        (["-template", "a"], '-template: expected SRC:DEST[:COMMAND], not "a:"'),
        (["-once", "-template=a:b", "-wait", "x"], None),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(ctemplate, words, error):
    done = ctemplate(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    if error is not None:
        assert done.stderr == f"ctemplate: error: {error}\n"


def test_several_problems_are_a_line_each(ctemplate):
    done = ctemplate("-template", "a", "-timeout", "x", "-log-level=loud")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["-timeout", "-log-level", "-template"]
    assert all(line.startswith("ctemplate: error: ") for line in lines)


def completed(ctemplate, line):
    words = line.split(" ")
    done = ctemplate(_CTEMPLATE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ctemplate -consul-cl", ["plain,-consul-client-cert", "plain,-consul-client-key"]),
        ("ctemplate --consul-cl", ["plain,--consul-client-cert", "plain,--consul-client-key"]),
        ("ctemplate -log-level w", ["plain,warning"]),
        ("ctemplate -log-format ", ["plain,text", "plain,json"]),
        ("ctemplate -once -template a:b -stat", ["plain,-state-dir"]),
        ("ctemplate -once ", ["plain,register", "plain,release", "plain,status"]),
        ("ctemplate -config /et", ["file,/et"]),
        ("ctemplate -state-dir /va", ["dir,/va"]),
        ("ctemplate -nonsense -o", ["plain,-once"]),
        ("ctemplate status -j", ["plain,-json"]),
    ],
)
def test_the_shell_is_told_what_can_follow(ctemplate, line, offered):
    assert completed(ctemplate, line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_script_names_the_command(ctemplate, shell):
    done = ctemplate(_CTEMPLATE_COMPLETE=f"{shell}_source")
    assert done.returncode == 0
    assert f"_CTEMPLATE_COMPLETE={shell}_complete" in done.stdout


def test_a_reader_that_has_gone_away_gets_no_traceback(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "ctemplate", "-help"],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""
