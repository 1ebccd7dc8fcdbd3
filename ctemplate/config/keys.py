"""Every key there is, once: its name, kind, flag, environment variable and what it is for.

The command line, the reading of files and `docs/configuration.md` all follow from these tables, so that
none of them can drift. Defaults are not here: they are those of `settings`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ctemplate.config import values
from ctemplate.config.values import Kind


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the configuration file. For the global ones the flag is the same name with dashes."""

    name: str
    kind: Kind
    help: str
    """One sentence without a full stop."""
    metavar: str = ""
    """What the command line's help shows for the value; empty for a switch."""
    env: str = ""

    @property
    def flag(self) -> str:
        """The flag as a user types it."""
        return "-" + self.name.replace("_", "-")


def _table(*keys: Key) -> Mapping[str, Key]:
    return {key.name: key for key in keys}


CONSUL = _table(
    Key(
        name="consul_addr", kind=values.ADDRESS, metavar="ADDR", env="CONSUL_HTTP_ADDR",
        help="Where Consul's agent is: host:port, an http:// or https:// URL, or unix:///path",
    ),
    Key(
        name="consul_token", kind=values.TEXT, metavar="TOKEN", env="CONSUL_HTTP_TOKEN",
        help="The ACL token; other users see a flag in ps, so rather use the environment or a file",
    ),
    Key(
        name="consul_token_file", kind=values.PATH, metavar="FILE", env="CONSUL_HTTP_TOKEN_FILE",
        help="A file that holds the ACL token; it is preferred to a token",
    ),
    Key(
        name="consul_ssl", kind=values.SWITCH, env="CONSUL_HTTP_SSL",
        help="Speak HTTPS to Consul",
    ),
    Key(
        name="consul_ssl_verify", kind=values.SWITCH, env="CONSUL_HTTP_SSL_VERIFY",
        help="Check Consul's certificate",
    ),
    Key(
        name="consul_ca_file", kind=values.PATH, metavar="FILE", env="CONSUL_CACERT",
        help="The certificate authority that signed Consul's certificate, PEM",
    ),
    Key(
        name="consul_client_cert", kind=values.PATH, metavar="FILE", env="CONSUL_CLIENT_CERT",
        help="The certificate that is shown to Consul, PEM",
    ),
    Key(
        name="consul_client_key", kind=values.PATH, metavar="FILE", env="CONSUL_CLIENT_KEY",
        help="The key of that certificate, PEM",
    ),
    Key(
        name="consul_tls_server_name", kind=values.TEXT, metavar="NAME", env="CONSUL_TLS_SERVER_NAME",
        help="The name that Consul's certificate must carry, if not the address's",
    ),
    Key(
        name="consul_auth", kind=values.TEXT, metavar="USER[:PASSWORD]", env="CONSUL_HTTP_AUTH",
        help="HTTP basic authentication",
    ),
    Key(
        name="max_stale", kind=values.DURATION, metavar="DURATION",
        help="How far a Consul follower may be behind the leader; 0 asks the leader always",
    ),
    Key(
        name="max_connections", kind=values.COUNT, metavar="N",
        help="How many connections to Consul there may be; its agent allows 200 a client address",
    ),
)  # fmt: skip
"""What `settings.Consul` holds."""

RUN = _table(
    Key(
        name="once", kind=values.SWITCH,
        help="Render and commit once, then end",
    ),
    Key(
        name="timeout", kind=values.SOME_TIME, metavar="DURATION",
        help="How long -once waits for data",
    ),
    Key(
        name="dry", kind=values.SWITCH,
        help="Show what would change as a diff, write and run nothing; implies -once",
    ),
    Key(
        name="wait", kind=values.WAIT, metavar="MIN[:MAX]",
        help="Commit MIN after the last change, at the latest MAX (4 times MIN) after the first; 0 turns it off",
    ),
    Key(
        name="check", kind=values.COMMAND, metavar="COMMAND",
        help='Check new files by this before they are live; "" checks nothing; by default inferred from the command',
    ),
    Key(
        name="state_dir", kind=values.PATH, metavar="DIR",
        help="Where the lock, the status and what was last committed are kept",
    ),
    Key(
        name="stale_start", kind=values.SWITCH,
        help="Render a file that is missing at start from what was last committed, while its catalog is away",
    ),
    Key(
        name="max_age", kind=values.DURATION, metavar="DURATION",
        help="Raise an alarm when what a file follows from was last known to be current so long ago; 0: never",
    ),
    Key(
        name="keep_keys", kind=values.SWITCH,
        help="Keep values of keys, too, with what was last committed; never those of a sensitive template",
    ),
    Key(
        name="log_level", kind=values.LOG_LEVEL, metavar="LEVEL",
        help="The quietest lines that are logged: debug, info, warning or error",
    ),
    Key(
        name="log_format", kind=values.LOG_FORMAT, metavar="FORMAT",
        help="Log lines as text or as json",
    ),
    Key(
        name="pid_file", kind=values.PATH, metavar="FILE",
        help="Write the process id there while running",
    ),
    Key(
        name="health_file", kind=values.PATH, metavar="FILE",
        help="Write 0 there, or 1 while this balancer is ill, for keepalived's track_file",
    ),
    Key(
        name="file_roots", kind=values.DIRECTORIES, metavar="DIR[:DIR]...",
        help="Below which directories `file()` reads; by default anywhere, in the sandbox beside the template only",
    ),
    Key(
        name="haproxy_socket", kind=values.PATH, metavar="PATH",
        help="HAProxy's master socket (`haproxy -W -S PATH`), by which its reloads are proved",
    ),
)  # fmt: skip
"""What `settings.Settings` holds itself."""

