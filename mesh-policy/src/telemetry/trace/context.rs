use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const B3: HeaderName = HeaderName::from_static("b3");
const B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
const B3_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
const B3_PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const B3_FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// The headers that carry a context.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Propagation {
    /// `x-b3-traceid` and its companions.
    B3Multi,
    /// `b3`
    B3Single,
    /// `traceparent`; `tracestate` is passed on.
    W3c,
}

/// A place in a trace.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceContext {
    /// The trace; not zero.
    pub trace_id: u128,
    /// The span; not zero.
    pub span_id: u64,
    /// The span above it, if it is known.
    pub parent: Option<u64>,
    /// Whether the trace is recorded. `None` leaves that to who comes next.
    pub sampled: Option<bool>,
}

impl TraceContext {
    /// The context in `headers`: that of W3C, else that of B3. `None` if there is none that is
    /// well-formed, as if there were none at all.
    pub fn extract(headers: &HeaderMap) -> Option<Self> {
        Self::extract_preferring(&[], headers)
    }

    /// The context in `headers` in the first of the forms `preferred` that is there and well-formed,
    /// else in any. Who reports to a tracer that knows B3 goes on with the trace of B3, as Envoy does,
    /// though there may be another in `traceparent`. Both forms of B3 are one.
    pub fn extract_preferring(preferred: &[Propagation], headers: &HeaderMap) -> Option<Self> {
        let b3 = || b3_single(headers).or_else(|| b3_multi(headers));
        match preferred.first() {
            Some(Propagation::B3Multi | Propagation::B3Single) => b3().or_else(|| w3c(headers)),
            None | Some(Propagation::W3c) => w3c(headers).or_else(b3),
        }
    }

    /// A span below this one.
    #[must_use]
    pub fn child(self, span_id: u64) -> Self {
        Self {
            span_id,
            parent: Some(self.span_id),
            ..self
        }
    }

