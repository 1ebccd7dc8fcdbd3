"""What consumers make of a text, as a shape that no value can be seen in: nested lists of first words and counts.

Each is written from its format's own rules, or is a parser that others keep, and shares nothing with
`ctemplate.render.positions`, which it is to judge.
"""

import io
import json
import re
import subprocess

import crossplane.lexer
import yaml


class NotParsed(Exception):
    """The text is none of the format."""


def nginx(text):
    """Blocks and statements by crossplane's lexer: `[first word, number of words, block or None]`."""
    top = []
    stack, words = [top], []
    try:
        for word, _, quoted in crossplane.lexer._lex_file_object(io.StringIO(text + "\n")):
            if quoted or word not in (";", "{", "}"):
                if quoted or not word.startswith("#"):
                    words.append(word)
                continue
            if word != "}":
                block = [] if word == "{" else None
                stack[-1].append([words[0] if words else "", len(words), block])
                stack += [block] if word == "{" else []
            elif words or len(stack) == 1:
                raise NotParsed
            else:
                stack.pop()
            words = []
    except (StopIteration, RuntimeError):
        raise NotParsed from None
    if len(stack) != 1 or words:
        raise NotParsed
    return top


_HAPROXY_WORD = re.compile(r"""(?:\\.|'[^'\n]*'|"(?:\\.|[^"\\\n])*"|[^\s\\'"#])+""")


def haproxy(text):
    """Lines as `[first word, number of words]`; separators, quotes, escapes and comments as its manual, 2.2, says."""
    lines = []
    for line in text.split("\n"):
        words, at = [], 0
        while at < len(line) and line[at] != "#":
            if line[at] in " \t\v\f\r":
                at += 1
                continue
            found = _HAPROXY_WORD.match(line, at)
            if found is None:
                raise NotParsed
            words.append(found.group())
            at = found.end()
        if words:
            lines.append([words[0], len(words)])
    return lines


def keepalived(text):
    """Lines as `[first word, number of words]`, braces as words; a line that is too long goes on as another one."""
    lines = []
    for whole in text.split("\n"):
        for line in [whole[at : at + 1000] for at in range(0, len(whole), 1000)]:
            words = re.findall(r'"[^"]*"|[{}]|[^\s{}"]+', re.sub(r'("[^"]*")|[#!].*', r"\1", line))
            if words:
                lines.append([words[0], len(words)])
    return lines


def _json_shape(data):
    if isinstance(data, dict):
        return {f"key {number}": _json_shape(value) for number, value in enumerate(data.values())}
    return [_json_shape(value) for value in data] if isinstance(data, list) else type(data).__name__


def json_(text):
    """Types of all values; an object that names a key twice has lost one."""
    try:
        return _json_shape(json.loads(text))
    except ValueError:
        raise NotParsed from None


def yaml_(text):
    """The tree of nodes."""

    def shape(node):
        if isinstance(node, yaml.MappingNode):
            return [[shape(key), shape(value)] for key, value in node.value]
        return [shape(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else "scalar"

    try:
        return [shape(document) for document in yaml.compose_all(text, Loader=yaml.CSafeLoader)]
    except yaml.YAMLError:
        raise NotParsed from None


def shell(text):
    """What a real shell runs: each line of the template calls `seen`, a function that counts its arguments."""
    script = 'seen() { echo "$#"; }\n' + text
    done = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, timeout=30, env={"PATH": "/nowhere"})
    if done.stderr or done.returncode:
        raise NotParsed(done.stderr)
    return done.stdout.split()
