//! Envoy's format strings: text with `%…%` operators, filled in from a request and its response.
//!
//! Istio passes the values of its header operations and access-log formats to Envoy, so they may
//! hold Envoy's [command operators]: `%REQ(x-user)%`, `%START_TIME(%Y-%m-%d)%`, `%%` for a percent
//! sign. A connection that carries no requests has no value of what is of them, and is
//! [filled in](Exchange::of_connection) all the same. A format is parsed once; operators that are unknown, or known but not available here, are
//! errors that name them, never passed on as text.
//!
//! | operator | value |
//! |---|---|
//! | `REQ(name?other):n`, `RESP(name?other):n`, or `REQUEST_HEADER`, `RESPONSE_HEADER` | the first value of the field, else of the other, cut to `n` bytes; `:method`, `:scheme`, `:authority`, `:path` are fields of requests |
//! | `REQ_WITHOUT_QUERY(name?other):n` | the same of a request, up to a `?` |
//! | `PATH`, `PATH(WQ)`, `PATH(NQ)` | the path, with or without its query; second argument `ORIG`, `PATH` or `ORIG_OR_PATH` |
//! | `PROTOCOL` | `HTTP/1.1`, `HTTP/2` … |
//! | `RESPONSE_CODE`, `RESPONSE_FLAGS`, `RESPONSE_FLAGS_LONG` | `0` and `-` before there is a response; the code is `0` also in the header operations of [an answer of the proxy](Exchange::answered_locally) |
//! | `START_TIME(format)` | when the request began, in UTC; RFC 3339 with milliseconds if there is no format |
//! | `DOWNSTREAM_REMOTE_ADDRESS`, `…_WITHOUT_PORT`, `DOWNSTREAM_REMOTE_PORT`, the same with `DOWNSTREAM_DIRECT_REMOTE_` and `DOWNSTREAM_LOCAL_` | [the client](crate::attributes::ClientAddress::of), and the other and our end of the connection |
//! | `DOWNSTREAM_PEER_URI_SAN` | the client's verified SPIFFE ID |
//! | `REQUESTED_SERVER_NAME`, `DOWNSTREAM_TLS_VERSION`, `DOWNSTREAM_TLS_CIPHER`, `DOWNSTREAM_PEER_FINGERPRINT_256` | of the TLS handshake: server name, version, cipher suite, SHA-256 of the client's certificate |
//! | `QUERY_PARAM(name):n`, `QUERY_PARAMS` | the first value of a parameter of the query, and the whole query, as they were sent |
//! | `REQUEST_HEADERS_BYTES`, `RESPONSE_HEADERS_BYTES` | the sizes of the heads, with the pseudo-header fields of HTTP/2 |
//! | `STREAM_ID`, `TRACE_ID` | the request's `x-request-id`, and the trace of its `traceparent`, `b3` or `x-b3-traceid` |
//! | `UPSTREAM_REQUEST_ATTEMPT_COUNT` | [how often it was sent](crate::attributes::Attempts); 0 if it was not |
//! | `BYTES_RECEIVED`, `BYTES_SENT`, `DURATION`, `REQUEST_DURATION`, `RESPONSE_DURATION`, `RESPONSE_TX_DURATION`, `RESPONSE_CODE_DETAILS`, `CONNECTION_TERMINATION_DETAILS`, `UPSTREAM_TRANSPORT_FAILURE_REASON`, `UPSTREAM_LOCAL_ADDRESS`, `UPSTREAM_LOCAL_URI_SAN`, `UPSTREAM_PEER_URI_SAN` | of the [`Completion`]; durations in milliseconds |
//! | `COMMON_DURATION(start:end:unit)` | from `DS_RX_BEG`, `DS_RX_END`, `DS_TX_BEG` or `DS_TX_END` to another of these, of the [`Completion`], in `ms`, which may be left out, `us` or `ns` |
//! | `EMIT_TIME(format)`, `ACCESS_LOG_TYPE` | of the [`Completion`]: when the exchange was over, as `START_TIME`, and what of it is logged (`DownstreamEnd`, `TcpConnectionEnd`, `NotSet`) |
//! | `TRAILER(name?other):n`, or `RESPONSE_TRAILER` | the trailers of the response, of the [`Completion`] |
//! | `GRPC_STATUS`, `GRPC_STATUS(NUMBER)`, `GRPC_STATUS_NUMBER` | the [gRPC status](crate::reply::grpc_status_of) of the answer to a request of gRPC |
//! | `UPSTREAM_HOST` | the selected endpoint |
//! | `UPSTREAM_REMOTE_ADDRESS`, `…_WITHOUT_PORT`, `UPSTREAM_REMOTE_PORT`, `UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT`, `UPSTREAM_LOCAL_PORT` | the ends of the connection to it, once the [`Completion`] has our address of one |
//! | `ROUTE_NAME`, `UPSTREAM_CLUSTER`, `UPSTREAM_CLUSTER_RAW` | of the matched route |
//! | `HOSTNAME`, `ENVIRONMENT(name):n` | what [`Constants`] say; nothing is read from the process |
//!
//! [command operators]: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators
//!
//! # Example
//!
//! ```
//! use std::time::SystemTime;
//!
//! use http::Request;
//! use mesh_core::format_string::{Exchange, FormatString};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let format: FormatString = "%REQ(:method)% %REQ(x-user?user)% 100%%".parse()?;
//!
//! let request = Request::get("/cart").header("user", "jason").body(())?;
//! let (request, ()) = request.into_parts();
//! let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
//! assert_eq!(format.evaluate(&exchange, "-"), b"GET jason 100%");
//!
//! let unknown = "%NONSENSE%".parse::<FormatString>().unwrap_err();
//! assert_eq!(unknown.to_string(), "unknown operator `NONSENSE`");
//! # Ok(())
//! # }
//! ```

