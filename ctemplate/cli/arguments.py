"""The dialect of the command line: flags as Go programs have them, said in words that click cannot mistake.

One dash or two, `-flag value` or `-flag=value`, `-once` or `-once=false`. Click takes an unknown flag with one
dash for a row of one-letter ones ("No such option '-t'"), so flags are found here, and unknown ones are told
here. What a value means is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ctemplate.config.foreign import flag_advice
from ctemplate.config.values import truth
from ctemplate.errors import ConfigError
from ctemplate.spelling import closest


def spelled_out(words: Sequence[str], flags: Mapping[str, bool], *, lenient: bool = False) -> list[str]:
    """`words` with every flag as `--flag=value`, up to the first word that is no flag.

    `flags` says of each name whether it takes a value; one that takes none gets `=true` or `=false`.
    Raises `ConfigError` for an unknown flag or a missing value; `lenient`, for a command line that is still
    being typed, leaves such a word out.
    """
    spelled: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
        word = rest.pop(0)
        try:
            spelled.append(_spelled(word, rest, flags))
        except ConfigError:
            if not lenient:
                raise
    if rest[:1] and not lenient:
        _refuse_lone_truth(rest[0], spelled)
    return spelled + rest


def unknown_command(word: str, commands: Collection[str]) -> str:
    """What to say of a word that is neither a flag nor a command."""
    if ":" in word:
        return f"unknown command {word}: did you mean -template {word}?"
    near = closest(word, commands)
    if near is not None:
        return f"unknown command {word}: did you mean {near}?"
    return f"unknown command {word}: there is {', '.join(sorted(commands))}; flags begin with a dash"


def _spelled(word: str, rest: list[str], flags: Mapping[str, bool]) -> str:
    name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
    if name not in flags:
        raise ConfigError(_unknown_flag(word.partition("=")[0], name, flags))
    if not flags[name]:
        try:
            return f"--{name}={'true' if not equals or truth(value) else 'false'}"
        except ConfigError as error:
            raise ConfigError(f"-{name}: {error}") from None
    if not equals:
        if not rest:
            raise ConfigError(f"-{name}: a value is missing after it")
        value = rest.pop(0)
    return f"--{name}={value}"


def _unknown_flag(word: str, name: str, flags: Collection[str]) -> str:
    advice = flag_advice(name)
    if advice is not None:
        return f"unknown flag {word}: {advice}"
    near = closest(name, flags)
    if near is not None:
        return f"unknown flag {word}: did you mean -{near}?"
    return f"unknown flag {word}: ctemplate -help lists them"


def _refuse_lone_truth(word: str, spelled: Sequence[str]) -> None:
    """Catch `-once false`, which Go's flags do not take either."""
    if word in ("true", "false") and spelled and spelled[-1].endswith("=true"):
        flag = spelled[-1].removeprefix("-").removesuffix("=true")
        raise ConfigError(f"{flag}: takes no word after it: write {flag}={word}")
