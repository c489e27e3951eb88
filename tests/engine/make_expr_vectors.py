#!/usr/bin/env python3
"""Writes expr_vectors.txt: expressions and what Python makes of them. Deterministic; standard library only.

A line is the expression, a tab, the text of its value (`\\n \\t \\r \\\\` escaped) or ERROR.
"""
import json
import math
import pathlib
import random

RANDOM = random.Random(7)
INT_MIN, INT_MAX = -(2**63), 2**63 - 1
LINES = []


def fits(v):
    return INT_MIN <= v <= INT_MAX


def text_literal(s):
    out = ["'"]
    for c in s:
        if c in "'\\":
            out.append("\\" + c)
        elif c == "\n":
            out.append("\\n")
        elif c == "\t":
            out.append("\\t")
        elif c == "\r":
            out.append("\\r")
        elif ord(c) < 32:
            out.append("\\x%02x" % ord(c))
        else:
            out.append(c)
    return "".join(out) + "'"


def literal(v):
    if v is None or isinstance(v, bool):
        return str(v)
    if isinstance(v, str):
        return text_literal(v)
    if isinstance(v, float):
        if math.isnan(v):
            return "nan"
        if math.isinf(v):
            return "inf" if v > 0 else "(-inf)"
        return repr(v) if v >= 0 and math.copysign(1, v) > 0 else "(%r)" % v
    if isinstance(v, int):
        return str(v) if v >= 0 else "(%d)" % v
    if isinstance(v, list):
        return "[" + ", ".join(map(literal, v)) + "]"
    raise TypeError(v)


def shown(v):
    """As to_string() of the language."""
    if isinstance(v, list):
        v = tuple(v)
    return str(v)


def add(expression, result):
    if result is OverflowError:
        value = "ERROR"
    else:
        value = shown(result).replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    LINES.append(expression + "\t" + value)


def checked(v):
    return v if not isinstance(v, int) or isinstance(v, bool) or fits(v) else OverflowError


# ---------------------------------------------------------------- numbers

INTS = [0, 1, -1, 2, -2, 3, 7, -7, 10, 63, 64, 100, -100, 2**31, -(2**31), 2**53 + 1, 2**62, INT_MAX, INT_MAX - 1, INT_MIN, INT_MIN + 1]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 0.1, 0.2, 3.7, -3.7, 1e10, 1e16, 1e-5, 123456.789, 1e308, 5e-324, 2.675, 1e22]


def ints():
    ops = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "//": lambda a, b: a // b if b else OverflowError,
        "%": lambda a, b: a % b if b else OverflowError,
        "&": lambda a, b: a & b,
        "|": lambda a, b: a | b,
        "^": lambda a, b: a ^ b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    for sign, f in ops.items():
        pairs = [(a, b) for a in INTS for b in INTS]
        for a, b in RANDOM.sample(pairs, 70):
            add("%s %s %s" % (literal(a), sign, literal(b)), checked(f(a, b)))
    for a in INTS:
        for b in (0, 1, 2, 3, 5, 62, 63):
            add("%s ** %s" % (literal(a), literal(b)), checked(a**b))
    for a in INTS:
        for b in (-1, 0, 1, 5, 31, 62, 63, 64):
            shift_fits = 0 <= b <= 63
            add("%s << %s" % (literal(a), literal(b)), checked(a << b) if shift_fits else OverflowError)
            add("%s >> %s" % (literal(a), literal(b)), a >> b if shift_fits else OverflowError)
        add("-%s" % literal(a), checked(-a))
        add("abs(%s)" % literal(a), checked(abs(a)))
        add("~%s" % literal(a), ~a)
        add("cast(float, %s)" % literal(a), float(a))
        for digits in (0, 1, -1, -2, -5, -18, -19, -25):
            add("%s.num.round(%s)" % (literal(a), literal(digits)), checked(round(a, digits)))
    for a, b in RANDOM.sample([(a, b) for a in INTS for b in INTS], 60):
        if abs(a) < 2**53 and abs(b) < 2**53:
            add("%s / %s" % (literal(a), literal(b)), a / b if b else OverflowError)


