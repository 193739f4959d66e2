"""The days of a simulated year."""

HOUR = 3600.0
DAY = 24 * HOUR
_FIRST_WEEKDAY = 3  # the simulated time begins on a Thursday
_MONDAY, _SATURDAY = 0, 5


def weekday(day):
    return (_FIRST_WEEKDAY + day) % 7


def is_working(day):
    return weekday(day) < _SATURDAY


def is_monday(day):
    return weekday(day) == _MONDAY


def working_days(days):
    return [day for day in range(days) if is_working(day)]
