//! The directory of the authority: what is in it, and how a root gets there.
//!
//! The files of a root that is made are written beside their names first (`.ca-key.pem`), and renamed
//! when all of them are on the disk: the mark that it was made here, the key, the roots to trust, and
//! the certificate last. Until the certificate is there nobody has heard of the root. If that is broken
//! off, the next start makes another root as long as no file of an authority is in place, and goes on
//! with this one afterwards.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mesh_tls::ca::files::{CaFiles, CaFilesError};
use mesh_tls::ca::{Signer, SignerError};
use mesh_tls::digest::{NoSha256, Sha256};
use mesh_tls::pem;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;

use crate::authority::Failure;

/// Holds the fingerprint of the root that was made here, one a line. A root without it was put there by
/// somebody, who renews it.
const MARKER: &str = "self-made";

const CERTIFICATE: &str = "ca-cert.pem";
const KEY: &str = "ca-key.pem";
const ROOTS: &str = "root-cert.pem";

/// What an authority may be made of: while any of them is there, none is made.
pub(crate) const FILES: [&str; 8] = [
    CERTIFICATE,
    KEY,
    ROOTS,
    "cert-chain.pem",
    "ca-crl.pem",
    "tls.crt",
    "tls.key",
    "ca.crt",
];

/// The name of a file and its content.
pub(crate) type File = (&'static str, String);

/// Reads the files of an authority.
///
/// A file that cannot be read is not taken for one that is missing, or another root would be made in
/// the place of that one.
pub(crate) fn read(directory: &Path) -> Result<CaFiles, Failure> {
    select(|name| read_file(&directory.join(name)))
}

fn select(read: impl Fn(&str) -> io::Result<Option<Vec<u8>>>) -> Result<CaFiles, Failure> {
    let failed = RefCell::new(None);
    let files = CaFiles::select(|name| {
        read(name).unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            None
        })
    });
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(files?),
    }
}

/// The content of a file; `None` if there is no such file.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let why = format!("`{}` cannot be read: {error}", path.display());
            Err(io::Error::new(error.kind(), why))
        }
    }
}

/// Whether there is nothing in the directory that an authority may be made of.
pub(crate) fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(present(directory)?.is_empty())
}

fn present(directory: &Path) -> io::Result<Vec<&'static str>> {
    let mut present = Vec::new();
    for name in FILES {
        if fs::exists(directory.join(name))? {
            present.push(name);
        }
    }
    Ok(present)
}

/// Whether the signer is a root that was made here.
pub(crate) fn is_self_made(directory: &Path, signer: &Signer, provider: &CryptoProvider) -> bool {
    let marked = fs::read_to_string(directory.join(MARKER)).unwrap_or_default();
    let own = fingerprint(signer, provider);
    own.is_ok_and(|own| marked.lines().any(|line| line == own))
}