def floats():
    ops = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b if b else OverflowError,
        "//": lambda a, b: a // b if b else OverflowError,
        "%": lambda a, b: a % b if b else OverflowError,
        "<": lambda a, b: a < b,
        ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b,
    }
    values = FLOATS + [RANDOM.uniform(-1000, 1000) for _ in range(10)]
    for sign, f in ops.items():
        for a, b in RANDOM.sample([(a, b) for a in values for b in values], 60):
            add("%s %s %s" % (literal(a), sign, literal(b)), f(a, b))
    for sign in ("<", "<=", "==", "!=", ">", ">="):
        for a, b in ((math.nan, math.nan), (1.0, math.nan), (math.inf, math.inf), (-math.inf, 3.0)):
            result = {"<": a < b, "<=": a <= b, "==": a == b, "!=": a != b, ">": a > b, ">=": a >= b}[sign]
            add("%s %s %s" % (literal(a), sign, literal(b)), result)
    more = [0.5, 1.5, 2.5, 3.5, 2.675, 1.005, 0.125, 1e15 + 0.5, 12345.6789, 25.0, 35.0, 250.0, 1e300, -0.4]
    for x in values + more:
        for digits in (0, 1, 2, 3, 10, -1, -2):
            add("%s.num.round(%s)" % (literal(x), literal(digits)), round(x, digits))
        add("cast(str, %s)" % literal(x), x)
        add("floor(%s)" % literal(x), float(math.floor(x)) if x != 0 else x)
        add("ceil(%s)" % literal(x), math.copysign(float(math.ceil(x)), x))
        add("cast(int, %s)" % literal(x), checked(int(x)))
        add("cast(bool, %s)" % literal(x), bool(x))
        add("abs(%s)" % literal(x), abs(x))
        if x >= 0:
            add("sqrt(%s)" % literal(x), math.sqrt(x))
    for x in (math.nan, math.inf, -math.inf, 1e19, -1e19):
        add("cast(int, %s)" % literal(x), OverflowError)
    for a, b in ((2.0, 0.5), (2.0, -1.0), (-8.0, 3.0), (0.0, 0.0), (10.0, -3.0)):
        add("%s ** %s" % (literal(a), literal(b)), a**b)


# ---------------------------------------------------------------- text

TEXTS = ["", "a", "abc", "  padded\t", "Hello World", "they're Bill's", "x,y,,z", "naïve café", "ÀÉÎ straße", "日本語テキスト",
         "👍🏽 ok", "ΟΔΟΣ σίγμα", "aaaa", "abcabcabc", "line\nbreak", "tab\tsep", "quote's \"x\"", "ǆ ǅ Ǆ", "ﬁne", "İi", "12ab34",
         "a long text that does not fit inside a view", "ÿŸ µ"]


