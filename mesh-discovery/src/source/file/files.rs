//! Which files a path stands for, and whether they have changed.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The most files that a directory may have.
const MAX_FILES: usize = 20_000;

/// The files that `path` stands for: itself, or those in the directory that it is, by name.
///
/// # Errors
///
/// Nothing is there; or it is a directory that cannot be read, or has more than 20,000 files.
///
/// ```
/// use mesh_discovery::source::file::{Fingerprint, expand};
///
/// let directory = tempfile::tempdir()?;
/// let paths = [directory.path().to_owned()];
/// let before = Fingerprint::of(&paths);
/// std::fs::write(directory.path().join("b.yaml"), "")?;
/// std::fs::write(directory.path().join("a.json"), "{}")?;
/// std::fs::write(directory.path().join("notes.txt"), "")?;
///
/// let files = expand(directory.path())?;
/// let names: Vec<_> = files.iter().filter_map(|file| file.file_name()).collect();
/// assert_eq!(names, ["a.json", "b.yaml"]);
/// assert_ne!(Fingerprint::of(&paths), before);
/// # Ok::<(), std::io::Error>(())
/// ```
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
        if files.len() > MAX_FILES {
            let message = format!("more than {MAX_FILES} files");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
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

/// The directories in which `paths` change: themselves, or those that they are in. A file is never
/// watched itself: it may be replaced, or be a link to one that is.
pub(super) fn directories(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = Vec::new();
    for path in paths {
        let directory = match path.parent() {
            Some(parent) if !path.is_dir() => parent,
            _ => path,
        };
        let directory = match directory.as_os_str().is_empty() {
            true => Path::new("."),
            false => directory,
        };
        if !directories.iter().any(|known| known == directory) {
            directories.push(directory.to_owned());
        }
    }
    directories
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
        let length = |stamp: &Option<Stamp>| stamp.map_or(0, |stamp| stamp.length);
        self.files.iter().any(|(file, stamp)| {
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
    fn a_directory_stands_for_its_files_of_configuration_by_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.yml", ".hidden.yaml", "c.yaml~", "notes.txt"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("d.yaml")).unwrap();
        let files = expand(directory.path()).unwrap();
        let expected = ["a.yml", "b.json"].map(|name| directory.path().join(name));
        assert_eq!(files, expected);
    }

    #[test]
    fn a_file_is_taken_whatever_its_name_and_its_directory_is_watched() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mesh");
        fs::write(&file, "").unwrap();
        assert_eq!(expand(&file).unwrap(), std::slice::from_ref(&file));
        let paths = [file, directory.path().to_owned(), "here.yaml".into()];
        let expected = [directory.path().to_owned(), ".".into()];
        assert_eq!(directories(&paths), expected);
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_length_is_another() {
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
    fn an_emptied_file_is_told_from_one_that_always_was_and_from_one_that_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned()];
        let (a, b) = (
            directory.path().join("a.yaml"),
            directory.path().join("b.yaml"),
        );
        fs::write(&a, "a").unwrap();
        fs::write(b, "").unwrap();
        let before = Fingerprint::of(&paths);
        assert!(!before.is_emptied_since(&before));
        fs::write(&a, "").unwrap();
        assert!(Fingerprint::of(&paths).is_emptied_since(&before));
        fs::remove_file(&a).unwrap();
        assert!(!Fingerprint::of(&paths).is_emptied_since(&before));
    }
}
