//! Tokens: signed claims (RFC 7519).

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::resource::Value;
use rustls_pki_types::UnixTime;

use super::algorithm::{Algorithm, Algorithms};
use super::encoding;
use super::error::TokenError;
use super::jwks::Jwks;
use super::jws::{self, Jws};

/// What `exp` and `nbf` are compared with is this inexact: Envoy's 60 s.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A token that was read, and is not verified.
///
/// # Example
///
/// ```
/// use mesh_policy::authn::{Token, TokenError};
///
/// assert_eq!(Token::parse("a.b").unwrap_err(), TokenError::BadFormat);
///
/// let token = Token::parse("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJtZSIsImV4cCI6MX0.AAAA")?;
/// assert_eq!(token.issuer(), "me");
/// assert_eq!(token.expires(), Some(1));
/// # Ok::<(), TokenError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Token<'a> {
    jws: Jws<'a>,
    claims: BTreeMap<String, Value>,
    times: Times,
}

/// The times of a token, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Times {
    pub(super) expires: Option<u64>,
    pub(super) not_before: Option<u64>,
    issued: Option<u64>,
}

impl Times {
    /// Checks that `now` is in the time of the token, give or take the clock skew.
    pub(super) fn verify(self, now: UnixTime) -> Result<(), TokenError> {
        let (now, skew) = (now.as_secs(), CLOCK_SKEW.as_secs());
        if now.saturating_add(skew) < self.not_before.unwrap_or(0) {
            return Err(TokenError::NotYetValid);
        }
        match self.expires {
            // An `exp` of 0 is none, as in Envoy.
            Some(expires) if expires > 0 && now > expires.saturating_add(skew) => {
                Err(TokenError::Expired)
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// When it has not three parts that are not empty, header or payload is not a JSON object in
    /// Base64url, the algorithm is not known, or a registered claim has the wrong type.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let [header, payload, signature] = jws::split(text)?;
        if payload.is_empty() {
            return Err(TokenError::BadFormat);
        }
        let (algorithm, kid) = jws::parse_header(header)?;
        let claims = parse_payload(payload)?;
        let times = registered(&claims)?;
        let jws = Jws {
            algorithm,
            kid,
            signed: jws::signed(text, signature),
            payload,
            signature: jws::parse_signature(signature)?,
        };
        Ok(Self { jws, claims, times })
    }

    /// The algorithm of the signature.
    pub fn algorithm(&self) -> Algorithm {
        self.jws.algorithm
    }

    /// The ID of the key; empty if there is none.
    pub fn kid(&self) -> &str {
        &self.jws.kid
    }

    /// The claims.
    pub fn claims(&self) -> &BTreeMap<String, Value> {
        &self.claims
    }

    /// The claim `iss`; empty if there is none.
    pub fn issuer(&self) -> &str {
        self.text("iss")
    }

    /// The claim `sub`; empty if there is none.
    pub fn subject(&self) -> &str {
        self.text("sub")
    }

    /// The claim `jti`; empty if there is none.
    pub fn id(&self) -> &str {
        self.text("jti")
    }

    /// The claim `exp`, in seconds since 1970.
    pub fn expires(&self) -> Option<u64> {
        self.times.expires
    }

    /// The claim `nbf`, in seconds since 1970.
    pub fn not_before(&self) -> Option<u64> {
        self.times.not_before
    }

    /// The claim `iat`, in seconds since 1970.
    pub fn issued(&self) -> Option<u64> {
        self.times.issued
    }

    /// The claim `aud`.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let audiences = match self.claims.get("aud") {
            Some(Value::List(audiences)) => audiences.as_slice(),
            Some(audience) => std::slice::from_ref(audience),
            None => &[],
        };
        audiences.iter().filter_map(Value::as_str)
    }

    /// The signature.
    pub fn signature(&self) -> &[u8] {
        &self.jws.signature
    }

    /// The payload as sent, in Base64url.
    pub(super) fn payload(&self) -> &'a str {
        self.jws.payload
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    pub(super) fn into_claims(self) -> BTreeMap<String, Value> {
        self.claims
    }

    fn text(&self, name: &str) -> &str {
        let claim = self.claims.get(name).and_then(Value::as_str);
        claim.unwrap_or_default()
    }

    /// Checks that `now` is in the time of the token, give or take 60 s.
    ///
    /// # Errors
    ///
    /// When `exp` is over or `nbf` has not come.
    pub fn verify_time(&self, now: UnixTime) -> Result<(), TokenError> {
        self.times.verify(now)
    }

    /// Checks that one of the keys has made the signature, as [`Jws::verify`] does.
    ///
    /// # Errors
    ///
    /// When there is no key to try, or none has made the signature.
    pub fn verify_signature(&self, jwks: &Jwks, algorithms: Algorithms) -> Result<(), TokenError> {
        self.jws.verify(jwks, algorithms)
    }
}

fn parse_payload(payload: &str) -> Result<BTreeMap<String, Value>, TokenError> {
    let payload = encoding::base64url(payload).ok_or(TokenError::PayloadParseErrorBadBase64)?;
    let payload = std::str::from_utf8(&payload)
        .ok()
        .and_then(encoding::object);
    payload.ok_or(TokenError::PayloadParseErrorBadJson)
}

/// Checks the types of the registered claims (RFC 7519 §4.1).
fn registered(claims: &BTreeMap<String, Value>) -> Result<Times, TokenError> {
    use TokenError as E;
    let text = |name: &str, error| match claims.get(name) {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(error),
    };
    let time = |name: &str, no_number, out_of_range| match claims.get(name) {
        None => Ok(None),
        Some(Value::Integer(time)) => u64::try_from(*time).map(Some).map_err(|_| out_of_range),
        Some(Value::Float(time)) => {
            // What is too large for 64 bits, or negative, is out of range; fractions are dropped.
            let is_in_range = *time >= 0.0 && *time < u64::MAX as f64;
            is_in_range
                .then_some(Some(*time as u64))
                .ok_or(out_of_range)
        }
        Some(_) => Err(no_number),
    };
    text("iss", E::PayloadParseErrorIssNotString)?;
    text("sub", E::PayloadParseErrorSubNotString)?;
    let issued = time(
        "iat",
        E::PayloadParseErrorIatNotInteger,
        E::PayloadParseErrorIatOutOfRange,
    )?;
    let not_before = time(
        "nbf",
        E::PayloadParseErrorNbfNotInteger,
        E::PayloadParseErrorNbfOutOfRange,
    )?;
    let expires = time(
        "exp",
        E::PayloadParseErrorExpNotInteger,
        E::PayloadParseErrorExpOutOfRange,
    )?;
    text("jti", E::PayloadParseErrorJtiNotString)?;
    let is_text = |value: &Value| value.as_str().is_some();
    match claims.get("aud") {
        None | Some(Value::String(_)) => {}
        Some(Value::List(audiences)) if audiences.iter().all(is_text) => {}
        Some(_) => return Err(E::PayloadParseErrorAudNotString),
    }
    Ok(Times {
        expires,
        not_before,
        issued,
    })
}