def texts():
    for s in TEXTS:
        t = text_literal(s)
        for name in ("lower", "upper", "swapcase", "title", "strip", "lstrip", "rstrip"):
            add("%s.str.%s()" % (t, name), getattr(s, name)())
        add("%s.str.reversed()" % t, s[::-1])
        add("%s.str.len()" % t, len(s))
        add("len(%s)" % t, len(s))
        add("%s.str.split()" % t, s.split())
        add("cast(bool, %s)" % t, bool(s))
        for part in ("", "a", "abc", "b", ",", " ", "é", "本"):
            p = text_literal(part)
            add("%s.str.find(%s)" % (t, p), s.find(part))
            add("%s.str.rfind(%s)" % (t, p), s.rfind(part))
            add("%s.str.count(%s)" % (t, p), s.count(part))
            add("%s.str.startswith(%s)" % (t, p), s.startswith(part))
            add("%s.str.endswith(%s)" % (t, p), s.endswith(part))
            add("%s.str.contains(%s)" % (t, p), part in s)
            add("%s in %s" % (p, t), part in s)
            add("%s.str.removeprefix(%s)" % (t, p), s.removeprefix(part))
            add("%s.str.removesuffix(%s)" % (t, p), s.removesuffix(part))
            add("%s.str.replace(%s, '-')" % (t, p), s.replace(part, "-"))
            add("%s.str.replace(%s, '<>', 1)" % (t, p), s.replace(part, "<>", 1))
            add("%s.str.strip(%s)" % (t, p), s.strip(part))
            if part:
                add("%s.str.split(%s)" % (t, p), s.split(part))
                add("%s.str.split(%s, maxsplit=1)" % (t, p), s.split(part, 1))
        for start, end in ((0, 3), (1, -1), (-3, 100), (5, 2), (-100, 2), (2, 2), (-2, -1)):
            add("%s.str.slice(%s, %s)" % (t, literal(start), literal(end)), s[start:end])
            add("%s.str.find('a', %s, %s)" % (t, literal(start), literal(end)), s.find("a", start, end))
            add("%s.str.rfind('a', %s, %s)" % (t, literal(start), literal(end)), s.rfind("a", start, end))
            add("%s.str.count('', %s, %s)" % (t, literal(start), literal(end)), s.count("", start, end))
            add("%s.str.find('', %s)" % (t, literal(start)), s.find("", start))
        for width in (0, 3, 12):
            add("%s.str.pad_left(%d, '*')" % (t, width), s.rjust(width, "*"))
            add("%s.str.pad_right(%d)" % (t, width), s.ljust(width))
        for times in (-1, 0, 1, 3):
            add("%s * %s" % (t, literal(times)), s * times)
        other = RANDOM.choice(TEXTS)
        add("%s + %s" % (t, text_literal(other)), s + other)
        for sign, result in (("<", s < other), ("<=", s <= other), ("==", s == other), (">", s > other)):
            add("%s %s %s" % (t, sign, text_literal(other)), result)
        add("min_of(%s, %s)" % (t, text_literal(other)), min(s, other))
    add("', '.str.join(['a', 'b', 'c'])", "a, b, c")
    add("''.str.join([])", "")


def parsing():
    for s in ("0", "42", "-17", "+5", " 8 ", "9223372036854775807", "-9223372036854775808"):
        add("%s.str.parse_int()" % text_literal(s), int(s))
        add("cast(int, %s)" % text_literal(s), int(s))
    for s in ("", "x", "1.5", "9223372036854775808", "1 2", "0x10", "--1"):
        add("%s.str.parse_int()" % text_literal(s), OverflowError)
        add("cast(int, %s)" % text_literal(s), OverflowError)
        add("%s.str.parse_int(optional=True)" % text_literal(s), None)
    for s in ("0", "1.5", "-2e3", ".5", "1.", " 7 ", "inf", "-inf", "nan", "1e-320", "123456789.123456789"):
        add("%s.str.parse_float()" % text_literal(s), float(s))
        add("cast(float, %s)" % text_literal(s), float(s))
    for s in ("", "x", "1,5", "1.5.2"):
        add("%s.str.parse_float()" % text_literal(s), OverflowError)
        add("%s.str.parse_float(optional=True)" % text_literal(s), None)
    for s, v in (("on", True), ("TRUE", True), ("Yes", True), ("1", True), ("off", False), ("False", False), ("NO", False), ("0", False)):
        add("%s.str.parse_bool()" % text_literal(s), v)
    add("'maybe'.str.parse_bool()", OverflowError)
    add("'maybe'.str.parse_bool(optional=True)", None)
    add("'oui'.str.parse_bool(true_values=['oui'], false_values=['non'])", True)


# ---------------------------------------------------------------- tuples and json


def sequences():
    values = [10, 20, 30, 40]
    for i in range(-6, 6):
        inside = -4 <= i < 4
        add("[10, 20, 30, 40][%s]" % literal(i), values[i] if inside else OverflowError)
        add("[10, 20, 30, 40].get(%s)" % literal(i), values[i] if inside else None)
        add("[10, 20, 30, 40].get(%s, default=-1)" % literal(i), values[i] if inside else -1)
        add("%s in [10, 20, 30, 40]" % literal(i * 10), i * 10 in values)
    tuples = [(1, "a"), (1, "b"), (2, "a"), (0, "z"), (1, "")]
    for a in tuples:
        for b in tuples:
            left, right = ["(%s, %s)" % (literal(t[0]), literal(t[1])) for t in (a, b)]
            for sign, result in (("<", a < b), ("<=", a <= b), ("==", a == b), ("!=", a != b), (">", a > b), (">=", a >= b)):
                add("%s %s %s" % (left, sign, right), result)
    add("(1, (2.5, 'x'), None, True)", (1, (2.5, "x"), None, True))
    add("[1, 2.5]", [1.0, 2.5])
    add("[1, 2] < [1, 2, 0]", True)
    add("(1, 2) == (1.0, 2.0)", True)


