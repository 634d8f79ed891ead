//! Files, read, parsed and validated.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::load::Loaded;
use mesh_core::parse::Limits;
use mesh_core::resource::Object;

use super::files;
use crate::source::ObjectName;

/// Reads `paths`, files or directories, into `loaded`, and checks each resource.
///
/// A directory stands for the `.yaml`, `.yml` and `.json` files in it, by name; those below it, and
/// those whose names begin with a dot, are not looked at. A resource that is written twice is an
/// error.
pub fn load(paths: &[PathBuf], mut loaded: Loaded) -> Loaded {
    for path in paths {
        match files::expand(path) {
            Ok(files) => files.iter().for_each(|file| read(file, &mut loaded)),
            Err(error) => refuse(path, &error, &mut loaded),
        }
    }
    find_duplicates(&mut loaded);
    loaded
}

fn read(file: &Path, loaded: &mut Loaded) {
    match read_text(file, loaded.limits()) {
        Ok(text) => loaded.add(&file.display().to_string(), text),
        Err(error) => refuse(file, &error, loaded),
    }
}

fn refuse(path: &Path, error: &io::Error, loaded: &mut Loaded) {
    let file = path.display().to_string();
    let message = format!("cannot be read: {error}");
    let found = Diagnostic::new(Severity::Error, file, message);
    loaded.diagnostics.extend([found]);
}

fn find_duplicates(loaded: &mut Loaded) {
    let mut first: HashMap<ObjectName, &Object> = HashMap::with_capacity(loaded.objects.len());
    for object in &loaded.objects {
        match first.entry(ObjectName::of(object)) {
            Entry::Vacant(entry) => {
                entry.insert(object);
            }
            Entry::Occupied(entry) => {
                let (second, first) = (object.origin(), entry.get().origin());
                let message = format!("`{second}` is declared already, as `{first}`");
                let duplicate = Diagnostic::at(&second, Severity::Error, message);
                loaded.diagnostics.extend([duplicate]);
            }
        }
    }
}

/// Reads a file of text. One that is longer than `limits` admit is read no further than that, and
/// refused by the parser.
fn read_text(file: &Path, limits: &Limits) -> io::Result<String> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limits.max_bytes).unwrap_or(u64::MAX);
    File::open(file)?
        .take(most.saturating_add(4))
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}
