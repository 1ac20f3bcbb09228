//! `authenticator`: who asks. Each type stands on one of tasker-auth, but for `custom`.

use crate::{GenerateError, Name, PlaceArgs, Plan, fill::fill};

/// What `authenticator` takes.
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct AuthenticatorArgs {
    /// The name of the authenticator, in the configuration too
    pub name: String,
    /// How requests say who asks
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub kind: AuthenticatorType,
    /// Where the files go.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// How requests say who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum AuthenticatorType {
    /// By a JSON Web Token
    Jwt,
    /// By a signed cookie of a session in PostgreSQL
    Session,
    /// By an API token in PostgreSQL
    #[value(alias = "api_token")]
    ApiToken,
    /// By a login at a provider of OpenID Connect, which ends in a session
    Oidc,
    /// By credentials that only the program knows
    Custom,
}

/// What a type is made of.
pub(crate) struct Parts {
    rust: &'static str,
    /// The lines of the configuration.
    toml: &'static str,
    features: &'static str,
    has_database: bool,
    has_options_type: bool,
    /// How its value is made and registered.
    register: &'static str,
}

impl AuthenticatorType {
    const fn parts(self) -> Parts {
        let (rust, toml) = match self {
            Self::Jwt => (
                include_str!("../templates/authenticator.jwt.rs.txt"),
                include_str!("../templates/authenticator.jwt.toml"),
            ),
            Self::Session => (
                include_str!("../templates/authenticator.session.rs.txt"),
                include_str!("../templates/authenticator.session.toml"),
            ),
            Self::ApiToken => (
                include_str!("../templates/authenticator.api_token.rs.txt"),
                include_str!("../templates/authenticator.api_token.toml"),
            ),
            Self::Oidc => (
                include_str!("../templates/authenticator.oidc.rs.txt"),
                include_str!("../templates/authenticator.oidc.toml"),
            ),
            Self::Custom => (
                include_str!("../templates/authenticator.custom.rs.txt"),
                include_str!("../templates/authenticator.custom.toml"),
            ),
        };
        let (features, register) = match self {
            Self::Jwt => ("\"jwt\"", include_str!("../templates/start.txt")),
            Self::Session => ("\"postgres\", \"session\"", include_str!("../templates/start.value.txt")),
            Self::ApiToken => ("\"api-token\", \"postgres\"", include_str!("../templates/start.pool.txt")),
            Self::Oidc => ("\"axum\", \"oidc\", \"postgres\"", include_str!("../templates/start.value.txt")),
            Self::Custom => ("\"api-token\"", include_str!("../templates/start.find.txt")),
        };
        let has_database = matches!(self, Self::Session | Self::ApiToken | Self::Oidc);
        Parts { rust, toml, features, has_database, has_options_type: matches!(self, Self::Custom), register }
    }
}

impl AuthenticatorArgs {
    /// The files.
    ///
    /// # Errors
    /// If the name cannot be one.
    pub fn plan(&self) -> Result<Plan, GenerateError> {
        let parts = self.kind.parts();
        let name = Name::of_type("an authenticator", &self.name, parts.rust)?;
        let admit = include_str!("../templates/authenticator.admit.txt");
        let values = [("name", name.snake()), ("Name", &name.pascal()), ("ADMIT", admit)];
        let directory = self.place.directory("src/authenticators");
        Ok(Plan::default()
            .next(format!("Declare `pub mod {name};` in {}.", directory.join("mod.rs").display()))
            .next(manifest(parts.features, parts.has_options_type, parts.has_database))
            .next(format!("In the configuration:\n{}", fill(parts.toml, &values)))
            .next(start(parts.register, &values))
            .next(format!("cargo test {name}"))
            .file(directory.join(format!("{name}.rs")), fill(parts.rust, &values)))
    }
}

/// The lines that make an `Auth`.
pub(crate) fn start(lines: &str, values: &[(&str, &str)]) -> String {
    format!(
        "Where the program starts, with config the section `auth` as AuthConfig:\n{}",
        fill(lines, values)
    )
}

/// The lines of the manifest for code on tasker-auth.
pub(crate) fn manifest(features: &str, has_options_type: bool, has_database: bool) -> String {
    let version = [("VERSION", env!("CARGO_PKG_VERSION"))];
    let database = if has_database {
        fill(include_str!("../templates/auth.database.txt"), &version)
    } else {
        String::new()
    };
    let serde = if has_options_type { "serde = { version = \"1\", features = [\"derive\"] }\n" } else { "" };
    let values = [("FEATURES", features), ("SERDE", serde), ("DATABASE", &database), version[0]];
    fill(include_str!("../templates/auth.manifest.txt"), &values)
}
