use http::HeaderName;

use super::completed::Completed;
use super::ending::{self, CommonDuration, Ending};
use super::observed::Observed;
use super::operator::{End, Field, GrpcStatusForm, Operator, Part, PathSource};
use super::time::TimeFormat;
use super::upstream::Upstream;
use super::{Constants, ParseFormatError, Piece};

/// Operators that have a value here, beside the addresses of the client's connection.
const AVAILABLE: [&str; 36] = [
    "ACCESS_LOG_TYPE",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "COMMON_DURATION",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_PEER_URI_SAN",
    "DURATION",
    "EMIT_TIME",
    "ENVIRONMENT",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "PATH",
    "PROTOCOL",
    "QUERY_PARAM",
    "REQ",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQUEST_HEADER",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_HEADER",
    "RESPONSE_TRAILER",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "TRAILER",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_HOST",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
];

/// Operators of Envoy 1.40 that have no value here, for an error that says so. All others of
/// `UPSTREAM_` belong to them, too.
const UNAVAILABLE: [&str; 33] = [
    "BYTES_RETRANSMITTED",
    "CEL",
    "CLUSTER_METADATA",
    "COALESCE",
    "CONNECTION_ID",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_LOCAL_URI_SAN",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_DNS_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DYNAMIC_METADATA",
    "FILTER_CHAIN_NAME",
    "FILTER_STATE",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PER_REQUEST_STATE",
    "REQUEST_TX_DURATION",
    "UNIQUE_ID",
    "VIRTUAL_CLUSTER_NAME",
    "VIRTUAL_HOST_NAME",
];

/// Splits `text` into literals and operators.
pub(super) fn pieces(text: &str, constants: &Constants) -> Result<Vec<Piece>, ParseFormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        literal.push_str(&rest[..start]);
        let after = &rest[start + 1..];
        if let Some(escaped) = after.strip_prefix('%') {
            literal.push('%');
            rest = escaped;
            continue;
        }
        let command = Command::read(after).ok_or_else(|| ParseFormatError::Unterminated {
            rest: rest[start..].to_owned(),
        })?;
        match command.constant(constants)? {
            Some(value) => literal.push_str(value),
            None => {
                flush(&mut literal, &mut pieces);
                let operator = command.operator()?;
                let limit = command.limit;
                pieces.push(Piece::Operator { operator, limit });
            }
        }
        rest = command.rest;
    }
    literal.push_str(rest);
    flush(&mut literal, &mut pieces);
    Ok(pieces)
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal)));
    }
}

/// `NAME`, `NAME(argument)` or `NAME(argument):limit`, up to the closing `%`.
struct Command<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    limit: Option<usize>,
    rest: &'a str,
}

impl<'a> Command<'a> {
    /// Reads a command from the text after its opening `%`.
    fn read(text: &'a str) -> Option<Self> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let end = text.find(|c| !is_name(c)).filter(|&end| end > 0)?;
        let (name, after) = text.split_at(end);
        let Some(inner) = after.strip_prefix('(') else {
            let (limit, rest) = Self::close(after)?;
            return Some(Self {
                name,
                argument: None,
                limit,
                rest,
            });
        };
        // The argument may hold brackets and percent signs: it ends where the command can end.
        inner.match_indices(')').find_map(|(end, _)| {
            let (limit, rest) = Self::close(&inner[end + 1..])?;
            let argument = Some(&inner[..end]);
            Some(Self {
                name,
                argument,
                limit,
                rest,
            })
        })
    }

    /// Reads `:limit` and the closing `%`.
    fn close(text: &'a str) -> Option<(Option<usize>, &'a str)> {
        let Some(limited) = text.strip_prefix(':') else {
            return Some((None, text.strip_prefix('%')?));
        };
        let (digits, rest) = limited.split_once('%')?;
        let limit = digits.bytes().all(|byte| byte.is_ascii_digit());
        Some((Some(digits.parse().ok().filter(|_| limit)?), rest))
    }

