//! Who the gateway is in the mesh: files that are watched.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use mesh_tls::resolve::{self, LiveIdentity};
use mesh_tls::source::{FileNames, FileSource, FileSourceError, Keeper, Notice};
use rustls::crypto::aws_lc_rs;
use rustls::time_provider::DefaultTimeProvider;

/// Keeps the identity in `directory` fresh, on a thread of its own.
pub(crate) fn keep(directory: &Path) -> Result<LiveIdentity, Box<dyn Error>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let source = FileSource::new(directory, FileNames::default(), provider)?;
    let keeper = Keeper::new(source, Arc::new(DefaultTimeProvider), fastrand::f64)
        .with_observer(|notice| tell(&notice));
    let (publisher, live) = resolve::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("identity".to_owned())
        .spawn(move || match runtime.block_on(keeper.run(publisher)) {})?;
    Ok(live)
}

fn tell(notice: &Notice<'_, FileSourceError>) {
    match notice {
        Notice::Published { identity } => eprintln!("the gateway is {}", identity.svid.id()),
        Notice::Failed { error, .. } => {
            let source = error.source().map(|source| format!(": {source}"));
            let source = source.unwrap_or_default();
            eprintln!("warning: the identity cannot be read: {error}{source}");
        }
        Notice::NotValid { .. } => eprintln!("warning: the identity does not count now"),
        Notice::Withdrawn => eprintln!("warning: the identity has expired"),
        _ => {}
    }
}
