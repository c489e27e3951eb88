#!/usr/bin/env python3
"""Writes datetime_vectors.txt: what Python's datetime and zoneinfo say about civil dates, formats and time zones.

Run it only to change the cases; the file is frozen and read by datetime_test.cc. Lines are fields with tabs between:
  civil  ns  year month day hour minute second nanosecond weekday dayofyear
  format ns  format  text
  read   format  text  ns            (ns is of the wall, or UTC if the format has %z)
  iso    text  ns|none  offset?      (1 if the text has an offset)
  local  zone  utc_ns  local_ns
  utc    zone  local_ns  utc_ns      (gap: first instant after it; ambiguous: the later reading)
"""
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1)
ZONES = ["Europe/Warsaw", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo",
         "Africa/Casablanca", "Asia/Tokyo", "Pacific/Apia", "UTC", "Etc/GMT+5"]
FORMATS = ["%Y-%m-%d %H:%M:%S", "%d/%m/%y %I:%M:%S %p", "%a %b %d %H:%M:%S %Y", "%A, %B %d %Y %H:%M:%S", "%Y-%j %H:%M:%S",
           "%G-W%V-%u %H:%M:%S", "%Y %U %w %H:%M:%S", "%Y %W %w %H:%M:%S"]


def ns_of(moment):
    delta = moment - EPOCH
    return ((delta.days * 86400 + delta.seconds) * 10**6 + delta.microseconds) * 1000


def random_moment(rng, first=1700, last=2250):
    day = datetime(first, 1, 1) + timedelta(days=rng.randrange((last - first) * 365))
    return day + timedelta(seconds=rng.randrange(86400), microseconds=rng.choice([0, 0, 5, 123456, 999999]))


def to_utc(zone, local):
    """Our rule, from Python's two readings of a local time."""
    utc = [local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1)]
    exists = [moment.astimezone(zone).replace(tzinfo=None) == local for moment in utc]
    if not any(exists):  # a gap: search the change between the two readings
        low, high = int(min(utc).timestamp()), int(max(utc).timestamp())
        offset = lambda second: datetime.fromtimestamp(second, zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        return EPOCH + timedelta(seconds=high)
    return max(moment for moment, good in zip(utc, exists) if good).replace(tzinfo=None)


def main():
    rng = random.Random(7)
    lines = []
    for _ in range(300):
        m = random_moment(rng)
        lines.append(["civil", ns_of(m), m.year, m.month, m.day, m.hour, m.minute, m.second, m.microsecond * 1000,
                      m.weekday(), m.timetuple().tm_yday])
    for _ in range(300):
        m, form = random_moment(rng), rng.choice(FORMATS)
        text = m.strftime(form)
        lines.append(["format", ns_of(m), form, text])
        year = 1970 if "%y" in form and not 1970 <= m.year <= 2068 else m.year
        try:
            m = m.replace(year=year)
        except ValueError:
            continue
        lines.append(["read", form, m.strftime(form), ns_of(datetime.strptime(m.strftime(form), form))])
    for _ in range(100):
        m = random_moment(rng)
        offset = rng.choice([0, 60, -90, 330, 840, -720])
        zoned = m.replace(tzinfo=timezone(timedelta(minutes=offset)))
        lines.append(["iso", m.isoformat(rng.choice("T ")), ns_of(m), 0])
        lines.append(["iso", zoned.isoformat(), ns_of(m) - offset * 60 * 10**9, 1])
        lines.append(["read", "%Y-%m-%dT%H:%M:%S.%f%z", zoned.strftime("%Y-%m-%dT%H:%M:%S.%f%z"),
                      ns_of(m) - offset * 60 * 10**9])
    for zone_name in ZONES:
        zone = ZoneInfo(zone_name)
        moments = [random_moment(rng, 1975, 2036) for _ in range(40)]
        for hours in range(0, 24 * 366 * 2, 24):  # look for changes and test around them
            second = 1577836800 + hours * 3600
            before, after = (datetime.fromtimestamp(s, zone).utcoffset() for s in (second, second + 86400))
            if before != after:
                moments += [EPOCH + timedelta(seconds=second) + max(before, after) + timedelta(minutes=15 * k)
                            for k in range(96)]
        for local in moments:
            lines.append(["utc", zone_name, ns_of(local), ns_of(to_utc(zone, local))])
            here = local.replace(tzinfo=timezone.utc).astimezone(zone).replace(tzinfo=None)
            lines.append(["local", zone_name, ns_of(local), ns_of(here)])
    path = Path(__file__).with_name("datetime_vectors.txt")
    path.write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))


if __name__ == "__main__":
    main()
