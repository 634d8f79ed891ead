//! What authorizers of CUSTOM policies are asked about connections that carry no HTTP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use examples::gateway::Gateway;
use serde_json::json;
use tonic::service::Routes;

use crate::policies_asked::{Tickets, documents, entry, mesh, serve_grpc};
use crate::scene::{publish, settings};

#[test]
fn an_authorizer_decides_about_connections_that_carry_no_http() {
    let greeter = TcpListener::bind("127.0.0.1:0").unwrap();
    let db = entry("db.example", greeter.local_addr().unwrap(), "TCP").replace("other", "db");
    thread::spawn(move || {
        for mut stream in greeter.incoming().flatten() {
            let _ = stream.write_all(b"220 ready");
        }
    });
    let connections = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: db, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 443, name: tcp, protocol: TCP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: db, namespace: shop }
spec:
  hosts: ['*']
  gateways: [db]
  tcp: [{ route: [{ destination: { host: db.example, port: { number: 9000 } } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: tickets, namespace: istio-system }
spec: { action: CUSTOM, provider: { name: tickets }, rules: [{}] }
";
    let nowhere = ([127, 0, 0, 1], 9).into();
    let allows = serve_grpc(Routes::new(AuthorizationServer::new(Tickets)));
    let grpc = |fail_open| {
        json!({"name": "tickets", "envoyExtAuthzGrpc": {
            "service": "authz.example", "port": 9000, "failOpen": fail_open,
        }})
    };
    let http = json!({"name": "tickets", "envoyExtAuthzHttp": {
        "service": "authz.example", "port": 9000,
    }});
    for (case, provider, address, expected) in [
        ("it allows", grpc(false), allows, "220 ready"),
        ("it is not there", grpc(false), nowhere, ""),
        ("it may be missing", grpc(true), nowhere, "220 ready"),
        ("it knows requests only", http, allows, ""),
    ] {
        let authorizer = entry("authz.example", address, "GRPC");
        let documents = documents(&[connections, &db, &mesh(&provider), &authorizer]);
        let mut gateway = Gateway::start(settings()).unwrap();
        assert_eq!(publish(&mut gateway, &documents), [""; 0], "{case}");
        let mut client = TcpStream::connect(gateway.address(443).unwrap()).unwrap();
        let mut greeting = String::new();
        // What is closed before it has said anything may be reset.
        let _ = client.read_to_string(&mut greeting);
        assert_eq!(greeting, expected, "{case}");
    }
}
