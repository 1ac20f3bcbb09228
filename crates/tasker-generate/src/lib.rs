#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod command;
mod error;
mod fill;
mod handler;
mod name;
mod place;
mod plan;

pub use command::{Generate, Report, ReportedFile, Written};
pub use error::GenerateError;
pub use handler::HandlerArgs;
pub use name::{Name, NameError};
pub use place::PlaceArgs;
pub use plan::{NewFile, Plan};
