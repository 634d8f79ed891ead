//! Certificate signing requests.

use mesh_tls::csr::SigningRequest;

use super::{Feed, Target, hexadecimal};

pub(crate) const TARGET: Target = Target {
    name: "signing-requests",
    // The DER of a request, in hexadecimal: what is no digit is passed over.
    seeds: &[
        "3081f330819b020100300c310a300806035504030c01783059301306072a8648ce3d020106082a8648ce3d03\
         010703420004c065821a620cfa8f8dfdba39b05c6e9d4b149fef3c18e12a5c829eee5ca84c4a6e9d7fc37477\
         be48fed7c0f767d776ff8b2985281df34458966cc7e68c2073a2a02d302b06092a864886f70d01090e311e30\
         1c301a0603551d1104133011860f7370696666653a2f2f6d6573682f61300a06082a8648ce3d040302034700\
         3044022027eeeb590126a21742e31b0d55c1827bdba721026e6116ca88d612237740da52022051349f306e1a\
         7e5898f6d846488708980fe7c7627d3bbb8d1c8bcb7bcdf10908",
    ],
    dictionary: &[
        "30", "3081", "3082ffff", "03", "0500", "06", "a0", "00", "ff",
    ],
    start,
};

fn start() -> Feed {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Box::new(move |input| {
        let der = hexadecimal(input);
        if let Ok(request) = SigningRequest::from_der(&der, &provider) {
            let key = request.public_key();
            let is_inside = der.windows(key.len()).any(|window| window == key);
            assert!(is_inside, "the key is that of the request");
        }
        let _ = SigningRequest::from_pem(input, &provider);
    })
}