    /// The value, if the command stands for a constant.
    fn constant<'c>(&self, constants: &'c Constants) -> Result<Option<&'c str>, ParseFormatError> {
        let value = match (self.name, self.argument) {
            ("HOSTNAME", None) => constants.hostname.as_deref(),
            ("ENVIRONMENT", Some(name)) => constants.environment.get(name).map(String::as_str),
            _ => return Ok(None),
        };
        let value =
            value
                .or(constants.absent.as_deref())
                .ok_or_else(|| ParseFormatError::NotGiven {
                    operator: match self.argument {
                        Some(argument) => format!("{}({argument})", self.name),
                        None => self.name.to_owned(),
                    },
                })?;
        let mut end = self.limit.unwrap_or(value.len()).min(value.len());
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        Ok(Some(&value[..end]))
    }

    fn operator(&self) -> Result<Operator, ParseFormatError> {
        if let Some(argument) = self.argument {
            return self.with_argument(argument)?.ok_or_else(|| self.refusal());
        }
        let operator = match self.name {
            "ACCESS_LOG_TYPE" => Operator::Ending(Ending::AccessLogType),
            "DOWNSTREAM_PEER_URI_SAN" => Operator::PeerUriSan,
            "EMIT_TIME" => Operator::Ending(Ending::EmitTime(TimeFormat::rfc3339())),
            "PATH" => path("")?,
            "PROTOCOL" => Operator::Protocol,
            "REQUESTED_SERVER_NAME" => Operator::RequestedServerName,
            "RESPONSE_CODE" => Operator::ResponseCode,
            "RESPONSE_FLAGS" => Operator::ResponseFlags,
            "ROUTE_NAME" => Operator::RouteName,
            "START_TIME" => Operator::StartTime(TimeFormat::rfc3339()),
            "GRPC_STATUS" => Operator::GrpcStatus(GrpcStatusForm::Camel),
            "GRPC_STATUS_NUMBER" => Operator::GrpcStatus(GrpcStatusForm::Number),
            "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
            "UPSTREAM_HOST" => Operator::UpstreamHost,
            name => completed(name)
                .map(Operator::Completed)
                .or_else(|| Observed::named(name).map(Operator::Observed))
                .or_else(|| Upstream::named(name).map(Operator::Upstream))
                .or_else(|| address(name))
                .ok_or_else(|| self.refusal())?,
        };
        Ok(operator)
    }

    fn with_argument(&self, argument: &str) -> Result<Option<Operator>, ParseFormatError> {
        let invalid = || ParseFormatError::InvalidArgument {
            operator: self.name.to_owned(),
            argument: argument.to_owned(),
        };
        let operator = match self.name {
            "GRPC_STATUS" => Operator::GrpcStatus(match argument {
                "" | "CAMEL_STRING" => GrpcStatusForm::Camel,
                "NUMBER" => GrpcStatusForm::Number,
                "SNAKE_STRING" => GrpcStatusForm::Snake,
                _ => return Err(invalid()),
            }),
            "PATH" => path(argument)?,
            "QUERY_PARAM" if !argument.is_empty() => Operator::QueryParam(argument.into()),
            "TRAILER" | "RESPONSE_TRAILER" => {
                Operator::Trailer(names(argument, name).ok_or_else(invalid)?)
            }
            "REQ" | "REQUEST_HEADER" => {
                Operator::Request(names(argument, field).ok_or_else(invalid)?)
            }
            "REQ_WITHOUT_QUERY" => {
                Operator::RequestWithoutQuery(names(argument, field).ok_or_else(invalid)?)
            }
            "RESP" | "RESPONSE_HEADER" => {
                Operator::Response(names(argument, name).ok_or_else(invalid)?)
            }
            "COMMON_DURATION" => match CommonDuration::parse(argument) {
                Ok(duration) => Operator::Ending(Ending::CommonDuration(duration)),
                Err(ending::Refused::Invalid) => return Err(invalid()),
                Err(ending::Refused::Unobserved) => return Err(self.unsupported(argument)),
            },
            "EMIT_TIME" => Operator::Ending(Ending::EmitTime(time(argument).ok_or_else(invalid)?)),
            "START_TIME" => Operator::StartTime(time(argument).ok_or_else(invalid)?),
            _ => return Ok(None),
        };
        Ok(Some(operator))
    }

    fn unsupported(&self, argument: &str) -> ParseFormatError {
        let operator = format!("{}({argument})", self.name);
        ParseFormatError::Unsupported { operator }
    }

    /// Why the command is no operator.
    fn refusal(&self) -> ParseFormatError {
        let operator = self.name.to_owned();
        let is_of_exchange =
            Observed::named(self.name).is_some() || Upstream::named(self.name).is_some();
        if AVAILABLE.contains(&self.name) || is_of_exchange || address(self.name).is_some() {
            let argument = self.argument.unwrap_or_default().to_owned();
            ParseFormatError::InvalidArgument { operator, argument }
        } else if UNAVAILABLE.contains(&self.name) || self.name.starts_with("UPSTREAM_") {
            ParseFormatError::Unsupported { operator }
        } else {
            ParseFormatError::Unknown { operator }
        }
    }
}

