//! What is fed, a file each. Whoever has another parser of foreign bytes adds a file and a line.

mod client_certs;
mod client_hello;
mod dns_queries;
mod durations;
mod formats;
mod h1_response;
mod hosts;
mod log_filters;
mod paths;
mod pem;
mod proxy_protocol;
mod regexes;
mod reviews;
mod signing_requests;
mod tokens;
#[cfg(feature = "kubernetes")]
mod watch_events;
mod yaml;

/// A parser of foreign bytes, and where to start from.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// At least one.
    pub(crate) seeds: &'static [&'static str],
    /// Words that mean something to it.
    pub(crate) dictionary: &'static [&'static str],
    /// Makes what is fed each input. It panics where the parser breaks its word.
    pub(crate) start: fn() -> Feed,
}

/// What is fed each input.
pub(crate) type Feed = Box<dyn FnMut(&[u8])>;

/// All targets.
pub(crate) const TARGETS: &[&Target] = &[
    &client_certs::TARGET,
    &client_hello::TARGET,
    &dns_queries::TARGET,
    &durations::TARGET,
    &formats::TARGET,
    &h1_response::TARGET,
    &hosts::TARGET,
    &log_filters::TARGET,
    &paths::TARGET,
    &pem::TARGET,
    &proxy_protocol::TARGET,
    &regexes::TARGET,
    &reviews::TARGET,
    &signing_requests::TARGET,
    &tokens::TARGET,
    #[cfg(feature = "kubernetes")]
    &watch_events::TARGET,
    &yaml::TARGET,
];

/// Feeds texts to `parse`; bytes that are no text are replaced.
pub(crate) fn text(mut parse: impl FnMut(&str) + 'static) -> Feed {
    Box::new(move |input| parse(&String::from_utf8_lossy(input)))
}

/// The bytes that hexadecimal digits stand for; what is no digit is passed over.
pub(crate) fn hexadecimal(digits: &[u8]) -> Vec<u8> {
    let digits = digits.iter();
    let digits = digits.filter_map(|digit| char::from(*digit).to_digit(16));
    let digits: Vec<u8> = digits
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| pair[0] << 4 | pair[1]).collect()
}