/// The root of the files, if it was made here and has expired.
pub(crate) fn expired(
    directory: &Path,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<Option<Signer>, Failure> {
    let files = read(directory)?;
    let signer = files.signer(now, provider);
    if !matches!(
        signer,
        Err(CaFilesError::Signer(SignerError::Expired { .. }))
    ) {
        return Ok(None);
    }
    let text = read_file(&directory.join(CERTIFICATE))?.unwrap_or_default();
    let certificates = pem::certificates(&text)?;
    let Some(last) = certificates.first().map(|one| one.validity().not_after()) else {
        return Ok(None);
    };
    // As it was when it counted last.
    let signer = files.signer(last, provider).ok();
    Ok(signer.filter(|signer| is_self_made(directory, signer, provider)))
}

fn fingerprint(signer: &Signer, provider: &CryptoProvider) -> Result<String, NoSha256> {
    let sha256 = Sha256::of_provider(provider)?;
    Ok(signer.certificate().fingerprint(&sha256).to_string())
}

/// Keeps the first root, in a directory that has none.
pub(crate) fn create(
    directory: &Path,
    root: &Signer,
    provider: &CryptoProvider,
) -> Result<(), Failure> {
    let files = of_first(root, provider)?;
    stage(directory, &files)?;
    for (name, _) in files {
        place(directory, name)?;
    }
    Ok(())
}

/// The files of the first root, in the order in which they are put in their places.
fn of_first(root: &Signer, provider: &CryptoProvider) -> Result<[File; 4], NoSha256> {
    let certificate = pem::encode_certificates([root.certificate()]);
    Ok([
        (MARKER, fingerprint(root, provider)?),
        (KEY, root.key().to_pem()),
        (ROOTS, certificate.clone()),
        (CERTIFICATE, certificate),
    ])
}

/// Goes on with a first root whose key is in its place already, if its making was broken off.
///
/// What is not marked as made here, or does not fit together, stays as it is.
pub(crate) fn complete(directory: &Path, provider: &CryptoProvider) -> Result<(), Failure> {
    if !matches!(present(directory)?[..], [KEY] | [KEY, ROOTS]) {
        return Ok(());
    }
    let files = select(|name| {
        let placed = read_file(&directory.join(name))?;
        match name {
            CERTIFICATE | ROOTS if placed.is_none() => read_file(&staged(directory, name)),
            _ => Ok(placed),
        }
    });
    let signer = files.map(|files| files.signer(UnixTime::now(), provider));
    let Ok(Ok(signer)) = signer else {
        return Ok(());
    };
    if is_self_made(directory, &signer, provider) {
        if !fs::exists(directory.join(ROOTS))? {
            place(directory, ROOTS)?;
        }
        place(directory, CERTIFICATE)?;
    }
    Ok(())
}

/// Keeps a root that follows `old`, with the same key.
///
/// It is marked before it is there, and `old` until it is: whenever writing ends, the root that is there
/// is one that was made here, and is renewed again.
pub(crate) fn renew(
    directory: &Path,
    root: &Signer,
    old: &Signer,
    provider: &CryptoProvider,
) -> Result<(), Failure> {
    write(directory, &of_next(root, old, provider)?)?;
    Ok(())
}

fn of_next(root: &Signer, old: &Signer, provider: &CryptoProvider) -> Result<[File; 4], NoSha256> {
    let certificate = pem::encode_certificates([root.certificate()]);
    let [old, own] = [fingerprint(old, provider)?, fingerprint(root, provider)?];
    Ok([
        (MARKER, format!("{old}\n{own}")),
        (ROOTS, certificate.clone()),
        (CERTIFICATE, certificate),
        (MARKER, own),
    ])
}

/// Writes files, each as a whole or not at all.
pub(crate) fn write(directory: &Path, files: &[File]) -> io::Result<()> {
    for file in files {
        stage(directory, std::slice::from_ref(file))?;
        place(directory, file.0)?;
    }
    Ok(())
}

/// Where a file is written before it is put in its place.
fn staged(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}"))
}

/// Writes files beside their places, and waits until they are on the disk. Only the owner can read them.
fn stage(directory: &Path, files: &[File]) -> io::Result<()> {
    use std::io::Write;
    fs::create_dir_all(directory)?;
    for (name, content) in files {
        let path = staged(directory, name);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
    }
    sync(directory)
}

/// Puts a file in its place, and waits until it is there on the disk, too: none is there before those
/// that come before it.
fn place(directory: &Path, name: &str) -> io::Result<()> {
    fs::rename(staged(directory, name), directory.join(name))?;
    sync(directory)
}