/// Reads `name?other`.
fn names<T>(argument: &str, read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    let mut parts = argument.split('?');
    let names = parts.by_ref().take(2).map(read).collect();
    // Envoy allows one alternative.
    if parts.next().is_none() { names } else { None }
}

fn name(name: &str) -> Option<HeaderName> {
    name.parse().ok()
}

fn field(text: &str) -> Option<Field> {
    let field = match text.to_ascii_lowercase().as_str() {
        ":authority" | "host" => Field::Authority,
        ":method" => Field::Method,
        ":path" => Field::Path,
        ":scheme" => Field::Scheme,
        lower => Field::Named(name(lower)?),
    };
    Some(field)
}

fn path(argument: &str) -> Result<Operator, ParseFormatError> {
    let (query, source) = argument.split_once(':').unwrap_or((argument, ""));
    let query = match query {
        "" | "WQ" => Some(true),
        "NQ" => Some(false),
        _ => None,
    };
    let source = match source {
        "" | "ORIG_OR_PATH" => Some(PathSource::OriginalOrCurrent),
        "ORIG" => Some(PathSource::Original),
        "PATH" => Some(PathSource::Current),
        _ => None,
    };
    let (Some(query), Some(source)) = (query, source) else {
        let (operator, argument) = ("PATH".to_owned(), argument.to_owned());
        return Err(ParseFormatError::InvalidArgument { operator, argument });
    };
    Ok(Operator::Path { source, query })
}

fn time(argument: &str) -> Option<TimeFormat> {
    match argument {
        "" => Some(TimeFormat::rfc3339()),
        format => TimeFormat::parse(format).ok(),
    }
}

fn completed(name: &str) -> Option<Completed> {
    Completed::ALL
        .into_iter()
        .find(|completed| completed.name() == name)
}

fn address(name: &str) -> Option<Operator> {
    let name = name.strip_prefix("DOWNSTREAM_")?;
    let ends = [
        ("DIRECT_REMOTE_", End::Direct),
        ("LOCAL_", End::Local),
        ("REMOTE_", End::Remote),
    ];
    let (end, part) = ends
        .into_iter()
        .find_map(|(prefix, end)| Some((end, name.strip_prefix(prefix)?)))?;
    let part = match part {
        "ADDRESS" => Part::Both,
        "ADDRESS_WITHOUT_PORT" => Part::Ip,
        "PORT" => Part::Port,
        _ => return None,
    };
    Some(Operator::Address { end, part })
}
