//! The task that keeps an identity fresh, and the source that reads files.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{IssuancePolicy, Issuer};
use mesh_tls::csr::KeyKind;
use mesh_tls::resolve::{self, Identity, LiveIdentity};
use mesh_tls::source::{Keeper, Notice, SvidSource};
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::support::{DAY, NOW, at, issue, key, provider, root};

const HOUR: u64 = 60 * 60;

/// The wall clock of tokio's paused time.
#[derive(Debug)]
struct Paused(Instant);

impl TimeProvider for Paused {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(NOW + self.0.elapsed().as_secs()))
    }
}

fn id() -> SpiffeId {
    "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap()
}

fn issuer() -> Issuer {
    let root = root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW);
    Issuer::new(root, IssuancePolicy::default())
}

fn identity(issuer: &Issuer, now: u64) -> Identity {
    let (issued, key) = issue(issuer, &id(), now);
    let key = key.private_key().clone_key();
    let bundle = TrustBundle::new(id().trust_domain(), issued.roots.to_vec()).unwrap();
    Identity {
        svid: X509Svid::new(issued.chain, key, &provider()).unwrap(),
        bundles: TrustBundles::from_iter([bundle]),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not now")]
struct NotNow;

/// What the source does next.
enum Act {
    Fail,
    Give,
    GiveExpired,
    GiveIncomplete,
    Hang,
}

/// Does as it is told, and gives an identity when it is told nothing.
struct Scripted {
    issuer: Issuer,
    acts: VecDeque<Act>,
    clock: Arc<Paused>,
    changed: Arc<Notify>,
    problem: Option<NotNow>,
}

impl SvidSource for Scripted {
    type Error = NotNow;

    async fn fetch(&mut self) -> Result<Identity, NotNow> {
        let now = self.clock.current_time().unwrap().as_secs();
        self.problem = None;
        match self.acts.pop_front().unwrap_or(Act::Give) {
            Act::Fail => Err(NotNow),
            Act::Give => Ok(identity(&self.issuer, now)),
            Act::GiveExpired => Ok(identity(&self.issuer, now - 2 * DAY)),
            Act::GiveIncomplete => {
                self.problem = Some(NotNow);
                Ok(identity(&self.issuer, now))
            }
            Act::Hang => std::future::pending().await,
        }
    }

    fn problem(&self) -> Option<&NotNow> {
        self.problem.as_ref()
    }

    async fn changed(&mut self) {
        self.changed.notified().await;
    }
}

/// A keeper that runs, and what it told.
struct Kept {
    live: LiveIdentity,
    told: Arc<Mutex<Vec<(u64, &'static str)>>>,
    changed: Arc<Notify>,
    task: JoinHandle<std::convert::Infallible>,
}

impl Kept {
    fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let clock = Arc::new(Paused(Instant::now()));
        let changed = Arc::new(Notify::new());
        let source = Scripted {
            issuer: issuer(),
            acts: acts.into_iter().collect(),
            clock: Arc::clone(&clock),
            changed: Arc::clone(&changed),
            problem: None,
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let (log, start) = (Arc::clone(&told), Instant::now());
        let keeper = Keeper::new(source, clock, || 0.5).with_observer(move |notice| {
            let word = match notice {
                Notice::Failed { error: NotNow, .. } => "failed",
                Notice::Incomplete { error: NotNow } => "incomplete",
                Notice::NotValid { .. } => "not valid",
                Notice::Published { .. } => "published",
                Notice::Withdrawn => "withdrawn",
                _ => "other",
            };
            log.lock().unwrap().push((start.elapsed().as_secs(), word));
        });
        let (publisher, live) = resolve::channel();
        let task = tokio::spawn(keeper.run(publisher));
        Self {
            live,
            told,
            changed,
            task,
        }
    }

    async fn stop(self) -> Vec<(u64, &'static str)> {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn an_svid_is_renewed_at_half_of_its_life() {
    let kept = Kept::start([]);
    sleep(Duration::from_secs(36 * HOUR + 60)).await;
    let told = kept.stop().await;
    let half = 12 * HOUR;
    let times: Vec<u64> = told.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [0, half, 2 * half, 3 * half]);
    assert!(told.iter().all(|(_, word)| *word == "published"));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_told_that_an_identity_is_published_finds_it() {
    let clock = Arc::new(Paused(Instant::now()));
    let source = Scripted {
        issuer: issuer(),
        acts: VecDeque::new(),
        clock: Arc::clone(&clock),
        changed: Arc::default(),
        problem: None,
    };
    let (publisher, live) = resolve::channel();
    let (seen, found) = (live.clone(), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&found);
    let keeper = Keeper::new(source, clock, || 0.5).with_observer(move |notice| {
        if let Notice::Published { identity } = notice {
            let is_there = seen.svid().as_ref() == Some(&identity.svid);
            log.lock().unwrap().push(is_there);
        }
    });
    let task = tokio::spawn(keeper.run(publisher));
    sleep(Duration::from_secs(12 * HOUR + 60)).await;
    task.abort();
    assert_eq!(*found.lock().unwrap(), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_is_tried_again_and_the_old_svid_stays() {
    use Act::{Fail, Give};
    let kept = Kept::start([Give, Fail, Fail, Fail]);
    let first = kept.live.ready().await;
    sleep(Duration::from_secs(12 * HOUR + 2)).await;
    assert_eq!(kept.live.svid(), Some(first.clone()));
    sleep(Duration::from_secs(60)).await;
    assert_ne!(kept.live.svid(), Some(first));
    let told: Vec<_> = kept
        .stop()
        .await
        .into_iter()
        .map(|(_, word)| word)
        .collect();
    assert_eq!(
        told,
        ["published", "failed", "failed", "failed", "published"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_svid_is_withdrawn_when_it_expires_while_a_fetch_hangs() {
    let kept = Kept::start([Act::Give, Act::Hang]);
    kept.live.ready().await;
    sleep(Duration::from_secs(DAY - 1)).await;
    assert!(kept.live.svid().is_some());
    sleep(Duration::from_secs(62)).await;
    assert!(kept.live.svid().is_none());
    let told = kept.stop().await;
    assert_eq!(told, [(0, "published"), (DAY + 1, "withdrawn")]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_svid_is_not_published() {
    let kept = Kept::start([Act::GiveExpired]);
    sleep(Duration::from_millis(500)).await;
    assert!(kept.live.svid().is_none());
    sleep(Duration::from_secs(2)).await;
    assert!(kept.live.svid().is_some());
    let told: Vec<_> = kept
        .stop()
        .await
        .into_iter()
        .map(|(_, word)| word)
        .collect();
    assert_eq!(told, ["not valid", "published"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_of_now_is_told_of_an_identity_that_counts() {
    let kept = Kept::start([Act::GiveIncomplete, Act::Give]);
    kept.live.ready().await;
    sleep(Duration::from_secs(12 * HOUR + 60)).await;
    let (now, half) = (0, 12 * HOUR);
    assert_eq!(
        kept.stop().await,
        [(now, "published"), (now, "incomplete"), (half, "published")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_at_the_source_is_fetched_at_once() {
    let mut kept = Kept::start([]);
    kept.live.ready().await;
    sleep(Duration::from_secs(100)).await;
    kept.changed.notify_one();
    kept.live.changed().await;
    sleep(Duration::from_secs(1)).await;
    let told = kept.stop().await;
    assert_eq!(told, [(0, "published"), (100, "published")]);
}

#[cfg(all(feature = "file", unix))]
mod files {
    use std::path::Path;

    use mesh_tls::ca::crl::Revocations;
    use mesh_tls::pem;
    use mesh_tls::source::{FileNames, FileSource, FileSourceError};

    use super::*;

    /// Writes the files of an identity as Kubernetes does: into a new directory, to which the link
    /// `..data` is then renamed, through which the names point.
    fn publish(directory: &Path, version: &str, issuer: &Issuer) {
        let (issued, key) = issue(issuer, &id(), NOW);
        let target = directory.join(version);
        std::fs::create_dir(&target).unwrap();
        let files = [
            ("cert-chain.pem", pem::encode_certificates(&issued.chain)),
            ("key.pem", key.to_pem()),
            (
                "root-cert.pem",
                pem::encode_certificates(issued.roots.iter()),
            ),
        ];
        for (name, content) in files {
            std::fs::write(target.join(name), content).unwrap();
            let link = directory.join(name);
            if !link.is_symlink() {
                std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
            }
        }
        let new = directory.join("..data_tmp");
        std::os::unix::fs::symlink(version, &new).unwrap();
        std::fs::rename(new, directory.join("..data")).unwrap();
    }

    /// A list that revokes nothing.
    fn list(issuer: &Issuer) -> String {
        let list = Revocations {
            number: 1,
            lifetime: Duration::from_secs(DAY),
            revoked: Vec::new(),
        };
        list.sign(issuer.signer(), at(NOW)).unwrap().to_pem()
    }

    #[tokio::test]
    async fn a_mounted_secret_is_read_and_watched() {
        let directory = tempfile::tempdir().unwrap();
        let issuer = issuer();
        publish(directory.path(), "..1", &issuer);
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        let mut source = source.unwrap();
        let first = source.fetch().await.unwrap();
        assert_eq!(first.svid.id(), &id());

        publish(directory.path(), "..2", &issuer);
        // Bounded, should no event come.
        let changed = tokio::time::timeout(Duration::from_secs(30), source.changed());
        changed.await.expect("the directory is watched");
        let second = source.fetch().await.unwrap();
        assert_ne!(second.svid, first.svid);
    }

    #[tokio::test]
    async fn what_the_roots_revoked_is_read_beside_them() {
        let (directory, issuer) = (tempfile::tempdir().unwrap(), issuer());
        publish(directory.path(), "..1", &issuer);
        let list = list(&issuer);
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        let mut source = source.unwrap();
        for (text, is_there) in [(None, false), (Some("\n"), false), (Some(&*list), true)] {
            if let Some(text) = text {
                std::fs::write(directory.path().join("ca-crl.pem"), text).unwrap();
            }
            let identity = source.fetch().await.unwrap();
            let bundle = identity.bundles.get(&id().trust_domain()).unwrap();
            assert_eq!(!bundle.revocations().is_empty(), is_there, "{text:?}");
        }
        std::fs::write(directory.path().join("ca-crl.pem"), "no list").unwrap();
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        assert!(matches!(
            source.unwrap().fetch().await,
            Err(FileSourceError::Revocations(_))
        ));
    }

    #[tokio::test]
    async fn an_identity_is_renewed_with_the_last_lists_while_there_are_no_others() {
        let (directory, issuer) = (tempfile::tempdir().unwrap(), issuer());
        publish(directory.path(), "..1", &issuer);
        let lists = directory.path().join("ca-crl.pem");
        std::fs::write(&lists, list(&issuer)).unwrap();
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        let mut source = source.unwrap();
        let mut last = source.fetch().await.unwrap().svid;
        assert!(source.problem().is_none());
        for (version, text) in [("..2", ""), ("..3", "\n"), ("..4", "no list")] {
            std::fs::write(&lists, text).unwrap();
            publish(directory.path(), version, &issuer);
            let identity = source.fetch().await.unwrap();
            let bundle = identity.bundles.get(&id().trust_domain()).unwrap();
            assert!(!bundle.revocations().is_empty(), "{text:?}");
            let problem = source.problem().unwrap();
            let is_empty = matches!(problem, FileSourceError::Empty { .. });
            assert_eq!(is_empty, text.trim().is_empty(), "{problem}");
            assert_ne!(identity.svid, last, "{text:?}");
            last = identity.svid;
        }
        std::fs::write(&lists, list(&issuer)).unwrap();
        source.fetch().await.unwrap();
        assert!(source.problem().is_none());
    }

    #[tokio::test]
    async fn a_file_that_somebody_begins_to_write_is_not_taken() {
        let (directory, issuer) = (tempfile::tempdir().unwrap(), issuer());
        publish(directory.path(), "..1", &issuer);
        let [lists, roots] =
            ["ca-crl.pem", "root-cert.pem"].map(|name| directory.path().join(name));
        let list = list(&issuer);
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        let mut source = source.unwrap();
        std::fs::write(&lists, &list).unwrap();
        source.fetch().await.unwrap();
        for (text, is_kept) in [(Some(""), true), (None, false)] {
            match text {
                Some(text) => std::fs::write(&lists, text).unwrap(),
                None => std::fs::remove_file(&lists).unwrap(),
            }
            let identity = source.fetch().await.unwrap();
            let bundle = identity.bundles.get(&id().trust_domain()).unwrap();
            assert_eq!(!bundle.revocations().is_empty(), is_kept, "{text:?}");
        }
        std::fs::write(&lists, "").unwrap();
        source.fetch().await.expect("nothing was");

        std::fs::remove_file(&roots).unwrap();
        std::fs::write(&roots, "\n").unwrap();
        let error = source.fetch().await.unwrap_err();
        assert!(matches!(error, FileSourceError::Empty { .. }), "{error}");
    }

    #[tokio::test]
    async fn files_that_do_not_fit_are_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        publish(directory.path(), "..1", &issuer());
        let other = key(KeyKind::EcdsaP256).to_pem();
        std::fs::remove_file(directory.path().join("key.pem")).unwrap();
        std::fs::write(directory.path().join("key.pem"), other).unwrap();
        let source = FileSource::new(directory.path(), FileNames::default(), provider());
        let mut source = source.unwrap();
        assert!(matches!(
            source.fetch().await,
            Err(FileSourceError::Svid(_))
        ));
        std::fs::remove_file(directory.path().join("key.pem")).unwrap();
        assert!(matches!(
            source.fetch().await,
            Err(FileSourceError::Read { .. })
        ));
        let missing = FileSource::new(directory.path().join("x"), FileNames::default(), provider());
        assert!(matches!(missing, Err(FileSourceError::Watch { .. })));
    }
}