mod completed;
mod completion;
mod ending;
mod error;
mod exchange;
mod observed;
mod operator;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod upstream;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use serde::{Serialize, Serializer};

pub use self::completion::Completion;
pub use self::error::ParseFormatError;
pub use self::exchange::Exchange;
use self::operator::Operator;
pub use self::operator::protocol;

/// A parsed format string.
///
/// See the [module docs](self) for an example. Two are equal if they were parsed from the same
/// text with the same [`Constants`].
#[derive(Clone, Debug, PartialEq)]
pub struct FormatString {
    source: Box<str>,
    pieces: Vec<Piece>,
}

/// The value of a format that is one operator, as structured logs write it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Alone {
    /// There is none.
    Absent,
    /// Digits.
    Number(Vec<u8>),
    /// Text.
    Text(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Literal(String),
    Operator {
        operator: Operator,
        /// Bytes that are kept of the value.
        limit: Option<usize>,
    },
}

/// What `HOSTNAME` and `ENVIRONMENT` stand for.
///
/// Envoy reads them from its process. Here they are given: a format that uses one that is not
/// given is refused, unless [`absent`](Self::absent) says what it stands for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Constants {
    /// Value of `HOSTNAME`.
    pub hostname: Option<String>,
    /// Values of `ENVIRONMENT(name)`.
    pub environment: BTreeMap<String, String>,
    /// Value of those that are not given; Envoy writes `-`. Default: none, a format that uses one is
    /// refused.
    pub absent: Option<String>,
}

