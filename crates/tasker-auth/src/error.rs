//! What goes wrong, and the HTTP answer to it, chosen once. What the asker is told never says what the server
//! knows: neither why a signature failed nor which policy denied.

use serde::Serialize;

use crate::Permission;

/// Why a request is refused or cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request has no credentials.
    #[error("credentials are required: {expected}")]
    Missing {
        /// What to send, such as `send Authorization: Bearer <token>`.
        expected: &'static str,
    },
    /// The credentials are not accepted.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The identity may not do it.
    #[error("Not authorized to {} on {}", .0.action(), .0.resource())]
    Forbidden(Permission),
    /// A request that changes something came with a session, but not provably from our own page.
    #[error("the request needs the CSRF token of its session in the header {header}")]
    Csrf {
        /// The header that carries the token.
        header: &'static str,
    },
    /// No operation is declared for the request, so nothing can permit it.
    #[error("there is no such operation")]
    UnknownOperation,
    /// A handler answered without asking for the permission of its operation; the answer was thrown away.
    #[error("the operation cannot be served; its permission was not asked for")]
    Unchecked,
    /// The decision cannot be made now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why credentials are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// They cannot be read, are not known or not genuine. Which of it is not said.
    #[error("the credentials are not valid")]
    Invalid,
    /// They were valid once.
    #[error("the credentials have expired")]
    Expired,
    /// They will be valid.
    #[error("the credentials are not valid yet")]
    NotYet,
    /// They were taken back.
    #[error("the credentials have been revoked")]
    Revoked,
    /// They are genuine, but for another service.
    #[error("the credentials are not meant for this service")]
    Audience,
    /// They are genuine, but their user is not known here.
    #[error("the user of these credentials is not known")]
    UnknownUser,
    /// A login that was not begun here, was finished before, or took too long.
    #[error("the login was not begun here, has been used or has expired; begin it again")]
    Login,
}

/// A store, a provider or a policy that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be asked now; try again")]
pub struct Unavailable {
    what: &'static str,
    detail: String,
}

impl Unavailable {
    /// `what` is told the asker, such as `the store of sessions`; `detail` stays in the log.
    pub fn new(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, detail: detail.into() }
    }

    /// For the log.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl AuthError {
    /// The HTTP status: 401, 403, 404, 500 or 503.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Missing { .. } | Self::Refused(_) => 401,
            Self::Forbidden(_) | Self::Csrf { .. } => 403,
            Self::UnknownOperation => 404,
            Self::Unchecked => 500,
            Self::Unavailable(_) => 503,
        }
    }

    /// The name of the status, for the body's key `error`.
    pub const fn title(&self) -> &'static str {
        match self.status() {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            500 => "Internal Server Error",
            _ => "Service Unavailable",
        }
    }

    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "credentials_missing",
            Self::Refused(Refusal::Invalid) => "credentials_invalid",
            Self::Refused(Refusal::Expired) => "credentials_expired",
            Self::Refused(Refusal::NotYet) => "credentials_not_yet_valid",
            Self::Refused(Refusal::Revoked) => "credentials_revoked",
            Self::Refused(Refusal::Audience) => "wrong_audience",
            Self::Refused(Refusal::UnknownUser) => "unknown_user",
            Self::Refused(Refusal::Login) => "login_invalid",
            Self::Forbidden(_) => "forbidden",
            Self::Csrf { .. } => "csrf_token_missing",
            Self::UnknownOperation => "unknown_operation",
            Self::Unchecked => "unchecked_operation",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// The value of `WWW-Authenticate`, for the answers that send one.
    pub const fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some("Bearer realm=\"tasker\""),
            Self::Refused(_) => Some("Bearer realm=\"tasker\", error=\"invalid_token\""),
            _ => None,
        }
    }

    /// The body of the answer.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { error: self.title(), message: self.to_string(), code: self.code() }
    }
}

/// The body of an answer, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErrorBody {
    /// The name of the status.
    pub error: &'static str,
    /// A sentence for people.
    pub message: String,
    /// A stable word for programs.
    pub code: &'static str,
}
