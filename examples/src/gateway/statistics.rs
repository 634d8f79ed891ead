//! What a gateway counts, to be scraped.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use mesh_core::watch::Watch;
use mesh_policy::authz::Records;

use super::generation::Generation;
use super::handshakes::Handshakes;
use super::mirrors::Mirrors;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_1: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What a gateway counts, as `/stats/prometheus` shows it. Cheap to clone; it stays current.
#[derive(Clone, Debug)]
pub struct Statistics {
    generation: Watch<Generation>,
    handshakes: Handshakes,
    records: Records,
    mirrors: Mirrors,
}

impl Statistics {
    pub(super) fn new(
        generation: Watch<Generation>,
        (handshakes, records, mirrors): (&Handshakes, &Records, &Mirrors),
    ) -> Self {
        Self {
            generation,
            handshakes: handshakes.clone(),
            records: records.clone(),
            mirrors: mirrors.clone(),
        }
    }

    /// The counts in the text format of Prometheus: handshakes that failed, what policies that do not
    /// decide have said, mirrored requests that were not sent, and Istio's metrics, if they are kept.
    pub fn encode(&self) -> String {
        let generation = self.generation.load_full();
        let metrics = generation.telemetry().metrics();
        let requests = metrics.map(|metrics| metrics.encode());
        let counts = self.handshakes.encode() + &self.records.encode() + &self.mirrors.encode();
        counts + &requests.unwrap_or_default()
    }

    /// The answer to who scrapes with these headers: the counts as OpenMetrics for those who accept
    /// that, and as [`encode`](Self::encode) gives them for others. Prometheus takes neither without a
    /// content type.
    pub fn scrape(&self, headers: &HeaderMap) -> Response<String> {
        let accepted = headers.get_all(ACCEPT).into_iter();
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        let (text, kind) = match accepted.any(|accepted| accepted.contains(OPEN_METRICS)) {
            true => (open_metrics(&self.encode()), OPEN_METRICS_1),
            false => (self.encode(), TEXT),
        };
        let mut response = Response::new(text);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

/// The text format of Prometheus as OpenMetrics, whose families have names without the suffix that
/// their counters have.
fn open_metrics(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let mut words = line.splitn(4, ' ');
        match [(); 4].map(|()| words.next()) {
            [Some("#"), Some(what), Some(name), Some(rest)] => {
                let family = name.strip_suffix("_total").unwrap_or(name);
                format!("# {what} {family} {rest}\n")
            }
            _ => format!("{line}\n"),
        }
    });
    lines.chain(["# EOF\n".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_open_metrics_have_no_suffix_and_there_is_an_end() {
        let text = "# HELP a_total All of them.\n# TYPE a_total counter\na_total{b=\"# c\"} 1\n\
                    # TYPE d counter\nd_total 2\n";
        let expected = "# HELP a All of them.\n# TYPE a counter\na_total{b=\"# c\"} 1\n\
                        # TYPE d counter\nd_total 2\n# EOF\n";
        assert_eq!(open_metrics(text), expected);
    }
}
