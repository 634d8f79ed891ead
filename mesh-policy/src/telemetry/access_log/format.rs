use std::collections::BTreeMap;

use mesh_core::format_string::{Alone, Constants, Exchange, FormatString, ParseFormatError};
use mesh_core::resource::Value;

/// Istio's default text (`EnvoyTextLogFormat`), without its end of line.
const ISTIO_TEXT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% \
    %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
    %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% \
    %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \
    \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" \
    %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% \
    %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%";

/// Istio's default JSON (`EnvoyJSONLogFormatIstio`).
const ISTIO_JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    (
        "connection_termination_details",
        "%CONNECTION_TERMINATION_DETAILS%",
    ),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    (
        "upstream_service_time",
        "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    ),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    (
        "upstream_transport_failure_reason",
        "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    ),
];

/// How deep a JSON format may nest.
const DEPTH: usize = 16;

/// What a line of an access log looks like.
///
/// # Example
///
/// ```
/// use mesh_policy::telemetry::access_log::LogFormat;
///
/// assert!(LogFormat::text("%REQ(:METHOD)% took %DURATION% ms").is_ok());
/// let error = LogFormat::text("%NONSENSE%").unwrap_err();
/// assert_eq!(error.to_string(), "unknown operator `NONSENSE`");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LogFormat {
    shape: Shape,
    omit_empty: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Json(BTreeMap<String, Node>),
    Text(FormatString),
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Format(FormatString),
    List(Vec<Self>),
    Literal(serde_json::Value),
    Map(BTreeMap<String, Self>),
}

impl LogFormat {
    /// Istio's default text.
    pub fn istio_text() -> Self {
        known(Self::text(ISTIO_TEXT))
    }

    /// Istio's default JSON.
    pub fn istio_json() -> Self {
        let members = ISTIO_JSON.into_iter();
        let labels =
            members.map(|(name, format)| (name.to_owned(), Value::String(format.to_owned())));
        known(Self::json(&labels.collect()))
    }

    /// A text that uses no [`Constants`], see [`text_with`](Self::text_with).
    ///
    /// # Errors
    ///
    /// As [`text_with`](Self::text_with).
    pub fn text(format: &str) -> Result<Self, ParseFormatError> {
        Self::text_with(format, &Constants::default())
    }

    /// A text, with what `HOSTNAME` and `ENVIRONMENT` stand for in it. An end of line is added if it has
    /// none, as Istio does.
    ///
    /// # Errors
    ///
    /// An operator is unknown or not available here, or a constant is not given.
    pub fn text_with(format: &str, constants: &Constants) -> Result<Self, ParseFormatError> {
        let ended = match format.ends_with('\n') {
            true => format.to_owned(),
            false => format!("{format}\n"),
        };
        Ok(Self {
            shape: Shape::Text(FormatString::parse(&ended, constants)?),
            omit_empty: false,
        })
    }

    /// A JSON object that uses no [`Constants`], see [`json_with`](Self::json_with).
    ///
    /// # Errors
    ///
    /// As [`json_with`](Self::json_with).
    pub fn json(labels: &BTreeMap<String, Value>) -> Result<Self, FormatError> {
        Self::json_with(labels, &Constants::default())
    }

    /// A JSON object, whose texts are formats, with what `HOSTNAME` and `ENVIRONMENT` stand for in
    /// them. As in Envoy, a text that is one operator becomes a number if the operator says one, and
    /// null if it says nothing; what is no text is written as it is; members are in the order of their
    /// names.
    ///
    /// # Errors
    ///
    /// - An operator is unknown or not available here, or a constant is not given.
    /// - Lists and maps nest too deep.
    pub fn json_with(
        labels: &BTreeMap<String, Value>,
        constants: &Constants,
    ) -> Result<Self, FormatError> {
        Ok(Self {
            shape: Shape::Json(map(labels, constants, DEPTH)?),
            omit_empty: false,
        })
    }

