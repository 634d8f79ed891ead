//! Service accounts, and the tokens that they prove themselves by.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

/// How long a token is used before its file is read again, as by client-go.
const PERIOD: Duration = Duration::from_secs(60);

/// A service account of Kubernetes, by the files that a pod has of it.
///
/// ```
/// use std::path::Path;
///
/// use mesh_discovery::source::kubernetes::ServiceAccount;
///
/// let directory = "/var/run/secrets/kubernetes.io/serviceaccount";
/// let account = ServiceAccount::mounted("https://kubernetes.default.svc", directory);
/// assert_eq!(account.ca, Path::new("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccount {
    /// Where the API server is, `https://10.96.0.1:443`.
    pub server: String,
    /// File of the token. It is read again once a minute, and when the server does not know the token
    /// any more: tokens that are bound to pods are replaced before they expire. While it cannot be read,
    /// the last token is used on.
    pub token: PathBuf,
    /// File of the certificates, as PEM, one of which has to vouch for the server. It is read again once
    /// a minute.
    pub ca: PathBuf,
    /// File of the name of the namespace of the pod.
    pub namespace: PathBuf,
}

impl ServiceAccount {
    /// The service account that is mounted at `directory`, for the API server at `server`. In pods
    /// that is `/var/run/secrets/kubernetes.io/serviceaccount`, and `https://kubernetes.default.svc`.
    pub fn mounted(server: impl Into<String>, directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref();
        Self {
            server: server.into(),
            token: directory.join("token"),
            ca: directory.join("ca.crt"),
            namespace: directory.join("namespace"),
        }
    }
}

/// A file of a service account cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceAccountError {
    /// The file has nothing that is a token, or no certificate.
    #[error("`{}` has no {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The file cannot be read.
    #[error("`{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

pub(super) fn read(path: &Path) -> Result<String, ServiceAccountError> {
    fs::read_to_string(path).map_err(|source| ServiceAccountError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The token of a file, as a header.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    header: HeaderValue,
    // `None` if it is to be read again.
    read: Option<Instant>,
}

impl TokenFile {
    fn new(path: PathBuf, now: Instant) -> Result<Self, ServiceAccountError> {
        let header = read_header(&path)?;
        Ok(Self {
            path,
            header,
            read: Some(now),
        })
    }

    /// The header of a request at `now`.
    fn header(&mut self, now: Instant) -> HeaderValue {
        let is_fresh = |read: Instant| now.saturating_duration_since(read) < PERIOD;
        if !self.read.is_some_and(is_fresh) {
            // Programs may be left without the file on purpose, once they have the token.
            if let Ok(header) = read_header(&self.path) {
                self.header = header;
            }
            self.read = Some(now);
        }
        self.header.clone()
    }

    /// The server does not know the token of `header`.
    fn refuse(&mut self, header: &HeaderValue) {
        if self.header == *header {
            self.read = None;
        }
    }
}

fn read_header(path: &Path) -> Result<HeaderValue, ServiceAccountError> {
    let text = read(path)?;
    let token = text.trim();
    let header = HeaderValue::try_from(format!("Bearer {token}")).ok();
    let mut header = header.filter(|_| !token.is_empty()).ok_or_else(|| {
        let path = path.to_owned();
        let what = "token";
        ServiceAccountError::Malformed { path, what }
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// Adds the token of a file to requests.
#[derive(Clone, Debug)]
pub(super) struct TokenLayer(Arc<Mutex<TokenFile>>);

impl TokenLayer {
    pub(super) fn new(path: &Path) -> Result<Self, ServiceAccountError> {
        let file = TokenFile::new(path.to_owned(), now())?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    fn with<T>(&self, use_file: impl FnOnce(&mut TokenFile) -> T) -> T {
        use_file(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S> Layer<S> for TokenLayer {
    type Service = WithToken<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let token = self.clone();
        WithToken { inner, token }
    }
}

/// Middleware that adds the token of a file to requests.
#[derive(Debug)]
pub(super) struct WithToken<S> {
    inner: S,
    token: TokenLayer,
}

impl<S, B> Service<Request<Body>> for WithToken<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let token = self.token.clone();
        let header = token.with(|file| file.header(now()));
        request.headers_mut().insert(AUTHORIZATION, header.clone());
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                token.with(|file| file.refuse(&header));
            }
            Ok(response)
        })
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(token: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, token).unwrap();
        (directory, path)
    }

    #[test]
    fn a_token_is_read_again_once_a_minute_or_when_it_is_refused() {
        let (_directory, path) = file("first\n");
        let start = now();
        let mut token = TokenFile::new(path.clone(), start).unwrap();
        let first = token.header(start);
        assert_eq!(first, "Bearer first");
        fs::write(&path, "second").unwrap();
        assert_eq!(token.header(start + PERIOD / 2), first);
        let second = token.header(start + PERIOD);
        assert_eq!(second, "Bearer second");

        fs::write(&path, "third").unwrap();
        token.refuse(&first);
        assert_eq!(
            token.header(start + PERIOD),
            second,
            "it was another that was refused"
        );
        token.refuse(&second);
        assert_eq!(token.header(start + PERIOD), "Bearer third");
    }

    #[test]
    fn the_last_token_is_used_while_the_file_cannot_be_read() {
        let (_directory, path) = file("first");
        let start = now();
        let mut token = TokenFile::new(path.clone(), start).unwrap();
        for text in [None, Some(""), Some("two\nlines")] {
            match text {
                None => fs::remove_file(&path).unwrap(),
                Some(text) => fs::write(&path, text).unwrap(),
            }
            let later = start + 2 * PERIOD;
            assert_eq!(token.header(later), "Bearer first", "{text:?}");
            token.read = Some(start);
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let (_directory, path) = file("secret");
        let token = TokenFile::new(path, now()).unwrap();
        assert!(!format!("{token:?}").contains("secret"));
    }

    #[test]
    fn a_file_without_a_token_is_named() {
        let (_directory, path) = file(" \n");
        let error = TokenFile::new(path.clone(), now()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` has no token", path.display())
        );
        fs::remove_file(&path).unwrap();
        let error = TokenFile::new(path.clone(), now()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{}` cannot be read", path.display())
        );
    }
}
