//! A function as the expression that builds it.

use crate::shape::{Expr, Shape as S, Use};

/// What all functions use.
pub const SCHEMA: &str = "
    create schema app;
    create table app.mark(run int not null, id int not null, key text not null, val int, note text,
        who name default current_user, seq bigint generated always as identity);
    create index on app.mark(run, id);
    create function app.seen(run int, id int, key text) returns int stable language sql as
        'select count(*)::int from app.mark m where m.run = $1 and m.id = $2 and m.key = $3';
    create function app.boom(id int) returns int language plpgsql as $$
        begin
            raise exception using message = 'boom ' || id, errcode = (array['P0001', '22023', '40001'])[1 + id % 3];
        end $$;
    create function app.until(run int, id int, key text, n int) returns int language plpgsql as $$
        begin
            if app.seen(run, id, key) <= n then raise exception 'not yet %', id; end if;
            return n;
        end $$;
    create table app.gate(run int, id int, open bool);
";

pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Of one run: its number, and the maps around the step that is written.
#[derive(Debug, Clone)]
pub struct Writer {
    pub run: u32,
    items: Vec<u32>,
    /// Operators instead of functions.
    operators: bool,
}

impl Writer {
    pub fn new(run: u32) -> Self {
        Self { run, items: Vec::new(), operators: run.is_multiple_of(2) }
    }

    fn key(&self) -> String {
        let parts: Vec<String> = self.items.iter().map(|item| format!("$i{item}.k::text")).collect();
        if parts.is_empty() { "''".into() } else { parts.join(" || '.' || ") }
    }

    fn expr(expr: &Expr) -> String {
        let mut all = expr.constant.to_string();
        for used in &expr.uses {
            let text = match used {
                Use::Column(name) => format!("${name}.v"),
                Use::Optional(name) => format!("coalesce(${name}.v?, 3)"),
                Use::Sum(name) => format!("(select coalesce(sum(v), 0) from ${name}.*)"),
                Use::Data(name) => format!("${name}.data"),
                Use::Late(name) => format!("(case when ${name}.timed_out then 5 else 2 end)"),
                Use::Length(name) => format!("jsonb_array_length(${name}::jsonb)"),
                Use::Item(item) => format!("$i{item}.v"),
                Use::Variable => "{weight}".into(),
            };
            all = format!("{all} + {text}");
        }
        format!("(({all}) % 10007)::int")
    }

    fn both(&self, function: &str, operator: &str, a: &S, b: &S) -> String {
        let (a, b) = (self.write(a), self.write(b));
        if self.operators { format!("({a} {operator} {b})") } else { format!("df.{function}({a}, {b})") }
    }

    fn several(&self, function: &str, all: &[S]) -> String {
        let all: Vec<String> = all.iter().map(|shape| self.write(shape)).collect();
        format!("df.{function}(array[{}]::text[])", all.join(", "))
    }

    pub fn write(&self, shape: &S) -> String {
        let run = self.run;
        let leaf = |sql: String| {
            if self.operators {
                format!("{}::text", literal(&sql))
            } else {
                format!("df.sql({})", literal(&sql))
            }
        };
        match shape {
            S::Mark { id, expr, error } => {
                let note = if *error { "$error.message" } else { "null" };
                leaf(format!(
                    "insert into app.mark(run, id, key, val, note) values ({run}, {id}, {}, {}, {note}) returning val as v",
                    self.key(),
                    Self::expr(expr)
                ))
            }
            S::Spoil { id } => leaf(format!(
                "insert into app.mark(run, id, key) values ({run}, {id}, {}) returning app.boom({id}) as v",
                self.key()
            )),
            S::Pick { expr } => leaf(format!("select {} as v", Self::expr(expr))),
            S::Odd { expr } => leaf(format!("select {} % 2 = 1 as b", Self::expr(expr))),
            S::Below { of, count } => {
                leaf(format!("select app.seen({run}, {of}, {}) < {count} as b", self.key()))
            }
            S::Boom { id } => leaf(format!("select app.boom({id}) as v")),
            S::Until { of, count } => {
                leaf(format!("select app.until({run}, {of}, {}, {count}) as v", self.key()))
            }
            S::Rows { count, add } => leaf(Self::rows(*count, *add)),
            S::Sleep { millis } => format!("df.sleep(interval '{millis} ms')"),
            S::Wait { signal } => format!("df.wait_for_signal({})", literal(signal)),
            S::Brief => "df.wait_for_signal('brief', 1)".into(),
            S::Forever => "df.wait_for_signal('never')".into(),
            S::Break { value } => {
                format!("df.break({})", value.map_or_else(|| "null".into(), |value| format!("'{value}'")))
            }
            S::Seq(a, b) => self.both("seq", "~>", a, b),
            S::As(step, name) => {
                let step = self.write(step);
                if self.operators {
                    format!("({step} |=> '{name}')")
                } else {
                    format!("df.as({step}, '{name}')")
                }
            }
            S::If(c, a, b) => format!("df.if({}, {}, {})", self.write(c), self.write(a), self.write(b)),
            S::IfRows(name, a, b) => format!("df.if_rows('{name}', {}, {})", self.write(a), self.write(b)),
            S::Join(all) if all.len() == 2 => self.both("join", "&", &all[0], &all[1]),
            S::Join(all) => self.several("all", all),
            S::Race(all) if all.len() == 2 => self.both("race", "|", &all[0], &all[1]),
            S::Race(all) => self.several("race_all", all),
            S::First(all) => self.several("first", all),
            S::Loop(body, None) => format!("df.loop({})", self.write(body)),
            S::Loop(body, Some(condition)) => {
                format!("df.loop({}, {})", self.write(body), self.write(condition))
            }
            S::Map { rows, add, concurrency, item, body } => {
                let mut inside = self.clone();
                inside.items.push(*item);
                format!(
                    "df.map({}, {}, {concurrency}, 'i{item}')",
                    literal(&Self::rows(*rows, *add)),
                    inside.write(body)
                )
            }
            S::Retry { step, attempts, only } => {
                let only = only.as_ref().map_or_else(|| "null".into(), |code| format!("array['{code}']"));
                format!("df.retry({}, {attempts}, interval '2 ms', on_error => {only})", self.write(step))
            }
            S::Catch(a, b) => format!("df.catch({}, {})", self.write(a), self.write(b)),
            S::Timeout { step, millis } => {
                format!("df.timeout({}, interval '{millis} ms')", self.write(step))
            }
            S::Compensate(a, b) => format!("df.compensate({}, {})", self.write(a), self.write(b)),
            S::Call(step) => format!("df.call({})", self.write(step)),
        }
    }

    fn rows(count: u32, add: i64) -> String {
        format!("select g as k, (g * 10 + {add})::int as v from generate_series(1, {count}) g order by g")
    }
}
