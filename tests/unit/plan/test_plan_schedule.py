import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullbore.plan.schedule import ScheduleError, longest_gap_s, shortest_gap_s

HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("schedule", "shortest", "longest"),
    [
        ("rate(1 hour)", HOUR, HOUR),
        ("rate(90 minutes)", 5400, 5400),
        ("rate(2 days)", 2 * DAY, 2 * DAY),
        ("cron(0 * * * ? *)", HOUR, HOUR),
        ("cron(*/10 * * * ? *)", 600, 600),
        ("cron(0,5 * * * ? *)", 300, 3300),
        ("cron(15 */4 * * ? *)", 4 * HOUR, 4 * HOUR),
        ("cron(0 22 ? * MON-FRI *)", DAY, 3 * DAY),
        ("cron(0 3 ? * 1 *)", 7 * DAY, 7 * DAY),
        ("cron(0 3 1 * ? *)", DAY, 31 * DAY),
    ],
)
def test_gaps(schedule: str, shortest: int, longest: int) -> None:
    assert (shortest_gap_s(schedule), longest_gap_s(schedule)) == (shortest, longest)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("hourly", "neither"),
        ("rate(0 hours)", "neither"),
        ("cron(0 * * * *)", "5 fields"),
        ("cron(60 * * * ? *)", "as minute, allowed 0 to 59"),
        ("cron(0 24 * * ? *)", "as hour"),
        ("cron(0 0 ? * FOO *)", "as day of week"),
        ("cron(0 9-8 * * ? *)", "ends before it begins"),
        ("cron(*/0 * * * ? *)", "as minute"),
    ],
)
def test_what_is_no_schedule(schedule: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        shortest_gap_s(schedule)


@given(st.text(alphabet="cronrate()*?/,-0123456789 MONFRI", max_size=40))
def test_any_text_is_a_schedule_or_an_error(text: str) -> None:
    try:
        gaps = (shortest_gap_s(text), longest_gap_s(text))
    except ScheduleError:
        return
    assert 0 < gaps[0] <= gaps[1]
