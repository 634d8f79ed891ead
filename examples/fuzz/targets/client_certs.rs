//! The header `x-forwarded-client-cert`.

use mesh_tls::xfcc::{ClientCert, MAX_LEN, Xfcc};

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "client-certs",
    seeds: &[
        "By=spiffe://mesh/ns/a/sa/b;Hash=0c;Subject=\"CN=x\\,y,O=\\\"z\\\"\";URI=spiffe://mesh/ns/c/sa/d",
        "Cert=\"-----BEGIN%20X-----%0Aa%2B%2F%3D%0A\";DNS=a.example;DNS=b.example,By=,URI=",
    ],
    dictionary: &[
        "By=", "Hash=", "Cert=", "Chain=", "Subject=", "URI=", "DNS=", ",", ";", "=", "\"", "\\",
        "%0A",
    ],
    start: || {
        text(|text| {
            let Ok(xfcc) = text.parse::<Xfcc>() else {
                return;
            };
            let written = xfcc.to_string();
            // Quotes and escapes may make it longer than what is read.
            if written.len() <= MAX_LEN {
                let again = written.parse::<Xfcc>();
                assert_eq!(again.as_ref(), Ok(&xfcc), "`{written}` reads back");
            }
            for element in &xfcc.elements {
                let _ = ClientCert::new(element);
            }
        })
    },
};
