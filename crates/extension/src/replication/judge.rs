//! Judges what a statement has touched.

use pgrx::pg_sys;
use postern_core::trigger_rule::{self, Actor, Decision, Facts, Level, Reason, Replaced, Setting};

use super::pending::{self, Changed, Created, Pending, Touched, class};
use super::refusal::Refusal;
use crate::error::{Error, raise};
use crate::guc::{TRIGGER_RULE, TriggerRule};
use crate::pg::query::{self, Arg, Row};
use crate::pg::{catalog, log, member, role, snapshot, table, trigger};

/// A statement is through: judges what it has touched, and raises or warns.
pub fn judge() {
    // Our own script is judged when it is through: before, what we ask may not be there.
    if pending::is_empty() || trigger::in_script_of(catalog::extension()) {
        return;
    }
    let pending = pending::take();
    let setting = setting();
    if setting == Setting::Off || trigger::upgrading() || !is_there() {
        return;
    }
    settle(&pending.touched);
    if member::any() {
        hold(&pending);
    }
    member::refresh();
    snapshot::with_latest(|| {
        for created in &pending.created {
            if !is_plain(*created) {
                judge_trigger(*created, setting);
            }
        }
        if member::any() {
            let touched: Vec<Touched> = pending.touched.into_iter().filter(matters).collect();
            judge_touched(&touched, setting);
            pending
                .changed
                .iter()
                .filter(|changed| member::is_replicated(changed.relation))
                .for_each(log_change);
        }
    });
}

/// Whether a trigger is allowed on every table, replicated or not, by what the caches say: its function is the owner's, SECURITY
/// DEFINER or the server's, and nothing else about it asks for a closer look.
fn is_plain(created: Created) -> bool {
    let Some(made) = trigger::before(created.oid) else { return false };
    let Some(function) = trigger::function(made.function) else { return false };
    let Some((table_owner, _)) = trigger::relation_before(made.relation) else { return false };
    let same = function.owner == table_owner;
    let trusted = trigger::came_with_the_server(made.function);
    // A clause has functions of its own, a setting may be the role, and what fires on apply may fire at the wrong moment.
    if made.internal
        || made.conditional
        || function.sets
        || made.enabled != b'O'
        || !(same || function.definer || trusted)
    {
        return made.internal;
    }
    let facts = Facts {
        actor: actor(created.actor),
        inherits_owner: role::has_privileges_of(created.actor, table_owner),
        function_owner_is_table_owner: same,
        security_definer: function.definer,
        trusted,
        when_safe: true,
        eligible: true,
        member: true,
        replaced: replaced(created, function.owner),
    };
    matches!(trigger_rule::decide(&facts), Decision::Allow(_))
}

/// What it takes the place of.
fn replaced(created: Created, function_owner: pg_sys::Oid) -> Option<Replaced> {
    created.before.map(|before| Replaced {
        same_function_owner: created.owner_before == function_owner,
        origin: before.enabled == b'O',
    })
}

/// Whether what was touched can be of a replicated table, in a database that has such. It may be of all of them, if it is no
/// table's.
fn matters(touched: &Touched) -> bool {
    match touched.class {
        // The columns of a composite type, or of a table that is the type of a column, are in the tables that have such a column.
        class::RELATION => {
            member::is_replicated(member::table_of(touched.object))
                || member::is_composite_type(touched.object)
                || touched.sub != 0 && member::is_type_of_column(touched.object)
        }
        class::DEFAULT => member::is_replicated(touched.object),
        // Its partitions may be replicated without it.
        class::INHERITS => member::is_replicated(touched.object) || member::is_partitioned(touched.object),
        class::CONSTRAINT => member::table_of_constraint(touched.object)
            .is_some_and(|table| table == pg_sys::InvalidOid || member::is_replicated(table)),
        class::FUNCTION => trigger::came_with_the_server(touched.object) || member::is_used(touched.object),
        class::OPERATOR => member::is_negated(touched.object),
        class::TRIGGER => {
            trigger::before(touched.object).is_some_and(|trigger| member::is_replicated(trigger.relation))
        }
        _ => true,
    }
}

