//! `coordinator`: may they. A policy of one's own on the permissions of tasker-auth.

use crate::{
    GenerateError, Name, PlaceArgs, Plan,
    authenticator::{manifest, start},
    fill::fill,
};

/// What `coordinator` takes.
#[derive(Debug, Clone, clap::Args)]
#[non_exhaustive]
pub struct CoordinatorArgs {
    /// The name of the coordinator, in the configuration too
    pub name: String,
    /// Where the files go.
    #[command(flatten)]
    pub place: PlaceArgs,
}

impl CoordinatorArgs {
    /// The files.
    ///
    /// # Errors
    /// If the name cannot be one.
    pub fn plan(&self) -> Result<Plan, GenerateError> {
        let template = include_str!("../templates/coordinator.rs.txt");
        let name = Name::of_type("a coordinator", &self.name, template)?;
        let values = [("name", name.snake()), ("Name", &name.pascal())];
        let directory = self.place.directory("src/coordinators");
        let toml = fill(include_str!("../templates/coordinator.toml"), &values);
        Ok(Plan::default()
            .next(format!("Declare `pub mod {name};` in {}.", directory.join("mod.rs").display()))
            .next(manifest("", true, false))
            .next(format!("In the configuration:\n{toml}"))
            .next(start(include_str!("../templates/start.txt"), &values))
            .next(format!("cargo test {name}"))
            .file(directory.join(format!("{name}.rs")), fill(template, &values)))
    }
}