    /// Sets whether what has no value is left out: of JSON the member or the item, of text the `-`. So
    /// are maps that have no members left. Default: no.
    #[must_use]
    pub fn with_empty_omitted(mut self, omit: bool) -> Self {
        self.omit_empty = omit;
        self
    }

    /// The line for an exchange, with its end.
    pub fn line(&self, exchange: &Exchange<'_>) -> Vec<u8> {
        let absent = if self.omit_empty { "" } else { "-" };
        match &self.shape {
            Shape::Text(format) => format.evaluate(exchange, absent),
            Shape::Json(members) => {
                let object = self.object(members, exchange);
                let mut line = serde_json::Value::Object(object).to_string().into_bytes();
                line.push(b'\n');
                line
            }
        }
    }

    fn object(
        &self,
        members: &BTreeMap<String, Node>,
        exchange: &Exchange<'_>,
    ) -> serde_json::Map<String, serde_json::Value> {
        let members = members.iter().filter_map(|(name, node)| {
            let value = self.value(node, exchange);
            self.keeps(&value).then(|| (name.clone(), value))
        });
        members.collect()
    }

    /// Whether `value` is written.
    fn keeps(&self, value: &serde_json::Value) -> bool {
        let is_empty = match value {
            serde_json::Value::Object(members) => members.is_empty(),
            value => value.is_null(),
        };
        !(self.omit_empty && is_empty)
    }

    fn value(&self, node: &Node, exchange: &Exchange<'_>) -> serde_json::Value {
        let text =
            |bytes: &[u8]| serde_json::Value::String(String::from_utf8_lossy(bytes).into_owned());
        match node {
            Node::List(items) => items
                .iter()
                .map(|item| self.value(item, exchange))
                .filter(|item| self.keeps(item))
                .collect(),
            Node::Literal(value) => value.clone(),
            Node::Map(members) => serde_json::Value::Object(self.object(members, exchange)),
            Node::Format(format) => match format.evaluate_alone(exchange) {
                Some(Alone::Absent) => serde_json::Value::Null,
                Some(Alone::Number(digits)) => {
                    let number = serde_json::from_slice(&digits);
                    number.unwrap_or_else(|_| text(&digits))
                }
                Some(Alone::Text(bytes)) => text(&bytes),
                None => {
                    let absent = if self.omit_empty { "" } else { "-" };
                    text(&format.evaluate(exchange, absent))
                }
            },
        }
    }
}

fn map(
    labels: &BTreeMap<String, Value>,
    constants: &Constants,
    depth: usize,
) -> Result<BTreeMap<String, Node>, FormatError> {
    let nodes = labels
        .iter()
        .map(|(name, value)| Ok((name.clone(), node((name, value), constants, depth)?)));
    nodes.collect()
}

fn node(
    (name, value): (&str, &Value),
    constants: &Constants,
    depth: usize,
) -> Result<Node, FormatError> {
    let too_deep = || FormatError::TooDeep {
        name: name.to_owned(),
    };
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    match value {
        Value::String(text) => Ok(Node::Format(FormatString::parse(text, constants)?)),
        Value::Map(labels) => Ok(Node::Map(map(labels, constants, depth)?)),
        Value::List(items) => {
            let items = items
                .iter()
                .map(|item| node((name, item), constants, depth));
            Ok(Node::List(items.collect::<Result<_, _>>()?))
        }
        Value::Null => Ok(Node::Literal(serde_json::Value::Null)),
        Value::Bool(is) => Ok(Node::Literal((*is).into())),
        Value::Integer(number) => Ok(Node::Literal((*number).into())),
        Value::Float(number) => Ok(Node::Literal((*number).into())),
    }
}

/// A format of Istio's.
fn known<E: std::fmt::Debug>(format: Result<LogFormat, E>) -> LogFormat {
    format.expect("all operators of Istio's formats are known")
}

/// Why a JSON format is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A text is no format.
    #[error(transparent)]
    Format(#[from] ParseFormatError),
    /// Lists and maps nest too deep.
    #[error("the value of `{name}` nests too deep")]
    TooDeep {
        /// The name of the value, or of what it is in.
        name: String,
    },
}
