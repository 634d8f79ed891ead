//! A connection while it is forwarded.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mesh_core::attributes::ResponseFlag;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until};

use super::record::Record;
use crate::upstream::Established;

/// How many bytes are under way in each direction.
const BUFFER: usize = 16 * 1024;

/// A connection while it is forwarded.
pub(super) struct Session<'a> {
    last_active: Cell<Instant>,
    record: &'a Record,
}

impl<'a> Session<'a> {
    pub(super) fn begin(record: &'a Record) -> Self {
        Self {
            last_active: Cell::new(Instant::now()),
            record,
        }
    }

    /// Copies both ways as [`run`](Self::run) does, for as long as the upstream is believed.
    pub(super) async fn forward<C>(
        &self,
        client: C,
        upstream: Established,
        idle_timeout: Option<Duration>,
    ) where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Established {
            transport, trust, ..
        } = upstream;
        tokio::select! {
            () = self.run(client, transport, idle_timeout) => {}
            // Bytes have no end to wait for.
            () = trust.lost() => self.record.terminate("upstream_certificate_no_longer_trusted"),
        }
    }

    /// Copies both ways until both sides are done, one of them fails, or both have been silent for
    /// too long.
    async fn run<C, U>(&self, client: C, upstream: U, idle_timeout: Option<Duration>)
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let mut client = Metered {
            io: client,
            observe: |read: Result<u64, &io::Error>| self.received(read),
        };
        let mut upstream = Metered {
            io: upstream,
            observe: |read: Result<u64, &io::Error>| self.sent(read),
        };
        tokio::select! {
            // Whatever went wrong, there is nobody to tell but the two, who are closed.
            _ = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {}
            () = self.silent_for(idle_timeout) => {}
        }
    }

    /// The client has said something, or failed.
    fn received(&self, read: Result<u64, &io::Error>) {
        let Ok(bytes) = read else {
            return;
        };
        self.last_active.set(Instant::now());
        self.record.received(bytes);
    }

    /// The upstream has said something, or failed.
    fn sent(&self, read: Result<u64, &io::Error>) {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionReset {
                    self.record.break_off(ResponseFlag::UpstreamRemoteReset);
                }
                return;
            }
        };
        self.last_active.set(Instant::now());
        self.record.sent(bytes);
    }

    async fn silent_for(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else {
            return pending().await;
        };
        loop {
            let since = self.last_active.get();
            let Some(due) = since.checked_add(timeout) else {
                return pending().await;
            };
            sleep_until(due).await;
            if self.last_active.get() == since {
                return;
            }
        }
    }
}

/// Observes how many bytes are read, and why no more are read or written.
struct Metered<IO, F> {
    io: IO,
    observe: F,
}

impl<IO, F> AsyncRead for Metered<IO, F>
where
    IO: AsyncRead + Unpin,
    F: Fn(Result<u64, &io::Error>) + Unpin,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut this.io).poll_read(cx, buffer));
        let bytes = (buffer.filled().len() - before) as u64;
        (this.observe)(read.as_ref().map(|()| bytes));
        Poll::Ready(read)
    }
}

impl<IO, F> AsyncWrite for Metered<IO, F>
where
    IO: AsyncWrite + Unpin,
    F: Fn(Result<u64, &io::Error>) + Unpin,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes));
        if let Err(error) = &written {
            (this.observe)(Err(error));
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::gateway::tcp::within;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_time_is_up_however_busy_it_is() {
        let ended = lasts(Some(10 * SECOND), Some(5 * SECOND), Some(SECOND)).await;
        assert_eq!(ended, 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_it_was_silent_for_too_long() {
        let ended = lasts(Some(10 * SECOND), Some(5 * SECOND), None).await;
        assert_eq!(ended, 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_limits_lasts() {
        let day = 24 * 60 * 60 * SECOND;
        let lasting = lasts(None, None, None);
        assert!(timeout(day, lasting).await.is_err());
    }

    /// How long a connection lasts whose client speaks each `interval`, and whose server answers.
    async fn lasts(
        whole: Option<Duration>,
        idle: Option<Duration>,
        interval: Option<Duration>,
    ) -> Duration {
        let record = Record::default();
        let session = Session::begin(&record);
        let (client, ours) = duplex(64);
        let (theirs, server) = duplex(64);
        let start = Instant::now();
        tokio::select! {
            _ = within(whole, session.run(ours, theirs, idle)) => {}
            () = speak(client, interval) => {}
            () = answer(server) => {}
        }
        start.elapsed()
    }

    async fn speak(mut client: DuplexStream, interval: Option<Duration>) {
        while let Some(interval) = interval {
            tokio::time::sleep(interval).await;
            client.write_all(b"a").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        pending().await
    }

    async fn answer(mut server: DuplexStream) {
        loop {
            let byte = server.read_u8().await.unwrap();
            server.write_u8(byte).await.unwrap();
        }
    }
}
