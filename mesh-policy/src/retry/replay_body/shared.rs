//! What the attempts of a request share: its body, and what has been read of it.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::BoxError;
use crate::pieces::{Pieces, Position};

/// Frames that are read ahead before others have their turn.
const AHEAD_AT_ONCE: usize = 64;

/// A frame for the attempt, the end, or why there is none.
type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// What the attempts of a request share.
pub(super) struct Shared<B> {
    body: B,
    /// What is kept, and what has been read ahead: the last piece of that may be beyond the limit.
    pieces: Pieces,
    limit: usize,
    end: End,
    /// The attempt that may read.
    pub(super) attempt: u32,
    /// What it has read of the pieces.
    read: Position,
    /// Whether it has read the trailers, or that there are none.
    ended: bool,
    /// Whether it has been given up before it had read everything.
    is_dropped: bool,
    /// Who waits for its next frame.
    pub(super) reader: Option<Waker>,
    /// Who reads ahead.
    pub(super) receiver: Option<Waker>,
    /// When something has last come or been read, as long as the body had not come whole. `None` if the
    /// attempt is not timed.
    pub(super) moved: Option<Instant>,
    is_replayable: bool,
}

/// How far the inner body has been read.
enum End {
    NotYet,
    Reached(Option<HeaderMap>),
    /// It failed; it would fail each attempt. The attempt that reads has yet to be told the error.
    Failed(Option<BoxError>),
}

impl<B> Shared<B> {
    /// `body`, of which up to `limit` bytes are kept.
    pub(super) fn new(body: B, limit: usize) -> Self
    where
        B: Body,
    {
        // A body that says it is too long is not worth keeping the beginning of.
        let is_replayable = body.size_hint().lower() <= limit as u64;
        Self {
            body,
            pieces: Pieces::default(),
            limit,
            end: End::NotYet,
            attempt: 0,
            read: Position::default(),
            ended: false,
            is_dropped: false,
            reader: None,
            receiver: None,
            moved: None,
            is_replayable,
        }
    }

    /// Begins the next attempt; with its number, who waits for a frame of the earlier one.
    pub(super) fn begin(&mut self) -> (u32, Option<Waker>) {
        self.attempt += 1;
        self.read = Position::default();
        self.ended = false;
        self.is_dropped = false;
        self.moved = None;
        (self.attempt, self.reader.take())
    }

    pub(super) fn can_replay(&self) -> bool {
        self.is_replayable && !matches!(self.end, End::Failed(_))
    }

    /// Whether nothing more comes, or nobody is there to read it.
    pub(super) fn is_received(&self) -> bool {
        self.is_dropped || !matches!(self.end, End::NotYet)
    }

    /// Whether the attempt has read all that has come, and waits for more.
    pub(super) fn waits_for_client(&self) -> bool {
        self.reader.is_some() && self.pieces.left(self.read) == 0 && !self.is_received()
    }

    /// Times the attempt, from now if it is not timed yet.
    pub(super) fn timed(&mut self) {
        self.moved.get_or_insert_with(Instant::now);
    }

    /// Notes that the attempt moves on, if it is timed.
    fn moves(&mut self) {
        if self.moved.is_some() && !self.is_received() {
            self.moved = Some(Instant::now());
        }
    }

    /// The attempt reads no more.
    pub(super) fn abandon(&mut self) {
        self.moves();
        self.is_dropped = true;
    }

    /// There is no further attempt.
    pub(super) fn settle(&mut self) {
        self.is_replayable = false;
        self.release();
    }

    /// Keeps a piece that the attempt reads, which has read all before it.
    fn keep(&mut self, piece: &Bytes) {
        if self.pieces.len().saturating_add(piece.len()) > self.limit {
            self.is_replayable = false;
        }
        if self.is_replayable {
            self.pieces.push(piece);
            self.read = self.pieces.end();
        } else {
            self.release();
        }
    }

    /// Lets go of what is not sent again.
    fn release(&mut self) {
        if !self.is_replayable {
            self.pieces.release(&mut self.read);
        }
    }

    /// The next of what has been read already, by earlier attempts or ahead. `None` if the rest is still in
    /// the body.
    pub(super) fn next_kept(&mut self) -> Option<Next> {
        if let Some(piece) = self.pieces.next(&mut self.read) {
            self.moves();
            if self.pieces.len() - self.pieces.left(self.read) > self.limit {
                self.is_replayable = false;
            }
            self.release();
            return Some(Some(Ok(Frame::data(piece))));
        }
        match &mut self.end {
            End::NotYet => None,
            End::Failed(error) => Some(error.take().map(Err)),
            End::Reached(trailers) => Some(match mem::replace(&mut self.ended, true) {
                true => None,
                false => trailers
                    .clone()
                    .map(|trailers| Ok(Frame::trailers(trailers))),
            }),
        }
    }
}

impl<B> Shared<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Reads the body ahead of the attempt, as far as it is kept; whether anything has come.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_come = false;
        for _ in 0..AHEAD_AT_ONCE {
            let is_full = self.pieces.len() >= self.limit;
            if is_full || !self.is_replayable || self.is_received() {
                return has_come;
            }
            let Poll::Ready(frame) = self.poll_body(cx) else {
                return has_come;
            };
            has_come = true;
            match frame {
                Some(Ok(frame)) => {
                    if let Some(piece) = frame.data_ref() {
                        self.pieces.push(piece);
                    }
                }
                Some(Err(error)) => self.end = End::Failed(Some(error)),
                None => {}
            }
        }
        cx.waker().wake_by_ref();
        has_come
    }

    /// The next frame for the attempt, which has read all that is [kept](Self::next_kept).
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let next = ready!(self.poll_body(cx));
        match &next {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) => self.keep(piece),
                None => self.ended = true,
            },
            Some(Err(_)) => {}
            None => self.ended = true,
        }
        Poll::Ready(next)
    }

    /// The next frame of the body, after which it may have come whole.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.moves();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.end = End::Reached(Some(trailers.clone()));
                } else if self.body.is_end_stream() {
                    // Who knows that this was the last one does not ask again.
                    self.end = End::Reached(None);
                }
            }
            Some(Err(_)) => self.end = End::Failed(None),
            None => self.end = End::Reached(None),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.pieces.left(self.read) == 0
            && match &self.end {
                End::NotYet => self.body.is_end_stream(),
                End::Reached(trailers) => self.ended || trailers.is_none(),
                End::Failed(_) => false,
            }
    }

    /// The hint for what the attempt has not read.
    pub(super) fn size_hint(&self) -> SizeHint {
        let again = self.pieces.left(self.read) as u64;
        let rest = match &self.end {
            End::NotYet => self.body.size_hint(),
            End::Reached(_) | End::Failed(_) => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(again));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(again));
        }
        hint
    }
}