DOCUMENT = {
    "a": 1, "b": -2.5, "c": "text \"q\" \\ / \u00e9\n", "d": None, "e": True, "f": [0, [1, 2], {"x": "y,]}"}], "g": {}, "h": [],
    "é": "key", "long key that is longer than a view": {"deep": [{"er": 7}]}, "k\"q": 5, "big": 9007199254740993, "z": "",
}


def compact(v):
    return json.dumps(v, separators=(",", ":"), ensure_ascii=False)


def jsons():
    for indent in (None, 2):
        text = json.dumps(DOCUMENT, indent=indent, ensure_ascii=False)
        doc = "json.parse(%s)" % text_literal(text)
        for key in list(DOCUMENT) + ["missing"]:
            value = DOCUMENT.get(key)
            item = "%s[%s]" % (doc, text_literal(key))
            add(item, None if value is None else compact(value))
            add("%s in %s" % (text_literal(key), doc), key in DOCUMENT)
            kinds = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
            for kind, python in kinds.items():
                good = isinstance(value, python) and (kind == "bool" or not isinstance(value, bool))
                result = None if value is None else value if good else OverflowError
                if kind == "float" and good:
                    result = float(value)
                add("%s.as_%s()" % (item, kind), result)
            add("len(%s)" % item if value is not None else "json.keys(%s)" % doc,
                list(DOCUMENT) if value is None else len(value) if isinstance(value, (str, list, dict)) else OverflowError)
        add("len(%s)" % doc, len(DOCUMENT))
        add("%s['f'][1][0].as_int()" % doc, 1)
        add("%s['f'][-1]" % doc, None)
        add("%s['f'][9]['x']['y']" % doc, None)
        add("%s['f'][2]['x'].as_str()" % doc, "y,]}")
        add("%s['long key that is longer than a view']['deep'][0]['er'].as_int()" % doc, 7)
        add("%s['a']['b']" % doc, None)
        add("%s.get('missing', default=3)" % doc, "3")
        add("%s.get('missing', default='x').as_str()" % doc, "x")
        add("%s['d'].as_int(default=5)" % doc, 5)
        add("%s['d'].as_int(unwrap=True)" % doc, OverflowError)
    for a, b, same in (('{"a":1,"b":2}', '{"b":2, "a":1}', True), ("[1,2]", "[2,1]", False), ("1", "1.0", False), ("1.0", "1.00", True),
                       ('"\\u0061"', '"a"', True), ("null", "false", False), ('{"a":1}', '{"a":1,"b":1}', False)):
        add("json.parse(%s) == json.parse(%s)" % (text_literal(a), text_literal(b)), same)
    for bad in ("", "{", "[1,]", "nul", "'a'", "1 2", '{"a":}', '"\n"'):
        add("json.parse(%s)" % text_literal(bad), OverflowError)
    for good in ("123456789012345678901234567890", "[-12345678901234567890123, 0.1e-3]", '{"a": 1E400}', " [ ] "):
        add("json.parse(%s)" % text_literal(good), good.replace(" ", ""))
    for bad in ("0123456789012345678901234567890", "[123456789012345678901234567890,]", '{"a": 12345678901234567890123 "b"}'):
        add("json.parse(%s)" % text_literal(bad), OverflowError)
    for value in (1, -2.5, "a\"b\\c\n", True, None, [1, 2], []):
        add("json(%s)" % literal(value), compact(value))
        add("json.dump(%s)" % literal(value), compact(value))
    add("json(nan)", OverflowError)
    add("{'a': 1, 'b': [1, 2], 'c': None, 'd': {'e': 'x'}}", '{"a":1,"b":[1,2],"c":null,"d":{"e":"x"}}')


def main():
    for family in (ints, floats, texts, parsing, sequences, jsons):
        family()
    head = "# Made by make_expr_vectors.py; do not edit.\n"
    pathlib.Path(__file__).with_name("expr_vectors.txt").write_text(head + "\n".join(dict.fromkeys(LINES)) + "\n", encoding="utf-8")


main()
