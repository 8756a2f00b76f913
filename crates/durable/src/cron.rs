//! Cron expressions, as cron(5) and pg_cron read them.
//!
//! Minute, hour, day of month, month, day of week; 0 and 7 are Sunday, months and days have names, `@daily` and its
//! like are known, a sixth field in front is seconds. `$` or `L` is the last day of a month. Of a day of month and a
//! day of week that both are restricted one is enough; a field that begins with `*` does not restrict. In front may
//! stand `CRON_TZ=Europe/Berlin`; without it UTC counts.
//!
//! **When the clocks change**: a schedule whose hour is `*` follows the clock on the wall: what it shows twice happens
//! twice. A schedule with given hours runs once a day whatever happens: a time that is left out comes at the moment of
//! the change, a time that comes twice counts the first time.
//!
//! **How**: between two changes of the offset local time and instants differ by a constant, so each such stretch is
//! searched by the calendar alone.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::Error;

/// A schedule that was read.
#[derive(Debug, Clone)]
pub struct Schedule {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    last_day: bool,
    months: u64,
    weekdays: u64,
    /// One of the two days is enough.
    either_day: bool,
    /// The hour is `*`.
    every_hour: bool,
    zone: TimeZone,
}

const DAY: i64 = 86_400;

impl Schedule {
    /// Reads an expression; refuses one that never comes.
    pub fn parse(expression: &str) -> Result<Self, Error> {
        read(expression).map_err(|reason| Error::Cron { expression: expression.into(), reason })
    }

    /// The first tick after an instant, both in microseconds since 1970 in UTC. None at the end of the calendar.
    pub fn next_after(&self, micros: i64) -> Option<i64> {
        self.next_second(micros.div_euclid(1_000_000).checked_add(1)?)?.checked_mul(1_000_000)
    }

    /// The first tick at `from` or later, in seconds.
    fn next_second(&self, mut from: i64) -> Option<i64> {
        loop {
            let now = Timestamp::from_second(from).ok()?;
            let offset = i64::from(self.zone.to_offset(now).seconds());
            let end = self.zone.following(now).next().map(|change| change.timestamp().as_second());
            let mut local = from + offset;
            if !self.every_hour {
                // A second later, so that a change right now is found.
                let next = Timestamp::from_second(from + 1).ok()?;
                if let Some(start) =
                    self.zone.preceding(next).next().map(|change| change.timestamp().as_second())
                {
                    let before = Timestamp::from_second(start - 1).ok()?;
                    let before = i64::from(self.zone.to_offset(before).seconds());
                    if from == start
                        && self.next_local(start + before).is_some_and(|tick| tick < start + offset)
                    {
                        return Some(start);
                    }
                    local = local.max(start + before.max(offset));
                }
            }
            let tick = self.next_local(local)?;
            match end {
                // After the change the wall clock may show again what is behind us: no skipping ahead.
                Some(end) if tick - offset >= end => from = end,
                _ => return Some(tick - offset),
            }
        }
    }

    /// The first local time at `from` or later that fits, in seconds as if it were UTC.
    fn next_local(&self, from: i64) -> Option<i64> {
        let mut day = from.div_euclid(DAY);
        let mut second = from.rem_euclid(DAY);
        let first = date(day)?;
        // The calendar repeats itself after 400 years.
        let limit = first.year().saturating_add(400);
        let mut at = first;
        while at.year() <= limit {
            if self.months & bit(at.month()) == 0 {
                let rest = i64::from(at.days_in_month() - at.day()) + 1;
                (day, second) = (day + rest, 0);
            } else {
                if self.has_day(at)
                    && let Some(tick) = self.time_of_day(second)
                {
                    return Some(day * DAY + tick);
                }
                (day, second) = (day + 1, 0);
            }
            at = date(day)?;
        }
        None
    }

    fn has_day(&self, at: Date) -> bool {
        let by_date = self.days & bit(at.day()) != 0 || (self.last_day && at.day() == at.days_in_month());
        let by_weekday = self.weekdays & bit(at.weekday().to_sunday_zero_offset()) != 0;
        if self.either_day { by_date || by_weekday } else { by_date && by_weekday }
    }

