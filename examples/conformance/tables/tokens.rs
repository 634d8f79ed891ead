//! Tokens, their keys, and who asks a certificate authority.

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Request, Response, StatusCode, Uri};
use mesh_core::identity::SpiffeId;
use mesh_policy::authn::Token;
use mesh_tls::ca::authenticate::{AuthenticateLayer, Caller, Review, TokenReview};
use mesh_tls::ca::token_review::ServiceAccountToken;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use super::{Row, Run, go};
use crate::case::Outcome;
use crate::validation::judge;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("jwks_resolver_test.go", "TestValidateJWKSFormat") => Some(keys),
        ("security_test.go", "TestParseJwksURI") => Some(keys_uri),
        ("jwtutil_test.go", "TestGetAud") => Some(audience),
        ("jwtutil_test.go", "TestGetExp") => Some(expiry),
        ("common_test.go", "TestExtractBearerToken") => Some(bearer),
        ("k8sauthn_test.go", "TestGetTokenReviewResult") => Some(token_review),
        ("cert_authenticator_test.go", "TestAuthenticate_clientCertAuthenticator") => {
            Some(certificate)
        }
        _ => None,
    }
}

/// A RequestAuthentication with one rule.
fn authentication(rule: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "namespace": "default"},
        "spec": {"jwtRules": [rule]},
    })
}

fn keys(row: &Row<'_>) -> Option<Outcome> {
    let rule = json!({"issuer": "issuer.example", "jwks": row.text("body")?});
    Some(judge(row.flag("wantErr")?, &authentication(&rule)))
}

/// Whether keys may be there, and where a client would go for them.
fn keys_uri(row: &Row<'_>) -> Option<Outcome> {
    let text = row.text("in")?;
    let rule = json!({"issuer": "issuer.example", "jwksUri": text});
    let judged = judge(row.flag("expectedError")?, &authentication(&rule));
    let Some(expected) = row.field("expected") else {
        return Some(judged);
    };
    if judged != Outcome::Passed {
        return Some(judged);
    }
    let expected = Row(expected);
    let uri: Uri = text.parse().ok()?;
    let is_secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    Some(Outcome::equal(
        &(
            Some(expected.text("Hostname")?),
            Some(expected.text("Scheme")?),
            expected.number("Port")?,
            expected.flag("UseSSL")?,
        ),
        &(uri.host(), uri.scheme_str(), u64::from(port), is_secure),
    ))
}

/// Here a token is read whole or not at all, and some of the rows' have no header.
fn token<'a>(row: &Row<'a>) -> Result<Token<'a>, Outcome> {
    let text = row.text("jwt").unwrap_or_default();
    Token::parse(text).map_err(|error| {
        let why = format!("the token is not one that is verified: {error}");
        Outcome::Unsupported(why)
    })
}

fn audience(row: &Row<'_>) -> Option<Outcome> {
    let token = match token(row) {
        Ok(token) => token,
        Err(outcome) => return Some(outcome),
    };
    let found: Vec<&str> = token.audiences().collect();
    Some(Outcome::equal(&row.texts("aud")?, &found))
}

/// An expiry of zero is none.
fn expiry(row: &Row<'_>) -> Option<Outcome> {
    let is_refused = row.field("expectedErr").is_some();
    let read = token(row);
    Some(match (is_refused, read) {
        (true, Err(_)) => Outcome::Passed,
        (true, Ok(_)) => Outcome::failed("read, expected a refusal"),
        (false, Err(outcome)) => outcome,
        (false, Ok(token)) => match row.field("expectedExp") {
            None => Outcome::equal(&None, &token.expires()),
            Some(time) => match time.as_object() {
                Some(zero) if zero.is_empty() => Outcome::equal(&None, &token.expires()),
                _ => return None,
            },
        },
    })
}

/// The answer of Kubernetes, whose names of fields Go writes in its own way.
fn token_review(row: &Row<'_>) -> Option<Outcome> {
    let mut review = go::json(row.field("tokenReview")?);
    let names = [
        ("Sym(PodNameKey)", "pod-name"),
        ("Sym(PodUIDKey)", "pod-uid"),
    ];
    if let Some(extra) = review.pointer_mut("/status/user/extra") {
        let extra = extra.as_object_mut()?;
        for (symbol, name) in names {
            if let Some(value) = extra.remove(symbol) {
                extra.insert(format!("authentication.kubernetes.io/{name}"), value);
            }
        }
    }
    let found = ServiceAccountToken::from_token_review(review.to_string().as_bytes(), &[]);
    let Some(expected) = row.field("expectedResult") else {
        return Some(Outcome::refusal(true, &found));
    };
    let expected = Row(expected);
    let text = |name| expected.text(name).map(str::to_owned);
    let expected = ServiceAccountToken {
        namespace: text("PodNamespace")?,
        service_account: text("PodServiceAccount")?,
        pod_name: text("PodName")?,
        pod_uid: text("PodUID")?,
    };
    Some(Outcome::equal(&Ok(expected), &found))
}

/// Notes the token that it is asked about.
#[derive(Default)]
struct Asked(Mutex<Option<String>>);

impl TokenReview for Asked {
    fn review(&self, token: &str) -> Review {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(token.to_owned());
        let id = "spiffe://cluster.local/ns/a/sa/b".parse::<SpiffeId>().ok();
        Box::pin(ready(id.map(Into::into)))
    }
}

/// The status of a request for a certificate, and the token that was reviewed.
fn ask(request: Request<()>) -> Option<(StatusCode, Option<String>)> {
    let asked = Arc::new(Asked::default());
    let inner = service_fn(|request: Request<()>| {
        let is_known = request.extensions().get::<Caller>().is_some();
        let mut response = Response::new(());
        if !is_known {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        ready(Ok::<_, Infallible>(response))
    });
    let layer = AuthenticateLayer::new().with_token_review(Arc::<Asked>::clone(&asked));
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    let Ok(response) = runtime.block_on(layer.layer(inner).oneshot(request));
    let token = asked
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    Some((response.status(), token))
}

/// Metadata of gRPC are headers.
fn bearer(row: &Row<'_>) -> Option<Outcome> {
    let mut request = Request::new(());
    if let Some(metadata) = row.field("metadata") {
        for value in Row(metadata).texts("authorization")? {
            let value = HeaderValue::from_str(value).ok()?;
            request.headers_mut().append("authorization", value);
        }
    }
    let expected = match row.text("extractBearerTokenErrMsg")? {
        "" => (true, Some(row.text("expectedToken")?.to_owned())),
        _ => (false, None),
    };
    let (status, token) = ask(request)?;
    Some(Outcome::equal(
        &expected,
        &(status == StatusCode::OK, token),
    ))
}

/// Callers without a certificate that was verified. Certificates of the rows are structures of Go.
fn certificate(row: &Row<'_>) -> Option<Outcome> {
    let chain = row.field("certChain").and_then(Value::as_array);
    if chain.is_some_and(|chain| !chain.is_empty()) || row.text("authenticateErrMsg")?.is_empty() {
        return Some(Outcome::unsupported(
            "the certificate is a structure of Go, which has no encoding",
        ));
    }
    let (status, _) = ask(Request::new(()))?;
    Some(Outcome::equal(&false, &(status == StatusCode::OK)))
}
