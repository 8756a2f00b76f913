//! Who may attach code to a table: the rules of `postern.trigger_rule` as a function of facts.
//!
//! PostgreSQL lets every holder of TRIGGER attach a function of its own to somebody else's table; where a row is applied, that
//! function runs as the owner of the table, or of the subscription. The rules allow what the owner has agreed to, by owning the
//! function, and what cannot use the owner's rights, because it is SECURITY DEFINER.
//!
//! Nothing here knows a server. What the server has checked by itself (TRIGGER on the table, EXECUTE on the function) is not
//! asked again: the rules only ever refuse more.

/// What `postern.trigger_rule` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Nothing is judged.
    Off,
    /// Everything is allowed, with a warning.
    Warn,
    /// An error for replicated tables, a warning for others.
    Members,
    /// An error for every table.
    Error,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A superuser.
    Superuser,
    /// It has the privileges of `postern_admin`.
    Admin,
    /// Anybody else.
    Other,
}

/// A trigger that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// Its function has the owner that the new one has.
    pub same_function_owner: bool,
    /// It fires as a new trigger does: it is not ENABLE ALWAYS, ENABLE REPLICA or disabled.
    pub origin: bool,
}

/// What is known of the creation of a trigger.
#[allow(clippy::struct_excessive_bools, reason = "each is one column of the table of rules")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Who creates it.
    pub actor: Actor,
    /// That role has the privileges of the table's owner, by membership with INHERIT or as it.
    pub inherits_owner: bool,
    /// The function and the table have one owner, by OID.
    pub function_owner_is_table_owner: bool,
    /// The function is SECURITY DEFINER.
    pub security_definer: bool,
    /// The function is the server's own, or of an extension that an administrator trusts.
    pub trusted: bool,
    /// Every function of the WHEN clause is the table owner's, a superuser's, or SECURITY DEFINER.
    pub when_safe: bool,
    /// The table with this trigger may be replicated.
    pub eligible: bool,
    /// The table is replicated.
    pub member: bool,
    /// The trigger that it takes the place of.
    pub replaced: Option<Replaced>,
}

/// The rule by which a trigger is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// R1: by a superuser.
    Superuser,
    /// R2: by `postern_admin`.
    Admin,
    /// R3: by the owner of the table.
    Owner,
    /// R4: with a function of the table's owner.
    OwnersFunction,
    /// R5: with a SECURITY DEFINER function.
    Definer,
    /// With a function that everyone may attach.
    Trusted,
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No rule allows it: neither the owner, nor its function, nor a SECURITY DEFINER function.
    ForeignFunction,
    /// The WHEN clause calls a function that none of the rules allows.
    ForeignWhen,
    /// It takes the place of a trigger whose function belongs to somebody else.
    ReplacesForeign,
    /// It takes the place of a trigger that fires differently, which CREATE OR REPLACE resets.
    ResetsFiring,
    /// The table is replicated, and may not be with this trigger.
    Ineligible,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is allowed.
    Allow(Rule),
    /// It is allowed, but the table should not be replicated with it.
    Warn(Rule, Reason),
    /// It is refused, where refusing is in force.
    Deny(Reason),
}

/// How a finding is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Not at all.
    Silent,
    /// By a warning.
    Warning,
    /// By an error.
    Error,
}

/// The table of rules.
pub fn decide(facts: &Facts) -> Decision {
    let rule = match facts.actor {
        Actor::Superuser => Rule::Superuser,
        Actor::Admin => Rule::Admin,
        Actor::Other if facts.inherits_owner => Rule::Owner,
        Actor::Other if facts.function_owner_is_table_owner => Rule::OwnersFunction,
        Actor::Other if facts.security_definer => Rule::Definer,
        Actor::Other if facts.trusted => Rule::Trusted,
        Actor::Other => return Decision::Deny(Reason::ForeignFunction),
    };
    if matches!(rule, Rule::OwnersFunction | Rule::Definer | Rule::Trusted) {
        // WHEN runs as whoever writes the row, whatever the trigger's function is.
        if !facts.when_safe {
            return Decision::Deny(Reason::ForeignWhen);
        }
        if let Some(replaced) = facts.replaced {
            if !replaced.same_function_owner {
                return Decision::Deny(Reason::ReplacesForeign);
            }
            if !replaced.origin {
                return Decision::Deny(Reason::ResetsFiring);
            }
        }
    }
    match (rule, facts.member && !facts.eligible) {
        (_, false) => Decision::Allow(rule),
        (Rule::Superuser | Rule::Admin, true) => Decision::Warn(rule, Reason::Ineligible),
        (_, true) => Decision::Deny(Reason::Ineligible),
    }
}

/// How a refusal is said under a setting.
pub fn level(setting: Setting, member: bool) -> Level {
    match (setting, member) {
        (Setting::Off, _) => Level::Silent,
        (Setting::Warn, _) | (Setting::Members, false) => Level::Warning,
        (Setting::Members, true) | (Setting::Error, _) => Level::Error,
    }
}

