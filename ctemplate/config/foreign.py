"""Flags and keys that belong to consul-template or confd, and what to do instead.

Their users type them by habit. Knowing the name turns "unknown flag" into an answer; nothing here is
ever accepted.
"""

from __future__ import annotations

from collections.abc import Mapping

_SUPERVISED = "ctemplate starts no process of yours: give it a unit of its own and reload it by a template's command"
_VAULT = "ctemplate does not read Vault: let Vault's agent write the secret to a file and read that by file()"
_NOMAD = "ctemplate does not read Nomad's API: have Nomad register its services in Consul"
_LOGS = "logs go to stderr, and from there to the journal"
_RETRY = "a catalog that is away is tried again for as long as it takes, so leave it out"
_POOL = "connections are looked after, so leave it out; their number is set by {max_connections}"
_SIGNALS = "SIGTERM and SIGINT end ctemplate and SIGHUP reads its configuration again, always"
_DELIMITERS = "templates are Jinja2 with its usual delimiters"
_DEDUP = "many can ask one Consul agent, whose answers are cheap, so leave it out"
_ERRORS = "a template that fails keeps its file and the others go on, always"
_STRICT = "a value that is missing is always an error; give a default in the template"

_FLAGS: Mapping[str, str] = {
    "consul-retry": _RETRY,
    "retry": _RETRY,
    "consul-transport": _POOL,
    "consul-ssl-ca-cert": "use {consul_ca_file}",
    "consul-ssl-ca-path": "use {consul_ca_file}, with the certificates in one file",
    "consul-ssl-cert": "use {consul_client_cert}",
    "consul-ssl-key": "use {consul_client_key}",
    "consul-ssl-server-name": "use {consul_tls_server_name}",
    "dedup": _DEDUP,
    "default-left-delimiter": _DELIMITERS,
    "default-right-delimiter": _DELIMITERS,
    "exec": _SUPERVISED,
    "kill-signal": _SIGNALS,
    "reload-signal": _SIGNALS,
    "log-file": _LOGS,
    "log-rotate": _LOGS,
    "syslog": _LOGS,
    "parse-only": "use {dry}, which renders with real data and writes nothing",
    "template-error-fatal": _ERRORS,
    "vault": _VAULT,
    "nomad": _NOMAD,
    "onetime": "use {once}",
    "noop": "use {dry}",
    "confdir": "use {config}",
    "backend": "use {catalog}",
    "interval": "changes are waited for, not polled, so leave it out",
}
"""By name without dashes; a name also stands for every flag that begins with it and a dash."""

_TABLE_KEYS: Mapping[str, str] = {
    "vault": _VAULT,
    "nomad": _NOMAD,
    "exec": _SUPERVISED,
    "syslog": _LOGS,
    "log_file": _LOGS,
    "deduplicate": _DEDUP,
    "default_delimiters": _DELIMITERS,
    "kill_signal": _SIGNALS,
    "reload_signal": _SIGNALS,
    "template_error_fatal": _ERRORS,
    "block_query_wait": "how long a query is parked is looked after, so leave it out",
}
"""At the top of a file."""

_TEMPLATE_KEYS: Mapping[str, str] = {
    "perms": 'use mode, such as mode = "0640"',
    "create_dest_dirs": "use create_dirs",
    "uid": "use user, which takes a number too",
    "gid": "use group, which takes a number too",
    "left_delimiter": _DELIMITERS,
    "right_delimiter": _DELIMITERS,
    "error_on_missing_key": _STRICT,
    "error_fatal": _ERRORS,
    "function_denylist": "use sandbox = true",
    "sandbox_path": "use sandbox = true",
    "exec": "use command and command_timeout",
    "src": "use source",
    "dest": "use destination",
    "owner": "use user",
    "keys": "what a template asks for is watched, so leave it out",
    "prefix": "what a template asks for is watched, so leave it out",
    "check_cmd": "use check",
    "reload_cmd": "use command",
}
"""In a `[[template]]`."""

_FLAG_NAMES = ("consul_ca_file", "consul_client_cert", "consul_client_key", "consul_tls_server_name")
_SPELLED = {
    name: "-" + name.replace("_", "-") for name in (*_FLAG_NAMES, "max_connections", "dry", "once", "config", "catalog")
}


def flag_advice(name: str) -> str | None:
    """What to do instead of the flag `name`, given without dashes; None where nobody is known to have it."""
    for known, advice in _FLAGS.items():
        if name == known or name.startswith(known + "-"):
            return advice.format_map(_SPELLED)
    return None


def key_advice(name: str, *, of_template: bool) -> str | None:
    """What to do instead of the key `name` in a file; None where nobody is known to have it."""
    return (_TEMPLATE_KEYS if of_template else _TABLE_KEYS).get(name)
