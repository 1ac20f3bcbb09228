//! The configuration: sources, reports, secrets, the reference.

mod acceptance;
mod alone;
mod hostile;
mod reference;
mod report;
mod secrets;
mod sources;
