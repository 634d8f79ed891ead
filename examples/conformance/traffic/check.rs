//! The checks of Istio's traffic tests: a tree of functions over the answers to a call.

use serde_json::Value;

use super::request::{Exchange, Request};
use super::{hashing, names, redirects, shares};
use crate::case::{Outcome, list, text};
use crate::stage::client::Reply;
use crate::stage::echo::Seen;
use crate::stage::scene::Scene;

/// An answer, or why there is none.
pub(super) type Answer = Result<Reply, String>;

/// How the answers to the calls of a case are judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Judgement {
    /// By the checks of the calls.
    Checks,
    /// By whether they come from one service or several, as consistent hashing has it.
    Hashing,
    /// By the addresses of the names.
    Names,
    /// By where they redirect to.
    Redirects,
    /// By the share of each service.
    Shares,
}

impl Judgement {
    /// How the answers of `case` are judged. What its tests check in Go is checked here by what the
    /// configuration demands.
    pub(super) fn of(case: &Value) -> Self {
        if shares::are_compared(case) {
            Self::Shares
        } else if names::are_compared(case) {
            Self::Names
        } else if hashing::is_compared(case) {
            Self::Hashing
        } else if redirects::is_compared(case) {
            Self::Redirects
        } else {
            Self::Checks
        }
    }

    /// How many requests are sent, if not as many as the call says.
    pub(super) fn samples(self) -> Option<u64> {
        (self == Self::Shares).then_some(shares::SAMPLES)
    }
}

/// Judges the answers to a call.
pub(super) fn judge(
    case: &Value,
    judgement: Judgement,
    scene: &Scene,
    (request, answers): (&Request, &[Answer]),
) -> Outcome {
    match (judgement, &request.exchange) {
        (Judgement::Names, Exchange::Name(lookup)) => {
            return names::compare(scene, lookup, answers);
        }
        (Judgement::Redirects, _) => return redirects::compare(scene, request, answers),
        (Judgement::Shares, _) => return shares::compare(scene, answers),
        (Judgement::Checks | Judgement::Hashing | Judgement::Names, _) => {}
    }
    let is_about_tls = |answer: &&Answer| matches!(answer, Err(why) if why.starts_with("needs "));
    if let Some(Err(why)) = answers.iter().find(is_about_tls) {
        return Outcome::Unsupported(why.clone());
    }
    let check = case.get("check").unwrap_or(&Value::Null);
    let checker = Checker { request };
    let mismatch = answers
        .iter()
        .find_map(|answer| checker.mismatch(check, answer));
    match (mismatch, judgement) {
        (Some(why), _) => Outcome::Failed(why),
        (None, Judgement::Hashing) => hashing::compare(scene, answers),
        (None, _) => Outcome::Passed,
    }
}

/// Why a check cannot be evaluated, if it cannot.
pub(super) fn unsupported(check: &Value) -> Option<String> {
    let name = text(check, "fn");
    match name {
        "And" | "Or" => list(check, "args").iter().find_map(unsupported),
        "OK" | "NotOK" | "Status" | "NotStatus" | "NoErrorAndStatus" | "Error" | "NoError"
        | "ErrorOrStatus" | "ErrorOrNotStatus" | "URL" | "Protocol" | "RequestHeader"
        | "RequestHeaders" | "ResponseHeader" | "ResponseHeaders" | "MTLSForHTTP"
        | "PlaintextForHTTP" | "Alpn" | "SNI" => constant(check),
        "Host" if list(check, "args").iter().all(is_own_host) => None,
        "Host" => constant(check),
        "go-closure" | "Each" => Some("the check is Go code".into()),
        _ => Some(format!("the check `{name}` is not known")),
    }
}

/// Checks whose arguments are Go expressions cannot be evaluated.
fn constant(check: &Value) -> Option<String> {
    let is_code = |value: &Value| value.get("$call").is_some() || value.get("$sym").is_some();
    let argument = list(check, "args").iter().find(|value| is_code(value))?;
    Some(format!("the check's argument is Go code: {argument}"))
}

/// Whether a value is the host of the call.
fn is_own_host(value: &Value) -> bool {
    text(value, "$call") == ".GetHost"
}

/// Checks the answers to a request.
struct Checker<'a> {
    request: &'a Request,
}