impl FormatString {
    /// Parses a format, replacing `HOSTNAME` and `ENVIRONMENT` by `constants`.
    ///
    /// # Errors
    ///
    /// - A `%` begins no operator.
    /// - An operator is unknown, not available here, or has the wrong argument.
    /// - A constant is not given.
    pub fn parse(text: &str, constants: &Constants) -> Result<Self, ParseFormatError> {
        Ok(Self {
            source: text.into(),
            pieces: parse::pieces(text, constants)?,
        })
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Fills in the operators. Those without a value are replaced by `absent`: `-` in access logs,
    /// nothing in header values.
    pub fn evaluate(&self, exchange: &Exchange<'_>, absent: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.source.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend(text.as_bytes()),
                Piece::Operator { operator, limit } => {
                    let start = out.len();
                    if !operator.write(exchange, &mut out) {
                        out.extend(absent.as_bytes());
                    }
                    out.truncate(limit.map_or(out.len(), |limit| start.saturating_add(limit)));
                }
            }
        }
        out
    }

    /// Fills in the one operator that the format consists of: its value, and whether that is a
    /// number. `None` if the format is anything else, [`Alone::Absent`] if there is no value.
    pub fn evaluate_alone(&self, exchange: &Exchange<'_>) -> Option<Alone> {
        let [Piece::Operator { operator, limit }] = self.pieces.as_slice() else {
            return None;
        };
        let mut out = Vec::new();
        if !operator.write(exchange, &mut out) {
            return Some(Alone::Absent);
        }
        out.truncate(limit.unwrap_or(out.len()));
        Some(match operator.is_number() {
            true => Alone::Number(out),
            false => Alone::Text(out),
        })
    }

    /// The first operator that has a value only once the exchange is over, as it is written.
    fn needs_completion(&self) -> Option<String> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Operator { operator, .. } => operator.needs_completion().map(str::to_owned),
            Piece::Literal(_) => None,
        })
    }

    /// Whether the value depends on nothing but the response.
    fn is_of_response(&self) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Literal(_) => true,
            Piece::Operator { operator, .. } => operator.is_of_response(),
        })
    }

    /// The text, if there are no operators.
    fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for FormatString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl FromStr for FormatString {
    type Err = ParseFormatError;

    /// Parses a format that uses no [`Constants`].
    ///
    /// # Errors
    ///
    /// As [`FormatString::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, &Constants::default())
    }
}

impl Serialize for FormatString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

/// The value of a header field to write: a format string whose text may stand in a header.
///
/// Values without operators are kept ready to use.
///
/// ```
/// use mesh_core::format_string::HeaderFormat;
///
/// # fn main() -> Result<(), mesh_core::format_string::ParseFormatError> {
/// let fixed: HeaderFormat = "100%%".parse()?;
/// assert_eq!(fixed.fixed().unwrap(), "100%");
///
/// let varying: HeaderFormat = "%REQ(:path)%".parse()?;
/// assert_eq!(varying.fixed(), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderFormat {
    format: FormatString,
    fixed: Option<HeaderValue>,
}

impl HeaderFormat {
    /// Parses a format, replacing `HOSTNAME` and `ENVIRONMENT` by `constants`.
    ///
    /// # Errors
    ///
    /// As [`FormatString::parse`], when the text has a character that may not stand in a header
    /// field, and when an operator has no value before the exchange is over.
    pub fn parse(text: &str, constants: &Constants) -> Result<Self, ParseFormatError> {
        // A value with operators has to be one that a header can hold, too.
        let illegal = |_| ParseFormatError::IllegalCharacter {
            text: text.to_owned(),
        };
        HeaderValue::from_str(text).map_err(illegal)?;
        let format = FormatString::parse(text, constants)?;
        if let Some(operator) = format.needs_completion() {
            return Err(ParseFormatError::Unsupported { operator });
        }
        let fixed = format.literal().map(HeaderValue::from_str);
        let fixed = fixed.transpose().map_err(illegal)?;
        Ok(Self { format, fixed })
    }

    /// The text it was parsed from.
    pub fn as_str(&self) -> &str {
        self.format.as_str()
    }

    /// The value, if it is the same for all requests.
    pub fn fixed(&self) -> Option<&HeaderValue> {
        self.fixed.as_ref()
    }

    /// Whether evaluating it for a response needs to know the request.
    pub fn needs_request(&self) -> bool {
        self.fixed.is_none() && !self.format.is_of_response()
    }

    /// The value for an exchange. `None` if it is empty, which means that no field is written, or
    /// if an operator yields what may not stand in a header.
    pub fn evaluate(&self, exchange: &Exchange<'_>) -> Option<HeaderValue> {
        let value = match &self.fixed {
            Some(value) => value.clone(),
            None => {
                let value = self.format.evaluate(exchange, "");
                HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).ok()?
            }
        };
        (!value.is_empty()).then_some(value)
    }
}

impl fmt::Display for HeaderFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.format.fmt(f)
    }
}

impl FromStr for HeaderFormat {
    type Err = ParseFormatError;

    /// Parses a format that uses no [`Constants`].
    ///
    /// # Errors
    ///
    /// As [`HeaderFormat::parse`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, &Constants::default())
    }
}

impl Serialize for HeaderFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.format.serialize(serializer)
    }
}
