//! What `/explain` is asked: the query of its URL.

use http::request::{Builder, Parts};
use http::{HeaderName, HeaderValue, Request};
use mesh_core::identity::SpiffeId;
use mesh_core::resource::Value;

use crate::explain::{Asked, claims};

/// The fields that there are, with examples of values.
pub(super) const FIELDS: &str = "scheme=https&port=443&host=HOST&path=/PATH&method=GET&\
                                 header=NAME:VALUE&peer=SPIFFE-ID&certificate=true&\
                                 claims=JSON";

/// Reads the query of a URL, all of whose fields may be left out.
pub(super) fn read(query: &str) -> Result<Asked, String> {
    let mut question = Question::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let none = || format!("`{pair}` has no value: there are {FIELDS}");
        let (name, value) = pair.split_once('=').ok_or_else(none)?;
        question.set(name, decode(value))?;
    }
    question.asked()
}

#[derive(Default)]
struct Question {
    is_tls: bool,
    port: Option<u16>,
    host: String,
    path: Option<String>,
    method: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    peer: Option<SpiffeId>,
    has_certificate: bool,
    claims: Option<Value>,
}

impl Question {
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "scheme" => self.is_tls = is_tls(&value)?,
            "port" => self.port = Some(value.parse().map_err(|_| format!("`{value}` is no port"))?),
            "host" => self.host = value,
            "path" => self.path = Some(value),
            "method" => self.method = Some(value),
            "header" => self.headers.push(header(&value)?),
            "peer" => self.peer = Some(peer(&value)?),
            "certificate" => {
                let is_known = value.parse();
                let wrong = |_| format!("`{value}` is neither true nor false");
                self.has_certificate = is_known.map_err(wrong)?;
            }
            "claims" => {
                let wrong = |error: String| format!("`{value}` is no JSON of claims: {error}");
                self.claims = Some(claims(&value).map_err(wrong)?);
            }
            other => return Err(format!("there is no `{other}`: there are {FIELDS}")),
        }
        Ok(())
    }

    fn asked(self) -> Result<Asked, String> {
        let (scheme, port) = match self.is_tls {
            true => ("https", 443),
            false => ("http", 80),
        };
        let path = self.path.as_deref().unwrap_or("/");
        let request = Request::builder()
            .method(self.method.as_deref().unwrap_or("GET"))
            .uri(format!("{scheme}://{}{path}", self.host));
        let mut parts = parts(request)?;
        parts.headers.extend(self.headers);
        let asked = Asked {
            is_tls: self.is_tls,
            peer: self.peer,
            has_certificate: self.has_certificate,
            ..Asked::new(parts, self.port.unwrap_or(port))
        };
        Ok(match self.claims {
            Some(claims) => asked.with_claims(&claims),
            None => asked,
        })
    }
}

fn parts(request: Builder) -> Result<Parts, String> {
    let request = request.body(()).map_err(|error| error.to_string())?;
    Ok(request.into_parts().0)
}

fn is_tls(scheme: &str) -> Result<bool, String> {
    match scheme {
        "http" => Ok(false),
        "https" => Ok(true),
        other => Err(format!("`{other}` is neither http nor https")),
    }
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("header `{text}` is not of the form NAME:VALUE");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}

fn peer(text: &str) -> Result<SpiffeId, String> {
    let peer = text.parse();
    peer.map_err(|error| format!("`{text}` is no identity: {error}"))
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_encoding::percent_decode_str(&text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_a_certificate_if_the_question_says_so() {
        for (query, expected) in [
            ("host=a", false),
            ("host=a&certificate=true", true),
            ("host=a&certificate=false", false),
        ] {
            let asked = read(query).unwrap();
            assert_eq!(asked.has_certificate, expected, "{query}");
        }
    }
}