    /// The first fitting second of a day at `from` or later.
    fn time_of_day(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3600, from / 60 % 60, from % 60);
        let in_minute = |from| next_bit(self.seconds, from);
        let in_hour = |minute: i64, second: i64| {
            if self.minutes & (1 << minute) != 0
                && let Some(second) = in_minute(second)
            {
                return Some(minute * 60 + second);
            }
            Some(next_bit(self.minutes, minute + 1)? * 60 + in_minute(0)?)
        };
        if self.hours & (1 << hour) != 0
            && let Some(rest) = in_hour(minute, second)
        {
            return Some(hour * 3600 + rest);
        }
        let hour = next_bit(self.hours, hour + 1)?;
        Some(hour * 3600 + next_bit(self.minutes, 0)? * 60 + in_minute(0)?)
    }
}

fn date(day: i64) -> Option<Date> {
    Timestamp::from_second(day.checked_mul(DAY)?).ok().map(|at| TimeZone::UTC.to_datetime(at).date())
}

fn bit(number: i8) -> u64 {
    u8::try_from(number).map_or(0, |number| 1 << number)
}

/// The lowest number in a set that is at least `from`.
fn next_bit(set: u64, from: i64) -> Option<i64> {
    let from = u32::try_from(from).ok().filter(|from| *from < 64)?;
    let rest = set >> from << from;
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

/// What a field may hold.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
    /// The number of the first name.
    first: u8,
}

const SECOND: Field = Field { name: "second", low: 0, high: 59, names: &[], first: 0 };
const MINUTE: Field = Field { name: "minute", low: 0, high: 59, names: &[], first: 0 };
const HOUR: Field = Field { name: "hour", low: 0, high: 23, names: &[], first: 0 };
const DAY_OF_MONTH: Field = Field { name: "day of month", low: 1, high: 31, names: &[], first: 1 };
const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    first: 1,
};
const DAY_OF_WEEK: Field = Field {
    name: "day of week",
    low: 0,
    high: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    first: 0,
};

fn read(expression: &str) -> Result<Schedule, String> {
    let mut text = expression.trim();
    let mut zone = TimeZone::UTC;
    if let Some(rest) = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        let (name, fields) =
            rest.split_once(char::is_whitespace).ok_or("there are no fields behind the time zone")?;
        zone = TimeZone::get(name).map_err(|_| format!("time zone '{name}' is not known"))?;
        text = fields.trim();
    }
    let text = if text.starts_with('@') { named(text)? } else { text };
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    let [second, minute, hour, day, month, weekday] = fields[..] else {
        return Err(format!("expected 5 fields, found {}", fields.len()));
    };
    let (day_set, last_day) = days(day)?;
    let mut weekdays = set(weekday, &DAY_OF_WEEK)?;
    if weekdays & (1 << 7) != 0 {
        weekdays = (weekdays | 1) & 0x7f;
    }
    let free = |field: &str| field.starts_with(['*', '?']);
    let schedule = Schedule {
        seconds: set(second, &SECOND)?,
        minutes: set(minute, &MINUTE)?,
        hours: set(hour, &HOUR)?,
        days: day_set,
        last_day,
        months: set(month, &MONTH)?,
        weekdays,
        either_day: !free(day) && !free(weekday),
        every_hour: hour.starts_with('*'),
        zone,
    };
    let possible = schedule.either_day
        || schedule.last_day
        || (1..=12_u8).any(|month| {
            let longest = match month {
                2 => 29,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            schedule.months & (1 << month) != 0
                && next_bit(schedule.days, 0).is_some_and(|day| day <= longest)
        });
    if possible { Ok(schedule) } else { Err("no month that it names has such a day".into()) }
}

fn named(text: &str) -> Result<&'static str, String> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => return Err(format!("'{text}' is not known")),
    })
}

/// Days of a month, and whether the last one is among them.
fn days(field: &str) -> Result<(u64, bool), String> {
    let last = |item: &&str| matches!(*item, "$" | "L" | "l");
    if !field.split(',').any(|item| last(&item)) {
        return Ok((set(field, &DAY_OF_MONTH)?, false));
    }
    let rest: Vec<_> = field.split(',').filter(|item| !last(item)).collect();
    let rest = if rest.is_empty() { 0 } else { set(&rest.join(","), &DAY_OF_MONTH)? };
    Ok((rest, true))
}

