//! The options of the section `auth`, whose type is tasker-auth's.

use crate::{Kind, OptionSpec};

const fn option(key: &'static str, kind: Kind, doc: &'static str) -> OptionSpec {
    OptionSpec { key, kind, doc, reader: "`AuthConfig::build`" }
}

pub(crate) const OPTIONS: &[OptionSpec] = &[
    option("auth.authentication_enabled", Kind::Bool, "Whether requests must say who asks."),
    option("auth.authenticator", Kind::Text, "The registered name of the authenticator."),
    option("auth.authenticator_options", Kind::Options, "Its options."),
    option("auth.authorization_enabled", Kind::Bool, "Whether whoever asks must be permitted."),
    option("auth.authorization_coordinator", Kind::Text, "The registered name of the coordinator."),
    option("auth.authorization_coordinator_options", Kind::Options, "Its options."),
    option(
        "auth.open",
        Kind::List(&Kind::Text),
        "Resources that are open to everybody although the rest is not: tasker.health_status, tasker.metrics, \
         tasker.analytics or none.",
    ),
    option(
        "auth.audit.record",
        Kind::Choice(&["refusals", "changes", "all"]),
        "Which decisions are recorded: refusals alone, with them what changes something, or all.",
    ),
    option(
        "auth.audit.refusals_per_minute",
        Kind::Integer(1, u32::MAX as i64),
        "At most so many refusals a minute are recorded by a process; the rest is counted.",
    ),
];
