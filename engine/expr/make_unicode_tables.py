#!/usr/bin/env python3
"""Writes unicode_tables.inc: case mappings as Python's str has them. Run from any directory; standard library only."""
import pathlib
import unicodedata

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def mapping_ranges(method):
    """[first, last, delta, step] for what maps to one code point, and (code point, text) for the rest."""
    ranges, special = [], []
    for c in CODE_POINTS:
        text = method(chr(c))
        if text == chr(c):
            continue
        if len(text) > 1:
            special.append((c, text))
            continue
        delta = ord(text) - c
        last = ranges[-1] if ranges else None
        if last and last[2] == delta and last[0] == last[1] and c - last[1] <= 2:
            last[1], last[3] = c, c - last[1]
        elif last and last[2] == delta and last[0] != last[1] and c - last[1] == last[3]:
            last[1] = c
        else:
            ranges.append([c, c, delta, 1])
    return ranges, special


def property_ranges(holds):
    ranges = []
    for c in CODE_POINTS:
        if not holds(chr(c)):
            continue
        if ranges and c - ranges[-1][1] <= 2 and (c - ranges[-1][1] == ranges[-1][2] or ranges[-1][0] == ranges[-1][1]):
            ranges[-1][2], ranges[-1][1] = c - ranges[-1][1], c
        else:
            ranges.append([c, c, 1])
    return ranges


def literal(text):
    return '"' + "".join("\\x%02x" % b for b in text.encode()) + '"'


def wrapped(items, width=116):
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > width:
            lines.append(line)
            line = "   "
        line += " " + item + ","
    return "\n".join(lines + [line])


def main():
    out = ["// Made by make_unicode_tables.py from Unicode %s; do not edit." % unicodedata.unidata_version, ""]
    for name, method in (("Upper", str.upper), ("Lower", str.lower), ("Title", str.title)):
        ranges, special = mapping_ranges(method)
        if name == "Title":  # only where it differs from the upper case
            upper = {c: chr(c).upper() for c in CODE_POINTS}
            special = [(c, chr(c).title()) for c in CODE_POINTS if chr(c).title() != upper[c]]
            ranges = []
        if ranges:
            out += ["constexpr CaseRange k%sRanges[] = {" % name,
                    wrapped("{0x%X, 0x%X, %d, %d}" % tuple(r) for r in ranges), "};"]
        out += ["constexpr CaseText k%sTexts[] = {" % name,
                wrapped("{0x%X, %s}" % (c, literal(t)) for c, t in special), "};", ""]
    lt = lambda c: unicodedata.category(c) == "Lt"
    # What is passed over on the way from a sigma to the letters around it, as Python's lower() does.
    passed_over = lambda c: ("A" + c + "\u03a3").lower()[-1] == "\u03c2" and ("1" + c + "\u03a3").lower()[-1] == "\u03c3"
    for name, holds in (("UpperLetters", str.isupper), ("LowerLetters", str.islower), ("TitleLetters", lt),
                        ("CaseIgnorable", passed_over), ("Spaces", str.isspace)):
        out += ["constexpr PointRange k%s[] = {" % name,
                wrapped("{0x%X, 0x%X, %d}" % tuple(r) for r in property_ranges(holds)), "};"]
    pathlib.Path(__file__).with_name("unicode_tables.inc").write_text("\n".join(out) + "\n")


main()
