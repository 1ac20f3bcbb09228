//! The generators, and what they write: it is formatted, compiled and passes its own tests.

mod files;
mod golden;
mod kinds;
mod names;
mod workspace;