/// What others have to wait for who make tables replicated ones, because this transaction changes it.
fn changed(touched: &Touched) -> Option<(pg_sys::Oid, pg_sys::Oid)> {
    let found = match touched.class {
        class::FUNCTION | class::TYPE => Some((touched.class, touched.object)),
        class::CONSTRAINT => member::domain_of_constraint(touched.object).map(|domain| (class::TYPE, domain)),
        class::RELATION if member::is_composite_type(touched.object) || touched.sub != 0 => {
            Some((class::TYPE, member::row_type(touched.object)))
        }
        // It is new in its schema, which may be on its way into a publication.
        class::RELATION if member::table_of(touched.object) == touched.object => {
            let schema = member::schema_of(touched.object);
            (schema != touched.schema_before).then_some((class::SCHEMA, schema))
        }
        // Who replicates the table above may not see this one yet.
        class::INHERITS => member::parent_of(touched.object).map(|parent| (class::RELATION, parent)),
        _ => None,
    };
    found.filter(|(_, object)| *object != pg_sys::InvalidOid)
}

/// Waits for transactions that change what this one relies on, so that of the two the later one sees what the earlier one did.
fn settle(touched: &[Touched]) {
    let mut changes: Vec<_> = snapshot::with_latest(|| touched.iter().filter_map(changed).collect());
    in_order(&mut changes);
    for (class, object) in changes {
        trigger::changes(class, object);
    }
    let replicates: Vec<_> = touched
        .iter()
        .filter(|touched| {
            matches!(
                touched.class,
                class::PUBLICATION
                    | class::PUBLICATION_TABLE
                    | class::PUBLICATION_SCHEMA
                    | class::SUBSCRIPTION
                    | class::INHERITS
            )
        })
        .map(|touched| touched.object.to_u32().to_string())
        .collect();
    if replicates.is_empty() {
        return;
    }
    let args = [Arg::Text(&replicates.join(","))];
    let mut held = Vec::new();
    loop {
        let rows = snapshot::with_latest(|| {
            query::as_owner(|| query::look(c"SELECT class, object FROM postern.replication_basis($1)", &args))
        });
        // In an order of their own, so that two who replicate the same do not wait for each other in a circle.
        let (mut places, mut code): (Vec<_>, Vec<_>) = rows
            .iter()
            .map(|row| (row.oid(0), row.oid(1)))
            .partition(|(class, _)| matches!(*class, class::RELATION | class::SCHEMA));
        places.retain(|place| !held.contains(place));
        if places.is_empty() {
            // What a trigger made meanwhile calls is among them only now.
            in_order(&mut code);
            for (class, object) in code {
                trigger::keep(class, object);
            }
            return;
        }
        in_order(&mut places);
        for (class, object) in &places {
            if *class == class::RELATION {
                trigger::keep_table(*object);
            }
            // Of a table, those wait who give it partitions.
            if *class == class::SCHEMA || member::is_partitioned(*object) {
                trigger::keep(*class, *object);
            }
        }
        held.append(&mut places);
    }
}

/// Each once, and in one order: two who take locks in it do not wait for each other in a circle.
fn in_order(objects: &mut Vec<(pg_sys::Oid, pg_sys::Oid)>) {
    objects.sort_unstable_by_key(|(class, object)| (class.to_u32(), object.to_u32()));
    objects.dedup();
}