/// Waits until the names in a directory are on the disk.
fn sync(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    fs::File::open(directory)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_tls::ca::root::RootRenewal;
    use mesh_tls::csr::KeyKind;
    use mesh_tls::key::SigningKey;

    use super::*;
    use crate::authority::{MeshAuthority, sign_root};

    const ALWAYS: RootRenewal = RootRenewal {
        grace: 1.0,
        check_interval: std::time::Duration::ZERO,
    };

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn open(directory: &Path) -> Result<MeshAuthority, Failure> {
        MeshAuthority::open(directory, "mesh".parse().unwrap(), provider())
    }

    fn root() -> Signer {
        let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256).unwrap());
        sign_root(&"mesh".parse().unwrap(), key, &provider()).unwrap()
    }

    fn signer(authority: &MeshAuthority) -> Arc<Signer> {
        Arc::clone(authority.issuer().load().signer())
    }

    /// Opens the authority twice: it is kept, and is renewed as one that was made here.
    fn open_and_renew(directory: &Path) -> Arc<Signer> {
        let found = signer(&open(directory).unwrap());
        let again = open(directory).unwrap();
        assert_eq!(signer(&again).certificate(), found.certificate());
        again.renew(ALWAYS).unwrap();
        let renewed = signer(&open(directory).unwrap());
        assert_ne!(renewed.certificate(), found.certificate());
        assert_eq!(renewed.key().public_key(), found.key().public_key());
        found
    }

    #[test]
    fn no_root_is_made_beside_a_file_of_an_authority() {
        for name in FILES {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(name);
            fs::write(&file, "of somebody").unwrap();
            assert!(open(directory.path()).is_err(), "{name}");
            assert_eq!(fs::read(&file).unwrap(), b"of somebody", "{name}");
            let files = fs::read_dir(directory.path()).unwrap();
            assert_eq!(files.count(), 1, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_missing() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).unwrap();
        let key = fs::read(directory.path().join(KEY)).unwrap();
        let certificate = directory.path().join(CERTIFICATE);
        fs::remove_file(&certificate).unwrap();
        // Reading it fails, and not because it is not there.
        fs::create_dir(&certificate).unwrap();
        let error = open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("ca-cert.pem` cannot be read"), "{error}");
        assert_eq!(fs::read(directory.path().join(KEY)).unwrap(), key);
    }

    #[test]
    fn a_first_root_that_was_not_written_to_its_end_is_followed_by_another() {
        let begun = root();
        let files = of_first(&begun, &provider()).unwrap();
        for written in 0..=files.len() {
            let directory = tempfile::tempdir().unwrap();
            stage(directory.path(), &files[..written]).unwrap();
            if let Some((name, content)) = files.get(written) {
                let part = &content[..content.len() / 2];
                fs::write(staged(directory.path(), name), part).unwrap();
            }
            let found = open_and_renew(directory.path());
            assert_ne!(found.certificate(), begun.certificate(), "{written}");
        }
    }

    #[test]
    fn a_first_root_whose_files_are_not_all_in_place_is_gone_on_with_once_its_key_is() {
        let begun = root();
        let files = of_first(&begun, &provider()).unwrap();
        for placed in 0..=files.len() {
            let directory = tempfile::tempdir().unwrap();
            stage(directory.path(), &files).unwrap();
            for (name, _) in &files[..placed] {
                place(directory.path(), name).unwrap();
            }
            let has_key = fs::exists(directory.path().join(KEY)).unwrap();
            let found = open_and_renew(directory.path());
            let is_begun = found.certificate() == begun.certificate();
            assert_eq!(is_begun, has_key, "{placed}");
        }
    }

    #[test]
    fn what_was_not_made_here_is_not_gone_on_with() {
        let files = of_first(&root(), &provider()).unwrap();
        let other = of_first(&root(), &provider()).unwrap();
        let (marker, key) = (&files[0], &files[1]);
        // The mark is that of another root; the key is; somebody has put a chain beside it.
        let chain = ("cert-chain.pem", String::new());
        for begun in [
            vec![&other[0], key],
            vec![marker, &other[1]],
            vec![marker, key, &chain],
        ] {
            let directory = tempfile::tempdir().unwrap();
            stage(directory.path(), &files).unwrap();
            for (name, content) in &begun {
                fs::write(directory.path().join(name), content).unwrap();
            }
            assert!(open(directory.path()).is_err());
            for (name, content) in begun {
                let kept = fs::read_to_string(directory.path().join(name));
                assert_eq!(&kept.unwrap(), content);
            }
            assert!(!fs::exists(directory.path().join(CERTIFICATE)).unwrap());
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        // As somebody has left it.
        let left = staged(directory.path(), KEY);
        fs::write(&left, "").unwrap();
        fs::set_permissions(left, fs::Permissions::from_mode(0o644)).unwrap();
        open(directory.path()).unwrap();
        let key = fs::metadata(directory.path().join(KEY)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_renewal_that_is_broken_off_anywhere_is_followed_by_the_next() {
        for written in 0..=4 {
            let directory = tempfile::tempdir().unwrap();
            let old = signer(&open(directory.path()).unwrap());
            let domain = "mesh".parse().unwrap();
            let next = sign_root(&domain, Arc::clone(old.key()), &provider()).unwrap();
            let files = of_next(&next, &old, &provider()).unwrap();
            write(directory.path(), &files[..written]).unwrap();
            if let Some(file) = files.get(written) {
                stage(directory.path(), std::slice::from_ref(file)).unwrap();
            }
            let found = open_and_renew(directory.path());
            let is_next = found.certificate() == next.certificate();
            assert_eq!(is_next, written > 2, "after {written} files");
        }
    }
}
