//! One kind, listed and watched.

use std::iter::successors;
use std::mem;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use kube::core::ApiResource;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Client};
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::resource::kind::Kind;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::sleep;

use super::Pauses;
use super::discovery::served;
use super::received::{FILE, Read, Received};
use super::sync::KindEvent;
use crate::backoff::{half_or_more, longest};

/// Watches one kind, and reports to the source, until that is gone.
pub(super) struct Watcher {
    pub(super) client: Client,
    pub(super) kind: Kind,
    pub(super) pauses: Pauses,
    pub(super) page_size: u32,
    pub(super) events: Sender<(Kind, KindEvent)>,
}

/// How far a list and watch is.
#[derive(Debug, Default)]
struct Progress {
    listed: Vec<Read>,
    // Whether the source was told of an error that is not over yet.
    failed: bool,
}

/// The source was dropped.
struct Gone;

impl From<SendError<(Kind, KindEvent)>> for Gone {
    fn from(_: SendError<(Kind, KindEvent)>) -> Self {
        Self
    }
}

/// What the next step is after an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum After {
    /// The past is lost: list anew.
    List,
    /// Ask anew whether the server has the kind, after a while.
    Recheck,
    /// Go on where the watch ended.
    Resume,
}

impl Watcher {
    pub(super) async fn run(self) {
        // It ends only when nobody listens any more.
        let _: Result<(), Gone> = self.watch_for_ever().await;
    }

    async fn watch_for_ever(&self) -> Result<(), Gone> {
        let mut backoff = Backoff::new(self.pauses);
        loop {
            match served(&self.client, self.kind).await {
                Ok(Some(resource)) => {
                    self.watch(&resource, &mut backoff).await?;
                    continue;
                }
                Ok(None) => self.report(KindEvent::Absent).await?,
                Err(kube::Error::Api(status)) if is_refusal(status.code) => {
                    let why = self.diagnostic(Severity::Warning, &status.message);
                    self.report(KindEvent::Refused(why)).await?;
                }
                Err(error) => {
                    self.fail(&error).await?;
                    sleep(backoff.next()).await;
                    continue;
                }
            }
            sleep(self.pauses.recheck).await;
        }
    }

    /// Lists and watches the kind, until it has to be looked for anew.
    async fn watch(&self, resource: &ApiResource, backoff: &mut Backoff) -> Result<(), Gone> {
        while self.watch_once(resource, backoff).await? == After::List {
            sleep(backoff.next()).await;
        }
        sleep(self.pauses.recheck).await;
        Ok(())
    }

    /// Lists and watches the kind, until that does not lead any further.
    async fn watch_once(
        &self,
        resource: &ApiResource,
        backoff: &mut Backoff,
    ) -> Result<After, Gone> {
        let mut config = Config::default().page_size(self.page_size);
        if let Some(fields) = field_selector(self.kind) {
            config = config.fields(fields);
        }
        let api: Api<Received> = Api::all_with(self.client.clone(), resource);
        let mut events = pin!(watcher(api, config));
        let mut progress = Progress::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    // The beginning of a list says nothing about the server yet.
                    if !matches!(event, Event::Init) {
                        backoff.reset();
                    }
                    self.handle_event(event, resource, &mut progress).await?;
                }
                Err(error) => match self.handle_error(&error, &mut progress).await? {
                    After::Resume => sleep(backoff.next()).await,
                    after => return Ok(after),
                },
            }
        }
        Ok(After::List)
    }

    async fn handle_event(
        &self,
        event: Event<Received>,
        resource: &ApiResource,
        progress: &mut Progress,
    ) -> Result<(), Gone> {
        if !matches!(event, Event::Init) && mem::take(&mut progress.failed) {
            self.report(KindEvent::Recovered).await?;
        }
        let event = match event {
            Event::Init => {
                progress.listed.clear();
                return Ok(());
            }
            Event::InitApply(object) => {
                progress.listed.push(object.read(self.kind, resource));
                return Ok(());
            }
            Event::InitDone => KindEvent::Listed(mem::take(&mut progress.listed)),
            Event::Apply(object) => KindEvent::Applied(object.read(self.kind, resource)),
            Event::Delete(object) => KindEvent::Removed(object.name(self.kind)),
        };
        self.report(event).await
    }

    /// Reports an error of the watch, unless it is none for anybody else, and says what to do.
    async fn handle_error(&self, error: &Error, progress: &mut Progress) -> Result<After, Gone> {
        let code = code(error);
        match code {
            // The watcher lists anew by itself only if the server said so within a watch.
            Some(410) if matches!(error, Error::WatchStartFailed(_)) => return Ok(After::List),
            Some(410) => return Ok(After::Resume),
            Some(code) if is_refusal(code) => {
                let why = self.diagnostic(Severity::Warning, &error.to_string());
                self.report(KindEvent::Refused(why)).await?;
                return Ok(After::Recheck);
            }
            // The definition of the kind was deleted.
            Some(404) => {
                self.report(KindEvent::Absent).await?;
                return Ok(After::Recheck);
            }
            _ => {}
        }
        progress.failed = true;
        self.fail(error).await?;
        Ok(After::Resume)
    }

    async fn fail(&self, error: &(dyn std::error::Error + Sync)) -> Result<(), Gone> {
        let why = self.diagnostic(Severity::Error, &with_causes(error));
        self.report(KindEvent::Failed(why)).await
    }

    async fn report(&self, event: KindEvent) -> Result<(), Gone> {
        Ok(self.events.send((self.kind, event)).await?)
    }

    fn diagnostic(&self, severity: Severity, why: &str) -> Diagnostic {
        let message = format!("`{}` cannot be read: {why}", self.kind);
        Diagnostic::new(severity, FILE, message)
    }
}

/// Whether the server knows us, and does not let us read. A token that has expired (401) says nothing
/// about what may be read.
fn is_refusal(code: u16) -> bool {
    code == 403
}

/// What an error says, and those that caused it, each once: many of them repeat what is below.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in successors(error.source(), |error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

/// Leaves out what is of no use and may be large, as istiod does.
fn field_selector(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Secret => Some("type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token"),
        Kind::Pod => Some("status.phase!=Failed"),
        _ => None,
    }
}

/// Pauses after errors, half of each at random so that not all clients return at once.
struct Backoff {
    pauses: Pauses,
    errors: u32,
    random: fastrand::Rng,
}

impl Backoff {
    fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            errors: 0,
            random: fastrand::Rng::new(),
        }
    }

    fn reset(&mut self) {
        self.errors = 0;
    }

    fn next(&mut self) -> Duration {
        let most = longest(self.pauses.base, self.pauses.max, self.errors);
        self.errors = self.errors.saturating_add(1);
        half_or_more(most, self.random.u64(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_until_there_is_an_answer() {
        let mut backoff = Backoff::new(Pauses::default());
        for most in [1, 2, 4, 8, 16, 30, 30] {
            let most = Duration::from_secs(most);
            let pause = backoff.next();
            assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
