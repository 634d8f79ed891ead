//! Files, read, parsed and validated.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::origin::Origin;
use mesh_core::parse::{Limits, UnknownKind, parse};
use mesh_core::resource::Object;
use mesh_core::validate::validate;

use super::files;
use crate::source::ObjectName;

/// What files say, and what is wrong with them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Loaded {
    /// The resources that could be read, in the order of the files.
    pub objects: Vec<Object>,
    /// What was found by reading, parsing and validating.
    pub diagnostics: Vec<Diagnostic>,
    /// The text of each file, by the name that diagnostics have for it.
    pub texts: HashMap<String, String>,
}

/// Reads `paths`, files or directories, and checks each resource.
///
/// A directory stands for the `.yaml`, `.yml` and `.json` files in it, by name; those below it, and
/// those whose names begin with a dot, are not looked at. A resource that is written twice is an
/// error. Objects without namespace are in `default_namespace`.
pub fn load(paths: &[PathBuf], default_namespace: &str, limits: &Limits) -> Loaded {
    let mut loaded = Loaded::default();
    for path in paths {
        match files::expand(path) {
            Ok(files) => files
                .iter()
                .for_each(|file| loaded.read(file, default_namespace, limits)),
            Err(error) => loaded.refuse(path, &error),
        }
    }
    loaded.find_duplicates();
    loaded
}

impl Loaded {
    /// Whether anything found is an error.
    pub fn has_errors(&self) -> bool {
        let is_error = |found: &Diagnostic| found.severity == Severity::Error;
        self.diagnostics.iter().any(is_error)
    }

    /// Adds a document that is not a file, such as standard input, under a name for diagnostics. That
    /// a resource of it is written elsewhere as well is found when a configuration is built.
    pub fn add(&mut self, name: &str, text: String, default_namespace: &str, limits: &Limits) {
        let parsed = parse(name, &text, limits);
        self.texts.insert(name.to_owned(), text);
        self.diagnostics
            .extend(parsed.problems.iter().map(Diagnostic::from));
        self.diagnostics
            .extend(parsed.unknown.iter().map(unknown_kind));
        for mut object in parsed.objects {
            if object.kind().is_namespaced() && object.metadata().namespace.is_empty() {
                default_namespace.clone_into(&mut object.metadata_mut().namespace);
            }
            let violations = validate(&object);
            self.diagnostics
                .extend(violations.iter().map(Diagnostic::from));
            self.objects.push(object);
        }
    }

    fn read(&mut self, file: &Path, default_namespace: &str, limits: &Limits) {
        match read_text(file, limits) {
            Ok(text) => self.add(&file.display().to_string(), text, default_namespace, limits),
            Err(error) => self.refuse(file, &error),
        }
    }

    fn refuse(&mut self, path: &Path, error: &io::Error) {
        let file = path.display().to_string();
        let message = format!("cannot be read: {error}");
        self.diagnostics
            .push(Diagnostic::new(Severity::Error, file, message));
    }

    fn find_duplicates(&mut self) {
        let mut first: HashMap<ObjectName, &Object> = HashMap::with_capacity(self.objects.len());
        for object in &self.objects {
            match first.entry(ObjectName::of(object)) {
                Entry::Vacant(entry) => {
                    entry.insert(object);
                }
                Entry::Occupied(entry) => {
                    let (second, first) = (object.origin(), entry.get().origin());
                    let message = format!("`{second}` is declared already, as `{first}`");
                    let duplicate = diagnostic_at(&second, Severity::Error, message);
                    self.diagnostics.push(duplicate);
                }
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

fn unknown_kind(unknown: &UnknownKind) -> Diagnostic {
    let message = format!(
        "`{}` of `{}` is of a kind that is not read",
        unknown.origin.kind(),
        unknown.api_version
    );
    diagnostic_at(&unknown.origin, Severity::Info, message)
}

fn diagnostic_at(origin: &Origin, severity: Severity, message: String) -> Diagnostic {
    Diagnostic {
        position: origin.position(),
        label: origin.path().to_owned(),
        ..Diagnostic::new(severity, origin.file(), message)
    }
}