GLOBAL: Mapping[str, Key] = {**CONSUL, **RUN}
"""Every key that is a flag too."""

CONSUL_PREFIX = "consul_"
CONSUL_TABLE: Mapping[str, Key] = {
    name.removeprefix(CONSUL_PREFIX): key for name, key in CONSUL.items() if name.startswith(CONSUL_PREFIX)
}
"""The keys of `[consul]`: the same settings without their prefix."""

TEMPLATE = _table(
    Key(name="source", kind=values.FILE, help="The template's file; this or `contents`"),
    Key(name="contents", kind=values.TEXT, help="The template itself; this or `source`"),
    Key(name="destination", kind=values.FILE, help="The file to write; a symbolic link is followed"),
    Key(
        name="command", kind=values.COMMAND,
        help="What makes the file known, run after a change: a string by the shell, a list without one",
    ),
    Key(
        name="command_timeout", kind=values.SOME_TIME,
        help="How long the command, and the check set beside it, may take; then they are killed",
    ),
    Key(
        name="on_failure", kind=values.ON_FAILURE,
        help="What a failing command means for the new files: put the old ones back, or keep them",
    ),
    Key(
        name="check", kind=values.COMMAND,
        help='As the global `check`, for this template; `""` checks nothing',
    ),
    Key(
        name="reload_group", kind=values.TEXT,
        help="Commit and reload together with every template that names the same group",
    ),
    Key(name="mode", kind=values.MODE, help="Permission bits; by default the old file's, else 0644, 0600 if sensitive"),
    Key(name="user", kind=values.OWNER, help="Owner; by default the old file's"),
    Key(name="group", kind=values.OWNER, help="The owner's group; by default the old file's"),
    Key(name="backup", kind=values.SWITCH, help="Keep the file that was replaced"),
    Key(name="create_dirs", kind=values.SWITCH, help="Make the destination's directories where they are missing"),
    Key(name="wait", kind=values.WAIT, help="As the global `wait`; a group takes its templates' largest"),
    Key(
        name="format", kind=values.FORMAT,
        help="What the file is, which decides what a value may hold; inferred from destination and command",
    ),
    Key(name="vars", kind=values.VARS, help="Plain values that the template sees under these names"),
    Key(name="sensitive", kind=values.SWITCH, help="The file holds secrets: 0600, in no diff and no rejected copy"),
    Key(
        name="sandbox", kind=values.SWITCH,
        help="For a template that others may edit: no environment, no files elsewhere, no private attributes",
    ),
    Key(name="guard", kind=values.GUARD, help="What differs from `[guard]` for this template"),
    Key(name="trim_blocks", kind=values.SWITCH, help="Drop the line break after a block tag"),
    Key(name="lstrip_blocks", kind=values.SWITCH, help="Drop the blanks before a block tag that begins a line"),
)  # fmt: skip
"""The keys of `[[template]]`."""

RELOAD_GROUP = _table(
    Key(name="atomic", kind=values.SWITCH, help="Commit all files of the group or none"),
    Key(name="cooldown", kind=values.DURATION, help="The least time between two commits when no `wait` is set"),
)
"""The keys of `[reload_group.NAME]`."""

GUARD = _table(
    Key(
        name="min_instances", kind=values.GUARD_PARTS["min_instances"],
        help="A service that loses instances must keep this many; 0 lets it become empty",
    ),
    Key(
        name="max_removed", kind=values.GUARD_PARTS["max_removed"],
        help="The share of what was last committed that one commit may take, one at least; 1.0 lets all go",
    ),
    Key(
        name="max_hold", kind=values.GUARD_PARTS["max_hold"],
        help="How long more than that is held, before it goes through if the catalog's leader confirms it",
    ),
    Key(
        name="on_violation", kind=values.GUARD_PARTS["on_violation"],
        help="Keep what was last committed, or let it through and say so",
    ),
)  # fmt: skip
"""The keys of `[guard]`, of `[guard.service.NAME]` and of a template's `guard`."""
