//! A gateway before one service.

use std::net::SocketAddr;

use examples::gateway::{Gateway, Settings};
use mesh_tls::diagnose::Side;
use tempfile::TempDir;

use crate::peers::{Hosts, Service};
use crate::scene::{LISTEN, publish, settings};

pub(crate) const ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: shop }
spec:
  hosts: ['*']
  gateways: [shop]
  http: [{ route: [{ destination: { host: cart.example } }], retries: { attempts: 0 } }]
";

pub(crate) const RULE: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart.example
  trafficPolicy:
";

/// The service at `address`, and documents about it.
pub(crate) fn yaml(protocol: &str, address: SocketAddr, further: &str) -> String {
    let port = address.port();
    format!(
        "{LISTEN}---{ROUTE}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: {protocol} }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
---{further}"
    )
}

/// Files of certificates.
pub(crate) struct Files {
    pub(crate) directory: TempDir,
}

impl Files {
    pub(crate) fn new(hosts: &Hosts) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("ca.pem"), hosts.pem()).unwrap();
        Self { directory }
    }

    /// A rule with these settings, that believes the authority.
    pub(crate) fn rule(&self, tls: &str) -> String {
        let path = self.directory.path().join("ca.pem");
        format!(
            "{RULE}    tls: {{ {tls}, caCertificates: '{}' }}\n",
            path.display()
        )
    }
}

/// A gateway before a service.
pub(crate) struct Front {
    pub(crate) gateway: Gateway,
}

impl Front {
    pub(crate) fn new(service: &Service, rule: &str) -> Self {
        Self::speaking("HTTP", service, rule)
    }

    pub(crate) fn speaking(protocol: &str, service: &Service, rule: &str) -> Self {
        let gateway = Gateway::start(settings()).unwrap();
        let mut front = Self { gateway };
        front.publish(protocol, service, rule);
        front
    }

    pub(crate) fn with(settings: Settings, service: &Service, rule: &str) -> Self {
        let gateway = Gateway::start(settings).unwrap();
        let mut front = Self { gateway };
        front.publish("HTTP", service, rule);
        front
    }

    pub(crate) fn publish(&mut self, protocol: &str, service: &Service, rule: &str) {
        let yaml = yaml(protocol, service.address, rule);
        assert_eq!(publish(&mut self.gateway, &yaml), [""; 0]);
    }

    pub(crate) fn get(&self, host: &str) -> String {
        crate::scene::get(&self.gateway, host)
    }

    /// How many handshakes with services have failed because of `cause`.
    pub(crate) fn failed(&self, cause: &str) -> u64 {
        self.gateway.handshakes().count(Side::Client, cause)
    }
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
