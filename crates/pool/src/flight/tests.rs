//! How answers are read, message by message.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use postern_core::RoleName;
use proptest::prelude::*;

use super::*;
use crate::{Statement, TransactionOptions};

const ROW: (char, &[u8]) = ('D', b"\0\x01\0\0\0\x01x");
const COLUMN: (char, &[u8]) = ('T', b"\0\x01a\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0");
const DONE: (char, &[u8]) = ('C', b"SELECT 1\0");
const ENTERED: [(char, &[u8]); 3] = [('2', b""), ('D', b"\0\x01\0\0\0\0"), DONE];
const READY: (char, &[u8]) = ('Z', b"I");

fn error(severity: &str, code: &str) -> (char, &'static [u8]) {
    let body = format!("V{severity}\0C{code}\0Mm\0\0").into_bytes();
    ('E', Box::leak(body.into_boxed_slice()))
}

fn request(count: usize) -> Request {
    let statement = Statement { sql: Arc::from("select 1"), params: vec![] };
    Request {
        key: 0,
        role: RoleName::try_from("alice").unwrap(),
        facts: None,
        statements: vec![statement; count],
        transaction: TransactionOptions::default(),
        deadline: Instant::now() + Duration::from_mins(1),
        grace: Duration::ZERO,
    }
}

/// What a run of messages comes to: a word for each step that is not skipped.
fn fly(plan: Plan, closes: usize, count: usize, messages: &[(char, &[u8])]) -> Result<Vec<String>, Error> {
    let request = request(count);
    let mut plans = Plans::new(8, "p".into());
    let mut flight = Flight::new(plan, closes, count);
    let mut seen = Vec::new();
    for (tag, body) in messages {
        let frame = Frame { tag: u8::try_from(*tag).unwrap(), body: Bytes::copy_from_slice(body) };
        match flight.take(frame, &mut plans, &request)? {
            Step::Skip => {}
            Step::Event(Event::Columns(columns)) => seen.push(format!("columns {}", columns.len())),
            Step::Event(Event::Row(row)) => seen.push(format!("row {}", row.get(0).unwrap_or("null"))),
            Step::Event(Event::Complete(tag)) => seen.push(tag),
            Step::Event(Event::Empty) => seen.push("empty".into()),
            Step::Event(Event::Notice(notice)) => seen.push(format!("notice {}", notice.message)),
            Step::Event(Event::Committed) => unreachable!("said by the one who settles the connection"),
            Step::Ready(Ok(())) => seen.push("committed".into()),
            Step::Ready(Err(verdict)) | Step::Ended(verdict) => seen.push(match verdict {
                Verdict::Failed(error) => format!("failed {}", error.sqlstate()),
                Verdict::Fresh(error) => format!("fresh {}", error.sqlstate()),
                Verdict::Unkept(error) => format!("unkept {}", error.sqlstate()),
            }),
        }
    }
    Ok(seen)
}

fn run(count: usize, messages: &[(char, &[u8])]) -> Result<Vec<String>, Error> {
    fly(Plan::Unnamed, 0, count, messages)
}

fn kept() -> Plan {
    Plan::Kept { key: 1, name: "p1".into() }
}

