"""Numbers, dates, times and prices as people write them."""

from __future__ import annotations

import random


def each(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


UNITS = each(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
TENS = each("twenty thirty forty fifty sixty seventy eighty ninety")
MONTHS = each(
    "January February March April May June July August September October November December"
)
DAYS = each("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")


def in_words(number: int) -> str:
    """`number` below 100 spelt out: 34 is "thirty-four"."""
    if number < 20:
        return UNITS[number]
    tens, unit = TENS[number // 10 - 2], number % 10
    return f"{tens}-{UNITS[unit]}" if unit else tens


def ordinal(number: int) -> str:
    """`number` with its ending: 1st, 22nd, 13th."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if 10 <= number % 100 <= 20 else ending}"


def date(rng: random.Random) -> str:
    """A date in one of many styles."""
    day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1990, 2035)
    name = MONTHS[month - 1]
    styles = [
        f"{day} {name}",
        f"{day} {name}",
        f"{name} {day}",
        f"{name} {ordinal(day)}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{year}-{month:02}-{day:02}",
        f"{year}-{month:02}-{day:02}",
        f"{day:02}/{month:02}/{year}",
        f"{day}.{month}.{year}",
        f"{day} {name[:3]}",
    ]
    return rng.choice(styles)


def clock(rng: random.Random) -> str:
    """A time of day."""
    hour, minute = rng.randint(6, 23), rng.choice([0, 0, 5, 10, 15, 20, 30, 30, 40, 45, 50])
    small = (hour - 1) % 12 + 1
    half = "am" if hour < 12 else "pm"
    styles = [
        f"{hour:02}:{minute:02}",
        f"{hour:02}:{minute:02}",
        f"{hour}:{minute:02}",
        f"{small} {half}",
        f"{small} {half}",
        f"{small}{half}",
        f"{small}:{minute:02} {half}",
        f"{small} o'clock",
        "noon" if hour == 12 else f"{small} {half}",
    ]
    return rng.choice(styles)


def amount(rng: random.Random, top: int = 400) -> tuple[int | float, str]:
    """A price and how it is written, without a currency."""
    whole = int(top ** rng.random()) + rng.randint(1, 9)
    if rng.random() < 0.45:
        return whole, str(whole)
    cents = rng.choice([50, 50, 99, 95, 25, 75, 90, 49, 20, 80, 40, rng.randint(1, 98)])
    text = f"{whole}.{cents:02}"
    return float(text), text


def money(rng: random.Random, text: str) -> str:
    """An amount with its currency."""
    sign = rng.choice(["${}", "${}", "€{}", "£{}", "{} €"])
    word = rng.choice(each("euros euros dollars dollars pounds EUR USD francs crowns yen pesos"))
    return rng.choice([sign.format(text), f"{text} {word}"])


def phone(rng: random.Random) -> str:
    """A made-up telephone number."""

    def digits(n: int) -> str:
        return "".join(str(rng.randint(0, 9)) for _ in range(n))

    styles = [
        f"555-{digits(4)}",
        f"0{digits(3)} {digits(3)} {digits(2)} {digits(2)}",
        f"0{digits(4)} {digits(6)}",
        f"+{rng.randint(20, 99)} {digits(3)} {digits(4)}",
        f"({digits(3)}) {digits(3)}-{digits(4)}",
        f"{digits(3)}-{digits(3)}-{digits(4)}",
        digits(rng.randint(6, 10)),
    ]
    return rng.choice(styles)


def code(rng: random.Random) -> str:
    """A short reference such as a flight number."""
    letters = "".join(rng.choice("ABCDEFGHJKLMNPRSTUVWXZ") for _ in range(rng.randint(1, 3)))
    joint = rng.choice(["", "", "", "-", " "])
    return f"{letters}{joint}{rng.randint(10, 9999)}"
