use std::net::IpAddr;

use clap::Args;
use examples::explain::{Asked, claims};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use mesh_core::identity::SpiffeId;
use mesh_core::resource::Value;

/// The request to explain.
#[derive(Args, Debug)]
pub(crate) struct RequestArguments {
    /// Method and URL, `GET https://shop.example/cart?x=1`. The port of the URL chooses the
    /// listener; without one it is 80 or 443.
    #[arg(long, short, value_name = "METHOD URL", value_parser = request_line)]
    request: RequestLine,
    /// A header field, `name: value`. May be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header_field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The identity that the caller has proven, `spiffe://cluster.local/ns/shop/sa/cart`.
    #[arg(long, value_name = "SPIFFE-ID")]
    peer: Option<SpiffeId>,
    /// The caller has proven to own a certificate, if only one without an identity.
    #[arg(long)]
    certificate: bool,
    /// The claims of the caller's token, which is taken to be valid: `{"iss": "…", "sub": "…"}`.
    #[arg(long, value_name = "JSON", value_parser = claims)]
    claims: Option<Value>,
    /// The address of the caller.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    source: IpAddr,
    /// The number that draws among weighted destinations.
    #[arg(long, default_value_t = 0)]
    pub(crate) random: u64,
    /// The request is one that the workload is called by, at a port of its own, and not one that it
    /// sends. Gateways are called always.
    #[arg(long)]
    inbound: bool,
}

impl RequestArguments {
    /// The request that the arguments are about.
    pub(crate) fn asked(&self) -> Asked {
        let RequestLine {
            method,
            uri,
            is_tls,
        } = &self.request;
        let port = uri.port_u16().unwrap_or(if *is_tls { 443 } else { 80 });
        let mut request = Request::new(());
        request.method_mut().clone_from(method);
        request.uri_mut().clone_from(uri);
        request.headers_mut().extend(self.headers.iter().cloned());
        let (parts, ()) = request.into_parts();
        let asked = Asked {
            is_tls: *is_tls,
            is_inbound: self.inbound,
            peer: self.peer.clone(),
            has_certificate: self.certificate,
            source: self.source,
            ..Asked::new(parts, port)
        };
        match &self.claims {
            Some(claims) => asked.with_claims(claims),
            None => asked,
        }
    }
}

/// Method and URL of a request.
#[derive(Clone, Debug)]
struct RequestLine {
    method: Method,
    uri: Uri,
    /// Whether the scheme of the URL is `https`.
    is_tls: bool,
}

fn request_line(text: &str) -> Result<RequestLine, String> {
    let line = text.split_once(' ');
    let (method, url) =
        line.ok_or("a request is a method and a URL: `GET http://shop.example/`")?;
    let method = method
        .parse()
        .map_err(|_| format!("`{method}` is no method"))?;
    let url = url.trim();
    let uri: Uri = url.parse().map_err(|error| format!("`{url}`: {error}"))?;
    let is_tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(format!("`{url}` is not a URL of http or https")),
    };
    Ok(RequestLine {
        method,
        uri,
        is_tls,
    })
}

fn header_field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("header `{text}` is not of the form `name: value`");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    let value = value.trim().parse().map_err(|_| wrong())?;
    Ok((name, value))
}
