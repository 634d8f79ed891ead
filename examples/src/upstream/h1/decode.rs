//! The body of a response, and where it ends (RFC 9112 §6, §7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use mesh_core::attributes::{ResponseFlag, StreamFailure};

use super::head::BodyLength;
use crate::upstream::error::BodyError;

/// How many bytes a chunk's line may have; extensions are not looked at.
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// How many lines a trailer section may have, and how many bytes.
const MAX_TRAILER_LINES: usize = 100;
const MAX_TRAILERS: usize = 60 * 1024;

/// Data up to this size is copied, so that the buffer that it is in can be used again; unless it is
/// the last for a while.
const COPIED: usize = 2 * 1024;

/// Finds frames in what is received, up to the end of the body.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The line before a chunk.
    ChunkLine,
    /// A chunk, of which so many bytes are still to come.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    Trailers,
    /// So many bytes are still to come.
    Length(u64),
    UntilClose,
    End,
}

impl Decoder {
    pub(super) fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::Chunked => State::ChunkLine,
            BodyLength::Known(0) => State::End,
            BodyLength::Known(length) => State::Length(length),
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    pub(super) fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// How many bytes are still to come, if that is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(remaining) => Some(remaining),
            State::End => Some(0),
            _ => None,
        }
    }

    /// Takes the next frame out of `buffer`; `None` if it has to be filled first, or at the end.
    pub(super) fn decode(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Frame<Bytes>>, BodyError> {
        loop {
            match self.state {
                State::ChunkLine => {
                    let Some(size) = take_chunk_line(buffer)? else {
                        return Ok(None);
                    };
                    self.state = match size {
                        0 => State::Trailers,
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(remaining) => {
                    let Some((data, remaining)) = take_data(buffer, remaining) else {
                        return Ok(None);
                    };
                    self.state = match remaining {
                        0 => State::ChunkEnd,
                        remaining => State::Chunk(remaining),
                    };
                    return Ok(Some(Frame::data(data)));
                }
                State::ChunkEnd => match buffer.get(..2) {
                    None => return Ok(None),
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::ChunkLine;
                    }
                    Some(_) => return Err(BodyError::Chunk),
                },
                State::Trailers => {
                    let Some(trailers) = take_trailers(buffer)? else {
                        return Ok(None);
                    };
                    self.state = State::End;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
                State::Length(remaining) => {
                    let taken = take_data(buffer, remaining);
                    return Ok(taken.map(|(data, remaining)| {
                        self.state = match remaining {
                            0 => State::End,
                            remaining => State::Length(remaining),
                        };
                        Frame::data(data)
                    }));
                }
                State::UntilClose => {
                    let taken = take_data(buffer, u64::MAX);
                    return Ok(taken.map(|(data, _)| Frame::data(data)));
                }
                State::End => return Ok(None),
            }
        }
    }

    /// Passes over what ends the body, if that is next and is there.
    ///
    /// So the last frame is known to be the last, and is sent on together with the end.
    pub(super) fn look_for_end(&mut self, buffer: &mut BytesMut) {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if self.state == State::ChunkEnd && buffer.starts_with(END) {
            buffer.advance(END.len());
            self.state = State::End;
        }
    }

    /// The upstream has closed the connection, and the buffer is empty of frames.
    ///
    /// # Errors
    ///
    /// That was not the end of the body.
    pub(super) fn close(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::UntilClose | State::End => {
                self.state = State::End;
                Ok(())
            }
            _ => Err(BodyError::Truncated(StreamFailure(
                ResponseFlag::UpstreamProtocolError,
            ))),
        }
    }
}

/// At most `remaining` bytes of `buffer`, and how many are then still to come.
fn take_data(buffer: &mut BytesMut, remaining: u64) -> Option<(Bytes, u64)> {
    if buffer.is_empty() {
        return None;
    }
    let length = usize::try_from(remaining).map_or(buffer.len(), |most| most.min(buffer.len()));
    let is_last = length as u64 == remaining;
    let data = if length <= COPIED && !is_last {
        let copy = Bytes::copy_from_slice(&buffer[..length]);
        buffer.advance(length);
        copy
    } else {
        buffer.split_to(length).freeze()
    };
    Some((data, remaining - length as u64))
}

/// The size of the next chunk, if its whole line is there.
fn take_chunk_line(buffer: &mut BytesMut) -> Result<Option<u64>, BodyError> {
    let Some(end) = buffer.windows(2).position(|bytes| bytes == b"\r\n") else {
        let is_too_long = buffer.len() > MAX_CHUNK_LINE;
        return if is_too_long {
            Err(BodyError::Chunk)
        } else {
            Ok(None)
        };
    };
    let line = &buffer[..end];
    let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
    // Nobody but for another parser of the same bytes to disagree sends a bare line feed there.
    let is_line = end <= MAX_CHUNK_LINE && !line.contains(&b'\n');
    let size = parse_size(size.trim_ascii_end()).filter(|_| is_line);
    let size = size.ok_or(BodyError::Chunk)?;
    buffer.advance(end + 2);
    Ok(Some(size))
}

/// `1*HEXDIG`, and no sign.
fn parse_size(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The trailer section, if all of it is there.
fn take_trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, BodyError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_TRAILER_LINES];
    let parsed = httparse::parse_headers(buffer, &mut lines);
    let (length, lines) = match parsed.map_err(|_| BodyError::Trailers)? {
        httparse::Status::Complete(complete) => complete,
        httparse::Status::Partial if buffer.len() <= MAX_TRAILERS => return Ok(None),
        httparse::Status::Partial => return Err(BodyError::Trailers),
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(BodyError::Trailers);
        };
        trailers.append(name, value);
    }
    buffer.advance(length);
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunked_body_has_data_and_trailers() {
        let text = "3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nx-t: 1\r\nx-t: 2\r\n\r\nrest";
        let (data, trailers, rest) = decode_all(BodyLength::Chunked, text).unwrap();
        assert_eq!(data, "abc0123456789");
        let values: Vec<_> = trailers.get_all("x-t").iter().collect();
        assert_eq!(values, ["1", "2"]);
        assert_eq!(rest, "rest");
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        let (data, _, rest) = decode_all(BodyLength::Known(3), "abcrest").unwrap();
        assert_eq!((data.as_str(), rest.as_str()), ("abc", "rest"));
    }

    #[test]
    fn a_body_may_end_with_the_connection() {
        let (data, _, rest) = decode_all(BodyLength::UntilClose, "all").unwrap();
        assert_eq!((data.as_str(), rest.as_str()), ("all", ""));
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        for (length, text) in [
            (BodyLength::Known(4), "abc"),
            (BodyLength::Chunked, ""),
            (BodyLength::Chunked, "3\r\nabc"),
            (BodyLength::Chunked, "3\r\nabc\r\n0\r\n"),
        ] {
            assert!(decode_all(length, text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(MAX_CHUNK_LINE));
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n",
            " 1\r\na\r\n0\r\n\r\n",
            "1;\n\r\na\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "10000000000000000\r\n",
            "0\r\nno colon\r\n\r\n",
            long.as_str(),
        ] {
            assert!(decode_all(BodyLength::Chunked, text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_chunk_is_known_to_be_the_last_if_the_end_is_there() {
        let mut buffer = BytesMut::from("3\r\nabc\r\n0\r\n\r\n");
        let mut decoder = Decoder::new(BodyLength::Chunked);
        decoder.decode(&mut buffer).unwrap();
        decoder.look_for_end(&mut buffer);
        assert!(decoder.is_end() && buffer.is_empty());

        let mut buffer = BytesMut::from("3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n");
        let mut decoder = Decoder::new(BodyLength::Chunked);
        decoder.decode(&mut buffer).unwrap();
        decoder.look_for_end(&mut buffer);
        assert!(!decoder.is_end(), "there are trailers");
    }

    proptest! {
        /// However a body is divided, by chunks and by what arrives at once, it is the same.
        #[test]
        fn a_chunked_body_may_come_in_pieces(
            chunks in prop::collection::vec("[a-z\r\n]{1,40}", 0..6),
            split in 0..200_usize,
        ) {
            let mut text: String = chunks
                .iter()
                .map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()))
                .collect();
            text.push_str("0\r\n\r\n");
            let split = split.min(text.len());
            let mut decoder = Decoder::new(BodyLength::Chunked);
            let mut buffer = BytesMut::new();
            let mut data = Vec::new();
            for piece in [&text[..split], &text[split..]] {
                buffer.extend_from_slice(piece.as_bytes());
                while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                    data.extend_from_slice(&frame.into_data().unwrap());
                    decoder.look_for_end(&mut buffer);
                }
            }
            prop_assert!(decoder.is_end());
            prop_assert_eq!(data, chunks.concat().into_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode_bytes(BodyLength::Chunked, &bytes);
        }
    }

    fn decode_all(
        length: BodyLength,
        text: &str,
    ) -> Result<(String, HeaderMap, String), BodyError> {
        let (data, trailers, rest) = decode_bytes(length, text.as_bytes())?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((text(data), trailers, text(rest)))
    }

    fn decode_bytes(
        length: BodyLength,
        bytes: &[u8],
    ) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), BodyError> {
        let mut decoder = Decoder::new(length);
        let mut buffer = BytesMut::from(bytes);
        let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = decoder.decode(&mut buffer)? {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        if !decoder.is_end() {
            decoder.close()?;
        }
        Ok((data, trailers, buffer.to_vec()))
    }
}
