//! The configuration: sources, reports, secrets, the reference.

mod alone;
mod reference;
mod report;
mod sources;