/// `enter`, then these.
fn entered(rest: &[(char, &'static [u8])]) -> Vec<(char, &'static [u8])> {
    ENTERED.iter().chain(rest).copied().collect()
}

#[test]
fn an_answer_is_read_in_order() {
    let messages = entered(&[
        ('1', b""),
        ('2', b""),
        COLUMN,
        ROW,
        ROW,
        DONE,
        ('1', b""),
        ('2', b""),
        ('n', b""),
        ('I', b""),
        READY,
    ]);
    let expected = ["columns 1", "row x", "row x", "SELECT 1", "columns 0", "empty", "committed"];
    assert_eq!(run(2, &messages).unwrap(), expected);
}

#[test]
fn no_statement_is_a_request_too() {
    assert_eq!(run(0, &entered(&[READY])).unwrap(), ["committed"]);
}

#[test]
fn a_kept_statement_is_not_parsed_and_closes_are_acknowledged_first() {
    let messages =
        [&[('3', &b""[..]), ('3', b"")], &entered(&[('2', b""), ('n', b""), DONE, READY])[..]].concat();
    assert_eq!(fly(kept(), 2, 1, &messages).unwrap(), ["columns 0", "SELECT 1", "committed"]);
    assert!(fly(kept(), 1, 1, &messages).is_err(), "one close too many");
    assert!(fly(kept(), 3, 1, &messages).is_err(), "one close missing");
}

#[test]
fn the_name_of_a_kept_statement_is_told_to_nobody() {
    let message = "bind message supplies 1 parameters, but prepared statement \"p1\" requires 2";
    let body = format!("VERROR\0C08P01\0M{message}\0Dof p1\0\0");
    for plan in [kept(), Plan::Keep { key: 1, name: "p1".into() }] {
        let mut flight = Flight::new(plan, 0, 1);
        flight.stage = Stage::Bind;
        let (mut plans, request) = (Plans::new(8, "p".into()), request(1));
        let frame = |tag, body: &[u8]| Frame { tag, body: Bytes::copy_from_slice(body) };
        assert!(matches!(flight.take(frame(b'E', body.as_bytes()), &mut plans, &request), Ok(Step::Skip)));
        let Ok(Step::Ready(Err(Verdict::Failed(Error::Server(error))))) =
            flight.take(frame(b'Z', b"I"), &mut plans, &request)
        else {
            panic!("not an error")
        };
        assert_eq!(
            error.message,
            "bind message supplies 1 parameters, but prepared statement \"\" requires 2"
        );
        assert_eq!(error.detail.as_deref(), Some("of "));
    }
}

#[test]
fn an_error_after_complete_is_an_error() {
    let messages = entered(&[('1', b""), ('2', b""), ('n', b""), DONE, error("ERROR", "23505"), READY]);
    assert_eq!(run(1, &messages).unwrap(), ["columns 0", "SELECT 1", "failed 23505"]);
}

#[test]
fn the_first_error_is_the_cause_and_nothing_but_ready_follows() {
    let messages = entered(&[('1', b""), error("ERROR", "22012"), error("ERROR", "25P02"), READY]);
    assert_eq!(run(1, &messages).unwrap(), ["failed 22012"]);
    let messages = entered(&[('1', b""), error("ERROR", "22012"), ('2', b"")]);
    assert!(matches!(run(1, &messages), Err(Error::Protocol(_))));
}

#[test]
fn every_message_out_of_turn_is_an_error() {
    let whole = entered(&[('1', b""), ('2', b""), COLUMN, ROW, DONE, READY]);
    assert!(run(1, &whole).is_ok());
    for left_out in 0..whole.len() - 1 {
        let mut messages = whole.clone();
        let (tag, _) = messages.remove(left_out);
        let result = run(1, &messages);
        // A result may be empty; anything else has to be there.
        let may_miss = left_out == 6;
        assert_eq!(result.is_ok(), may_miss, "without message {left_out}, {tag}");
    }
    for position in 0..whole.len() {
        for odd in ['1', '2', '3', 's', 't', 'c', 'd', 'V', 'v', 'R', 'K', '\0'] {
            let mut messages = whole.clone();
            messages.insert(position, (odd, b""));
            assert!(run(1, &messages).is_err(), "{odd:?} before message {position}");
        }
    }
}

#[test]
fn ready_before_the_end_is_not_success() {
    for end in 0..8 {
        let mut messages = entered(&[('1', b""), ('2', b""), COLUMN, ROW, DONE])[..end].to_vec();
        messages.push(READY);
        assert!(matches!(run(1, &messages), Err(Error::Protocol(_))), "after {end} messages");
    }
}

#[test]
fn a_refusal_to_enter_is_an_answer_and_anything_else_asks_for_a_new_connection() {
    for code in ["42501", "42704", "22023", "53400", "22P02", "57014", "54001"] {
        assert_eq!(run(1, &[error("ERROR", code), READY]).unwrap(), [format!("failed {code}")]);
    }
    for code in ["26000", "55000", "XX000", "42883"] {
        assert_eq!(run(1, &[error("ERROR", code), READY]).unwrap(), [format!("fresh {code}")]);
    }
    let messages = entered(&[error("ERROR", "55000"), READY]);
    assert_eq!(run(1, &messages).unwrap(), ["failed 55000"], "after enter, it is the client's");
}

#[test]
fn a_kept_statement_that_does_not_fit_is_left_out_once_it_alone_failed() {
    for code in ["0A000", "26000"] {
        let messages = entered(&[error("ERROR", code), READY]);
        assert_eq!(fly(kept(), 0, 1, &messages).unwrap(), [format!("unkept {code}")]);
        assert_eq!(run(1, &messages).unwrap(), [format!("failed {code}")], "nothing was kept");
        let messages = entered(&[('2', b""), ('n', b""), error("ERROR", code), READY]);
        assert_eq!(fly(kept(), 0, 1, &messages).unwrap().last().unwrap(), &format!("failed {code}"));
    }
}

#[test]
fn a_server_that_goes_down_before_enter_has_run_nothing() {
    for code in ["57P01", "57P02", "57P03", "57P05"] {
        assert_eq!(run(1, &[error("FATAL", code)]).unwrap(), [format!("fresh {code}")]);
    }
    assert_eq!(run(1, &[error("FATAL", "53200")]).unwrap(), ["failed 53200"]);
    assert_eq!(run(1, &entered(&[error("FATAL", "57P01")])).unwrap(), ["failed 57P01"]);
    assert_eq!(run(1, &[ENTERED[0], error("FATAL", "57P01")]).unwrap(), ["failed 57P01"]);
}

#[test]
fn a_server_that_goes_down_at_the_commit_leaves_it_unknown() {
    let messages = entered(&[('1', b""), ('2', b""), ('n', b""), DONE, error("FATAL", "57P01")]);
    assert_eq!(run(1, &messages).unwrap().last().unwrap(), "failed 08007");
}

#[test]
fn a_row_has_the_columns_that_were_described() {
    let messages = entered(&[('1', b""), ('2', b""), COLUMN, ('D', b"\0\0")]);
    assert!(matches!(run(1, &messages), Err(Error::Protocol(_))));
    let messages = entered(&[('1', b""), ('2', b""), COLUMN, ('D', b"\0\x01\0\0\0\x01\xe9")]);
    assert_eq!(run(1, &messages), Err(Error::Encoding));
}

#[test]
fn copy_is_refused() {
    for tag in ['G', 'H', 'W'] {
        assert_eq!(
            run(1, &entered(&[('1', b""), ('2', b""), ('n', b""), (tag, b"\0\0\0")])),
            Err(Error::Copy)
        );
    }
}

#[test]
fn notices_are_those_of_the_statements_and_not_without_end() {
    let notice: (char, &'static [u8]) = ('N', b"VNOTICE\0C00000\0Mhi\0\0");
    let mut messages = vec![notice];
    messages.extend(entered(&[('1', b""), notice, ('2', b""), ('n', b"")]));
    messages.extend(vec![notice; 1000]);
    messages.extend([DONE, READY]);
    let seen = run(1, &messages).unwrap();
    assert_eq!(seen.iter().filter(|step| *step == "notice hi").count(), MAX_NOTICES);
    assert_eq!(seen.first().unwrap(), "notice hi", "the one before enter is not the request's");
    assert_eq!(seen.last().unwrap(), "committed");

    let long: &'static [u8] = Box::leak(format!("VNOTICE\0M{}\0\0", "x".repeat(60_000)).into_bytes().into());
    let messages = entered(&[('1', b""), ('N', long), ('N', long), notice, ('2', b"")]);
    assert_eq!(run(1, &messages).unwrap().len(), 1, "the second one is over the limit of bytes");
}

#[test]
fn a_statement_is_kept_when_the_server_has_parsed_it() {
    let request = request(1);
    let mut plans = Plans::new(8, "p".into());
    plans.choose(&request.role, &request.statements[0]);
    let plan = plans.choose(&request.role, &request.statements[0]);
    let mut flight = Flight::new(plan, 0, 1);
    let mut take = |messages: &[(char, &[u8])], plans: &mut Plans| {
        for (tag, body) in messages {
            let frame = Frame { tag: u8::try_from(*tag).unwrap(), body: Bytes::copy_from_slice(body) };
            flight.take(frame, plans, &request).unwrap();
        }
    };
    take(&ENTERED, &mut plans);
    assert!(matches!(plans.choose(&request.role, &request.statements[0]), Plan::Keep { .. }));
    take(&[('1', b"")], &mut plans);
    assert!(matches!(plans.choose(&request.role, &request.statements[0]), Plan::Kept { .. }));
}

/// Bytes of any kind, and messages that are nearly right.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let message =
        (prop::sample::select(b"123AcCdDEGHIKnNRsSTtvVWZ\0".to_vec()), any::<Vec<u8>>(), any::<u8>());
    let message = message.prop_map(|(tag, body, kind)| {
        let body = match kind % 5 {
            0 => vec![],
            1 => b"\0\x01\0\0\0\x01x".to_vec(),
            2 => b"SELECT 1\0".to_vec(),
            3 => b"I".to_vec(),
            _ => body,
        };
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag][..], &length, &body].concat()
    });
    prop::collection::vec(prop_oneof![8 => message, 1 => any::<Vec<u8>>()], 0..30)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_cause_a_panic_or_a_false_success(bytes in noise(), is_entered in any::<bool>()) {
        let request = request(2);
        let mut plans = Plans::new(8, "p".into());
        let mut flight = Flight::new(Plan::Unnamed, 0, 2);
        if is_entered {
            for (tag, body) in ENTERED {
                let frame = Frame { tag: u8::try_from(tag).unwrap(), body: Bytes::from_static(body) };
                flight.take(frame, &mut plans, &request).unwrap();
            }
        }
        let mut input = BytesMut::from(&bytes[..]);
        let mut ends = 0;
        while let Ok(Some(frame)) = wire::frame(&mut input, 1 << 16) {
            match flight.take(frame, &mut plans, &request) {
                Ok(Step::Event(Event::Complete(_) | Event::Empty)) => ends += 1,
                Ok(Step::Event(Event::Row(row))) => prop_assert_eq!(row.cells().count(), row.len()),
                Ok(Step::Event(_) | Step::Skip) => {}
                Ok(Step::Ready(Ok(()))) => {
                    prop_assert_eq!(ends, 2);
                    break;
                }
                Ok(Step::Ready(Err(_)) | Step::Ended(_)) | Err(_) => break,
            }
        }
    }
}
