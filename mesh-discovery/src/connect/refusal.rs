use std::error::Error;

use h2::Reason;

/// Whether an error, of hyper or h2, says that the endpoint did not process the request: it refused the
/// stream (`REFUSED_STREAM`), or the stream is above the last one of its `GOAWAY`. Such a request can
/// be sent again whatever it does (RFC 9113 §8.7).
pub fn is_refused(error: &(dyn Error + 'static)) -> bool {
    of_http2(error).is_some_and(|error| {
        let is_refused = error.reason() == Some(Reason::REFUSED_STREAM);
        // A GOAWAY is the error only of streams that it does not cover.
        error.is_remote() && (is_refused || error.is_go_away())
    })
}

/// Whether an error of hyper's client comes from the request itself: its body failed, and the stream was
/// ended for that. It says nothing about the endpoint, which should not be ejected for it.
pub fn is_of_request(error: &hyper::Error) -> bool {
    // Streams that h2 resets by itself are those of an endpoint that breaks the protocol.
    let is_ended =
        |error: &h2::Error| error.is_reset() && !error.is_remote() && !error.is_library();
    error.is_user() || error.is_body_write_aborted() || of_http2(error).is_some_and(is_ended)
}

fn of_http2<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a h2::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use mesh_core::attributes::{ResetReason, ResponseFlag, UpstreamReset};
    use mesh_core::model::cluster::Cluster;
    use mesh_core::service::{ClusterName, Protocol};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::balance::testing::endpoint;
    use crate::circuit_breaker::{Breakers, Limits};
    use crate::connect::{Body, Pools};
    use crate::service::{NewService, Target};

    #[tokio::test]
    async fn a_stream_that_is_refused_is_told_from_one_that_is_reset() {
        let cases = [
            (Reason::REFUSED_STREAM, ResetReason::RemoteRefusedStream),
            (Reason::INTERNAL_ERROR, ResetReason::RemoteReset),
            (Reason::CANCEL, ResetReason::RemoteReset),
        ];
        for (reason, expected) in cases {
            let response = answer_of(move |stream| reset(stream, reason)).await;
            let flag = response.extensions().get();
            assert_eq!(flag, Some(&ResponseFlag::UpstreamRemoteReset), "{reason:?}");
            let reset = response.extensions().get::<UpstreamReset>().unwrap();
            assert_eq!(reset.reason, expected, "{reason:?}");
            if expected == ResetReason::RemoteRefusedStream {
                let text = response.into_body().collect().await.unwrap().to_bytes();
                assert!(text.ends_with(b"reset reason: remote refused stream reset"));
            }
        }
    }

    #[tokio::test]
    async fn a_stream_above_the_last_one_of_a_goaway_is_refused() {
        let response = answer_of(go_away).await;
        let reset = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(reset.reason, ResetReason::RemoteRefusedStream);
    }

    /// Serves HTTP/2, and resets the first stream.
    async fn reset(stream: DuplexStream, reason: Reason) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(reason);
        while connection.accept().await.is_some() {}
    }

    /// Reads as far as the first stream, and says that it has processed none.
    async fn go_away(mut stream: DuplexStream) {
        let mut read = Vec::new();
        let headers_of_stream_1 = |frame: &[u8]| frame[0] == 1 && frame[2..] == [0, 0, 0, 1];
        while !read.windows(6).any(headers_of_stream_1) {
            stream.read_buf(&mut read).await.unwrap();
        }
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        let go_away = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
        stream.write_all(settings).await.unwrap();
        stream.write_all(go_away).await.unwrap();
        // Until the client closes.
        let _ = stream.read_to_end(&mut read).await;
    }

    /// What a request is answered with that goes to an endpoint of which `serve` is the server.
    async fn answer_of<F>(
        serve: impl Fn(DuplexStream) -> F + Clone + Send + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let pools = Pools::new(service_fn(move |_: Target| {
            let (ours, theirs) = tokio::io::duplex(4096);
            tokio::spawn(serve(theirs));
            std::future::ready(Ok::<_, io::Error>(ours))
        }));
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.protocol = Protocol::Http2;
        let target = Target {
            endpoint: Arc::new(endpoint(1)),
            cluster: Arc::new(cluster),
            breakers: Arc::new(Breakers::new(Limits::default())),
            downstream: None,
        };
        let request = Request::get("http://cart.example/").body(Full::<Bytes>::default());
        let sending = pools.new_service(&target).oneshot(request.unwrap());
        sending.await.unwrap()
    }
}
