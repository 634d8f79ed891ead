//! Expressions of the Common Expression Language over exchanges, by which Telemetry resources filter
//! access logs and make tags.
//!
//! They read Envoy's [attributes]. An attribute that an exchange does not have is not there: `has()`
//! says so, and reading it makes an expression have no value. Expressions that name others than these
//! are refused, those among them that Envoy knows, such as `request.time`: the evaluator has
//! timestamps only together with a crate of calendars and time zones.
//!
//! | variable | attributes |
//! |---|---|
//! | `request` | `path`, `url_path`, `query`, `host`, `scheme`, `method`, `headers`, `referer`, `useragent`, `id`, `protocol`, `size`, `total_size`, `duration` (to be compared with a `duration('1s')`) |
//! | `response` | `code`, `code_details`, `flags` (a number, of Envoy's bits), `grpc_status`, `headers`, `trailers`, `size`, `total_size` |
//! | `connection` | `mtls`, `requested_server_name`, `tls_version`, `uri_san_peer_certificate`, `termination_details` |
//! | `source`, `destination` | `address`, `port` |
//! | `upstream` | `address`, `port`, `local_address`, `transport_failure_reason` |
//! | `xds` | `route_name`, `cluster_name` |
//!
//! `headers` and `trailers` have the values of one name joined by commas, and those of heads what HTTP/2
//! has for the first line, too (`:path`, `:status`). The case of a name does not count where it is written;
//! a name that is the value of an expression is in lower case.
//!
//! [attributes]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes

mod attributes;
mod depth;
mod durations;
mod facts;
mod fields;
mod flags;
mod tree;
mod variables;

use std::fmt;
use std::sync::Arc;

use cel::parser::Parser;
use cel::{Context, IdedExpr, Value};

use self::attributes::Root;
pub(crate) use self::facts::{Answer, Facts};

/// The longest expression that is compiled.
const MAX_LENGTH: usize = 4096;

/// How deep the tree of an expression that is compiled may be.
const MAX_DEPTH: usize = 32;

/// How deep the brackets of one may be. Each takes the parser 150 KiB of the stack when it is not
/// optimised.
const MAX_BRACKETS: u16 = 6;

/// What is known of a request at the end of the exchange only.
const LATE: [&str; 3] = ["duration", "size", "total_size"];

/// An expression that reads attributes of exchanges. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Expression {
    text: Arc<str>,
    tree: Arc<IdedExpr>,
    roots: Arc<[Root]>,
    is_about_requests: bool,
}

impl Expression {
    /// Compiles an expression. `None` if it is none, or reads what is no attribute.
    pub(crate) fn compile(text: &str) -> Option<Self> {
        if text.len() > MAX_LENGTH || depth::bound(text) > MAX_DEPTH {
            return None;
        }
        let parser = Parser::new().max_recursion_depth(MAX_BRACKETS);
        let mut tree = parser.parse(text).ok()?;
        durations::fold(&mut tree)?;
        fields::fold(&mut tree);
        let read = variables::read(&tree);
        let roots = read.variables.iter().map(|name| Root::named(name));
        let roots: Vec<_> = roots.collect::<Option<_>>()?;
        let are_known = read.members.iter().all(|(of, member)| {
            Root::named(of).is_some_and(|root| root.attributes().contains(member))
        });
        if !are_known {
            return None;
        }
        let is_late = read.members.iter().any(|(_, member)| LATE.contains(member));
        let is_about_requests = !is_late && roots.iter().all(|root| *root == Root::Request);
        Some(Self {
            text: text.into(),
            roots: roots.into(),
            is_about_requests,
            tree: Arc::new(tree),
        })
    }

    /// Whether it reads nothing but the head of the request, so that it can be evaluated before there is
    /// a response.
    pub(crate) fn is_about_requests(&self) -> bool {
        self.is_about_requests
    }