impl Checker<'_> {
    /// Why an answer does not pass, if it does not.
    fn mismatch(&self, check: &Value, answer: &Answer) -> Option<String> {
        let arguments = list(check, "args");
        match (text(check, "fn"), answer) {
            ("And", _) => arguments
                .iter()
                .find_map(|check| self.mismatch(check, answer)),
            ("Or", _) => {
                let mut failed: Vec<String> = Vec::new();
                for check in arguments {
                    failed.push(self.mismatch(check, answer)?);
                }
                Some(failed.join(", and "))
            }
            ("Error", Ok(reply)) => Some(format!("expected no answer, got {}", reply.status)),
            ("Error" | "ErrorOrStatus" | "ErrorOrNotStatus" | "NotOK", Err(_)) => None,
            (_, Err(why)) => Some(format!("no answer: {why}")),
            (name, Ok(reply)) => self.reply_mismatch(name, arguments, reply),
        }
    }

    fn reply_mismatch(&self, name: &str, arguments: &[Value], reply: &Reply) -> Option<String> {
        let expected = arguments.first().and_then(Value::as_u64);
        let status = u64::from(reply.status);
        match name {
            "OK" => differ("status", &200, &status),
            "NotOK" => (status == 200).then(|| "expected a failure, got 200".to_owned()),
            "Status" | "NoErrorAndStatus" | "ErrorOrStatus" => {
                differ("status", &expected, &Some(status))
            }
            "NotStatus" | "ErrorOrNotStatus" => {
                let is_it = expected == Some(status);
                is_it.then(|| format!("status: expected another than {status}"))
            }
            "ResponseHeader" => {
                let (name, value) = (argument(arguments, 0), argument(arguments, 1));
                let found = reply.field(name).unwrap_or_default();
                differ(name, &value, &found.as_str())
            }
            "ResponseHeaders" => pairs(arguments, |name| reply.field(name)),
            _ => self.request_mismatch(name, arguments, reply.seen().as_ref()),
        }
    }

    /// What is wrong with the request, as the service saw it.
    fn request_mismatch(
        &self,
        name: &str,
        arguments: &[Value],
        seen: Option<&Seen>,
    ) -> Option<String> {
        let first = argument(arguments, 0);
        let compare = |what, found: Option<&str>| differ(what, &Some(first), &found);
        match name {
            "Host" if arguments.first().is_some_and(is_own_host) => {
                let found = seen.map(|seen| seen.host.as_str());
                differ("host", &Some(self.host()), &found)
            }
            "Host" => compare("host", seen.map(|seen| seen.host.as_str())),
            "URL" => compare("path", seen.map(|seen| seen.path.as_str())),
            "Protocol" => compare("protocol", seen.map(|seen| seen.protocol.as_str())),
            "Alpn" => {
                let found = seen.and_then(|seen| seen.application_protocol.as_deref());
                compare("application protocol", found)
            }
            "SNI" => compare(
                "server name",
                seen.and_then(|seen| seen.server_name.as_deref()),
            ),
            "MTLSForHTTP" | "PlaintextForHTTP" => {
                let client = seen?.headers.get("x-forwarded-client-cert");
                let is_mutual = Some(client.is_some()).filter(|_| self.is_plain_http())?;
                differ("mutual TLS", &(name == "MTLSForHTTP"), &is_mutual)
            }
            "RequestHeader" => {
                let name = first.to_ascii_lowercase();
                let found = seen.and_then(|seen| seen.headers.get(&name));
                let found = found.map(String::as_str).unwrap_or_default();
                differ(&name, &argument(arguments, 1), &found)
            }
            "RequestHeaders" => pairs(arguments, |name| seen?.headers.get(name).cloned()),
            _ => None,
        }
    }

    fn host(&self) -> &str {
        match &self.request.exchange {
            Exchange::Http(call) => &call.host,
            Exchange::Lines(_) | Exchange::Name(_) => "",
        }
    }

    /// Whether proxies read the request, and can write who sent it.
    fn is_plain_http(&self) -> bool {
        matches!(&self.request.exchange, Exchange::Http(call) if call.tls.is_none())
    }
}

/// The text at `index` of arguments; empty if there is none.
fn argument(arguments: &[Value], index: usize) -> &str {
    let argument = arguments.get(index);
    argument.and_then(Value::as_str).unwrap_or_default()
}

/// Whether each named field has its value; an empty one is expected of what is absent.
fn pairs(arguments: &[Value], found: impl Fn(&str) -> Option<String>) -> Option<String> {
    let expected = arguments.first().and_then(Value::as_object)?;
    expected.iter().find_map(|(name, value)| {
        let found = found(&name.to_ascii_lowercase()).unwrap_or_default();
        differ(name, &value.as_str().unwrap_or_default(), &found.as_str())
    })
}

fn differ<T: std::fmt::Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, got {found:?}"))
}
