"""The commands themselves, and how their errors end the process.

What a flag's value means is not known here: `config` reads it, at start and again at SIGHUP.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from ctemplate.cli import VERSION_LINE
from ctemplate.cli.dialect import DialectCommand, DialectGroup, Flag
from ctemplate.config import Flags, keys, load, load_consul, parse_duration
from ctemplate.errors import ConfigError, CTemplateError
from ctemplate.settings import LOG_FORMATS, LOG_LEVELS

PROGRAM = "ctemplate"
FAILED, USAGE, INTERRUPTED = 1, 2, 130

USAGE_TEXT = """\
Usage: ctemplate -template SRC:DEST[:COMMAND] ...  follow the catalog, for ever
       ctemplate -once -template ...               commit once, then end
       ctemplate -dry -template ...                show what would change
       ctemplate -config FILE|DIR                  all settings from TOML files
       ctemplate status                            what a running ctemplate does, and why
       ctemplate register -to consul://...         containers of this machine become services
       ctemplate release SERVICE                   let through what is held of a service
`ctemplate -help` lists every flag.
"""

_CHOICES = {"log_level": LOG_LEVELS, "log_format": LOG_FORMATS}
_PATHS = {"FILE": click.Path(), "DIR": click.Path(file_okay=False, readable=False)}


def run(words: Sequence[str]) -> int:
    """Run the command that `words` say and return its exit code; errors are told on stderr, a line each."""
    try:
        return int(main_command().main(list(words), prog_name=PROGRAM, standalone_mode=False) or 0)
    except ConfigError as error:
        _tell(str(error).splitlines())
        return USAGE
    except click.ClickException as error:
        _tell([error.format_message()])
        return USAGE
    except CTemplateError as error:
        _tell(str(error).splitlines())
        return FAILED
    except click.Abort:  # SIGINT before the engine was there to take it
        return INTERRUPTED


def main_command() -> click.Command:
    """`ctemplate` with all its flags and commands."""
    status = DialectCommand(
        "status",
        params=[
            Flag("json", text="Print it as JSON"),
            Flag("state-dir", metavar="DIR", type=_PATHS["DIR"], text="The state directory of the one that runs"),
            _help_flag(),
        ],
        callback=_status,
        help="Show what a running ctemplate does, and why.",
        add_help_option=False,
        options_metavar="[FLAG]...",
    )
    release = DialectCommand(
        "release",
        params=[
            click.Argument(["service"], metavar="SERVICE"),
            Flag("state-dir", metavar="DIR", type=_PATHS["DIR"], text="The state directory of the one that runs"),
            _help_flag(),
        ],
        callback=_release,
        help="Let through what is held of a service, in every template (see `ctemplate status`).",
        add_help_option=False,
        options_metavar="[FLAG]...",
    )
    return DialectGroup(
        PROGRAM,
        params=[*_template_flags(), *map(_flag, keys.GLOBAL.values()), _version_flag(), _help_flag()],
        callback=_run_or_leave_it_to_a_command,
        commands=[status, release, _register_command()],
        invoke_without_command=True,
        help="Render templates from a service catalog, check them, reload what reads them, and prove it.",
        add_help_option=False,
        options_metavar="[FLAG]...",
        subcommand_metavar="[COMMAND]",
    )


def _run_or_leave_it_to_a_command(**given: Any) -> int | None:
    if click.get_current_context().invoked_subcommand is not None:
        return None
    flags = Flags(**{name: value for name, value in given.items() if value is not None})
    if not flags.template and not flags.config:
        click.echo(USAGE_TEXT, err=True, nl=False)
        _tell(["there is no template: give -template or -config"])
        return USAGE
    from ctemplate.engine.run import run as run_engine

    cwd = Path.cwd()
    return run_engine(lambda: load(flags, environ=os.environ, cwd=cwd))


def _release(*, service: str, state_dir: str | None) -> int:
    from ctemplate.observe.release import release

    return release(service, _state_dir(state_dir), environ=os.environ)


def _register_command() -> click.Command:
    texts = {name: ("", text) for name, text in _REGISTER_SWITCHES.items()} | dict(_REGISTER_VALUES)
    consul = [_flag(key) for key in keys.CONSUL.values() if key.name.startswith(keys.CONSUL_PREFIX)]
    log = [_flag(keys.GLOBAL[name]) for name in ("log_level", "log_format")]
    return DialectCommand(
        "register",
        params=[
            *(Flag(name, metavar=metavar, text=text) for name, (metavar, text) in texts.items()),
            *consul, *log, _help_flag(),
        ],
        callback=_register,
        help="Keep the local Consul agent, or keys of etcd, equal to the containers of a Docker engine.",
        add_help_option=False,
        options_metavar="[FLAG]...",
    )  # fmt: skip


_REGISTER_VALUES = (
    ("from", ("URL", "The engine; docker:// by default")),
    ("to", ("URL", "The registry: consul://host:port, by default the local agent, or etcd://host:port/PREFIX")),
    ("ip", ("ADDRESS", "The address of every published port; by default that of the agent's machine")),
    ("network", ("NAME", "With -internal: the network whose addresses are taken, where containers are on several")),
    ("use-ip-from-label", ("LABEL", "Take the address from this label of the container")),
    ("host", ("NAME", "This machine's name, in ids and in the mark of what is owned; by default its host name")),
    ("grace", ("DURATION", "Deregister nothing for so long after the engine was away; 60s by default")),
)
_REGISTER_SWITCHES = {
    "internal": "Register containers' own addresses and ports instead of published ones",
    "explicit": "Leave out containers that do not name their service",
    "adopt": "Take over what Registrator left on this machine, and remove what is stale of it",
    "dry": "Print what would be done and end: 0 nothing, 5 something",
}


def _register(**given: Any) -> int:
    from ctemplate.register.run import Order, run

    said = {name: value for name, value in given.items() if value is not None}
    flags = Flags(**{name: value for name, value in said.items() if name in keys.CONSUL})
    fields = {name: value for name, value in said.items() if name not in keys.CONSUL}
    for name, field in (("from", "source"), ("to", "target")):
        if name in fields:
            fields[field] = fields.pop(name)
    try:
        if "grace" in fields:
            fields["grace"] = parse_duration(fields["grace"])
    except ConfigError as error:
        raise ConfigError(f"-grace: {error}") from None
    for name, choices in _CHOICES.items():
        if fields.get(name, choices[0]) not in choices:
            raise ConfigError(f"-{name.replace('_', '-')}: expected one of {', '.join(choices)}")
    return run(Order(consul=load_consul(flags, environ=os.environ, cwd=Path.cwd()), **fields))


def _status(*, json: bool | None, state_dir: str | None) -> int:
    from ctemplate.observe.status import show

    return show(_state_dir(state_dir), as_json=bool(json), environ=os.environ)


def _state_dir(given: str | None) -> Path | None:
    """The directory that a command names, or the one named before the command."""
    parent = click.get_current_context().parent
    directory = given or (parent.params.get("state_dir") if parent is not None else None)
    return Path.cwd() / directory if directory else None


def _template_flags() -> list[click.Parameter]:
    return [
        Flag(
            "template", metavar="SRC:DEST[:COMMAND]", multiple=True, type=click.Path(),
            text="Render SRC to DEST and run COMMAND when DEST changed; may be given again",
        ),
        Flag(
            "config", metavar="FILE|DIR", multiple=True, type=click.Path(),
            text="Read TOML files; a directory is its *.toml in lexical order; may be given again",
        ),
        Flag(
            "catalog", metavar="[NAME=]URL", multiple=True,
            text="Where services are, such as consul://host:8500 or file:services.yaml; may be given again",
        ),
    ]  # fmt: skip


def _flag(key: keys.Key) -> Flag:
    choices = _CHOICES.get(key.name)
    return Flag(
        key.flag.removeprefix("-"),
        text=key.help,
        metavar=key.metavar,
        type=_PATHS.get(key.metavar),
        shell_complete=_offer(choices) if choices else None,
    )


def _offer(choices: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def offered(_context: click.Context, _flag: click.Parameter, incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return offered


def _version_flag() -> Flag:
    def show(context: click.Context, _flag: click.Parameter, value: bool | None) -> None:
        _end_with(context, VERSION_LINE if value else None)

    return Flag(
        "version", aliases=["v"], text="Show the version and end", is_eager=True, expose_value=False, callback=show
    )  # fmt: skip


def _help_flag() -> Flag:
    def show(context: click.Context, _flag: click.Parameter, value: bool | None) -> None:
        _end_with(context, context.get_help() if value else None)

    return Flag("help", aliases=["h"], text="Show this and end", is_eager=True, expose_value=False, callback=show)


def _end_with(context: click.Context, text: str | None) -> None:
    if text is not None and not context.resilient_parsing:
        click.echo(text)
        context.exit()


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"{PROGRAM}: error: {line}", err=True)