    /// Whether it is true for an exchange. What has no value is not.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.evaluate(facts) == Some(Value::Bool(true))
    }

    /// Its value for an exchange as a text. `None` if it has none, or one of another kind.
    pub(crate) fn text(&self, facts: &Facts<'_>) -> Option<String> {
        match self.evaluate(facts)? {
            Value::Bool(value) => Some(value.to_string()),
            Value::Float(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::String(value) => Some(value.to_string()),
            Value::UInt(value) => Some(value.to_string()),
            _ => None,
        }
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Option<Value> {
        let mut context = Context::default();
        for root in self.roots.iter() {
            context.add_variable_from_value(root.name(), root.of(facts));
        }
        Value::resolve(&self.tree, &context).ok()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Request, StatusCode, Version};
    use mesh_core::attributes::{ResponseFlag, ResponseFlags};

    use super::*;

    #[test]
    fn attributes_are_those_of_envoy() {
        let request = Request::get("/cart/7?q=1")
            .header("host", "shop.example")
            .header("user-agent", "curl")
            .header("x-a", "1")
            .header("x-a", "2")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let headers = HeaderMap::from_iter([
            ("x-b".parse().unwrap(), "3".parse().unwrap()),
            ("x_c".parse().unwrap(), "".parse().unwrap()),
        ]);
        let answer = Answer {
            status: Some(StatusCode::NOT_FOUND),
            headers: Some(&headers),
            flags: ResponseFlags::default().with(ResponseFlag::NoRouteFound),
            details: Some("route_not_found"),
            sizes: (3, 5),
            duration: Some(Duration::from_millis(1500)),
            termination: Some("rbac_access_denied"),
            transport_failure: Some("delayed_connect_error"),
            upstream_local: Some("10.0.0.9:5000"),
            ..Answer::default()
        };
        let facts = Facts::of_request(&request).with_answer(&answer);
        for expression in [
            "request.path == '/cart/7?q=1' && request.url_path == '/cart/7'",
            "request.query == 'q=1' && request.method == 'GET' && request.protocol == 'HTTP/1.1'",
            "request.host == 'shop.example' && request.headers['host'] == 'shop.example'",
            "request.headers['x-a'] == '1,2' && request.useragent.startsWith('cu')",
            "'x-a' in request.headers && !('x-none' in request.headers)",
            "has(request.useragent) && !has(request.referer)",
            "response.code >= 400 && response.code < 500",
            "response.code_details == 'route_not_found' && response.grpc_status == 12",
            "response.flags == 256",
            "response.headers['x-b'] == '3' && response.size == 5 && request.size == 3",
            "!connection.mtls && connection.termination_details == 'rbac_access_denied'",
            "upstream.local_address == '10.0.0.9:5000'",
            "upstream.transport_failure_reason.startsWith('delayed')",
            "request.total_size == 84 && response.total_size == 22",
            "request.duration > duration('1s') && duration('1.5s') == request.duration",
            "!(request.duration < duration('1499ms')) && has(request.duration)",
            "[404, 503].exists(code, code == response.code)",
            "request.url_path.matches('^/cart/[0-9]+$')",
            "size(request.headers) == 6 && response.headers[':status'] == '404'",
            "request.headers['X-A'] == '1,2' && 'User-Agent' in request.headers",
            "request.headers[':path'] == request.path && request.headers[':method'] == 'GET'",
            "request.headers[':Authority'] == request.host && request.headers[':scheme'] == 'http'",
            "request['headers']['Host'] == request.host && has(response.headers.X_C)",
        ] {
            let compiled = Expression::compile(expression).expect(expression);
            assert!(compiled.holds(&facts), "{expression}");
        }
    }

    #[test]
    fn the_protocol_is_named_as_in_envoy() {
        for (version, expected) in [
            (Version::HTTP_10, "HTTP/1.0"),
            (Version::HTTP_11, "HTTP/1.1"),
            (Version::HTTP_2, "HTTP/2"),
        ] {
            let mut request = Request::new(()).into_parts().0;
            request.version = version;
            let protocol = Expression::compile("request.protocol").unwrap();
            let text = protocol.text(&Facts::of_request(&request));
            assert_eq!(text.as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_known_of_a_request_at_its_end_only_is_not_read_before() {
        for (expression, expected) in [
            ("request.path + request.headers['x']", true),
            ("request.size", false),
            ("request['total_size'] + 1", false),
            (
                "request.duration > duration('1s') ? 'slow' : request.path",
                false,
            ),
            ("request.path + string(response.code)", false),
        ] {
            let compiled = Expression::compile(expression).expect(expression);
            assert_eq!(compiled.is_about_requests(), expected, "{expression}");
        }
    }

    #[test]
    fn what_has_no_value_does_not_hold() {
        let request = Request::new(()).into_parts().0;
        let facts = Facts::of_request(&request);
        for expression in [
            "request.useragent == 'curl'",
            "response.code > 0",
            "request.path > 3",
            "request.path",
            "1 / 0 == 1",
        ] {
            let compiled = Expression::compile(expression).expect(expression);
            assert!(!compiled.holds(&facts), "{expression}");
        }
    }

    #[test]
    fn what_reads_no_attribute_is_refused() {
        for expression in [
            "foo.bar == 1",
            "request.path ==",
            "",
            "request.paht == '/'",
            "request['paht'] == '/' || has(response.body)",
            "connection.id == 7",
            "request.time < timestamp('2026-01-01T00:00:00Z')",
            "request.duration > 3",
            "request.duration > duration('soon')",
            "request.duration + duration('1s') > duration('2s')",
            "string(request.duration) == '1s'",
            "size(request.path) > duration('1s')",
        ] {
            assert_eq!(Expression::compile(expression), None, "{expression}");
        }
    }

    #[test]
    fn what_is_too_deep_is_refused() {
        let request = Request::new(()).into_parts().0;
        let nested = |depth| format!("{}1{} == 1", "(".repeat(depth), ")".repeat(depth));
        let sum = |length| format!("0 < 1{}", " + 1".repeat(length));
        for (good, bad) in [(nested(6), nested(9)), (sum(31), sum(32))] {
            let compiled = Expression::compile(&good).expect(&good);
            assert!(compiled.holds(&Facts::of_request(&request)), "{good}");
            assert_eq!(Expression::compile(&bad), None, "{bad}");
        }
        let long = format!("'{}' != ''", "a".repeat(MAX_LENGTH));
        assert_eq!(Expression::compile(&long), None);
    }

    #[test]
    fn values_of_tags_are_texts() {
        let request = Request::get("/cart").body(()).unwrap().into_parts().0;
        let facts = Facts::of_request(&request);
        for (expression, expected) in [
            ("request.path + '!'", Some("/cart!")),
            ("size(request.path)", Some("5")),
            ("request.method == 'GET'", Some("true")),
            ("request.headers", None),
            ("request.referer", None),
        ] {
            let text = Expression::compile(expression)
                .expect(expression)
                .text(&facts);
            assert_eq!(text.as_deref(), expected, "{expression}");
        }
    }
}
