#!/usr/bin/env python3
"""Writes openapi.yaml as JSON, for the gateway to serve.

    openapi/embed.py openapi.yaml OUT.c        a C file that defines what gateway/openapi.h declares
    openapi/embed.py openapi.yaml OUT.json

Reads the part of YAML that the description is written in, and refuses the rest with its line: block
and flow maps and lists, plain, quoted and folded (`>-`) scalars, comments on lines of their own.
"""
import json
import re
import sys

QUOTED, FIRST = r""""(?:[^"\\]|\\.)*"|'[^']*'""", r"""[^\s"'{}\[\],&*#?|>@`-]"""
KEY = re.compile(rf"({QUOTED}|{FIRST}\S*?):(?=\s|$)")
FLOW_KEY = re.compile(rf"({QUOTED}|{FIRST}[^\s,{{}}\[\]]*?):(?=\s|$)")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$")
WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}


class Refused(Exception):
    pass


def scalar(text):
    """A plain scalar, by the core schema."""
    if text in WORDS:
        return WORDS[text]
    if NUMBER.match(text):
        return json.loads(text)
    if text[0] in "&*!|>%@`" or ": " in text or " #" in text:
        raise Refused(f"cannot read {text!r}")
    return text


class Flow:
    """What stands on one line: {a: b, c: [d]}, quoted and plain scalars."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def whole(self):
        value = self.value("")
        self.space()
        if self.at < len(self.text):
            raise Refused(f"cannot read {self.text[self.at:]!r}")
        return value

    def space(self):
        while self.text[self.at:self.at + 1] == " ":
            self.at += 1

    def peek(self):
        self.space()
        return self.text[self.at:self.at + 1]

    def value(self, ends):
        first = self.peek()
        if first == "{":
            return self.map()
        if first == "[":
            return self.list()
        if first in "\"'" and first:
            return self.quoted(first)
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in ends:
            self.at += 1
        return scalar(self.text[start:self.at].strip())

    def quoted(self, mark):
        m = re.compile(r'"(?:[^"\\]|\\.)*"' if mark == '"' else r"'[^']*'").match(self.text, self.at)
        if not m:
            raise Refused("a quotation mark is not closed")
        self.at = m.end()
        return json.loads(m[0]) if mark == '"' else m[0][1:-1]

    def after(self, closing):
        """True when another item follows."""
        last = self.peek()
        self.at += 1
        if last not in (",", closing) or not last:
            raise Refused(f"expected , or {closing}")
        return last == "," and self.peek() != closing

    def list(self):
        self.at += 1
        out = []
        if self.peek() == "]":
            self.at += 1
            return out
        while True:
            out.append(self.value(",]"))
            if not self.after("]"):
                break
        return self.closed(out, "]")

    def map(self):
        self.at += 1
        out = {}
        if self.peek() == "}":
            self.at += 1
            return out
        while True:
            self.space()
            m = FLOW_KEY.match(self.text, self.at)
            if not m:
                raise Refused("expected a key")
            self.at = m.end()
            out[Flow(m[1]).whole() if m[1][0] in "\"'" else m[1]] = self.value(",}")
            if not self.after("}"):
                break
        return self.closed(out, "}")

    def closed(self, out, closing):
        """Takes the closing mark that stands behind a last comma."""
        if self.text[self.at - 1] == ",":
            self.space()
            self.at += 1
        return out


class Block:
    def __init__(self, text):
        self.lines = [(n, line) for n, line in enumerate(text.splitlines(), 1)
                      if line.strip() and not line.lstrip().startswith("#")]
        self.at = 0

    def depth(self):
        return len(self.line()) - len(self.line().lstrip(" ")) if self.more() else -1

    def more(self):
        return self.at < len(self.lines)

    def line(self):
        return self.lines[self.at][1]

    def value(self, depth):
        """A map or list whose lines stand at this depth."""
        is_list = self.line().lstrip().startswith("- ")
        out = [] if is_list else {}
        while self.more() and self.depth() == depth:
            if is_list != self.line().lstrip().startswith("- "):
                break
            if is_list:
                out.append(self.item(depth))
            else:
                self.pair(depth, out)
        if self.more() and self.depth() > depth:
            raise Refused("this line is too deep")
        return out

    def item(self, depth):
        n, line = self.lines[self.at]
        rest = line[depth + 2:]
        if KEY.match(rest):
            self.lines[self.at] = (n, " " * (depth + 2) + rest)
            return self.value(depth + 2)
        self.at += 1
        return self.inline(rest)

    def pair(self, depth, out):
        m = KEY.match(self.line(), depth)
        if not m:
            raise Refused("expected a key")
        key = Flow(m[1]).whole() if m[1][0] in "\"'" else m[1]
        if key in out:
            raise Refused(f"{key} is there twice")
        rest = self.line()[m.end():].strip()
        self.at += 1
        if not rest and self.depth() > depth and self.line().strip()[0] in "[{":
            rest = self.line().strip()
            self.at += 1
        if rest == ">-":
            out[key] = self.folded(depth)
        elif rest:
            out[key] = self.inline(rest)
        elif self.depth() > depth:
            out[key] = self.value(self.depth())
        else:
            out[key] = None

    def inline(self, text):
        """A flow value; it may go on over the next lines while a bracket is open."""
        while text[0] in "{[" and not balanced(text) and self.more():
            text += " " + self.line().strip()
            self.at += 1
        return Flow(text).whole()

    def folded(self, depth):
        out = []
        while self.more() and self.depth() > depth:
            out.append(self.line().strip())
            self.at += 1
        return " ".join(out)


def balanced(text):
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "", text)
    return sum(map(bare.count, "{[")) == sum(map(bare.count, "}]"))


def read(text):
    block = Block(text)
    try:
        out = block.value(0)
        if block.more():
            raise Refused("this line belongs to nothing")
        return out
    except Refused as why:
        line = block.lines[min(block.at, len(block.lines) - 1)][0]
        sys.exit(f"openapi.yaml:{line}: {why}")


def c_file(data):
    rows = [data[i:i + 16] for i in range(0, len(data), 16)]
    body = "".join("    " + " ".join(f"{b}," for b in row) + "\n" for row in rows)
    return ('#include "gateway/openapi.h"\n\n'
            f"const uint8_t OPENAPI_JSON[] = {{\n{body}}};\n"
            "const size_t OPENAPI_JSON_LEN = sizeof OPENAPI_JSON;\n")


def main(source, out):
    with open(source, encoding="utf-8") as f:
        document = read(f.read())
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    with open(out, "w", encoding="utf-8") as f:
        f.write(c_file(text.encode()) if out.endswith(".c") else text)


main(sys.argv[1], sys.argv[2])