/// The set of numbers that a field means: a list of ranges with steps.
fn set(text: &str, field: &Field) -> Result<u64, String> {
    let mut found = 0_u64;
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u8>().ok().filter(|step| *step > 0);
                (range, step.ok_or_else(|| format!("the step in '{item}' must be a number from 1 to 255"))?)
            }
            None => (item, 1),
        };
        let stepped = range.len() < item.len();
        let (low, high) =
            if range == "*" || (range == "?" && matches!(field.name, "day of month" | "day of week")) {
                // Sunday twice would spoil a step.
                (field.low, if field.high == 7 { 6 } else { field.high })
            } else if let Some((low, high)) = range.split_once('-') {
                let low = number(low, field)?;
                let mut high = number(high, field)?;
                if high == 0 && low > 0 && field.high == 7 {
                    high = 7;
                }
                (low, high)
            } else {
                let low = number(range, field)?;
                (low, if stepped { field.high.max(low) } else { low })
            };
        if low > high {
            return Err(format!("the range '{range}' of {} runs backwards", field.name));
        }
        for value in (low..=high).step_by(usize::from(step)) {
            found |= 1 << value;
        }
    }
    Ok(found)
}

fn number(text: &str, field: &Field) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let by_name =
        field.names.iter().zip(field.first..).find(|(name, _)| **name == lower).map(|(_, value)| value);
    let by_digits = || text.parse::<u8>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    match by_name.or_else(by_digits) {
        Some(value) if (field.low..=field.high).contains(&value) => Ok(value),
        _ => Err(format!("{} '{text}' is not between {} and {}", field.name, field.low, field.high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    /// The next ticks, in UTC.
    fn ticks(expression: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(expression).unwrap();
        let mut at = seconds(from) * 1_000_000;
        (0..count)
            .map(|_| {
                at = schedule.next_after(at).unwrap();
                Timestamp::from_microsecond(at).unwrap().to_string()
            })
            .collect()
    }

    fn reason(expression: &str) -> String {
        Schedule::parse(expression).unwrap_err().to_string()
    }

    #[test]
    fn weekdays_are_monday_to_friday() {
        // 2026-11-25 is a Wednesday.
        assert_eq!(
            ticks("30 9 * * 1-5", "2026-11-25T10:00:00Z", 3),
            ["2026-11-26T09:30:00Z", "2026-11-27T09:30:00Z", "2026-11-30T09:30:00Z"]
        );
        for sunday in ["0 0 * * 0", "0 0 * * 7", "0 0 * * Sun", "@weekly"] {
            assert_eq!(ticks(sunday, "2026-11-25T10:00:00Z", 1), ["2026-11-29T00:00:00Z"], "{sunday}");
        }
        assert_eq!(ticks("0 0 * * fri-sun", "2026-11-29T00:00:00Z", 1), ["2026-12-04T00:00:00Z"]);
    }

    #[test]
    fn lists_steps_names_and_the_last_day() {
        assert_eq!(
            ticks("*/20,59 0 * JAN,6 *", "2026-05-31T23:50:00Z", 4),
            ["2026-06-01T00:00:00Z", "2026-06-01T00:20:00Z", "2026-06-01T00:40:00Z", "2026-06-01T00:59:00Z"]
        );
        assert_eq!(
            ticks("0 0 $ 2 *", "2027-01-01T00:00:00Z", 2),
            ["2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]
        );
        assert_eq!(ticks("15 30 4 1 * *", "2026-11-25T00:00:00Z", 1), ["2026-12-01T04:30:15Z"]);
        // Either day is enough when both are given.
        assert_eq!(
            ticks("0 0 13 * 5", "2026-11-12T00:00:00Z", 2),
            ["2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]
        );
        assert_eq!(ticks("0 0 29 2 *", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(reason("* * *"), "Invalid cron expression '* * *': expected 5 fields, found 3");
        assert_eq!(
            reason("61 * * * *"),
            "Invalid cron expression '61 * * * *': minute '61' is not between 0 and 59"
        );
        assert_eq!(
            reason("0 0 30 2 *"),
            "Invalid cron expression '0 0 30 2 *': no month that it names has such a day"
        );
        for bad in [
            "",
            "@reboot",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
            "+1 * * * *",
            "1, * * * *",
            "CRON_TZ=Nowhere/At_All * * * * *",
            "CRON_TZ=UTC",
            "0 0 31 4,6 *",
        ] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_given_hour_comes_once_when_the_clocks_change() {
        // In Berlin 02:00 became 03:00 on 2026-03-29, and 03:00 became 02:00 on 2026-10-25, both at 01:00 UTC.
        let night = "CRON_TZ=Europe/Berlin 30 2 * * *";
        assert_eq!(
            ticks(night, "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            ticks(night, "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        assert_eq!(
            ticks("CRON_TZ=Europe/Berlin 30 * * * *", "2026-10-25T00:00:00Z", 3),
            ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
        );
        assert_eq!(
            ticks("CRON_TZ=Europe/Berlin 30 * * * *", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn a_day_that_was_left_out() {
        // Samoa had no 30 December 2011: at 10:00 UTC the 29th became the 31st.
        assert_eq!(
            ticks("CRON_TZ=Pacific/Apia 0 12 * * *", "2011-12-29T21:00:00Z", 3),
            ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]
        );
    }

    #[test]
    fn the_last_hour_of_a_day_comes_twice() {
        // In São Paulo 24:00 of Saturday, 17 February 2018, became 23:00, at 02:00 UTC.
        assert_eq!(
            ticks("CRON_TZ=America/Sao_Paulo 0 * * * 6", "2018-02-18T00:30:00Z", 3),
            ["2018-02-18T01:00:00Z", "2018-02-18T02:00:00Z", "2018-02-24T03:00:00Z"]
        );
    }

    /// By looking at every minute: the local times that fit, each mapped to its instant.
    fn brute(schedule: &Schedule, from: i64, to: i64) -> Vec<i64> {
        let mut found = Vec::new();
        let mut high = i64::MIN;
        let local =
            |at: i64| at + i64::from(schedule.zone.to_offset(Timestamp::from_second(at).unwrap()).seconds());
        let fits = |local: i64| {
            schedule.has_day(date(local.div_euclid(DAY)).unwrap())
                && schedule.minutes & (1 << (local / 60 % 60)) != 0
                && schedule.hours & (1 << (local / 3600 % 24)) != 0
        };
        for at in (from..to).step_by(60) {
            let (was, now) = (local(at - 60), local(at));
            high = high.max(was);
            let fresh = now > high || schedule.every_hour;
            let left_out = !schedule.every_hour && (was + 60..now).step_by(60).any(fits);
            if left_out || (fresh && fits(now)) {
                found.push(at);
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn next_is_what_looking_at_every_minute_finds(
            minute in prop::sample::select(vec!["0", "30", "*/15", "5,50", "*"]),
            hour in prop::sample::select(vec!["*", "2", "1-3", "*/2", "23,0", "0"]),
            day in prop::sample::select(vec!["*", "29", "1,25", "$", "*/2"]),
            weekday in prop::sample::select(vec!["*", "0", "1-5", "6"]),
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]),
            // Around the changes of spring and autumn 2018.
            start in prop::sample::select(vec!["2018-03-23T00:00:00Z", "2018-10-25T00:00:00Z", "2018-11-02T00:00:00Z", "2018-03-09T00:00:00Z", "2018-10-04T00:00:00Z", "2018-02-15T00:00:00Z"]),
        ) {
            let schedule = Schedule::parse(&format!("CRON_TZ={zone} {minute} {hour} {day} * {weekday}")).unwrap();
            let (from, to) = (seconds(start), seconds(start) + 5 * DAY);
            let mut found = Vec::new();
            let mut at = from - 1;
            while let Some(next) = schedule.next_after(at * 1_000_000) {
                at = next / 1_000_000;
                if at >= to {
                    break;
                }
                found.push(at);
            }
            prop_assert_eq!(found, brute(&schedule, from, to));
        }

        #[test]
        fn nothing_panics(text in "(CRON_TZ=Europe/Berlin )?[0-9*/,$L?a-z@-]{1,5}( [0-9*/,$L?-]{1,5}){0,5}", at: i64) {
            if let Some(next) = Schedule::parse(&text).ok().and_then(|schedule| schedule.next_after(at)) {
                prop_assert!(next > at);
            }
        }
    }
}
