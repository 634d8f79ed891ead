//! Which files a path stands for, and whether they have changed.
//!
//! # Example
//!
//! ```
//! use examples::config::files::{Fingerprint, expand};
//!
//! let directory = tempfile::tempdir()?;
//! let paths = [directory.path().to_owned()];
//! let before = Fingerprint::of(&paths);
//! std::fs::write(directory.path().join("b.yaml"), "")?;
//! std::fs::write(directory.path().join("a.json"), "{}")?;
//! std::fs::write(directory.path().join("notes.txt"), "")?;
//!
//! let files = expand(directory.path())?;
//! let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
//! assert_eq!(names, ["a.json", "b.yaml"]);
//! assert_ne!(Fingerprint::of(&paths), before);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The files that `path` stands for: itself, or those in the directory that it is, by name.
///
/// # Errors
///
/// Nothing is there, or it is a directory that cannot be read.
pub fn expand(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if is_configuration(&file) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn is_configuration(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str());
    let extension = file.extension().and_then(|extension| extension.to_str());
    name.is_some_and(|name| !name.starts_with('.'))
        && matches!(extension, Some("yaml" | "yml" | "json"))
        && file.is_file()
}

/// What tells a state of files from another, without reading them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fingerprint {
    files: Vec<(PathBuf, Option<Stamp>)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Fingerprint {
    /// The state of the files that `paths` stand for.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut files = Vec::new();
        for path in paths {
            match expand(path) {
                Ok(expanded) => files.extend(expanded.into_iter().map(|file| {
                    let stamp = fs::metadata(&file).ok().map(|metadata| stamp(&metadata));
                    (file, stamp)
                })),
                Err(_) => files.push((path.clone(), None)),
            }
        }
        Self { files }
    }

    /// Whether a file that had content in `before` is empty: most likely it is about to be written.
    pub fn is_emptied_since(&self, before: &Self) -> bool {
        self.files.iter().any(|(file, stamp)| {
            let length = |stamp: &Option<Stamp>| stamp.map_or(0, |stamp| stamp.length);
            let earlier = before.files.iter().find(|(earlier, _)| earlier == file);
            stamp.is_some()
                && length(stamp) == 0
                && earlier.is_some_and(|(_, stamp)| length(stamp) > 0)
        })
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        inode,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_directories_are_left_out() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.yml", ".b.yaml", "c.yaml~"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let files = expand(directory.path()).unwrap();
        assert_eq!(files, [directory.path().join("a.yml")]);
    }

    #[test]
    fn a_file_is_taken_whatever_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mesh");
        fs::write(&file, "").unwrap();
        assert_eq!(expand(&file).unwrap(), [file]);
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_length_changes_the_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("a.yaml")];
        fs::write(&paths[0], "a").unwrap();
        let before = Fingerprint::of(&paths);
        assert_eq!(Fingerprint::of(&paths), before);
        let other = directory.path().join("b");
        fs::write(&other, "b").unwrap();
        fs::rename(other, &paths[0]).unwrap();
        assert_ne!(Fingerprint::of(&paths), before);
    }

    #[test]
    fn an_emptied_file_is_told_from_one_that_always_was() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned()];
        let (a, b) = (
            directory.path().join("a.yaml"),
            directory.path().join("b.yaml"),
        );
        fs::write(&a, "a").unwrap();
        fs::write(&b, "").unwrap();
        let before = Fingerprint::of(&paths);
        assert!(!before.is_emptied_since(&before));
        fs::write(&a, "").unwrap();
        assert!(Fingerprint::of(&paths).is_emptied_since(&before));
        fs::remove_file(&a).unwrap();
        assert!(
            !Fingerprint::of(&paths).is_emptied_since(&before),
            "a is gone, not empty"
        );
    }
}
