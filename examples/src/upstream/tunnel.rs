//! Join the two connections after `101 Switching Protocols`.

use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mesh_discovery::service::SwitchedRequest;
use tokio::io::AsyncWriteExt;

use super::error::UpstreamError;
use super::h1::{Answer, Switched};
use crate::body::Body;

/// What a client offers by `Upgrade` (RFC 9110 §7.8) or by extended `CONNECT` (RFC 8441 §4).
pub(super) struct Tunnel {
    client: OnUpgrade,
    extended_connect: bool,
}

impl Tunnel {
    /// Takes the offer out of `request`, which has the form of HTTP/1.1: `HeaderPolicy` has given it that.
    pub(super) fn offered<B>(request: &mut Request<B>) -> Option<Self> {
        let client = request.extensions_mut().remove::<OnUpgrade>()?;
        let extended_connect = request.extensions_mut().remove::<Protocol>().is_some();
        request.headers().contains_key(UPGRADE).then_some(Self {
            client,
            extended_connect,
        })
    }

    /// Joins the connections if the upstream accepted what the client offered.
    pub(super) fn conclude(
        offered: Option<Self>,
        answer: Answer,
    ) -> Result<Response<Body>, UpstreamError> {
        let Answer {
            mut response,
            switched,
        } = answer;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let (Some(offered), Some(switched)) = (offered, switched) else {
            return Err(UpstreamError::protocol(NotOffered));
        };
        if offered.extended_connect {
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(UPGRADE);
            response.headers_mut().remove(CONNECTION);
        }
        response.headers_mut().remove(CONTENT_LENGTH);
        let request = SwitchedRequest::default();
        response.extensions_mut().insert(request.clone());
        tokio::task::spawn_local(async move {
            join(offered.client, switched).await;
            // It was in flight until now.
            drop(request);
        });
        Ok(response)
    }
}

/// Copies both ways until both sides are done, or the upstream is believed no more. An error ends both:
/// there is nobody to tell.
async fn join(client: OnUpgrade, mut upstream: Switched) {
    let Ok(client) = client.await else { return };
    let mut client = TokioIo::new(client);
    if client.write_all(&upstream.received).await.is_ok() {
        drop(upstream.received);
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut upstream.stream) => {}
            () = upstream.trust.lost() => {}
        }
    }
}

/// The upstream switched protocols, and nobody had asked for it.
#[derive(Debug, thiserror::Error)]
#[error("unexpected switch of protocols")]
struct NotOffered;