    /// Writes the context into `headers`, in place of what they say of it in the same form. A new
    /// trace leaves no `tracestate` of another.
    pub fn inject(self, propagation: Propagation, headers: &mut HeaderMap) {
        let Self {
            trace_id,
            span_id,
            parent,
            sampled,
        } = self;
        match propagation {
            Propagation::W3c => {
                let known = w3c(headers).map(|known| known.trace_id);
                if known != Some(trace_id) {
                    headers.remove(TRACESTATE);
                }
                let flags = u8::from(sampled == Some(true));
                let value = format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
                put(headers, TRACEPARENT, &value);
            }
            Propagation::B3Single => {
                let mut value = format!("{}-{span_id:016x}", b3_digits(trace_id));
                if let Some(sampled) = sampled {
                    value.push_str(if sampled { "-1" } else { "-0" });
                    if let Some(parent) = parent {
                        value.push_str(&format!("-{parent:016x}"));
                    }
                }
                put(headers, B3, &value);
            }
            Propagation::B3Multi => {
                put(headers, B3_TRACE_ID, &b3_digits(trace_id));
                put(headers, B3_SPAN_ID, &format!("{span_id:016x}"));
                match parent {
                    Some(parent) => put(headers, B3_PARENT, &format!("{parent:016x}")),
                    None => drop(headers.remove(B3_PARENT)),
                }
                match sampled {
                    Some(sampled) => put(headers, B3_SAMPLED, if sampled { "1" } else { "0" }),
                    None => drop(headers.remove(B3_SAMPLED)),
                }
            }
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the caller wants the request to be traced, where its headers say so: in the form that is
/// preferred, as in [`extract_preferring`](TraceContext::extract_preferring), which gave `context`, else
/// in any. B3 may say it without an identifier, `b3: 0` or `x-b3-sampled: 0`, which is about whatever
/// trace begins here.
pub(super) fn decision(
    preferred: &[Propagation],
    headers: &HeaderMap,
    context: Option<TraceContext>,
) -> Option<bool> {
    let of_context = context.and_then(|context| context.sampled);
    let of_b3 = || b3_decision(headers);
    match preferred.first() {
        Some(Propagation::B3Multi | Propagation::B3Single) => of_b3().or(of_context),
        None | Some(Propagation::W3c) => of_context.or_else(of_b3),
    }
}

fn b3_decision(headers: &HeaderMap) -> Option<bool> {
    let single = headers.get(B3).and_then(|value| value.to_str().ok());
    let single = single.map(str::trim).and_then(|value| {
        let alone = (!value.contains('-')).then_some(value);
        sampled(alone.or_else(|| value.split('-').nth(2))?)
    });
    single.or_else(|| b3_multi_decision(headers))
}

fn b3_multi_decision(headers: &HeaderMap) -> Option<bool> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(B3_FLAGS), text(B3_SAMPLED)) {
        (Some("1"), _) | (_, Some("1" | "true")) => Some(true),
        (_, Some("0" | "false")) => Some(false),
        _ => None,
    }
}

/// Reads how `b3` says whether a request is traced.
fn sampled(text: &str) -> Option<bool> {
    match text {
        "1" | "d" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// Reads `traceparent` (W3C Trace Context §3.2): a version that is not known may have more fields.
fn w3c(headers: &HeaderMap) -> Option<TraceContext> {
    let value = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = value.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let is_valid = match version {
        0 => parts.next().is_none(),
        0xff => false,
        _ => true,
    };
    let context = TraceContext {
        trace_id,
        span_id: u64::try_from(span_id).ok()?,
        parent: None,
        sampled: Some(flags & 1 == 1),
    };
    (is_valid && trace_id != 0 && span_id != 0).then_some(context)
}

/// Reads `b3`: `{trace}-{span}`, then whether it is sampled, then the parent.
fn b3_single(headers: &HeaderMap) -> Option<TraceContext> {
    let value = headers.get(B3)?.to_str().ok()?;
    let mut parts = value.trim().split('-');
    let trace_id = b3_trace_id(parts.next()?)?;
    let span_id = span(parts.next()?)?;
    let sampled = match parts.next() {
        None => None,
        Some(text) => Some(sampled(text)?),
    };
    let parent = match parts.next() {
        None => None,
        Some(parent) => Some(span(parent)?),
    };
    parts.next().is_none().then_some(TraceContext {
        trace_id,
        span_id,
        parent,
        sampled,
    })
}

fn b3_multi(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    Some(TraceContext {
        trace_id: b3_trace_id(text(B3_TRACE_ID)?)?,
        span_id: span(text(B3_SPAN_ID)?)?,
        parent: text(B3_PARENT).and_then(span),
        sampled: b3_multi_decision(headers),
    })
}

/// A trace as B3 writes it: one of 64 bits has half of the digits.
fn b3_digits(trace_id: u128) -> String {
    match u64::try_from(trace_id) {
        Ok(short) => format!("{short:016x}"),
        Err(_) => format!("{trace_id:032x}"),
    }
}

/// B3's traces have 128 or 64 bits.
fn b3_trace_id(text: &str) -> Option<u128> {
    let trace_id = hex(text, 32).or_else(|| hex(text, 16))?;
    (trace_id != 0).then_some(trace_id)
}

fn span(text: &str) -> Option<u64> {
    let span_id = u64::try_from(hex(text, 16)?).ok()?;
    (span_id != 0).then_some(span_id)
}

/// Reads a number of exactly `digits` lower-case digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_whole = text.len() == digits && text.bytes().all(is_digit);
    u128::from_str_radix(text, 16).ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

    fn extract(fields: &[(&'static str, &str)]) -> Option<TraceContext> {
        let fields = fields.iter();
        let headers = fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        TraceContext::extract(&headers)
    }

    fn context(parent: Option<u64>, sampled: Option<bool>) -> Option<TraceContext> {
        Some(TraceContext {
            trace_id: TRACE,
            span_id: SPAN,
            parent,
            sampled,
        })
    }

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (value, expected) in [
            (format!("00-{ids}-01"), context(None, Some(true))),
            (format!("00-{ids}-00"), context(None, Some(false))),
            (format!("00-{ids}-03"), context(None, Some(true))),
            (format!("cc-{ids}-01-what-comes"), context(None, Some(true))),
            (format!("00-{ids}-01-what-comes"), None),
            (format!("ff-{ids}-01"), None),
            (format!("00-{}-01", ids.to_uppercase()), None),
            (format!("00-{ids}"), None),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
                None,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
                None,
            ),
        ] {
            assert_eq!(extract(&[("traceparent", &value)]), expected, "{value}");
        }
    }

    #[test]
    fn who_reports_to_a_tracer_of_b3_reads_b3_first() {
        use Propagation::{B3Multi, B3Single, W3c};
        let (w3c, b3) = ("000000000000000000000000000000a1", "00000000000000b2");
        let fields = [
            ("traceparent", format!("00-{w3c}-00f067aa0ba902b7-01")),
            ("x-b3-traceid", b3.to_owned()),
            ("x-b3-spanid", b3.to_owned()),
        ];
        let fields = fields.iter();
        let mut headers: HeaderMap = fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let trace = |preferred: &[Propagation], headers: &HeaderMap| {
            TraceContext::extract_preferring(preferred, headers)
                .unwrap()
                .trace_id
        };
        for (preferred, expected) in [
            (&[][..], 0xa1),
            (&[W3c, B3Multi], 0xa1),
            (&[B3Multi, W3c], 0xb2),
            (&[B3Single], 0xb2),
        ] {
            assert_eq!(trace(preferred, &headers), expected, "{preferred:?}");
        }
        headers.remove("x-b3-traceid");
        assert_eq!(trace(&[B3Multi], &headers), 0xa1);
    }

    #[test]
    fn b3_is_read_in_both_forms() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        for (value, expected) in [
            (format!("{trace}-{span}"), context(None, None)),
            (format!("{trace}-{span}-1"), context(None, Some(true))),
            (format!("{trace}-{span}-d"), context(None, Some(true))),
            (
                format!("{trace}-{span}-0-{span}"),
                context(Some(SPAN), Some(false)),
            ),
            (format!("{trace}-{span}-x"), None),
            ("0".to_owned(), None),
        ] {
            assert_eq!(extract(&[("b3", &value)]), expected, "{value}");
        }
        let ids = [("x-b3-traceid", trace), ("x-b3-spanid", span)];
        let with = |more: &[(&'static str, &'static str)]| extract(&[&ids[..], more].concat());
        assert_eq!(with(&[]), context(None, None));
        assert_eq!(with(&[("x-b3-sampled", "0")]), context(None, Some(false)));
        assert_eq!(with(&[("x-b3-flags", "1")]), context(None, Some(true)));
        assert_eq!(
            with(&[("x-b3-parentspanid", span)]),
            context(Some(SPAN), None)
        );
        let short = extract(&[("x-b3-traceid", "a3ce929d0e0e4736"), ids[1]]);
        assert_eq!(
            short.map(|context| context.trace_id),
            Some(0xa3ce_929d_0e0e_4736)
        );
    }

    #[test]
    fn b3_may_decide_without_an_identifier() {
        use Propagation::{B3Multi, W3c};
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let (w3c, b3) = (format!("00-{ids}-01"), format!("{ids}-0"));
        for (preferred, fields, expected) in [
            (B3Multi, &[("b3", "0")][..], Some(false)),
            (B3Multi, &[("b3", "1")], Some(true)),
            (B3Multi, &[("b3", "d")], Some(true)),
            (B3Multi, &[("b3", "x")], None),
            (W3c, &[("x-b3-sampled", "0")], Some(false)),
            (W3c, &[("x-b3-sampled", "1")], Some(true)),
            (W3c, &[("x-b3-flags", "1")], Some(true)),
            (W3c, &[("traceparent", &w3c), ("b3", "0")], Some(true)),
            (B3Multi, &[("traceparent", &w3c), ("b3", "0")], Some(false)),
            (B3Multi, &[("traceparent", &w3c)], Some(true)),
            (B3Multi, &[("b3", &b3)], Some(false)),
            (B3Multi, &[("b3", ids)], None),
        ] {
            let all = fields.iter();
            let headers = all
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            let context = TraceContext::extract_preferring(&[preferred], &headers);
            let decided = decision(&[preferred], &headers, context);
            assert_eq!(decided, expected, "{preferred:?} {fields:?}");
        }
    }

    #[test]
    fn a_trace_of_64_bits_is_written_with_as_many() {
        let short = TraceContext {
            trace_id: 0xb2,
            ..context(None, None).unwrap()
        };
        for (propagation, name, expected) in [
            (Propagation::B3Multi, "x-b3-traceid", "00000000000000b2"),
            (
                Propagation::B3Single,
                "b3",
                "00000000000000b2-00f067aa0ba902b7",
            ),
            (
                Propagation::W3c,
                "traceparent",
                "00-000000000000000000000000000000b2-00f067aa0ba902b7-00",
            ),
        ] {
            let mut headers = HeaderMap::new();
            short.inject(propagation, &mut headers);
            assert_eq!(headers[name], expected);
        }
    }

    #[test]
    fn the_state_of_another_trace_is_not_passed_on() {
        for (trace_id, kept) in [(TRACE, true), (7, false)] {
            let mut headers = HeaderMap::new();
            context(None, None)
                .unwrap()
                .inject(Propagation::W3c, &mut headers);
            put(&mut headers, TRACESTATE, "a=b");
            let context = TraceContext {
                trace_id,
                ..context(None, None).unwrap()
            };
            context.inject(Propagation::W3c, &mut headers);
            assert_eq!(headers.contains_key(TRACESTATE), kept, "{trace_id:x}");
        }
    }

    proptest! {
        #[test]
        fn what_is_injected_is_extracted(
            trace_id in 1_u128..,
            span_id in 1_u64..,
            parent in 1_u64..,
            sampled in any::<bool>(),
        ) {
            let context = TraceContext { trace_id, span_id, parent: Some(parent), sampled: Some(sampled) };
            for propagation in [Propagation::B3Multi, Propagation::B3Single, Propagation::W3c] {
                let mut headers = HeaderMap::new();
                context.inject(propagation, &mut headers);
                let parent = context.parent.filter(|_| propagation != Propagation::W3c);
                let expected = TraceContext { parent, ..context };
                prop_assert_eq!(TraceContext::extract(&headers), Some(expected));
            }
        }

        #[test]
        fn any_header_can_be_read(text in "[ -~]{0,80}") {
            for name in ["traceparent", "b3", "x-b3-traceid"] {
                let _ = extract(&[(name, text.as_str())]);
            }
        }
    }
}
