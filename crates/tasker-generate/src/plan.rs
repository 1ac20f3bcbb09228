//! Files to be written: all of them or none.
//!
//! Every text is first written beside its place, then each is moved there; a move that fails takes back those
//! before it. Nobody ever sees half a file.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::GenerateError;

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewFile {
    /// Where, as the user would name it.
    pub path: PathBuf,
    /// What it will hold.
    pub text: String,
}

/// What a command will write, and what remains to be done by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The files.
    pub files: Vec<NewFile>,
    /// What the user does next, one step each; a step may have several lines.
    pub next_steps: Vec<String>,
}

impl Plan {
    pub(crate) fn file(mut self, path: PathBuf, text: String) -> Self {
        self.files.push(NewFile { path, text });
        self
    }

    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next_steps.push(step.into());
        self
    }

    /// Writes every file or none; paths are looked at from `root`. Returns for each whether it took the place of
    /// another.
    ///
    /// # Errors
    /// [`GenerateError::Exists`] without `force`, with every file that is there; what the file system refuses.
    pub fn write(&self, root: &Path, force: bool) -> Result<Vec<bool>, GenerateError> {
        let replaced = self.look(root, force)?;
        let mut made = Made::default();
        match self.commit(root, force, &mut made) {
            Ok(()) => Ok(replaced),
            Err((path, source)) => Err(made.undo(path, source)),
        }
    }

    /// Whether each file is there.
    fn look(&self, root: &Path, force: bool) -> Result<Vec<bool>, GenerateError> {
        let mut there = vec![];
        for NewFile { path, .. } in &self.files {
            // A link is not followed: what it leads to may be somebody else's.
            let found = fs::symlink_metadata(root.join(path)).ok();
            if found.as_ref().is_some_and(|f| !f.is_file()) {
                return Err(GenerateError::NoFile(path.clone()));
            }
            there.push(found.is_some());
        }
        if !force && there.contains(&true) {
            let paths = self.files.iter().zip(&there).filter(|(_, there)| **there);
            return Err(GenerateError::Exists(paths.map(|(file, _)| file.path.clone()).collect()));
        }
        Ok(there)
    }

    fn commit(&self, root: &Path, force: bool, made: &mut Made) -> Result<(), (PathBuf, io::Error)> {
        let mut waiting = vec![];
        for NewFile { path, text } in &self.files {
            let at = |e| (path.clone(), e);
            let target = root.join(path);
            let folder = target.parent().unwrap_or(root);
            made.folders(folder).map_err(at)?;
            waiting.push((beside(folder, text).map_err(at)?, target));
        }
        for ((written, target), NewFile { path, .. }) in waiting.into_iter().zip(&self.files) {
            made.put(written, target, force).map_err(|e| (path.clone(), e))?;
        }
        made.done();
        Ok(())
    }
}

/// The text in a file of its own that is gone with the value unless it is moved away.
fn beside(folder: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tasker-generate-");
    #[cfg(unix)]
    builder.permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What has been done so far, and so must be taken back if the rest fails.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    /// Each with what was there before.
    files: Vec<(PathBuf, Option<tempfile::TempPath>)>,
}

