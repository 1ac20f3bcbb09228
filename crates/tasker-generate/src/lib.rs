#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod authenticator;
mod command;
mod coordinator;
mod error;
mod event;
mod fill;
mod handler;
mod name;
mod place;
mod plan;
mod subscriber;

pub use authenticator::{AuthenticatorArgs, AuthenticatorType};
pub use command::{Generate, Report, ReportedFile, Written};
pub use coordinator::CoordinatorArgs;
pub use error::GenerateError;
pub use event::EventName;
pub use handler::HandlerArgs;
pub use name::{Name, NameError};
pub use place::PlaceArgs;
pub use plan::{NewFile, Plan};
pub use subscriber::SubscriberArgs;
