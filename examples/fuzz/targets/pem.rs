//! PEM.

use mesh_tls::pem;

use super::Target;

pub(crate) const TARGET: Target = Target {
    name: "pem",
    seeds: &[
        "text\n-----BEGIN CERTIFICATE-----\nAQIDBA==\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\r\nAQID\r\n-----END PRIVATE KEY-----\r\n-----BEGIN X509 CRL-----\n-----END X509 CRL-----",
    ],
    dictionary: &[
        "-----BEGIN ",
        "-----END ",
        "-----",
        "CERTIFICATE",
        "EC PRIVATE KEY",
        "\n",
        "\r\n",
        "=",
        "A: b",
    ],
    start: || {
        Box::new(|input| {
            if let Ok(blocks) = pem::parse(input) {
                let texts = blocks
                    .iter()
                    .map(|block| pem::encode(block.label(), block.der()));
                let text: String = texts.collect();
                let again = pem::parse(text.as_bytes()).expect("what is written is PEM");
                let ders = |blocks: &[pem::Block]| -> Vec<Vec<u8>> {
                    blocks.iter().map(|block| block.der().to_vec()).collect()
                };
                assert_eq!(ders(&again), ders(&blocks), "blocks read back");
            }
            let _ = pem::certificates(input);
            let _ = pem::private_key(input);
            let _ = pem::revocation_lists(input);
        })
    },
};
