//! Where the files go, and whether they may take the place of others: flags of every kind.

use std::path::PathBuf;

/// Where the files go.
#[derive(Debug, Clone, Default, clap::Args)]
#[non_exhaustive]
pub struct PlaceArgs {
    /// The folder of the files, made where it is not there
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl PlaceArgs {
    /// The folder, `usual` where none was named.
    pub(crate) fn directory(&self, usual: &str) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| usual.into())
    }
}