/// What a replicated table got, and that others are changing: waits for what becomes of it, and keeps them from changing it
/// until this transaction ends. The table itself nobody else changes meanwhile.
fn hold(pending: &Pending) {
    let (mut code, tables) = snapshot::with_latest(|| {
        let (mut code, mut tables) = (Vec::new(), Vec::new());
        for made in pending.created.iter().filter_map(|created| trigger::before(created.oid)) {
            if made.internal || !member::is_replicated(made.relation) {
                continue;
            }
            code.push((class::FUNCTION, made.function));
            if made.conditional {
                tables.push(made.relation);
            }
        }
        for touched in &pending.touched {
            let table = match touched.class {
                class::RELATION => member::table_of(touched.object),
                class::DEFAULT => touched.object,
                class::CONSTRAINT => member::table_of_constraint(touched.object).unwrap_or_default(),
                _ => pg_sys::InvalidOid,
            };
            if !tables.contains(&table) && member::is_replicated(table) {
                tables.push(table);
            }
        }
        (code, tables)
    });
    if !tables.is_empty() {
        let tables: Vec<String> = tables.iter().map(|table| table.to_u32().to_string()).collect();
        let args = [Arg::Text(&tables.join(","))];
        let rows = snapshot::with_latest(|| {
            query::as_owner(|| query::look(c"SELECT class, object FROM postern.code_basis($1)", &args))
        });
        code.extend(rows.iter().map(|row| (row.oid(0), row.oid(1))));
    }
    in_order(&mut code);
    for (class, object) in code.into_iter().filter(|(_, object)| !trigger::came_with_the_server(*object)) {
        trigger::keep(class, object);
    }
}

/// Says in the log what became of a trigger of a replicated table: an audit that stops says nothing itself.
fn log_change(changed: &Changed) {
    let oid = changed.oid.unwrap_or(pg_sys::InvalidOid);
    let rows = query::as_owner(|| {
        query::look(
            c"SELECT table_name, now_name, now_enabled FROM postern.trigger_now($1, $2)",
            &[Arg::Oid(changed.relation), Arg::Oid(oid)],
        )
    });
    let Some(row) = rows.first() else { return };
    let fires = |letter: u8| match letter {
        b'A' => "always",
        b'R' => "on apply only",
        b'O' => "not on apply",
        _ => "never",
    };
    let what = match row.text(1) {
        None => "it is gone".to_owned(),
        Some(name) if name != changed.name => format!("it is named \"{name}\""),
        Some(_) if row.char(2) != changed.enabled => {
            format!("it fires {}, and fired {}", fires(row.char(2)), fires(changed.enabled))
        }
        Some(_) => return,
    };
    log::note(
        &format!("trigger \"{}\" on replicated table {}: {what}", changed.name, row.string(0)),
        &format!("Done by role \"{}\".", role::name(changed.actor)),
    );
}

/// The transaction is about to commit: judges what no statement was the end of.
pub fn before_commit() {
    if !pending::is_empty() {
        snapshot::with_fresh(judge);
    }
}

/// Whether what we ask is in this database: it is not without the extension.
fn is_there() -> bool {
    table::relations([c"replication_findings"]).is_some()
}

fn setting() -> Setting {
    match TRIGGER_RULE.get() {
        TriggerRule::Off => Setting::Off,
        TriggerRule::Warn => Setting::Warn,
        TriggerRule::Members => Setting::Members,
        TriggerRule::Error => Setting::Error,
    }
}

fn actor(oid: pg_sys::Oid) -> Actor {
    if role::by_oid(oid).is_some_and(|role| role.superuser) {
        Actor::Superuser
    } else if role::by_name(c"postern_admin").is_some_and(|admin| role::has_privileges_of(oid, admin.oid)) {
        Actor::Admin
    } else {
        Actor::Other
    }
}

/// Says it as loud as it is to be said.
fn say(level: Level, refusal: impl FnOnce() -> Refusal) {
    match level {
        Level::Silent => {}
        Level::Warning => Error::from(refusal()).warn(),
        Level::Error => raise(refusal().into()),
    }
}