/// How it is said that a change made a replicated table one that may not be: whoever may do everything is told, others are
/// refused.
pub fn level_of_change(setting: Setting, actor: Actor) -> Level {
    match (level(setting, true), actor) {
        (Level::Error, Actor::Superuser | Actor::Admin) => Level::Warning,
        (level, _) => level,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACTORS: [Actor; 3] = [Actor::Superuser, Actor::Admin, Actor::Other];

    fn facts(actor: Actor, [inherits, same, definer, member]: [bool; 4]) -> Facts {
        Facts {
            actor,
            inherits_owner: inherits,
            function_owner_is_table_owner: same,
            security_definer: definer,
            trusted: false,
            when_safe: true,
            eligible: same || definer,
            member,
            replaced: None,
        }
    }

    #[test]
    fn the_table_of_the_five_rules() {
        use Decision::{Allow, Deny, Warn};
        let bools = [false, true];
        for actor in ACTORS {
            for (inherits, same) in bools.into_iter().flat_map(|a| bools.map(|b| (a, b))) {
                for (definer, member) in bools.into_iter().flat_map(|a| bools.map(|b| (a, b))) {
                    let eligible = same || definer;
                    let expected = match (actor, inherits, same, definer) {
                        (Actor::Superuser, ..) if member && !eligible => {
                            Warn(Rule::Superuser, Reason::Ineligible)
                        }
                        (Actor::Superuser, ..) => Allow(Rule::Superuser),
                        (Actor::Admin, ..) if member && !eligible => Warn(Rule::Admin, Reason::Ineligible),
                        (Actor::Admin, ..) => Allow(Rule::Admin),
                        (Actor::Other, true, false, false) if member => Deny(Reason::Ineligible),
                        (Actor::Other, true, ..) => Allow(Rule::Owner),
                        (Actor::Other, false, true, _) => Allow(Rule::OwnersFunction),
                        (Actor::Other, false, false, true) => Allow(Rule::Definer),
                        (Actor::Other, false, false, false) => Deny(Reason::ForeignFunction),
                    };
                    assert_eq!(decide(&facts(actor, [inherits, same, definer, member])), expected);
                }
            }
        }
    }

    fn any_facts() -> impl Strategy<Value = Facts> {
        let replaced = proptest::option::of((any::<bool>(), any::<bool>())).prop_map(|replaced| {
            replaced.map(|(same_function_owner, origin)| Replaced { same_function_owner, origin })
        });
        (0..3_usize, any::<[bool; 7]>(), replaced).prop_map(|(actor, bools, replaced)| {
            let [inherits_owner, same, security_definer, trusted, when_safe, member, other_code] = bools;
            Facts {
                actor: ACTORS[actor],
                inherits_owner,
                function_owner_is_table_owner: same,
                security_definer,
                trusted,
                when_safe,
                eligible: (same || security_definer || trusted) && when_safe && !other_code,
                member,
                replaced,
            }
        })
    }

    proptest! {
        #[test]
        fn nobody_but_an_administrator_leaves_a_replicated_table_ineligible(facts in any_facts()) {
            if facts.actor == Actor::Other && facts.member && !facts.eligible {
                prop_assert!(matches!(decide(&facts), Decision::Deny(_)));
            }
        }

        #[test]
        fn who_is_not_the_owner_attaches_no_code_that_gets_the_owners_rights(facts in any_facts()) {
            let foreign = !facts.function_owner_is_table_owner && !facts.security_definer && !facts.trusted;
            if facts.actor == Actor::Other && !facts.inherits_owner && (foreign || !facts.when_safe) {
                prop_assert!(matches!(decide(&facts), Decision::Deny(_)));
            }
        }

        #[test]
        fn more_rights_never_refuse_what_fewer_allow(facts in any_facts()) {
            if !matches!(decide(&facts), Decision::Deny(_)) {
                for actor in [Actor::Superuser, Actor::Admin] {
                    let allowed = !matches!(decide(&Facts { actor, ..facts }), Decision::Deny(_));
                    prop_assert!(allowed);
                }
                let as_owner = !matches!(decide(&Facts { inherits_owner: true, ..facts }), Decision::Deny(_));
                prop_assert!(as_owner);
            }
        }

        #[test]
        fn being_replicated_never_allows_more(facts in any_facts()) {
            if matches!(decide(&Facts { member: false, ..facts }), Decision::Deny(_)) {
                let denied = matches!(decide(&Facts { member: true, ..facts }), Decision::Deny(_));
                prop_assert!(denied);
            }
        }
    }

    #[test]
    fn the_setting_says_how_loud() {
        assert_eq!(level(Setting::Off, true), Level::Silent);
        assert_eq!(level(Setting::Warn, true), Level::Warning);
        assert_eq!(level(Setting::Members, true), Level::Error);
        assert_eq!(level(Setting::Members, false), Level::Warning);
        assert_eq!(level(Setting::Error, false), Level::Error);
        assert_eq!(level_of_change(Setting::Members, Actor::Superuser), Level::Warning);
        assert_eq!(level_of_change(Setting::Members, Actor::Other), Level::Error);
        assert_eq!(level_of_change(Setting::Off, Actor::Other), Level::Silent);
    }
}