impl Made {
    /// Makes the folder and those above it.
    fn folders(&mut self, folder: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => self.folders.push(folder.to_owned()),
                // Somebody else was faster, so it is theirs.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Moves a written file to its place.
    fn put(&mut self, written: NamedTempFile, target: PathBuf, force: bool) -> io::Result<()> {
        let before = if force { kept(&target)? } else { None };
        match before {
            // What was not there a moment ago is not overwritten, whoever has written it since.
            None => written.persist_noclobber(&target).map_err(|e| e.error)?,
            Some(_) => written.persist(&target).map_err(|e| e.error)?,
        };
        self.files.push((target, before));
        Ok(())
    }

    fn done(&mut self) {
        self.files.clear();
        self.folders.clear();
    }

    fn undo(self, path: PathBuf, source: io::Error) -> GenerateError {
        let mut left = vec![];
        for (target, before) in self.files.into_iter().rev() {
            let undone = match before {
                Some(before) => before.persist(&target).map_err(|e| e.error),
                None => fs::remove_file(&target),
            };
            if undone.is_err() {
                left.push(target);
            }
        }
        for folder in self.folders.iter().rev() {
            // If somebody has put something into it, it stays.
            let _in_use = fs::remove_dir(folder);
        }
        match left.is_empty() {
            true => GenerateError::Write { path, source },
            false => GenerateError::Left { path, source, left },
        }
    }
}

/// The file under another name beside it, if there is one.
fn kept(target: &Path) -> io::Result<Option<tempfile::TempPath>> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let copy = tempfile::Builder::new().prefix(".tasker-generate-").tempfile_in(folder)?.into_temp_path();
    match fs::copy(target, &copy) {
        Ok(_) => Ok(Some(copy)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Barrier};

    use super::*;

    fn plan(files: &[(&str, &str)]) -> Plan {
        files.iter().fold(Plan::default(), |plan, (path, text)| plan.file(path.into(), (*text).to_owned()))
    }

    /// Everything below a folder.
    fn tree(root: &Path) -> BTreeMap<PathBuf, Option<String>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if path.is_dir() {
                    folders.push(path);
                    found.insert(name, None);
                } else {
                    found.insert(name, Some(fs::read_to_string(path).unwrap()));
                }
            }
        }
        found
    }

    #[test]
    fn nothing_is_overwritten_without_force() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (plan(&[("src/a", "old")]), plan(&[("src/a", "new"), ("src/b", "new")]));
        assert_eq!(old.write(dir.path(), false).unwrap(), [false]);
        let before = tree(dir.path());
        let error = new.write(dir.path(), false).unwrap_err();
        assert!(
            matches!(&error, GenerateError::Exists(paths) if paths == &[PathBuf::from("src/a")]),
            "{error}"
        );
        assert_eq!(tree(dir.path()), before);
        assert_eq!(new.write(dir.path(), true).unwrap(), [true, false]);
        assert_eq!(fs::read_to_string(dir.path().join("src/a")).unwrap(), "new");
    }

    /// The second writing of a path finds it there, as it would find what another process had just written.
    #[test]
    fn a_file_that_appears_on_the_way_takes_everything_back() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            plan(&[("x/y/a", "1"), ("x/b", "2"), ("x/y/a", "3")]).write(dir.path(), false).unwrap_err();
        assert!(matches!(error, GenerateError::Write { .. }), "{error}");
        assert_eq!(tree(dir.path()), BTreeMap::new());
    }

    #[test]
    fn what_was_overwritten_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/full")).unwrap();
        fs::write(dir.path().join("a"), "old").unwrap();
        let before = tree(dir.path());
        let (plan, mut made) = (plan(&[("a", "new"), ("b", "new")]), Made::default());
        let (path, source) = plan.commit(dir.path(), true, &mut made).unwrap_err();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "new");
        let error = made.undo(path, source);
        assert!(matches!(error, GenerateError::Write { .. }), "{error}");
        assert_eq!(tree(dir.path()), before);
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        let error = plan(&[("a", "1"), ("b", "2")]).write(dir.path(), true).unwrap_err();
        assert!(matches!(error, GenerateError::NoFile(_)), "{error}");
        let below_a_file = {
            fs::write(dir.path().join("f"), "").unwrap();
            plan(&[("a", "1"), ("f/a", "2")]).write(dir.path(), false).unwrap_err()
        };
        assert!(below_a_file.to_string().contains("f/a"), "{below_a_file}");
        assert_eq!(tree(dir.path()).len(), 2);
    }

    #[test]
    fn of_many_writers_one_wins_whole() {
        let dir = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(8);
        let texts: Vec<String> = (0..8).map(|n| format!("{n}").repeat(10_000)).collect();
        let won: Vec<&String> = std::thread::scope(|scope| {
            let threads: Vec<_> = texts
                .iter()
                .map(|text| {
                    let (barrier, dir) = (&barrier, dir.path());
                    scope.spawn(move || {
                        barrier.wait();
                        plan(&[("src/a", text), ("src/b", text)]).write(dir, false).is_ok().then_some(text)
                    })
                })
                .collect();
            threads.into_iter().filter_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(won.len(), 1);
        let expected = [("src", None), ("src/a", Some(won[0].clone())), ("src/b", Some(won[0].clone()))];
        assert_eq!(tree(dir.path()), expected.map(|(path, text)| (PathBuf::from(path), text)).into());
    }
}