fn judge_trigger(created: Created, setting: Setting) {
    let rows = query::as_owner(|| {
        query::look(
            c"SELECT trigger_name, table_name, table_owner, table_owner_name, function_name, function_owner, function_owner_name, definer, trusted, foreign_when, member, findings FROM postern.trigger_facts($1, $2)",
            &[Arg::Oid(created.oid), Arg::Oid(created.actor)],
        )
    });
    // Internal triggers have no row.
    let Some(row) = rows.first() else { return };
    let (table_owner, function_owner) = (row.oid(2), row.oid(5));
    let foreign_when = row.string(9);
    let findings = row.string(11);
    let member = is_true(row, 10);
    let facts = Facts {
        actor: actor(created.actor),
        inherits_owner: role::has_privileges_of(created.actor, table_owner),
        function_owner_is_table_owner: function_owner == table_owner,
        security_definer: is_true(row, 7),
        trusted: is_true(row, 8),
        when_safe: foreign_when.is_empty(),
        eligible: findings.is_empty(),
        member,
        replaced: replaced(created, function_owner),
    };
    let (reason, level) = match trigger_rule::decide(&facts) {
        Decision::Allow(_) => return,
        Decision::Warn(_, reason) => (reason, trigger_rule::level_of_change(setting, facts.actor)),
        Decision::Deny(reason) => (reason, trigger_rule::level(setting, member)),
    };
    say(level, || Refusal::Trigger {
        reason,
        trigger: row.string(0),
        table: row.string(1),
        table_owner: row.string(3),
        function: row.string(4),
        function_owner: row.string(6),
        role: role::name(created.actor),
        when: if reason == Reason::Ineligible { findings } else { foreign_when },
    });
}

fn is_true(row: &Row, column: usize) -> bool {
    row.text(column) == Some("t")
}

fn judge_touched(touched: &[Touched], setting: Setting) {
    if touched.is_empty() {
        return;
    }
    let joined = |value: fn(&Touched) -> String| touched.iter().map(value).collect::<Vec<_>>().join(",");
    let lists = [
        joined(|t| t.class.to_u32().to_string()),
        joined(|t| t.object.to_u32().to_string()),
        joined(|t| t.sub.to_string()),
        joined(|t| t.owner_before.to_u32().to_string()),
        joined(|t| t.schema_before.to_u32().to_string()),
    ];
    let args = lists.each_ref().map(|list| Arg::Text(list));
    let rows = query::as_owner(|| {
        query::look(
            c"SELECT at, what, subject, owner, sentence FROM postern.replication_judgement($1, $2, $3, $4, $5) ORDER BY what, subject, at, sentence",
            &args,
        )
    });
    let of = |what: &str| rows.iter().filter(|row| row.text(1) == Some(what)).collect::<Vec<_>>();
    let who = |row: &Row| usize::try_from(row.int4(0)).ok().and_then(|at| touched.get(at)).map(|t| t.actor);

    let published = of("publication");
    if !published.is_empty() {
        // Whoever adds the table: what is published goes where our rules may not be.
        say(trigger_rule::level(setting, true), || Refusal::Publication {
            tables: distinct(published.iter().map(|row| row.string(2))),
            findings: distinct(published.iter().map(|row| row.string(4))),
        });
    }
    let changed = of("table");
    // Errors first: what is refused is not warned of.
    for wanted in [Level::Error, Level::Warning] {
        let rows: Vec<_> = changed
            .iter()
            .filter(|row| {
                trigger_rule::level_of_change(setting, who(row).map_or(Actor::Other, actor)) == wanted
            })
            .collect();
        if !rows.is_empty() {
            say(wanted, || Refusal::Table {
                tables: distinct(rows.iter().map(|row| row.string(2))),
                findings: distinct(rows.iter().map(|row| row.string(4))),
            });
        }
    }
    let strict = trigger_rule::level(setting, true);
    for (what, level) in [("running", strict), ("made", strict), ("prepared", Level::Warning)] {
        let found = of(what);
        for subscription in distinct(found.iter().map(|row| row.string(2))) {
            let rows: Vec<_> = found.iter().filter(|row| row.text(2) == Some(&subscription)).collect();
            let hold = what == "made" && level == Level::Error;
            if hold {
                let args = [Arg::Text(&subscription)];
                query::as_owner(|| query::run(c"SELECT postern.subscription_hold($1)", &args));
            }
            say(if hold { Level::Warning } else { level }, || Refusal::Subscription {
                held: hold,
                owner: rows.first().map(|row| row.string(3)).unwrap_or_default(),
                findings: distinct(rows.iter().map(|row| row.string(4))),
                subscription,
            });
        }
    }
}

/// Each once, in order.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}
